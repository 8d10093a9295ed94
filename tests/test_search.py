"""Search against scripts that spell words, exhaustive enumeration, and a beam written over plain lists."""

import itertools
import math
import os

import numpy
import pytest

from nmt import search
from nmt.symbols import BOS, EOS, PAD, UNK

A, B, C = 4, 5, 6
IMPOSSIBLE = -math.inf


def script(tables, beam_size, limit=12):
    """A step function which is told, for each sentence, the probabilities of the next piece after a given prefix.

    ``tables`` has one ``{prefix: {piece: probability}}`` a sentence; an unlisted prefix ends. The state is the prefix
    itself, so that a state gathered wrongly spells another word, and the memory is which sentence it is. Returns
    ``expand``, its first state and its memory; and the calls made.
    """
    calls = []

    def expand(tokens, parents, bias, state, memory):
        calls.append(tokens.tolist())
        length = state["length"][0]
        prefixes = state["prefix"][parents]
        prefixes[:, length] = tokens
        candidates = []
        sentences = numpy.repeat(memory["sentence"], len(tokens) // len(memory["sentence"]))
        for sentence, prefix in zip(sentences, prefixes, strict=True):
            after = tables[sentence].get(tuple(prefix[1 : length + 1].tolist()), {EOS: 1.0})
            best = sorted(after.items(), key=lambda entry: -entry[1])  # stable: ties stay as they are listed
            row = [(math.log(probability), piece) for piece, probability in best]
            if bias is not None:
                row = sorted(
                    ((found + bias[len(candidates), piece], piece) for found, piece in row), key=lambda one: -one[0]
                )
            candidates.append(row + [(IMPOSSIBLE, PAD)] * (max(2 * beam_size, 5) - len(row)))
        table = numpy.array(candidates)  # [R, C, 2]
        after = {"prefix": prefixes, "length": state["length"][parents] + 1}
        attention = numpy.eye(limit + 1, dtype="float32")[prefixes[:, length] % (limit + 1)]  # as the last piece says
        return search.Candidates(table[:, :, 0].astype("float32"), table[:, :, 1].astype("int64"), attention), after

    first = {
        "prefix": numpy.zeros((len(tables), limit + 1), dtype="int64"),
        "length": numpy.zeros(len(tables), dtype="int64"),
    }
    return (expand, search.repeat_rows(numpy, first, beam_size), {"sentence": numpy.arange(len(tables))}), calls


def spell(word, probability=0.9):
    """The script of one word, in which every other piece, the end included, is less probable."""
    word = (*word, EOS)
    others = dict.fromkeys((UNK, A, B, C, EOS), (1 - probability) / 4)
    return {word[:length]: {**others, word[length]: probability} for length in range(len(word))}


def run_beam(tables, beam_size, max_length, alpha):
    start, _ = script(tables, beam_size)
    return search.beam(*start, beam_size, max_length, alpha)


def run_greedy(tables, max_length):
    start, _ = script(tables, 1)
    return search.greedy(*start, max_length)


def spelled(hypotheses):
    """The pieces of every hypothesis, without the padding."""
    return [[[piece for piece in row if piece != PAD] for row in sentence] for sentence in hypotheses.ids.tolist()]


# Random models: the next distribution depends on the sentence and the whole prefix, through a hash that is the state.

VOCABULARY = (UNK, EOS, A, B)
HASHES = 101
POSITIONS = 5
LOOKS = numpy.random.default_rng(3).dirichlet([0.3] * POSITIONS, size=HASHES).astype("float32")  # attention


def random_tables(seed, ending=1.0):
    """[HASHES, 6] log-probabilities over the pieces, in float32; ``ending`` weighs the end token."""
    weights = numpy.random.default_rng(seed).exponential(size=(HASHES, 6))
    weights[:, EOS] *= ending
    weights[:, [PAD, BOS]] = 0
    with numpy.errstate(divide="ignore"):
        return numpy.log(weights / weights.sum(1, keepdims=True)).astype("float32")


def hash_after(state, token):
    return (state * 7 + token) % HASHES


def hashed(ops, table, candidates):
    """The step function of a table, over numpy or keras.ops; the state is a nest, of which only the hash matters."""
    width = max(candidates, table.shape[1])
    table = numpy.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=IMPOSSIBLE)
    order = numpy.argsort(-table, axis=1, kind="stable")[:, :candidates]
    best = numpy.take_along_axis(table, order, axis=1)
    best, order, looks = ops.array(best), ops.array(order, dtype="int32"), ops.array(LOOKS)

    def expand(tokens, parents, bias, state, memory):
        (after,), rest = state
        after = hash_after(ops.take(after, parents, axis=0), tokens)
        attention = ops.take(looks, after, axis=0)
        return search.Candidates(ops.take(best, after, axis=0), ops.take(order, after, axis=0), attention), (
            (after,),
            rest,
        )

    return expand


def first_state(hashes, beam_size, ops=numpy):
    return search.repeat_rows(ops, ((hashes,), {"other": hashes}), beam_size)


def beam_of_table(table, hashes, beam_size, max_length, alpha):
    hashes = numpy.array(hashes, dtype="int32")
    expand = hashed(numpy, table, 2 * beam_size)
    return search.beam(expand, first_state(hashes, beam_size), hashes, beam_size, max_length, alpha)


