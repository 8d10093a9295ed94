"""Keras's LSTM, with dropout on its recurrent weights.

Shape letters: H units.
"""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("nmt")
class LSTM(keras.layers.LSTM):
    """``keras.layers.LSTM`` with weight-drop (DropConnect on U; Merity et al. 2018, arXiv:1708.02182, section 2).

        gates = W x_t + drop(U) s_{t-1} + b

    In training each entry of the recurrent kernel U [H, 4H] is zero with probability ``weight_drop``, and else divided
    by 1 - ``weight_drop``. One draw serves all steps and sentences of a call, so the loop stays as it is, cuDNN's too.

    Deviation: what is kept is scaled up, as everywhere in Keras, so that nothing need be scaled in use.
    """

    def __init__(self, units: int, *, weight_drop: float = 0.0, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.weight_drop = weight_drop
        self.drop = keras.layers.Dropout(weight_drop, name="weight_drop", dtype=self.dtype_policy)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        if not (training and self.weight_drop):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        # Keras reads U from the cell, in its own loop as for cuDNN, so that is where the thinned one must stand.
        kernel = self.cell.recurrent_kernel
        self.cell.recurrent_kernel = self.drop(kernel, training=True)
        try:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        finally:
            self.cell.recurrent_kernel = kernel

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_drop": self.weight_drop}
