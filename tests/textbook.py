"""The equations of the layers in numpy, for one sentence, forward and backward by hand.

The oracle of the layer tests: loops over positions, no batch, no padding, no Keras. ``d_x`` is the derivative of the
loss by ``x``. Shape letters: S source length, T target length, E inputs, H units, Q query, A attention units,
C source states.
"""

from typing import NamedTuple

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def layer_norm(x, scale, offset, epsilon=1e-3):
    """Ba et al. 2016, arXiv:1607.06450, equation 4, over the last axis."""
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + offset


class LSTM(NamedTuple):
    """Weights, the gates side by side: input i, forget f, candidate g, output o."""

    kernel: np.ndarray  # [E, 4H]
    recurrent_kernel: np.ndarray  # [H, 4H]
    bias: np.ndarray  # [4H]


class Attention(NamedTuple):
    """Weights of Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2."""

    query_kernel: np.ndarray  # W_a [Q, A]
    key_kernel: np.ndarray  # U_a [C, A]
    energy: np.ndarray  # v_a [A]


def zeros_like(weights):
    return type(weights)(*(np.zeros_like(weight) for weight in weights))


def plus(weights, others):
    return type(weights)(*(weight + other for weight, other in zip(weights, others, strict=True)))


# --- one step of an LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) ---


def gates(weights, x, hidden):
    i, f, g, o = np.split(x @ weights.kernel + hidden @ weights.recurrent_kernel + weights.bias, 4)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def lstm_step(weights, x, hidden, cell):
    """The next hidden state and cell [H] after the input ``x`` [E]."""
    i, f, g, o = gates(weights, x, hidden)
    cell = f * cell + i * g
    return o * np.tanh(cell), cell


def lstm_step_back(weights, x, hidden, cell, d_hidden, d_cell):
    """Gradients by the weights, ``x``, ``hidden`` and ``cell``, from those by the step's results."""
    i, f, g, o = gates(weights, x, hidden)
    squashed = np.tanh(f * cell + i * g)
    d_cell = d_cell + d_hidden * o * (1 - squashed**2)
    d_gates = np.concatenate(
        [
            d_cell * g * i * (1 - i),
            d_cell * cell * f * (1 - f),
            d_cell * i * (1 - g**2),
            d_hidden * squashed * o * (1 - o),
        ]
    )
    d_weights = LSTM(np.outer(x, d_gates), np.outer(hidden, d_gates), d_gates)
    return d_weights, weights.kernel @ d_gates, weights.recurrent_kernel @ d_gates, d_cell * f


def lstm(weights, inputs, hidden, cell):
    """Hidden states and cells [T + 1, H] over ``inputs`` [T, E], the initial ones first."""
    hiddens, cells = [hidden], [cell]
    for x in inputs:
        hidden, cell = lstm_step(weights, x, hidden, cell)
        hiddens.append(hidden)
        cells.append(cell)
    return np.array(hiddens), np.array(cells)


def lstm_back(weights, inputs, hiddens, cells, d_hiddens):
    """Back-propagation through time from ``d_hiddens`` [T, H]: by weights, inputs, initial hidden state and cell."""
    d_weights, d_inputs = zeros_like(weights), np.zeros_like(inputs)
    d_hidden, d_cell = np.zeros_like(hiddens[0]), np.zeros_like(cells[0])
    for t in reversed(range(len(inputs))):
        d_hidden = d_hidden + d_hiddens[t]
        d_step, d_inputs[t], d_hidden, d_cell = lstm_step_back(
            weights, inputs[t], hiddens[t], cells[t], d_hidden, d_cell
        )
        d_weights = plus(d_weights, d_step)
    return d_weights, d_inputs, d_hidden, d_cell


# --- attention, one query ---


def attend(weights, query, states, heads=1):
    """The context [C] and attention weights [heads, S] for ``query`` [Q] over ``states`` [S, C]."""
    hidden = np.tanh(query @ weights.query_kernel + states @ weights.key_kernel)  # [S, A]
    alphas = [
        softmax(part @ energy)
        for part, energy in zip(np.split(hidden, heads, axis=1), np.split(weights.energy, heads), strict=True)
    ]
    contexts = [alpha @ part for alpha, part in zip(alphas, np.split(states, heads, axis=1), strict=True)]
    return np.concatenate(contexts), np.array(alphas)


def attend_back(weights, query, states, d_context, heads=1):
    """Gradients by the weights, ``query`` and ``states``."""
    hidden = np.tanh(query @ weights.query_kernel + states @ weights.key_kernel)  # [S, A]
    _, alphas = attend(weights, query, states, heads)
    d_states, d_hidden, d_energy = [], [], []
    for part, energy, alpha, features, d_features in zip(
        np.split(hidden, heads, axis=1),
        np.split(weights.energy, heads),
        alphas,
        np.split(states, heads, axis=1),
        np.split(d_context, heads),
        strict=True,
    ):
        d_alpha = features @ d_features  # [S]
        d_e = alpha * (d_alpha - alpha @ d_alpha)  # [S], through the softmax
        d_states.append(np.outer(alpha, d_features))
        d_hidden.append(np.outer(d_e, energy))
        d_energy.append(d_e @ part)
    d_sum = np.concatenate(d_hidden, axis=1) * (1 - hidden**2)  # [S, A], through the tanh
    d_query = d_sum.sum(axis=0)  # [A]: every position hears the same query
    d_weights = Attention(np.outer(query, d_query), states.T @ d_sum, np.concatenate(d_energy))
    d_states = np.concatenate(d_states, axis=1) + d_sum @ weights.key_kernel.T
    return d_weights, weights.query_kernel @ d_query, d_states


# --- Bahdanau's decoder layer: attention asked with the previous state, then an LSTM over [y; c] ---


def recurrent_flow(attention, weights, inputs, hidden, cell, states, heads=1):
    """Hidden states, cells [T + 1, H], the initial ones first, and contexts [T, C] over ``inputs`` [T, E]."""
    hiddens, cells, contexts = [hidden], [cell], []
    for x in inputs:
        context, _ = attend(attention, hidden, states, heads)
        hidden, cell = lstm_step(weights, np.concatenate([x, context]), hidden, cell)
        hiddens.append(hidden)
        cells.append(cell)
        contexts.append(context)
    return np.array(hiddens), np.array(cells), np.array(contexts)


def recurrent_flow_back(attention, weights, inputs, hiddens, cells, contexts, states, d_hiddens, d_contexts, heads=1):
    """Gradients by attention, LSTM weights, inputs, initial hidden state and cell, and ``states``."""
    d_attention, d_weights = zeros_like(attention), zeros_like(weights)
    d_inputs, d_states = np.zeros_like(inputs), np.zeros_like(states)
    d_hidden, d_cell = np.zeros_like(hiddens[0]), np.zeros_like(cells[0])
    for t in reversed(range(len(inputs))):
        both = np.concatenate([inputs[t], contexts[t]])
        d_step, d_both, d_hidden, d_cell = lstm_step_back(
            weights, both, hiddens[t], cells[t], d_hidden + d_hiddens[t], d_cell
        )
        d_inputs[t], d_context = np.split(d_both, [inputs.shape[1]])
        d_asked, d_query, d_read = attend_back(attention, hiddens[t], states, d_context + d_contexts[t], heads)
        d_attention, d_weights = plus(d_attention, d_asked), plus(d_weights, d_step)
        d_hidden, d_states = d_hidden + d_query, d_states + d_read
    return d_attention, d_weights, d_inputs, d_hidden, d_cell, d_states
