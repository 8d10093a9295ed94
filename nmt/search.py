"""Greedy and beam search, sampling and scoring over a step function; search knows no model.

The step function is given by an engine::

    expand(tokens [R], parents [R], bias, state, memory) -> (Candidates, state)

It feeds the last piece of R sequences, of which each grew from row ``parents`` of the state, and names the C best next
pieces of each, best first, with their log-probabilities (log-softmax of this step alone). ``log_probabilities`` of -inf
mark what cannot be: PAD and BOS always, and whatever fills up C where the vocabulary is smaller than C. ``bias`` [R, V]
is added to the log-probabilities of all V pieces before the best are chosen, -inf for what a constraint forbids; None
is none. The attention that is returned is what each row paid to the S source positions while it made up its mind.

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
from numbers import Real
from typing import Any, NamedTuple

import numpy

from nmt.symbols import BOS, EOS, PAD

Array = Any  # numpy's or the backend's
State = Any  # a nest of arrays
Memory = Any  # a nest of arrays, or None

# What may come next: (sentences [R], ids [R, length], the pieces so far) -> bias [R, V], or None.
Constrain = Callable[[Array, Array], Array | None]

# The rows that are left are picked out when they are this share of what is fed, or less: it costs as much as a step.
_WORTH_PICKING = 0.75


class Candidates(NamedTuple):
    """The best next pieces of R sequences."""

    log_probabilities: Array  # [R, C], best first
    ids: Array  # [R, C]
    attention: Array  # [R, S], each row sums to 1, 0 on padding


Expand = Callable[[Array, Array, Array | None, State, Memory], tuple[Candidates, State]]


class Hypotheses(NamedTuple):
    """The translations found for each sentence, best first.

    Where a sentence has fewer than K, the rest are PAD throughout with a log-probability and a score of -inf.
    """

    ids: Array  # [B, K, T] int32: without BOS, with EOS where the sequence ended within its limit, PAD behind
    log_probabilities: Array  # [B, K] float32: the sum over the pieces, EOS included
    scores: Array  # [B, K] float32: log_probabilities / length_penalty + coverage_penalty


class BeamState(NamedTuple):
    """Where a beam search stands."""

    length: Array  # [] int32: pieces in every live sequence
    tokens: Array  # [B * K] int32: the last piece of every live sequence, BOS at first
    live_ids: Array  # [B, K, T] int32
    live_log_probabilities: Array  # [B, K] float32, best first but for diversity; -inf where there is no such sequence
    coverage: Array  # [B, K, S] float32: the attention paid so far by every live sequence; [B, K, 0] without a penalty
    finished_ids: Array  # [B, K, T] int32
    finished_log_probabilities: Array  # [B, K] float32
    finished_scores: Array  # [B, K] float32, best first; -inf where there is no such sequence
    done: Array  # [B] bool: the finished set is final


def length_penalty(length: Array, alpha: float) -> Array:
    """((5 + length) / 6) ** alpha, by which a log-probability is divided (Wu et al. 2016, arXiv:1609.08144, eq. 14).

    ``length`` counts pieces, EOS included, as a float or an array of floats; an ``alpha`` of 0 leaves log-probabilities
    as they are, a larger one favours longer translations.
    """
    return ((5 + length) / 6) ** alpha


def coverage_penalty(ops: Any, coverage: Array, positions: Array, beta: Array) -> Array:
    """beta * sum_s log(min(coverage_s, 1)), which is added to a score (Wu et al. 2016, eq. 14): 0 at best.

    Args:
        coverage: [..., S], the attention that a translation has paid to each source position, summed over its pieces.
        positions: [..., S] bool, where there is a source piece.
    """
    paid = ops.log(ops.clip(coverage, 1e-9, 1.0))
    return beta * ops.sum(ops.where(positions, paid, 0.0), axis=-1)


def greedy(
    expand: Expand, state: State, memory: Memory, max_length: Array, constrain: Constrain | None = None
) -> Hypotheses:
    """The best next piece at every step, until EOS or the sentence's limit.

    Args:
        expand: the step function of the module's docstring, with R = B and any C.
        state: its first state, B rows.
        memory: what never changes, B rows, or None.
        max_length: [B] ints of at least 1, the most pieces of each sentence, EOS included.
        constrain: what may come next; all if None.

    Returns:
        Hypotheses with K = 1; ``scores`` are the log-probabilities, since nothing is compared.

    Raises:
        ValueError: ``max_length``, the rows of ``memory`` or what ``expand`` returns is not of this form.
    """

    def best(log_probabilities: Array, sentences: Array, length: int) -> Array:
        return numpy.zeros(len(sentences), dtype="int32")

    return _one_by_one(best, expand, state, memory, max_length, constrain)


def sample(
    expand: Expand,
    state: State,
    memory: Memory,
    max_length: Array,
    draws: Array,
    temperature: float = 1.0,
    top_p: float = 1.0,
    constrain: Constrain | None = None,
) -> Hypotheses:
    """The next piece drawn at random from the candidates at every step, until EOS or the sentence's limit.

    With all V candidates and the defaults, translations are drawn as the model has their probabilities. Fewer
    candidates are top-k sampling (Fan et al. 2018, arXiv:1805.04833).

    Args:
        expand, state, memory, max_length, constrain: as for ``greedy``.
        draws: [B, T], T being the longest limit at least: numbers drawn evenly from 0..1, one for each piece.
        temperature: over 0; log-probabilities are divided by it: below 1 the probable becomes more probable.
        top_p: in 0..1; of the candidates, the best ones that together have at least this share are left (nucleus
            sampling, Holtzman et al. 2019, arXiv:1904.09751).

    Returns:
        Hypotheses with K = 1; ``log_probabilities`` and ``scores`` are those of the model, whatever the temperature.

    Raises:
        ValueError: as ``greedy``, or a temperature or share that cannot be.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a finite number over 0; got {temperature}. 1 draws as the model says.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be over 0 and at most 1; got {top_p}. 1 leaves every candidate.")

    def choose(log_probabilities: Array, sentences: Array, length: int) -> Array:
        weights = log_probabilities.astype("float64") / temperature  # [R, C]
        best = weights.max(axis=1, keepdims=True)
        weights = numpy.exp(weights - numpy.where(numpy.isfinite(best), best, 0))
        weights /= numpy.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        before = numpy.cumsum(weights, axis=1) - weights  # the share of all that are better
        weights[before >= top_p] = 0
        ends = numpy.cumsum(weights, axis=1)
        drawn = draws[sentences, length] * ends[:, -1]
        last = numpy.maximum((weights > 0).sum(axis=1) - 1, 0)
        return numpy.minimum((ends <= drawn[:, None]).sum(axis=1), last)

    return _one_by_one(choose, expand, state, memory, max_length, constrain)


