"""What the size of a corpus costs: memory, time to start, time of a step.

    python tests/bench/scale.py --write docs/benchmarks.md

Pairs are generated (words of two made-up languages, as frequent as Zipf says, 5 to 25 a sentence, the target backwards)
and ``nmt train`` is started on them twice with a small model: once from nothing, and once, after some updates, to go on
from where it was left. Peaks of resident memory are the kernel's own (VmHWM).
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from train import machine, write

WORDS = 4000
UPDATES = 20

RECIPE = """
data: {{source_language: en, target_language: de, train: {{source: {source}, target: {target}}}, development: 50}}
pieces: {{size: {pieces}}}
model: {{embedding_units: 64, encoder_units: 64, decoder_units: 128, attention_units: 64, readout_units: 64}}
training: {{updates: 1000000, batch_tokens: 2000, validate_every: {updates}, log_every: 1, warmup_updates: 10}}
search: {{max_length_factor: 1, max_length_extra: 5}}
device: {{kind: cpu}}
"""


class Measured(NamedTuple):
    """Of one number of pairs: bytes, and seconds."""

    pairs: int
    text: float
    read: float  # from the shell until the text is read, cleaned and split
    pieces: float
    counted: float  # how many pieces each sentence has, and the index written
    first_update: float  # from the shell, the first time
    again: float  # from the shell to the first update, the second time
    step: float
    peak_read: float  # resident memory until the text is split
    peak: float  # of the first start in all
    peak_again: float  # of the second start in all
    index: float  # on disk


def words(seed: int, letters: str) -> np.ndarray:
    """Different words of 2 to 10 letters."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < WORDS:
        found["".join(random.choice(list(letters), random.integers(2, 11)))] = None
    return np.array(list(found))


def generate(folder: Path, pairs: int) -> tuple[Path, Path]:
    """Two aligned files of ``pairs`` lines, always the same; those that are there already are used."""
    paths = folder / f"{pairs}.en", folder / f"{pairs}.de"
    if all(path.exists() for path in paths):
        return paths
    random = np.random.default_rng(1)
    source, target = words(1, "etaoinshrdlucmfwypvbgk"), words(2, "etaoinshrdlucmfwypvbgkäöüß")
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))
    with paths[0].open("w", encoding="utf-8") as english, paths[1].open("w", encoding="utf-8") as german:
        for first in range(0, pairs, 100_000):
            sizes = random.integers(5, 26, min(100_000, pairs - first))
            numbers = np.searchsorted(shares, random.random(sizes.sum()) * shares[-1])
            ours, theirs = source[numbers].tolist(), target[numbers].tolist()
            ends = np.cumsum(sizes).tolist()
            for start, end in zip([0, *ends], ends, strict=False):
                english.write(" ".join(ours[start:end]) + "\n")
                german.write(" ".join(theirs[start:end][::-1]) + "\n")
    return paths


class Training:
    """``nmt train`` in a process of its own, followed by its log lines."""

    def __init__(self, recipe: Path, run: Path) -> None:
        command = [str(Path(sys.executable).with_name("nmt")), "train", str(recipe), "--run", str(run)]
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.said: list[str] = []

    def until(self, words: str) -> float:
        """Seconds from the start to the log line with these words."""
        for line in self.process.stderr or ():
            self.said.append(line)
            if words in line:
                return time.perf_counter() - self.began
        raise SystemExit(f"training ended before it said {words!r}: {''.join(self.said[-20:])}")

    def peak(self) -> float:
        """The most memory that has been resident, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(float(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@contextlib.contextmanager
def training(recipe: Path, run: Path) -> Iterator[Training]:
    """It is told to end after its next update, with everything saved."""
    found = Training(recipe, run)
    try:
        yield found
        found.process.send_signal(signal.SIGINT)
        found.process.communicate(timeout=600)
    finally:
        found.process.kill()
        found.process.wait()


def measure(text: Path, folder: Path, pairs: int, pieces: int) -> Measured:
    source, target = generate(text, pairs)
    recipe, run = folder / f"{pairs}.yaml", folder / f"run-{pairs}"
    recipe.write_text(RECIPE.format(source=source, target=target, pieces=pieces, updates=UPDATES))
    with training(recipe, run) as first:
        read, peak_read = first.until("pairs to train on"), first.peak()
        learning = first.until("training pieces")
        learnt = first.until("counting the pieces")
        counted = first.until("index.npz")
        updated = first.until("update=1/")
        early, late = first.until("update=3/"), first.until(f"update={UPDATES}/")
        first.until("validation loss")
        peak = first.peak()
    with training(recipe, run) as second:
        second.until("resuming")
        again, peak_again = second.until("update="), second.peak()
    step = (late - early) / (UPDATES - 3)
    size, index = source.stat().st_size + target.stat().st_size, (run / "index.npz").stat().st_size
    return Measured(
        pairs, size, read, learnt - learning, counted - learnt, updated, again, step, peak_read, peak, peak_again, index
    )


def outlook(fewer: Measured, more: Measured, pairs: float = 1e8) -> str:
    """What follows for ``pairs`` from the slope between two sizes."""

    def at(name: str) -> float:
        low, high = getattr(fewer, name), getattr(more, name)
        return high + max(0.0, high - low) / (more.pairs - fewer.pairs) * (pairs - more.pairs)

    each = (more.peak_read - fewer.peak_read) / (more.pairs - fewer.pairs)
    return (
        f"For 10^8 pairs ({at('text') / 1e9:.0f} GB of text) the slope between the last two rows gives "
        f"{at('read') / 60:.0f} minutes to read and split and {at('counted') / 60:.0f} to count, once; "
        f"{at('again') / 60:.1f} minutes from a second start to its first update; "
        f"{at('peak_read') / 1e9:.0f} GB of memory while the text is split ({each:.0f} bytes a pair), "
        f"{at('peak_again') / 1e9:.0f} GB while it trains, and an index of {at('index') / 1e9:.1f} GB."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 2_000_000])
    parser.add_argument("--pieces", type=int, default=8000)
    parser.add_argument("--folder", type=Path, help="where the text is generated, and stays (default: a temporary one)")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        text = arguments.folder or Path(name)
        rows = []
        for pairs in arguments.pairs:
            rows.append(measure(text, Path(name), pairs, arguments.pieces))
            print(rows[-1], file=sys.stderr)
    lines = [
        "| pairs | text | read and split | pieces learnt | counted | first update | second start | step "
        "| memory: split | first start | second start | index |",
        "|" + "---|" * 12,
        *(
            f"| {row.pairs:,} | {row.text / 1e6:,.0f} MB | {row.read:.1f} s | {row.pieces:.1f} s | {row.counted:.1f} s "
            f"| {row.first_update:.1f} s | {row.again:.1f} s | {row.step * 1000:.0f} ms | {row.peak_read / 1e9:.2f} GB "
            f"| {row.peak / 1e9:.2f} GB | {row.peak_again / 1e9:.2f} GB | {row.index / 1e6:.1f} MB |"
            for row in rows
        ),
    ]
    result = f"`python {shlex.join(sys.argv)}`  \n{machine()}\n\n" + "\n".join(lines) + "\n"
    if len(rows) > 1:
        result += f"\n{outlook(*rows[-2:])}\n"
    print(result)
    if arguments.write:
        write(arguments.write, "scale", result)


if __name__ == "__main__":
    main()
