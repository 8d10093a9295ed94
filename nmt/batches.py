"""The batch plan: which sentences make batch number i, as a pure function of seed, epoch and index.

Nothing is remembered between batches, so a batch can be printed by its number, training resumes at the very next one,
and any number of readers may ask for the same batch. Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from nmt.symbols import BOS, EOS, PAD

Ids = Sequence[int]


class Batch(NamedTuple):
    """Sentence pairs side by side, padded on the right; int32."""

    source: np.ndarray  # [B, S] x_1 … x_n EOS
    target_in: np.ndarray  # [B, T] BOS y_1 … y_m
    target_out: np.ndarray  # [B, T] y_1 … y_m EOS

    def target_tokens(self) -> int:
        """The pieces to predict, ends of sentences included."""
        return int(np.count_nonzero(self.target_out != PAD))

    def part(self, number: int, parts: int) -> Batch:
        """Part ``number`` (from 0) of ``parts`` that together are this batch, each of as many rows.

        What is missing in the last ones is filled up as in ``pad``: with the first source and nothing to predict.
        """
        rows = -(-len(self.source) // parts)
        source, target_in, target_out = (array[number * rows : (number + 1) * rows] for array in self)
        missing = rows - len(source)
        if missing:
            source = np.concatenate([source, np.repeat(self.source[:1], missing, axis=0)])
            target_in, target_out = (np.pad(array, ((0, missing), (0, 0))) for array in (target_in, target_out))
        return Batch(source, target_in, target_out)


class Position(NamedTuple):
    """Where in the training text a batch stands."""

    epoch: int  # from 0
    number: int  # of the batch within its epoch, from 0


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """Batches of about ``batch_tokens`` target pieces, padding included, each of sentences of similar length.

    A batch has at most twice as many source pieces.

    An epoch sorts the pairs by target length, then by source length in steps of two, then by chance; cuts them where
    the budget is full; and shuffles the batches. So padding is a few per cent, and the batches of two epochs differ.

    With ``lengths`` (for a backend that compiles a program for every shape, about 5 s each on JAX) all batches come
    in at most that many shapes [B, L]: both sides are padded to the next of these lengths, and a batch short of rows
    repeats its first source with nothing to predict (a row of padding alone would break cuDNN).
    """

    source: Sequence[Ids]  # pieces of each source sentence, without special ids
    target: Sequence[Ids]
    batch_tokens: int
    seed: int
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise ValueError(f"a plan needs pairs; got {len(self.source)} sources and {len(self.target)} targets")
        if not self.source:
            raise ValueError("a plan needs at least one pair; got none")
        longest = max(map(len, (*self.source, *self.target))) + 1
        if self.lengths and max(self.lengths) < longest:
            raise ValueError(f"lengths must reach {longest}, the longest sentence with its end; got {self.lengths}")

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The pair numbers of every batch of an epoch, in order."""
        return _epoch(self, epoch)

    def batch(self, position: Position) -> Batch:
        """The batch that stands at ``position``."""
        pairs = self.epoch(position.epoch)[position.number]
        sources, targets = [self.source[pair] for pair in pairs], [self.target[pair] for pair in pairs]
        if not self.lengths:
            return pad(sources, targets)
        longest = max(max(map(len, sources)), max(map(len, targets))) + 1
        length = next(length for length in self.lengths if length >= longest)
        return pad(sources, targets, length, max(1, self.batch_tokens // length))

    def locate(self, number: int) -> Position:
        """The position of batch ``number``, counted from 0 over all epochs."""
        epoch = 0
        while number >= (size := _size(self, epoch)):
            number -= size
            epoch += 1
        return Position(epoch, number)

    def target_tokens(self, position: Position) -> int:
        """The target pieces to predict in a batch, ends of sentences included."""
        return int(_lengths_of(self)[1][self.epoch(position.epoch)[position.number]].sum())


@lru_cache(maxsize=2)
def _lengths_of(plan: BatchPlan) -> tuple[np.ndarray, np.ndarray]:
    """Source and target lengths, the end of sentence included."""
    return (
        np.fromiter((len(ids) + 1 for ids in plan.source), "int64", len(plan.source)),
        np.fromiter((len(ids) + 1 for ids in plan.target), "int64", len(plan.target)),
    )


@lru_cache(maxsize=4)
def _epoch(plan: BatchPlan, epoch: int) -> list[np.ndarray]:
    random = np.random.default_rng([plan.seed, epoch])
    source, target = _lengths_of(plan)
    chance = random.permutation(len(source))
    if plan.lengths:
        bounds = np.array(plan.lengths)
        width = bounds[np.searchsorted(bounds, np.maximum(source, target))]  # the length each pair is padded to
        order = np.lexsort((chance, width))
    else:
        width = target
        order = np.lexsort((chance, source // 2, target))
    batches = []
    start = 0
    while start < len(order):
        # Widths only grow along the order, so a batch is as wide as its last pair. Sources do not: they count half, so
        # that a misaligned pair with a very long source makes a small batch instead of a huge one.
        pairs = order[start : start + plan.batch_tokens]
        widths = width[pairs]
        sources = np.maximum.accumulate(source[pairs])
        rows = np.arange(1, len(pairs) + 1)
        full = np.maximum(widths, sources / 2) * rows > plan.batch_tokens
        if plan.lengths:
            full |= widths != widths[0]
        size = max(1, int(full.argmax()) if full.any() else len(widths))
        batches.append(order[start : start + size])
        start += size
    return [batches[index] for index in random.permutation(len(batches))]


@cache
def _size(plan: BatchPlan, epoch: int) -> int:
    return len(_epoch(plan, epoch))


def pad(sources: Sequence[Ids], targets: Sequence[Ids], length: int | None = None, rows: int | None = None) -> Batch:
    """The batch of these pairs, as wide and high as they need or as ``length`` and ``rows`` say."""
    height = rows or len(sources)
    target_in = _rectangle([[BOS, *target] for target in targets], height, length)
    target_out = _rectangle([[*target, EOS] for target in targets], height, length)
    source = pad_source(sources, height, length)
    source[len(sources) :] = source[0]
    return Batch(source, target_in, target_out)


def pad_source(sources: Sequence[Ids], rows: int | None = None, length: int | None = None) -> np.ndarray:
    """Sentences to translate, as int32 [B, S] with their end of sentence."""
    return _rectangle([[*source, EOS] for source in sources], rows or len(sources), length)


def fitted_lengths(source: Sequence[Ids], target: Sequence[Ids], shapes: int = 8) -> tuple[int, ...]:
    """At most ``shapes`` lengths to pad to, cut where the pairs are: equal shares of all pieces between them."""
    longest = np.sort([max(len(s), len(t)) + 1 for s, t in zip(source, target, strict=True)])
    shares = np.searchsorted(np.cumsum(longest) / longest.sum(), np.arange(1, shapes) / shapes)
    return tuple(sorted({int(longest[share]) for share in shares} | {int(longest[-1])}))


def _rectangle(rows: list[list[int]], height: int, length: int | None) -> np.ndarray:
    array = np.full((height, length or max(map(len, rows), default=1)), PAD, "int32")
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array
