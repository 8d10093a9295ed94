"""The encoder: a stack of bidirectional LSTMs over the embedded source.

Shape letters: B batch, S source length, E embedding, H units per direction.
"""

from __future__ import annotations

from typing import Any

import keras

from nmt.lstm import LSTM


@keras.saving.register_keras_serializable("nmt")
class Encoder(keras.layers.Layer):
    """Stacked BiLSTM (Bahdanau et al. 2015, arXiv:1409.0473, section 3.2, with LSTMs in place of their gated units).

        layer 1:      x^1 = BiLSTM(y)
        layer l > 1:  x^l = LayerNorm(x^(l-1) + Dropout(BiLSTM(x^(l-1))))

    The mask is handed to every LSTM: Keras no longer passes masks on by itself from version 3.16.
    """

    def __init__(
        self,
        units: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        self.weight_drop = weight_drop
        self.use_cudnn = use_cudnn
        self.layers = [
            keras.layers.Bidirectional(
                LSTM(
                    units,
                    weight_drop=weight_drop,
                    return_sequences=True,
                    return_state=True,
                    use_cudnn=use_cudnn,
                    name=f"lstm_{number}",
                    dtype=self.dtype_policy,
                ),
                name=f"bilstm_{number}",
                dtype=self.dtype_policy,
            )
            for number in range(1, num_layers + 1)
        ]
        self.norms = [
            keras.layers.LayerNormalization(name=f"norm_{number}", dtype=self.dtype_policy)
            for number in range(2, num_layers + 1)
        ]
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=self.dtype_policy)

    def build(self, embedded_shape: tuple[Any, ...]) -> None:
        states_shape = (*embedded_shape[:-1], 2 * self.units)
        for number, layer in enumerate(self.layers):
            layer.build(embedded_shape if number == 0 else states_shape)
        for norm in self.norms:
            norm.build(states_shape)
        self.built = True

    def call(self, embedded: Any, mask: Any, training: bool = False) -> tuple[Any, Any]:
        """Read ``embedded`` [B, S, E] where ``mask`` [B, S] is True; padding stands on the right only.

        Returns:
            The annotations [B, S, 2H] (forward and backward state side by side; without meaning on padding) and the
            backward state at the first piece [B, H] of the top layer.
        """
        states, _, _, backward, _ = self.layers[0](embedded, mask=mask, training=training)  # [B, S, 2H], [B, H]
        for layer, norm in zip(self.layers[1:], self.norms, strict=True):
            above, _, _, backward, _ = layer(states, mask=mask, training=training)
            states = norm(states + self.drop(above, training=training))  # [B, S, 2H]
        return states, backward

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "weight_drop": self.weight_drop,
            "use_cudnn": self.use_cudnn,
        }