def penalty_by_hand(length, alpha):
    return math.pow((5 + length) / 6, alpha)


def enumerate_all(table, first_hash, limit, alpha):
    """Every sequence that ends within the limit, best first: [(score, log-probability, pieces)]."""
    found = []
    for length in range(limit):
        for body in itertools.product((UNK, A, B), repeat=length):
            state, total = hash_after(first_hash, BOS), 0.0
            for piece in (*body, EOS):
                total += float(table[state, piece])
                state = hash_after(state, piece)
            found.append((total / penalty_by_hand(length + 1, alpha), total, [*body, EOS]))
    return sorted(found, reverse=True)


def plain_beam(table, first_hash, beam_size, limit, alpha):
    """The same search over lists, for one sentence, which always runs on to the limit."""
    live, finished = [(0.0, [], hash_after(first_hash, BOS))], []
    for length in range(1, limit + 1):
        grown = [
            (total + float(table[state, piece]), [*pieces, piece], hash_after(state, piece))
            for total, pieces, state in live
            for piece in VOCABULARY
        ]
        grown.sort(key=lambda entry: -entry[0])
        scored = [(total / penalty_by_hand(length, alpha), total, pieces) for total, pieces, _ in grown[:beam_size]]
        finished += [entry for entry in scored if entry[2][-1] == EOS]
        live = [entry for entry in grown if entry[1][-1] != EOS][:beam_size]
    if not finished:
        finished = [(total / penalty_by_hand(limit, alpha), total, pieces) for total, pieces, _ in live]
    return sorted(finished, key=lambda entry: -entry[0])[:beam_size]


def assert_equals_list(hypotheses, sentence, expected):
    """One sentence's hypotheses are the expected [(score, log-probability, pieces)], and nothing behind them."""
    found = len(expected)
    assert spelled(hypotheses)[sentence][:found] == [pieces for _, _, pieces in expected]
    numpy.testing.assert_allclose(hypotheses.scores[sentence, :found], [score for score, _, _ in expected], rtol=1e-5)
    numpy.testing.assert_allclose(
        hypotheses.log_probabilities[sentence, :found], [total for _, total, _ in expected], rtol=1e-5
    )
    assert (hypotheses.ids[sentence, found:] == PAD).all()
    assert (hypotheses.scores[sentence, found:] == IMPOSSIBLE).all()
    assert (hypotheses.log_probabilities[sentence, found:] == IMPOSSIBLE).all()


def test_length_penalty_by_hand():
    assert search.length_penalty(7.0, 1.0) == 2.0  # (5 + 7) / 6
    assert search.length_penalty(19.0, 0.5) == 2.0  # sqrt(4)
    assert search.length_penalty(numpy.array([1.0, 13.0]), 2.0).tolist() == [1.0, 9.0]
    assert search.length_penalty(50.0, 0.0) == 1.0


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_spells_the_scripted_words(beam_size):
    tables = [spell([A, B, A]), spell([]), spell([C, C])]
    hypotheses = run_beam(tables, beam_size, [8, 8, 8], alpha=1.0)
    assert [sentence[0] for sentence in spelled(hypotheses)] == [[A, B, A, EOS], [EOS], [C, C, EOS]]
    lengths = numpy.array([4, 1, 3])
    numpy.testing.assert_allclose(hypotheses.log_probabilities[:, 0], lengths * math.log(0.9), rtol=1e-5)
    numpy.testing.assert_allclose(hypotheses.scores[:, 0], lengths * math.log(0.9) / ((5 + lengths) / 6), rtol=1e-5)
    assert hypotheses.ids.shape == (3, beam_size, 8)
    assert (hypotheses.ids.dtype, hypotheses.scores.dtype) == ("int32", "float32")


def test_greedy_spells_the_scripted_words_and_pads_behind_the_end():
    hypotheses = run_greedy([spell([A, B, A]), spell([]), spell([C, C])], [8, 8, 8])
    assert hypotheses.ids[:, 0, :5].tolist() == [[A, B, A, EOS, PAD], [EOS, PAD, PAD, PAD, PAD], [C, C, EOS, PAD, PAD]]
    numpy.testing.assert_allclose(hypotheses.log_probabilities[:, 0], numpy.array([4, 1, 3]) * math.log(0.9), rtol=1e-5)
    assert (hypotheses.scores == hypotheses.log_probabilities).all()


def test_greedy_stops_when_all_rows_have_ended():
    start, calls = script([spell([A, B]), spell([])], 1)
    search.greedy(*start, [9, 9])
    assert [tokens[0] for tokens in calls] == [BOS, A, B]  # the third call gives EOS


