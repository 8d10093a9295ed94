"""Fine-tuning: a training that begins with the weights of a finished run, and what becomes of what that run knew.

    the old run ─▶ Start: weights and pieces ─▶ scores before ─▶ training ─▶ scores after ─▶ table, verdict

The new run takes the old one's piece models and its best weights (best.npz, the moving average that translates).
Everything else is the new recipe's. The optimizer starts fresh: Adam's moments belong to the old text and to weights
that were not averaged.

The moving average needs no rule of its own. The first update sets it, to the taken weights moved by one small step, and
from then on it spans about the last tenth of the updates until that is as many as ``weight_average`` says
(``nmt.optimizer``). An average that held on to the taken weights at the full decay of 0.999 would after 500 updates
still consist of them by 61 %: validation would judge a model that had hardly been fine-tuned, and patience end it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmt import corpus, recipe
from nmt.corpus import Corpus
from nmt.pieces import Pieces
from nmt.recipe import Model, Recipe
from nmt.run import Run
from nmt.score import Score
from nmt.symbols import UNK

logger = logging.getLogger("nmt")

# What the taken weights depend on: languages and the form of the text, the learnt pieces, the shapes of the layers.
_MUST_AGREE = {
    "data": {"source_language", "target_language", "tokenized"},
    "pieces": {"size", "joint", "byte_fallback", "character_coverage", "symbols"},
    "model": set(Model.model_fields) - {"dropout"},
}

# Bytes of training text that are looked through for unknown pieces: a second's work.
_LOOKED_THROUGH = 1_000_000

# A difference whose p-value is below this is no chance, by custom.
_SIGNIFICANCE = 0.05


class FineTuningError(ValueError):
    """A run whose weights cannot begin this training; the message says why, and what to do."""


class Start(NamedTuple):
    """What a fine-tuning begins with, read into memory: later the old run may go."""

    run: Run  # the old one
    weights: dict[str, np.ndarray]
    checksum: str  # SHA-256 of its best.npz
    pieces: dict[str, bytes]  # its piece models, and the readable lists beside them, by the names of their files

    def copy_pieces(self, run: Run) -> None:
        """Put the piece models into ``run``."""
        for name, content in self.pieces.items():
            run.write(name, content)


def start(run: Run) -> Start | None:
    """What ``run`` begins with as its ``training.init_from`` says.

    None where it says nothing, and where a checkpoint holds the weights already: then the old run is not looked at.

    Raises:
        FineTuningError: the old run is not there, has no weights, is damaged, or does not fit the recipe of ``run``.
    """
    init_from = run.recipe.training.init_from
    if init_from is None or run.has_checkpoints():
        return None
    if Path(init_from).resolve() == run.directory.resolve():
        raise FineTuningError(
            f"training.init_from: {init_from} is the directory to train in; train into another one with --run"
        )
    try:
        old = Run.find(init_from)
        old.pieces()  # none but those that belong to the weights
        weights, checksum = old.load_best(), old.weights_checksum()
    except ValueError as error:
        raise FineTuningError(f"training.init_from: {error}") from error
    unfit = differences(old.recipe, run.recipe)
    if unfit:
        raise FineTuningError(
            f"the weights of training.init_from: {init_from} do not fit this recipe:\n  "
            + "\n  ".join(unfit)
            + f"\nWrite here what stands there (nmt recipe {old.path('recipe.yaml')} prints it), or train without "
            "init_from"
        )
    known = run.read_json("fine_tuning.json")
    if known is not None and known["sha256"] != checksum:
        logger.warning(
            "%s has other weights than at the last start, which saved no checkpoint: training begins anew, with the "
            "weights of now",
            init_from,
        )
    models = list(dict.fromkeys(old.piece_paths()))
    files = [*models, *(path.with_suffix(".vocab") for path in models if path.with_suffix(".vocab").is_file())]
    return Start(old, weights, checksum, {path.name: path.read_bytes() for path in files})


def differences(old: Recipe, new: Recipe) -> list[str]:
    """``key: this there, that here`` for each setting that keeps the weights of ``old`` from beginning ``new``."""
    return [
        f"{key}: {there} there, {here} here"
        for key, (there, here) in recipe.differences(old.model_dump(), new.model_dump()).items()
        if key.split(".")[1] in _MUST_AGREE.get(key.split(".")[0], ())
    ]


def warn_of_unknown(models: tuple[Pieces, Pieces], text: Corpus, name: str) -> None:
    """Tell how much of the training text the taken pieces cannot spell; with byte fallback that is nothing.

    Args:
        models: of source and target.
        text: what is trained on; of a large one, a sample is looked through.
        name: what a reader calls it.
    """
    for side, model, lines in zip(("source", "target"), models, (text.source, text.target), strict=True):
        looked_through = corpus.sample([lines], _LOOKED_THROUGH)
        ids = [piece for row in model.encode_lines(model.masks.lines(looked_through)) for piece in row]
        if unknown := ids.count(UNK):
            logger.warning(
                "%d of %d pieces in %d lines of the %s of the %s text hold characters that training.init_from does not "
                "know; all of them are one and the same to the model (its pieces have no byte_fallback)",
                unknown,
                len(ids),
                len(looked_through),
                side,
                name,
            )


class Change(NamedTuple):
    """The scores of one test text before and after fine-tuning, BLEU first, with p-values of their differences."""

    domain: str  # "old" or "new"
    text: str  # what a reader calls it
    before: list[Score]
    after: list[Score]
    p_values: list[float]  # paired bootstrap
    learnt: int = 0  # pairs that were trained on and share a sentence with this text

    def __str__(self) -> str:
        """In a sentence, by BLEU."""
        before, after, p_value = self.before[0].value, self.after[0].value, self.p_values[0]
        found = f"BLEU {before:.1f} → {after:.1f} (p = {p_value:.3f})"
        if self.learnt:
            found += f", though {self.learnt:,} pairs that were trained on share a sentence with its text"
        if p_value >= _SIGNIFICANCE:
            return f"the {self.domain} domain changed no more than by chance: {found}"
        if after > before:
            return f"the {self.domain} domain got better: {found}"
        ways = {
            "old": "To keep it, mix old text in: data.mix",
            "new": "A lower training.learning_rate, or more text like it, may help",
        }
        return f"the {self.domain} domain got worse: {found}. {ways[self.domain]}"


def table(changes: Sequence[Change]) -> str:
    """``changes`` as a table, one row each, under it the signatures of the scores."""
    head = ["", *(cell for found in changes[0].before for cell in (f"{found.name} before → after", "p"))]
    rows = [head]
    for change in changes:
        row = [f"{change.domain} domain ({change.text})"]
        for before, after, p_value in zip(change.before, change.after, change.p_values, strict=True):
            row += [f"{before.value:.2f} → {after.value:.2f} ({after.value - before.value:+.2f})", f"{p_value:.4f}"]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"{found.name} {found.signature}" for found in changes[0].after)])
