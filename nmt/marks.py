"""Marks: what must be in a translation as it is in the source, such as ``%s``, ``{name}``, an address or a tag.

A model that has learnt them may say them itself, and then nothing is done. Where one is lost, and of the tags of
documents always, the text is translated without its marks, and they go where the attention tells that they belong: a
tag around a word goes around what that word has become. None is ever lost, and what was nested in the source is so in
the translation. Numbers may be written otherwise in another language: they stay, and a missing one is told.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from nmt.formats.document import Mark, Text

# Addresses are of ASCII, so that languages without blanks and quotation marks end them.
_URL = r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*[A-Za-z0-9_~/#@$&*+=%-]"
# Its groups ``opens`` and ``closes`` hold the name of a tag.
PATTERN = re.compile(
    rf"(?:https?|ftp)://{_URL}|(?<![A-Za-z0-9.])www\.{_URL}"
    r"|(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|\$?\{\{[^{}]*\}\}|\$\{[^{}\s]*\}"  # {{ name }}, ${name}
    r"|\{(?:[A-Za-z_][\w.\[\]]*|\d*)(?:![rsa])?(?::[^{}\s]*)?\}"  # {}, {0:.2f}, {name!r}
    r"|%\([^()\s]+\)[-+#0]*\d*(?:\.\d+)?[diouxXeEfFgGcsra]"  # Python's %(name)s
    # C's, and %prog; but not what follows a number, as in 50 %, unless it is a unit.
    r"|(?<![\w%])(?<!\d\s)%(?:\d+\$)?[-+#0']*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh?|ll?|[zjtLq])?[diouxXeEfFgGcsprn@]"
    r"(?!\w)(?!-\w)"
    r"|(?<![\w%])(?<!\d\s)%[dsu](?=s\b|ms\b|px\b|[kMGT]?B\b|-bit\b)"
    r"|(?<![\w%])(?<!\d\s)%[A-Za-z_]\w{2,}"
    r"|</(?P<closes>[A-Za-z][\w:.-]*)\s*>"
    r"|<(?!unk>)(?P<opens>[A-Za-z][\w:.-]*)(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))*\s*(?P<alone>/)?>"
)
# Without one of these there is no mark: a first look, as most lines have none.
_SIGN = re.compile(r"[%{<@]|://|www\.")
_NUMBER = re.compile(r"\d+(?:[.,:\u00a0\u202f']\d+| \d{3}(?!\d))*")
_DIGIT = re.compile(r"\d")
# Pairs within pairs; what is nested deeper stands alone.
_DEEPEST = 100
_PUNCTUATION = frozenset(",.;:!?)")

Links = Sequence[tuple[int, int]]  # (source word, target word)


class _Node(NamedTuple):
    """A mark, or a pair of them with what stands between."""

    opening: Mark
    closing: Mark | None
    inside: list[_Node]


def found(line: str, but: re.Pattern[str]) -> Text:
    """``line`` with its marks; one between a blank and punctuation takes that blank along, as a word does.

    Args:
        but: what looks like a mark and is none.
    """
    text = Text.marked(line, PATTERN)
    plain, marks, taken = text.plain, [], 0
    for mark in text.marks:
        if but.match(mark.code):
            plain = plain[: mark.place - taken] + mark.code + plain[mark.place - taken :]
            taken -= len(mark.code)
            continue
        place = mark.place - taken
        if plain[place - 1 : place] == " " and plain[place:].lstrip(" ")[:1] in _PUNCTUATION and mark.pair is None:
            plain = plain[: place - 1] + plain[place:]
            place, taken = place - 1, taken + 1
            mark = mark._replace(code=f" {mark.code}")
        marks.append(mark._replace(place=place))
    return Text(plain, tuple(marks))


def kept(source: str, target: str) -> bool:
    """Whether ``target`` has the marks of ``source``, as often as there, with tags in pairs wherever they are.

    One more "%s" would be as bad as one less. A source without marks asks for nothing.
    """
    codes = _codes(source) if _SIGN.search(source) else None
    return not codes or (codes == _codes(target) and _paired(source) == _paired(target))


def renumbered(links: Links, source: Text, target: Text) -> tuple[tuple[int, int], ...]:
    """``links`` between words of plain texts as links between those of the texts with their marks."""
    numbers = _numbers_with_marks(source), _numbers_with_marks(target)
    return tuple((numbers[0][word], numbers[1][other]) for word, other in links)


def missing_number(source: str, target: str) -> bool:
    """Whether ``target`` lacks a number of two digits or more; what stands between those may differ.

    One digit is often said as a word.
    """
    return bool(_DIGIT.search(source) and _numbers(source) - _numbers(target))


def _numbers_with_marks(text: Text) -> list[int]:
    """Of each word of the plain text, its number among the words of the text with its marks."""
    ends = [match.end() for match in re.finditer(r"\S+", text.render())]
    starts = [match.start() for match in re.finditer(r"\S+", text.plain)]
    before = [sum(len(mark.code) for mark in text.marks if mark.place <= start) for start in starts]
    return [bisect(ends, start + shift) for start, shift in zip(starts, before, strict=True)]


def _paired(line: str) -> int:
    """How many tags have a partner."""
    return sum(mark.pair is not None for mark in Text.marked(line, PATTERN).marks)


def _codes(line: str) -> Counter[str]:
    return Counter(match[0] for match in PATTERN.finditer(line))


def _numbers(line: str) -> Counter[str]:
    found = (re.sub(r"\D", "", match[0]) for match in _NUMBER.finditer(PATTERN.sub(" ", line)))
    numbers = ("".join(str(unicodedata.digit(digit)) for digit in number) for number in found)  # of any script
    return Counter(number for number in numbers if len(number) > 1)


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
        apart = guide.apart(mark)
        plain += " " * (apart and plain[-1:].strip() != "")
        marks.append(mark._replace(place=len(plain)))
        plain += " " * (apart and target[place : place + 1].strip() != "")
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
        if mark.opens and len(opened) < _DEEPEST:
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
