"""The decoder: LSTMs that read the target so far and ask the source.

Two flows, one step. They differ in layer 1, and so in how a known target is run:

    recurrent  (Bahdanau et al. 2015)  the previous state asks attention, the context enters the LSTM: a loop.
    parallel   (the order of GNMT v2)  layer 1 reads the target alone, and asks for all positions at once: no loop.

Layers 2 to n and the readout are the same in both. Shape letters: B batch, S source length, T target length,
E embedding, H units, C context (2 x encoder units), R readout units, N heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from nmt.attention import BahdanauAttention, Memory
from nmt.lstm import LSTM


class DecoderState(NamedTuple):
    """The state of every LSTM layer, bottom first."""

    hidden: tuple[Any, ...]  # each [B, H], s in the papers
    cell: tuple[Any, ...]  # each [B, H]


@keras.saving.register_keras_serializable("nmt")
class RecurrentFlow(keras.layers.Layer):
    """Layer 1 of ``flow: recurrent`` (arXiv:1409.0473, appendix A.2, with an LSTM in place of the gated unit).

        c_i        = attention(s_{i-1}, h)                           (equations 5 and 6)
        i, f, g, o = W y_{i-1} + [C U] [c_i; s_{i-1}] + b
        cell_i     = sigmoid(f) cell_{i-1} + sigmoid(i) tanh(g)
        s_i        = sigmoid(o) tanh(cell_i)

    W stands apart from [C U] because W y needs no state: it leaves the loop as one product for all positions.
    Gates in Keras's order; initial values as in ``keras.layers.LSTM`` (orthogonal U, forget bias 1). In training U may
    be thinned by ``weight_drop``, as in ``nmt.lstm``.
    """

    def __init__(
        self,
        units: int,
        attention_units: int,
        heads: int = 1,
        attention_dropout: float = 0.0,
        weight_drop: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.weight_drop = weight_drop
        self.drop = keras.layers.Dropout(weight_drop, name="weight_drop", dtype=self.dtype_policy)
        self.attention = BahdanauAttention(
            attention_units, heads, attention_dropout, name="attention", dtype=self.dtype_policy
        )

    def build(self, embedded_shape: tuple[Any, ...], states_shape: tuple[Any, ...]) -> None:
        context = states_shape[-1]
        self.attention.build((embedded_shape[0], None, self.units), states_shape)

        def context_and_recurrent(shape: tuple[int, ...], dtype: Any = None) -> Any:
            glorot = keras.initializers.GlorotUniform()((context, shape[1]), dtype)
            orthogonal = keras.initializers.Orthogonal()((shape[0] - context, shape[1]), dtype)
            return ops.concatenate([glorot, orthogonal], axis=0)

        def forget_one(shape: tuple[int, ...], dtype: Any = None) -> Any:
            units = shape[0] // 4
            return ops.concatenate([ops.zeros(units, dtype), ops.ones(units, dtype), ops.zeros(2 * units, dtype)])

        gates = 4 * self.units
        self.kernel = self.add_weight(name="kernel", shape=(embedded_shape[-1], gates))  # W
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(context + self.units, gates), initializer=context_and_recurrent
        )  # [C U]
        self.bias = self.add_weight(name="bias", shape=(gates,), initializer=forget_one)  # b
        self.built = True

    def call(self, embedded: Any, hidden: Any, cell: Any, memory: Memory, training: bool = False) -> tuple[Any, Any]:
        """A known target ``embedded`` [B, T, E]: hidden states [B, T, H] and contexts [B, T, C] of every position."""
        kernel = self._kernel(training)
        projected = ops.transpose(self._project(embedded), (1, 0, 2))  # [T, B, 4H]

        def advance(carry: tuple[Any, ...], projected: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            hidden, cell, _ = carry
            *new, _ = self._advance(projected, hidden, cell, memory, kernel)
            return tuple(new), tuple(
                new
            )  # on TensorFlow a scan must collect what it carries, else it loses it silently

        context = ops.zeros_like(memory.states[:, 0])  # [B, C]
        _, (hiddens, _, contexts) = ops.scan(advance, (hidden, cell, context), projected)
        return ops.transpose(hiddens, (1, 0, 2)), ops.transpose(contexts, (1, 0, 2))

    def step(self, embedded: Any, hidden: Any, cell: Any, memory: Memory) -> tuple[Any, Any, Any, Any]:
        """One piece ``embedded`` [R, E]: the new hidden state and cell [R, H], the context [R, C], weights [R, S]."""
        return self._advance(self._project(embedded), hidden, cell, memory, self._kernel(training=False))

    def _project(self, embedded: Any) -> Any:
        return ops.matmul(embedded, self._cast(self.kernel)) + self._cast(self.bias)

    def _kernel(self, training: bool) -> Any:
        """[C U], [C + H, 4H]; in training with the weights of U that are kept."""
        kernel = self._cast(self.recurrent_kernel)
        if not (training and self.weight_drop):
            return kernel
        context = kernel.shape[0] - self.units
        return ops.concatenate([kernel[:context], self.drop(kernel[context:], training=True)], axis=0)

    def _advance(
        self, projected: Any, hidden: Any, cell: Any, memory: Memory, kernel: Any
    ) -> tuple[Any, Any, Any, Any]:
        context, weights = self.attention.ask(hidden, memory)  # [B, C], [B, S]
        both = ops.concatenate([context, hidden], axis=-1)  # [B, C + H]
        gates = projected + ops.matmul(both, kernel)  # [B, 4H]
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        hidden = ops.sigmoid(o) * ops.tanh(cell)
        return hidden, cell, context, weights

    def _cast(self, variable: Any) -> Any:
        return ops.cast(variable, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        attention = self.attention
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": attention.units,
            "heads": attention.heads,
            "attention_dropout": attention.dropout,
            "weight_drop": self.weight_drop,
        }


@keras.saving.register_keras_serializable("nmt")
class ParallelFlow(keras.layers.Layer):
    """Layer 1 of ``flow: parallel`` (GNMT, arXiv:1609.08144, figure 1, in the order of NVIDIA's GNMT v2).

        s_i = LSTM(y_{i-1}, s_{i-1})
        c_i = attention(s_i, h)

    This is not Bahdanau's order: the *new* state asks, and the context enters only the layers above. So no step waits
    for attention, and a known target needs no loop of ours.
    """

    def __init__(
        self,
        units: int,
        attention_units: int,
        heads: int = 1,
        attention_dropout: float = 0.0,
        weight_drop: float = 0.0,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.weight_drop = weight_drop
        self.use_cudnn = use_cudnn
        self.attention = BahdanauAttention(
            attention_units, heads, attention_dropout, name="attention", dtype=self.dtype_policy
        )
        self.lstm = LSTM(
            units,
            weight_drop=weight_drop,
            return_sequences=True,
            use_cudnn=use_cudnn,
            name="lstm",
            dtype=self.dtype_policy,
        )

    def build(self, embedded_shape: tuple[Any, ...], states_shape: tuple[Any, ...]) -> None:
        self.lstm.build(embedded_shape)
        self.attention.build((embedded_shape[0], None, self.units), states_shape)
        self.built = True

    def call(self, embedded: Any, hidden: Any, cell: Any, memory: Memory, training: bool = False) -> tuple[Any, Any]:
        """A known target ``embedded`` [B, T, E]: hidden states [B, T, H] and contexts [B, T, C] of every position."""
        hiddens = self.lstm(embedded, initial_state=[hidden, cell], training=training)  # [B, T, H]
        contexts, _ = self.attention(hiddens, memory)  # [B, T, C]
        return hiddens, contexts

    def step(self, embedded: Any, hidden: Any, cell: Any, memory: Memory) -> tuple[Any, Any, Any, Any]:
        """One piece ``embedded`` [R, E]: the new hidden state and cell [R, H], the context [R, C], weights [R, S]."""
        _, (hidden, cell) = self.lstm.cell(embedded, [hidden, cell])
        return hidden, cell, *self.attention.ask(hidden, memory)

    def get_config(self) -> dict[str, Any]:
        attention = self.attention
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": attention.units,
            "heads": attention.heads,
            "attention_dropout": attention.dropout,
            "weight_drop": self.weight_drop,
            "use_cudnn": self.use_cudnn,
        }


@keras.saving.register_keras_serializable("nmt")
class Decoder(keras.layers.Layer):
    """A stack of LSTMs over the embedded target, with attention at its foot and a readout at its head.

    s_0^l      = tanh(W_s^l h<-_1), cell 0                       (arXiv:1409.0473, appendix A.2.2)
    s^1, c     = flow(y)
    s^l        = LayerNorm(s^{l-1} + Dropout(LSTM([s^{l-1}; c])))     for l > 1
    readout    = tanh(W_r [s^n; y; c] + b_r)                     (for the maxout of appendix A.2.2)
    """

    def __init__(
        self,
        units: int,
        attention_units: int,
        readout_units: int,
        flow: str = "recurrent",
        num_layers: int = 1,
        attention_heads: int = 1,
        layer_dropout: float = 0.0,
        readout_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        weight_drop: float = 0.0,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if flow not in ("recurrent", "parallel"):
            raise ValueError(f"flow must be 'recurrent' or 'parallel'; received {flow!r}")
        if flow == "parallel" and num_layers < 2:
            raise ValueError(
                f"flow 'parallel' needs 2 layers or more: with one, no LSTM sees the context; received {num_layers}"
            )
        self.config: dict[str, Any] = {
            "units": units,
            "attention_units": attention_units,
            "readout_units": readout_units,
            "flow": flow,
            "num_layers": num_layers,
            "attention_heads": attention_heads,
            "layer_dropout": layer_dropout,
            "readout_dropout": readout_dropout,
            "attention_dropout": attention_dropout,
            "weight_drop": weight_drop,
            "use_cudnn": use_cudnn,
        }
        policy = self.dtype_policy
        first = (units, attention_units, attention_heads, attention_dropout, weight_drop)
        self.flow = (
            RecurrentFlow(*first, name="flow", dtype=policy)
            if flow == "recurrent"
            else ParallelFlow(*first, use_cudnn=use_cudnn, name="flow", dtype=policy)
        )
        numbers = range(1, num_layers + 1)
        self.initial = [
            keras.layers.Dense(units, "tanh", use_bias=False, name=f"initial_{number}", dtype=policy)
            for number in numbers
        ]
        self.layers = [
            LSTM(
                units,
                weight_drop=weight_drop,
                return_sequences=True,
                use_cudnn=use_cudnn,
                name=f"lstm_{number}",
                dtype=policy,
            )
            for number in numbers[1:]
        ]
        self.norms = [keras.layers.LayerNormalization(name=f"norm_{number}", dtype=policy) for number in numbers[1:]]
        self.drop = keras.layers.Dropout(layer_dropout, name="drop", dtype=policy)
        self.readout = keras.layers.Dense(readout_units, "tanh", name="readout", dtype=policy)
        self.readout_drop = keras.layers.Dropout(readout_dropout, name="readout_drop", dtype=policy)

    def build(self, embedded_shape: tuple[Any, ...], states_shape: tuple[Any, ...]) -> None:
        units, context = self.config["units"], states_shape[-1]
        batch, embedding = embedded_shape[0], embedded_shape[-1]
        self.flow.build(embedded_shape, states_shape)
        for initial in self.initial:
            initial.build((batch, context // 2))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            layer.build((batch, None, units + context))
            norm.build((batch, None, units))
        self.readout.build((batch, None, units + embedding + context))
        self.built = True

    def memory(self, states: Any, mask: Any, first_backward_state: Any, training: bool = False) -> Memory:
        """What every step reads, from the annotations [B, S, C] and what else the encoder leaves."""
        return self.flow.attention.memory(states, mask, first_backward_state, training)

    def initial_state(self, memory: Memory) -> DecoderState:
        """The state before the first piece."""
        hidden = tuple(initial(memory.first_backward_state) for initial in self.initial)
        return DecoderState(hidden, tuple(ops.zeros_like(layer) for layer in hidden))

    def call(self, embedded: Any, memory: Memory, training: bool = False) -> Any:
        """The readout [B, T, R] of every position of a known target ``embedded`` [B, T, E] (teacher forcing)."""
        state = self.initial_state(memory)
        below, contexts = self.flow(
            embedded, state.hidden[0], state.cell[0], memory, training=training
        )  # [B, T, H], [B, T, C]
        for layer, norm, hidden, cell in zip(self.layers, self.norms, state.hidden[1:], state.cell[1:], strict=True):
            inputs = ops.concatenate([self.drop(below, training=training), contexts], axis=-1)  # [B, T, H + C]
            above = layer(inputs, initial_state=[hidden, cell], training=training)
            below = norm(below + self.drop(above, training=training))  # [B, T, H]
        return self._read_out(below, embedded, contexts, training)

    def step(self, embedded: Any, state: DecoderState, memory: Memory) -> tuple[Any, DecoderState, Any]:
        """One piece ``embedded`` [B, E] after ``state``: its readout [B, R], the new state, the attention [B, S].

        There may be several rows for each sentence of ``memory``, one after the other.
        """
        hidden, cell, context, weights = self.flow.step(embedded, state.hidden[0], state.cell[0], memory)
        hiddens, cells, below = [hidden], [cell], hidden
        for layer, norm, hidden, cell in zip(self.layers, self.norms, state.hidden[1:], state.cell[1:], strict=True):
            above, (hidden, cell) = layer.cell(ops.concatenate([below, context], axis=-1), [hidden, cell])
            hiddens.append(hidden)
            cells.append(cell)
            below = norm(below + above)  # [B, H]
        return self._read_out(below, embedded, context), DecoderState(tuple(hiddens), tuple(cells)), weights

    def _read_out(self, states: Any, embedded: Any, contexts: Any, training: bool = False) -> Any:
        readout = self.readout(ops.concatenate([states, embedded, contexts], axis=-1))
        return self.readout_drop(readout, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.config}