def _one_by_one(
    choose: Callable[[Array, Array, int], Array],
    expand: Expand,
    state: State,
    memory: Memory,
    max_length: Array,
    constrain: Constrain | None,
) -> Hypotheses:
    """One sequence a sentence, which goes on with the candidate [R] that ``choose`` names of [R, C]."""
    max_length = _checked_limits(max_length)
    _check_memory(memory, len(max_length))
    ids = numpy.full((len(max_length), 1, max_length.max(initial=0)), PAD, dtype="int32")  # [B, 1, T]
    log_probabilities = numpy.zeros((len(max_length), 1), dtype="float32")  # [B, 1]
    sentences = parents = numpy.arange(len(max_length), dtype="int32")  # [R]: of each row; from which row it grew
    tokens = numpy.full(len(sentences), BOS, dtype="int32")  # [R]
    running = numpy.full(len(sentences), True)  # [R]
    length = 0
    while running.any():
        bias = constrain(sentences, ids[sentences, 0, :length]) if constrain else None
        candidates, state = expand(tokens, parents, bias, state, memory)  # [R, C]
        _check_candidates(candidates, len(sentences), at_least=1)
        rows = numpy.arange(len(sentences), dtype="int32")
        chosen = choose(candidates.log_probabilities, sentences, length)  # [R]
        found = candidates.log_probabilities[rows, chosen]  # [R], -inf where nothing may come any more
        tokens = numpy.where(found > -math.inf, candidates.ids[rows, chosen], PAD).astype("int32")  # [R]
        ids[sentences[running], 0, length] = tokens[running]
        log_probabilities[sentences[running], 0] += found[running]
        length += 1
        running &= (tokens != EOS) & (tokens != PAD) & (length < max_length[sentences])
        parents = rows
        if _worth_picking(memory, running):
            memory = gather_rows(numpy, memory, numpy.flatnonzero(running))
            sentences, parents, tokens = sentences[running], parents[running], tokens[running]
            running = running[running]
    return Hypotheses(ids, log_probabilities, log_probabilities)