@pytest.mark.parametrize("beam_size", [1, 2])
def test_sentences_that_are_done_are_fed_no_more(beam_size):
    words = [[A] * 7, [], [B], [C, B, C, B], [B, C], [], [C], [A, B, A]]
    (expand, state, memory), calls = script([spell(word) for word in words], beam_size)

    def run(memory_of_search, expand):
        calls.clear()
        if beam_size == 1:
            return search.greedy(expand, state, memory_of_search, [8] * len(words))
        return search.beam(expand, state, memory_of_search, beam_size, [8] * len(words), 1.0)

    leaving = run(memory, expand)
    rows = [len(tokens) // beam_size for tokens in calls]
    assert rows == sorted(rows, reverse=True)
    assert (rows[0], rows[-1]) == (8, 1)
    assert all(after in (before, *range(1, before * 3 // 4 + 1)) for before, after in itertools.pairwise(rows))
    staying = run(None, lambda tokens, parents, bias, state, _: expand(tokens, parents, bias, state, memory))
    assert {len(tokens) // beam_size for tokens in calls} == {8}
    assert [sentence[0] for sentence in spelled(leaving)] == [[*word, EOS] for word in words]
    for one, other in zip(leaving, staying, strict=True):
        numpy.testing.assert_array_equal(one, other)


def test_the_beam_finds_what_greedy_misses():
    # Greedy takes A (.6) and then has nothing better than .4; B (.4) goes on with certainty: .24 against .4.
    table = {(): {A: 0.6, B: 0.4}, (A,): {A: 0.3, B: 0.3, EOS: 0.4}, (B,): {EOS: 1.0}}
    assert spelled(run_greedy([table], [5])) == [[[A, EOS]]]
    hypotheses = run_beam([table], 2, [5], alpha=0.0)
    assert spelled(hypotheses) == [[[B, EOS], [A, EOS]]]
    numpy.testing.assert_allclose(hypotheses.scores, [[math.log(0.4), math.log(0.24)]], rtol=1e-5)


def test_ties_go_to_the_candidate_listed_first():
    table = {(): {B: 0.25, A: 0.25, C: 0.25, UNK: 0.25}}  # each then ends
    assert spelled(run_beam([table], 3, [4], alpha=0.0)) == [[[B, EOS], [A, EOS], [C, EOS]]]


def test_a_finished_tie_stays_before_a_later_one():
    table = {(): {EOS: 0.5, A: 0.5}}  # A then ends with certainty: .5 as well
    assert spelled(run_beam([table], 2, [4], alpha=0.0)) == [[[EOS], [A, EOS]]]


def test_fewer_hypotheses_than_the_beam_leave_the_rest_empty():
    hypotheses = run_beam([{(): {A: 0.5, EOS: 0.5}}], 5, [3], alpha=1.0)
    assert spelled(hypotheses) == [[[A, EOS], [EOS], [], [], []]]  # ln .5 / (7/6) is better than ln .5
    assert (hypotheses.scores[0, 2:] == IMPOSSIBLE).all()
    assert (hypotheses.log_probabilities[0, 2:] == IMPOSSIBLE).all()


def test_a_script_that_never_ends_returns_its_best_unfinished_sequences():
    table = {prefix: {A: 0.75, B: 0.25} for length in range(4) for prefix in itertools.product((A, B), repeat=length)}
    hypotheses = run_beam([table], 2, [3], alpha=1.0)
    assert spelled(hypotheses) == [[[A, A, A], [A, A, B]]]  # A B A is as probable, but grows from the second row
    totals = numpy.log([27 / 64, 9 / 64])
    numpy.testing.assert_allclose(hypotheses.log_probabilities[0], totals, rtol=1e-5)
    numpy.testing.assert_allclose(hypotheses.scores[0], totals / (8 / 6), rtol=1e-5)
    assert spelled(run_greedy([table], [3])) == [[[A, A, A]]]


def test_at_the_limit_the_unfinished_are_dropped_where_one_has_finished():
    # A goes on for ever with certainty .9; the first step could end with .1.
    table = {(A,) * length: {A: 1.0} for length in range(1, 12)} | {(): {A: 0.9, EOS: 0.1}}
    hypotheses = run_beam([table], 2, [4], alpha=0.0)
    assert spelled(hypotheses) == [[[EOS], []]]


def test_each_sentence_has_its_own_limit():
    tables = [spell([A] * 6)] * 3
    assert spelled(run_greedy(tables, [2, 7, 9])) == [[[A] * 2], [[A] * 6 + [EOS]], [[A] * 6 + [EOS]]]
    endless = {(A,) * length: {A: 1.0} for length in range(12)}
    hypotheses = run_beam([endless] * 3, 2, [1, 5, 3], alpha=1.0)
    assert spelled(hypotheses) == [[[A], []], [[A] * 5, []], [[A] * 3, []]]


def test_an_end_that_is_only_just_outside_the_beam_is_not_finished():
    # EOS is the second best at first, so a beam of 1 does not end there, as greedy does not.
    table = {(): {A: 0.6, EOS: 0.4}, (A,): {A: 0.5, B: 0.3, EOS: 0.2}, (A, A): {EOS: 1.0}}
    assert spelled(run_beam([table], 1, [5], alpha=0.0)) == spelled(run_greedy([table], [5])) == [[[A, A, EOS]]]


def test_stops_when_the_best_live_cannot_beat_the_worst_finished():
    start, calls = script([spell([A, B])], 1)
    search.beam(*start, 1, [12], alpha=1.0)
    # Ended with .9^3 over the penalty of 3: -.24; the best live one has .9^2 * .025, over that of 12 at best: -1.38.
    assert len(calls) == 3


def test_runs_on_while_the_length_penalty_can_still_turn_the_order():
    # [EOS] scores ln .5 = -.69; [A x 6, EOS] has ln .45 = -.80, but over (5 + 7) / 6 = 2: -.40.
    table = {(A,) * length: {A: 1.0} for length in range(1, 6)} | {(): {EOS: 0.5, A: 0.45, B: 0.05}}
    assert spelled(run_beam([table], 1, [12], alpha=1.0)) == [[[A] * 6 + [EOS]]]
    assert spelled(run_beam([table], 1, [12], alpha=0.0)) == [[[EOS]]]
    assert spelled(run_beam([table], 1, [4], alpha=1.0)) == [[[EOS]]]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_beam_that_holds_everything_equals_enumeration(limit, alpha):
    table = random_tables(seed=limit)
    hypotheses = beam_of_table(table, [17, 3], len(VOCABULARY) ** limit, [limit, limit], alpha)
    assert len(enumerate_all(table, 17, limit, alpha)) == sum(3**length for length in range(limit))
    assert_equals_list(hypotheses, 0, enumerate_all(table, 17, limit, alpha))
    assert_equals_list(hypotheses, 1, enumerate_all(table, 3, limit, alpha))


@pytest.mark.parametrize("ending", [0.02, 0.3, 3.0])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_stopping_early_never_loses_against_running_on(beam_size, alpha, ending):
    table = random_tables(seed=beam_size, ending=ending)
    hashes, limits = list(range(20)), [1 + 5 * index % 11 for index in range(20)]
    hypotheses = beam_of_table(table, hashes, beam_size, limits, alpha)
    for sentence, (first_hash, limit) in enumerate(zip(hashes, limits, strict=True)):
        assert_equals_list(hypotheses, sentence, plain_beam(table, first_hash, beam_size, limit, alpha))


@pytest.mark.parametrize("ending", [0.1, 1.0])
def test_a_beam_of_one_without_penalty_is_greedy(ending):
    table = random_tables(seed=5, ending=ending)
    hashes, limits = numpy.arange(50, dtype="int32"), numpy.arange(50) % 9 + 1
    greedy = search.greedy(hashed(numpy, table, 2), first_state(hashes, 1), hashes, limits)
    single = beam_of_table(table, hashes, 1, limits, alpha=0.0)
    for one, other in zip(greedy, single, strict=True):
        numpy.testing.assert_array_equal(one, other)


def test_a_batch_gives_exactly_what_its_sentences_give_one_by_one():
    table = random_tables(seed=11, ending=0.5)
    hashes, limits = numpy.arange(30, dtype="int32"), numpy.arange(30) * 7 % 13 + 1
    together = beam_of_table(table, hashes, 3, limits, alpha=0.8)
    greedy = search.greedy(hashed(numpy, table, 1), first_state(hashes, 1), hashes, limits)
    for sentence, limit in enumerate(limits):
        one = slice(sentence, sentence + 1)
        alone = beam_of_table(table, hashes[one], 3, [limit], alpha=0.8)
        numpy.testing.assert_array_equal(together.ids[one, :, :limit], alone.ids)
        assert (together.ids[one, :, limit:] == PAD).all()
        numpy.testing.assert_array_equal(together.scores[one], alone.scores)
        numpy.testing.assert_array_equal(together.log_probabilities[one], alone.log_probabilities)
        alone = search.greedy(hashed(numpy, table, 1), first_state(hashes[one], 1), hashes[one], [limit])
        assert spelled(alone)[0] == spelled(greedy)[sentence]
        numpy.testing.assert_array_equal(greedy.scores[one], alone.scores)


def test_an_empty_batch():
    for hypotheses in (beam_of_table(random_tables(1), [], 2, [], 1.0), run_greedy([], [])):
        assert hypotheses.ids.shape[0] == hypotheses.scores.shape[0] == 0


# Penalties, constraints, chance.


def by_hand(table, first_hash, pieces):
    """The log-probabilities of ``pieces`` and the attention paid for each, from a table."""
    state, scores, looks = hash_after(first_hash, BOS), [], []
    for piece in pieces:
        scores.append(float(table[state, piece]))
        looks.append(LOOKS[state])
        state = hash_after(state, piece)
    return numpy.array(scores), numpy.array(looks)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.2), (1.0, 0.5), (0.6, 3.0)])
def test_a_beam_that_holds_everything_finds_the_best_by_both_penalties(alpha, beta):
    """Against enumeration, with sources of several lengths: what stands behind them costs nothing."""
    table, limit = random_tables(seed=4), 4
    hashes, lengths = numpy.array([3, 14, 15, 92]), numpy.array([5, 2, 4, 5])
    beam_size = 27 * 4  # what ends is finished only among the best so many, by probability alone
    expand = hashed(numpy, table, 2 * beam_size)
    found = search.beam(
        expand, first_state(hashes, beam_size), hashes, beam_size, [limit] * 4, alpha, beta=beta, source_lengths=lengths
    )
    for sentence, (first_hash, length) in enumerate(zip(hashes, lengths, strict=True)):
        scored = []
        for _, total, pieces in enumerate_all(table, first_hash, limit, alpha):
            _, looks = by_hand(table, first_hash, pieces)
            paid = looks.sum(axis=0)[:length].astype("float64")
            missed = sum(math.log(min(max(share, 1e-9), 1.0)) for share in paid)
            scored.append((total / penalty_by_hand(len(pieces), alpha) + beta * missed, total, pieces))
        best = max(scored)
        assert spelled(found)[sentence][0] == best[2]
        assert found.scores[sentence, 0] == pytest.approx(best[0], rel=1e-4)
        assert found.log_probabilities[sentence, 0] == pytest.approx(best[1], rel=1e-4)


def test_the_coverage_penalty_by_hand():
    coverage = numpy.array([[0.5, 2.0, 0.25, 0.0], [1.0, 1.0, 0.5, 9.0]])
    positions = numpy.array([[True, True, True, False], [True, True, True, True]])
    penalties = search.coverage_penalty(numpy, coverage, positions, 0.2)
    numpy.testing.assert_allclose(penalties, [0.2 * math.log(0.125), 0.2 * math.log(0.5)])
    assert search.coverage_penalty(numpy, numpy.zeros(1), numpy.array([True]), 1.0) == pytest.approx(math.log(1e-9))


def test_siblings_give_way_to_others():
    # A's children are both better than B's, so that without diversity A's alone are left.
    table = {(): {A: 0.6, B: 0.4}, (A,): {A: 0.5, C: 0.5}, (B,): {B: 0.55, C: 0.45}}
    assert spelled(run_beam([table], 2, [5], alpha=0.0)) == [[[A, A, EOS], [A, C, EOS]]]
    start, _ = script([table], 2)
    found = search.beam(*start, 2, [5], 0.0, diversity=0.5)
    assert spelled(found) == [[[A, A, EOS], [B, B, EOS]]]
    numpy.testing.assert_allclose(found.scores[0], numpy.log([0.3, 0.22]), rtol=1e-5)  # those of the model


@pytest.mark.parametrize("beam_size", [1, 3])
def test_what_is_forbidden_is_not_said(beam_size):
    """No B as second piece of the first sentence, no end before the third of the second; and who is asked what."""
    words = [[A, B, C], [B], [C, C], [A] * 7]
    asked = []

    def constrain(sentences, ids):
        asked.append((sentences.tolist(), ids.shape))
        bias = numpy.zeros((len(sentences), 7), dtype="float32")
        bias[(sentences == 0) & (ids.shape[1] == 1), B] = IMPOSSIBLE
        bias[(sentences == 1) & (ids.shape[1] < 2), EOS] = IMPOSSIBLE
        return bias

    start, _ = script([spell(word) for word in words], beam_size)
    if beam_size == 1:
        found = search.greedy(*start, [8] * 4, constrain)
    else:
        found = search.beam(*start, beam_size, [8] * 4, 1.0, constrain=constrain)
    first, second, third, fourth = spelled(found)
    assert all(row[1] != B for row in first if row)
    assert all(EOS not in row[:2] for row in second)
    assert (third[0], fourth[0]) == ([C, C, EOS], [A] * 7 + [EOS])
    assert asked[0] == (numpy.repeat([0, 1, 2, 3], beam_size).tolist(), (4 * beam_size, 0))
    assert [length for _, (_, length) in asked] == list(range(len(asked)))
    assert asked[-1][0] == [3] * beam_size  # the others are done, and it is not asked of them


def test_samples_are_drawn_with_the_models_probabilities():
    table = {(): {A: 0.5, B: 0.3, EOS: 0.2}, (A,): {B: 0.25, EOS: 0.75}}
    expected = {(A, EOS): 0.375, (A, B, EOS): 0.125, (B, EOS): 0.3, (EOS,): 0.2}
    count = 4000
    start, _ = script([table] * count, 1)
    found = search.sample(*start, [5] * count, numpy.random.default_rng(1).random((count, 5)))
    drawn = [tuple(sentence[0]) for sentence in spelled(found)]
    for pieces, share in expected.items():
        assert drawn.count(pieces) / count == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))
        place = drawn.index(pieces)
        assert found.log_probabilities[place, 0] == pytest.approx(math.log(share), rel=1e-5)
    assert set(drawn) == set(expected)


