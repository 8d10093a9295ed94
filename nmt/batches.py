"""The batch plan: which sentences make batch number i, as a pure function of seed, epoch and index.

Nothing is remembered between batches, so a batch can be printed by its number, training resumes at the very next one,
and any number of readers may ask for the same batch. The plan of an epoch needs the lengths that all sentences have in
it; the sentences themselves only when they stand in a batch. Shape letters: N pairs, B batch, S source length, T target
length.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from nmt.symbols import BOS, EOS, PAD

Ids = Sequence[int]

_LOCATING = threading.Lock()

# What tells the draw of the pairs of a share from other draws of the same seed.
_WALK = 3


@runtime_checkable
class Lazy(Protocol):
    """Sentences whose pieces are made when they are asked for, many at once; only their lengths are known before."""

    def __len__(self) -> int:
        """N."""

    @property
    def lengths(self) -> np.ndarray:
        """[N] pieces of each sentence, without special ids."""

    def take(self, numbers: np.ndarray) -> Sequence[Ids]:
        """The pieces of these sentences."""


@runtime_checkable
class Varying(Protocol):
    """Sentences that have other pieces in every epoch."""

    def __len__(self) -> int:
        """N."""

    def epoch(self, number: int) -> Lazy:
        """The sentences as they are in an epoch, counted from 0: a pure function of its number."""


Sentences = Sequence[Ids] | Lazy | Varying


class Share(NamedTuple):
    """Pairs that stand together in the training text, and how much they count in it."""

    pairs: int
    weight: float  # times that an epoch reads each of them; of its fraction, how many of the pairs it reads once more


class Batch(NamedTuple):
    """Sentence pairs side by side, padded on the right; int32."""

    source: np.ndarray  # [B, S] x_1 … x_n EOS
    target_in: np.ndarray  # [B, T] BOS y_1 … y_m
    target_out: np.ndarray  # [B, T] y_1 … y_m EOS

    def target_tokens(self) -> int:
        """The pieces to predict, ends of sentences included."""
        return int(np.count_nonzero(self.target_out != PAD))

    def part(self, mine: range, total: int) -> Batch:
        """Parts number ``mine`` (from 0) of ``total`` parts of as many rows that together are this batch, filled up."""
        rows = -(-len(self.source) // total)
        return Batch(*(array[mine.start * rows : mine.stop * rows] for array in self.filled(rows * total)))

    def filled(self, rows: int) -> Batch:
        """The batch with ``rows`` rows at least; those added repeat the first source and have nothing to predict."""
        missing = max(0, rows - len(self.source))
        source = np.concatenate([self.source, np.repeat(self.source[:1], missing, axis=0)])
        return Batch(source, *(np.pad(array, ((0, missing), (0, 0))) for array in (self.target_in, self.target_out)))


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
    It reads every pair once, or as ``shares``, which follow one another in the text, say.

    With ``lengths`` (for a backend that compiles a program for every shape, about 5 s each on JAX) all batches come
    in at most that many shapes [B, L]: both sides are padded to the next of these lengths, and a batch short of rows
    repeats its first source with nothing to predict (a row of padding alone would break cuDNN).
    """

    source: Sentences  # pieces of each source sentence, without special ids
    target: Sentences
    batch_tokens: int
    seed: int
    lengths: tuple[int, ...] = ()
    shares: tuple[Share, ...] = ()

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise ValueError(f"a plan needs pairs; got {len(self.source)} sources and {len(self.target)} targets")
        if not len(self.source):
            raise ValueError("a plan needs at least one pair; got none")
        if self.shares and sum(share.pairs for share in self.shares) != len(self.source):
            raise ValueError(f"the shares of a plan must be of its {len(self.source)} pairs; got {self.shares}")
        self.source_lengths(0)

    def source_lengths(self, epoch: int) -> np.ndarray:
        """[N] pieces of each source in an epoch, the end of sentence included."""
        return _lengths(self, epoch if self._is_varying else 0)[0]

    def target_lengths(self, epoch: int) -> np.ndarray:
        """[N] pieces of each target in an epoch, the end of sentence included."""
        return _lengths(self, epoch if self._is_varying else 0)[1]

    def pairs(self, epoch: int) -> np.ndarray:
        """The numbers of the pairs that an epoch reads, in no order; int32 or int64 [M].

        For the fraction of a weight, successive epochs walk through the pairs in an order by chance: all are read
        before any is read again.
        """
        chosen = []
        first = 0
        for number, (size, weight) in enumerate(self.shares or (Share(len(self.source), 1.0),)):
            chosen.append(np.tile(np.arange(size), int(weight)) + first)
            if part := weight % 1 * size:  # pairs, on average
                order = np.random.default_rng([self.seed, number, _WALK]).permutation(size)
                chosen.append(order[np.arange(int(epoch * part), int((epoch + 1) * part)) % size] + first)
            first += size
        return np.concatenate(chosen).astype("int32" if first < 2**31 else "int64")

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The pair numbers of every batch of an epoch, in order."""
        return _epoch(self, epoch)

    def batch(self, position: Position) -> Batch:
        """The batch that stands at ``position``."""
        pairs = self.epoch(position.epoch)[position.number]
        sources, targets = (_take(in_epoch(side, position.epoch), pairs) for side in (self.source, self.target))
        if not self.lengths:
            return pad(sources, targets)
        longest = max(max(map(len, sources)), max(map(len, targets))) + 1
        length = next(length for length in self.lengths if length >= longest)
        return pad(sources, targets, length, max(1, self.batch_tokens // length))

    def locate(self, number: int) -> Position:
        """The position of batch ``number``, counted from 0 over all epochs."""
        with _LOCATING:  # whoever fetches batches ahead asks from a thread of its own
            while number >= self._first[-1]:
                self._first.append(self._first[-1] + len(self.epoch(len(self._first) - 1)))
        epoch = bisect_right(self._first, number) - 1
        return Position(epoch, number - self._first[epoch])

    def target_tokens(self, position: Position) -> int:
        """The target pieces to predict in a batch, ends of sentences included."""
        return int(self.target_lengths(position.epoch)[self.epoch(position.epoch)[position.number]].sum())

    def starts(self, number: int) -> list[int]:
        """The numbers of the first batches of all epochs up to that of batch ``number``."""
        return self._first[: self.locate(number).epoch + 1]

    def remember(self, starts: list[int]) -> None:
        """Take over what ``starts`` gave; ``locate`` need not cut those epochs into batches to count them."""
        self._first[: len(starts)] = starts

    @cached_property
    def _first(self) -> list[int]:
        """The number of the first batch of each epoch, as far as it has been asked for."""
        return [0]

    @cached_property
    def _is_varying(self) -> bool:
        return isinstance(self.source, Varying) or isinstance(self.target, Varying)


@lru_cache(maxsize=3)  # two of training, where one ends and the next begins, and that of the development text
def _lengths(plan: BatchPlan, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    source, target = (lengths_of(in_epoch(side, epoch)) + 1 for side in (plan.source, plan.target))
    longest = int(max(source.max(), target.max()))
    if plan.lengths and max(plan.lengths) < longest:
        raise ValueError(f"lengths must reach {longest}, the longest sentence with its end; got {plan.lengths}")
    return source, target


@lru_cache(maxsize=3)
def _epoch(plan: BatchPlan, epoch: int) -> list[np.ndarray]:
    random = np.random.default_rng([plan.seed, epoch])
    # What a pair is sorted and padded by: its target's length, or the next of the fixed lengths.
    source, width = plan.source_lengths(epoch), plan.target_lengths(epoch)
    pairs = plan.pairs(epoch)
    key = random.permutation(len(pairs))
    if plan.lengths:
        bounds = np.array(plan.lengths, "int32")
        width = bounds[np.searchsorted(bounds, np.maximum(source, width))]
        rank = width
    else:
        rank = width * np.int64(source.max() // 2 + 1) + source // 2
    key += rank[pairs] * np.int64(len(key))  # by rank, then by chance; no two are equal
    order = pairs[key.argsort()]
    del key, rank, pairs
    batches = []
    start = 0
    while start < len(order):
        # Widths only grow along the order, so a batch is as wide as its last pair, and the first says how many rows it
        # can have. Sources do not grow: they count half, so that a misaligned pair with a very long source makes a
        # small batch instead of a huge one.
        pairs = order[start : start + plan.batch_tokens // int(width[order[start]]) + 1]
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


def lengths_of(sentences: Sequence[Ids] | Lazy) -> np.ndarray:
    """int32 [N]: the pieces of each sentence."""
    if isinstance(sentences, Lazy):
        return sentences.lengths
    return np.fromiter(map(len, sentences), "int32", len(sentences))


def in_epoch(sentences: Sentences, number: int) -> Sequence[Ids] | Lazy:
    """The sentences as they are in an epoch."""
    return sentences.epoch(number) if isinstance(sentences, Varying) else sentences


def _take(sentences: Sequence[Ids] | Lazy, numbers: np.ndarray) -> Sequence[Ids]:
    return sentences.take(numbers) if isinstance(sentences, Lazy) else [sentences[number] for number in numbers]


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


def fitted_lengths(source: Sentences, target: Sentences, shapes: int = 8) -> tuple[int, ...]:
    """At most ``shapes`` lengths to pad to, cut where the pairs are: equal shares of all pieces between them.

    Of sentences that vary from epoch to epoch they fit the first one.
    """
    longest = np.sort(np.maximum(*(lengths_of(in_epoch(side, 0)) for side in (source, target)))) + 1
    shares = np.searchsorted(np.cumsum(longest) / longest.sum(), np.arange(1, shapes) / shapes)
    return tuple(sorted({int(longest[share]) for share in shares} | {int(longest[-1])}))


def _rectangle(rows: list[list[int]], height: int, length: int | None) -> np.ndarray:
    array = np.full((height, length or max(map(len, rows), default=1)), PAD, "int32")
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array
