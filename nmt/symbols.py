"""The four special symbols every piece model and every layer agrees on.

The order is Sockeye's. SentencePiece's own defaults (unk 0, no pad) would let unknown pieces vanish from the loss
wherever padding is masked by ``id == 0``, so the ids are passed when pieces are trained and verified when loaded.
"""

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
