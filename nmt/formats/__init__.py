"""Documents that translators have, by the ending of their names: each format is a module with two functions.

``pairs`` gives what has been translated in a document, to learn from, as a stream. ``parts`` gives the document itself,
as bytes that stay and slots to be filled. Both take an open file, its name and what is ``Wanted``. What is only
translated has no ``pairs``. A new format is a new module and its endings here; DOCX, ODT and HTML would be next.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from nmt.formats.document import FormatError, Pair, Part, Wanted

COMPRESSED = (".gz", ".bz2", ".xz")

ENDINGS = {
    ".tmx": "tmx",
    ".po": "po",
    ".pot": "po",
    ".xlf": "xliff",
    ".xliff": "xliff",
    ".csv": "table",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".srt": "subtitles",
    ".vtt": "subtitles",
    ".md": "markdown",
    ".markdown": "markdown",
}
# Of which there is nothing to learn by itself.
_OF_ONE_LANGUAGE = ("subtitles", "markdown")
_OF_COLUMNS = ("table", "tsv", "jsonl")

Pairs = Callable[[IO[bytes], str, Wanted], Iterator[Pair]]
Parts = Callable[[IO[bytes], str, Wanted], Iterator[Part]]


def known(path: str | Path) -> bool:
    """Whether the name is that of a document, rather than of plain text."""
    return _ending(path) in ENDINGS


def has_columns(path: str | Path) -> bool:
    """Whether the name is that of a document in which a source and its target are columns."""
    return ENDINGS.get(_ending(path)) in _OF_COLUMNS


def pairs(path: str | Path) -> Pairs:
    """What reads the translations in the document called ``path``.

    Raises:
        FormatError: the format is not known, needs a package that is not there, or holds no translations.
    """
    found = getattr(_module(path), "pairs", None)
    if found is None:
        learnt = [ending for ending, name in ENDINGS.items() if name not in _OF_ONE_LANGUAGE]
        raise FormatError(f"{path} holds one language, not two; expected one of {', '.join(learnt)}")
    reader: Pairs = found
    return reader


def parts(path: str | Path) -> Parts:
    """What reads the document called ``path`` for translation.

    Raises:
        FormatError: the format is not known, or needs a package that is not there.
    """
    reader: Parts = _module(path).parts
    return reader


def _ending(path: str | Path) -> str:
    path = Path(path)
    return (path.with_suffix("") if path.suffix in COMPRESSED else path).suffix.lower()


def _module(path: str | Path) -> Any:
    ending = _ending(path)
    if ending not in ENDINGS:
        raise FormatError(f"{path}: its format is not known by its name; expected one of {', '.join(ENDINGS)}")
    try:
        return importlib.import_module(f"nmt.formats.{ENDINGS[ending]}")
    except ImportError as error:
        raise FormatError(f"{ending} needs {error.name}; run: pip install 'nmt[formats]'") from error
