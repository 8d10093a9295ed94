"""Weight-drop: which weights are thinned, when, and that one draw serves a whole call."""

import keras
import numpy as np
import pytest
import textbook
from gradients import derived

from nmt.lstm import LSTM

B, S, E, H = 3, 5, 7, 40
RATE = 0.3


@pytest.fixture
def random():
    return np.random.default_rng(1)


def lstm(random, weight_drop=RATE):
    keras.utils.set_random_seed(1)
    layer = LSTM(H, weight_drop=weight_drop, return_sequences=True, dtype="float64")
    layer.build((None, None, E))
    layer.set_weights([random.normal(size=weight.shape) * 0.3 for weight in layer.trainable_weights] + seeds(layer))
    return layer


def seeds(layer):
    return [weight.numpy() for weight in layer.weights[len(layer.trainable_weights) :]]


def textbook_states(layer, inputs, recurrent_kernel):
    weights = textbook.LSTM(layer.cell.kernel.numpy(), recurrent_kernel, layer.cell.bias.numpy())
    return np.array([textbook.lstm(weights, row, np.zeros(H), np.zeros(H))[0][1:] for row in inputs])


def gradient_of_recurrent_kernel(layer, inputs, training):
    (gradient,) = derived(lambda: keras.ops.sum(layer(inputs, training=training) ** 2), [layer.cell.recurrent_kernel])
    return gradient


def test_every_step_and_sentence_reads_the_same_thinned_kernel(random, monkeypatch):
    layer, inputs = lstm(random), random.normal(size=(B, S, E))
    kernel = layer.cell.recurrent_kernel.numpy()
    mask = random.integers(0, 2, kernel.shape) / 0.5
    monkeypatch.setattr(layer, "drop", lambda weights, training: weights * mask)
    np.testing.assert_allclose(layer(inputs, training=True), textbook_states(layer, inputs, kernel * mask), rtol=1e-9)
    np.testing.assert_allclose(layer(inputs), textbook_states(layer, inputs, kernel), rtol=1e-9)


def test_a_share_of_the_weights_is_left_out_and_does_not_learn(random):
    layer, inputs = lstm(random), random.normal(size=(B, S, E))
    left_out = gradient_of_recurrent_kernel(layer, inputs, training=True) == 0
    # 6,400 weights: the share strays from its rate by more than 0.03 once in ten million draws.
    assert left_out.mean() == pytest.approx(RATE, abs=0.03)
    again = gradient_of_recurrent_kernel(layer, inputs, training=True) == 0
    assert (left_out != again).any()
    assert (gradient_of_recurrent_kernel(layer, inputs, training=False) != 0).all()


def test_the_weights_that_are_kept_are_scaled_up(random):
    layer = lstm(random)
    kernel = layer.cell.recurrent_kernel.numpy()
    thinned = layer.drop(layer.cell.recurrent_kernel, training=True).numpy()
    kept = thinned != 0
    np.testing.assert_allclose(thinned[kept], kernel[kept] / (1 - RATE))


def test_no_call_leaves_a_trace(random, monkeypatch):
    """Neither one that went well nor one that failed."""
    layer, inputs = lstm(random), random.normal(size=(B, S, E))
    kernel = layer.cell.recurrent_kernel
    before = kernel.numpy()
    layer(inputs, training=True)
    assert layer.cell.recurrent_kernel is kernel
    monkeypatch.setattr(layer.cell, "call", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        layer(inputs, training=True)
    assert layer.cell.recurrent_kernel is kernel
    np.testing.assert_array_equal(kernel.numpy(), before)
    assert len(layer.trainable_weights) == 3


def test_without_a_rate_it_is_kerass(random):
    layer, inputs = lstm(random, weight_drop=0.0), random.normal(size=(B, S, E))
    plain = keras.layers.LSTM(H, return_sequences=True, dtype="float64")
    plain.build((None, None, E))
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(inputs, training=True), plain(inputs, training=True))
    assert layer.weights == layer.trainable_weights  # no random state to be saved


def test_both_directions_draw_for_themselves(random):
    both = keras.layers.Bidirectional(LSTM(H, weight_drop=RATE, dtype="float64"), dtype="float64")
    inputs = random.normal(size=(B, S, E))
    both.build(inputs.shape)
    kernels = [layer.cell.recurrent_kernel for layer in (both.forward_layer, both.backward_layer)]
    there, back = derived(lambda: keras.ops.sum(both(inputs, training=True) ** 2), kernels)
    assert (there == 0).mean() == pytest.approx(RATE, abs=0.03)
    assert (back == 0).mean() == pytest.approx(RATE, abs=0.03)
    assert ((there == 0) != (back == 0)).any()
