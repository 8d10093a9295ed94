"""The batch plan: what a batch holds, what an epoch covers, what is wasted on padding, how a batch is found."""

import hashlib
import json

import numpy as np
import pytest

from nmt import batches
from nmt.batches import BatchPlan, Position, Share, fitted_lengths, pad, pad_source
from nmt.symbols import BOS, EOS, PAD

SEED = 7


def sentences(count, seed=1):
    """Pairs whose lengths spread like those of a corpus: log-normal, about 13 pieces, both sides alike.

    Every id of pair i is 4 + i, so that a row of a batch says which pair it is.
    """
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(13), 0.4, count)).round().astype(int).clip(1)
    other = (lengths * np.exp(random.normal(0, 0.15, count))).round().astype(int).clip(1)
    return [[4 + i] * int(n) for i, n in enumerate(lengths)], [[4 + i] * int(n) for i, n in enumerate(other)]


SOURCE, TARGET = sentences(1500)
LENGTHS = fitted_lengths(SOURCE, TARGET)


def plan(batch_tokens=600, seed=SEED, lengths=()):
    return BatchPlan(SOURCE, TARGET, batch_tokens, seed, lengths)


@pytest.fixture(params=[(), LENGTHS], ids=["fitting", "few shapes"])
def any_plan(request):
    return plan(lengths=request.param)


def batches_of(plan, epoch=0):
    return [plan.batch(Position(epoch, number)) for number in range(len(plan.epoch(epoch)))]


def content(batch):
    return b"".join(array.tobytes() + str(array.shape).encode() for array in batch)


# --- rows as a person reads them ---


def test_pairs_become_rows_with_their_special_ids():
    batch = pad([[11, 12, 13], [14]], [[21], [22, 23]])
    assert batch.source.tolist() == [
        [11, 12, 13, EOS],
        [14, EOS, PAD, PAD],
    ]
    assert batch.target_in.tolist() == [
        [BOS, 21, PAD],
        [BOS, 22, 23],
    ]
    assert batch.target_out.tolist() == [
        [21, EOS, PAD],
        [22, 23, EOS],
    ]
    assert {array.dtype for array in batch} == {np.dtype("int32")}


def test_a_larger_shape_is_filled_with_a_real_source_and_nothing_to_predict():
    batch = pad([[11, 12], [13]], [[21], [22, 23]], length=4, rows=3)
    assert batch.source.tolist() == [
        [11, 12, EOS, PAD],
        [13, EOS, PAD, PAD],
        [11, 12, EOS, PAD],  # the first once more
    ]
    assert batch.target_in.tolist() == [[BOS, 21, PAD, PAD], [BOS, 22, 23, PAD], [PAD] * 4]
    assert batch.target_out.tolist() == [[21, EOS, PAD, PAD], [22, 23, EOS, PAD], [PAD] * 4]


def test_a_source_alone_ends_with_the_end_of_sentence():
    assert pad_source([[11], [12, 13]]).tolist() == [[11, EOS, PAD], [12, 13, EOS]]


def test_the_batch_at_a_position_holds_the_pairs_that_the_epoch_says(any_plan):
    for position in (Position(0, 0), Position(3, 5)):
        pairs, batch = any_plan.epoch(position.epoch)[position.number], any_plan.batch(position)
        for row, pair in enumerate(pairs):
            assert batch.source[row][batch.source[row] != PAD].tolist() == [*SOURCE[pair], EOS]
            assert batch.target_in[row][batch.target_in[row] != PAD].tolist() == [BOS, *TARGET[pair]]
            assert batch.target_out[row][batch.target_out[row] != PAD].tolist() == [*TARGET[pair], EOS]
        assert any_plan.target_tokens(position) == np.count_nonzero(batch.target_out)


# --- a pure function ---


def test_a_position_has_one_content_in_whatever_order_it_is_asked_for(any_plan):
    lengths = any_plan.lengths
    positions = [Position(epoch, number) for epoch in range(6) for number in (0, 3, 11)]
    forwards = [content(any_plan.batch(position)) for position in positions]
    backwards = [content(plan(lengths=lengths).batch(position)) for position in reversed(positions)]
    assert forwards == backwards[::-1]
    assert forwards == [content(any_plan.batch(position)) for position in positions]


def test_each_epoch_covers_every_pair_once(any_plan):
    for epoch in (0, 1, 5):
        pairs = np.concatenate(any_plan.epoch(epoch))
        assert sorted(pairs.tolist()) == list(range(len(SOURCE)))


