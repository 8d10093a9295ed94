"""What a training will take, from a few steps tried out before it: memory and time; and how large a batch may be.

A step's memory grows with its batch, so the largest batch is tried first: what does not fit fails at once, not hours
later. The steps leave no trace: ``training`` puts every variable back.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from nmt.batches import Batch, BatchPlan, Position

# Of ``batch_tokens: auto``. Two sizes tell how memory grows; the batches of an epoch must not become few.
TRIED = (1000, 2000)
LARGEST = 25_000
BATCHES_AN_EPOCH = 50
# What a training may fill of the memory that is free, for what is not foreseen.
SHARE = 0.7

TIMED_STEPS = 3


class Forecast(NamedTuple):
    """What a training will take."""

    weights: int
    batch_tokens: int
    step_memory: int  # bytes that the largest step takes
    free_memory: int  # bytes that were free before
    updates: int
    epochs: float
    seconds: float  # of all updates, validations aside

    def __str__(self) -> str:
        minutes = round(self.seconds / 60)
        time = f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{max(1, minutes)} min"
        return (
            f"forecast: {self.weights:,} weights; {self.step_memory / 1e9:.2f} GB for the largest step, "
            f"{self.free_memory / 1e9:.2f} GB are free; {self.updates:,} updates of up to {self.batch_tokens:,} target "
            f"pieces ({self.epochs:.1f} epochs) in about {time}, validations aside"
        )


@dataclass
class Trial:
    """Steps to be tried on batches of ``plan``; ``record`` takes what each of them took."""

    plan: BatchPlan
    auto: bool  # also to find out how many tokens fit
    steps: list[Batch] = field(init=False)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)  # bytes that training had taken at most, after each step

    def __post_init__(self) -> None:
        plans = [replace(self.plan, batch_tokens=tokens) for tokens in TRIED] if self.auto else [self.plan]
        self.steps = [largest(plan) for plan in plans]
        self.steps += [typical(plans[-1])] * (1 + TIMED_STEPS)  # the first of these may still be compiled

    @property
    def tells_size(self) -> bool:
        """Whether the steps that ``fitting_tokens`` needs are over; more follow, as batches are fetched ahead."""
        return len(self.seconds) >= len(TRIED)

    @property
    def finished(self) -> bool:
        return len(self.seconds) == len(self.steps)

    def record(self, seconds: float, memory: int) -> None:
        """What the next step took: ``memory`` is the most bytes that training has held so far."""
        self.seconds.append(seconds)
        self.memory.append(memory)

    def fitting_tokens(self, free: int) -> int:
        """The ``batch_tokens`` whose largest step fits into ``SHARE`` of ``free`` bytes, if so many are useful."""
        small, large = (batch.source.size + batch.target_in.size for batch in self.steps[:2])
        # Where the first step hid the second's peak (compiling may): half of what the pieces would share evenly.
        least = self.memory[1] / (2 * large)
        piece = max(least, (self.memory[1] - self.memory[0]) / max(1, large - small))  # bytes
        token = piece * large / TRIED[1]
        fitting = TRIED[1] + (SHARE * free - self.memory[1]) / token
        useful = int(self.plan.target_lengths(0)[self.plan.pairs(0)].sum()) // BATCHES_AN_EPOCH
        return max(16, int(min(fitting, useful, LARGEST)))

    def forecast(self, plan: BatchPlan, weights: int, updates: int, batches_an_update: int, free: int) -> Forecast:
        """Of ``updates`` on the batches of ``plan``, which is that of the trial or, after ``auto``, a larger one."""
        seconds_a_piece = statistics.median(self.seconds[-TIMED_STEPS:]) / self.steps[-1].target_in.size
        batches = plan.epoch(0)
        pieces = sum(len(pairs) * int(plan.target_lengths(0)[pairs].max()) for pairs in batches) / len(batches)
        of_largest = max(batch.source.size + batch.target_in.size for batch in self.steps)
        largest_now = _padded(plan, max(batches, key=lambda pairs: _padded(plan, pairs)))
        return Forecast(
            weights=weights,
            batch_tokens=plan.batch_tokens,
            step_memory=int(max(self.memory) * largest_now / of_largest),
            free_memory=free,
            updates=updates,
            epochs=updates * batches_an_update / len(batches),
            seconds=updates * batches_an_update * pieces * seconds_a_piece,
        )


def largest(plan: BatchPlan) -> Batch:
    """The batch of the first epoch with the most pieces, padding included."""
    sizes = [_padded(plan, pairs) for pairs in plan.epoch(0)]
    return plan.batch(Position(0, sizes.index(max(sizes))))


def typical(plan: BatchPlan) -> Batch:
    """A batch of the first epoch of middling size."""
    sizes = [_padded(plan, pairs) for pairs in plan.epoch(0)]
    return plan.batch(Position(0, sizes.index(statistics.median_low(sizes))))


def _padded(plan: BatchPlan, pairs: np.ndarray) -> int:
    """Pieces of a batch of ``pairs`` of the first epoch, padding included."""
    return len(pairs) * int(plan.source_lengths(0)[pairs].max() + plan.target_lengths(0)[pairs].max())
