"""The model as two ONNX graphs that ONNX Runtime runs without TensorFlow or Keras: small, and quick to start.

    encoder.onnx    a source in, what the decoder reads at every step, and its first state
    step.onnx       one step of the search: the last pieces in, the best next ones out

They are written by hand from the weights, as no converter turns a masked Keras LSTM into ONNX's own. What no step need
compute is computed before: what a target piece alone brings to the gates and to the readout is a table with a row a
piece, which ONNX Runtime makes when it loads the graph; the keys and the first state are the encoder's.

Shape letters: B batch, R rows (B * K), K beam, S source length, E embedding, H units, A attention units, N heads,
C context, V pieces.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt import recipe as recipes
from nmt.compact import CARD, FORMAT, GRAPHS, RECIPE
from nmt.confidence import Confidence
from nmt.recipe import Device, Recipe
from nmt.run import version
from nmt.shortlist import Shortlist
from nmt.symbols import BOS, PAD

if TYPE_CHECKING:
    from nmt.export.graph import Graph
    from nmt.model import TranslationModel

_README = """\
# {source} → {target}

A translator: an LSTM encoder and decoder with attention, {weights:,} weights in {precision}, {size:.1f} MB. To use it:

    pip install 'nmt[compact]'
    nmt translate {name} < text.{source} > text.{target}

Or in Python:

    import nmt
    print(nmt.load("{name}").translate(["One sentence."]))

| | |
|---|---|
| languages | {source} → {target} |
| trained on | {data} |
| score of the run, in float32 | {score} |
| licence | {licence} |
| exported | by nmt {version} |

