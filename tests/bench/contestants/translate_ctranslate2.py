"""CTranslate2 translates, in int8: a Transformer with about as many weights as the recipe's model.

Three layers a side of 256 units, four heads, 1,024 units between, learnt by nobody; one matrix is the embedding of both
sides and the softmax. ``intra_threads`` are the threads of the contest, ``inter_threads`` is one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import contest
import ctranslate2
import numpy as np
import translation
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.model_spec import visit_spec

LAYERS, UNITS, BETWEEN, HEADS = 3, 256, 1024, 4
SHAPES = {  # as CTranslate2 fuses them: queries, keys and values
    "self_attention/linear_0": (3 * UNITS, UNITS),
    "self_attention/linear_1": (UNITS, UNITS),
    "attention/linear_0": (UNITS, UNITS),
    "attention/linear_1": (2 * UNITS, UNITS),
    "attention/linear_2": (UNITS, UNITS),
    "ffn/linear_0": (BETWEEN, UNITS),
    "ffn/linear_1": (UNITS, BETWEEN),
}

# CTranslate2 has no command of its own that translates: this is the shortest program that does.
PROGRAM = """
import os, sys, ctranslate2
threads, length = int(os.environ["OMP_NUM_THREADS"]), int(sys.argv[2])
translator = ctranslate2.Translator(sys.argv[1], compute_type="int8", intra_threads=threads, inter_threads=1)
lengths = {"min_decoding_length": length, "max_decoding_length": length}
print(*translator.translate_batch([sys.stdin.readline().split()], beam_size=1, **lengths)[0].hypotheses[0])
"""


def make(asked: SimpleNamespace) -> translation.Made:
    pieces = Path(asked.text.vocabulary).read_text(encoding="utf-8").split("\n")[:-1]
    vocabulary = ["<blank>", "<unk>", "<s>", "</s>", *pieces]
    spec, weights = transformer(len(vocabulary), np.random.default_rng(asked.training.seed))
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize("int8")
    directory = Path(asked.workspace) / "ctranslate2"
    directory.mkdir(exist_ok=True)
    spec.save(str(directory))
    return translation.Made(
        model=str(directory),
        weights=weights,
        command=[sys.executable, "-c", PROGRAM, str(directory), str(asked.searches[0].lengths[0])],
        versions={"CTranslate2": ctranslate2.__version__},
    )


def transformer(pieces: int, random: np.random.Generator) -> tuple[TransformerSpec, int]:
    """A Transformer of random weights, and how many there are."""
    spec = TransformerSpec.from_config((LAYERS, LAYERS), HEADS)
    embedding = _normal(random, pieces, UNITS)
    weights = embedding.size

    def fill(layer: Any, name: str, value: object) -> None:
        nonlocal weights
        if value is not None:  # set already, or not needed
            return
        *place, kind = name.split("/")
        if kind != "weight":  # of the norm of a layer
            setattr(layer, kind, np.full(UNITS, float(kind == "gamma"), "float32"))
            weights += UNITS
        elif shape := SHAPES.get("/".join(place[-2:])):
            layer.weight, layer.bias = _normal(random, *shape), np.zeros(shape[0], "float32")
            weights += layer.weight.size + layer.bias.size
        else:
            layer.weight = embedding

    visit_spec(spec, fill)
    return spec, weights


def _normal(random: np.random.Generator, outputs: int, inputs: int) -> np.ndarray:
    return (random.standard_normal([outputs, inputs]) / np.sqrt(inputs)).astype("float32")


def load(asked: SimpleNamespace, beam: int) -> translation.Translate:
    model = str(Path(asked.workspace) / "ctranslate2")
    translator = ctranslate2.Translator(model, compute_type="int8", intra_threads=asked.threads, inter_threads=1)

    def translate(batch: translation.Batch) -> list[list[str]]:
        said = translator.translate_batch(
            batch.sources, beam_size=beam, min_decoding_length=batch.length, max_decoding_length=batch.length
        )
        return [one.hypotheses[0] for one in said]

    return translate


if __name__ == "__main__":
    translation.run(contest.read(), make, load)
