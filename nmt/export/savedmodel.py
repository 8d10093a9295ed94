"""The model as two TensorFlow SavedModels that translate without this toolkit.

    text/    strings in, strings out: tokenizer, beam search and detokenizer are in the graph (needs tensorflow-text)
    ids/     pieces in, pieces out: plain TensorFlow; the piece models lie beside it, in assets.extra/

One folder with both would not do: without tensorflow-text nothing of it would load. TensorFlow and tensorflow-text are
imported by ``export`` alone. Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import ops

from nmt import recipe
from nmt.corpus import CONTROL
from nmt.model import TranslationModel, expand
from nmt.pieces import Pieces
from nmt.search import Candidates, beam_in_graph, gather_rows, repeat_rows
from nmt.symbols import EOS, PAD

_README = """\
# A translator as TensorFlow SavedModels

Written with TensorFlow {version}. Beam ({beam_size}), length penalty and length limit are part of the graphs.

## `text/`: strings in, strings out

    import tensorflow as tf, tensorflow_text
    translate = tf.saved_model.load("text").signatures["serving_default"]
    print(translate(text=tf.constant(["One sentence.", "Another."]))["translation"].numpy()[0].decode())

`text` is a batch of sentences in UTF-8, one a string. `score` is the log-probability of each translation, divided by
the length penalty (by nothing where the beam is 1). A blank string gives an empty translation with score 0.

TensorFlow Serving, of this TensorFlow's version or later, brings the operations of tensorflow-text with it; mount the
folder as a version of a model and send sentences:

    docker run -p 8501:8501 -v "$PWD/text:/models/translator/1" -e MODEL_NAME=translator tensorflow/serving
    curl -d '{{"instances": ["One sentence.", "Another."]}}' http://localhost:8501/v1/models/translator:predict

## `ids/`: pieces in, pieces out

    import tensorflow as tf
    translate = tf.saved_model.load("ids").signatures["serving_default"]
    print(translate(ids=tf.constant([[17, 42, {eos}], [5, {eos}, {pad}]]))["ids"])

