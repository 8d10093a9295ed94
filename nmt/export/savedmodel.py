"""The model as two TensorFlow SavedModels that translate without this toolkit.

    text/    strings in, strings out: tokenizer, beam search and detokenizer are in the graph (needs tensorflow-text)
    ids/     pieces in, pieces out: plain TensorFlow; the piece models lie beside it, in assets.extra/

One folder with both would not do: without tensorflow-text nothing of it would load. TensorFlow and tensorflow-text are
imported where they are needed. Shape letters: B batch, K beam, S source length, T target length.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import keras

from nmt import recipe
from nmt.export import signatures
from nmt.model import TranslationModel
from nmt.pieces import Pieces
from nmt.symbols import EOS, PAD

_README = """\
# A translator as TensorFlow SavedModels

Written with TensorFlow {version}. Each of the two has three signatures:

| signature | what it gives |
|---|---|
| `serving_default` | the {beam_size} best translations of each sentence, and their scores |
| `align` | the same, and which word of the best one comes from which of the source, at the cost of a second pass |
| `search` | the same as `serving_default`, by a beam whose settings are inputs |

In the first two the beam ({beam_size}), its penalties and its limit of length are part of the graph.

## `text/`: strings in, strings out

    import tensorflow as tf, tensorflow_text
    translate = tf.saved_model.load("text").signatures["serving_default"]
    print(translate(text=tf.constant(["One sentence.", "Another."]))["translation"].numpy()[0].decode())

`text` [B] is a batch of sentences in UTF-8, one a string. What comes back, with K for the size of the beam:

| output | shape, type | |
|---|---|---|
| `translation` | [B] string | the best translation |
| `score` | [B] float32 | its log-probability over the length penalty, plus the coverage penalty (beam of 1: neither) |
| `translations` | [B, K] string | the best translations, best first; "" where a sentence has fewer |
| `scores` | [B, K] float32 | their scores; {none} where there is none, as JSON has no -Infinity |
| `count` | [B] int32 | how many there are |

A blank string has one translation, which is empty, with score 0.

`align` gives besides, for a source of S pieces and a best translation of T:

| output | shape, type | |
|---|---|---|
| `alignment` | [B] string | "0-0 2-1": the second target word comes from the third of the source (source first) |
| `source_pieces` | [B, S] string | the pieces that were read, with the end `</s>`; "" behind |
| `target_pieces` | [B, T] string | the pieces that were said, likewise, without the end where the limit cut them |
| `attention` | [B, T, S] float32 | what share of its attention a target piece paid to each source piece; 0 behind |

Words are what blanks separate, in a line as the pieces have normalised it; a piece with "▁" before it begins one.

`search` takes besides `text` these scalars, all of them:

| input | type | from | to | |
|---|---|---|---|---|
{settings}

In Python they may be plain numbers: `search(text=["One sentence."], {arguments})`.

TensorFlow Serving, of this TensorFlow's version or later, brings the operations of tensorflow-text with it; mount the
folder as a version of a model and send sentences:

    docker run -p 8501:8501 -v "$PWD/text:/models/translator/1" -e MODEL_NAME=translator tensorflow/serving
    url=http://localhost:8501/v1/models/translator:predict
    curl -d '{{"instances": ["One sentence.", "Another."]}}' $url
    curl -d '{{"signature_name": "align", "instances": ["One sentence."]}}' $url
    curl -d '{{"signature_name": "search", "inputs": {{"text": ["One sentence."], {example}}}}}' $url

Scalars have no place in rows (`instances`), so `search` is asked in columns (`inputs`); and it cannot be asked of a
server that batches requests (`--enable_batching`), which takes no scalars either.

## `ids/`: pieces in, pieces out

    import tensorflow as tf
    translate = tf.saved_model.load("ids").signatures["serving_default"]
    print(translate(ids=tf.constant([[17, 42, {eos}], [5, {eos}, {pad}]]))["ids"])

`ids` [B, S] int32 are the SentencePiece ids of each sentence, `{eos}` behind them, filled up with `{pad}` on the right.
What comes back is in the same form (without `{eos}` where a translation was cut at its limit):

| output | shape, type | |
|---|---|---|
| `ids` | [B, T] int32 | the best translation |
| `hypotheses` | [B, K, T] int32 | the best translations, best first; as long as the longest of all |
| `score`, `scores`, `count` | | as above |
| `attention` | [B, T, S] float32 | as above: of `align` alone, for each piece of the best translation |

