"""What a document is made of: bytes that stay as they are, and slots that translations fill.

Only what a translation fills is ever written anew, so structure, ids, comments, timing and line ends are those of the
document, byte by byte, whatever they are.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import NamedTuple


class FormatError(ValueError):
    """A document that cannot be read or filled; the message says where, why and what to do."""


class Mark(NamedTuple):
    """Markup inside a text, such as ``<b>`` or ``<ph id="1"/>``: it is kept, not translated."""

    place: int  # it stands before this character of the text, counted without marks
    code: str  # as it stands in the document
    pair: str | None = None  # what the two marks share that open and close something; None: it stands alone
    opens: bool = False  # of a pair the first one


class Text(NamedTuple):
    """What is to be translated, or a translation."""

    plain: str
    marks: tuple[Mark, ...] = ()  # in order

    def render(self, escape: Callable[[str], str] = str) -> str:
        """The text with its marks, as it stands in the document; ``escape`` is for what stands between them."""
        parts, done = [], 0
        for mark in self.marks:
            parts += [escape(self.plain[done : mark.place]), mark.code]
            done = mark.place
        return "".join([*parts, escape(self.plain[done:])])

    def lines(self) -> list[Text]:
        r"""The text cut at every ``\n``; a mark that stands there ends its line."""
        lines, start = [], 0
        marks = list(self.marks)
        for plain in self.plain.split("\n"):
            end = start + len(plain)
            mine = [mark for mark in marks if mark.place <= end]
            del marks[: len(mine)]
            lines.append(Text(plain, tuple(mark._replace(place=mark.place - start) for mark in mine)))
            start = end + 1
        return lines

    def cut(self, places: Sequence[tuple[int, int]]) -> list[Text]:
        """The text in pieces; each place is a character and a mark, by their numbers, that a piece begins with."""
        ends = [(0, 0), *places, (len(self.plain), len(self.marks))]
        return [
            Text(
                self.plain[start:end],
                tuple(mark._replace(place=mark.place - start) for mark in self.marks[first:last]),
            )
            for (start, first), (end, last) in pairwise(ends)
        ]

    @classmethod
    def joined(cls, texts: Sequence[Text], between: str = "\n") -> Text:
        """``texts`` as one, with ``between`` between them."""
        plain, marks = "", []
        for number, text in enumerate(texts):
            plain += between if number else ""
            marks += [mark._replace(place=mark.place + len(plain)) for mark in text.marks]
            plain += text.plain
        return cls(plain, tuple(marks))

    @classmethod
    def marked(cls, content: str, pattern: re.Pattern[str], read: Callable[[str], str] = str) -> Text:
        """``content`` with all that ``pattern`` finds as marks; ``read`` undoes the escapes of what stands between.

        Its groups tell what a mark is: ``opens`` and ``closes`` hold what a pair shares, ``both`` what may do either,
        ``opens_x`` and ``closes_x`` share the x. Without any of them, or with ``alone``, a mark stands alone, as does
        one without partner.
        """
        plain, done = "", 0
        marks: list[Mark] = []
        opened: list[tuple[str, int]] = []  # what is shared, and the number of the mark
        for match in pattern.finditer(content):
            plain += read(content[done : match.start()])
            done = match.end()
            marks.append(Mark(len(plain), match[0]))
            kind, name = _kind(match)
            partner = next((pair for pair in reversed(opened) if kind != "opens" and pair[0] == name), None)
            if partner is not None:
                del opened[opened.index(partner) :]
                pair = f"{name} {partner[1]}"
                marks[partner[1]] = marks[partner[1]]._replace(pair=pair, opens=True)
                marks[-1] = marks[-1]._replace(pair=pair)
            elif kind in ("opens", "both"):
                opened.append((name, len(marks) - 1))
        return cls(plain + read(content[done:]), tuple(marks))

    def flat(self) -> Text:
        """The text in one line, with single blanks and none around it; blanks that do not break are letters here."""
        plain, done = "", 0
        marks: list[Mark] = []
        for mark in [*self.marks, Mark(len(self.plain), "")]:
            inner = re.sub(r"[ \t-\r\x1c-\x1f\x85\u2028\u2029]+", " ", self.plain[done : mark.place])
            plain += inner if marks else inner.lstrip(" ")
            done = mark.place
            marks.append(mark._replace(place=len(plain)))
        last = marks[-2].place if self.marks else 0
        return Text(plain[:last] + plain[last:].rstrip(" "), tuple(marks[:-1]))

    def wrapped(self, lengths: Sequence[int]) -> list[Text]:
        """The text broken at blanks into at most as many lines as ``lengths``, which share it as those numbers tell.

        None of them is empty, unless the text is.
        """
        marked = {mark.place for mark in self.marks}
        letters = {place for place, character in enumerate(self.plain) if character != " "}
        blanks = [
            match.start()
            for match in re.finditer(" ", self.plain)
            if (match.start() - 1 in letters or match.start() in marked) and match.end() in letters | marked
        ]
        scale = (len(self.plain) + 1) / (sum(lengths) + len(lengths))  # with each line a blank
        places: set[int] = set()
        done = taken = 0
        for length in lengths[:-1]:
            done += length + 1
            near = max(taken, bisect(blanks, done * scale - 1))
            nearest = min(
                (place for place in (near - 1, near) if taken <= place < len(blanks)),
                default=None,
                key=(lambda place: abs(blanks[place] + 1 - done * scale)),
            )
            if nearest is not None:
                places.add(blanks[nearest])
                taken = nearest + 1
        broken = "".join("\n" if place in places else character for place, character in enumerate(self.plain))
        return self._replace(plain=broken).lines()


def _kind(match: re.Match[str]) -> tuple[str, str]:
    """What a mark does, and what it shares with its partner."""
    groups = match.groupdict()
    if groups.get("alone"):
        return "", ""
    for key, content in groups.items():
        kind, _, name = key.partition("_")
        if content is not None and kind in ("opens", "closes", "both"):
            return kind, name or content
    return "", ""


class Pair(NamedTuple):
    """A text and its translation."""

    source: str
    target: str
    line: int  # of the document, from 1, where the unit begins that has both


class Slot(NamedTuple):
    """A place for translations."""

    where: str  # in the document, for messages: "line 12"
    texts: tuple[Text, ...]  # to be translated
    fill: Callable[[Sequence[Text]], bytes]  # the content of the place, from a translation for each of ``texts``


Part = bytes | Slot


class Wanted(NamedTuple):
    """What is wanted of a document."""

    source: str  # language codes, such as en and pt-BR
    target: str
    columns: tuple[str, str] | None = None  # of a table and the like: names, or numbers from 1; None: by the languages
    again: bool = False  # to fill what has been filled already, too
    salvage: bool = False  # of a broken document to learn from what comes before that place


def speaks(code: str, wanted: str) -> bool:
    """Whether text that is marked with ``code`` is of the language ``wanted``.

    It is where they are equal, or where one of them names a region (or a script) and the other does not.
    """
    codes = [re.split("[-_@.]", name.lower()) for name in (code, wanted)]
    return codes[0] == codes[1] or (codes[0][0] == codes[1][0] and min(map(len, codes)) == 1)


def not_there(name: str, wanted: str, known: Sequence[str]) -> FormatError:
    """The error for a document that has no text of the language ``wanted``, but of those ``known``."""
    if not known:
        return FormatError(f"{name} has no text at all; expected some of the language {wanted}")
    base = re.split("[-_@.]", wanted.lower())[0]
    nearest = [code for code in known if code.lower().startswith(base)] or get_close_matches(wanted, known, 1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return FormatError(f"{name} has no text of the language {wanted}, but of {', '.join(sorted(known))}{hint}")


def edited(take: Callable[[int], bytes], edits: Iterable[tuple[int, int, Part]], end: int) -> Iterator[Part]:
    """The document up to byte ``end`` with ``edits``, each of which replaces the bytes from its start to its end.

    Args:
        take: gives the bytes up to a place that have not been taken yet.
    """
    for start, stop, part in sorted(edits, key=lambda edit: edit[:2]):
        yield take(start)
        take(stop)
        yield part
    yield take(end)