def test_temperature_and_nucleus_cut_the_tail():
    table = {(): {A: 0.5, B: 0.3, C: 0.15, EOS: 0.05}}
    start, _ = script([table] * 3000, 1)

    def first_pieces(**settings):
        found = search.sample(*start, [2] * 3000, numpy.random.default_rng(2).random((3000, 2)), **settings)
        pieces, counts = numpy.unique(found.ids[:, 0, 0], return_counts=True)
        return dict(zip(pieces.tolist(), (counts / 3000).tolist(), strict=True))

    # Half the temperature squares the probabilities: .25, .09, .0225, .0025 of .365.
    cold = first_pieces(temperature=0.5)
    assert cold[A] == pytest.approx(0.25 / 0.365, abs=0.03)
    assert cold[B] == pytest.approx(0.09 / 0.365, abs=0.03)
    assert first_pieces(temperature=0.01) == {A: 1.0}
    assert set(first_pieces(top_p=0.5)) == {A}
    nucleus = first_pieces(top_p=0.51)  # A alone is too little, A and B are enough
    assert set(nucleus) == {A, B}
    assert nucleus[A] == pytest.approx(0.5 / 0.8, abs=0.03)


def test_where_nothing_may_come_a_sentence_is_over():
    def forbid(sentences, ids):
        bias = numpy.zeros((len(sentences), 7), dtype="float32")
        bias[sentences == 0] = IMPOSSIBLE if ids.shape[1] == 1 else 0
        return bias

    start, _ = script([spell([A, B]), spell([A, B])], 1)
    for found in (
        search.greedy(*start, [6, 6], forbid),
        search.sample(*start, [6, 6], numpy.full((2, 6), 0.5), constrain=forbid),
    ):
        assert spelled(found) == [[[A]], [[A, B, EOS]]]
        assert found.scores[0, 0] == IMPOSSIBLE


