"""Parallel text in: read it strictly, say what is odd about it, split it without leaks.

A corpus is two lists of lines of equal length; line i of the source is translated by line i of the target. Reading
keeps every line as it stands and refuses what cannot be meant (invalid UTF-8, different line counts). ``clean`` keeps
every pair too, so a test set stays whole; ``drop_empty`` and ``hold_out`` drop pairs. What was changed or dropped is
counted in ``notes``, which ``describe`` puts into words: nothing here prints or logs.
"""

import bz2
import gzip
import hashlib
import lzma
import math
import random
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}

# Longer lines are rarely one sentence, and a single one decides the size of its batch.
LONG_WORDS, LONG_CHARACTERS = 200, 1000

NOTES = {
    "control": "lines with control characters or Unicode line separators, each of them replaced by a blank",
    "long": f"pairs with a side of more than {LONG_WORDS} words or {LONG_CHARACTERS} characters, kept",
    "empty": "pairs with an empty side, dropped",
    "related": "pairs that share a sentence with a held-out pair, dropped",
}

# C0 (with tab), DEL, C1 (with U+0085), and the two Unicode separators that other programs take for a line end.
# TensorFlow's regular expressions (RE2), which the export uses, read it likewise.
CONTROL = r"[\x00-\x1f\x7f-\x9f" + "\u2028\u2029]"
_CONTROL = re.compile(CONTROL)
_NOT_WORD = re.compile(r"[\W_]+")


class CorpusError(ValueError):
    """A corpus that cannot be read, aligned, split or had; the message says which line or file and what to do."""


@dataclass(frozen=True)
class Corpus:
    """Aligned lines: ``target[i]`` translates ``source[i]``; ``notes`` counts what was changed or dropped."""

    source: list[str]
    target: list[str]
    notes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise CorpusError(
                f"{len(self.source)} source lines and {len(self.target)} target lines: they must be pairs"
            )

    def __len__(self) -> int:
        return len(self.source)

    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of the source lines and then the target lines, each ended by a newline."""
        digest = hashlib.sha256()
        for line in (*self.source, *self.target):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def pick(self, indices: Iterable[int], notes: Counter[str]) -> "Corpus":
        """The pairs at ``indices``, in that order."""
        indices = list(indices)
        return Corpus([self.source[i] for i in indices], [self.target[i] for i in indices], notes)


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


def read_lines(path: str | Path) -> list[str]:
    r"""The lines of a UTF-8 text file, plain or compressed (.gz, .bz2, .xz).

    A line ends at ``\n`` or ``\r\n`` only. ``str.splitlines`` and Python's text mode would also split at a lone ``\r``,
    U+0085, U+2028 and others, and so shift every later line against the other side. A byte-order mark at the start is
    removed.

    Raises:
        CorpusError: the file is missing, empty, broken, or not UTF-8 (with the number of the first bad line).
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    try:
        data = COMPRESSIONS.get(path.suffix, bytes)(path.read_bytes())
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    if not data:
        raise CorpusError(f"{path} is empty: expected one sentence a line")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"{path}, line {number:,}: byte 0x{data[error.start]:02x} is not valid UTF-8 ({error.reason}). "
            "Convert the file, e.g. `iconv -f LATIN1 -t UTF-8`, or mend the line"
        ) from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def read_parallel(source_path: str | Path, target_path: str | Path) -> Corpus:
    """Two files of aligned lines.

    Raises:
        CorpusError: as ``read_lines``, or the line counts differ; then the message gives both counts and the place from
            which the lines no longer seem to be translations of each other.
    """
    source, target = read_lines(source_path), read_lines(target_path)
    if len(source) == len(target):
        return Corpus(source, target)
    drift = _drift(source, target)
    if drift == min(len(source), len(target)):
        place = f"The lengths agree to the end of the shorter file, after line {drift:,}: its end seems to be cut off"
    else:
        place = f"The lengths stop agreeing near line {drift + 1:,}"
    raise CorpusError(
        f"{source_path} has {len(source):,} lines and {target_path} has {len(target):,}: "
        f"line i of one must translate line i of the other. {place}:\n{_neighbourhood(source, target, drift)}"
    )


