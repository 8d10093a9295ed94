"""Adam that also remembers how large the gradients were, layer by layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("nmt")
class Adam(keras.optimizers.Adam):
    """Keras's Adam (Kingma & Ba 2015, arXiv:1412.6980) with ``gradient_norms`` [G], before clipping.

    ``groups`` names the G layers: each weight belongs to the layer that its path names. The norms are variables of the
    optimizer, so they are computed inside the compiled step, on every backend, and cost one pass over the gradients.
    """

    def build(self, variables: list[Any]) -> None:
        super().build(variables)
        layer_of = [variable.path.split("/", 1)[-1].rpartition("/")[0] or variable.name for variable in variables]
        self.groups = list(dict.fromkeys(layer_of))
        self._group_of = [self.groups.index(layer) for layer in layer_of]
        self.gradient_norms = keras.Variable(
            ops.zeros(len(self.groups)), trainable=False, name="gradient_norms", dtype="float32"
        )
        self._track_variable(self.gradient_norms)

    def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None) -> None:
        squares: list[Any] = [0.0] * len(self.groups)
        for group, gradient in zip(self._group_of, grads, strict=True):
            squares[group] += ops.sum(ops.square(ops.cast(ops.convert_to_tensor(gradient), "float32")))
        self.gradient_norms.assign(ops.sqrt(ops.stack(squares)))
        super().apply(grads, trainable_variables)

    @property
    def average(self) -> list[Any]:
        """The moving average of every trainable variable; the variables' own values where ``use_ema`` is off."""
        return self._model_variables_moving_average if self.use_ema else self._trainable_variables
