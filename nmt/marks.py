"""Where the marks of a source go in its translation: a tag around a word goes around what that word has become.

The translation is made of the text without marks, so no model needs to have learnt them; the attention tells which word
comes from which. None is ever lost, and what was nested in the source is so in the translation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nmt.formats.document import Mark, Text

Links = Sequence[tuple[int, int]]  # (source word, target word)


class _Node(NamedTuple):
    """A mark, or a pair of them with what stands between."""

    opening: Mark
    closing: Mark | None
    inside: list[_Node]


def projected(source: Text, target: str, links: Links) -> Text:
    """``target``, the translation of ``source``, with all of its marks.

    Args:
        links: the words of the translation and those that they come from; a word is what stands between blanks.
    """
    guide = _Guide(source.plain, target, links)
    found: list[tuple[Mark, int]] = []
    _place(_tree(source.marks), guide, 0, len(target), found)
    plain, marks, done = "", [], 0
    for mark, place in found:
        plain += target[done:place]
        done = place
        if guide.apart(mark) and plain[-1:].strip():
            plain += " "
        marks.append(mark._replace(place=len(plain)))
        if guide.apart(mark) and target[place : place + 1].strip():
            plain += " "
    return Text(plain + target[done:], tuple(marks))


class _Guide:
    """Which place of a translation a place of the source has become."""

    def __init__(self, source: str, target: str, links: Links) -> None:
        self._source, self._target = source, target
        self._words = [match.span() for match in re.finditer(r"\S+", source)]
        self._others = [match.span() for match in re.finditer(r"\S+", target)]
        self._links: dict[int, list[int]] = {}  # of each word of the source
        for word, other in links:
            if word < len(self._words) and other < len(self._others):
                self._links.setdefault(word, []).append(other)
        # Of a language without blanks, a whole sentence is one word: then a place is as far from the start as it was.
        self._unlinked = 3 * len(self._others) < len(self._words)

    def apart(self, mark: Mark) -> bool:
        """Whether a mark has a blank on either side."""
        around = self._source[max(0, mark.place - 1) : mark.place + 1]
        return len(around) == 2 and around.isspace()

    def alone(self, place: int) -> int:
        """Where a mark goes that stands before the character ``place``."""
        if edge := self._edge(place):
            return edge[0]
        follows = not self._source[place].isspace() or self._source[place - 1].isspace()
        return self.start(place) if follows else self.end(place)

    def start(self, place: int) -> int:
        """Where that goes which begins at ``place``: before the word there, or the next that has a translation."""
        if edge := self._edge(place):
            return edge[0]
        if self._unlinked:
            return round(place / len(self._source) * len(self._target))
        for word, (begin, end) in enumerate(self._words):
            if end > place and word in self._links:
                at = self._share(word, max(0, place - begin) / (end - begin), side=0)
                return at if self._source[place:begin].strip() else self._before(at, begin - place)
        return len(self._target.rstrip())

    def end(self, place: int) -> int:
        """Where that goes which ends at ``place``: behind the word there, or the last before it with a translation."""
        if edge := self._edge(place):
            return edge[0]
        if self._unlinked:
            return round(place / len(self._source) * len(self._target))
        for word, (begin, end) in reversed(list(enumerate(self._words))):
            if begin < place and word in self._links:
                at = self._share(word, min(1, (place - begin) / (end - begin)), side=1)
                return at if self._source[end:place].strip() else self._behind(at, place - end)
        return len(self._target) - len(self._target.lstrip())

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """What the characters from ``begin`` to ``end`` have become."""
        words = [word for word, span in enumerate(self._words) if span[0] < end and span[1] > begin]
        others = [other for word in words for other in self._links.get(word, ())]
        if self._unlinked or not others:
            start = self.start(begin)
            return start, max(start, self.end(end))
        first, last = min(others), max(others)
        (word, _), (_, behind) = self._words[words[0]], self._words[words[-1]]
        start = self.start(begin) if begin > word else self._before(self._others[first][0], word - begin)
        stop = self.end(end) if end < behind else self._behind(self._others[last][1], end - behind)
        return min(start, stop), stop

    def _before(self, place: int, blanks: int) -> int:
        """What stands so many blanks before ``place``, or as many as there are."""
        return place - min(max(0, blanks), place - len(self._target[:place].rstrip()))

    def _behind(self, place: int, blanks: int) -> int:
        rest = self._target[place:]
        return place + min(max(0, blanks), len(rest) - len(rest.lstrip()))

    def _edge(self, place: int) -> tuple[int] | None:
        """The start and the end of the one are those of the other."""
        if not self._source[:place].strip():
            return (min(place, len(self._target) - len(self._target.lstrip())),)
        if not self._source[place:].strip():
            return (max(len(self._target.rstrip()), len(self._target) - (len(self._source) - place)),)
        return None

    def _share(self, word: int, share: float, side: int) -> int:
        """Where the first ``share`` of a word ends in what it has become; with several words there, between two."""
        others = [self._others[other] for other in sorted(self._links[word])]
        first, last = others[0][0], others[-1][1]
        place = round(first + share * (last - first))
        return min((other[side] for other in others), key=lambda end: abs(end - place)) if len(others) > 1 else place


def _tree(marks: Sequence[Mark]) -> list[_Node]:
    """Marks as they are nested; one whose partner is missing, or nested otherwise, stands alone."""
    here: list[_Node] = []
    opened: list[tuple[Mark, list[_Node]]] = []  # and what stands before it
    for mark in marks:
        if mark.opens:
            opened.append((mark, here))
            here = []
            continue
        while opened and any(opening.pair == mark.pair for opening, _ in opened):
            opening, before = opened.pop()
            if opening.pair == mark.pair:
                here = [*before, _Node(opening, mark, here)]
                break
            here = [*before, _Node(opening, None, []), *here]
        else:
            here.append(_Node(mark, None, []))
    while opened:
        opening, before = opened.pop()
        here = [*before, _Node(opening, None, []), *here]
    return here


def _place(nodes: list[_Node], guide: _Guide, low: int, high: int, found: list[tuple[Mark, int]]) -> None:
    """Add all marks of ``nodes`` to ``found``, in the order of their places, which lie from ``low`` to ``high``."""
    spans = []
    for number, node in enumerate(nodes):
        place = node.opening.place
        if node.closing is None:
            begin = end = guide.alone(place)
        else:
            begin, end = guide.span(place, node.closing.place)
        spans.append((min(max(begin, low), high), min(max(end, low), high), number))
    for begin, end, number in sorted(spans, key=lambda span: (span[0], span[2])):
        node = nodes[number]
        begin = max(begin, low)
        end = max(end, begin)
        found.append((node.opening, begin))
        if node.closing is not None:
            _place(node.inside, guide, begin, end, found)
            found.append((node.closing, end))
        low = end
