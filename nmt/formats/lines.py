"""Text files as lines that keep what ends them, with their byte-order mark, for formats that are made of lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO

from nmt.formats.document import FormatError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),  # what spreadsheets call Unicode text
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextLines(Iterator[str]):
    r"""The lines of a file in UTF-8, or in UTF-16 with a byte-order mark; each ends with its own ``\n`` or ``\r\n``.

    Raises:
        FormatError: bytes that are no text in that encoding.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self.number = name, 0  # of the line read last
        start = file.read(4)
        found = [(mark, encoding) for mark, encoding in _MARKS if start.startswith(mark)]
        self.mark, self.encoding = found[0] if found else (b"", "utf-8")
        self._lines = self._decoded(file, start[len(self.mark) :])

    def __next__(self) -> str:
        self.number += 1
        return next(self._lines)

    def encoded(self, content: str) -> bytes:
        return content.encode(self.encoding, "replace")

    def _decoded(self, file: IO[bytes], start: bytes) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        held = ""
        chunk: bytes | None = start
        while chunk is not None:
            following = file.read(1 << 18) or None
            try:
                held += decoder.decode(chunk, final=following is None)
            except UnicodeDecodeError as error:
                line = self.number + held.count("\n") + error.object[: error.start].count(b"\n") + 1
                raise FormatError(
                    f"{self.name}, line {line:,}: byte 0x{error.object[error.start]:02x} is not valid {self.encoding}; "
                    "convert the file, e.g. `iconv -f LATIN1 -t UTF-8`"
                ) from None
            *whole, held = held.split("\n")
            yield from (f"{line}\n" for line in whole)
            chunk = following
        if held:
            yield held