def _drift(source: list[str], target: list[str]) -> int:
    """The index of the first pair that no longer is one, estimated from the lengths alone.

    Translations have similar lengths (Gale and Church, 1993), so while the files are aligned, the log-ratio of a pair's
    lengths is nearer to 0 than that of the same source line with lines in the neighbourhood of its target; after a
    drift it is on average as far. The sum of ``own - 3/4 neighbours'`` therefore falls up to the drift and rises after
    it: its minimum is the place. A rise of 10 takes some hundred lines without a match, which chance does not give;
    looking no further finds the first drift where a second one happens to mend it. Comparing with the neighbourhood
    makes it hold in files sorted by length or joined from different sources. With one or two of 20,000 to 80,000 lines
    missing it was off by 0 to 33 lines on six corpora.
    """
    # Only the ratio of the sides matters, not that one language is wordier: centre it.
    centre = math.log((sum(map(len, source)) / len(source) + 1) / (sum(map(len, target)) / len(target) + 1))
    source_log = [math.log(len(line) + 1) - centre for line in source]
    target_log = [math.log(len(line) + 1) for line in target]
    offsets = (-40, -31, -20, -11, 11, 20, 31, 40)
    total = lowest = 0.0
    place = 0
    for i in range(min(len(source), len(target))):
        own = abs(source_log[i] - target_log[i])
        others = sum(abs(source_log[i] - target_log[(i + offset) % len(target)]) for offset in offsets)
        total += own - 0.75 * others / len(offsets)
        if total <= lowest:
            lowest, place = total, i + 1
        elif total > lowest + 10:
            break
    return place


def _neighbourhood(source: list[str], target: list[str], place: int) -> str:
    """Five lines of both sides around an index, each line shortened."""

    def short(lines: list[str], i: int) -> str:
        if i >= len(lines):
            return "(no line)"
        return repr(lines[i][:50] + ("…" if len(lines[i]) > 50 else ""))

    rows = range(max(0, place - 2), min(max(len(source), len(target)), place + 3))
    return "\n".join(f"  {i + 1:>9,}  {short(source, i)}  |  {short(target, i)}" for i in rows)


def read_tsv(path: str | Path) -> Corpus:
    """A file of tab-separated rows: source, target, and further columns that are not read.

    Raises:
        CorpusError: as ``read_lines``, or a row has fewer than two columns.
    """
    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise CorpusError(
                f"{path}, line {number:,}: expected source and target with a tab between them, received one column: "
                f"{row[0][:50]!r}"
            )
    return Corpus([row[0] for row in rows], [row[1] for row in rows])


def without_control(line: str) -> str:
    """``line`` with a blank for each control character and Unicode line separator: what a model reads, always."""
    return _CONTROL.sub(" ", line)


def clean(corpus: Corpus) -> Corpus:
    """Every pair of ``corpus``, with each control character and Unicode line separator replaced by a blank.

    Notes ``control`` (lines changed) and ``long`` (pairs with a side over ``LONG_WORDS`` or ``LONG_CHARACTERS``).
    """
    source = [without_control(line) for line in corpus.source]
    target = [without_control(line) for line in corpus.target]
    changed = sum(a != b for a, b in zip((*corpus.source, *corpus.target), (*source, *target), strict=True))
    long = sum(_is_long(a) or _is_long(b) for a, b in zip(source, target, strict=True))
    return Corpus(source, target, corpus.notes + Counter(control=changed, long=long))


def _is_long(line: str) -> bool:
    return len(line) > LONG_CHARACTERS or (len(line) > LONG_WORDS and len(line.split()) > LONG_WORDS)


def drop_empty(corpus: Corpus) -> Corpus:
    """The pairs whose two sides both hold something but blanks, for training. Notes ``empty`` (pairs dropped)."""
    kept = [i for i in range(len(corpus)) if corpus.source[i].strip() and corpus.target[i].strip()]
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
    components = _components(corpus)
    wanted = development + test
    if wanted >= len(components):
        raise CorpusError(
            f"cannot hold out {development:,} + {test:,} pairs: the corpus has {len(corpus):,} pairs in "
            f"{len(components):,} groups that share no sentence, each held-out pair uses up one group, and one must "
            "be left to train on. Hold out fewer, or bring files of your own for development and test"
        )
    rng = random.Random(seed)
    rng.shuffle(components)
    components.sort(key=len)
    chosen = [rng.choice(component) for component in components[:wanted]]
    kept = sorted(i for component in components[wanted:] for i in component)
    notes = corpus.notes + Counter(related=len(corpus) - len(kept) - wanted)
    return (
        corpus.pick(kept, notes),
        corpus.pick(sorted(chosen[:development]), Counter()),
        corpus.pick(sorted(chosen[development:]), Counter()),
    )


def _components(corpus: Corpus) -> list[list[int]]:
    """Indices of pairs, grouped by a shared folded source or target sentence, directly or through other pairs."""
    parent = list(range(len(corpus)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for lines in (corpus.source, corpus.target):
        first: dict[str, int] = {}
        for i, line in enumerate(lines):
            parent[root(i)] = root(first.setdefault(_folded(line), i))
    groups: dict[int, list[int]] = {}
    for i in range(len(corpus)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def _folded(line: str) -> str:
    """The line without case, blanks and punctuation; a line of nothing else stands for itself."""
    return _NOT_WORD.sub("", unicodedata.normalize("NFKC", line).casefold()) or line