def score(expand: Expand, state: State, memory: Memory, target: Array, size: int) -> tuple[Array, Array]:
    """What the model thinks of given translations: search in which every piece is forced.

    Args:
        expand: the step function of the module's docstring, with R = B and any C.
        state: its first state, B rows.
        memory: what never changes, B rows, or None.
        target: [B, T] the pieces of a translation each, EOS behind them, filled up with PAD.
        size: V, the number of target pieces.

    Returns:
        The log-probability of each piece [B, T] float32, 0 on PAD, and the attention paid for it [B, T, S], 0 on PAD.
    """
    target = numpy.asarray(target, dtype="int32")
    rows = numpy.arange(len(target), dtype="int32")  # [B]
    tokens = numpy.full(len(target), BOS, dtype="int32")  # [B]
    bias = numpy.full((len(target), size), -math.inf, dtype="float32")  # [B, V]
    log_probabilities, attention = [], []
    for wanted in target.T:
        bias[rows, wanted] = 0
        candidates, state = expand(tokens, rows, bias, state, memory)
        log_probabilities.append(numpy.where(wanted != PAD, candidates.log_probabilities[:, 0], 0))
        attention.append(numpy.where((wanted != PAD)[:, None], candidates.attention, 0))
        bias[rows, wanted] = -math.inf
        tokens = wanted
    return numpy.stack(log_probabilities, axis=1).astype("float32"), numpy.stack(attention, axis=1)