def test_a_sample_is_the_same_whoever_else_is_done():
    table = random_tables(seed=2, ending=0.5)
    hashes = numpy.arange(20, dtype="int32")
    found = [
        search.sample(
            hashed(numpy, table, 6),
            first_state(hashes, 1),
            memory,
            [9] * 20,
            numpy.random.default_rng(3).random((20, 9)),
            temperature=2.0,
        )
        for memory in (hashes, None)  # rows leave, and they do not
    ]
    numpy.testing.assert_array_equal(found[0].ids, found[1].ids)
    assert len({tuple(row) for row in found[0].ids[:, 0].tolist()}) > 5


def test_a_given_translation_is_scored_piece_by_piece():
    table = random_tables(seed=6)
    hashes = numpy.array([5, 50, 77], dtype="int32")
    targets = [[A, B, EOS], [EOS], [B, UNK, A, EOS]]
    padded = numpy.array([pieces + [PAD] * (4 - len(pieces)) for pieces in targets])

    def expand(tokens, parents, bias, state, memory):
        """As an engine does it: the bias is added before the best are chosen."""
        after = hash_after(state[parents], tokens)
        scores = table[after] + bias
        order = numpy.argsort(-scores, axis=1, kind="stable")[:, :2]
        return search.Candidates(numpy.take_along_axis(scores, order, axis=1), order, LOOKS[after]), after

    scores, attention = search.score(expand, hashes, None, padded, size=6)
    for row, (first_hash, pieces) in enumerate(zip(hashes, targets, strict=True)):
        expected, looks = by_hand(table, int(first_hash), pieces)
        numpy.testing.assert_allclose(scores[row, : len(pieces)], expected, rtol=1e-6)
        numpy.testing.assert_allclose(attention[row, : len(pieces)], looks)
        assert not scores[row, len(pieces) :].any()
        assert not attention[row, len(pieces) :].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature must be a finite number over 0; got 0.0"),
        ({"top_p": 0.0}, "top_p must be over 0 and at most 1; got 0.0"),
        ({"top_p": 1.5}, "top_p must be over 0 and at most 1; got 1.5"),
    ],
)
def test_sampling_names_bad_arguments(settings, message):
    start, _ = script([spell([A])], 1)
    with pytest.raises(ValueError, match=message):
        search.sample(*start, [3], numpy.zeros((1, 3)), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1.0}, "coverage penalty's beta must be a finite number of at least 0; got -1.0"),
        ({"diversity": math.inf}, "diversity must be a finite number of at least 0; got inf"),
        ({"beta": 0.2}, "a coverage penalty needs the length of each source; got None and beta 0.2"),
    ],
)
def test_penalties_that_cannot_be_are_named(settings, message):
    start, _ = script([spell([A])], 2)
    with pytest.raises(ValueError, match=message):
        search.beam(*start, 2, [3], 1.0, **settings)


