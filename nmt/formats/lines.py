"""Text files as lines that keep what ends them, with their byte-order mark, for formats that are made of lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO

from nmt.formats.document import FormatError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # it begins as UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),  # what spreadsheets call Unicode text
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Read at once.
_BYTES = 1 << 18


class TextLines(Iterator[str]):
    r"""The lines of a file, each with its own ``\n`` or ``\r\n``: in UTF-8, or what its byte-order mark says.

    Raises:
        FormatError: bytes that are no text in that encoding.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self.number = name, 0  # of the line read last
        start = file.read(4)
        found = [(mark, encoding) for mark, encoding in _MARKS if start.startswith(mark)]
        self.mark, self.encoding = found[0] if found else (b"", "utf-8")
        if not found and b"\0\0" in (start[::2], start[1::2]):
            raise FormatError(
                f"{name}, line 1: byte 0x00 is of no text in utf-8, but of UTF-16 without a byte-order mark; convert "
                "the file, e.g. `iconv -f UTF-16LE -t UTF-8`"
            )
        self._lines = self._decoded(file, start[len(self.mark) :])

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def encoded(self, content: str) -> bytes:
        return content.encode(self.encoding, "replace")

    def _decoded(self, file: IO[bytes], start: bytes) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        held = ""
        chunk: bytes | None = start
        while chunk is not None:
            following = file.read(_BYTES) or None
            try:
                held += decoder.decode(chunk, final=following is None)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(self.encoding)
                raise FormatError(
                    f"{self.name}, line {self.number + before.count(chr(10)) + 1:,}: byte "
                    f"0x{error.object[error.start]:02x} is not valid {self.encoding}; convert the file, e.g. "
                    "`iconv -f LATIN1 -t UTF-8`"
                ) from None
            *whole, held = held.split("\n")
            yield from (f"{line}\n" for line in whole)
            chunk = following
        if held:
            yield held