The SentencePiece models are `ids/assets.extra/source.model` and `target.model`.
"""

_MASKS = """
## Masks

This model has not learnt to spell addresses, placeholders, tags and long numbers, but has read symbols instead:
{masks}. The graphs take text as it is: mask it before, and unmask what comes back, as `nmt.masks` does. Unlike
`nmt translate`, they do not look for a translation that has all of them.

    from nmt.masks import Masks
    masks = Masks({names})
    line, codes = masks.masked("Call %(user)s!")
    said = translate(text=tf.constant([line]))["translation"].numpy()[0].decode()
    print(masks.unmasked(said, codes))
"""

# Settings of search that the host's loop alone obeys; the guard against loops is the host's too, and is left out.
_NOT_IN_GRAPH = ("diversity", "min_length", "no_repeat_ngram", "sample")


class ExportError(ValueError):
    """This model cannot be exported like this, or not to this place."""


def export(
    model: TranslationModel, source_pieces: Pieces, target_pieces: Pieces, search: recipe.Search, directory: Path
) -> None:
    """Write ``model`` to a new ``directory`` as the SavedModels ``text/`` and ``ids/``, with a README.md.

    Each has three signatures; the batch may have any size, 0 included:

        text/
        serving_default   text [B] string
                          →  translation [B] string, score [B] float32: the best one
                             translations [B, K] string, scores [B, K] float32, count [B] int32: the K best
        align             the same, and of the best one
                          →  alignment [B] string, source_pieces [B, S] string, target_pieces [B, T] string,
                             attention [B, T, S] float32
        search            text, and ``signatures.SETTINGS``, scalars  →  as serving_default

        ids/
        serving_default   ids [B, S] int32, EOS at each row's end and PAD behind it
                          →  ids [B, T] int32 in the same form, score [B] float32: the best one
                             hypotheses [B, K, T] int32, scores [B, K] float32, count [B] int32: the K best
        align             the same, and of the best one  →  attention [B, T, S] float32
        search            ids, and ``signatures.SETTINGS``, scalars  →  as serving_default

    They translate as ``nmt.translation.translate`` does with the same ``search`` but for its guard against loops:
    scores are log-probabilities, of a beam divided by the length penalty, with the coverage penalty added, and a
    sentence without pieces gets one translation, empty and with score 0. Where a sentence has fewer than K, the rest
    are empty with the score ``signatures.NONE``. A setting out of its bounds is refused by the graph.

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

    # Traced before anything is written, so that below TensorFlow's errors are those of writing.
    ids = signatures.of_ids(portable, search)
    text = signatures.of_text(portable, search, source_tokenizer, target_tokenizer)
    weights = [weight.value for weight in portable.weights]
    readme = _readme(tf.__version__, search, model, sorted(source_pieces.masks.known))
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


def _readme(version: str, search: recipe.Search, model: TranslationModel, masks: list[str]) -> str:
    """How what was exported is used."""
    bounds = signatures.bounds(model)
    example = {name: min(getattr(search, name), setting.highest) for name, setting in bounds.items()}
    masked = _MASKS.format(masks=", ".join(f"`{mask}`" for mask in masks), names=masks) if masks else ""
    return (
        _README.format(
            version=version,
            beam_size=search.beam_size,
            none=signatures.NONE,
            settings="\n".join(
                f"| `{name}` | {dtype} | {lowest} | {highest} | {recipe.Search.model_fields[name].description} |"
                for name, (dtype, lowest, highest) in bounds.items()
            ),
            example=json.dumps(example)[1:-1],
            arguments=", ".join(f"{name}={value}" for name, value in example.items()),
            eos=EOS,
            pad=PAD,
        )
        + masked
    )


def _reason(error: Any) -> str:
    """The system's reason: TensorFlow's errors have it at the end, as "{{node}} file; reason [operation]"."""
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return re.sub(r"^\{\{.*?\}\} | \[Op:\w+\]$", "", str(error.message)).rpartition("; ")[2]


def _save(graphs: dict[str, Any], kept: list[Any], path: Path) -> None:
    """Write ``graphs`` as signatures; ``kept`` is what they read.

    Raises:
        tf.errors.OpError, OSError: ``path`` cannot be written.
    """
    import tensorflow as tf

    module = tf.Module()
    module.kept = kept
    tf.saved_model.save(module, str(path), signatures=graphs)