def beam(
    expand: Expand,
    state: State,
    memory: Memory,
    beam_size: int,
    max_length: Array,
    alpha: float,
    *,
    beta: float = 0.0,
    diversity: float = 0.0,
    source_lengths: Array | None = None,
    constrain: Constrain | None = None,
) -> Hypotheses:
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
        beta: the weight of the coverage penalty, at least 0.
        diversity: what every better sibling costs a candidate when it is compared with others, at least 0 (gamma of Li,
            Monroe and Jurafsky 2016, arXiv:1611.08562, equation 11). Deviation: the cost is not carried on, so
            log-probabilities and scores stay those of the model.
        source_lengths: [B] ints, the positions of each source; the coverage penalty needs them.
        constrain: what may come next; all if None.

    Raises:
        ValueError: an argument, or what ``expand`` returns, is not of this form.
    """
    _check_beam(beam_size, alpha, beta, diversity)
    max_length = _checked_limits(max_length)
    _check_memory(memory, len(max_length))
    if beta and (source_lengths is None or len(source_lengths) != len(max_length)):
        raise ValueError(f"a coverage penalty needs the length of each source; got {source_lengths} and beta {beta}.")
    positions = None
    if beta:
        lengths = numpy.asarray(source_lengths)
        positions = numpy.arange(lengths.max(initial=0)) < lengths[:, None]  # [B, S]
    beam, parents = begin(numpy, beam_size, max_length, positions)
    found = Hypotheses(*map(numpy.copy, _finished(beam)))
    sentences = numpy.arange(len(max_length), dtype="int32")  # [B']: those that are fed
    while not beam.done.all():
        bias = None
        if constrain:
            so_far = beam.live_ids[:, :, : beam.length].reshape(len(beam.tokens), -1)
            bias = constrain(numpy.repeat(sentences, beam_size), so_far)
        candidates, state = expand(beam.tokens, parents, bias, state, memory)
        beam, parents = advance(numpy, beam, candidates, max_length, alpha, beta, diversity, positions)
        if beam.done.all() or _worth_picking(memory, ~beam.done):
            for all_of_them, those in zip(found, _finished(beam), strict=True):
                all_of_them[sentences] = those
            left = numpy.flatnonzero(~beam.done)
            beam, parents = _pick(beam, parents, left)
            memory, max_length, positions = gather_rows(numpy, (memory, max_length, positions), left)
            sentences = sentences[left]
    return found


def beam_in_graph(
    ops: Any,
    expand: Expand,
    state: State,
    memory: Memory,
    beam_size: Array,
    max_length: Array,
    alpha: Array,
    *,
    beta: Array = 0.0,
    positions: Array | None = None,
) -> Hypotheses:
    """``beam`` as one ``while_loop`` of ``ops`` (``keras.ops``), to be traced into a TensorFlow graph.

    The batch size and the limits may be unknown when it is traced, and the batch may be empty; T is the longest limit.
    A limit below 1 cannot be refused inside a graph: it gives PAD throughout and scores of -inf. Every array of
    ``state`` must keep its shape and dtype from step to step; no row of ``memory`` is dropped. ``beam_size`` (int32),
    ``alpha`` and ``beta`` (float32) may be scalars of the graph, which the caller has checked; ``positions`` [B, S]
    bool, where there is a source piece, goes with ``beta``.
    """
    _check_beam(beam_size, alpha, beta)
    max_length = ops.array(max_length, dtype="int32")

    def unfinished(beam: BeamState, parents: Array, state: State) -> Array:
        return ops.any(~beam.done)

    def step(beam: BeamState, parents: Array, state: State) -> tuple[BeamState, Array, State]:
        candidates, state = expand(beam.tokens, parents, None, state, memory)
        beam, parents = advance(ops, beam, candidates, max_length, alpha, beta, 0.0, positions)
        return beam, parents, state

    beam, _, _ = ops.while_loop(unfinished, step, (*begin(ops, beam_size, max_length, positions), state))
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


def begin(ops: Any, beam_size: Array, max_length: Array, positions: Array | None = None) -> tuple[BeamState, Array]:
    """The beam before its first step: one live sequence a sentence, so that the first step gives K different ones.

    Beside it, as of ``advance``, the rows [B * K] which these sequences grew from: each from its own. ``positions``
    [B, S] are given where there will be a coverage penalty.
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
        coverage=ops.zeros((batch_size, beam_size, 0 if positions is None else ops.shape(positions)[1]), "float32"),
        finished_ids=nothing,
        finished_log_probabilities=impossible,
        finished_scores=impossible,
        done=max_length < 1,
    )
    return beam, ops.arange(batch_size * beam_size, dtype="int32")


