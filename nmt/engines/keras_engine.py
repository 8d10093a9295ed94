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

    def start(self, source: np.ndarray, beam_size: int) -> tuple[search.Expand, search.State, search.Memory]:
        encode, step = self._programs(beam_size)
        if keras.backend.backend() == "tensorflow":
            memories, states = encode(source)
            return step, states, memories
        # A program for every shape: so no row ever leaves, and the memory stays here.
        memories, states = encode(np.pad(source, ((0, 0), (0, -source.shape[1] % _JAX_LENGTH_STEP))))
        return lambda tokens, parents, states, _: step(tokens, parents, states, memories), states, None

    def _compile(self, beam_size: int) -> tuple[Any, Any]:
        def encode(source: Any) -> tuple[Any, Any]:
            memories = tuple(model.encode(source) for model in self.models)
            states = tuple(map(TranslationModel.initial_state, self.models, memories))
            return memories, search.repeat_rows(ops, states, beam_size)

        def step(tokens: Any, parents: Any, states: Any, memories: Any) -> tuple[Any, Any, Any]:
            states = search.gather_rows(ops, states, parents)
            return expand(self.models, tokens, states, memories, 2 * beam_size)

        encode, step = (devices.compiled(self.models, program) for program in (encode, step))

        def host(*arguments: Any) -> tuple[np.ndarray, np.ndarray, Any]:
            log_probabilities, ids, states = step(*arguments)
            return np.asarray(log_probabilities), np.asarray(ids), states

        return encode, host
