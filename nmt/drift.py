"""Where two files of aligned lines drift apart, by how many lines, and where they find together again.

A line that is missing on one side shifts all that follow. Shifts are the states of a hidden Markov model: under shift
s source line i goes with target line i + s, which costs the more, the more their lengths differ (Gale and Church, 1993)
and the fewer anchors they share: numbers, question marks, brackets, quotation marks. To change the shift costs as much
as several lines that do not match, and Viterbi's algorithm finds the cheapest course, first over blocks of lines, and
then around each change over single ones. ``tests/bench/drift.py`` tells how far off it is on real text.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# Shifts of at most so many lines are looked for, and as many more as one file has more lines than the other.
_FARTHEST = 20
_MOST = 500
_BLOCK, _MOST_BLOCKS = 50, 20_000  # lines of a block, and of long texts so many of them
# Costs: of a change of shift, of a line without a partner, of an anchor on one side alone; the most of all together.
_CHANGE, _ALONE, _ANCHOR, _WORST = 15.0, 4.0, 1.5, 10.0

_NUMBER = re.compile(r"\d+")
_NUMBERS = 48  # bits for numbers; those of other anchors follow
_ANCHORS = ("?？؟", "!！", ":：", ";；؛", "(（[", '"„“”«»「『')


class Drift(NamedTuple):
    """From source line ``line`` on, numbered from 0, the target's are ``shift`` lines later; before it ``before``."""

    line: int
    before: int
    shift: int

    def __str__(self) -> str:
        lines = abs(self.shift - self.before)
        side, other = ("target", "source") if self.shift < self.before else ("source", "target")
        amount = "1 line is" if lines == 1 else f"{lines} lines are"
        return f"near line {self.line + 1:,} {amount} missing in the {side}, or too many in the {other}"


class Features(NamedTuple):
    """What of each line is compared."""

    length: np.ndarray  # log of the characters, float32 [N]
    anchors: np.ndarray  # a bit each, uint64 [N]

    @classmethod
    def of(cls, lines: Iterable[str], count: int) -> Features:
        """Of ``count`` lines."""
        length, anchors = np.empty(count, "float32"), np.empty(count, "uint64")
        for number, line in enumerate(lines):
            length[number], anchors[number] = math.log(len(line) + 1), _anchors(line)
        return cls(length, anchors)


def drifts(source: Features, target: Features) -> list[Drift]:
    """Every place where the shift changes, in order; none where the files are aligned throughout."""
    lines, others = len(source.length), len(target.length)
    if not lines or not others:
        return []
    # One language may be wordier: only what differs from that tells.
    source = source._replace(length=source.length - np.median(source.length) + np.median(target.length))
    together = min(lines, others)
    spread = max(0.05, float(np.median(np.abs(source.length[:together] - target.length[:together]))))
    farthest = min(_MOST, _FARTHEST + abs(lines - others))
    shifts = range(-farthest, farthest + 1)
    size = max(_BLOCK, -(-lines // _MOST_BLOCKS))
    blocks = -(-lines // size)
    costs = np.zeros((len(shifts), blocks), "float32")
    for number, shift in enumerate(shifts):
        padded = np.zeros(blocks * size, "float32")
        padded[:lines] = _costs(source, target, shift, spread, 0, lines)
        costs[number] = padded.reshape(blocks, size).sum(1)
    found, before = [], 0
    path = [shifts[number] for number in _cheapest(costs, start=shifts.index(0))]
    for block, shift in enumerate(path):
        if shift != before:
            first, last = max(0, (block - 2) * size), min(lines, (block + 2) * size)
            stay, go = (_costs(source, target, one, spread, first, last) for one in (before, shift))
            split = np.concatenate([[0], np.cumsum(stay - go)]).argmin()
            found.append(Drift(first + int(split), before, shift))
            before = shift
    return _merged(found)


def _merged(found: list[Drift]) -> list[Drift]:
    """Changes that stand as near to each other as lines are missing, as one: lines without a partner suit any shift."""
    merged: list[Drift] = []
    for one in found:
        last = merged[-1] if merged else None
        if last and one.line - last.line <= max(_BLOCK, abs(one.shift - last.before)):
            merged[-1] = last._replace(shift=one.shift)
        else:
            merged.append(one)
        if merged[-1].before == merged[-1].shift:
            merged.pop()
    return merged


def _anchors(line: str) -> int:
    bits = 0
    for number in _NUMBER.findall(line):
        bits |= 1 << zlib.crc32(number.encode()) % _NUMBERS
    for place, characters in enumerate(_ANCHORS, _NUMBERS):
        bits |= any(character in line for character in characters) << place
    return bits


def _costs(source: Features, target: Features, shift: int, spread: float, first: int, last: int) -> np.ndarray:
    """What it costs each source line from ``first`` to ``last`` to go with the target line ``shift`` later."""
    costs = np.full(last - first, _ALONE, "float32")
    begin, end = max(first, -shift), min(last, len(target.length) - shift)
    if begin < end:
        mine, theirs = slice(begin, end), slice(begin + shift, end + shift)
        length = np.abs(source.length[mine] - target.length[theirs]) / spread
        anchors = np.bitwise_count(source.anchors[mine] ^ target.anchors[theirs])
        costs[begin - first : end - first] = np.minimum(np.minimum(length, _ALONE) + _ANCHOR * anchors, _WORST)
    return costs


def _cheapest(costs: np.ndarray, start: int) -> list[int]:
    """The cheapest course through ``costs`` [states, times], by Viterbi's algorithm, from the state ``start``."""
    states = np.arange(len(costs))
    total = costs[:, 0].astype("float64") + _CHANGE * (states != start)
    came = np.zeros(costs.shape, "int16")
    for time in range(1, costs.shape[1]):
        best = int(total.argmin())
        stays = total <= total[best] + _CHANGE
        came[:, time] = np.where(stays, states, best)
        total = np.where(stays, total, total[best] + _CHANGE) + costs[:, time]
    path = [int(total.argmin())]
    for time in range(costs.shape[1] - 1, 0, -1):
        path.append(int(came[path[-1], time]))
    return path[::-1]