def advance(
    ops: Any,
    beam: BeamState,
    candidates: Candidates,
    max_length: Array,
    alpha: Array,
    beta: Array = 0.0,
    diversity: float = 0.0,
    positions: Array | None = None,
) -> tuple[BeamState, Array]:
    """One step of the beam, given the candidates of every live sequence.

    Args:
        candidates: [B * K, C] as ``expand`` returns them.
        max_length: [B] int32.
        alpha, beta, diversity, positions: as for ``beam``; without ``positions`` [B, S] there is no coverage penalty.

    Returns:
        The beam after the step, and ``parents`` [B * K]: for every sequence that lives on, the row which it grew from.
    """
    batch_size, beam_size, longest = ops.shape(beam.live_ids)
    count = ops.shape(candidates.ids)[1]  # C
    _check_candidates(candidates, batch_size * beam_size, at_least=2 * beam_size)
    length = beam.length + 1

    # The 2K best of all candidates, best first.
    totals = ops.reshape(ops.array(candidates.log_probabilities, dtype="float32"), (batch_size, beam_size, count))
    totals = totals + beam.live_log_probabilities[:, :, None]  # [B, K, C]
    ranks = diversity * ops.arange(count, dtype="float32") if diversity else 0.0  # each has so many better siblings
    best = _descending(ops, ops.reshape(totals - ranks, (batch_size, beam_size * count)))[:, : 2 * beam_size]  # [B, 2K]
    totals = _choose(ops, ops.reshape(totals, (batch_size, beam_size * count)), best)  # [B, 2K]
    pieces = ops.reshape(ops.array(candidates.ids, dtype="int32"), (batch_size, beam_size * count))
    pieces = _choose(ops, pieces, best)  # [B, 2K]
    parents = best // count  # [B, 2K] in 0..K-1
    sequences = _choose(ops, beam.live_ids, parents)  # [B, 2K, T]
    sequences = ops.where(ops.arange(longest) == beam.length, pieces[:, :, None], sequences)  # [B, 2K, T]

    # Finished: the K best of the old ones and of those that end now. A done sentence takes none, which freezes it.
    ended = pieces == EOS  # [B, 2K]
    scores = totals / length_penalty(ops.array(length, dtype="float32"), alpha)  # [B, 2K]
    coverage = beam.coverage
    if positions is not None:
        coverage = coverage + ops.reshape(candidates.attention, ops.shape(coverage))  # [B, K, S]
        scores = scores + _choose(ops, coverage_penalty(ops, coverage, positions[:, None], beta), parents)
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

    # Live: the first K that do not end.
    order = -ops.arange(2 * beam_size, dtype="float32")
    alive = _descending(ops, ops.where(ended, -math.inf, order))[:, :beam_size]  # [B, K]
    live_log_probabilities = _choose(ops, totals, alive)  # [B, K]

    # A live sequence only loses probability, and no penalty is over 0: so its score can never exceed this bound.
    bound = ops.max(live_log_probabilities, axis=1) / length_penalty(
        ops.array(max_length, dtype="float32"), alpha
    )  # [B]
    after = BeamState(
        length=length,
        tokens=ops.reshape(_choose(ops, pieces, alive), (batch_size * beam_size,)),
        live_ids=_choose(ops, sequences, alive),
        live_log_probabilities=live_log_probabilities,
        coverage=coverage if positions is None else _choose(ops, coverage, _choose(ops, parents, alive)),
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


def _known(number: Any) -> bool:
    """Whether it is a number by now, and not a scalar of a graph that is being traced."""
    return isinstance(number, Real)


def _check_beam(beam_size: Array, alpha: Array = 0.0, beta: Array = 0.0, diversity: float = 0.0) -> None:
    if _known(beam_size) and beam_size < 1:
        raise ValueError(f"beam_size must be at least 1; got {beam_size}. A beam of 1 is greedy search.")
    for name, penalty, usual in (
        ("length penalty's alpha", alpha, "0 compares plain log-probabilities, 0.6 to 1 is usual."),
        ("coverage penalty's beta", beta, "0 is no such penalty, 0.2 is usual."),
        ("diversity", diversity, "0 is none, 0.1 to 1 is usual."),
    ):
        if _known(penalty) and not 0 <= penalty < math.inf:
            raise ValueError(f"The {name} must be a finite number of at least 0; got {penalty}. {usual}")


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


def _check_candidates(candidates: Candidates, rows: Any, at_least: Array) -> None:
    # Inside a graph the rows are unknown; so is the number of candidates where the beam size is.
    shapes = tuple(candidates.log_probabilities.shape), tuple(candidates.ids.shape)
    wrong_rows = isinstance(rows, int) and {shape[0] for shape in shapes} - {rows, None}
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1] or wrong_rows:
        raise ValueError(
            f"expand must return log_probabilities and ids of one shape [{rows}, C]; got {shapes[0]} and {shapes[1]}."
        )
    if _known(at_least) and _known(shapes[0][1]) and shapes[0][1] < at_least:
        raise ValueError(
            f"expand must return at least {at_least} candidates a row for this search (twice beam_size for a beam); "
            f"got {shapes[0][1]}. Use a smaller beam_size, or fill up a small vocabulary with candidates of "
            "log-probability -inf."
        )
