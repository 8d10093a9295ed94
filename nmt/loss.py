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
    if label_smoothing:
        pieces = logits.shape[-1]
        spread = label_smoothing / pieces
        here, elsewhere = (ops.convert_to_tensor(q, logits.dtype) for q in (1 - label_smoothing + spread, spread))
        at_target = ops.equal(ops.arange(pieces, dtype=target.dtype), ops.expand_dims(target, -1))  # [B, T, V]
        # q in full, since TensorFlow has loss and gradient for it in one operation: half the time and memory of adding
        # the smoothing's terms to the loss below, each of which has a gradient as large as the logits.
        wanted = ops.where(at_target, here, elsewhere)
        losses = ops.categorical_crossentropy(wanted, logits, from_logits=True)
    else:
        losses = ops.sparse_categorical_crossentropy(target, logits, from_logits=True)
    return ops.where(ops.not_equal(target, PAD), losses, 0.0)


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
