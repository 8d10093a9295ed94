"""Parallel text in: read it strictly, say what is odd about it, split it without leaks.

A corpus is two sequences of lines of equal length; line i of the source is translated by line i of the target. Reading
keeps every line as it stands and refuses what cannot be meant (invalid UTF-8, different line counts). ``clean`` keeps
every pair too, so a test set stays whole; ``drop_empty`` and ``hold_out`` drop pairs. What was changed or dropped is
counted in ``notes``, which ``describe`` puts into words: nothing here logs, and only what takes long shows, on a
terminal, how far it is.

The text stays on disk. ``Lines`` holds where each line stands, 12 bytes a line, and reads it when it is asked for; all
that goes through a whole corpus goes through it as a stream, so a corpus may be larger than memory.
"""

import bz2
import codecs
import errno
import gzip
import hashlib
import lzma
import os
import random
import re
import tempfile
import unicodedata
import weakref
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from tqdm import tqdm

from nmt import drift, formats
from nmt.drift import Drift, Features
from nmt.formats import elsewhere
from nmt.formats.document import FormatError, Pair, Wanted
from nmt.formats.elsewhere import ChangedError

COMPRESSIONS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

# Bytes that are read at a time.
_CHUNK = 1 << 22

# Bytes of a tab and the number of a line.
_LONGEST_NUMBER = 24

# Drifts that an error tells of.
_PLACES = 5

# Longer lines are rarely one sentence, and a single one decides the size of its batch.
LONG_WORDS, LONG_CHARACTERS = 200, 1000

NOTES = {
    "broken": "a document is broken: pairs before that place, which are read",
    "control": "lines with control characters or Unicode line separators, each of them replaced by a blank",
    "long": f"pairs with a side of more than {LONG_WORDS} words or {LONG_CHARACTERS} characters, kept",
    "empty": "pairs with an empty side, dropped",
    "lengths": "pairs with a side longer than data.filters.lengths, dropped",
    "ratio": "pairs of very different lengths (data.filters.ratio), dropped",
    "identical": "pairs whose sides are the same (data.filters.identical), dropped",
    "duplicates": "pairs that came before (data.filters.duplicates), dropped",
    "alphabet": "pairs with a side in another script (data.filters.alphabet), dropped",
    "language": "pairs with a side in another language (data.filters.language), dropped",
    "related": "pairs that share a sentence with a held-out pair, dropped",
}

# C0 (with tab), DEL, C1 (with U+0085), and the two Unicode separators that other programs take for a line end.
# TensorFlow's regular expressions (RE2), which the export uses, read it likewise.
CONTROL = r"[\x00-\x1f\x7f-\x9f" + "\u2028\u2029]"
_CONTROL = re.compile(CONTROL)
_LINE_END = re.compile(r"[\t\r\n]+")
_TAG = re.compile(r"^<[^<>\s]+>\s")
# What tells no sentences apart: characters that are neither letter nor digit; ASCII's, which are nearly all, as bytes.
_NOT_WORD_BEYOND_ASCII = re.compile(r"[^\w\x00-\x7f]+")
_NOT_WORD_IN_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())

_Item = TypeVar("_Item")


class CorpusError(ValueError):
    """A corpus that cannot be read, aligned, split or had; the message says which line or file and what to do."""