def test_epochs_and_seeds_order_and_compose_batches_anew(any_plan):
    def composition(plan, epoch):
        return [tuple(pairs.tolist()) for pairs in plan.epoch(epoch)]

    first = composition(any_plan, 0)
    for other in (composition(any_plan, 1), composition(plan(seed=SEED + 1, lengths=any_plan.lengths), 0)):
        assert other != first
        assert set(map(frozenset, other)) != set(map(frozenset, first))  # not merely shuffled


def test_locate_is_walking(any_plan):
    walked = [Position(epoch, number) for epoch in range(4) for number in range(len(any_plan.epoch(epoch)))]
    assert [any_plan.locate(number) for number in range(len(walked))] == walked
    assert any_plan.locate(len(walked)) == Position(4, 0)


class Asked:
    """Sentences that know their lengths, and remember which of them were asked for."""

    def __init__(self, ids):
        self.ids, self.asked = ids, []
        self.lengths = np.array(list(map(len, ids)), "int32")

    def __len__(self):
        return len(self.ids)

    def take(self, numbers):
        self.asked.append(list(numbers))
        return [self.ids[number] for number in numbers]


@pytest.mark.parametrize("lengths", [(), LENGTHS], ids=["fitting", "few shapes"])
def test_sentences_are_asked_for_in_their_batch_and_all_at_once(lengths):
    source, target = Asked(SOURCE), Asked(TARGET)
    lazy, listed = BatchPlan(source, target, 600, SEED, lengths), plan(lengths=lengths)
    assert fitted_lengths(source, target) == LENGTHS
    position = lazy.locate(len(lazy.epoch(0)) + 3)
    assert lazy.target_tokens(position) == listed.target_tokens(position)
    assert source.asked == target.asked == []
    assert content(lazy.batch(position)) == content(listed.batch(position))
    assert source.asked == target.asked == [listed.epoch(1)[3].tolist()]


def test_batches_are_the_same_for_ever():
    """A training that an earlier version began goes on with the batches that it would have had."""
    found = [[pairs.tolist() for pairs in plan(lengths=lengths).epoch(2)] for lengths in ((), LENGTHS)]
    digests = [hashlib.sha256(json.dumps(batches).encode()).hexdigest()[:16] for batches in found]
    assert digests == ["a7f27d617352ef75", "48257e5e0cefc7f6"]


# --- sentences that vary from epoch to epoch ---


class Grown:
    """Each sentence of ``ids`` said once in epoch 0, twice in epoch 1, and so on; notes which epochs were asked for."""

    def __init__(self, ids):
        self.ids, self.asked = ids, []

    def __len__(self):
        return len(self.ids)

    def epoch(self, number):
        self.asked.append(number)
        return Asked([sentence * (number + 1) for sentence in self.ids])


def test_an_epoch_is_cut_from_what_its_sentences_are_then():
    varying = BatchPlan(Grown(SOURCE[:200]), Grown(TARGET[:200]), 600, SEED)
    for epoch in (2, 0):
        ids = [[sentence * (epoch + 1) for sentence in side[:200]] for side in (SOURCE, TARGET)]
        constant = BatchPlan(*ids, 600, SEED)
        assert [pairs.tolist() for pairs in varying.epoch(epoch)] == [pairs.tolist() for pairs in constant.epoch(epoch)]
        for number in range(len(constant.epoch(epoch))):
            position = Position(epoch, number)
            assert content(varying.batch(position)) == content(constant.batch(position))
            assert varying.target_tokens(position) == constant.target_tokens(position)
    assert len(varying.epoch(2)) > 2 * len(varying.epoch(0))


def test_one_side_may_vary_and_fixed_lengths_fit_the_first_epoch():
    source, target = Grown(SOURCE[:200]), TARGET[:200]
    assert fitted_lengths(source, target) == fitted_lengths(SOURCE[:200], target)
    longest = max(map(len, SOURCE[:200]))
    plan = BatchPlan(source, target, 600, SEED, (*fitted_lengths(source, target), 2 * longest + 1))
    assert sorted(np.concatenate(plan.epoch(1)).tolist()) == list(range(200))
    assert {batch.source.shape[1] for batch in batches_of(plan, 1)} <= set(plan.lengths)
    with pytest.raises(ValueError, match=f"lengths must reach {3 * longest + 1}, the longest sentence with its end"):
        plan.epoch(2)


