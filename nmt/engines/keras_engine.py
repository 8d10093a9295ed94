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
        self.size = models[0].sizes[1]
        self.tally = devices.compiled(models[:1], models[0].tally)  # for validation, where there is one model
        self._programs = cache(self._compile)  # one pair of compiled functions a size of beam and candidates

    def start(
        self, source: np.ndarray, beam_size: int, candidates: int
    ) -> tuple[search.Expand, search.State, search.Memory]:
        encode, step = self._programs(beam_size, candidates)
        if keras.backend.backend() == "tensorflow":
            memories, states = encode(source)
            return step, states, memories
        # A program for every shape: so no row ever leaves, and the memory stays here.
        length = source.shape[1]
        memories, states = encode(np.pad(source, ((0, 0), (0, -length % _JAX_LENGTH_STEP))))

        def expand(tokens: Any, parents: Any, bias: Any, states: Any, _: None) -> tuple[search.Candidates, Any]:
            found, states = step(tokens, parents, bias, states, memories)
            return found._replace(attention=found.attention[:, :length]), states

        return expand, states, None

    def _compile(self, beam_size: int, candidates: int) -> tuple[Any, Any]:
        def encode(source: Any) -> tuple[Any, Any]:
            memories = tuple(model.encode(source) for model in self.models)
            states = tuple(map(TranslationModel.initial_state, self.models, memories))
            return memories, search.repeat_rows(ops, states, beam_size)

        def step(tokens: Any, parents: Any, bias: Any, states: Any, memories: Any) -> tuple[search.Candidates, Any]:
            states = search.gather_rows(ops, states, parents)
            return expand(self.models, tokens, states, memories, candidates, bias)

        encode, step = (devices.compiled(self.models, program) for program in (encode, step))

        def host(*arguments: Any) -> tuple[search.Candidates, Any]:
            found, states = step(*arguments)
            return search.Candidates(*map(np.asarray, found)), states

        return encode, host
