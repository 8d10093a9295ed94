"""Subtitles: SRT and WebVTT. A cue's text is translated as one and broken into as many lines, its timing is kept.

pysubs2 and the like read these into one form of their own, and write it without the notes, styles and settings of
cues that they do not know. A cue is what stands behind a line with ``-->``, up to a blank line: all else stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from nmt.formats.document import Part, Slot, Text, Wanted
from nmt.formats.lines import TextLines

_TIMES = re.compile(r"^\s*[\d:.,]+\s+-->\s+[\d:.,]+")
# <i>, </c>, <v Mary>, <00:01.000>, and the {\an8} of other formats;
_TAG = re.compile(r"<[\d:.]+>|</(?P<closes>[^<>\s.]*)[^<>]*>|<(?P<opens>[^<>\s.]*)[^<>]*>|\{\\[^{}]*\}")
_SPEAKER = re.compile(r"^\s*[-\u2013\u2014]\s?(?=\S)")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The subtitles: a slot for every cue.

    Raises:
        FormatError: bytes that are no text.
    """
    lines = TextLines(file, name)
    yield lines.mark
    cue: list[str] | None = None  # the lines of its text
    where = ""
    for line in lines:
        if cue is not None and line.strip():
            cue.append(line)
            continue
        if cue:
            yield from _filled(lines, cue, where)
        cue, where = ([], f"line {lines.number:,}") if _TIMES.match(line) else (None, "")
        yield lines.encoded(line)
    if cue:
        yield from _filled(lines, cue, where)


def _filled(lines: TextLines, cue: list[str], where: str) -> Iterator[Part]:
    """A slot for the sentences of a cue, one for each speaker where they have a line of their own."""
    speakers = [number for number, line in enumerate(cue) if _SPEAKER.match(line)]
    starts = [0, *(number for number in speakers if number)] if len(speakers) > 1 else [0]
    for start, end in zip(starts, [*starts[1:], len(cue)], strict=True):
        said = cue[start:end]
        dash = _SPEAKER.match(said[0]) if len(speakers) > 1 else None
        if dash:
            yield lines.encoded(dash[0])
            said = [said[0][dash.end() :], *said[1:]]
        yield Slot(where, (Text.marked(" ".join(line.strip() for line in said), _TAG),), _filling(lines, said))


def _filling(lines: TextLines, said: list[str]) -> Callable[[Sequence[Text]], bytes]:
    lengths = [len(Text.marked(line.strip(), _TAG).plain) for line in said]
    ends = [line[len(line.rstrip("\r\n")) :] for line in said]

    def fill(translations: Sequence[Text]) -> bytes:
        broken = [text.render() for text in translations[0].wrapped(lengths)]
        return lines.encoded(
            "".join(f"{text}{end}" for text, end in zip(broken[:-1], ends, strict=False)) + broken[-1] + ends[-1]
        )

    return fill
