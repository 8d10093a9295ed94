"""The engine that runs a compact model (``nmt.export.compact``) with ONNX Runtime; no TensorFlow, no Keras."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from nmt import search
from nmt.symbols import PAD

# A shortlist of more than this share of all pieces saves nothing: its kernel is not laid out for products beforehand.
_WORTH_CHOOSING = 0.6


class EngineError(ValueError):
    """ONNX Runtime cannot run these graphs."""


class CompactEngine:
    """An ``Engine`` over the graphs ``encoder.onnx`` and ``step.onnx`` of ``directory``.

    Where they have a shortlist (``nmt.shortlist``), a step has the candidates of its batch's sources alone, and its
    log-probabilities are normalised over these: they are a little higher. A step with a bias has all pieces, so that
    constraints find whatever they ask for, and scoring tells what the whole model thinks.

    Args:
        directory: where the graphs are.
        threads: CPU threads; 0 is one a core.

    Raises:
        EngineError: ONNX Runtime does not know the graphs, or cannot run them on this machine.
    """

    def __init__(self, directory: Path, threads: int = 0) -> None:
        self._encoder, self._step = (session(directory / f"{name}.onnx", threads) for name in ("encoder", "step"))
        (self.size,) = {one.shape[1] for one in self._step.get_overridable_initializers() if one.name == "bias"}
        self._outputs = [one.name for one in self._encoder.get_outputs()]
        self._shortlist = [name for name in self._outputs if name.startswith("shortlist")]
        self._memory = [name for name in self._outputs if not name.startswith(("shortlist", "hidden"))]
        self._state = [
            one.name.removeprefix("next_") for one in self._step.get_outputs() if one.name.startswith("next")
        ]

    def start(
        self, source: np.ndarray, beam_size: int, candidates: int
    ) -> tuple[search.Expand, search.State, search.Memory]:
        lengths = np.count_nonzero(source != PAD, axis=1).astype("int32")
        read = dict(zip(self._outputs, self._encoder.run(None, {"source": source, "lengths": lengths}), strict=True))
        memory = {name: read[name] for name in self._memory}
        hiddens = [np.repeat(read[name], beam_size, axis=0) for name in self._outputs if name.startswith("hidden")]
        state = [array for hidden in hiddens for array in (hidden, np.zeros_like(hidden))]
        shortlist = {name: read[name] for name in self._shortlist}
        if shortlist and not candidates <= len(shortlist["shortlist"]) <= _WORTH_CHOOSING * self.size:
            shortlist = {}
        if "shortlist_scales" in shortlist and overflows():
            shortlist["shortlist_unsigned"] = shortlist.pop("shortlist_kernel").view("uint8") ^ np.uint8(128)
        count = np.array([min(candidates, self.size)])
        missing = ((0, 0), (0, candidates - min(candidates, self.size)))
        outputs = ["log_probabilities", "ids", "attention", *(f"next_{name}" for name in self._state)]

        def expand(
            tokens: np.ndarray,
            parents: np.ndarray,
            bias: np.ndarray | None,
            state: search.State,
            memory: search.Memory,
        ) -> tuple[search.Candidates, search.State]:
            inputs = {"tokens": tokens, "parents": parents, "candidates": count, **memory}
            inputs.update(zip(self._state, state, strict=True))
            inputs.update(shortlist if bias is None else {"bias": bias})
            best, ids, attention, *state = self._step.run(outputs, inputs)
            if missing[1][1]:
                best = np.pad(best, missing, constant_values=-np.inf)
                ids = np.pad(ids, missing, constant_values=PAD)
            return search.Candidates(best, ids, attention), state

        return expand, state, memory


@cache
def overflows() -> bool:
    """Whether the processor may add products of 8 bits in 16, which overflow: x86 without VNNI does."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # another system than Linux, where nobody tells
        return True
    return not {"avx512_vnni", "avx_vnni"} & set(flags)


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A graph that ``threads`` compute, whose products of integers are exact on this processor.

    Raises:
        EngineError: ONNX Runtime cannot read it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors alone
    # Plans of memory, one for every shape of a batch: there are hundreds, which take memory and bring no time.
    options.enable_mem_pattern = False
    if overflows():  # another way then, as exact, but of two thirds of the speed where this one would do
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class but this
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} says: {error}; a newer one may know more: "
            "pip install --upgrade onnxruntime"
        ) from error
