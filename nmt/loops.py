"""Translations that run in circles: "the dog the dog the dog the dog", the best known fault of a beam.

A translation loops where a few pieces stand again and again, side by side, more often than such a few do in the source.
"""

from __future__ import annotations

from collections.abc import Sequence

# Pieces that make a circle, at most.
_LONGEST = 8
# How often one piece may stand in a row ("no, no, no, no" has others between), and how often several.
_ALLOWED = {1: 4}
_ALLOWED_OF_SEVERAL = 2


def loops(source: Sequence[int], target: Sequence[int]) -> bool:
    """Whether the pieces ``target`` run in circles, and the pieces ``source`` that they translate do not."""
    if len(set(target)) * 4 > len(target) * 3:  # nearly all differ: no need to look
        return False
    return any(
        _in_a_row(target, size) > max(_ALLOWED.get(size, _ALLOWED_OF_SEVERAL), _longest_row(source))
        for size in range(1, _LONGEST + 1)
    )


def _longest_row(pieces: Sequence[int]) -> int:
    """How often the most repeated few pieces stand in a row: the source may be cut otherwise than its translation."""
    return max(_in_a_row(pieces, size) for size in range(1, _LONGEST + 1))


def _in_a_row(pieces: Sequence[int], size: int) -> int:
    """How often at most the same ``size`` pieces stand side by side."""
    most = row = 0  # of places in a row where a piece is that of ``size`` places before
    for place in range(size, len(pieces)):
        row = row + 1 if pieces[place] == pieces[place - size] else 0
        most = max(most, row)
    return 1 + most // size
