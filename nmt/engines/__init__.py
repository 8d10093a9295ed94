"""Engines run a trained model for search: one interface, one file a runtime."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from nmt.search import Expand, Memory, State


class Engine(Protocol):
    """What search and translation need of a runtime."""

    size: int  # V, the number of target pieces

    def start(self, source: np.ndarray, beam_size: int, candidates: int) -> tuple[Expand, State, Memory]:
        """Read ``source`` [B, S] (pieces with their EOS, padded on the right) and get ready to translate it.

        Returns:
            The step function of ``nmt.search`` for B * beam_size rows with so many ``candidates`` each, the state of
            its first step, and its memory.
        """
        ...
