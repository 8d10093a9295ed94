"""What every contestant of ``translate.py`` shares: its two jobs, the batches, the figures. Needs Python alone.

A contestant is a script that is run in an environment of its own as ``python SCRIPT CONTEST RESULT``: once with the job
``make``, to write a model of random weights into the workspace, then with ``translate``, once for each number of
threads. Such a model does not end a sentence where a trained one would, so that it is told where: a batch is translated
into as many pieces a sentence as this toolkit's translations of the batch have on average, ends of sentences included,
and a sentence alone into exactly as many.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple


class Batch(NamedTuple):
    sources: list[list[str]]  # in pieces
    length: int  # pieces of each translation


class Made(NamedTuple):
    """What a contestant has made."""

    model: str  # file or directory
    weights: int
    command: list[str]  # the shell's, that translates the line it reads from standard input
    versions: dict[str, str]


Translate = Callable[[Batch], list[list[str]]]


def run(
    asked: SimpleNamespace, make: Callable[[SimpleNamespace], Made], load: Callable[[SimpleNamespace, int], Translate]
) -> None:
    """Do the job that is asked for, and write the RESULT file.

    Args:
        asked: the CONTEST file.
        make: writes the model.
        load: the model, ready to translate with a beam of so many.
    """
    result = make(asked)._asdict() if asked.job == "make" else _translate(asked, load)
    Path(sys.argv[2]).write_text(json.dumps(result))


def _translate(asked: SimpleNamespace, load: Callable[[SimpleNamespace, int], Translate]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for search in asked.searches:
        together = batches(asked.sources, search.lengths, asked.batch_sentences)
        alone = [Batch([source], length) for source, length in zip(asked.sources, search.lengths, strict=True)]
        warm_up = [*together[:2], *alone[:2]]
        figures = measure(
            load(asked, search.beam), warm_up, together, alone[: asked.alone], lambda said: map(len, said)
        )
        wanted = [batch.length for batch in together for _ in batch.sources]
        if figures["lengths"] != wanted:
            raise RuntimeError(f"translations of {figures['lengths']} pieces, {wanted} were asked for")
        found[str(search.beam)] = figures
    found["memory"] = peak_memory()
    return found


def batches(sources: Sequence[list[str]], lengths: Sequence[int], sentences: int) -> list[Batch]:
    """From the longest source to the shortest, as this toolkit has them."""
    order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
    cut = [order[first : first + sentences] for first in range(0, len(order), sentences)]
    return [
        Batch([sources[number] for number in numbers], round(statistics.mean(lengths[number] for number in numbers)))
        for numbers in cut
    ]


def measure(
    translate: Callable[[Any], list[Any]],
    warm_up: Iterable[Any],
    together: Iterable[Any],
    alone: Iterable[Any],
    lengths: Callable[[list[Any]], Iterable[int]],
) -> dict[str, Any]:
    """How fast batches are translated, and sentences one by one.

    Args:
        translate: what is measured.
        warm_up: batches translated before the clock runs.
        together: the batches of a whole text.
        alone: batches of one sentence, each of which is timed.
        lengths: of translations, in target pieces, ends of sentences included.
    """
    for batch in warm_up:
        translate(batch)
    begun = time.perf_counter()
    said = [one for batch in together for one in translate(batch)]
    seconds = time.perf_counter() - begun
    waits = []
    for batch in alone:
        begun = time.perf_counter()
        translate(batch)
        waits.append(time.perf_counter() - begun)
    pieces = list(lengths(said))
    return {
        "sentences": len(said) / seconds,
        "tokens": sum(pieces) / seconds,
        "alone": len(waits) / sum(waits),
        "p50": statistics.median(waits) * 1000,
        "p99": sorted(waits)[len(waits) * 99 // 100] * 1000,
        "lengths": pieces,
    }


def peak_memory() -> float:
    """The most megabytes that this process had in memory.

    Not getrusage's figure, which begins with what the process had that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
