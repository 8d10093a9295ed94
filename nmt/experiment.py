"""From a recipe to a run, and from a run to a translator: the rooms put together in order.

text ─▶ corpus ─▶ pieces ─▶ batches ─▶ model ─▶ search ─▶ text ─▶ score
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from nmt import batches, catalogue, corpus, devices, evaluation, pieces, score
from nmt.corpus import Corpus, CorpusError
from nmt.evaluation import TestResult
from nmt.recipe import Data, Files, Recipe
from nmt.run import Run, RunError, assign_weights
from nmt.score import Comparison

if TYPE_CHECKING:
    from nmt.model import TranslationModel
    from nmt.training import Progress

logger = logging.getLogger("nmt")

# Which pairs are held out must not depend on training.seed: another seed is judged on the same sentences.
_HOLD_OUT_SEED = 1


class Texts(NamedTuple):
    """The parallel text of a recipe."""

    train: Corpus
    development: Corpus
    test: Corpus | None


def read_texts(data: Data) -> Texts:
    """Read, align, clean and split the text of a recipe; what was changed or dropped is logged as warnings.

    Raises:
        CorpusError: a file is missing, cannot be read or does not fit its partner; nothing is left to train on.
    """
    train = corpus.drop_empty(_read(data, data.train))
    sizes = [part if isinstance(part, int) else 0 for part in (data.development, data.test)]
    development = test = None
    if any(sizes):
        train, development, test = corpus.hold_out(train, sizes[0], sizes[1], seed=_HOLD_OUT_SEED)
    if isinstance(data.development, Files):
        development = _read(data, data.development)
    if isinstance(data.test, Files):
        test = _read(data, data.test)
    elif data.test is None:
        test = None
    for note in corpus.describe(train.notes):
        logger.warning("training text: %s", note)
    if not train or not development:
        raise CorpusError(f"nothing is left: {len(train)} pairs to train on, {len(development or [])} to develop on")
    return Texts(train, development, test)


def train(recipe: Recipe, directory: str | Path) -> tuple[Run, Progress]:
    """Train ``recipe`` in ``directory``, from the start or from where it was left.

    Raises:
        ValueError: text, recipe, device or directory cannot be used; the message says what to do.
    """
    run = Run.open(directory, recipe)  # first: a changed recipe is refused at once
    texts = read_texts(recipe.data)
    device = devices.prepare(recipe.device)  # before the directory: a recipe that cannot run here leaves none
    with run.lock(), run.logged():
        run.begin()
        _check_corpus(run, texts)
        logger.info("%s", device)
        if " device=cpu " not in device:
            logger.warning("%s", devices.inexact(recipe.device.backend, os.environ))
        source_pieces, target_pieces = _train_pieces(run, texts.train)
        plan = _plan(
            run, texts.train, source_pieces, target_pieces, recipe.training.batch_tokens, recipe.data.max_length
        )
        target_pieces_in_all = sum(len(ids) + 1 for ids in plan.target)
        if target_pieces_in_all < recipe.training.batch_tokens:
            raise CorpusError(
                f"the training text is smaller than a batch: {target_pieces_in_all:,} target pieces for "
                f"training.batch_tokens: {recipe.training.batch_tokens}; lower batch_tokens, or bring more text"
            )
        development_plan = _plan(run, texts.development, source_pieces, target_pieces, recipe.training.batch_tokens)

        from nmt import model, training
        from nmt.engines.keras_engine import KerasEngine

        translator = model.build(
            recipe.model,
            source_pieces.size,
            target_pieces.size,
            label_smoothing=recipe.training.label_smoothing,
            seed=recipe.training.seed,
        )
        logger.info("%d weights, %d batches an epoch", translator.count_params(), len(plan.epoch(0)))
        engine = KerasEngine(translator)

        def validate() -> evaluation.Validation:
            return evaluation.validate(
                engine,
                (source_pieces, target_pieces),
                texts.development,
                development_plan,
                recipe.search,
                recipe.evaluation,
                recipe.data.tokenized,
            )

        return run, training.train(run, translator, plan, validate)


def load_model(run: Run) -> TranslationModel:
    """The trained model of ``run``, with the weights that translate.

    Raises:
        ValueError: there are no weights yet, they are damaged, or the recipe's device is not there.
    """
    weights = run.load_best()
    logger.info("%s", devices.prepare(run.recipe.device))

    from nmt import model

    source_pieces, target_pieces = run.pieces()
    translator = model.build(run.recipe.model, source_pieces.size, target_pieces.size)
    assign_weights(translator.trainable_variables, weights, run.path("best.npz"))
    return translator


def read_held_out(run: Run, part: Literal["development", "test"]) -> Corpus:
    """The development or test text of ``run``, the same as when it was trained.

    Raises:
        CorpusError: the recipe names none, or it can no longer be read.
        RunError: it is another text now.
    """
    data = run.recipe.data
    setting = data.development if part == "development" else data.test
    if setting is None:
        raise CorpusError(f"the recipe of {run.directory} has no {part} text (data.{part}); name two files to score")
    text = _read(data, setting) if isinstance(setting, Files) else getattr(read_texts(data), part)
    known = (run.read_json("corpus.json") or {}).get(part)
    if known != _fingerprint(text):
        raise RunError(
            f"the {part} text is no longer what {run.directory} was trained beside: {len(text)} pairs, expected the "
            f"{known['pairs'] if known else 'unknown'} pairs whose checksum is in corpus.json; restore it, or name two "
            "files to score"
        )
    return text


def evaluate(run: Run, text: Corpus, name: str = "test") -> TestResult:
    """Translate ``text`` as the recipe of ``run`` says, score it, and keep both in the run.

    The test text's are kept as evaluation.json and translations.tsv, others' as evaluation-<name>.json and
    translations-<name>.tsv; which, is logged. A row of the TSV file is source, reference, translation.

    Raises:
        ValueError: the run cannot translate yet, as ``load_model``.
    """
    model = load_model(run)

    from nmt.engines.keras_engine import KerasEngine

    recipe = run.recipe
    result = evaluation.test(
        KerasEngine(model), run.pieces(), text, recipe.search, recipe.evaluation, recipe.data.tokenized
    )
    ending = "" if name == "test" else f"-{name}"
    rows = zip(text.source, text.target, result.translations, strict=True)
    scores, translations = f"evaluation{ending}.json", f"translations{ending}.tsv"
    run.write(translations, "".join("\t".join(row) + "\n" for row in rows).encode())
    run.write_json(
        scores,
        {
            "text": {"name": name, **_fingerprint(text)},
            "search": recipe.search.model_dump(),
            "scores": [asdict(found) for found in result.scores],
        },
    )
    logger.info("scores are kept in %s, translations in %s", run.path(scores), run.path(translations))
    return result


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Paired bootstrap of the kept translations of the test text, of every run against the first.

    Raises:
        RunError: a run has none yet, or they are of different texts or scored by different rules.
        ValueError: fewer than two runs.
    """
    kept = [_read_translations(run) for run in runs]
    first, text = runs[0], kept[0][0]
    rules = (first.recipe.data.tokenized, first.recipe.evaluation.lowercase)
    for run, (other, _) in zip(runs, kept, strict=True):
        if other.checksum() != text.checksum():
            raise RunError(
                f"{first.directory} and {run.directory} translated different test texts ({len(text)} and {len(other)} "
                "pairs), so their scores say nothing about each other; compare runs of recipes with the same data.test"
            )
        found = (run.recipe.data.tokenized, run.recipe.evaluation.lowercase)
        if found != rules:
            raise RunError(
                f"{first.directory} and {run.directory} are scored by different rules (data.tokenized, "
                f"evaluation.lowercase): {rules} and {found}"
            )
    return score.compare(
        text.target,
        {str(run.directory): translations for run, (_, translations) in zip(runs, kept, strict=True)},
        tokenize=evaluation.tokenizer(first.recipe.data.tokenized),
        lowercase=first.recipe.evaluation.lowercase,
        bootstrap=first.recipe.evaluation.bootstrap,
    )