`compact.json` says the same for programs, with the checksum of every file; `trained-by.yaml` is the recipe that it was
trained by.
"""


class CompactExportError(ValueError):
    """This model cannot be exported like this, or not to this place."""


def export(
    model: TranslationModel,
    recipe: Recipe,
    pieces: dict[str, bytes],
    directory: Path,
    *,
    precision: str = "int8",
    licence: str | None = None,
    data: dict[str, Any] | None = None,
    scores: list[dict[str, Any]] | None = None,
    confidence: Confidence | None = None,
    shortlist: Shortlist | None = None,
) -> None:
    """Write ``model`` to a new ``directory`` as a compact model (``nmt.compact`` has its files).

    Everything is written beside ``directory`` and renamed into place.

    Args:
        recipe: what it was trained by; its search is kept, its device is not.
        pieces: the content of each piece model by its file name, as in a run.
        precision: of the products, "int8" or "float32".
        licence: of the model, a name or a sentence; it is told on the model card.
        data: what it was trained on, and scores: what came of it, for the card.
        confidence: how far its translations can be trusted, where that is known.
        shortlist: which pieces a source may be translated to; none translates with all.

    Raises:
        CompactExportError: the onnx package is missing, ``directory`` holds something already or cannot be written.
    """
    try:
        from nmt.export.graph import Graph
    except ImportError as error:
        raise CompactExportError(
            f"exporting a compact model needs {error.name}; run: pip install 'nmt[onnx]'"
        ) from error
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CompactExportError(f"{directory} exists already; export into a new directory, or remove this one first")
    int8 = precision == "int8"
    portable = recipe.model_copy(update={"device": Device(threads=1)})
    files = {
        RECIPE: recipes.effective(portable).encode(),
        **{name: write(model, Graph(int8), shortlist) for name, write in zip(GRAPHS, (encoder, step), strict=True)},
        **pieces,
    }
    card = {
        "format": FORMAT,
        "nmt": version(),
        "languages": [recipe.data.source_language, recipe.data.target_language],
        "precision": precision,
        "weights": model.count_params(),
        "licence": licence,
        "data": data,
        "scores": scores,
        "confidence": confidence and asdict(confidence),
    }
    best = (scores or [{}])[0]
    files["README.md"] = _README.format(
        source=recipe.data.source_language,
        target=recipe.data.target_language,
        weights=card["weights"],
        precision=precision,
        size=sum(map(len, files.values())) / 1e6,
        name=directory.name,
        data=", ".join(f"{name}: {part['pairs']:,} pairs" for name, part in (data or {}).items()) or "not told",
        score=f"{best['name']} {best['value']:.2f} `{best['signature']}`".replace("|", r"\|") if best else "not told",
        licence=licence or "not told",
        version=card["nmt"],
    ).encode()
    card["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[CARD] = (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as beside:
            new = Path(beside) / directory.name
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            new.rename(directory)
    except OSError as error:
        raise CompactExportError(
            f"cannot write {directory}: {error.strerror or error}. Nothing of it is kept; if the disk is full, free "
            "some space and run the same command again"
        ) from error


def encoder(model: TranslationModel, graph: Graph, shortlist: Shortlist | None = None) -> bytes:
    """The graph ``encoder.onnx``.

        source [B, S] int32, padded on the right; lengths [B] int32, of each row at least 1
        →  values [B, N, S, C / N], keys [B, S, A], mask [B, 1, 1, S],
           hidden_1 … hidden_n [B, H] of the decoder's layers

    ``mask`` is added to the energies: 0, and -1e9 on padding. With a shortlist there also come out

           shortlist [C] int64, the candidates of the whole batch, ascending, and the softmax of these alone:
           shortlist_kernel [K, C], in int8 shortlist_scales [C], shortlist_bias [C]
    """
    source = graph.input("source", "int32", ["B", "S"])
    lengths = graph.input("lengths", "int32", ["B"])
    decoder, attention = model.decoder, model.decoder.flow.attention

    embeddings = graph.table(_array(model.source_embedding.embeddings))
    embedded = graph.lookup(embeddings, source)  # [B, S, E]
    states = graph.add("Transpose", embedded, perm=[1, 0, 2])  # [S, B, E]
    for number, layer in enumerate(model.encoder.layers):
        cells = [_cell(direction.cell) for direction in (layer.forward_layer, layer.backward_layer)]
        both, last = graph.bilstm(states, lengths, cells)  # [S, 2, B, H], [2, B, H]
        above = graph.add("Transpose", both, perm=[0, 2, 1, 3])  # [S, B, 2, H]
        above = graph.add("Reshape", above, graph.ints(0, 0, -1))  # [S, B, C]
        if number:
            above = _normed(graph, graph.add("Add", states, above), model.encoder.norms[number - 1])
        states = above
    states = graph.add("Transpose", states, perm=[1, 0, 2])  # [B, S, C]
    bounded = len(model.encoder.layers) == 1  # an LSTM's states are, what is normalised is not
    keys = graph.product(states, _array(attention.key_projection.kernel), bounded=bounded)  # [B, S, A]
    values = graph.add("Reshape", states, graph.ints(0, 0, attention.heads, -1))  # [B, S, N, C / N]
    values = graph.add("Transpose", values, perm=[0, 2, 1, 3])  # [B, N, S, C / N]
    empty = graph.add("Equal", source, graph.constant(np.int32(PAD)))  # [B, S]
    mask = graph.add("Where", empty, graph.constant(np.float32(-1e9)), graph.constant(np.float32(0)))
    mask = graph.add("Unsqueeze", mask, graph.ints(1, 2))  # [B, 1, 1, S]

    units, context = decoder.config["units"], 2 * model.settings.encoder_units
    graph.output("values", values, "float32", ["B", attention.heads, "S", context // attention.heads])
    graph.output("keys", keys, "float32", ["B", "S", attention.units])
    graph.output("mask", mask, "float32", ["B", 1, 1, "S"])
    backward = graph.add("Gather", last, graph.constant(np.int64(1)), axis=0)  # [B, H]
    for number, initial in enumerate(decoder.initial, 1):
        hidden = graph.add("Tanh", graph.product(backward, _array(initial.kernel)))
        graph.output(f"hidden_{number}", hidden, "float32", ["B", units])
    if shortlist is not None:
        tied = model.output_embedding is model.source_embedding
        table = embeddings if tied else graph.table(_array(model.output_embedding.embeddings))
        ids = _union(graph, shortlist, source, model.sizes)
        bias = graph.add("Gather", graph.constant(_array(model.output_bias)), ids, axis=0)
        results = [ids, *graph.kernel_of(table, ids), bias]
        for (name, none), value in zip(_no_shortlist(model, graph.int8).items(), results, strict=True):
            graph.output(name, value, none.dtype, [size or "C" for size in none.shape])
    return graph.serialized("encoder")


def step(model: TranslationModel, graph: Graph, shortlist: Shortlist | None = None) -> bytes:
    """The graph ``step.onnx``.

    tokens [R] int32; parents [R] int32, the rows of the state that they grew from; candidates [1] int64, how many;
        bias [R, V], added to the log-probabilities: 0 where it is not given;
    hidden_1, cell_1 … [rows, H]; values, keys, mask of the encoder, with R / B rows for each of B sentences
    →  log_probabilities [R, candidates], ids [R, candidates] int64, attention [R, S], the mean of the heads;
       next_hidden_1, next_cell_1 … [R, H]

    With a shortlist it may be given what the encoder says of that, shortlist, shortlist_kernel and so on: then these C
    pieces alone are candidates, log-probabilities are normalised over them, and bias is not heeded. In int8 it may have
    shortlist_unsigned for shortlist_kernel, uint8 with 128 for 0: signed integers a processor without VNNI would add up
    in 16 bits, which overflow, and ONNX Runtime mends that for constants alone.
    """
    decoder, settings = model.decoder, model.settings
    attention, layers = decoder.flow.attention, decoder.config["num_layers"]
    units, width, context = decoder.config["units"], decoder.config["readout_units"], 2 * settings.encoder_units
    embedding = settings.embedding_units
    tokens, parents = graph.input("tokens", "int32", ["R"]), graph.input("parents", "int32", ["R"])
    candidates = graph.input("candidates", "int64", [1])
    values = graph.input("values", "float32", ["B", attention.heads, "S", context // attention.heads])
    keys = graph.input("keys", "float32", ["B", "S", attention.units])
    mask = graph.input("mask", "float32", ["B", 1, 1, "S"])
    states = [
        [graph.add("Gather", graph.input(f"{name}_{number}", "float32", ["rows", units]), parents, axis=0)
         for name in ("hidden", "cell")]
        for number in range(1, layers + 1)
    ]  # fmt: skip
    # An LSTM's states lie in -1..1, and so does their mean; what has been normalised does not.
    context_bounded, below_bounded = settings.encoder_layers == 1, layers == 1

    # What the piece alone brings, to layer 1 and to the readout: one row of one table.
    recurrent_flow = settings.flow == "recurrent"
    first = decoder.flow if recurrent_flow else decoder.flow.lstm.cell
    readout = _array(decoder.readout.kernel)  # [H + E + C, readout]
    of_state, of_piece, of_context = np.split(readout, [units, units + embedding])
    kernel = np.concatenate([_gates(_array(first.kernel)), of_piece], axis=1)  # [E, 4H + readout]
    bias = np.concatenate([_gates(_array(first.bias)), _array(decoder.readout.bias)])
    projected = graph.add("Gather", _table(graph, model, kernel, bias), tokens, axis=0)
    to_gates, to_readout = graph.split(projected, 4 * units, width)

    def attend(query: str) -> tuple[str, str]:
        """The context [R, C] and the mean weights [R, S] (equations 5 and 6 and appendix A.1.2 of arXiv:1409.0473)."""
        query = graph.product(query, _array(attention.query_projection.kernel))  # [R, A]
        sentences = graph.add("Shape", keys, start=0, end=1)
        shape = graph.add("Concat", sentences, graph.ints(-1, 1, attention.units), axis=0)
        query = graph.add("Reshape", query, shape)  # [B, K, 1, A]
        energies = graph.add("Tanh", graph.add("Add", query, graph.add("Unsqueeze", keys, graph.ints(1))))
        by_head = np.zeros((attention.units, attention.heads), "float32")
        part = attention.units // attention.heads
        for head, energy in enumerate(np.split(_array(attention.energy), attention.heads)):
            by_head[head * part : (head + 1) * part, head] = energy
        energies = graph.add("MatMul", energies, graph.constant(by_head))  # [B, K, S, N]
        energies = graph.add("Transpose", energies, perm=[0, 3, 1, 2])  # [B, N, K, S]
        weights = graph.add("Softmax", graph.add("Add", energies, mask), axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", weights, values), perm=[0, 2, 1, 3])  # [B, K, N, C / N]
        mean = graph.add("ReduceMean", weights, graph.ints(1), keepdims=0)  # [B, K, S]
        length = graph.add("Shape", keys, start=1, end=2)
        mean = graph.add("Reshape", mean, graph.add("Concat", graph.ints(-1), length, axis=0))
        return graph.add("Reshape", mixed, graph.ints(-1, context)), mean

    def lstm(gates: str, cell: str) -> tuple[str, str]:
        """The new hidden state and cell of gates in the order of ``_gates``."""
        sigmoids, candidate = graph.split(gates, 3 * units, units)
        i, f, o = graph.split(graph.add("Sigmoid", sigmoids), units, units, units)
        kept, new = graph.add("Mul", f, cell), graph.add("Mul", i, graph.add("Tanh", candidate))
        cell = graph.add("Add", kept, new)
        return graph.add("Mul", o, graph.add("Tanh", cell)), cell

    hidden, cell = states[0]
    if recurrent_flow:
        mixed, weights = attend(hidden)
        both = graph.add("Concat", mixed, hidden, axis=-1)
        gates = graph.product(both, _gates(_array(first.recurrent_kernel)), bounded=context_bounded)
        hidden, cell = lstm(graph.add("Add", to_gates, gates), cell)
    else:
        gates = graph.product(hidden, _gates(_array(first.recurrent_kernel)))
        hidden, cell = lstm(graph.add("Add", to_gates, gates), cell)
        mixed, weights = attend(hidden)
    after = [(hidden, cell)]
    below = hidden
    for layer, norm, (hidden, cell) in zip(decoder.layers, decoder.norms, states[1:], strict=True):
        kernel, recurrent, bias = _cell(layer.cell)
        inputs = graph.add("Concat", below, mixed, hidden, axis=-1)
        kernel = _gates(np.concatenate([kernel, recurrent]))
        bounded = context_bounded and len(after) == 1
        hidden, cell = lstm(graph.product(inputs, kernel, _gates(bias), bounded=bounded), cell)
        after.append((hidden, cell))
        below = _normed(graph, graph.add("Add", below, hidden), norm)

    inputs = graph.add("Concat", below, mixed, axis=-1)
    kernel = np.concatenate([of_state, of_context])
    read = graph.product(inputs, kernel, bounded=context_bounded and below_bounded)
    read = graph.add("Tanh", graph.add("Add", read, to_readout))  # [R, readout]

    def of_all() -> list[str]:
        """The best log-probabilities of all V pieces and their ids, [R, candidates] both."""
        logits = graph.product(read, _array(model.output_embedding.embeddings).T, _array(model.output_bias))  # [R, V]
        added = graph.optional_input("bias", np.zeros((1, model.sizes[1]), "float32"), ["biased", model.sizes[1]])
        possible = np.zeros((1, model.sizes[1]), "float32")
        possible[:, [PAD, BOS]] = -np.inf
        added = graph.add("Add", added, graph.constant(possible))
        scores = graph.add("Add", graph.add("LogSoftmax", logits, axis=-1), added)
        return graph.add_many("TopK", scores, candidates, results=2, axis=-1)

    if shortlist is None:
        best, ids = of_all()
    else:
        few, *few_kernel, few_bias = (
            graph.optional_input(name, none, [size or "C" for size in none.shape])
            for name, none in _no_shortlist(model, graph.int8).items()
        )

        def few_logits() -> str:
            if not graph.int8:
                return graph.product_with(read, few_kernel, few_bias)
            unsigned = graph.optional_input("shortlist_unsigned", np.zeros((width, 0), "uint8"), [width, "C"])
            (logits,) = graph.choose(
                graph.add("Greater", graph.add("Size", unsigned), graph.constant(np.int64(0))),
                lambda: [graph.product_with(read, [unsigned, few_kernel[1]], few_bias, unsigned=True)],
                lambda: [graph.product_with(read, few_kernel, few_bias)],
            )
            return logits

        def of_few() -> list[str]:
            """The same of the C pieces of the shortlist."""
            logits = few_logits()  # [R, C]
            scores = graph.add("LogSoftmax", logits, axis=-1)
            best, places = graph.add_many("TopK", scores, candidates, results=2, axis=-1)
            return [best, graph.add("Gather", few, places, axis=0)]

        given = graph.add("Greater", graph.add("Size", few), graph.constant(np.int64(0)))
        best, ids = graph.choose(given, of_few, of_all)

    graph.output("log_probabilities", best, "float32", ["R", "candidates"])
    graph.output("ids", ids, "int64", ["R", "candidates"])
    graph.output("attention", weights, "float32", ["R", "S"])
    for number, (hidden, cell) in enumerate(after, 1):
        graph.output(f"next_hidden_{number}", hidden, "float32", ["R", units])
        graph.output(f"next_cell_{number}", cell, "float32", ["R", units])
    return graph.serialized("step")


def _no_shortlist(model: TranslationModel, int8: bool) -> dict[str, np.ndarray]:
    """What encoder and step say to each other of a shortlist, by name, where it has no pieces."""
    kernel = np.zeros((model.output_embedding.embeddings.shape[1], 0), "int8" if int8 else "float32")
    scales = {"shortlist_scales": np.zeros(0, "float32")} if int8 else {}
    none = {"shortlist": np.zeros(0, "int64"), "shortlist_kernel": kernel}
    return none | scales | {"shortlist_bias": np.zeros(0, "float32")}


def _union(graph: Graph, shortlist: Shortlist, source: str, sizes: tuple[int, int]) -> str:
    """``shortlist.of(source)``, [C] int64."""

    def present(ids: str, always: np.ndarray) -> str:
        """What is among ``ids``, of any shape, or where ``always`` is true: ascending."""
        ids = graph.add("Reshape", ids, graph.ints(-1))
        true = graph.add("Expand", graph.constant(np.array([True])), graph.add("Shape", ids))
        found = graph.add("ScatterElements", graph.constant(always), ids, true)
        return graph.add("Reshape", graph.add("NonZero", found), graph.ints(-1))

    known, vocabulary = sizes
    pieces = present(source, np.zeros(known, bool))
    partners = graph.constant(shortlist.partners.astype(np.min_scalar_type(vocabulary)))  # 16 bits where they do
    partners = graph.cast(graph.add("Gather", partners, pieces, axis=0), "int64")
    return present(partners, np.isin(np.arange(vocabulary), shortlist.common))


def _table(graph: Graph, model: TranslationModel, kernel: np.ndarray, bias: np.ndarray) -> str:
    """Every target embedding times ``kernel`` plus ``bias``, [V, N]: computed from constants, and so when loaded."""
    embeddings = _array(model.target_embedding.embeddings)  # [V, E]
    table = graph.add("MatMul", graph.stored(embeddings, axis=1), graph.stored(kernel, axis=0))
    return graph.add("Add", table, graph.constant(bias))


def _normed(graph: Graph, x: str, norm: Any) -> str:
    return graph.layer_norm(x, _array(norm.gamma), _array(norm.beta), norm.epsilon)


def _cell(cell: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel [E, 4H], recurrent kernel [H, 4H] and bias [4H] of an LSTM."""
    return _array(cell.kernel), _array(cell.recurrent_kernel), _array(cell.bias)


def _gates(array: np.ndarray) -> np.ndarray:
    """Input, forget, cell, output → input, forget, output, cell: so that the sigmoids stand together."""
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(variable, "float32")
