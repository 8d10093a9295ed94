"""The engine that runs the Keras model itself, compiled, on TensorFlow or JAX."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from nmt import devices, search
from nmt.model import TranslationModel

# A backend that compiles a program for every shape gets sources in multiples of this many pieces.
_JAX_LENGTH_STEP = 8


class KerasEngine:
    """An ``Engine`` over a ``TranslationModel``; it always uses the weights that the model has at that moment."""

    def __init__(self, model: TranslationModel) -> None:
        self.model = model
        self.tally = devices.compiled(model, model.tally)
        self._programs = cache(self._compile)  # one pair of compiled functions a beam size

    def start(self, source: np.ndarray, beam_size: int) -> tuple[search.Expand, search.State]:
        if keras.backend.backend() == "jax":
            source = np.pad(source, ((0, 0), (0, -source.shape[1] % _JAX_LENGTH_STEP)))
        encode, expand = self._programs(beam_size)
        memory, state = encode(source)

        def step(tokens: np.ndarray, state: search.State) -> tuple[np.ndarray, np.ndarray, search.State]:
            return keras.tree.map_structure(np.asarray, expand(tokens, state, memory))

        return step, keras.tree.map_structure(np.asarray, state)

    def _compile(self, beam_size: int) -> tuple[Any, Any]:
        def encode(source: Any) -> tuple[Any, Any]:
            memory = search.repeat_rows(ops, self.model.encode(source), beam_size)
            return memory, self.model.initial_state(memory)

        def expand(tokens: Any, state: Any, memory: Any) -> tuple[Any, Any, Any]:
            return self.model.expand(tokens, state, memory, 2 * beam_size)

        return devices.compiled(self.model, encode), devices.compiled(self.model, expand)
