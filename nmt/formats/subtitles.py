"""Subtitles: SRT and WebVTT. A cue's text is translated as one and broken into as many lines, its timing is kept.

pysubs2 and the like read these into one form of their own, and write it without the notes, styles and settings of
cues that they do not know. A cue is what stands behind a line with ``-->``, up to a blank line: all else stays.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import IO

from nmt.formats.document import Part, Slot, Text, Wanted
from nmt.formats.lines import TextLines

_TIMES = re.compile(r"^\s*-?\d[\d:., ]*-->\s*-?\d[\d:.,]*")
# <i>, </c>, <v Mary>, <00:01.000>, and the {\an8} of other formats;
_TAG = re.compile(r"<[\d:.]+>|</(?P<closes>[^<>\s.]*)[^<>]*>|<(?P<opens>[^<>\s.]*)[^<>]*>|\{\\[^{}]*\}")
_SPEAKER = re.compile(r"^\s*[-\u2013\u2014]\s?(?=\S)")
# A file may have the line ends of old Macs, too; what writes two of them before the feed means one end.
_LINE = re.compile(r"[^\r\n]*(?:\r*\n|\r)|[^\r\n]+")


class _Subtitles:
    """What differs between the two formats."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._lines = TextLines(file, name)
        self.mark, self.encoded = self._lines.mark, self._lines.encoded
        self.web = False  # WebVTT

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """The lines and their numbers."""
        number = 0
        for line in self._lines:
            for match in _LINE.finditer(line):
                number += 1
                if number == 1:
                    self.web = match[0].startswith("WEBVTT")
                yield number, match[0]

    def read(self, text: str) -> str:
        return html.unescape(text) if self.web else text

    def written(self, text: str) -> str:
        """Text that is neither a tag nor the arrow of a cue's times."""
        if self.web:
            return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return text.replace("-->", "-- >")  # there are no escapes

    def is_blank(self, line: str) -> bool:
        """Whether a cue ends there; in WebVTT blanks are text, and those that do not break are in both."""
        return not line.strip("\r\n" if self.web else " \t\r\n")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The subtitles: a slot for every cue.

    Raises:
        FormatError: bytes that are no text.
    """
    lines = _Subtitles(file, name)
    yield lines.mark
    cue: list[str] | None = None  # the lines of its text
    where = ""
    for number, line in lines:
        times = _TIMES.match(line)
        ends = times or lines.is_blank(line) or (lines.web and "-->" in line)  # in SRT an arrow may be text
        if cue is not None and not ends:
            cue.append(line)
            continue
        # Without a blank line between two cues, the last line is the name of the second if it is a number.
        following = cue.pop() if cue and times and cue[-1].strip().isdigit() else ""
        if cue:
            yield _slot(lines, cue, where)
        yield lines.encoded(following + line)
        cue, where = ([], f"line {number:,}") if times else (None, "")
    if cue:
        yield _slot(lines, cue, where)


def _slot(lines: _Subtitles, cue: list[str], where: str) -> Slot:
    """A slot for what is said in a cue, by each speaker where they have a line of their own."""
    speakers = [number for number, line in enumerate(cue) if _SPEAKER.match(line)]
    starts = [0, *(number for number in speakers if number)] if len(speakers) > 1 else [0]
    turns = []
    for start, end in zip(starts, [*starts[1:], len(cue)], strict=True):
        dash = _SPEAKER.match(cue[start]) if len(speakers) > 1 else None
        place = dash.end() if dash else 0
        turns.append(_Turn(lines, cue[start][:place], [cue[start][place:], *cue[start + 1 : end]]))

    def fill(translations: Sequence[Text]) -> bytes:
        written = "".join(turn.filled(text) for turn, text in zip(turns, translations, strict=True))
        return lines.encoded(written or turns[-1].ends[-1])

    return Slot(where, tuple(turn.text for turn in turns), fill)


class _Turn:
    """What one says."""

    def __init__(self, lines: _Subtitles, dash: str, said: list[str]) -> None:
        self._lines, self._dash, self._said = lines, dash, said
        self.text = Text.marked(" ".join(line.strip() for line in said), _TAG, lines.read)
        self.ends = [line[len(line.rstrip("\r\n")) :] for line in said]

    def filled(self, translation: Text) -> str:
        """The lines of ``translation``, none of which is blank, as that would end the cue."""
        if translation == self.text:
            return self._dash + "".join(self._said)  # with its own blanks and escapes
        lengths = [len(Text.marked(line.strip(), _TAG, self._lines.read).plain) for line in self._said]
        broken = [line.render(self._lines.written) for line in translation.flat().wrapped(lengths)]
        broken = [line for line in broken if line.strip()]
        if not self._dash and not broken:
            return ""
        ends = [*self.ends[: len(broken) - 1], self.ends[-1]] if len(broken) > 1 else self.ends[-1:]
        return self._dash + "".join(line + end for line, end in zip(broken or [""], ends, strict=True))