def test_a_position_is_found_without_the_epochs_before_it_where_their_starts_are_remembered():
    first = BatchPlan(Grown(SOURCE[:200]), TARGET[:200], 600, SEED)
    number = sum(len(first.epoch(epoch)) for epoch in range(3)) + 2  # in epoch 3
    starts = first.starts(number)
    assert starts == [0, *np.cumsum([len(first.epoch(epoch)) for epoch in range(3)]).tolist()]

    source = Grown(SOURCE[:200])
    resumed = BatchPlan(source, TARGET[:200], 600, SEED)
    resumed.remember(starts)
    assert resumed.locate(number) == first.locate(number) == Position(3, 2)
    assert resumed.locate(starts[1]) == Position(1, 0)
    assert set(source.asked) == {0, 3}  # 0 when it was made
    far = sum(len(first.epoch(epoch)) for epoch in range(5))
    assert resumed.locate(far) == first.locate(far) == Position(5, 0)


# --- shares ---


def shared(*shares, seed=SEED):
    pairs = sum(pairs for pairs, _ in shares)
    return BatchPlan([[9]] * pairs, [[9]] * pairs, 60, seed, shares=tuple(Share(*share) for share in shares))


def times(plan, *epochs):
    """How often each pair stands in the batches of these epochs."""
    found = np.concatenate([np.concatenate(plan.epoch(epoch)) for epoch in epochs])
    return np.bincount(found, minlength=len(plan.source)).tolist()


def test_a_weight_is_the_times_that_an_epoch_reads_a_pair():
    assert times(shared((5, 1.0), (4, 2.0), (3, 3.0)), 0) == [1] * 5 + [2] * 4 + [3] * 3


def test_of_a_fraction_of_the_pairs_successive_epochs_read_all_before_any_again():
    halves = shared((5, 1.0), (40, 0.5))
    for epoch in (0, 2, 8):
        assert times(halves, epoch)[:5] == [1] * 5
        assert sum(times(halves, epoch)[5:]) == 20
        assert times(halves, epoch, epoch + 1)[5:] == [1] * 40
    tenths = shared((5, 1.0), (7, 0.3))  # 2.1 pairs an epoch
    counts = [times(tenths, *range(epochs))[5:] for epochs in range(1, 21)]
    for count in counts:
        assert max(count) - min(count) <= 1
    assert [sum(count) for count in counts] == [int(epochs * (0.3 * 7)) for epochs in range(1, 21)]


def test_a_mixed_number_is_so_many_times_and_a_fraction_more():
    plan = shared((5, 1.0), (40, 1.5))
    first, second = times(plan, 0)[5:], times(plan, 1)[5:]
    assert set(first) == set(second) == {1, 2}
    assert [a + b for a, b in zip(first, second, strict=True)] == [3] * 40


def test_which_pairs_are_read_is_decided_by_the_seed_for_each_share_apart():
    plan = shared((5, 1.0), (40, 0.5), (40, 0.5))
    first = times(plan, 3)[5:45]
    assert first == times(shared((5, 1.0), (40, 0.5), (40, 0.5)), 3)[5:45]
    assert first != times(plan, 3)[45:]
    assert first != times(shared((5, 1.0), (40, 0.5), (40, 0.5), seed=SEED + 1), 3)[5:45]
    assert sorted(first[:20]) != first[:20]  # by chance, not the first half


def test_a_share_of_one_weight_changes_nothing():
    apart = BatchPlan(SOURCE, TARGET, 600, SEED, shares=(Share(500, 1.0), Share(1000, 1.0)))
    assert [pairs.tolist() for pairs in apart.epoch(1)] == [pairs.tolist() for pairs in plan().epoch(1)]


# --- size ---


def test_no_batch_exceeds_its_budget(any_plan):
    for batch in batches_of(any_plan):
        assert batch.target_out.size <= any_plan.batch_tokens


def test_batches_are_full():
    assert np.mean([batch.target_out.size / 600 for batch in batches_of(plan())]) > 0.95


@pytest.mark.parametrize("lengths", [(), (3, 9)])
def test_a_pair_over_the_budget_is_a_batch_of_its_own(lengths):
    source, target = [[5], [6] * 8, [7]], [[5], [6] * 8, [7]]
    found = BatchPlan(source, target, 6, SEED, lengths)
    assert sorted(sorted(pairs.tolist()) for pairs in found.epoch(0)) == [[0, 2], [1]]
    assert max(batch.target_out.shape for batch in batches_of(found)) == (2, 3 if lengths else 2)
    assert (1, 9) in [batch.target_out.shape for batch in batches_of(found)]


def test_little_is_padding():
    """At the size of Multi30k: 2 % of the target, 18 % of the source; in the order of the text both waste over 40 %."""
    source, target = sentences(30_000)
    found = batches_of(BatchPlan(source, target, 4000, SEED))

    def padding(arrays):
        return 1 - sum(np.count_nonzero(array) for array in arrays) / sum(array.size for array in arrays)

    assert padding([batch.target_out for batch in found]) < 0.02
    assert padding([batch.source for batch in found]) < 0.18
    in_order = [pad(source[i : i + 250], target[i : i + 250]) for i in range(0, 30_000, 250)]
    assert padding([batch.target_out for batch in in_order]) > 0.4
    assert padding([batch.source for batch in in_order]) > 0.4


