"""Adam that also remembers how large the gradients were, layer by layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt import devices


@keras.saving.register_keras_serializable("nmt")
class Adam(keras.optimizers.Adam):
    """Keras's Adam (Kingma & Ba 2015, arXiv:1412.6980) with ``gradient_norms`` [G] of the last batch, before clipping.

    ``groups`` names the G layers: each weight belongs to the layer that its path names. The norms are variables of the
    optimizer, so they are computed inside the compiled step, on every backend, and cost one pass over the gradients.

    Deviations: the moving average forgets the untrained weights (``ema_momentum`` is approached as Marian does it);
    where batches are accumulated, it moves once an update, not with every batch; the gradient of an embedding is the
    same on every backend.
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
        # TensorFlow leaves the gradient of an embedding as rows, one for each time that a piece was read. Keras would
        # square and clip these one by one; adding zero makes it a matrix, in which they are added up.
        grads = [ops.add(gradient, 0.0) if hasattr(gradient, "indices") else gradient for gradient in grads]
        grads = devices.summed(grads)  # before they are clipped: Keras would add up what each replica has clipped
        squares: list[Any] = [0.0] * len(self.groups)
        for group, gradient in zip(self._group_of, grads, strict=True):
            squares[group] += ops.sum(ops.square(ops.cast(gradient, "float32")))
        self.gradient_norms.assign(ops.sqrt(ops.stack(squares)))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars  # done in ``apply``

    def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
        batch, batches = self._iterations + 1, self.gradient_accumulation_steps or 1
        before = ops.cast((batch - 1) // batches, "float32")  # updates before this one
        # Marian's min(decay, (t + 1) / (t + 10)), counted so that the first update sets the average. With the decay
        # alone it would consist of untrained weights for the first 1 / (1 - decay) updates and more.
        momentum = ops.minimum(self.ema_momentum, before / (before + 9.0))
        momentum = ops.where(ops.equal(batch % batches, 0), momentum, 1.0)
        for variable, average in zip(trainable_variables, self.average, strict=True):
            average.assign(momentum * average + (1 - momentum) * variable)

    @property
    def average(self) -> list[Any]:
        """The moving average of every trainable variable; the variables' own values where ``use_ema`` is off."""
        return self._model_variables_moving_average if self.use_ema else self._trainable_variables
