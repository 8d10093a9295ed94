"""Which word of the source a word of the translation comes from, as the attention tells.

Words are what blanks separate, in a line as the pieces have normalised it; a piece that begins with "▁" begins one. A
soft alignment is the attention of whole words. A hard one names for every word of the translation the source word that
it looked at most, and is written in the form of Pharaoh: ``0-0 1-2`` says that the first target word comes from the
first of the source, and the third from the second (source first, as fast_align and eflomal write it).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WORD = "▁"  # what begins a word
UNKNOWN = "▁⁇▁"  # an unknown piece of a translation, as it is said: a word of its own


def words(pieces: Sequence[str]) -> list[str]:
    """The words that pieces spell."""
    return [word for word in "".join(pieces).split(WORD) if word]


def soft(source: Sequence[str], target: Sequence[str], attention: np.ndarray) -> np.ndarray:
    """The attention that each word of the translation paid to each word of the source.

    Args:
        source, target: the pieces of S and T, without the end of the sentence.
        attention: [T or more, S or more], of each target piece over the source pieces; what is behind is left out.

    Returns:
        [target words, source words], every row with the sum 1: the mean of a word's pieces, of which what they paid to
        the end of the source is taken away.
    """
    of_source, of_target = _word_of_piece(source), _word_of_piece(target)
    table = np.zeros((max(of_target, default=-1) + 1, max(of_source, default=-1) + 1))
    for piece, word in enumerate(of_target):
        if word >= 0:
            for place, other in enumerate(of_source):
                if other >= 0:
                    table[word, other] += attention[piece, place]
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-30)


def mean_of_words(pieces: Sequence[str], values: np.ndarray) -> np.ndarray:
    """For each word the mean of the ``values`` [T or more] of its pieces."""
    of_word = np.array(_word_of_piece(pieces), int)
    inside = of_word >= 0
    sums, counts = (np.bincount(of_word[inside], weights) for weights in (values[: len(pieces)][inside], None))
    return sums / counts


def hard(table: np.ndarray) -> list[tuple[int, int]]:
    """For each target word the source word of a ``soft`` alignment that it looked at most: (source, target)."""
    return [(int(row.argmax()), number) for number, row in enumerate(table)] if table.size else []


def pharaoh(links: Sequence[tuple[int, int]]) -> str:
    """``0-0 1-2``: links as Pharaoh wrote them."""
    return " ".join(f"{source}-{target}" for source, target in links)


def _word_of_piece(pieces: Sequence[str]) -> list[int]:
    """The number of the word that each piece is of, -1 for a piece that is a blank alone and nothing follows it."""
    numbers, word, open_word = [], -1, False
    for piece in pieces:
        if piece.startswith(WORD):
            open_word = False
        if piece.strip(WORD):
            if not open_word:
                word, open_word = word + 1, True
            numbers.append(word)
            open_word = not piece.endswith(WORD)
        else:
            numbers.append(word + 1)  # a blank alone belongs to what it begins
    return [number if number <= word else -1 for number in numbers]
