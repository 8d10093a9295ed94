"""The lattice of a word: every way to write it in unigram pieces, and draws from them.

Kudo, "Subword Regularization", arXiv:1804.10959, section 3.3 with l = ∞. SentencePiece can do it too, but what it draws
cannot be had again: up to 0.2.2 a thread can be seeded only once, and 0.2.3 mixes something of its process into every
seed. Training is to go on exactly where it was stopped, so the draws are made here.
"""

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random

BLANK = "▁"

# Words; of 30,000 sentences all, of larger text those that come often. About 3 kB each: longer ones, such as sentences
# without blanks, hardly ever come again.
_REMEMBERED = 50_000
_LONGEST_REMEMBERED = 12  # pieces


class Sampler:
    """Draws segmentations x of a text X with probability ∝ P(x)^alpha; P(x) = ∏ p(x_i) (equation 1).

    Args:
        names: of all pieces, by their ids.
        scores: log p of each piece; None for one that stands for itself, like a byte or a symbol, and stays as it is.
        alpha: over 0; the smaller, the more alike are all segmentations.
    """

    def __init__(self, names: Sequence[str], scores: Sequence[float | None], alpha: float) -> None:
        self._names, self._alpha = names, alpha
        self._learnt = {name: (i, score) for i, (name, score) in enumerate(zip(names, scores, strict=True)) if score}
        self._longest = max(map(len, self._learnt))  # characters
        # No learnt piece goes on beyond a blank, as a rule: then a text's words are segmented each by itself.
        apart = not any(BLANK in name[1:] for name in self._learnt)
        self._fixed = [score is None for score in scores]
        self._opens = [fixed or (apart and n.startswith(BLANK)) for n, fixed in zip(names, self._fixed, strict=True)]
        self._lattice = lru_cache(_REMEMBERED)(self._build)

    def sample(self, ids: Sequence[int], seed: int) -> list[int]:
        """Another segmentation of the text that ``ids`` spell; a function of both arguments alone."""
        random = Random(seed).random
        drawn: list[int] = []
        first, count = 0, len(ids)
        for place in range(1, count + 1):
            if place == count or self._opens[ids[place]] or self._fixed[ids[place - 1]]:
                drawn += self._draw(tuple(ids[first:place]), random)
                first = place
        return drawn

    def _draw(self, word: tuple[int, ...], random: Callable[[], float]) -> Sequence[int]:
        """Backward sampling: the last piece of the word, the last one of what is before it, and so on."""
        if self._fixed[word[0]]:
            return word
        lattice = (self._lattice if len(word) <= _LONGEST_REMEMBERED else self._build)(word)
        drawn = []
        end = len(lattice) - 1
        while end:
            chances, pieces = lattice[end]
            piece, end = pieces[bisect(chances, random())]
            drawn.append(piece)
        drawn.reverse()
        return drawn

    def _build(self, word: tuple[int, ...]) -> list[tuple[list[float], list[tuple[int, int]]]]:
        """Forward filtering: the pieces that can end at each character of the word.

        Of each its id and where it begins, and beside them the chances that it is one of those before or itself (but
        for the last, which is 1).
        """
        text = "".join(self._names[piece] for piece in word)
        forward = [0.0]  # log of the sum of P^alpha over the segmentations of the first characters
        lattice: list[tuple[list[float], list[tuple[int, int]]]] = [([], [])]
        for end in range(1, len(text) + 1):
            pieces, logs = [], []
            for start in range(max(0, end - self._longest), end):
                learnt = self._learnt.get(text[start:end])
                if learnt and forward[start] > -math.inf:
                    pieces.append((learnt[0], start))
                    logs.append(forward[start] + self._alpha * learnt[1])
            highest = max(logs, default=-math.inf)
            sums = list(accumulate(math.exp(log - highest) for log in logs))
            forward.append(highest + math.log(sums[-1]) if sums else -math.inf)
            lattice.append(([part / sums[-1] for part in sums[:-1]], pieces))
        return lattice