def _read_translations(run: Run) -> tuple[Corpus, list[str]]:
    """The test text of ``run`` and its translations, as ``evaluate`` kept them."""
    path = run.path("translations.tsv")
    if not path.is_file():
        raise RunError(f"{run.directory} has not translated its test text yet; first run: nmt evaluate {run.directory}")
    rows = [line.split("\t", 2) for line in corpus.read_lines(path)]
    return Corpus([row[0] for row in rows], [row[1] for row in rows]), [row[2] for row in rows]


def _read(data: Data, files: Files) -> Corpus:
    def path(name: str) -> Path:
        return catalogue.locate(data.corpus, name) if data.corpus else Path(name)

    if files.tsv is not None:
        return corpus.clean(corpus.read_tsv(path(files.tsv)))
    return corpus.clean(corpus.read_parallel(path(str(files.source)), path(str(files.target))))


def _check_corpus(run: Run, texts: Texts) -> None:
    """Refuse to go on with another text than the run was begun with."""
    found = {name: _fingerprint(text) for name, text in texts._asdict().items() if text is not None}
    known = run.read_json("corpus.json")
    if known is None:
        run.write_json("corpus.json", found)
        return
    changed = [name for name in {*known, *found} if known.get(name) != found.get(name)]
    if changed:
        raise RunError(
            f"the {' and '.join(sorted(changed))} text is no longer what {run.directory} was trained on "
            "(corpus.json has the counts and checksums); restore it, or train into a new directory with --run"
        )


def _fingerprint(text: Corpus) -> dict[str, int | str]:
    return {"pairs": len(text), "sha256": text.checksum()}


def _train_pieces(run: Run, text: Corpus) -> tuple[pieces.Pieces, pieces.Pieces]:
    settings = run.recipe.pieces
    source, target = run.piece_paths()
    sides = {source: [*text.source, *text.target]} if source == target else {source: text.source, target: text.target}
    for path, sentences in sides.items():
        if not path.is_file():
            logger.info("training pieces on %d sentences", len(sentences))
            pieces.train(
                sentences,
                path,
                size=settings.size,
                character_coverage=settings.character_coverage,
                byte_fallback=settings.byte_fallback,
            )
    if run.read_json("pieces.json") is None:
        run.pin_pieces()
    return run.pieces()


def _plan(
    run: Run,
    text: Corpus,
    source_pieces: pieces.Pieces,
    target_pieces: pieces.Pieces,
    batch_tokens: int,
    max_length: int | None = None,
) -> batches.BatchPlan:
    source, target = source_pieces.encode_lines(text.source), target_pieces.encode_lines(text.target)
    if max_length is not None:
        kept = [i for i in range(len(text)) if len(source[i]) <= max_length and len(target[i]) <= max_length]
        if len(kept) < len(text):
            logger.warning("training text: %d pairs over %d pieces are left out", len(text) - len(kept), max_length)
            source, target = [source[i] for i in kept], [target[i] for i in kept]
    if not source:
        raise CorpusError(f"no pair has at most data.max_length: {max_length} pieces on both sides; raise it")
    lengths = batches.fitted_lengths(source, target) if run.recipe.device.backend == "jax" else ()
    return batches.BatchPlan(source, target, batch_tokens, run.recipe.training.seed, lengths)
