"""Documents in, the same documents out, with what is to be translated in them translated.

A document is read, translated and written piece by piece, so its size does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from nmt import marks
from nmt.formats.document import Part, Slot, Text
from nmt.translation import Translation

# Lines that are translated together, so that those of like length share a batch.
CHUNK = 1000
# What is held of a document in which there is little to translate.
_BYTES = 1 << 22


class Lines(Protocol):
    """What translates lines, as a translator does."""

    def __call__(self, lines: list[str], *, align: bool) -> list[Translation]: ...


def translated(
    parts: Iterable[Part],
    translate: Lines,
    tell: Callable[[str, str, Translation], object] = lambda where, line, found: None,
    most: int | None = None,
) -> Iterator[bytes]:
    """The document with every slot filled.

    What has no letters, such as a blank line or a number, is what it was. A text of several lines is translated line by
    line, and marks go where ``nmt.marks`` finds that they belong.

    Args:
        translate: translates lines; with ``align`` it also says which word comes from which.
        tell: is told of every line that was translated: where it stands, the line, and what became of it.
        most: texts that are translated together; None: ``CHUNK``.
    """
    for chunk in _chunks(parts, most or CHUNK):
        lines = [
            line
            for slot in chunk
            if isinstance(slot, Slot)
            for text in slot.texts
            for line in map(_without_end, text.lines())
            if _says_something(line)
        ]
        align = any(line.marks for line in lines)
        found = iter(translate([line.plain for line in lines], align=align) if lines else [])
        for part in chunk:
            if isinstance(part, bytes):
                yield part
                continue
            texts = []
            for text in part.texts:
                done = []
                for line in text.lines():
                    core = _without_end(line)
                    if _says_something(core):
                        one = next(found)
                        tell(part.where, core.plain, one)
                        end = Text(line.plain[len(core.plain) :])
                        line = Text.joined([_with_marks(core, one), end], "")
                    done.append(line)
                texts.append(Text.joined(done))
            yield part.fill(texts)


def _with_marks(line: Text, found: Translation) -> Text:
    text = re.sub(r"\r?\n", " ", found.text)  # as many lines as there were, whatever the engine says
    return marks.projected(line, text, found.alignment or ()) if line.marks else Text(text)


def _without_end(line: Text) -> Text:
    r"""The line without the ``\r`` of a text with such line ends, which no engine should see."""
    plain = line.plain.removesuffix("\r")
    return Text(plain, tuple(mark._replace(place=min(mark.place, len(plain))) for mark in line.marks))


def _says_something(line: Text) -> bool:
    return any(map(str.isalpha, line.plain))


def _chunks(parts: Iterable[Part], most: int) -> Iterator[list[Part]]:
    """The parts, as many at once as have ``most`` texts or ``_BYTES`` bytes, or a little more."""
    chunk: list[Part] = []
    texts = size = 0
    for part in parts:
        chunk.append(part)
        if isinstance(part, bytes):
            size += len(part)
        else:
            texts += len(part.texts)
        if texts >= most or size >= _BYTES:
            yield chunk
            chunk, texts, size = [], 0, 0
    yield chunk
