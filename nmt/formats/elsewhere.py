"""Documents that another program has open, too, or writes while they are read."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from nmt.formats.document import FormatError

logger = logging.getLogger("nmt")

_Piece = TypeVar("_Piece")


class ChangedError(FormatError):
    """A document of which one half may be older than the other."""


def lock(path: str | Path) -> Path | None:
    """The file by which LibreOffice says that it has the document at ``path`` open; None if it does not."""
    beside = Path(path).with_name(f".~lock.{Path(path).name}#")
    return beside if beside.exists() else None


def watched(pieces: Iterable[_Piece], file: IO[bytes], path: str | Path) -> Iterator[_Piece]:
    """``pieces``, which are read from ``file``; where the document is open elsewhere, that is told.

    Raises:
        ChangedError: behind the last piece, if the file is not what it was before the first.
    """
    if beside := lock(path):
        logger.warning("%s is open in LibreOffice (%s): what has not been saved there is not read", path, beside.name)
    before = _state(file)
    yield from pieces
    if _state(file) != before:
        raise ChangedError(f"{path} has been changed while it was read; expected it to stay: run the command again")


def _state(file: IO[bytes]) -> tuple[int, int]:
    """What tells whether a file was written to; of one that is replaced by another, what was opened stays."""
    state = os.fstat(file.fileno())
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else (0, 0)  # a pipe always is
