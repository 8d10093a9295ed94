"""Greedy and beam search over a step function; search knows no model.

The step function is given by an engine::

    expand(tokens [R], parents [R], state, memory) -> (log_probabilities [R, C], ids [R, C], state)

It feeds the last piece of R sequences, of which each grew from row ``parents`` of the state, and names the C best next
pieces of each, best first, with their log-probabilities (log-softmax of this step alone). ``log_probabilities`` of -inf
mark what cannot be: PAD and BOS always, and whatever fills up C where the vocabulary is smaller than C.

``state`` is the engine's own, a row a sequence, and search only hands it on. ``memory`` is what never changes, any nest
of tuples, named tuples, lists and dicts of arrays with a row a sentence: once enough sentences are done, search drops
their rows, and feeds their sequences no more. Where it is None, the engine keeps it in ``expand``, and its rows stay as
they are. Greedy search has one row a sentence, beam search K: rows 0..K-1 belong to sentence 0, and so on. Rows that
hold nothing any more are fed as well, some of them PAD, and what comes of them is not used.

A beam keeps its live and its finished sequences apart, so that a live sequence never holds the end token:

    begin                                           one live sequence a sentence: nothing written yet
    until every sentence is done:
        expand                                      the C best next pieces of each live sequence
        advance                                     the best 2K of these K * C candidates, best first:
                                                      those among the first K that end try to enter the finished set,
                                                      the first K that do not end live on
        pick                                        now and then: the sentences that are not done
    the finished set, best first                    where it has fewer than K, the empty sequences of the beginning

The rules are written once, over the array namespace ``ops`` that is handed in: ``numpy`` in the host loop that drives
an engine, ``keras.ops`` in a traced graph. Ties go to the lower index in both.

Shape letters: B batch, K beam, R rows (B, or B * K), C candidates, T pieces of the longest length limit.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from nmt.symbols import BOS, EOS, PAD

Array = Any  # numpy's or the backend's
State = Any  # a nest of arrays
Memory = Any  # a nest of arrays, or None
Expand = Callable[[Array, Array, State, Memory], tuple[Array, Array, State]]

# The rows that are left are picked out when they are this share of what is fed, or less: it costs as much as a step.
_WORTH_PICKING = 0.75


class Hypotheses(NamedTuple):
    """The translations found for each sentence, best first.

    Where a sentence has fewer than K, the rest are PAD throughout with a log-probability and a score of -inf.
    """

    ids: Array  # [B, K, T] int32: without BOS, with EOS where the sequence ended within its limit, PAD behind
    log_probabilities: Array  # [B, K] float32: the sum over the pieces, EOS included
    scores: Array  # [B, K] float32: log_probabilities / length_penalty


class BeamState(NamedTuple):
    """Where a beam search stands."""

    length: Array  # [] int32: pieces in every live sequence
    tokens: Array  # [B * K] int32: the last piece of every live sequence, BOS at first
    live_ids: Array  # [B, K, T] int32
    live_log_probabilities: Array  # [B, K] float32, best first; -inf where there is no such sequence
    finished_ids: Array  # [B, K, T] int32
    finished_log_probabilities: Array  # [B, K] float32
    finished_scores: Array  # [B, K] float32, best first; -inf where there is no such sequence
    done: Array  # [B] bool: the finished set is final


def length_penalty(length: Array, alpha: float) -> Array:
    """((5 + length) / 6) ** alpha, by which a log-probability is divided (Wu et al. 2016, arXiv:1609.08144, eq. 14).

    ``length`` counts pieces, EOS included, as a float or an array of floats; an ``alpha`` of 0 leaves log-probabilities
    as they are, a larger one favours longer translations. The paper's coverage penalty is left out.
    """
    return ((5 + length) / 6) ** alpha


def greedy(expand: Expand, state: State, memory: Memory, max_length: Array) -> Hypotheses:
    """The best next piece at every step, until EOS or the sentence's limit.

    Args:
        expand: the step function of the module's docstring, with R = B and any C.
        state: its first state, B rows.
        memory: what never changes, B rows, or None.
        max_length: [B] ints of at least 1, the most pieces of each sentence, EOS included.

    Returns:
        Hypotheses with K = 1; ``scores`` are the log-probabilities, since nothing is compared.

    Raises:
        ValueError: ``max_length``, the rows of ``memory`` or what ``expand`` returns is not of this form.
    """
    max_length = _checked_limits(max_length)
    _check_memory(memory, len(max_length))
    ids = numpy.full((len(max_length), 1, max_length.max(initial=0)), PAD, dtype="int32")  # [B, 1, T]
    log_probabilities = numpy.zeros((len(max_length), 1), dtype="float32")  # [B, 1]
    sentences = parents = numpy.arange(len(max_length), dtype="int32")  # [R]: of each row; from which row it grew
    tokens = numpy.full(len(sentences), BOS, dtype="int32")  # [R]
    running = numpy.full(len(sentences), True)  # [R]
    length = 0
    while running.any():
        candidates, pieces, state = expand(tokens, parents, state, memory)  # [R, C]
        _check_candidates(candidates, pieces, len(sentences), at_least=1)
        tokens = numpy.array(pieces[:, 0], dtype="int32")  # [R]
        ids[sentences[running], 0, length] = tokens[running]
        log_probabilities[sentences[running], 0] += candidates[running, 0]
        length += 1
        running &= (tokens != EOS) & (length < max_length[sentences])
        parents = numpy.arange(len(sentences), dtype="int32")
        if _worth_picking(memory, running):
            memory = gather_rows(numpy, memory, numpy.flatnonzero(running))
            sentences, parents, tokens = sentences[running], parents[running], tokens[running]
            running = running[running]
    return Hypotheses(ids, log_probabilities, log_probabilities)


def beam(expand: Expand, state: State, memory: Memory, beam_size: int, max_length: Array, alpha: float) -> Hypotheses:
    """The best K translations that a beam of K = ``beam_size`` finds, by score.

    A sentence stops as soon as its best live sequence cannot beat the worst of K finished ones any more, or at its
    length limit; then its result is frozen, so that a sentence gets the same result in every batch. Only at the limit,
    and only where nothing is finished, the unfinished sequences are returned. A candidate that ends is finished only
    if it is among the K best of its step (as in fairseq; Flax takes any of the 2K best): so a beam of 1 with
    ``alpha`` 0 is greedy search.

    Args:
        expand: the step function of the module's docstring, with R = B * K and C >= 2 * K. Of the best 2 * K
            candidates at most K are EOS, one a row, so that K always remain to live on.
        state: its first state, B * K rows.
        memory: what never changes, B rows, or None.
        beam_size: K, at least 1.
        max_length: [B] ints of at least 1, the most pieces of each sentence, EOS included.
        alpha: the exponent of the length penalty, at least 0.

    Raises:
        ValueError: an argument, or what ``expand`` returns, is not of this form.
    """
    _check_beam(beam_size, alpha)
    max_length = _checked_limits(max_length)
    _check_memory(memory, len(max_length))
    beam, parents = begin(numpy, beam_size, max_length)
    found = Hypotheses(*map(numpy.copy, _finished(beam)))
    sentences = numpy.arange(len(max_length))  # [B']: those that are fed
    while not beam.done.all():
        log_probabilities, ids, state = expand(beam.tokens, parents, state, memory)
        beam, parents = advance(numpy, beam, log_probabilities, ids, max_length[sentences], alpha)
        if beam.done.all() or _worth_picking(memory, ~beam.done):
            for all_of_them, those in zip(found, _finished(beam), strict=True):
                all_of_them[sentences] = those
            left = numpy.flatnonzero(~beam.done)
            beam, parents = _pick(beam, parents, left)
            memory = gather_rows(numpy, memory, left)
            sentences = sentences[left]
    return found


def beam_in_graph(
    ops: Any, expand: Expand, state: State, memory: Memory, beam_size: int, max_length: Array, alpha: float
) -> Hypotheses:
    """``beam`` as one ``while_loop`` of ``ops`` (``keras.ops``), to be traced into a TensorFlow graph.

    The batch size and the limits may be unknown when it is traced, and the batch may be empty; T is the longest limit.
    A limit below 1 cannot be refused inside a graph: it gives PAD throughout and scores of -inf. Every array of
    ``state`` must keep its shape and dtype from step to step; no row of ``memory`` is dropped.
    """
    _check_beam(beam_size, alpha)
    max_length = ops.array(max_length, dtype="int32")

    def unfinished(beam: BeamState, parents: Array, state: State) -> Array:
        return ops.any(~beam.done)

    def step(beam: BeamState, parents: Array, state: State) -> tuple[BeamState, Array, State]:
        log_probabilities, ids, state = expand(beam.tokens, parents, state, memory)
        return *advance(ops, beam, log_probabilities, ids, max_length, alpha), state

    beam, _, _ = ops.while_loop(unfinished, step, (*begin(ops, beam_size, max_length), state))
    return _finished(beam)


def _finished(beam: BeamState) -> Hypotheses:
    return Hypotheses(beam.finished_ids, beam.finished_log_probabilities, beam.finished_scores)


def _worth_picking(memory: Memory, running: Array) -> bool:
    """Whether the rows that are ``running`` are so few that the others should go."""
    return memory is not None and 0 < int(numpy.count_nonzero(running)) <= _WORTH_PICKING * len(running)


def _pick(beam: BeamState, parents: Array, sentences: Array) -> tuple[BeamState, Array]:
    """The beam of these ``sentences`` alone; its rows have grown from the same rows as before."""
    rows = (sentences[:, None] * beam.live_ids.shape[1] + numpy.arange(beam.live_ids.shape[1])).reshape(-1)  # [R]
    picked = {
        name: array if name == "length" else array[rows if name == "tokens" else sentences]
        for name, array in beam._asdict().items()
    }
    return BeamState(**picked), parents[rows]


def begin(ops: Any, beam_size: int, max_length: Array) -> tuple[BeamState, Array]:
    """The beam before its first step: one live sequence a sentence, so that the first step gives K different ones.

    Beside it, as of ``advance``, the rows [B * K] which these sequences grew from: each from its own.
    """
    batch_size = ops.shape(max_length)[0]
    longest = ops.max(max_length, initial=0)  # T
    nothing = ops.full((batch_size, beam_size, longest), PAD, dtype="int32")
    impossible = ops.full((batch_size, beam_size), -math.inf, dtype="float32")
    beam = BeamState(
        length=ops.array(0, dtype="int32"),
        tokens=ops.full((batch_size * beam_size,), BOS, dtype="int32"),
        live_ids=nothing,
        live_log_probabilities=ops.where(ops.arange(beam_size) == 0, ops.zeros_like(impossible), impossible),
        finished_ids=nothing,
        finished_log_probabilities=impossible,
        finished_scores=impossible,
        done=max_length < 1,
    )
    return beam, ops.arange(batch_size * beam_size, dtype="int32")


def advance(
    ops: Any, beam: BeamState, log_probabilities: Array, ids: Array, max_length: Array, alpha: float
) -> tuple[BeamState, Array]:
    """One step of the beam, given the candidates of every live sequence.

    Args:
        log_probabilities, ids: [B * K, C] as ``expand`` returns them.
        max_length: [B] int32.

    Returns:
        The beam after the step, and ``parents`` [B * K]: for every sequence that lives on, the row which it grew from.
    """
    batch_size, beam_size, longest = ops.shape(beam.live_ids)
    candidates = ops.shape(log_probabilities)[1]
    _check_candidates(log_probabilities, ids, batch_size * beam_size, at_least=2 * beam_size)
    length = beam.length + 1

    # The 2K best of all candidates, best first.
    totals = ops.reshape(ops.array(log_probabilities, dtype="float32"), (batch_size, beam_size, candidates))
    totals = ops.reshape(totals + beam.live_log_probabilities[:, :, None], (batch_size, beam_size * candidates))
    best = _descending(ops, totals)[:, : 2 * beam_size]  # [B, 2K]
    totals = _choose(ops, totals, best)  # [B, 2K]
    pieces = ops.reshape(ops.array(ids, dtype="int32"), (batch_size, beam_size * candidates))
    pieces = _choose(ops, pieces, best)  # [B, 2K]
    parents = best // candidates  # [B, 2K] in 0..K-1
    sequences = _choose(ops, beam.live_ids, parents)  # [B, 2K, T]
    sequences = ops.where(ops.arange(longest) == beam.length, pieces[:, :, None], sequences)  # [B, 2K, T]

    # Finished: the K best of the old ones and of those that end now. A done sentence takes none, which freezes it.
    ended = pieces == EOS  # [B, 2K]
    scores = totals / length_penalty(ops.array(length, dtype="float32"), alpha)  # [B, 2K]
    found = ops.where(ended & (ops.arange(2 * beam_size) < beam_size), scores, -math.inf)  # [B, 2K]
    at_limit = length >= max_length  # [B]
    unfinished = at_limit & (ops.maximum(beam.finished_scores[:, 0], ops.max(found, axis=1)) == -math.inf)  # [B]
    found = ops.where(unfinished[:, None] & ~ended, scores, found)  # [B, 2K]
    found = ops.where(beam.done[:, None], -math.inf, found)  # [B, 2K]
    found = ops.concatenate([beam.finished_scores, found], axis=1)  # [B, 3K]
    best = _descending(ops, found)[:, :beam_size]  # [B, K]
    finished_scores = _choose(ops, found, best)  # [B, K]
    finished_log_probabilities = ops.concatenate([beam.finished_log_probabilities, totals], axis=1)  # [B, 3K]
    finished_ids = ops.concatenate([beam.finished_ids, sequences], axis=1)  # [B, 3K, T]

    # Live: the K best that do not end.
    totals = ops.where(ended, -math.inf, totals)  # [B, 2K]
    alive = _descending(ops, totals)[:, :beam_size]  # [B, K]
    live_log_probabilities = _choose(ops, totals, alive)  # [B, K]

    # A live sequence only loses probability, so its score can never exceed this bound, since alpha >= 0.
    bound = live_log_probabilities[:, 0] / length_penalty(ops.array(max_length, dtype="float32"), alpha)  # [B]
    after = BeamState(
        length=length,
        tokens=ops.reshape(_choose(ops, pieces, alive), (batch_size * beam_size,)),
        live_ids=_choose(ops, sequences, alive),
        live_log_probabilities=live_log_probabilities,
        finished_ids=_choose(ops, finished_ids, best),
        finished_log_probabilities=_choose(ops, finished_log_probabilities, best),
        finished_scores=finished_scores,
        done=beam.done | at_limit | (bound <= finished_scores[:, -1]),
    )
    parents = ops.array(_choose(ops, parents, alive), dtype="int32") + _first_rows(ops, batch_size, beam_size)  # [B, K]
    return after, ops.reshape(parents, (batch_size * beam_size,))


def repeat_rows(ops: Any, nest: Any, times: int) -> Any:
    """Every row of every array in the nest, ``times`` times one after the other: [B, ...] → [B * times, ...]."""
    return _map(lambda array: ops.repeat(array, times, axis=0), nest)


def gather_rows(ops: Any, nest: Any, rows: Array) -> Any:
    """The given ``rows`` [R] of every array in the nest, in this order."""
    return _map(lambda array: ops.take(array, rows, axis=0), nest)


def _map(function: Callable[[Array], Any], nest: Any) -> Any:
    if nest is None:  # an array that this nest does without
        return None
    if isinstance(nest, dict):
        return {key: _map(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(_map(function, value) for value in nest))
    if isinstance(nest, tuple | list):
        return type(nest)(_map(function, value) for value in nest)
    return function(nest)


def _descending(ops: Any, scores: Array) -> Array:
    """The order [B, N] of scores [B, N], best first and the lower index first among equals."""
    if ops is numpy:
        return numpy.argsort(-scores, axis=-1, kind="stable")
    return ops.argsort(-scores, axis=-1)  # stable on every backend, so keras.ops has no argument for it


def _choose(ops: Any, array: Array, order: Array) -> Array:
    """For each sentence the entries ``order`` [B, M] of ``array`` [B, N, ...]: [B, M, ...]."""
    batch_size, entries, *rest = ops.shape(array)
    rows = ops.reshape(array, (batch_size * entries, *rest))
    return ops.take(rows, order + _first_rows(ops, batch_size, entries), axis=0)


def _first_rows(ops: Any, batch_size: Any, rows: Any) -> Array:
    """[B, 1] int32: where each sentence begins in an array of ``rows`` rows a sentence."""
    return (ops.arange(batch_size, dtype="int32") * rows)[:, None]


def _check_beam(beam_size: int, alpha: float) -> None:
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1; got {beam_size}. A beam of 1 is greedy search.")
    if not 0 <= alpha < math.inf:
        raise ValueError(
            f"The length penalty's alpha must be a finite number of at least 0; got {alpha}. "
            "0 compares plain log-probabilities, 0.6 to 1 is usual."
        )


def _checked_limits(max_length: Array) -> Array:
    limits = numpy.asarray(max_length)
    if limits.ndim != 1 or (limits.size and (limits.dtype.kind not in "iu" or limits.min() < 1)):
        raise ValueError(
            "max_length must hold one whole number of at least 1 for each sentence, the most pieces of its translation "
            f"with the end token; got {max_length!r}."
        )
    return limits.astype("int32")


def _check_memory(memory: Memory, rows: int) -> None:
    def check(array: Array) -> None:
        if numpy.shape(array)[:1] != (rows,):
            raise ValueError(
                f"Every array of the memory must have {rows} rows, one for each sentence; got the shape "
                f"{numpy.shape(array)}."
            )

    _map(check, memory)


def _check_candidates(log_probabilities: Array, ids: Array, rows: Any, at_least: int) -> None:
    # Inside a graph the rows are unknown; the number of candidates is always known.
    shapes = tuple(log_probabilities.shape), tuple(ids.shape)
    wrong_rows = isinstance(rows, int) and {shape[0] for shape in shapes} - {rows, None}
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1] or wrong_rows:
        raise ValueError(
            f"expand must return log_probabilities and ids of one shape [{rows}, C]; got {shapes[0]} and {shapes[1]}."
        )
    if shapes[0][1] < at_least:
        raise ValueError(
            f"expand must return at least {at_least} candidates a row for this search (twice beam_size for a beam); "
            f"got {shapes[0][1]}. Use a smaller beam_size, or fill up a small vocabulary with candidates of "
            "log-probability -inf."
        )
