"""What training minimises and validation reports, per target token.

Shape letters: B batch, T target length, V pieces.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from nmt.symbols import PAD


def cross_entropy(logits: Any, target: Any, label_smoothing: float = 0.0) -> Any:
    """Smoothed cross-entropy of every position, [B, T] in float32 or better; zero where ``target`` [B, T] is padding.

    With smoothing e the wanted distribution q is (1 - e) on the target and e spread over all V pieces (Szegedy et al.
    2016, arXiv:1512.00567, section 7). The loss of ``logits`` [B, T, V] is

        - sum_v q(v) log softmax(logits)(v)
    """
    logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
    pieces = logits.shape[-1]
    spread = label_smoothing / pieces
    here = 1 - label_smoothing + spread  # q at the target
    target = ops.cast(target, "int32")

    # Loss and gradient written out, because each operation reads or writes as much as all logits: the exponentials
    # serve both, and the gradient differs from softmax - spread at one place a row only.
    @ops.custom_gradient
    def smoothed(logits: Any) -> Any:
        largest = ops.max(logits, axis=-1, keepdims=True)
        at_target = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)  # [B, T, 1]
        exponentials = ops.exp(logits - largest)
        total = ops.sum(exponentials, axis=-1, keepdims=True)
        losses = ops.log(total) + largest - (here - spread) * at_target  # = - log softmax at the target, weighted
        if label_smoothing:
            losses -= spread * ops.sum(logits, axis=-1, keepdims=True)

        def gradient(*arguments: Any, upstream: Any = None) -> Any:
            scale = ops.expand_dims(arguments[0] if upstream is None else upstream, -1)
            slope_at_target = ops.exp(at_target - largest) * (scale / total) - here * scale
            is_target = ops.equal(ops.arange(pieces, dtype="int32"), ops.expand_dims(target, -1))  # [B, T, V]
            return ops.where(is_target, slope_at_target, exponentials * (scale / total) - spread * scale)

        return ops.squeeze(losses, -1), gradient

    return ops.where(ops.not_equal(target, PAD), smoothed(logits), 0.0)


def disagreement(first: Any, second: Any, target: Any) -> Any:
    """How far two predictions are apart at every position, [B, T] in float32 or better; zero where there is padding.

    The mean of both Kullback-Leibler divergences (R-Drop: Liang et al. 2021, arXiv:2106.14448, equation 2). With the
    logits a = ``first`` and b = ``second`` [B, T, V], p = softmax(a) and q = softmax(b),

        (KL(p || q) + KL(q || p)) / 2 = sum_v (p(v) - q(v)) (a(v) - b(v)) / 2

    because log p - log q is a - b but for a constant, and p - q sums to zero. Both are learnt from.
    """
    precision = keras.backend.result_type(first.dtype, "float32")
    first, second = ops.cast(first, precision), ops.cast(second, precision)
    apart = (ops.softmax(first) - ops.softmax(second)) * (first - second)  # [B, T, V]
    return ops.where(ops.not_equal(target, PAD), ops.sum(apart, axis=-1) / 2, 0.0)


def token_mean(losses: Any, target: Any) -> Any:
    """The mean of ``losses`` [B, T] over the target pieces that are not padding (end of sentence included)."""
    return ops.divide(ops.sum(losses), ops.maximum(token_count(target), 1.0))


def token_count(target: Any) -> Any:
    """How many pieces of ``target`` [B, T] are not padding, as float32."""
    return ops.sum(ops.cast(ops.not_equal(target, PAD), "float32"))


class Tally(NamedTuple):
    """Sums over the target pieces of a batch or a corpus; add them up, then divide by ``tokens``."""

    negative_log_likelihood: Any
    correct: Any
    tokens: Any


def tally(logits: Any, target: Any) -> Tally:
    """Unsmoothed negative log-likelihood, right guesses and count of the pieces of ``target`` [B, T]."""
    right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), target.dtype), target)
    right = ops.logical_and(right, ops.not_equal(target, PAD))
    losses = cross_entropy(logits, target)
    return Tally(ops.sum(losses), ops.sum(ops.cast(right, "float32")), token_count(target))
