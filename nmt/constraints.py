"""What may come next in a translation: rules that every search obeys.

A rule forbids pieces by a bias of -inf. A *prefix* is what a translation must begin with, as a translator has typed it:
its last word may be unfinished, and pieces may reach over its end ("Guten Mor" allows "gen"). It is spelt in bytes, as
a piece may be a byte.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import numpy as np

from nmt.pieces import Pieces
from nmt.symbols import EOS, UNK


class ConstraintError(ValueError):
    """No translation can be as this asks; the message says why."""


class Constraints:
    """Rules for the translations of a batch: a ``Constrain`` of ``nmt.search``.

    Args:
        pieces: of the target.
        prefixes: what each sentence's translation begins with, masked as its source is; "" is nothing.
        min_length: pieces before the end may come.
        no_repeat_ngram: so many pieces in a row never come twice; 0 forbids nothing.

    Raises:
        ConstraintError: a prefix has characters that the pieces cannot spell.

    Attributes:
        least: int32 [B], the pieces that may be needed to fulfil them.
    """

    def __init__(self, pieces: Pieces, prefixes: Sequence[str], min_length: int = 0, no_repeat_ngram: int = 0) -> None:
        self.min_length, self.no_repeat_ngram = min_length, no_repeat_ngram
        self._size = pieces.size
        self._spellings = pieces.spellings() if any(prefixes) else []
        self._prefixes = [self._spelled(pieces, prefix) for prefix in prefixes]
        self.least = np.array(
            [len(prefix) + min_length for prefix in self._prefixes], "int32"
        )  # a piece is a byte or more
        self._longest = max(map(len, self._prefixes), default=0)
        self._sorted = sorted((spelling, piece) for piece, spelling in enumerate(self._spellings) if spelling)

    def __call__(self, sentences: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
        """The bias [R, V] of rows of ``sentences`` [R] that have said ``ids`` [R, length]; None where all may come."""
        rows, length = ids.shape
        bias = None
        if length < self.min_length:
            bias = np.zeros((rows, self._size), "float32")
            bias[:, EOS] = -math.inf
        if self.no_repeat_ngram and length >= self.no_repeat_ngram:
            bias = np.zeros((rows, self._size), "float32") if bias is None else bias
            for row, said in enumerate(ids.tolist()):
                bias[row, self._repeating(said)] = -math.inf
        if length < self._longest:  # a piece is a byte at least
            for row, (sentence, said) in enumerate(zip(sentences.tolist(), ids.tolist(), strict=True)):
                if (allowed := self._continuing(self._prefixes[sentence], said)) is not None:
                    bias = np.zeros((rows, self._size), "float32") if bias is None else bias
                    forbidden = np.full(self._size, -math.inf, "float32")
                    forbidden[allowed] = 0
                    bias[row] = forbidden  # the end may not come while the prefix is unfinished, whatever else may
        return bias

    def _repeating(self, said: list[int]) -> list[int]:
        """The pieces that would make the last ones a sequence which has been there."""
        before = self.no_repeat_ngram - 1
        last = said[len(said) - before :]
        return [said[at + before] for at in range(len(said) - before) if said[at : at + before] == last]

    def _continuing(self, prefix: bytes, said: list[int]) -> list[int] | None:
        """The pieces that go on with ``prefix``; None once it is there."""
        spelled = b"".join(self._spellings[piece] or b"" for piece in said)
        if len(spelled) >= len(prefix):
            return None
        rest = prefix[len(spelled) :]
        # Those that begin with the rest stand side by side; those which it begins with are its own beginnings.
        first = bisect.bisect_left(self._sorted, (rest, 0))
        longer = []
        while first < len(self._sorted) and self._sorted[first][0].startswith(rest):
            longer.append(self._sorted[first][1])
            first += 1
        return longer + [piece for length in range(1, len(rest)) for piece in self._spelled_as(rest[:length])]

    def _spelled_as(self, spelling: bytes) -> list[int]:
        found = []
        first = bisect.bisect_left(self._sorted, (spelling, 0))
        while first < len(self._sorted) and self._sorted[first][0] == spelling:
            found.append(self._sorted[first][1])
            first += 1
        return found

    def _spelled(self, pieces: Pieces, prefix: str) -> bytes:
        """The prefix as pieces spell it: normalised, with a mark before each word."""
        ids = pieces.encode(prefix)
        if UNK in ids:
            known = set("".join(pieces.text_of(range(pieces.size))))
            unknown = [
                character for character in dict.fromkeys(prefix) if not character.isspace() and character not in known
            ]
            raise ConstraintError(
                f"the prefix {prefix!r} cannot be spelt with the model's pieces, which lack "
                f"{' '.join(unknown) or 'some of it'}; leave it out, or train with pieces.byte_fallback: true"
            )
        spelled = b"".join(self._spellings[piece] or b"" for piece in ids)
        return spelled + "▁".encode() if ids and prefix[-1].isspace() else spelled
