"""The decoder against the textbook in both flows; teacher forcing against steps; first state, dropout, refusals."""

import keras
import numpy as np
import pytest
import textbook
from gradients import assert_gradients_are_slopes, derived
from keras import ops

from nmt.decoder import Decoder, ParallelFlow, RecurrentFlow

B, S, T, E, H, R = 2, 5, 3, 7, 11, 13
A, C = 6, 10  # attention units and source states, for one head or two
MASK = np.array([[True] * S, [True] * 3 + [False] * 2])
LENGTHS = (5, 3)
FLOWS = [("recurrent", 1), ("recurrent", 2), ("recurrent", 3), ("parallel", 2), ("parallel", 3)]


@pytest.fixture
def random():
    return np.random.default_rng(1)


def filled(layer, random):
    """The layer built, with random weights, none of them at a convenient zero or one."""
    layer.build((None, None, E), (None, None, C))
    layer.set_weights([random.normal(size=weight.shape) * 0.7 for weight in layer.weights])
    return layer


def decoder(random, flow, num_layers, heads=1, dtype="float64", **dropout):
    return filled(Decoder(H, A, R, flow, num_layers, heads, **dropout, dtype=dtype), random)


def memory_of(layer, random, training=False):
    """A memory over random states; also the states and the first backward state as arrays."""
    states, backward = random.normal(size=(B, S, C)), random.normal(size=(B, C // 2))
    cast = [ops.cast(array, layer.compute_dtype) for array in (states, backward)]
    return layer.memory(cast[0], ops.convert_to_tensor(MASK), cast[1], training), states, backward


def textbook_attention(layer):
    kernels = (layer.query_projection.kernel, layer.key_projection.kernel, layer.energy)
    return textbook.Attention(*(weight.numpy() for weight in kernels))


def textbook_recurrent(flow):
    """W and C side by side, as the weights of an LSTM that reads [y; c]."""
    context, recurrent = np.split(flow.recurrent_kernel.numpy(), [C])
    return textbook.LSTM(np.concatenate([flow.kernel.numpy(), context]), recurrent, flow.bias.numpy())


def textbook_lstm(cell):
    return textbook.LSTM(cell.kernel.numpy(), cell.recurrent_kernel.numpy(), cell.bias.numpy())


def textbook_flow(flow, inputs, hidden, cell, states, heads):
    """Hidden states [T, H] and contexts [T, C] of one sentence, in the order of the flow at hand."""
    attention = textbook_attention(flow.attention)
    if isinstance(flow, RecurrentFlow):
        hiddens, _, contexts = textbook.recurrent_flow(
            attention, textbook_recurrent(flow), inputs, hidden, cell, states, heads
        )
    else:
        hiddens, _ = textbook.lstm(textbook_lstm(flow.lstm.cell), inputs, hidden, cell)
        contexts = np.array([textbook.attend(attention, query, states, heads)[0] for query in hiddens[1:]])
    return hiddens[1:], contexts


def textbook_readouts(layer, embedded, states, backward, heads=1, drop=lambda values: values):
    """The readouts [B, T, R] of the whole decoder, sentence by sentence."""
    readouts = []
    for row, length in enumerate(LENGTHS):
        first = [np.tanh(backward[row] @ initial.kernel.numpy()) for initial in layer.initial]
        below, contexts = textbook_flow(layer.flow, embedded[row], first[0], np.zeros(H), states[row, :length], heads)
        for lstm, norm, hidden in zip(layer.layers, layer.norms, first[1:], strict=True):
            inputs = np.concatenate([drop(below), contexts], axis=1)
            above, _ = textbook.lstm(textbook_lstm(lstm.cell), inputs, hidden, np.zeros(H))
            below = textbook.layer_norm(below + drop(above[1:]), norm.gamma.numpy(), norm.beta.numpy())
        everything = np.concatenate([below, embedded[row], contexts], axis=1)
        readouts.append(np.tanh(everything @ layer.readout.kernel.numpy() + layer.readout.bias.numpy()))
    return readouts


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("flow", [RecurrentFlow, ParallelFlow])
def test_layer_one_is_the_textbooks(random, flow, heads):
    layer = filled(flow(H, A, heads, dtype="float64"), random)
    embedded, states = random.normal(size=(B, T, E)), random.normal(size=(B, S, C))
    hidden, cell = random.normal(size=(B, H)), random.normal(size=(B, H))

    memory = layer.attention.memory(ops.convert_to_tensor(states), ops.convert_to_tensor(MASK), None)
    hiddens, contexts = layer(embedded, hidden, cell, memory)

    assert hiddens.shape == (B, T, H)
    assert contexts.shape == (B, T, C)
    for row, length in enumerate(LENGTHS):
        expected = textbook_flow(layer, embedded[row], hidden[row], cell[row], states[row, :length], heads)
        np.testing.assert_allclose(hiddens[row], expected[0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(contexts[row], expected[1], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("heads", [1, 2])
def test_gradients_of_the_recurrent_flow_are_those_derived_by_hand(random, heads):
    layer = filled(RecurrentFlow(H, A, heads, dtype="float64"), random)
    arrays = [random.normal(size=shape) for shape in ((B, T, E), (B, H), (B, H), (B, S, C))]
    embedded, hidden, cell, states = variables = [keras.Variable(array, dtype="float64") for array in arrays]
    d_hiddens, d_contexts = random.normal(size=(B, T, H)), random.normal(size=(B, T, C))

    def loss():
        inputs, hidden, cell, states = (ops.convert_to_tensor(variable) for variable in variables)
        memory = layer.attention.memory(states, ops.convert_to_tensor(MASK), None)
        hiddens, contexts = layer(inputs, hidden, cell, memory)
        return ops.sum(hiddens * d_hiddens) + ops.sum(contexts * d_contexts)

    asking = [layer.attention.query_projection.kernel, layer.attention.key_projection.kernel, layer.attention.energy]
    weights = [*asking, layer.kernel, layer.recurrent_kernel, layer.bias]
    *d_weights, d_embedded, d_hidden, d_cell, d_states = derived(loss, [*weights, embedded, hidden, cell, states])

    attention, lstm = textbook_attention(layer.attention), textbook_recurrent(layer)
    d_attention, d_lstm = textbook.zeros_like(attention), textbook.zeros_like(lstm)
    for row, length in enumerate(LENGTHS):
        inputs, first_hidden, first_cell, read = (array[row] for array in arrays)
        run = textbook.recurrent_flow(attention, lstm, inputs, first_hidden, first_cell, read[:length], heads)
        by_hand = textbook.recurrent_flow_back(
            attention, lstm, inputs, *run, read[:length], d_hiddens[row], d_contexts[row], heads
        )
        d_attention, d_lstm = textbook.plus(d_attention, by_hand[0]), textbook.plus(d_lstm, by_hand[1])
        received = d_embedded[row], d_hidden[row], d_cell[row], d_states[row, :length]
        for gradient, expected in zip(received, by_hand[2:], strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-11)
        assert (d_states[row, length:] == 0).all()
    by_context = np.split(d_lstm.kernel, [E])
    expected = [*d_attention, by_context[0], np.concatenate([by_context[1], d_lstm.recurrent_kernel]), d_lstm.bias]
    for weight, gradient, by_hand in zip(weights, d_weights, expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-8, atol=1e-11, err_msg=weight.path)


@pytest.mark.parametrize(("flow", "num_layers"), [("recurrent", 2), ("parallel", 2)])
def test_gradients_are_slopes(random, flow, num_layers):
    layer = decoder(random, flow, num_layers, heads=2)
    shapes = {"embedded": (B, T, E), "states": (B, S, C), "backward": (B, C // 2)}
    variables = [
        keras.Variable(random.normal(size=shape), dtype="float64", name=name) for name, shape in shapes.items()
    ]
    towards = random.normal(size=(B, T, R))

    def loss():
        embedded, states, backward = (ops.convert_to_tensor(variable) for variable in variables)
        return ops.sum(layer(embedded, layer.memory(states, ops.convert_to_tensor(MASK), backward)) * towards)

    assert_gradients_are_slopes(loss, [*layer.trainable_variables, *variables], random)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize(("flow", "num_layers"), FLOWS)
def test_the_stack_and_the_readout_are_those_of_the_equations(random, flow, num_layers, heads):
    layer = decoder(random, flow, num_layers, heads)
    memory, states, backward = memory_of(layer, random)
    embedded = random.normal(size=(B, T, E))

    readouts = layer(embedded, memory)

    assert readouts.shape == (B, T, R)
    expected = textbook_readouts(layer, embedded, states, backward, heads)
    np.testing.assert_allclose(readouts, expected, rtol=1e-9, atol=1e-12)


def test_dropout_stands_where_the_equations_have_it(random):
    """On what enters a layer from below and on what leaves it, not on the contexts nor on the residual."""
    layer = decoder(random, "recurrent", 3)
    memory, states, backward = memory_of(layer, random)
    embedded = random.normal(size=(B, T, E))
    layer.drop = lambda values, training: values * (3 if training else 1)  # a dropout that can be foretold

    readouts = layer(embedded, memory, training=True)

    expected = textbook_readouts(layer, embedded, states, backward, drop=lambda values: 3 * values)
    np.testing.assert_allclose(readouts, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize(("flow", "num_layers"), FLOWS)
def test_teacher_forcing_equals_steps(random, flow, num_layers, heads, dtype, tolerance):
    layer = decoder(random, flow, num_layers, heads, dtype)
    memory, _, _ = memory_of(layer, random)
    embedded = ops.cast(random.normal(size=(B, T, E)), dtype)

    forced = layer(embedded, memory)

    state = layer.initial_state(memory)
    for position in range(T):
        readout, state, _ = layer.step(embedded[:, position], state, memory)
        np.testing.assert_allclose(readout, forced[:, position], rtol=0, atol=tolerance)


@pytest.mark.parametrize(("flow", "num_layers"), FLOWS)
def test_no_position_sees_the_pieces_after_it(random, flow, num_layers):
    layer = decoder(random, flow, num_layers)
    memory, _, _ = memory_of(layer, random)
    embedded = random.normal(size=(B, T, E))
    changed = embedded.copy()
    changed[:, 2] += 1

    readouts, others = np.array(layer(embedded, memory)), np.array(layer(changed, memory))

    np.testing.assert_array_equal(readouts[:, :2], others[:, :2])
    assert not np.isclose(readouts[:, 2], others[:, 2]).all()


@pytest.mark.parametrize("num_layers", [2, 3])
def test_the_first_state_is_a_squashed_projection_with_an_empty_cell(random, num_layers):
    layer = decoder(random, "recurrent", num_layers)
    memory, _, backward = memory_of(layer, random)

    state = layer.initial_state(memory)

    assert len(state.hidden) == len(state.cell) == num_layers
    for initial, hidden, cell in zip(layer.initial, state.hidden, state.cell, strict=True):
        np.testing.assert_allclose(hidden, np.tanh(backward @ initial.kernel.numpy()), rtol=1e-12)
        np.testing.assert_array_equal(cell, np.zeros((B, H)))


def test_the_recurrent_flow_starts_like_a_keras_lstm():
    layer = RecurrentFlow(H, A)
    layer.build((None, None, E), (None, None, C))
    context, recurrent = np.split(layer.recurrent_kernel.numpy(), [C])
    np.testing.assert_array_equal(layer.bias, np.repeat([0, 1, 0, 0], H))  # the forget gate starts open
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(H), atol=1e-6)
    for kernel in (context, layer.kernel.numpy()):  # Glorot and Bengio 2010, equation 16
        limit = np.sqrt(6 / sum(kernel.shape))
        assert 0.8 * limit < np.abs(kernel).max() <= limit


@pytest.mark.parametrize(("flow", "num_layers"), [("recurrent", 2), ("parallel", 2)])
def test_each_dropout_acts_in_training_only(random, flow, num_layers):
    embedded = random.normal(size=(B, T, E))
    for rate in ("layer_dropout", "readout_dropout", "attention_dropout"):
        layer = decoder(random, flow, num_layers, **{rate: 0.5})
        memory, states, backward = memory_of(layer, random)
        plain = np.array(layer(embedded, memory))
        np.testing.assert_array_equal(layer(embedded, memory), plain)
        noisy = layer.memory(states, ops.convert_to_tensor(MASK), backward, training=True)
        assert not np.allclose(layer(embedded, noisy, training=True), plain), rate


def test_layer_dropout_and_readout_dropout_rest_when_only_attention_drops(random):
    """The rates reach the places they are named for: with all but one at zero, the other places stay still."""
    layer = decoder(random, "recurrent", 2, attention_dropout=0.5)
    memory, _, _ = memory_of(layer, random)  # not in training: nothing dropped
    embedded = random.normal(size=(B, T, E))
    np.testing.assert_array_equal(layer(embedded, memory, training=True), layer(embedded, memory))


@pytest.mark.parametrize("flow", ["recurrent", "parallel"])
def test_weight_drop_thins_what_leads_from_state_to_state_alone(random, flow):
    """A weight that is left out at every position learns nothing; of the context's and the pieces' none is."""
    keras.utils.set_random_seed(1)
    kind, units = {"recurrent": RecurrentFlow, "parallel": ParallelFlow}[flow], 40
    layer = kind(units, A, weight_drop=0.3, dtype="float64")
    layer.build((None, None, E), (None, None, C))
    embedded, states = random.normal(size=(B, T, E)), random.normal(size=(B, S, C))
    first = random.normal(size=(B, units))
    kernels = [layer.recurrent_kernel, layer.kernel] if flow == "recurrent" else layer.lstm.trainable_weights[1::-1]

    def squares(training):
        memory = layer.attention.memory(ops.convert_to_tensor(states), ops.convert_to_tensor(MASK), None)
        hiddens, _ = layer(embedded, first, first, memory, training=training)
        return ops.sum(hiddens**2)

    recurrent, inputs = derived(lambda: squares(True), kernels)
    context, recurrent = np.split(recurrent, [C if flow == "recurrent" else 0])
    assert recurrent.shape == (units, 4 * units)
    assert (recurrent == 0).mean() == pytest.approx(0.3, abs=0.03)  # of 6,400
    assert (context != 0).all()
    assert (inputs != 0).all()
    assert all((gradient != 0).all() for gradient in derived(lambda: squares(False), kernels))


def test_readout_dropout_zeroes_a_share_of_the_readout(random):
    layer = decoder(random, "recurrent", 1, readout_dropout=0.4)
    memory, _, _ = memory_of(layer, random)
    embedded = random.normal(size=(B, T, E))
    plain, dropped = layer(embedded, memory).numpy(), layer(embedded, memory, training=True).numpy()
    survives = dropped != 0
    assert 0 < survives.sum() < survives.size
    np.testing.assert_allclose(dropped[survives], plain[survives] / 0.6, rtol=1e-12)


def test_the_parallel_flow_refuses_a_single_layer():
    with pytest.raises(ValueError, match="needs 2 layers or more: with one, no LSTM sees the context; received 1"):
        Decoder(H, A, R, "parallel", 1)


def test_an_unknown_flow_is_refused():
    with pytest.raises(ValueError, match="flow must be 'recurrent' or 'parallel'; received 'luong'"):
        Decoder(H, A, R, "luong")
