"""The encoder's LSTMs against the textbook, forward and backward in time; stacks, padding, masks."""

import keras
import numpy as np
import pytest
import textbook
from gradients import assert_gradients_are_slopes, derived
from keras import ops

from nmt.encoder import Encoder

B, S, E, H = 3, 5, 7, 2
LENGTHS = (5, 3, 1)
MASK = np.arange(S) < np.array(LENGTHS)[:, None]


@pytest.fixture
def random():
    return np.random.default_rng(1)


def encoder(random, num_layers=1, dtype="float64"):
    layer = Encoder(H, num_layers, dtype=dtype)
    layer.build((None, None, E))
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


def textbook_lstm(cell):
    return textbook.LSTM(cell.kernel.numpy(), cell.recurrent_kernel.numpy(), cell.bias.numpy())


def directions(bidirectional):
    return textbook_lstm(bidirectional.forward_layer.cell), textbook_lstm(bidirectional.backward_layer.cell)


def textbook_bilstm(bidirectional, inputs):
    """States [S, 2H] of one sentence, and the backward state at its first piece."""
    forward, backward = directions(bidirectional)
    there, _ = textbook.lstm(forward, inputs, np.zeros(H), np.zeros(H))
    back, _ = textbook.lstm(backward, inputs[::-1], np.zeros(H), np.zeros(H))
    return np.concatenate([there[1:], back[:0:-1]], axis=1), back[-1]


