"""The engine that runs Keras models themselves, compiled, on TensorFlow or JAX."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from nmt import devices, search
from nmt.model import TranslationModel, expand

# A backend that compiles a program for every shape gets sources in multiples of this many pieces.
_JAX_LENGTH_STEP = 8


class KerasEngine:
    """An ``Engine`` over a ``TranslationModel``, or over several that translate together: an ensemble.

    They must be of the same pieces; how they are put together is said by ``nmt.model.expand``. The engine always uses
    the weights that the models have at that moment.
    """

    def __init__(self, *models: TranslationModel) -> None:
        self.models = models
        self.tally = devices.compiled(models[:1], models[0].tally)  # for validation, where there is one model
        self._programs = cache(self._compile)  # one pair of compiled functions a beam size

    def start(self, source: np.ndarray, beam_size: int) -> tuple[search.Expand, search.State]:
        if keras.backend.backend() == "jax":
            source = np.pad(source, ((0, 0), (0, -source.shape[1] % _JAX_LENGTH_STEP)))
        encode, best = self._programs(beam_size)
        memories, states = encode(source)

        def step(tokens: np.ndarray, states: search.State) -> tuple[np.ndarray, np.ndarray, search.State]:
            return keras.tree.map_structure(np.asarray, best(tokens, states, memories))

        return step, keras.tree.map_structure(np.asarray, states)

    def _compile(self, beam_size: int) -> tuple[Any, Any]:
        def encode(source: Any) -> tuple[Any, Any]:
            memories = tuple(search.repeat_rows(ops, model.encode(source), beam_size) for model in self.models)
            return memories, tuple(map(TranslationModel.initial_state, self.models, memories))

        def best(tokens: Any, states: Any, memories: Any) -> tuple[Any, Any, Any]:
            return expand(self.models, tokens, states, memories, 2 * beam_size)

        return devices.compiled(self.models, encode), devices.compiled(self.models, best)