class TextFile:
    """A file of text that is read by place; it is closed when nobody holds it any more.

    A compressed file, or one that can be read only once, is copied into an unnamed temporary file (in ``TMPDIR``).
    The file is not mapped into memory: one that is cut short meanwhile would end the process without a word.

    Args:
        wanted: of a document, whose translations are written there, a pair a line: source, target, and the line of the
            document, with tabs between.

    Raises:
        CorpusError: the file is missing, or cannot be read or decompressed.
        FormatError: it is no such document, has nothing of what is wanted, or changes while it is read.
    """

    def __init__(self, path: str | Path, wanted: Wanted | None = None) -> None:
        self.path, self._wanted = Path(path), wanted
        self.broken = False  # of a document, only what comes before that place is there
        if not self.path.exists():
            raise missing(self.path)
        try:
            self._descriptor = self._open()
        except FormatError:
            raise
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            raise CorpusError(
                f"{path} cannot be read: {error}"
                + (f"; its text does not fit into {tempfile.gettempdir()}: name a larger folder in TMPDIR" * full)
            ) from error
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size

    def _open(self) -> int:
        """The descriptor of the plain text."""
        opened = COMPRESSIONS.get(self.path.suffix, open)
        with opened(self.path, "rb") as file:
            if self._wanted is not None:
                pairs = formats.pairs(self.path)(file, str(self.path), self._wanted)
                return self._extracted(elsewhere.watched(pairs, file, self.path))
            if opened is open and self.path.is_file():
                return os.dup(file.fileno())
            with tempfile.TemporaryFile() as copy, _bytes_bar(f"unpacking {self.path.name}", None) as bar:
                while chunk := file.read(_CHUNK):
                    copy.write(chunk)
                    bar.update(len(chunk))
                copy.flush()
                return os.dup(copy.fileno())

    def _extracted(self, pairs: Iterable[Pair]) -> int:
        """The descriptor of ``pairs``, written as lines."""
        with tempfile.TemporaryFile() as copy:
            shown = tqdm(pairs, desc=f"reading {self.path.name}", unit="pair", leave=False, disable=None, delay=2)
            try:
                for source, target, line in shown:
                    sides = (_LINE_END.sub(" ", side) for side in (source, target))
                    copy.write("\t".join((*sides, f"{line}\n")).encode(errors="replace"))
            except FormatError as error:
                if isinstance(error, ChangedError) or not (self._wanted and self._wanted.salvage and copy.tell()):
                    raise
                self.broken = True
            copy.flush()
            return os.dup(copy.fileno())

    def read(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start``.

        Raises:
            CorpusError: the file has fewer.
        """
        content = os.pread(self._descriptor, size, start)
        if len(content) < size:
            raise CorpusError(
                f"{self.path} has been cut short since it was opened: restore it and run the command again"
            )
        return content

    def line(self, end: int) -> int | None:
        """The line of the document, from 1, that the pair comes from whose target ends at ``end``; None of other files.

        It stands behind the pair, so that it costs no memory, and nothing where nobody asks.
        """
        if self._wanted is None:
            return None
        return int(self.read(end, min(_LONGEST_NUMBER, self.size - end)).split(b"\n", 1)[0])

    def chunks(self) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        for start in range(0, self.size, _CHUNK):
            yield self.read(start, min(_CHUNK, self.size - start))


class Lines(Sequence[str]):
    """Lines of a text file that stay on disk: each is read when it is asked for, many are read as a stream.

    Args:
        file: where they stand.
        starts, sizes: of each line, in bytes; int64 and int32 [N].
        cleaned: whether lines are read ``without_control``.
        tag: a word that each line begins with, though it does not stand in the file.
    """

    def __init__(
        self, file: TextFile, starts: np.ndarray, sizes: np.ndarray, cleaned: bool = False, tag: str = ""
    ) -> None:
        self.file, self.starts, self.sizes, self.is_cleaned, self.tag = file, starts, sizes, cleaned, tag

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Lines": ...
    def __getitem__(self, index: int | slice) -> "str | Lines":
        if isinstance(index, slice):
            return self.pick(np.arange(len(self))[index])
        return self._text(self.file.read(int(self.starts[index]), int(self.sizes[index])))

    def __iter__(self) -> Iterator[str]:
        return map(self._text, self.stream())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Lines):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return f"<{len(self):,} lines of {self.file.path}>"

    def pick(self, indices: np.ndarray) -> "Lines":
        """The lines at ``indices``, in that order; none of them is read."""
        return Lines(self.file, self.starts[indices], self.sizes[indices], self.is_cleaned, self.tag)

    def cleaned(self) -> "Lines":
        """The same lines, each read ``without_control``."""
        return Lines(self.file, self.starts, self.sizes, True, self.tag)

    def tagged(self, tag: str) -> "Lines":
        """The same lines, each with ``tag`` and a blank before it."""
        return Lines(self.file, self.starts, self.sizes, self.is_cleaned, tag)

    def stream(self) -> Iterator[bytes]:
        """The bytes of every line as they stand in the file, read in blocks where the lines stand close together."""
        together = 1 + _CHUNK * len(self) // (1 + int(self.sizes.sum(dtype="int64")))  # lines, one chunk or so
        for first in range(0, len(self), together):
            starts, sizes = self.starts[first : first + together], self.sizes[first : first + together].astype("int64")
            begin, end = int(starts.min()), int((starts + sizes).max())
            places = zip(starts.tolist(), sizes.tolist(), strict=True)
            if end - begin <= 8 * sizes.sum() + _CHUNK:
                block = self.file.read(begin, end - begin)
                yield from (block[start - begin : start - begin + size] for start, size in places)
            else:
                yield from (self.file.read(start, size) for start, size in places)

    def _text(self, line: bytes) -> str:
        text = line.decode("utf-8", errors="replace")  # it was valid when it was read first
        text = without_control(text) if self.is_cleaned else text
        return f"{self.tag} {text}" if self.tag else text


class Joined(Sequence[str]):
    """Texts that follow one another, as one; none of them is read."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.texts = texts
        self.ends = np.cumsum([len(text) for text in texts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        number = int(np.searchsorted(self.ends, index, side="right"))
        return self.texts[number][index - int(self.ends[number])]  # counted from the end of that text

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.texts)


@dataclass(frozen=True)
class Corpus:
    """Aligned lines: ``target[i]`` translates ``source[i]``; ``notes`` counts what was changed or dropped."""

    source: Sequence[str]
    target: Sequence[str]
    notes: Counter[str] = field(default_factory=Counter)
    known_checksum: str = field(default="", compare=False, repr=False)  # to spare reading all of it again

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise CorpusError(
                f"{len(self.source)} source lines and {len(self.target)} target lines: they must be pairs"
            )

    def __len__(self) -> int:
        return len(self.source)

    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of the source lines and then the target lines, each ended by a newline."""
        if self.known_checksum:
            return self.known_checksum
        digest = hashlib.sha256()
        for line in watched(chain(self.source, self.target), "taking the checksum", 2 * len(self)):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def pick(self, indices: Iterable[int], notes: Counter[str]) -> "Corpus":
        """The pairs at ``indices``, in that order."""
        numbers = indices if isinstance(indices, np.ndarray) else np.array(list(indices), "int64")
        return Corpus(_picked(self.source, numbers), _picked(self.target, numbers), notes)


def tagged(text: Corpus, tag: str) -> Corpus:
    """``text`` with ``tag`` and a blank before each source."""
    lines = text.source
    source = lines.tagged(tag) if isinstance(lines, Lines) else [f"{tag} {line}" for line in lines]
    return Corpus(source, text.target, text.notes)


def _picked(lines: Sequence[str], indices: np.ndarray) -> Sequence[str]:
    return lines.pick(indices) if isinstance(lines, Lines) else [lines[i] for i in indices]


def watched(items: Iterable[_Item], doing: str, total: int) -> Iterable[_Item]:
    """``items``, with a progress bar on a terminal where they take more than two seconds."""
    return tqdm(items, desc=doing, total=total, unit="line", unit_scale=True, leave=False, disable=None, delay=2)


def _bytes_bar(doing: str, total: int | None) -> "tqdm[Any]":
    return tqdm(total=total, desc=doing, unit="B", unit_scale=True, leave=False, disable=None, delay=2)


def describe(notes: Counter[str]) -> list[str]:
    """One line for each kind of note that was taken, to be shown to the user as a warning."""
    return [f"{words}: {notes[kind]:,}" for kind, words in NOTES.items() if notes[kind]]


def missing(path: Path) -> CorpusError:
    """The error for a file that is not there: it names the file of the most similar name in its folder."""
    if not path.parent.is_dir():
        return CorpusError(f"{path} does not exist: there is no folder {path.parent}")
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    nearest = get_close_matches(path.name, names, n=1)
    return CorpusError(f"{path} does not exist" + (f": did you mean {path.parent / nearest[0]}?" if nearest else ""))


def read_lines(path: str | Path, wanted: Wanted | None = None) -> Lines:
    r"""The lines of a UTF-8 text file, plain or compressed (.gz, .bz2, .xz); only where they stand is held in memory.

    A line ends at ``\n`` or ``\r\n`` only. ``str.splitlines`` and Python's text mode would also split at a lone ``\r``,
    U+0085, U+2028 and others, and so shift every later line against the other side. A byte-order mark at the start is
    removed.

    Raises:
        CorpusError: the file is missing, empty, broken, or not UTF-8 (with the number of the first bad line).
    """
    file = TextFile(path, wanted)
    if not file.size:
        raise CorpusError(f"{path} is empty: expected one sentence a line")
    decoder = codecs.getincrementaldecoder("utf-8")()
    ends: list[np.ndarray] = []  # of lines, without what ends them
    newlines: list[np.ndarray] = []
    lines = read = 0
    last = b"\n"  # byte of the chunk before
    with _bytes_bar(f"reading {file.path.name}", file.size) as bar:
        for chunk in file.chunks():
            try:
                decoder.decode(chunk, final=read + len(chunk) == file.size)
            except UnicodeDecodeError as error:
                number = lines + error.object.count(b"\n", 0, error.start) + 1
                raise CorpusError(
                    f"{path}, line {number:,}: byte 0x{error.object[error.start]:02x} is not valid UTF-8 "
                    f"({error.reason}). Convert the file, e.g. `iconv -f LATIN1 -t UTF-8`, or mend the line"
                ) from error
            content = np.frombuffer(last + chunk, "uint8")
            places = np.flatnonzero(content[1:] == ord("\n"))
            newlines.append(places + read)
            ends.append(places + read - (content[places] == ord("\r")))
            lines, read, last = lines + len(places), read + len(chunk), chunk[-1:]
            bar.update(len(chunk))
    if last != b"\n":
        newlines.append(np.array([file.size]))
        ends.append(np.array([file.size - (last == b"\r")]))
    starts = np.concatenate([[0], *newlines])[:-1] + 1
    starts[0] = 3 if file.read(0, min(3, file.size)) == codecs.BOM_UTF8 else 0
    sizes = np.concatenate(ends) - starts
    if sizes.max() > np.iinfo("int32").max:
        raise CorpusError(f"{path}, line {int(sizes.argmax()) + 1:,}: longer than 2 GB; expected one sentence a line")
    return Lines(file, starts, sizes.astype("int32"))


def file_checksum(path: Path) -> str | None:
    """SHA-256, in hexadecimal, of a file as it stands on disk; None for what can be read only once.

    Raises:
        CorpusError: it is missing or cannot be read.
    """
    if not path.exists():
        raise missing(path)
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file, _bytes_bar(f"checking {path.name}", path.stat().st_size) as bar:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                bar.update(len(chunk))
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()


def read_parallel(source_path: str | Path, target_path: str | Path) -> Corpus:
    """Two files of aligned lines.

    Raises:
        CorpusError: as ``read_lines``, or the line counts differ; then the message gives both counts and the places
            where lines seem to be missing.
    """
    source, target = read_lines(source_path), read_lines(target_path)
    if len(source) == len(target):
        return Corpus(source, target)
    found = drifts(source, target)
    if found:
        places = "; ".join(map(str, found[:_PLACES])) + "; …" * (len(found) > _PLACES)
        place, told = found[0].line, places[0].upper() + places[1:]
    else:
        place = min(len(source), len(target))
        told = f"The lines agree to the end of the shorter file, after line {place:,}: its end seems to be cut off"
    raise CorpusError(
        f"{source_path} has {len(source):,} lines and {target_path} has {len(target):,}: "
        f"line i of one must translate line i of the other. {told}:\n{neighbourhood(source, target, place)}"
    )


def drifts(source: Sequence[str], target: Sequence[str]) -> list[Drift]:
    """Where two texts seem to drift apart (``nmt.drift``)."""
    sides = (source, target)
    return drift.drifts(*(Features.of(watched(side, "comparing lines", len(side)), len(side)) for side in sides))


def neighbourhood(source: Sequence[str], target: Sequence[str], place: int) -> str:
    """Five lines of both sides around an index, each line shortened."""

    def short(lines: Sequence[str], i: int) -> str:
        if i >= len(lines):
            return "(no line)"
        return repr(lines[i][:50] + ("…" if len(lines[i]) > 50 else ""))

    rows = range(max(0, place - 2), min(max(len(source), len(target)), place + 3))
    return "\n".join(f"  {i + 1:>9,}  {short(source, i)}  |  {short(target, i)}" for i in rows)


def read_tsv(path: str | Path, wanted: Wanted | None = None) -> Corpus:
    """A file of tab-separated rows: source, target, and further columns that are not read.

    A blank row is a pair of two empty sides. With ``wanted`` it is a document (``nmt.formats``) and its translations.

    Raises:
        CorpusError: as ``read_lines``, or a row has text but fewer than two columns.
    """
    rows = read_lines(path, wanted)
    source, target = (np.empty(len(rows), "int32") for _ in range(2))  # sizes
    for number, row in enumerate(watched(rows.stream(), f"reading {rows.file.path.name}", len(rows))):
        columns = row.split(b"\t", 2)
        if len(columns) < 2:
            if row.strip():
                raise CorpusError(
                    f"{path}, line {number + 1:,}: expected source and target with a tab between them, received one "
                    f"column: {rows[number][:50]!r}"
                )
            columns = [b"", b""]
        source[number], target[number] = len(columns[0]), len(columns[1])
    # The target of a blank row would start behind the tab that it does not have: it is empty, so it may stand anywhere.
    places = np.minimum(rows.starts + source + 1, rows.file.size)
    notes = Counter(broken=len(rows)) if rows.file.broken else Counter[str]()
    return Corpus(Lines(rows.file, rows.starts, source), Lines(rows.file, places, target), notes)


def line_of(text: Corpus, number: int) -> int:
    """The line, from 1, where pair ``number`` of ``text``, as it was read, begins in its file or document."""
    lines = text.target
    line = lines.file.line(int(lines.starts[number]) + int(lines.sizes[number])) if isinstance(lines, Lines) else None
    return line or number + 1


def without_control(line: str) -> str:
    """``line`` with a blank for each control character and Unicode line separator: what a model reads, always."""
    return line if line.isprintable() else _CONTROL.sub(" ", line)  # the first is faster, and holds for most lines


def clean(corpus: Corpus) -> Corpus:
    """Every pair of ``corpus``, with each control character and Unicode line separator replaced by a blank.

    Notes ``control`` (lines changed) and ``long`` (pairs with a side over ``LONG_WORDS`` or ``LONG_CHARACTERS``).
    """
    changed = long = 0
    for pair in watched(zip(corpus.source, corpus.target, strict=True), "looking through the text", len(corpus)):
        cleaned = [without_control(line) for line in pair]
        changed += sum(a != b for a, b in zip(pair, cleaned, strict=True))
        long += any(map(_is_long, cleaned))
    notes = corpus.notes + Counter(control=changed, long=long)
    return Corpus(_cleaned(corpus.source), _cleaned(corpus.target), notes)


def _cleaned(lines: Sequence[str]) -> Sequence[str]:
    return lines.cleaned() if isinstance(lines, Lines) else [without_control(line) for line in lines]


def _is_long(line: str) -> bool:
    return len(line) > LONG_CHARACTERS or (len(line) > LONG_WORDS and len(line.split()) > LONG_WORDS)


def sample(texts: Sequence[Sequence[str]], size: int) -> list[str]:
    """Lines of each of ``texts`` at even distances, about ``size`` bytes of UTF-8 in all; all, if they are no more."""
    total = sum(map(_bytes, texts))
    lines: list[str] = []
    for text in texts:
        count = len(text) if total <= size else max(1, len(text) * size // total)
        lines += _picked(text, np.arange(count) * len(text) // count) if count < len(text) else text
    return lines


def _bytes(lines: Sequence[str]) -> int:
    return (
        int(lines.sizes.sum(dtype="int64")) if isinstance(lines, Lines) else sum(len(line.encode()) for line in lines)
    )


def drop_empty(corpus: Corpus) -> Corpus:
    """The pairs whose two sides both hold something but blanks, for training. Notes ``empty`` (pairs dropped)."""
    pairs = watched(zip(corpus.source, corpus.target, strict=True), "looking for empty lines", len(corpus))
    kept = np.flatnonzero(np.fromiter((bool(a.strip() and b.strip()) for a, b in pairs), "bool", len(corpus)))
    return corpus.pick(kept, corpus.notes + Counter(empty=len(corpus) - len(kept)))


def hold_out(corpus: Corpus, development: int, test: int, seed: int) -> tuple[Corpus, Corpus, Corpus]:
    """Split into (train, development, test) so that no held-out sentence, on either side, is in another part.

    Pairs that share a source or a target sentence (case and punctuation folded) are linked, and the connected
    components of that graph are the units. Each held-out pair comes from a component of its own, chosen by the seed
    among the smallest; the other pairs of that component are dropped, and noted as ``related`` on ``train``. All parts
    keep the order of the corpus.

    Raises:
        CorpusError: a negative size, or too few components to leave one for training.
    """
    if development < 0 or test < 0:
        raise CorpusError(f"cannot hold out {development} development and {test} test pairs: sizes start at 0")
    component = _components(corpus)  # of each pair
    sizes = np.bincount(component)
    wanted = development + test
    if wanted >= len(sizes):
        raise CorpusError(
            f"cannot hold out {development:,} + {test:,} pairs: the corpus has {len(corpus):,} pairs in "
            f"{len(sizes):,} groups that share no sentence, each held-out pair uses up one group, and one must "
            "be left to train on. Hold out fewer, or bring files of your own for development and test"
        )
    rng = random.Random(seed)
    shuffled = array("q", range(len(sizes)))
    rng.shuffle(shuffled)
    order = np.array(shuffled)
    used = order[np.argsort(sizes[order], kind="stable")[:wanted]]
    pairs = np.argsort(component, kind="stable")  # component by component
    ends = np.cumsum(sizes)
    chosen = [int(pairs[rng.choice(range(ends[number] - sizes[number], ends[number]))]) for number in used]
    kept = np.flatnonzero(~np.isin(component, used))
    notes = corpus.notes + Counter(related=len(corpus) - len(kept) - wanted)
    return (
        corpus.pick(kept, notes),
        corpus.pick(sorted(chosen[:development]), Counter()),
        corpus.pick(sorted(chosen[development:]), Counter()),
    )


def drop_related(corpus: Corpus, held_out: Sequence[Corpus]) -> Corpus:
    """The pairs that share no sentence, on either side, with a held-out pair. Notes ``related`` (pairs dropped).

    A tag in front of a sentence, such as <BT>, is not looked at.
    """
    kept = np.ones(len(corpus), bool)
    for side in ("source", "target"):
        lines = getattr(corpus, side)
        known = np.array([key(line) for part in held_out for line in getattr(part, side)], "uint64")
        untagged = (_TAG.sub("", line) for line in watched(lines, "looking for held-out text", len(lines)))
        keys = np.fromiter(map(key, untagged), "uint64", len(lines))
        kept &= ~np.isin(keys, known)
    return corpus.pick(np.flatnonzero(kept), corpus.notes + Counter(related=len(corpus) - int(kept.sum())))


def _components(corpus: Corpus) -> np.ndarray:
    """The number of each pair's component, int64 [N]; components are numbered by their first pairs.

    Two pairs are of one component if they share a folded source or target sentence, directly or through other pairs.
    """
    parent = array("q", range(len(corpus)))  # of a pair, nearer to the first of its component

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for lines in (corpus.source, corpus.target):
        keys = np.fromiter(map(key, watched(lines, "looking for equal sentences", len(lines))), "uint64", len(lines))
        order = keys.argsort()
        equal = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        for i, j in zip(order[equal].tolist(), order[equal + 1].tolist(), strict=True):
            one, other = root(i), root(j)
            parent[max(one, other)] = min(one, other)
    roots = np.array(parent)
    while not np.array_equal(roots, above := roots[roots]):
        roots = above
    number = np.cumsum(roots == np.arange(len(roots))) - 1  # of the component that begins here
    return number[roots]


def key(line: str) -> int:
    """A number of 64 bits for the line without case, blanks and punctuation; a line of nothing else stands for itself.

    That any two of 10^8 sentences share a number by chance has a probability of 3 in 10,000.
    """
    folded = _NOT_WORD_BEYOND_ASCII.sub("", unicodedata.normalize("NFKC", line).casefold())
    word = folded.encode().translate(None, _NOT_WORD_IN_ASCII) or line.encode()
    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