@pytest.mark.parametrize("masked", [False, True])
def test_keras_lstm_is_the_textbooks(random, masked):
    lstm = keras.layers.LSTM(H, return_sequences=True, return_state=True, dtype="float64")
    lstm.build((None, None, E))
    lstm.set_weights([random.normal(size=weight.shape) for weight in lstm.weights])
    arrays = random.normal(size=(B, S, E)), random.normal(size=(B, H)), random.normal(size=(B, H))
    inputs, hidden, cell = variables = [keras.Variable(array, dtype="float64") for array in arrays]
    lengths = LENGTHS if masked else (S,) * B
    d_hiddens = random.normal(size=(B, S, H)) * (np.arange(S) < np.array(lengths)[:, None])[..., None]

    def run():
        mask = ops.convert_to_tensor(MASK) if masked else None
        return lstm(
            ops.convert_to_tensor(inputs),
            initial_state=[ops.convert_to_tensor(hidden), ops.convert_to_tensor(cell)],
            mask=mask,
        )

    states, last_hidden, last_cell = run()
    *d_weights, d_inputs, d_hidden, d_cell = derived(
        lambda: ops.sum(run()[0] * d_hiddens), [*lstm.trainable_variables, *variables]
    )

    weights = textbook_lstm(lstm.cell)
    sums = textbook.zeros_like(weights)
    for row, length in enumerate(lengths):
        sentence = arrays[0][row, :length]
        hiddens, cells = textbook.lstm(weights, sentence, arrays[1][row], arrays[2][row])
        np.testing.assert_allclose(states[row, :length], hiddens[1:], rtol=1e-11)
        np.testing.assert_allclose(last_hidden[row], hiddens[-1], rtol=1e-11)
        np.testing.assert_allclose(last_cell[row], cells[-1], rtol=1e-11)
        by_hand = textbook.lstm_back(weights, sentence, hiddens, cells, d_hiddens[row, :length])
        sums = textbook.plus(sums, by_hand[0])
        np.testing.assert_allclose(d_inputs[row, :length], by_hand[1], rtol=1e-9, atol=1e-12)
        assert (d_inputs[row, length:] == 0).all()
        np.testing.assert_allclose(d_hidden[row], by_hand[2], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(d_cell[row], by_hand[3], rtol=1e-9, atol=1e-12)
    for name, received, expected in zip(weights._fields, d_weights, sums, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_one_layer_reads_both_ways_like_the_textbook(random):
    layer = encoder(random)
    embedded = random.normal(size=(B, S, E))

    states, first_backward = layer(embedded, MASK)

    assert states.shape == (B, S, 2 * H)
    for row, length in enumerate(LENGTHS):
        expected, backward = textbook_bilstm(layer.layers[0], embedded[row, :length])
        np.testing.assert_allclose(states[row, :length], expected, rtol=1e-11)
        np.testing.assert_allclose(first_backward[row], backward, rtol=1e-11)
        np.testing.assert_array_equal(first_backward[row], states[row, 0, H:])  # it stands at the first piece


def test_gradients_through_both_directions_are_those_derived_by_hand(random):
    layer = encoder(random)
    embedded = keras.Variable(random.normal(size=(B, S, E)), dtype="float64")
    d_states = random.normal(size=(B, S, 2 * H)) * MASK[..., None]
    bidirectional = layer.layers[0]

    def loss():
        return ops.sum(layer(ops.convert_to_tensor(embedded), ops.convert_to_tensor(MASK))[0] * d_states)

    received = derived(loss, [*layer.trainable_variables, embedded])

    sums = [textbook.zeros_like(weights) for weights in directions(bidirectional)]
    for row, length in enumerate(LENGTHS):
        d_sentence = np.zeros((length, E))
        for number, (weights, order) in enumerate(zip(directions(bidirectional), (1, -1), strict=True)):
            inputs = embedded.numpy()[row, :length][::order]
            hiddens, cells = textbook.lstm(weights, inputs, np.zeros(H), np.zeros(H))
            d_hiddens = d_states[row, :length, H * number : H * (number + 1)][::order]
            d_weights, d_inputs, _, _ = textbook.lstm_back(weights, inputs, hiddens, cells, d_hiddens)
            sums[number] = textbook.plus(sums[number], d_weights)
            d_sentence += d_inputs[::order]
        np.testing.assert_allclose(received[-1][row, :length], d_sentence, rtol=1e-9, atol=1e-12)
    for gradient, expected in zip(received[:-1], [*sums[0], *sums[1]], strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_layers", [2, 3])
def test_a_stack_adds_and_normalises_layer_by_layer(random, num_layers):
    layer = encoder(random, num_layers)
    embedded = random.normal(size=(B, S, E))

    states, first_backward = layer(embedded, MASK)

    for row, length in enumerate(LENGTHS):
        expected, _ = textbook_bilstm(layer.layers[0], embedded[row, :length])
        for bidirectional, norm in zip(layer.layers[1:], layer.norms, strict=True):
            above, backward = textbook_bilstm(bidirectional, expected)
            expected = textbook.layer_norm(expected + above, norm.gamma.numpy(), norm.beta.numpy())
        np.testing.assert_allclose(states[row, :length], expected, rtol=1e-9)
        np.testing.assert_allclose(first_backward[row], backward, rtol=1e-9)


def test_gradients_of_a_stack_are_slopes(random):
    layer = encoder(random, 2)
    embedded = keras.Variable(random.normal(size=(B, S, E)), dtype="float64", name="embedded")

    def loss():
        states, backward = layer(ops.convert_to_tensor(embedded), ops.convert_to_tensor(MASK))
        return ops.sum(ops.sin(states) * MASK[..., None]) + ops.sum(backward**2)

    assert_gradients_are_slopes(loss, [*layer.trainable_variables, embedded], random)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_padding_changes_nothing(random, num_layers):
    layer = encoder(random, num_layers)
    embedded = random.normal(size=(B, S, E))
    padded = np.concatenate([embedded, 100 * random.normal(size=(B, 2, E))], axis=1)
    padded[:, :S][~MASK] = 100  # padding need not be silent

    states, backward = layer(embedded, MASK)
    padded_states, padded_backward = layer(padded, np.pad(MASK, ((0, 0), (0, 2))))

    np.testing.assert_allclose(padded_backward, backward, rtol=1e-12)
    np.testing.assert_allclose(padded_states[:, :S][MASK], states[MASK], rtol=1e-12)


def test_every_layer_is_handed_the_mask(random, monkeypatch):
    """Keras 3.15 would still pass it on by itself; 3.16 no longer does, so the padding test alone would not notice."""
    handed = []
    call = keras.layers.Bidirectional.__call__

    def spy(self, *args, mask=None, **kwargs):
        handed.append(mask)
        return call(self, *args, mask=mask, **kwargs)

    monkeypatch.setattr(keras.layers.Bidirectional, "__call__", spy)
    encoder(random, 3)(random.normal(size=(B, S, E)), MASK)

    assert len(handed) == 3
    for mask in handed:
        np.testing.assert_array_equal(mask, MASK)


def test_the_directions_start_from_different_weights():
    layer = Encoder(H)
    layer.build((None, None, E))
    forward, backward = directions(layer.layers[0])
    assert not np.isclose(forward.kernel, backward.kernel).any()


def test_dropout_stands_between_layers_and_only_in_training(random):
    embedded = random.normal(size=(B, S, E))

    def run(num_layers, training):
        layer = Encoder(H, num_layers, dropout=0.5)
        return [np.array(layer(embedded, MASK, training=training)[0])[MASK] for _ in range(2)]

    for num_layers, training in [(1, False), (1, True), (2, False)]:
        first, second = run(num_layers, training)
        np.testing.assert_array_equal(first, second)
    first, second = run(2, training=True)
    assert not np.allclose(first, second)
