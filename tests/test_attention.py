"""Bahdanau's attention against its equations in numpy, forward and backward; padding, heads, dropout."""

import keras
import numpy as np
import pytest
import textbook
from gradients import assert_gradients_are_slopes, derived
from keras import ops

from nmt.attention import BahdanauAttention

B, S, T, Q = 2, 5, 3, 7
ONE_HEAD = (1, 11, 13)  # heads, A, C
THREE_HEADS = (3, 3 * 5, 3 * 2)


@pytest.fixture
def random():
    return np.random.default_rng(1)


def attention(random, heads, units, features, dropout=0.0):
    """A layer in float64 with random weights."""
    layer = BahdanauAttention(units, heads, dropout, dtype="float64")
    layer.build((None, None, Q), (None, None, features))
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


def textbook_weights(layer):
    kernels = (layer.query_projection.kernel, layer.key_projection.kernel, layer.energy)
    return textbook.Attention(*(weight.numpy() for weight in kernels))


def memory_of(layer, states, mask=None, training=False):
    mask = np.ones(states.shape[:2], bool) if mask is None else mask
    return layer.memory(ops.convert_to_tensor(states), ops.convert_to_tensor(mask), None, training)


@pytest.mark.parametrize(("heads", "units", "features"), [ONE_HEAD, THREE_HEADS])
def test_context_and_weights_are_those_of_the_equations(random, heads, units, features):
    layer = attention(random, heads, units, features)
    query, states = random.normal(size=(B, T, Q)), random.normal(size=(B, S, features))

    contexts, weights = layer(query, memory_of(layer, states))

    assert contexts.shape == (B, T, features)
    assert weights.shape == (B, T, heads, S)
    for sentence in range(B):
        for position in range(T):
            context, alphas = textbook.attend(
                textbook_weights(layer), query[sentence, position], states[sentence], heads
            )
            np.testing.assert_allclose(contexts[sentence, position], context, rtol=1e-12)
            np.testing.assert_allclose(weights[sentence, position], alphas, rtol=1e-12)


@pytest.mark.parametrize(("heads", "units", "features"), [ONE_HEAD, THREE_HEADS])
def test_gradients_are_those_derived_by_hand(random, heads, units, features):
    layer = attention(random, heads, units, features)
    query = keras.Variable(random.normal(size=(B, T, Q)), dtype="float64")
    states = keras.Variable(random.normal(size=(B, S, features)), dtype="float64")
    d_contexts = random.normal(size=(B, T, features))

    def loss():
        contexts, _ = layer(ops.convert_to_tensor(query), memory_of(layer, ops.convert_to_tensor(states)))
        return ops.sum(contexts * d_contexts)

    by_weight = [layer.query_projection.kernel, layer.key_projection.kernel, layer.energy]
    *d_weights, d_query, d_states = derived(loss, [*by_weight, query, states])

    weights = textbook_weights(layer)
    sums, states_sums = textbook.zeros_like(weights), np.zeros(states.shape)
    for sentence in range(B):
        for position in range(T):
            asked, read = query.numpy()[sentence, position], states.numpy()[sentence]
            d_here, d_asked, d_read = textbook.attend_back(weights, asked, read, d_contexts[sentence, position], heads)
            sums = textbook.plus(sums, d_here)
            states_sums[sentence] += d_read
            np.testing.assert_allclose(d_query[sentence, position], d_asked, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d_states, states_sums, rtol=1e-9, atol=1e-12)
    for name, received, expected in zip(weights._fields, d_weights, sums, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("heads", "units", "features"), [ONE_HEAD, THREE_HEADS])
def test_gradients_are_slopes(random, heads, units, features):
    layer = attention(random, heads, units, features)
    query = keras.Variable(random.normal(size=(B, T, Q)), dtype="float64", name="query")
    states = keras.Variable(random.normal(size=(B, S, features)), dtype="float64", name="states")
    mask = np.array([[True] * S, [True] * (S - 2) + [False] * 2])

    def loss():
        contexts, weights = layer(ops.convert_to_tensor(query), memory_of(layer, ops.convert_to_tensor(states), mask))
        return ops.sum(ops.sin(contexts)) + ops.sum(weights**2)

    assert_gradients_are_slopes(loss, [*layer.trainable_variables, query, states], random)


