"""An ONNX graph written node by node, its products in float32 or in int8.

In int8, ``product`` computes x W with 8-bit integers: W has a scale for each column, x one for all of it. Where every x
lies in -1..1, as what leaves an LSTM or a tanh does, its scale is known before; elsewhere, and in an LSTM over the
source, it is found anew each time from the smallest and the largest x of the whole batch. So in int8 a sentence hears a
little of what it is translated together with, as it does not in float32.

Only the ``onnx`` package is needed, and only to write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_OPERATORS = 21  # of 2024: what ONNX Runtime knows since its version 1.18
_FORMAT = 10  # of the file, of the same time
_MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators, int8 among them
_LEVELS = 127  # of int8, to either side of 0


class Graph:
    """Nodes and constants, added in the order of the computation; every method returns the name of a result."""

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._defaults = self._constants  # of optional inputs, which are the whole graph's in a branch too
        self._branch = ""  # before every name, as no name of a branch may be one of the graph around it
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """An input; strings name dimensions that may have any size."""
        self._inputs.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        )
        return name

    def optional_input(self, name: str, value: np.ndarray, shape: Sequence[int | str]) -> str:
        """An input that is ``value`` where it is not given."""
        self._defaults[name] = numpy_helper.from_array(value, name)
        return self.input(name, value.dtype, shape)

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int | str]) -> None:
        """Give ``value`` out under ``name``."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        )

    def constant(self, array: Any) -> str:
        name = f"{self._branch}constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def ints(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, "int64"))

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one result; "" is an input that is not there."""
        (result,) = self.add_many(operator, *inputs, results=1, domain=domain, **attributes)
        return result

    def add_many(self, operator: str, *inputs: str, results: int, domain: str = "", **attributes: Any) -> list[str]:
        """A node with several results."""
        names = [f"{self._branch}{operator}_{len(self._nodes)}_{number}" for number in range(results)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names

    def choose(self, condition: str, yes: Callable[[], list[str]], no: Callable[[], list[str]]) -> list[str]:
        """What ``yes`` returns where ``condition`` [] holds, otherwise what ``no`` does; the other is not computed.

        Both add nodes and constants, and return the names of as many results.
        """
        nodes, constants, around = self._nodes, self._constants, self._branch
        branches, count = {}, 0
        for name, branch in (("then_branch", yes), ("else_branch", no)):
            self._nodes, self._constants, self._branch = [], {}, f"{around}{name}_{len(nodes)}_"
            results = branch()
            count = len(results)
            outputs = [helper.make_empty_tensor_value_info(result) for result in results]
            branches[name] = helper.make_graph(self._nodes, name, [], outputs, list(self._constants.values()))
        self._nodes, self._constants, self._branch = nodes, constants, around
        return self.add_many("If", condition, results=count, **branches)

    def cast(self, value: str, dtype: Any) -> str:
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def split(self, value: str, *sizes: int) -> list[str]:
        """``value`` cut along its last dimension."""
        return self.add_many("Split", value, self.ints(*sizes), results=len(sizes), axis=-1)

    def product(self, x: str, kernel: np.ndarray, bias: np.ndarray | None = None, *, bounded: bool = True) -> str:
        """x [..., K] times ``kernel`` [K, N], plus ``bias`` [N]; ``bounded`` says that x lies in -1..1."""
        if not self.int8:
            result = self.add("MatMul", x, self.constant(kernel))
            return result if bias is None else self.add("Add", result, self.constant(bias))
        integers, columns = quantized(kernel, axis=0)
        weights, scales = self.constant(integers), self.constant(columns[0])
        zeros = self.constant(np.zeros(kernel.shape[1], "int8"))
        added = "" if bias is None else self.constant(bias)
        if not bounded:
            return self.add("DynamicQuantizeMatMul", x, weights, scales, zeros, added, domain=_MICROSOFT)
        scale, middle = self.constant(np.float32(1 / _LEVELS)), self.constant(np.uint8(128))
        x = self.add("QuantizeLinear", x, scale, middle)
        inputs = (x, weights, scale, scales, middle, zeros, added)
        return self.add("MatMulIntegerToFloat", *inputs, domain=_MICROSOFT)

    def stored(self, array: np.ndarray, axis: int) -> str:
        """``array`` as float32, which in int8 is kept as integers with a scale for each row (axis 1) or column (0)."""
        if not self.int8:
            return self.constant(array)
        integers, scales = quantized(array, axis)
        floats = self.cast(self.constant(integers), "float32")
        return self.add("Mul", floats, self.constant(scales))

    def table(self, array: np.ndarray) -> list[str]:
        """``array`` [V, E], of which rows are taken: the constant, or in int8 integers and the scale of each row."""
        return [self.constant(part) for part in (quantized(array, axis=1) if self.int8 else [array])]

    def lookup(self, table: Sequence[str], ids: str) -> str:
        """The rows ``ids`` [...] of a ``table`` [V, E]: [..., E]."""
        rows = self.add("Gather", table[0], ids, axis=0)
        if not self.int8:
            return rows
        rows = self.cast(rows, "float32")
        return self.add("Mul", rows, self.add("Gather", table[1], ids, axis=0))

    def kernel_of(self, table: Sequence[str], ids: str) -> list[str]:
        """The rows ``ids`` [C] of a ``table`` [V, K] for ``product_with``: a kernel [K, C], in int8 scales [C] too."""
        kernel = self.add("Transpose", self.add("Gather", table[0], ids, axis=0), perm=[1, 0])
        if not self.int8:
            return [kernel]
        return [kernel, self.add("Reshape", self.add("Gather", table[1], ids, axis=0), self.ints(-1))]

    def product_with(self, x: str, kernel: Sequence[str], bias: str, unsigned: bool = False) -> str:
        """x [..., K], which lies in -1..1, times a ``kernel`` of ``kernel_of``, plus ``bias`` [C].

        Its integers may be ``unsigned``, with 128 for 0.
        """
        if not self.int8:
            return self.add("Add", self.add("MatMul", x, kernel[0]), bias)
        scale, middle = self.constant(np.float32(1 / _LEVELS)), self.constant(np.uint8(128))
        x = self.add("QuantizeLinear", x, scale, middle)
        zero = middle if unsigned else self.constant(np.int8(0))
        inputs = (x, kernel[0], scale, kernel[1], middle, zero, bias)
        return self.add("MatMulIntegerToFloat", *inputs, domain=_MICROSOFT)

    def bilstm(self, x: str, lengths: str, cells: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[str]:
        """A bidirectional LSTM over ``x`` [S, B, E]: its states [S, 2, B, H] and the last ones [2, B, H].

        ``cells``, forward and backward, each have kernel [E, 4H], recurrent kernel [H, 4H] and bias [4H] with the gates
        in Keras's order: input, forget, cell, output. ONNX has input, output, forget, cell.
        """
        units = cells[0][1].shape[0]

        def ordered(array: np.ndarray) -> np.ndarray:
            i, f, c, o = np.split(array, 4, axis=-1)
            return np.concatenate([i, o, f, c], axis=-1)

        kernel, recurrent, bias = (np.stack([ordered(array) for array in kind]) for kind in zip(*cells, strict=True))
        both = self.constant(np.concatenate([bias, np.zeros_like(bias)], axis=-1))  # ONNX has two biases
        attributes = {"direction": "bidirectional", "hidden_size": units}
        if not self.int8:
            kernels = [self.constant(array.transpose(0, 2, 1)) for array in (kernel, recurrent)]
            states, last, _ = self.add_many("LSTM", x, *kernels, both, lengths, results=3, **attributes)
            return [states, last]
        kernels, scales = [], []
        for array in (kernel, recurrent):
            integers, scale = quantized(array, axis=1)
            kernels.append(self.constant(integers))
            scales += [self.constant(scale[:, 0]), self.constant(np.zeros_like(scale[:, 0], "int8"))]
        inputs = (x, *kernels, both, lengths, "", "", "", *scales)
        states, last, _ = self.add_many("DynamicQuantizeLSTM", *inputs, results=3, domain=_MICROSOFT, **attributes)
        return [states, last]

    def layer_norm(self, x: str, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> str:
        return self.add("LayerNormalization", x, self.constant(gamma), self.constant(beta), epsilon=epsilon)

    def serialized(self, name: str) -> bytes:
        """The graph as the content of an ``.onnx`` file."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._constants.values()))
        operators = [helper.make_opsetid("", _OPERATORS), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=operators, producer_name="nmt", ir_version=_FORMAT)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def quantized(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """``array`` ≈ integers x scales: int8, and along ``axis``, which it keeps with size 1, one float32 for all."""
    scales = np.maximum(np.abs(array).max(axis=axis, keepdims=True), 1e-30).astype("float32") / _LEVELS
    return np.round(array / scales).astype("int8"), scales
