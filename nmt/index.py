"""What a run remembers of its training text, so that a restart need not read it again.

That is where the pairs stand on disk, which of them are held out, and how many pieces each side has: 32 bytes a pair,
in one file. It holds for the very files that it was made of: their SHA-256 is taken at every start, and of other files
the index is made anew, so that it never says anything else than reading would.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmt.corpus import Corpus, Lines, TextFile, file_checksum
from nmt.formats.document import Wanted

logger = logging.getLogger("nmt")

# To be raised when the same files would give other lines, other pairs or other notes than before.
VERSION = 2


class Reading(NamedTuple):
    """How files are read; of texts by name, "train" and those mixed in."""

    wanted: dict[str, Wanted]  # of documents
    filters: dict[str, Any]  # what is left out
    tags: dict[str, str]  # before each source


class Origin(NamedTuple):
    """What an index is made of."""

    paths: tuple[Path, ...]  # the source's and the target's file, or the one file of both
    about: dict[str, Any]  # all that the index depends on, for JSON
    mixes: dict[str, tuple[Path, ...]]  # the files of each text mixed in, by its name
    reading: Reading


def origin(
    paths: tuple[Path, ...],
    held_out: tuple[int, int],
    mixes: dict[str, tuple[Path, ...]] | None = None,
    reading: Reading | None = None,
) -> Origin:
    """The files as they are now, how they are read, and how many pairs are held out for development and test.

    Take it before the text is read: a file that changes meanwhile must not pass for the one that was read.

    Raises:
        CorpusError: a file is missing or cannot be read.
    """
    mixes, reading = mixes or {}, reading or Reading({}, {}, {})
    return Origin(
        paths,
        {
            "version": VERSION,
            "files": [file_checksum(path) for path in paths],
            "held_out": list(held_out),
            "mixes": {name: [file_checksum(path) for path in files] for name, files in mixes.items()},
            "wanted": {
                name: [one.source, one.target, one.salvage, *(one.columns or ())]
                for name, one in reading.wanted.items()
            },
            "filters": reading.filters,
            "tags": reading.tags,
        },
        mixes,
        reading,
    )


class Index(NamedTuple):
    """Where the pairs of a training text stand, and how many pieces they have."""

    parts: dict[str, Corpus]  # "train", what is held out of its files, and texts mixed in; their sides are ``Lines``
    pieces: dict[str, str]  # checksums of the piece models
    lengths: tuple[np.ndarray, np.ndarray]  # pieces of each source and target of "train" and texts mixed in; int32 [N]

    def packed(self, origin: Origin) -> bytes:
        """The content of the file."""
        about = origin.about | {
            "pieces": self.pieces,
            "notes": {name: part.notes for name, part in self.parts.items()},
            # Of documents: places are those in what was read out of them, and another version may read otherwise.
            "extracted": {
                name: part.source.file.size
                for name, part in self.parts.items()
                if name in origin.reading.wanted and isinstance(part.source, Lines)
            },
            "checksums": {name: part.checksum() for name, part in self.parts.items()},
        }
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), "uint8")}
        arrays |= {"source_lengths": self.lengths[0], "target_lengths": self.lengths[1]}
        for name, part in self.parts.items():
            for side, lines in (("source", part.source), ("target", part.target)):
                if isinstance(lines, Lines):
                    arrays |= {f"{name}_{side}_starts": lines.starts, f"{name}_{side}_sizes": lines.sizes}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any name for allow_pickle
        return buffer.getvalue()


def load(path: Path, origin: Origin) -> Index | None:
    """The index at ``path`` if it was made of ``origin``; None if there is none, or one of something else.

    One that is damaged is told of, and counts as none.

    Raises:
        CorpusError: the text cannot be opened.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about = {"mixes": {}, "wanted": {}, "filters": {}, "tags": {}} | json.loads(
                archive["about"].tobytes()
            )  # once there were no such
            if None in chain(about["files"], *about["mixes"].values()) or any(
                about.get(key) != value for key, value in origin.about.items()
            ):
                return None
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s is damaged (%s); the training text is read anew", path, error)
        return None
    files = {
        name: [TextFile(path, origin.reading.wanted.get(name)) for path in paths]
        for name, paths in {"train": origin.paths, **origin.mixes}.items()
    }

    if any(files[name][0].size != size for name, size in about.get("extracted", {}).items()):
        return None

    def lines(name: str, side: str, place: int) -> Sequence[str]:
        file = files.get(name, files["train"])[place]  # what is held out stands there too
        tags = origin.reading.tags
        tag = tags.get(name if name in files else "train", "") if side == "source" else ""
        return Lines(file, arrays[f"{name}_{side}_starts"], arrays[f"{name}_{side}_sizes"], True, tag)

    parts = {
        name: Corpus(lines(name, "source", 0), lines(name, "target", -1), Counter(about["notes"][name]), checksum)
        for name, checksum in about["checksums"].items()
    }
    return Index(parts, about["pieces"], (arrays["source_lengths"], arrays["target_lengths"]))