@pytest.mark.parametrize("heads", [1, 2])
def test_equal_energies_give_the_mean_of_each_sentence_without_its_padding(random, heads):
    layer = attention(random, heads, 2 * 3, 2 * 5)
    layer.energy.assign(np.zeros(2 * 3))
    states = random.normal(size=(B, S, 2 * 5))
    mask = np.array([[True] * 5, [True, True, False, False, False]])

    contexts, weights = layer(random.normal(size=(B, T, Q)), memory_of(layer, states, mask))

    for position in range(T):
        np.testing.assert_allclose(contexts[0, position], states[0].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(contexts[1, position], states[1, :2].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(weights[1], np.broadcast_to([0.5, 0.5, 0, 0, 0], (T, heads, S)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
def test_weights_sum_to_one_and_are_exactly_zero_on_padding(random, dtype):
    layer = BahdanauAttention(6, 2, dtype=dtype)
    layer.build((None, None, Q), (None, None, 10))
    states = 100 * random.normal(size=(B, S, 10))  # loud padding too
    states = ops.cast(states, layer.compute_dtype)
    mask = np.array([[True, True, True, True, False], [True, False, False, False, False]])

    contexts, weights = layer(random.normal(size=(B, T, Q)), memory_of(layer, states, mask))

    assert keras.backend.standardize_dtype(weights.dtype) == layer.compute_dtype
    weights = ops.convert_to_numpy(ops.cast(weights, "float64"))
    rounding = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}.get(dtype, 1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=rounding)
    assert (weights[0, ..., 4] == 0).all()
    assert (weights[1, ..., 1:] == 0).all()
    np.testing.assert_array_equal(contexts[1], np.broadcast_to(states[1, 0], (T, 10)))  # the only piece there is


@pytest.mark.parametrize("heads", [1, 2])
def test_what_stands_on_padding_changes_nothing(random, heads):
    layer = attention(random, heads, 2 * 3, 2 * 5)
    query, states = random.normal(size=(B, T, Q)), random.normal(size=(B, S, 2 * 5))
    padded = np.concatenate([states, 1000 * random.normal(size=(B, 2, 2 * 5))], axis=1)
    mask = np.array([[True] * S + [False] * 2] * B)

    contexts, weights = layer(query, memory_of(layer, states))
    padded_contexts, padded_weights = layer(query, memory_of(layer, padded, mask))

    np.testing.assert_allclose(padded_contexts, contexts, rtol=1e-12)
    np.testing.assert_allclose(padded_weights[..., :S], weights, rtol=1e-12)


def test_energies_that_overflow_an_exponential_are_no_trouble(random):
    layer = attention(random, 1, 3, 2)
    layer.energy.assign([1e6, 1e6, 1e6])
    contexts, weights = layer(random.normal(size=(B, T, Q)), memory_of(layer, random.normal(size=(B, S, 2))))
    assert np.isfinite(contexts).all()
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1)


def test_dropout_thins_the_context_and_leaves_the_weights(random):
    layer = attention(random, 2, 2 * 3, 2 * 5, dropout=0.4)
    query, states = random.normal(size=(B, T, Q)), random.normal(size=(B, S, 2 * 5))
    plain_contexts, plain_weights = layer(query, memory_of(layer, states))

    memory = memory_of(layer, states, training=True)
    contexts, weights = layer(query, memory)

    keep = memory.keep.numpy()
    assert keep.shape == (B, 1, 2, S)  # one a sentence and head, the same at all target positions
    assert set(np.unique(keep.round(9))) == {0, round(1 / 0.6, 9)}
    np.testing.assert_array_equal(weights, plain_weights)
    assert not np.allclose(contexts, plain_contexts)
    for head in range(2):
        features = slice(5 * head, 5 * head + 5)
        expected = (plain_weights.numpy() * keep)[:, :, head] @ states[:, :, features]
        np.testing.assert_allclose(contexts[..., features], expected, rtol=1e-12)


def test_dropout_keeps_the_mean(random):
    layer = attention(random, 2, 2 * 3, 2 * 5, dropout=0.4)
    keep = memory_of(layer, np.zeros((500, 20, 2 * 5)), training=True).keep.numpy()  # 20,000 draws
    standard_error = np.sqrt(0.4 / 0.6 / keep.size)
    assert abs(keep.mean() - 1) < 5 * standard_error


@pytest.mark.parametrize(("dropout", "training"), [(0.4, False), (0.0, True), (0.0, False)])
def test_dropout_draws_nothing_outside_training_nor_at_rate_zero(random, dropout, training):
    layer = attention(random, 1, 3, 2, dropout)
    assert memory_of(layer, random.normal(size=(B, S, 2)), training=training).keep is None


@pytest.mark.parametrize(("heads", "units", "features"), [(2, 7, 10), (2, 6, 5)])
def test_heads_that_do_not_divide_are_refused(heads, units, features):
    layer = BahdanauAttention(units, heads)
    with pytest.raises(ValueError, match=rf"heads must divide .* received {heads} heads for {units} and {features}"):
        layer.build((None, None, Q), (None, None, features))
