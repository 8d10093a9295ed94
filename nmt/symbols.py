"""The four special symbols every piece model and every layer agrees on, and what other symbols may be.

The order is Sockeye's. SentencePiece's own defaults (unk 0, no pad) would let unknown pieces vanish from the loss
wherever padding is masked by ``id == 0``, so the ids are passed when pieces are trained and verified when loaded.
"""

from collections.abc import Sequence

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")


def check_symbols(symbols: Sequence[str]) -> None:
    """Whether pieces can have these words as symbols of their own that are never split.

    Raises:
        ValueError: one is empty, holds white space, is a special symbol or is there twice.
    """
    for number, symbol in enumerate(symbols):
        if symbol.split() != [symbol]:
            fault = "a symbol is one word without white space"
        elif symbol in SPECIAL_PIECES:
            fault = f"{', '.join(SPECIAL_PIECES)} are symbols already"
        elif symbol in symbols[:number]:
            fault = "it is there twice"
        else:
            continue
        raise ValueError(f"{symbol!r} cannot be a symbol: {fault}; received {list(symbols)}; change it or leave it out")
