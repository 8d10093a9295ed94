"""What every contestant of ``peers.py`` shares: what is asked of it, the batches, the clock. Needs numpy alone.

A contestant is a script that is run in an environment of its own as ``python SCRIPT CONTEST RESULT``. CONTEST is a JSON
file that says what to train (the recipe's model and training sections and where the text is), RESULT is where it writes
what it measured. Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3  # as in nmt.symbols, which other environments do not have


class Batch(NamedTuple):
    source: np.ndarray  # [B, S] x_1 … x_n END
    target_in: np.ndarray  # [B, T] BEGIN y_1 … y_m
    target_out: np.ndarray  # [B, T] y_1 … y_m END

    @property
    def tokens(self) -> int:
        """Target pieces to predict: no padding, ends of sentences included."""
        return int((self.target_out != PAD).sum())


def read() -> SimpleNamespace:
    """What is asked: the CONTEST file, its sections as attributes."""
    return json.loads(Path(sys.argv[1]).read_text(), object_hook=lambda section: SimpleNamespace(**section))


def batches(contest: SimpleNamespace) -> Iterator[Batch]:
    """The batches of this toolkit's own plan, in its order, again and again."""
    with np.load(contest.text.batches) as file:
        sentences = [np.split(file[side], np.cumsum(file[f"{side}_lengths"])[:-1]) for side in ("source", "target")]
        bounds = np.cumsum([0, *file["batch_sizes"]])
    while True:
        for first, last in pairwise(bounds):
            source, target = (side[first:last] for side in sentences)
            yield Batch(
                _rectangle([*ids, END] for ids in source),
                _rectangle([BEGIN, *ids] for ids in target),
                _rectangle([*ids, END] for ids in target),
            )


def _rectangle(rows: Iterable[list[int]]) -> np.ndarray:
    rows = list(rows)
    array = np.full((len(rows), max(map(len, rows))), PAD, "int64")
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array


class Clock:
    """Target tokens a second between the end of the last warm-up update and the end of the last update."""

    def __init__(self, contest: SimpleNamespace) -> None:
        self.warmup, self.updates = contest.warmup, contest.updates
        self.tokens: list[int] = []
        self.moments: list[float] = []

    def update_ended(self, tokens: int) -> None:
        """Call after every update, with the target tokens that it predicted."""
        self.tokens.append(tokens)
        self.moments.append(time.perf_counter())

    @property
    def rate(self) -> float:
        last = self.warmup + self.updates
        if len(self.tokens) < last:
            raise RuntimeError(f"only {len(self.tokens)} updates were made, {last} were asked for")
        return sum(self.tokens[self.warmup : last]) / (self.moments[last - 1] - self.moments[self.warmup - 1])


def write(rate: float, weights: int, multiplied: int, versions: dict[str, str]) -> None:
    """Write the RESULT file.

    Args:
        rate: real target tokens a second.
        weights: all trained parameters.
        multiplied: those of them that one source piece and one target piece are multiplied with; one forward pass over
            such a pair takes two floating-point operations for each, its gradients twice as many.
        versions: of the packages that matter.
    """
    result: dict[str, Any] = {"rate": rate, "weights": weights, "multiplied": multiplied, "versions": versions}
    Path(sys.argv[2]).write_text(json.dumps(result))


def multiplied(shapes: dict[str, tuple[int, ...]], *not_for_each_pair: str) -> int:
    """How many weights are in matrices, those aside whose names begin with one of ``not_for_each_pair``.

    These are embeddings, which are looked up, and what makes the decoder's first state, once a sentence.
    """
    return sum(
        int(np.prod(shape))
        for name, shape in shapes.items()
        if len(shape) == 2 and min(shape) > 1 and not name.startswith(not_for_each_pair)
    )