def test_begin_has_one_live_sequence_a_sentence():
    start, parents = search.begin(numpy, 3, numpy.array([2, 4], dtype="int32"))
    assert parents.tolist() == list(range(6))
    assert start.live_log_probabilities.tolist() == [[0, IMPOSSIBLE, IMPOSSIBLE]] * 2
    assert start.tokens.tolist() == [BOS] * 6
    assert start.live_ids.shape == start.finished_ids.shape == (2, 3, 4)
    assert not start.done.any()


def candidates(log_probabilities, ids):
    return search.Candidates(log_probabilities, ids, numpy.zeros((len(ids), 0), dtype="float32"))


def test_advance_by_hand():
    limits = numpy.array([4], dtype="int32")
    start, _ = search.begin(numpy, 2, limits)
    ids = numpy.array([[A, B, EOS, C], [A, B, EOS, C]])
    after, parents = search.advance(
        numpy, start, candidates(numpy.array([[-0.5, -1.0, -2.0, -3.0]] * 2, dtype="float32"), ids), limits, 1.0
    )
    assert after.live_ids[0].tolist() == [[A, PAD, PAD, PAD], [B, PAD, PAD, PAD]]
    assert after.live_log_probabilities.tolist() == [[-0.5, -1.0]]
    assert after.finished_scores.tolist() == [[IMPOSSIBLE] * 2]  # EOS was third, outside a beam of 2
    assert parents.tolist() == [0, 0]
    # Row 0 (A, -0.5) goes on with C; row 1 (B, -1.0) ends: -1.0 - 0.25, over 7/6. Next come B C, A A, then the others.
    ids = numpy.array([[C, A, B, UNK], [EOS, C, A, B]])
    steps = numpy.array([[-0.25, -2.0, -4.0, -5.0], [-0.25, -0.75, -5.0, -6.0]], dtype="float32")
    after, parents = search.advance(numpy, after, candidates(steps, ids), limits, 1.0)
    assert after.live_ids[0].tolist() == [[A, C, PAD, PAD], [B, C, PAD, PAD]]
    assert after.live_log_probabilities.tolist() == [[-0.75, -1.75]]
    assert after.tokens.tolist() == [C, C]
    assert parents.tolist() == [0, 1]
    assert after.finished_ids[0, 0].tolist() == [B, EOS, PAD, PAD]
    assert after.finished_log_probabilities[0, 0] == -1.25
    assert after.finished_scores[0].tolist() == pytest.approx([-1.25 / (7 / 6), IMPOSSIBLE])
    assert not after.done.any()  # one of two is finished


