"""Bahdanau's additive attention, with one head or several.

Shape letters: B batch, S source length, T target length, Q width of the query, A attention units, N heads,
C width of the source states (2 x encoder units).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops


class Memory(NamedTuple):
    """What the encoder leaves for the decoder: made once a sentence, read at every step."""

    states: Any  # [B, S, C] the annotations h_j
    keys: Any  # [B, S, A] U_a h_j, the half of the energy that does not depend on the query
    mask: Any  # [B, S] bool, True where there is a piece
    first_backward_state: (
        Any  # [B, H] what the backward LSTM knows after reading the whole sentence, at its first piece
    )
    keep: Any  # [B, 1, N, S] dropout on the weights (0 or 1 / (1 - rate)); None outside training


@keras.saving.register_keras_serializable("nmt")
class BahdanauAttention(keras.layers.Layer):
    """Additive attention (Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2).

    With query s, annotation h_j, and weights W_a, U_a, v_a:

        e_j     = v_a' tanh(W_a s + U_a h_j)
        alpha_j = exp(e_j) / sum_k exp(e_k)
        c       = sum_j alpha_j h_j                                  (equation 5)

    Deviation: with N heads the A attention units and the C features of the annotations are cut into N equal parts;
    each head has its own energies over its A/N units and mixes its own C/N features. N = 1 is the paper.
    """

    def __init__(self, units: int, heads: int = 1, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.heads = heads
        self.dropout = dropout
        self.query_projection = keras.layers.Dense(
            units, use_bias=False, name="query_projection", dtype=self.dtype_policy
        )
        self.key_projection = keras.layers.Dense(units, use_bias=False, name="key_projection", dtype=self.dtype_policy)
        self.keep = keras.layers.Dropout(dropout, name="keep", dtype=self.dtype_policy)

    def build(self, query_shape: tuple[Any, ...], states_shape: tuple[Any, ...]) -> None:
        if self.units % self.heads or states_shape[-1] % self.heads:
            raise ValueError(
                "heads must divide the attention units and the features of the annotations; "
                f"received {self.heads} heads for {self.units} and {states_shape[-1]}"
            )
        self.query_projection.build(query_shape)  # W_a
        self.key_projection.build(states_shape)  # U_a
        self.energy = self.add_weight(name="energy", shape=(self.units,), initializer="glorot_uniform")  # v_a
        self.built = True

    def memory(self, states: Any, mask: Any, first_backward_state: Any, training: bool = False) -> Memory:
        """The memory of ``states`` [B, S, C] with ``mask`` [B, S]: everything that no query changes is done here."""
        keep = None
        if training and self.dropout:
            # One mask a sentence for all target positions: a loop over the target then draws no random numbers.
            keep = self.keep(ops.ones_like(self._by_head(mask)), training=True)  # [B, 1, N, S]
        return Memory(states, self.key_projection(states), mask, first_backward_state, keep)

    def call(self, query: Any, memory: Memory) -> tuple[Any, Any]:
        """Ask ``memory`` with ``query`` [B, T, Q], all T positions at once.

        Returns:
            The context [B, T, C] and the attention weights [B, T, N, S]; weights are zero where the mask is False.
        """
        query = self.query_projection(query)  # [B, T, A]
        hidden = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(memory.keys, 1))  # [B, T, S, A]
        energies = ops.matmul(hidden, self._energy_by_head())  # [B, T, S, N]
        precision = keras.backend.result_type(self.compute_dtype, "float32")  # float32 or better
        energies = ops.cast(ops.transpose(energies, (0, 1, 3, 2)), precision)  # [B, T, N, S]
        energies = ops.where(memory.mask[:, None, None, :], energies, -1e9)
        weights = ops.exp(ops.log_softmax(energies, axis=-1))  # ops.softmax warns of a source of a single piece
        weights = ops.cast(weights, self.compute_dtype)  # [B, T, N, S]
        kept = weights if memory.keep is None else weights * memory.keep
        return self._mix(kept, memory.states), weights

    def ask(self, query: Any, memory: Memory) -> tuple[Any, Any]:
        """The context [R, C] of ``query`` [R, Q], R / B rows for each of the B sentences of ``memory``.

        Beside it the attention weights [R, S], the mean of the heads'.
        """
        sentences = ops.shape(memory.states)[0]
        if not isinstance(sentences, int):
            sentences = ops.maximum(sentences, 1)  # a graph may be given an empty batch
        rows = ops.shape(query)[0] // sentences
        context, weights = self(ops.reshape(query, (-1, rows, query.shape[-1])), memory)  # [B, R / B, C], [.., N, S]
        weights = ops.reshape(ops.mean(weights, axis=2), (-1, ops.shape(memory.states)[1]))
        return ops.reshape(context, (-1, context.shape[-1])), weights

    def _energy_by_head(self) -> Any:
        """v_a as a block matrix [A, N], so that one product gives the energies of every head."""
        head_of_unit = ops.arange(self.units) // (self.units // self.heads)  # [A]
        return self.energy[:, None] * ops.one_hot(head_of_unit, self.heads, dtype=self.compute_dtype)

    def _by_head(self, mask: Any) -> Any:
        mask = ops.cast(mask[:, None, None, :], self.compute_dtype)  # [B, 1, 1, S]
        return ops.repeat(mask, self.heads, axis=2)  # [B, 1, N, S]

    def _mix(self, weights: Any, states: Any) -> Any:
        """sum_j alpha_j h_j: ``weights`` [B, T, N, S] and ``states`` [B, S, C] give the context [B, T, C]."""
        if self.heads == 1:
            return ops.matmul(weights[:, :, 0, :], states)
        features = states.shape[-1] // self.heads
        states = ops.reshape(states, (-1, ops.shape(states)[1], self.heads, features))  # [B, S, N, C/N]
        context = ops.einsum("btns,bsnd->btnd", weights, states)
        return ops.reshape(context, (-1, ops.shape(context)[1], self.heads * features))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "heads": self.heads, "dropout": self.dropout}
