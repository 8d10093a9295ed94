"""A lexical shortlist: the target pieces that a source may be translated to, so that the softmax need not have all.

The softmax of a step has a column for each of V target pieces, and hardly any of them can come up: no sentence about
dogs needs the piece "▁Parlament". So, once a batch, its source pieces name the target pieces that translated them in
the training text, and the steps choose among these alone.

Jean et al. 2015 (arXiv:1412.2007, section 3.3) and L'Hostis et al. 2016 (arXiv:1610.00072) have them from word
alignments, as Marian's shortlists and CTranslate2's vocabulary maps do. Here the attention tells: a target piece is
linked to where the model itself has looked. As there, the most frequent pieces may always come.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from nmt.pieces import Pieces
from nmt.symbols import BOS, EOS, PAD, UNK

# A target piece is linked to what it paid more than this share of its attention to. The piece that it looked at most
# alone would leave out the parts of a compound, which look at different pieces from one time to the next.
_LOOKED = 0.1

# So many of the most frequent target pieces are always among the candidates, as what no source piece calls for mostly
# is one of them. A batch has them anyway; of a sentence alone, with 50 partners, 1.7 % of the pieces were missing with
# 100 of them, 1.0 % with 400.
_COMMON = 500


class Shortlist(NamedTuple):
    """Which target pieces come up where, none of them PAD or BOS."""

    partners: np.ndarray  # [source pieces, N + 1] int32: of each, filled up with EOS
    common: np.ndarray  # [M] int32: those that always may come, EOS and UNK among them

    def of(self, source: np.ndarray) -> np.ndarray:
        """The candidates [C] of the pieces ``source``, of any shape, ascending."""
        return np.union1d(self.partners[np.unique(source)], self.common)

    @classmethod
    def learn(
        cls, links: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], pieces: tuple[Pieces, Pieces], size: int
    ) -> Shortlist:
        """The shortlist of a text.

        To the ``size`` partners of a source piece comes the target piece that is spelt alike, where there is one: so
        names and numbers are copied, and what no piece spells is copied byte by byte. The end of the source has
        partners as any piece has: what translates nothing is often said while looking there.

        Args:
            links: batches of source [B, S] and target [B, T], pieces with their ends, padded on the right; and the
                attention [B, T, S] that each target piece paid.
            pieces: of source and target.
            size: partners of a source piece, N.
        """
        known, vocabulary = (side.size for side in pieces)
        said = np.zeros(vocabulary, "int64")  # how often
        keys, shares = [], []
        for source, target, attention in links:
            looked = (attention > _LOOKED) & (target != PAD)[:, :, None] & (source != PAD)[:, None]
            rows, places, positions = np.nonzero(looked)
            keys.append(source[rows, positions].astype("int64") * vocabulary + target[rows, places])
            shares.append(attention[looked])
            said += np.bincount(target[target != PAD], minlength=vocabulary)
        pairs, numbers = np.unique(np.concatenate(keys), return_inverse=True)
        weights = np.bincount(numbers, np.concatenate(shares))
        sources, targets = np.divmod(pairs, vocabulary)
        order = np.lexsort((targets, -weights, sources))  # by source piece, the heaviest first
        sources, targets = sources[order], targets[order]
        ranks = np.arange(len(sources)) - np.searchsorted(sources, sources)
        best = ranks < size
        partners = np.full((known, size + 1), EOS, "int32")
        partners[sources[best], ranks[best]] = targets[best]
        places_of = {text: piece for piece, text in enumerate(pieces[1].text_of(range(vocabulary)))}
        partners[:, size] = [places_of.get(text, EOS) for text in pieces[0].text_of(range(known))]
        partners[[PAD, BOS], size] = EOS
        frequent = np.argsort(-said, kind="stable")[:_COMMON]
        common = np.union1d(frequent[said[frequent] > 0], [EOS, UNK]).astype("int32")
        return cls(partners, common)