def test_ties_stay_in_order_in_a_wide_beam():
    # 20 rows of 40 equal candidates: too many for a sort that is stable only where it is short.
    limits = numpy.array([3], dtype="int32")
    ids = numpy.tile(numpy.arange(100, 140), (20, 1))
    equal = numpy.full((20, 40), -1.0, dtype="float32")
    after, parents = search.advance(numpy, search.begin(numpy, 20, limits)[0], candidates(equal, ids), limits, 1.0)
    assert after.tokens.tolist() == list(range(100, 120))
    after, parents = search.advance(numpy, after, candidates(equal, ids), limits, 1.0)
    assert after.tokens.tolist() == list(range(100, 120))
    assert parents.tolist() == [0] * 20


def test_rows_are_repeated_and_gathered_through_the_whole_nest():
    state = search.Hypotheses(numpy.array([1, 2]), [numpy.array([[3], [4]])], {"cell": (numpy.array([5, 6]),)})
    repeated = search.repeat_rows(numpy, state, 2)
    gathered = search.gather_rows(numpy, repeated, numpy.array([3, 0, 0]))
    assert isinstance(gathered, search.Hypotheses)
    assert repeated.ids.tolist() == [1, 1, 2, 2]
    assert gathered.ids.tolist() == [2, 1, 1]
    assert gathered.log_probabilities[0].tolist() == [[4], [3], [3]]
    assert gathered.scores["cell"][0].tolist() == [6, 5, 5]


@pytest.mark.parametrize(
    ("beam_size", "max_length", "alpha", "message"),
    [
        (0, [3], 1.0, "beam_size must be at least 1; got 0"),
        (2, [3], -0.5, "at least 0; got -0.5"),
        (2, [3], math.nan, "finite number of at least 0; got nan"),
        (2, [0], 1.0, r"whole number of at least 1 for each sentence.*got \[0\]"),
        (2, [2.5], 1.0, "whole number of at least 1 for each sentence"),
        (2, 3, 1.0, "whole number of at least 1 for each sentence.*got 3"),
        (2, [3, 3], 1.0, r"of the memory must have 2 rows, one for each sentence; got the shape \(1,\)"),
    ],
)
def test_bad_arguments_are_named(beam_size, max_length, alpha, message):
    start, _ = script([spell([A])], 2)
    with pytest.raises(ValueError, match=message):
        search.beam(*start, beam_size, max_length, alpha)


def test_greedy_names_bad_arguments():
    start, _ = script([spell([A])], 2)
    with pytest.raises(ValueError, match="2 rows, one for each sentence; got the shape"):
        search.greedy(*start, [3, 3])
    with pytest.raises(ValueError, match="whole number of at least 1"):
        search.greedy(*start, [-1])


def test_too_few_candidates_are_refused():
    with pytest.raises(ValueError, match=r"at least 6 candidates a row.*got 5"):
        search.beam(hashed(numpy, random_tables(1), 5), first_state(numpy.array([1]), 3), None, 3, [4], 1.0)


def test_candidates_of_another_shape_are_refused():
    def expand(tokens, parents, bias, state, memory):
        return candidates(numpy.zeros((2, 4), dtype="float32"), numpy.full((2, 5), A)), state

    with pytest.raises(ValueError, match=r"of one shape \[2, C\]; got \(2, 4\) and \(2, 5\)"):
        search.beam(expand, (), None, 2, [3], 1.0)


# The same rules over keras.ops.


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


def graph_of(keras, table, beam_size, alpha, **penalties):
    """``beam_in_graph`` over the backend, traced with an unknown batch size where the backend is TensorFlow."""

    def run(hashes, limits):
        state = first_state(hashes, beam_size, keras.ops)
        expand = hashed(keras.ops, table, 2 * beam_size)
        if penalties:
            penalties["positions"] = keras.ops.arange(POSITIONS)[None] < 1 + hashes[:, None] % POSITIONS
        return search.beam_in_graph(keras.ops, expand, state, None, beam_size, limits, alpha, **penalties)

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        unknown = tensorflow.TensorSpec([None], "int32")
        run = tensorflow.function(run, input_signature=[unknown, unknown])

    def numbers(hashes, limits):
        hypotheses = run(*(keras.ops.array(values, dtype="int32") for values in (hashes, limits)))
        return search.Hypotheses(*map(keras.ops.convert_to_numpy, hypotheses))

    return numbers


