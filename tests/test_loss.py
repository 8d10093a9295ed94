"""The loss against numbers by hand, an explicit smoothed distribution, and finite differences."""

import math

import keras
import numpy as np
import pytest
from gradients import assert_gradients_are_slopes, derived
from keras import ops

from nmt import loss
from nmt.symbols import EOS, PAD

B, T, V = 2, 3, 7
TARGET = np.array([[5, 4, EOS], [6, EOS, PAD]])


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(size=(B, T, V)) * 3


def smoothed(logits, target, smoothing):
    """- sum_v q(v) log p(v), with the distribution q written out."""
    wanted = np.full(V, smoothing / V)
    wanted[target] += 1 - smoothing
    log_probabilities = logits - math.log(np.exp(logits).sum())
    return -(wanted * log_probabilities).sum()


def test_even_logits_cost_the_logarithm_of_the_vocabulary():
    losses = loss.cross_entropy(np.zeros((B, T, V), "float32"), TARGET, label_smoothing=0.1)
    np.testing.assert_allclose(losses, np.log([[7, 7, 7], [7, 7, 1]]), rtol=1e-6)


def test_a_piece_of_probability_five_eighths_costs_the_logarithm_of_eight_fifths():
    logits = np.log([[[1.0, 2.0, 5.0]]])  # probabilities 1/8, 2/8, 5/8
    np.testing.assert_allclose(loss.cross_entropy(logits, np.array([[2]])), [[math.log(8 / 5)]])
    smoothing = 0.3  # wanted: .1, .1, .8
    by_hand = 0.1 * math.log(8) + 0.1 * math.log(4) + 0.8 * math.log(8 / 5)
    np.testing.assert_allclose(loss.cross_entropy(logits, np.array([[2]]), smoothing), [[by_hand]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothing_is_the_cross_entropy_with_the_smoothed_distribution(logits, smoothing):
    losses = loss.cross_entropy(logits, TARGET, smoothing)
    for row, position in np.argwhere(TARGET != PAD):
        expected = smoothed(logits[row, position], TARGET[row, position], smoothing)
        np.testing.assert_allclose(losses[row, position], expected, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_costs_nothing_and_teaches_nothing(logits, smoothing):
    variable = keras.Variable(logits, dtype="float64")

    def mean():
        return loss.token_mean(loss.cross_entropy(ops.convert_to_tensor(variable), TARGET, smoothing), TARGET)

    (gradient,) = derived(mean, [variable])
    losses = loss.cross_entropy(logits, TARGET, smoothing).numpy()
    assert losses[1, 2] == 0
    assert (gradient[1, 2] == 0).all()
    assert (gradient[TARGET != PAD] != 0).all()

    longer = np.concatenate([logits, 50 + logits], axis=1)
    target = np.pad(TARGET, ((0, 0), (0, T)))
    padded = loss.token_mean(loss.cross_entropy(longer, target, smoothing), target)
    np.testing.assert_allclose(padded, mean(), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_are_slopes(logits, smoothing):
    variable = keras.Variable(logits, dtype="float64", name="logits")
    assert_gradients_are_slopes(
        lambda: loss.token_mean(loss.cross_entropy(ops.convert_to_tensor(variable), TARGET, smoothing), TARGET),
        [variable],
        np.random.default_rng(2),
    )


def test_the_gradient_is_the_probabilities_less_the_wanted_distribution(logits):
    variable = keras.Variable(logits, dtype="float64")
    (gradient,) = derived(lambda: loss.cross_entropy(ops.convert_to_tensor(variable), TARGET, 0.1)[0, 1], [variable])
    probabilities = np.exp(logits[0, 1]) / np.exp(logits[0, 1]).sum()
    wanted = np.full(V, 0.1 / V)
    wanted[TARGET[0, 1]] += 0.9
    np.testing.assert_allclose(gradient[0, 1], probabilities - wanted, rtol=1e-12)


def test_the_disagreement_of_two_predictions_by_hand():
    """p = (1/2, 1/2) and q = (4/5, 1/5): (KL(p || q) + KL(q || p)) / 2; the same twice disagrees nowhere."""
    first, second = np.log([[[0.5, 0.5], [0.1, 0.9]]]) + 3, np.log([[[0.8, 0.2], [0.1, 0.9]]]) - 5
    there = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    back = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    apart = loss.disagreement(ops.convert_to_tensor(first), ops.convert_to_tensor(second), np.array([[1, 1]]))
    np.testing.assert_allclose(apart, [[(there + back) / 2, 0]], atol=1e-12)


def test_padding_never_disagrees(logits):
    apart = loss.disagreement(ops.convert_to_tensor(logits), ops.convert_to_tensor(logits[::-1].copy()), TARGET)
    assert ((np.array(apart) > 0) == (TARGET != PAD)).all()


def test_both_predictions_learn_from_their_disagreement(logits):
    first = keras.Variable(logits, dtype="float64", name="first")
    second = keras.Variable(logits[::-1] * 0.7, dtype="float64", name="second")
    assert_gradients_are_slopes(
        lambda: ops.sum(loss.disagreement(ops.convert_to_tensor(first), ops.convert_to_tensor(second), TARGET)),
        [first, second],
        np.random.default_rng(2),
    )


def test_the_mean_counts_the_end_but_not_the_padding():
    losses = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]], "float32")
    assert float(loss.token_count(TARGET)) == 5
    assert float(loss.token_mean(losses, TARGET)) == 3


def test_a_batch_of_padding_costs_nothing_instead_of_dividing_by_zero():
    nothing = np.full((B, T), PAD)
    losses = loss.cross_entropy(np.zeros((B, T, V), "float32"), nothing)
    assert float(loss.token_mean(losses, nothing)) == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_small_types_are_widened_before_the_exponential(dtype):
    logits = ops.cast([[[11.0, 11.0, 11.0]]], dtype)
    losses = loss.cross_entropy(logits, np.array([[1]]))
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    np.testing.assert_allclose(losses, [[math.log(3)]], rtol=1e-6)


def test_huge_logits_stay_finite():
    logits = np.array([[[1e4, 0.0, -1e4]]], "float32")
    np.testing.assert_allclose(loss.cross_entropy(logits, np.array([[2]]), 0.3), [[0.8 * 2e4 + 0.1 * 1e4]], rtol=1e-6)


def test_a_tally_by_hand():
    likely = np.log([0.5, 0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.0625])  # guesses piece 0
    logits = np.stack(
        [[np.roll(likely, 5), np.roll(likely, 5), likely], [np.roll(likely, 6), np.roll(likely, 3), likely]]
    )
    #  guessed 5, 5, 0 and 6, 3, 0; wanted 5, 4, 3 and 6, 3, padding: right are 5, 6 and 3, not the padding
    received = loss.tally(logits, TARGET)
    assert float(received.correct) == 3
    assert float(received.tokens) == 5
    #  4 stands at roll 5's index 4: likely[6] = 1/16; 3 at likely[3] = 1/16
    np.testing.assert_allclose(received.negative_log_likelihood, 3 * math.log(2) + 2 * math.log(16), rtol=1e-6)


def test_tallies_of_parts_add_up_to_that_of_the_whole(logits):
    whole = loss.tally(logits, TARGET)
    parts = [loss.tally(logits[row : row + 1], TARGET[row : row + 1]) for row in range(B)]
    for field in loss.Tally._fields:
        added = sum(float(getattr(part, field)) for part in parts)
        np.testing.assert_allclose(float(getattr(whole, field)), added, rtol=1e-12)