`ids` are the SentencePiece ids of each sentence, `{eos}` behind them, filled up with `{pad}` on the right; the ids that
come back likewise (without `{eos}` where a translation was cut at its limit). The SentencePiece models are
`ids/assets.extra/source.model` and `target.model`.
"""


# Settings of search that the host's loop alone obeys; the guard against loops is the host's too, and is left out.
_NOT_IN_GRAPH = ("diversity", "min_length", "no_repeat_ngram", "sample")


class ExportError(ValueError):
    """This model cannot be exported like this, or not to this place."""


def export(
    model: TranslationModel, source_pieces: Pieces, target_pieces: Pieces, search: recipe.Search, directory: Path
) -> None:
    """Write ``model`` to a new ``directory`` as the SavedModels ``text/`` and ``ids/``, with a README.md.

    Each has one signature, ``serving_default``; the batch may have any size, 0 included:

        text/   text [B] string  →  translation [B] string, score [B] float32
        ids/    ids [B, S] int32, EOS at each row's end and PAD behind it
                →  ids [B, T] int32 in the same form, score [B] float32

    They translate as ``nmt.translation.translate`` does with the same ``search`` but for its guard against loops:
    scores are log-probabilities, of a beam divided by the length penalty, with the coverage penalty added, and a
    sentence without pieces gets an empty translation with score 0.

    The graphs are traced from a float32 copy of the model without cuDNN: cuDNN's operations, which a model on a GPU
    takes, exist on no CPU. Everything is written beside ``directory`` and renamed into place.

    Raises:
        ExportError: ``search`` has what no graph has; Keras does not run on TensorFlow, tensorflow-text is missing,
            the pieces are not those of the model, ``directory`` holds something already, or it cannot be written;
            then nothing of it is kept.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "a SavedModel is written by TensorFlow, but this process runs Keras on "
            f"{keras.backend.backend()}; start a new one with device.backend: tensorflow (the weights fit both)"
        )
    try:
        import tensorflow as tf
        import tensorflow_text
    except ImportError as error:
        raise ExportError(f"exporting a SavedModel needs {error.name}; run: pip install 'nmt[tensorflow]'") from error

    plain = recipe.Search()
    changed = [key for key in _NOT_IN_GRAPH if getattr(search, key) != getattr(plain, key)]
    if changed:
        raise ExportError(
            "the graph of a SavedModel has no "
            + ", ".join(f"search.{key}" for key in changed)
            + "; export with "
            + " ".join(f"--set search.{key}={json.dumps(getattr(plain, key))}" for key in changed)
        )
    sizes = (source_pieces.size, target_pieces.size)
    if sizes != model.sizes:
        raise ExportError(
            f"the model reads {model.sizes[0]} source pieces and writes {model.sizes[1]} target pieces; got piece "
            f"models of {sizes[0]} and {sizes[1]}; give those that it was trained with, the source's first"
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ExportError(f"{directory} exists already; export into a new directory, or remove this one first")

    portable = _portable(model)
    # Their names must differ: within a SavedModel, tokenizers of one name share the piece model that is loaded first.
    source_tokenizer, target_tokenizer = (
        tensorflow_text.SentencepieceTokenizer(pieces.serialized, tf.int32, add_eos=True, name=name)
        for name, pieces in (("source", source_pieces), ("target", target_pieces))
    )

    def translate_ids(ids: Any) -> dict[str, Any]:
        best, scores = _translate(portable, search, ids)
        return {"ids": best, "score": scores}

    def translate_text(text: Any) -> dict[str, Any]:
        valid = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")  # as text files are read
        readable = tf.strings.regex_replace(valid, CONTROL, " ")  # as nmt.corpus.without_control does
        source = source_tokenizer.tokenize(readable).to_tensor(PAD)  # [B, S]
        best, scores = _translate(portable, search, source)
        pieces = tf.ragged.boolean_mask(best, (best != EOS) & (best != PAD))
        lines = tf.strings.regex_replace(target_tokenizer.detokenize(pieces), "[\r\n]", " ")  # as Pieces.decode does
        return {"translation": lines, "score": scores}

    # Traced before anything is written, so that below TensorFlow's errors are those of writing.
    ids = _signature(translate_ids, tf.TensorSpec([None, None], tf.int32, "ids"))
    text = _signature(translate_text, tf.TensorSpec([None], tf.string, "text"))
    weights = [weight.value for weight in portable.weights]
    readme = _README.format(version=tf.__version__, beam_size=search.beam_size, eos=EOS, pad=PAD)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as beside:
            new = Path(beside) / directory.name
            _save(ids, weights, new / "ids")
            _save(text, [*weights, source_tokenizer, target_tokenizer], new / "text")
            extra = new / "ids" / "assets.extra"
            extra.mkdir()
            (extra / "source.model").write_bytes(source_pieces.serialized)
            (extra / "target.model").write_bytes(target_pieces.serialized)
            (new / "README.md").write_text(readme, encoding="utf-8")
            new.rename(directory)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(
            f"cannot write {directory}: {_reason(error)}. Nothing of it is kept; if the disk is full, free some space "
            "and run the same command again"
        ) from error


def _portable(model: TranslationModel) -> TranslationModel:
    """A copy of ``model`` whose operations every machine has: float32 and without cuDNN."""
    portable = TranslationModel.from_config({**model.get_config(), "use_cudnn": False, "dtype": "float32"})
    portable.build()
    portable.set_weights(model.get_weights())
    return portable


def _translate(model: TranslationModel, settings: recipe.Search, source: Any) -> tuple[Any, Any]:
    """The best hypothesis [B, T] and its score [B] for each row of ``source`` [B, S], as part of a graph.

    A row without pieces needs no care on its way (without cuDNN a fully masked row is harmless): its limit of 0 keeps
    it out of the search.
    """
    width = ops.shape(source)[1]
    source = ops.pad(source, ((0, 0), (0, ops.maximum(0, 1 - width))), constant_values=PAD)  # an LSTM needs a column
    pieces = ops.count_nonzero((source != PAD) & (source != EOS), axis=1)  # [B]
    # Floats of 64 bits, as in nmt.translation.length_limit: the two must round alike.
    limits = ops.cast(settings.max_length_factor * ops.cast(pieces, "float64"), "int32") + settings.max_length_extra
    limits = ops.where(pieces > 0, limits, 0)

    candidates = 2 * settings.beam_size
    # Of beams alone, as in nmt.translation.
    coverage: dict[str, Any] = {}
    if settings.coverage_penalty and settings.beam_size > 1:
        coverage = {"beta": settings.coverage_penalty, "positions": source != PAD}

    def step(tokens: Any, parents: Any, bias: Any, states: Any, memories: Any) -> tuple[Candidates, Any]:
        return expand([model], tokens, gather_rows(ops, states, parents), memories, candidates, bias)

    memory = model.encode(source)
    found = beam_in_graph(
        ops,
        step,
        (repeat_rows(ops, model.initial_state(memory), settings.beam_size),),
        (memory,),
        settings.beam_size,
        limits,
        settings.length_penalty if settings.beam_size > 1 else 0.0,  # 0: greedy search
        **coverage,
    )
    ids = found.ids[:, 0]  # [B, longest limit]
    longest = ops.max(ops.count_nonzero(ids, axis=1), initial=0)  # T
    return ids[:, :longest], ops.where(pieces > 0, found.scores[:, 0], 0.0)


def _reason(error: Any) -> str:
    """The system's reason: TensorFlow's errors have it at the end, as "{{node}} file; reason [operation]"."""
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return re.sub(r"^\{\{.*?\}\} | \[Op:\w+\]$", "", str(error.message)).rpartition("; ")[2]


def _signature(function: Callable[[Any], dict[str, Any]], inputs: Any) -> Any:
    """The graph of ``function`` of ``inputs``, a TensorSpec."""
    import tensorflow as tf

    return tf.function(function, input_signature=[inputs], autograph=False).get_concrete_function()


def _save(signature: Any, kept: list[Any], path: Path) -> None:
    """Write ``signature`` as ``serving_default``; ``kept`` is what its graph reads.

    Raises:
        tf.errors.OpError, OSError: ``path`` cannot be written.
    """
    import tensorflow as tf

    module = tf.Module()
    module.kept = kept
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