@pytest.mark.parametrize(
    ("beam_size", "alpha", "ending"), [(1, 0.0, 1.0), (2, 1.0, 0.02), (3, 0.6, 0.5), (4, 1.0, 1.0)]
)
def test_the_graph_gives_what_the_host_loop_gives(keras, beam_size, alpha, ending):
    table = random_tables(seed=beam_size, ending=ending)
    run = graph_of(keras, table, beam_size, alpha)
    batches = [range(23), [8]]
    if keras.backend.backend() == "tensorflow":  # JAX traces the body for the empty batch too, and cannot take from it
        batches.append([])
    for hashes in batches:
        limits = [1 + 5 * index % 11 for index in hashes]
        expected = beam_of_table(table, list(hashes), beam_size, limits, alpha)
        found = run(list(hashes), limits)
        numpy.testing.assert_array_equal(found.ids, expected.ids)
        assert found.ids.dtype == expected.ids.dtype
        numpy.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
        numpy.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, rtol=1e-6)


def test_the_graph_weighs_coverage_as_the_host_loop_does(keras):
    table = random_tables(seed=8, ending=0.5)
    hashes, limits = numpy.arange(23), numpy.arange(23) * 5 % 11 + 1
    expand = hashed(numpy, table, 6)
    expected = search.beam(
        expand, first_state(hashes, 3), hashes, 3, limits, 1.0, beta=0.7, source_lengths=1 + hashes % POSITIONS
    )
    found = graph_of(keras, table, 3, 1.0, beta=0.7)(hashes, limits)
    numpy.testing.assert_array_equal(found.ids, expected.ids)
    numpy.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert (expected.ids != beam_of_table(table, hashes, 3, limits, 1.0).ids).any()


def test_one_graph_serves_every_beam_size(keras):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends trace with known shapes")
    import tensorflow

    table = random_tables(seed=5, ending=0.5)
    expand = hashed(keras.ops, table, 10)

    def run(hashes, limits, beam_size, alpha):
        state = first_state(hashes, beam_size, keras.ops)
        return search.beam_in_graph(keras.ops, expand, state, None, beam_size, limits, alpha)

    unknown, scalar, penalty = (
        tensorflow.TensorSpec(shape, dtype) for shape, dtype in (([None], "int32"), ([], "int32"), ([], "float32"))
    )
    run = tensorflow.function(run, input_signature=[unknown, unknown, scalar, penalty])
    hashes, limits = numpy.arange(23, dtype="int32"), numpy.arange(23, dtype="int32") * 5 % 11 + 1
    for beam_size, alpha in ((1, 0.0), (2, 1.0), (5, 0.6)):
        expected = beam_of_table(table, hashes, beam_size, limits, alpha)
        found = run(hashes, limits, beam_size, alpha)
        numpy.testing.assert_array_equal(found.ids, expected.ids)
        numpy.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)


def test_ties_in_the_graph_go_to_the_same_candidates(keras):
    # Every piece is as probable as every other, so that nothing but the order of candidates decides.
    table = numpy.full((HASHES, 6), -math.log(4), dtype="float32")
    table[:, [PAD, BOS]] = IMPOSSIBLE
    expected = beam_of_table(table, [1, 2], 3, [4, 5], 0.0)
    found = graph_of(keras, table, 3, 0.0)([1, 2], [4, 5])
    # The end token, second in the vocabulary, is finished in the order of its length; then the first pieces.
    assert spelled(expected)[0] == [[EOS], [UNK, EOS], [UNK, UNK, EOS]]
    numpy.testing.assert_array_equal(found.ids, expected.ids)


def test_the_graph_names_bad_arguments(keras):
    table = random_tables(1)
    with pytest.raises(ValueError, match="beam_size must be at least 1; got 0"):
        graph_of(keras, table, 0, 1.0)([1], [3])
    with pytest.raises(ValueError, match="at least 0; got -1"):
        graph_of(keras, table, 2, -1.0)([1], [3])


def test_a_limit_below_one_gives_no_hypothesis_in_the_graph(keras):
    found = graph_of(keras, random_tables(1), 2, 1.0)([1, 2], [0, 3])
    assert (found.ids[0] == PAD).all()
    assert (found.scores[0] == IMPOSSIBLE).all()
    assert numpy.isfinite(found.scores[1]).all()


def test_rows_of_a_nest_are_moved_and_its_absent_arrays_stay_absent() -> None:
    nest = {"hidden": (numpy.array([[1.0], [2.0]]),), "keep": None}
    moved = search.gather_rows(numpy, search.repeat_rows(numpy, nest, 2), numpy.array([3, 0]))
    assert moved["keep"] is None
    assert moved["hidden"][0].tolist() == [[2.0], [1.0]]