# --- few shapes ---


def test_few_shapes_are_few_and_no_row_is_all_padding():
    found = batches_of(plan(lengths=LENGTHS))
    assert len(LENGTHS) <= 8
    shapes = {batch.source.shape for batch in found}
    assert {length for _, length in shapes} <= set(LENGTHS)
    assert len(shapes) <= len(LENGTHS)
    for batch in found:
        assert batch.source.shape == batch.target_in.shape == batch.target_out.shape
        assert (batch.source != PAD).any(axis=1).all()


def test_fill_rows_predict_nothing():
    few = plan(lengths=LENGTHS)
    filled = 0
    for number, pairs in enumerate(few.epoch(0)):
        batch = few.batch(Position(0, number))
        rest = slice(len(pairs), None)
        filled += len(batch.source[rest])
        assert not batch.target_in[rest].any()
        assert not batch.target_out[rest].any()
        assert (batch.source[rest] == batch.source[0]).all()
    assert filled


def test_fitted_lengths_cover_the_longest_pair_and_share_the_pieces():
    """Widths (the longer side and its end): 2 2 3 3 4 4 5 5 ... are cut where a quarter of all pieces is below."""
    source = [[9] * n for n in (1, 2, 3, 4, 5, 6, 7, 8)]
    target = [[9] * n for n in (1, 1, 3, 3, 5, 5, 7, 7)]
    # Widths 2 3 4 5 6 7 8 9, together 44; a quarter, half and three quarters of it lie in 5 (14), 7 (27) and 8 (35).
    assert fitted_lengths(source, target, shapes=4) == (5, 7, 8, 9)
    assert fitted_lengths(source, target, shapes=1) == (9,)
    assert fitted_lengths([[9]], [[9] * 4], shapes=8) == (5,)


# --- refusals ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[5]], [[5], [6]], 60, SEED), "got 1 sources and 2 targets"),
        (([], [], 60, SEED), "at least one pair; got none"),
        (([[5] * 9], [[5]], 60, SEED, (4, 8)), r"lengths must reach 10.*got \(4, 8\)"),
        (([[5]], [[5]], 60, SEED, (), (Share(2, 1.0),)), r"shares of a plan must be of its 1 pairs; got \(Share"),
    ],
)
def test_what_is_no_plan_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches.BatchPlan(*arguments)


def test_a_very_long_source_makes_a_small_batch_not_a_huge_one():
    sources = [[5] * 120 if pair % 500 == 0 else [5] * 4 for pair in range(5000)]
    plan = BatchPlan(sources, [[6] * 4] * 5000, batch_tokens=1000, seed=1)
    for number in range(len(plan.epoch(0))):
        assert plan.batch(Position(0, number)).source.size <= 2 * 1000
    assert sorted(np.concatenate(plan.epoch(0)).tolist()) == list(range(5000))


# --- parts ---


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 7])
def test_the_parts_of_a_batch_are_of_one_height_and_together_the_batch(total):
    whole = pad([[4, 5], [6], [7, 8, 9], [4], [5]], [[10], [11, 12], [13], [14], [15, 16]])
    parts = [whole.part(range(number, number + 1), total) for number in range(total)]
    assert len({part.source.shape for part in parts}) == 1
    for array, *others in zip(whole, *parts, strict=True):
        joined = np.concatenate(others)
        np.testing.assert_array_equal(joined[:5], array)
    assert sum(part.target_tokens() for part in parts) == whole.target_tokens() == 12
    for part in parts:
        assert (part.source != PAD).any(axis=1).all()  # a row of padding alone would break cuDNN


def test_a_process_with_two_devices_takes_two_parts():
    whole = pad([[4], [5], [6], [7], [8]], [[10]] * 5)
    np.testing.assert_array_equal(whole.part(range(2, 4), 4).source[:, 0], [8, 4, 4, 4])
    assert whole.part(range(2, 4), 4).target_tokens() == 2


def test_a_batch_is_filled_up_to_as_many_rows_as_there_are_streams():
    filled = pad([[4, 5]], [[10]]).filled(3)
    np.testing.assert_array_equal(filled.source, [[4, 5, EOS]] * 3)
    np.testing.assert_array_equal(filled.target_out, [[10, EOS], [PAD, PAD], [PAD, PAD]])
    np.testing.assert_array_equal(filled.filled(2).source, filled.source)
