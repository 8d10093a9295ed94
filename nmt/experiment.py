"""From a recipe to a run, and from a run to a translator: the rooms put together in order.

text ─▶ corpus ─▶ pieces ─▶ batches ─▶ model ─▶ search ─▶ text ─▶ score
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from nmt import (
    batches,
    catalogue,
    corpus,
    devices,
    evaluation,
    filters,
    fine_tuning,
    forecast,
    index,
    machines,
    pieces,
    score,
    translation,
)
from nmt import recipe as recipes
from nmt.confidence import Confidence
from nmt.corpus import Corpus, CorpusError
from nmt.engines import Engine
from nmt.evaluation import TestResult
from nmt.formats.document import Wanted
from nmt.masks import Masks
from nmt.recipe import Data, Files, Filters, MixedFiles, Recipe
from nmt.run import Run, RunError, assign_weights
from nmt.score import Comparison, Score
from nmt.shortlist import Shortlist

if TYPE_CHECKING:
    from nmt.engines.keras_engine import KerasEngine
    from nmt.model import TranslationModel
    from nmt.training import Progress

logger = logging.getLogger("nmt")

# Which pairs are held out must not depend on training.seed: another seed is judged on the same sentences.
_HOLD_OUT_SEED = 1

# Share of training pairs that look wrong of which the user is told.
_FAULTY = 0.01

# Pairs of the training text that a shortlist is learnt from, evenly picked: every piece that is not rare is in them.
_LINKED = 100_000

# Pairs of the training text that are looked through for masks.
_LOOKED_THROUGH = 200_000

_INDEX = "index.npz"
_FINE_TUNING = "fine_tuning.json"
_CONFIDENCE = "confidence.json"


class Texts(NamedTuple):
    """The parallel text of a recipe."""

    train: Corpus
    development: Corpus
    test: Corpus | None
    mixes: dict[str, Corpus]  # further texts to train on, by their names

    def parts(self) -> dict[str, Corpus]:
        """Every text by its name."""
        parts = {"train": self.train, "development": self.development} | self.mixes
        return parts if self.test is None else parts | {"test": self.test}


def read_texts(data: Data, known: index.Index | None = None) -> Texts:
    """Read, align, clean and split the text of a recipe; what was changed or dropped is logged as warnings.

    With the index of a run the training text, and what is held out of it, is known and is not read.

    Raises:
        CorpusError: a file is missing, cannot be read or does not fit its partner; nothing is left to train on.
    """
    parts = known.parts if known else _split(data)
    train, development, test = parts["train"], parts.get("development"), parts.get("test")
    if isinstance(data.development, Files):
        development = _read(data, data.corpus, data.development)
    if isinstance(data.test, Files):
        test = _read(data, data.corpus, data.test)
    elif data.test is None:
        test = None
    mixes = {name: parts[name] for name in mixes_of(data)}
    for name, text in {"training": train, **mixes}.items():
        for note in corpus.describe(text.notes):
            logger.warning("%s text: %s", name, note)
    if not train or not development:
        raise CorpusError(f"nothing is left: {len(train)} pairs to train on, {len(development or [])} to develop on")
    for name, mix in mixes.items():
        if not mix:
            raise CorpusError(f"nothing is left of the {name} text, of data.mix: 0 pairs to train on; leave it out")
    return Texts(train, development, test, mixes)


def _split(data: Data) -> dict[str, Corpus]:
    """The training text, what is held out of it, and the texts mixed in, by name."""
    train = _to_learn("the training text", data, data.corpus, data.train)
    mixes = {name: _to_learn(name, data, files.corpus, files) for name, files in mixes_of(data).items()}
    development, test = _held_out(data)
    if not development + test:
        return {"train": train, **mixes}
    train, *held_out = corpus.hold_out(train, development, test, seed=_HOLD_OUT_SEED)
    mixes = {name: corpus.drop_related(mix, held_out) for name, mix in mixes.items()}
    return {"train": train, "development": held_out[0], "test": held_out[1], **mixes}


def _to_learn(name: str, data: Data, known: str | None, files: Files) -> Corpus:
    """The text of ``files`` without what training leaves out."""
    languages = data.source_language, data.target_language
    held_out = [read_raw(data, data.corpus, part) for part in _held_out_files(data)] if data.filters.held_out else []
    text = filters.applied(corpus.drop_empty(_cleaned(data, known, files)), data.filters, languages, held_out)
    if not text and data.filters != Filters():
        told = "; ".join(corpus.describe(text.notes)) or "the files have no pairs"
        raise CorpusError(f"nothing is left of {name} to train on: {told}")
    faults = filters.glance(text) if data.filters == Filters() else {}
    if sum(faults.values()) >= _FAULTY:
        told = ", ".join(f"{name} {share:.1%}" for name, share in faults.items())
        logger.warning(
            "some pairs of %s look wrong (%s): nmt doctor shows them, data.filters leave them out", name, told
        )
    return _tagged(text, files)


def mixes_of(data: Data) -> dict[str, MixedFiles]:
    """The files of the texts mixed in, by name."""
    return {f"mix {number}": files for number, files in enumerate(data.mix, 1)}


def _held_out_files(data: Data) -> list[Files]:
    """The files of the development and of the test text, where these have any."""
    return [part for part in (data.development, data.test) if isinstance(part, Files)]


def _held_out(data: Data) -> tuple[int, int]:
    """How many training pairs are held out for development and for test."""
    development, test = (part if isinstance(part, int) else 0 for part in (data.development, data.test))
    return development, test


def train(recipe: Recipe, directory: str | Path, process: int | None = None) -> tuple[Run, Progress]:
    """Train ``recipe`` in ``directory``, from the start or from where it was left.

    Under ``device.strategy: multi_machine`` this is process number ``process`` of the recipe's, or what the scheduler
    says. The first one writes ``directory``; the others work on a copy of their own, which nobody keeps.

    Raises:
        ValueError: text, recipe, device or directory cannot be used; the message says what to do.
    """
    run = Run.open(directory, recipe)  # first: a changed recipe is refused at once
    start = fine_tuning.start(run)
    origin = _origin(recipe.data)
    known = index.load(run.path(_INDEX), origin)
    texts = read_texts(recipe.data, known)
    logger.info("%s pairs to train on, %d to develop on", _amount(recipe.data, texts), len(texts.development))
    # Before the directory: a recipe that cannot run here leaves none.
    device = devices.prepare(recipe.device, training=True, process=process)
    with contextlib.ExitStack() as stack:
        together = recipe.device.strategy == "multi_machine"
        if together:
            machines.compare(_common(recipe, texts))
        if together and machines.number():
            logger.info("process %d of %d; process 0 tells how it goes", machines.number(), machines.count())
            logger.setLevel(logging.WARNING)
            run = Run(stack.enter_context(tempfile.TemporaryDirectory()), recipe)
        stack.enter_context(run.lock())
        if not (together and machines.number()):
            stack.enter_context(run.logged())
        run.begin()
        _check_corpus(run, texts)
        logger.info("%s", device)
        if " device=cpu" not in device:
            logger.warning("%s", devices.inexact(recipe.device.backend, os.environ))
        if together and machines.number():
            _copy_first(run)
        if start:
            start.copy_pieces(run)
        source_pieces, target_pieces = _train_pieces(run, texts)
        if start:
            for name, text in {"training": texts.train, **texts.mixes}.items():
                fine_tuning.warn_of_unknown((source_pieces, target_pieces), text, name)
        if together and not machines.number():
            _copy_first(run)
        piece_models = source_pieces, target_pieces
        plan = _training_plan(run, texts, piece_models, _lengths(run, texts, piece_models, known, origin))
        target_pieces_in_all = int(plan.target_lengths(0)[plan.pairs(0)].sum())
        if recipe.training.batch_tokens != "auto" and target_pieces_in_all < plan.batch_tokens:
            raise CorpusError(
                f"the training text is smaller than a batch: {target_pieces_in_all:,} target pieces for "
                f"training.batch_tokens: {recipe.training.batch_tokens}; lower batch_tokens, or bring more text"
            )
        # Not what a trial finds: losses must be added up alike before and after it.
        asked = recipe.training.batch_tokens
        development_tokens = forecast.TRIED[0] if asked == "auto" else asked
        development_plan = _plan(run, texts.development, source_pieces, target_pieces, development_tokens)

        from nmt import model, training
        from nmt.engines.keras_engine import KerasEngine

        with devices.strategy(recipe.device) as parts:
            translator = model.build(
                recipe.model,
                source_pieces.size,
                target_pieces.size,
                label_smoothing=recipe.training.label_smoothing,
                r_drop=recipe.training.r_drop,
                seed=recipe.training.seed,
            )
            translator.streams = devices.streams(recipe.device)
            logger.info("%d weights, %d batches an epoch", translator.count_params(), len(plan.epoch(0)))
            engine = KerasEngine(translator)
            if start:
                assign_weights(translator.trainable_variables, start.weights, start.run.path("best.npz"))
                logger.info("training begins with the weights of %s", start.run.path("best.npz"))
                _score_before(run, start, texts, engine)

            def validate() -> evaluation.Validation:
                if together and machines.number():
                    return evaluation.Validation.parse(machines.hear())
                found = evaluation.validate(
                    engine,
                    (source_pieces, target_pieces),
                    texts.development,
                    development_plan,
                    recipe.search,
                    recipe.evaluation,
                    recipe.data.tokenized,
                )
                if together:
                    machines.hear(found.serialized())
                return found

            progress = training.train(run, translator, plan, validate, parts)
            if progress.finished and not together:  # one process alone cannot give a model of many its best weights
                _score_development(run, engine, texts.development)
            if recipe.training.init_from is not None and progress.finished:
                _score_after(run, engine)
            if together:
                machines.leave()
            return run, progress


def _common(recipe: Recipe, texts: Texts) -> dict[str, str]:
    """What processes that train together must agree in; where their files lie is their own matter."""
    content = recipe.model_dump(exclude={"data": {"corpus", "train", "development", "test", "mix"}})
    content["weights"] = [files.weight for files in recipe.data.mix]
    fingerprints = {f"{name} text": _fingerprint(text) for name, text in texts.parts().items()}
    versions = {name: importlib.metadata.version(name) for name in ("keras", "jax", "numpy")}
    common = {"recipe": content, **fingerprints, "versions": versions}
    return {name: json.dumps(value, sort_keys=True) for name, value in common.items()}


def _copy_first(run: Run) -> None:
    """Give every process what the first process's run has learnt so far: pieces and checkpoints."""
    names = json.loads(machines.hear(json.dumps(run.learnt()).encode()))
    for name in names:
        if machines.number():
            run.write(name, machines.hear())
        else:
            machines.hear(run.path(name).read_bytes())


def load_model(run: Run) -> TranslationModel:
    """The trained model of ``run``, with the weights that translate.

    Raises:
        ValueError: there are no weights yet, they are damaged, or the recipe's device is not there.
    """
    return load_models([run])[0]


def load_models(runs: Sequence[Run]) -> list[TranslationModel]:
    """The trained models of runs that translate together, on the device of the first.

    They may differ in everything but their languages and their piece models.

    Raises:
        RunError: they differ in these; the message says which run does in what.
        ValueError: as ``load_model``.
    """
    weights = [run.load_best() for run in runs]
    _check_ensemble(runs)
    logger.info("%s", devices.prepare(runs[0].recipe.device))

    from nmt import model

    models = []
    for run, arrays in zip(runs, weights, strict=True):
        source_pieces, target_pieces = run.pieces()
        translator = model.build(run.recipe.model, source_pieces.size, target_pieces.size)
        assign_weights(translator.trainable_variables, arrays, run.path("best.npz"))
        models.append(translator)
    return models


def _check_ensemble(runs: Sequence[Run]) -> None:
    """Refuse runs that cannot say the next piece together, because a number stands for another piece."""
    first, *others = runs
    data, known = first.recipe.data, first.pieces()
    for run in others:
        found = run.recipe.data
        if (found.source_language, found.target_language) != (data.source_language, data.target_language):
            raise RunError(
                f"{run.directory} translates {found.source_language} → {found.target_language}, but {first.directory} "
                f"{data.source_language} → {data.target_language}; an ensemble is of runs of the same languages"
            )
        for side, ours, theirs in zip(("source", "target"), known, run.pieces(), strict=True):
            if ours.serialized != theirs.serialized:
                raise RunError(
                    f"{run.directory} has other {side} pieces than {first.directory} ({theirs.size} and {ours.size} of "
                    "them, by the checksums in pieces.json); an ensemble is of runs with the very same pieces: train "
                    "its members from one text with the same settings of pieces, and with different training.seed"
                )


def read_text(run: Run, part: Literal["train", "development", "test"]) -> Corpus:
    """The training, development or test text of ``run``, the same as when it was trained.

    Raises:
        CorpusError: the recipe names none, or it can no longer be read.
        RunError: it is another text now.
    """
    data = run.recipe.data
    setting = getattr(data, part)
    if setting is None:
        raise CorpusError(f"the recipe of {run.directory} has no {part} text (data.{part}); name two files to score")
    if isinstance(setting, Files) and part != "train":  # of which nothing is held out
        text = _read(data, data.corpus, setting)
    else:
        text = getattr(_known_texts(run), part)
    known = (run.read_json("corpus.json") or {}).get(part)
    if known != _fingerprint(text):
        raise RunError(
            f"the {part} text is no longer what {run.directory} was trained beside: {len(text)} pairs, expected the "
            f"{known['pairs'] if known else 'unknown'} pairs whose checksum is in corpus.json; restore it, or name "
            "text of your own"
        )
    return text


def _known_texts(run: Run) -> Texts:
    """The texts of ``run``, by its index where that still holds; without what is mixed in, which may be gone by now."""
    data = run.recipe.data
    with contextlib.suppress(CorpusError):
        if known := index.load(run.path(_INDEX), _origin(data)):
            return read_texts(data, known)
    return read_texts(data.model_copy(update={"mix": []}))


def evaluate(runs: Sequence[Run], text: Corpus, name: str = "test") -> TestResult:
    """Translate ``text`` with the run, or the ensemble, as the first recipe says; score it; keep both in the first run.

    The test text's are kept as evaluation.json and translations.tsv, others' as evaluation-<name>.json and
    translations-<name>.tsv; which, is logged. A row of the TSV file is source, reference, translation. Those of an
    ensemble say so in front of the name, ``ensemble-<runs>-<checksum of their weights>``, so that other weights never
    take the place of the run's own; "members" in the JSON file says which they are.

    Raises:
        ValueError: a run cannot translate yet, or not with the others, as ``load_models``.
    """
    models = load_models(runs)

    from nmt.engines.keras_engine import KerasEngine

    return _evaluate(runs, KerasEngine(*models), text, name)


def _evaluate(runs: Sequence[Run], engine: Engine, text: Corpus, name: str) -> TestResult:
    run, recipe = runs[0], runs[0].recipe
    result = evaluation.test(engine, run.pieces(), text, recipe.search, recipe.evaluation, recipe.data.tokenized)
    ending = "" if name == "test" else f"-{name}"
    ensemble = {}
    if len(runs) > 1:
        members = [{"run": str(member.directory), "weights_sha256": member.weights_checksum()} for member in runs]
        ensemble = {"members": members}
        checksum = hashlib.sha256("".join(sorted(member["weights_sha256"] for member in members)).encode()).hexdigest()
        ending = f"-ensemble-{len(runs)}-{checksum[:8]}{ending}"
    rows = zip(text.source, text.target, result.translations, strict=True)
    scores, translations = f"evaluation{ending}.json", f"translations{ending}.tsv"
    run.write(translations, "".join("\t".join(row) + "\n" for row in rows).encode())
    run.write_json(
        scores,
        {
            "text": {"name": name, **_fingerprint(text)},
            **ensemble,
            "search": recipe.search.model_dump(),
            "scores": [asdict(found) for found in result.scores],
        },
    )
    logger.info("scores are kept in %s, translations in %s", run.path(scores), run.path(translations))
    if name == "development" and not ensemble and recipe.search == recipes.read(run.path("recipe.yaml")).search:
        _calibrate(run, text, result)
    return result


def _score_development(run: Run, engine: KerasEngine, development: Corpus) -> None:
    """Score the best weights of a finished training on the development text, unless that is done."""
    if _calibrated(run):
        return
    assign_weights(engine.models[0].trainable_variables, run.load_best(), run.path("best.npz"))
    result = _evaluate([run], engine, development, "development")
    logger.info("development text: %s", "; ".join(map(str, result.scores)))


def _calibrate(run: Run, development: Corpus, result: TestResult) -> None:
    """Keep what the translations of the development text, by the recipe's own search, tell of how far to trust them."""
    chrf = score.sentence_chrf(result.translations, development.target, lowercase=run.recipe.evaluation.lowercase)
    known = np.flatnonzero(np.isfinite(result.log_probabilities))
    found = Confidence.learn(*(np.asarray(values)[known] for values in (result.log_probabilities, chrf)))
    if found is None:
        logger.warning("%d development sentences are too few to tell how far translations can be trusted", len(known))
    calibrated = {"weights_sha256": run.weights_checksum(), "calibration": found and asdict(found)}
    run.write_json(_CONFIDENCE, calibrated)


def shortlist(run: Run, translator: TranslationModel, size: int) -> Shortlist:
    """Which pieces translate which, ``size`` a source piece, where the model of ``run`` reads its training text.

    Raises:
        ValueError: the training text can no longer be read, or is another one now.
    """
    from nmt.engines.keras_engine import KerasEngine

    text, sides = read_text(run, "train"), run.pieces()
    text = text.pick(np.linspace(0, len(text) - 1, min(len(text), _LINKED)).astype("int64"), text.notes)
    encoded = (side.encode_lines(lines) for side, lines in zip(sides, _masked(sides[0].masks, text), strict=True))
    # As in training, no pair is longer; those of one length go together.
    longest = run.recipe.data.max_length
    pairs = sorted(
        (pair for pair in zip(*encoded, strict=True) if max(map(len, pair)) <= longest),
        key=lambda pair: [*map(len, pair)],
    )
    engine, together = KerasEngine(translator), run.recipe.search.batch_sentences

    def links() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        with tqdm(total=len(pairs), desc="linking pieces", unit="pair", leave=False, disable=None) as bar:
            for first in range(0, len(pairs), together):
                sources, targets = zip(*pairs[first : first + together], strict=True)
                _, attention = translation.score(engine, sources, targets)
                yield batches.pad_source(sources), batches.pad_source(targets), attention
                bar.update(len(sources))

    return Shortlist.learn(links(), sides, size)


def confidence(run: Run) -> Confidence | None:
    """What the development text told of how far the model of ``run`` can be trusted.

    None where it was too short, or has not been evaluated since the weights changed.
    """
    content = run.read_json(_CONFIDENCE) if _calibrated(run) else None
    return Confidence.parse(content["calibration"]) if content and content["calibration"] else None


def _calibrated(run: Run) -> bool:
    """Whether the development text has been evaluated with the weights that ``run`` has now."""
    return (run.read_json(_CONFIDENCE) or {}).get("weights_sha256") == run.weights_checksum()


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Paired bootstrap of the kept translations of the test text, of every run against the first.

    Raises:
        RunError: a run has none yet, or they are of different texts or scored by different rules.
        ValueError: fewer than two runs.
    """
    for run in runs:
        if not run.path("translations.tsv").is_file():
            raise RunError(
                f"{run.directory} has not translated its test text yet; first run: nmt evaluate {run.directory}"
            )
    kept = [_read_translations(run.path("translations.tsv")) for run in runs]
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
    systems = {str(run.directory): translations for run, (_, translations) in zip(runs, kept, strict=True)}
    return _compare(first.recipe, text, systems)


def _compare(recipe: Recipe, text: Corpus, systems: dict[str, list[str]]) -> list[Comparison]:
    return score.compare(
        text.target,
        systems,
        tokenize=evaluation.tokenizer(recipe.data.tokenized),
        lowercase=recipe.evaluation.lowercase,
        bootstrap=recipe.evaluation.bootstrap,
    )


def _read_translations(path: Path) -> tuple[Corpus, list[str]]:
    """A text and its translations, as ``evaluate`` kept them in the file at ``path``.

    Raises:
        CorpusError: it is missing or broken.
    """
    rows = [line.split("\t", 2) for line in corpus.read_lines(path)]
    if any(len(row) != 3 for row in rows):
        raise CorpusError(f"{path}: expected three columns in every row, source, reference and translation")
    return Corpus([row[0] for row in rows], [row[1] for row in rows]), [row[2] for row in rows]


def _score_before(run: Run, start: fine_tuning.Start, texts: Texts, engine: Engine) -> None:
    """Score the weights that ``run`` begins with on the old run's test text and on its own, and keep that.

    Where a recipe has no test text, its development text stands for it.
    """
    part: Literal["development", "test"] = "test" if texts.test else "development"
    domains = {"new": (f"{run.directory.resolve().name} {part}", texts.test or texts.development)}
    part = "development" if start.run.recipe.data.test is None else "test"
    try:
        old = f"{start.run.directory.resolve().name} {part}", read_text(start.run, part)
    except (CorpusError, RunError) as error:
        logger.warning("what becomes of the old domain will not be known: %s", error)
    else:
        if old[1].checksum() == domains["new"][1].checksum():
            logger.info("old and new domain have one and the same %s text", part)
            domains.clear()
        domains = {"old": old, **domains}
    to_learn = [texts.train, *texts.mixes.values()]
    found: dict[str, dict[str, Any]] = {}
    for domain, (name, text) in domains.items():
        scores = _evaluate([run], engine, text, f"{domain}-before").scores
        learnt = sum(len(part) - len(corpus.drop_related(part, [text])) for part in to_learn)
        if learnt:
            logger.warning(
                "%d pairs to train on share a sentence with the text that the %s domain is scored on (%s), which then "
                "says less; leave them out of data.train and data.mix",
                learnt,
                domain,
                name,
            )
        found[domain] = {"text": name, **_fingerprint(text), "learnt": learnt}
        found[domain]["before"] = [asdict(one) for one in scores]
    # Before the first checkpoint: wherever there is one, this file tells of the weights that it came from.
    run.write_json(
        _FINE_TUNING,
        {"init_from": str(start.run.directory.resolve()), "sha256": start.checksum, "domains": found},
    )
    told = (f"{name} domain ({one['text']}) BLEU {one['before'][0]['value']:.1f}" for name, one in found.items())
    logger.info("before: %s", ", ".join(told))


def _score_after(run: Run, engine: KerasEngine) -> None:
    """Score the best weights on the texts of ``_score_before``, keep that, and tell what has changed.

    The texts are read from the translations of then: their files may be gone by now.
    """
    record = run.read_json(_FINE_TUNING)
    if record is None:
        logger.warning("%s is gone: what was before fine-tuning is not known", run.path(_FINE_TUNING))
        return
    changes = []
    for domain, found in record["domains"].items():
        if "after" not in found:
            try:
                text, before = _read_translations(run.path(f"translations-{domain}-before.tsv"))
            except CorpusError as error:
                logger.warning("what became of the %s domain is not known: %s", domain, error)
                continue
            assign_weights(engine.models[0].trainable_variables, run.load_best(), run.path("best.npz"))
            after = _evaluate([run], engine, text, f"{domain}-after")
            _, row = _compare(run.recipe, text, {"before": before, "after": after.translations})
            found["after"] = [asdict(one) for one in after.scores]
            found["p_values"] = [row.bleu_p_value, row.chrf_p_value]
            run.write_json(_FINE_TUNING, record)
        scores = {when: [Score(**one) for one in found[when]] for when in ("before", "after")}
        changes.append(
            fine_tuning.Change(domain, found["text"], **scores, p_values=found["p_values"], learnt=found["learnt"])
        )
    if changes:
        logger.info("before and after fine-tuning:\n%s", fine_tuning.table(changes))
    for change in changes:
        logger.info("%s", change)


def read_raw(data: Data, known: str | None, files: Files) -> Corpus:
    """The text of ``files``, which may be of a known corpus, as it stands there.

    Raises:
        CorpusError: as ``read_texts``.
    """
    paths = _paths(known, files)
    return corpus.read_parallel(*paths) if len(paths) > 1 else corpus.read_tsv(paths[0], _wanted(data, files))


def _read(data: Data, known: str | None, files: Files) -> Corpus:
    """The text of ``files``, with its tag."""
    return _tagged(_cleaned(data, known, files), files)


def _tagged(text: Corpus, files: Files) -> Corpus:
    return corpus.tagged(text, files.tag) if files.tag else text


def _cleaned(data: Data, known: str | None, files: Files) -> Corpus:
    """The text of ``files``, cleaned; where its two sides seem to drift apart, that is told."""
    text = read_raw(data, known, files)
    found = corpus.drifts(text.source, text.target) if files.source is not None else []
    if found:
        logger.warning(
            "%s and %s have as many lines, but %s seem not to be translations of each other: %s:\n%s",
            files.source,
            files.target,
            "some" if found[-1].shift == 0 else "those at the end",
            "; ".join(map(str, found[:5])),
            corpus.neighbourhood(text.source, text.target, found[0].line),
        )
    return corpus.clean(text)


def _wanted(data: Data, files: Files) -> Wanted | None:
    """What is wanted of a document; None of other files."""
    if files.file is None:
        return None
    columns = None if files.columns is None else (str(files.columns[0]), str(files.columns[1]))
    return Wanted(data.source_language, data.target_language, columns, salvage=files.salvage)


def _paths(known: str | None, files: Files) -> tuple[Path, ...]:
    """Source and target, or the one file of both."""
    one = files.tsv or files.file
    names = [str(files.source), str(files.target)] if one is None else [one]
    return tuple(catalogue.locate(known, name) if known else Path(name) for name in names)


def _origin(data: Data) -> index.Origin:
    mixes = {name: _paths(files.corpus, files) for name, files in mixes_of(data).items()}
    texts: dict[str, Files] = {"train": data.train, **mixes_of(data)}
    wanted = {name: found for name, files in texts.items() if (found := _wanted(data, files))}
    tags = {name: files.tag for name, files in texts.items() if files.tag}
    left_out = data.filters.model_dump(exclude_defaults=True)
    if data.filters.held_out:
        paths = [path for files in _held_out_files(data) for path in _paths(data.corpus, files)]
        left_out["held_out"] = [corpus.file_checksum(path) for path in paths]
    reading = index.Reading(wanted, left_out, tags)
    return index.origin(_paths(data.corpus, data.train), _held_out(data), mixes, reading)


def _amount(data: Data, texts: Texts) -> str:
    """How many pairs there are, as "29,000", and of texts mixed in, how much they count: "29,000 + 145,000 x 0.5"."""
    mixes = zip(texts.mixes.values(), data.mix, strict=True)
    return " + ".join([f"{len(texts.train):,}", *(f"{len(mix):,} x {files.weight:g}" for mix, files in mixes)])


def _check_corpus(run: Run, texts: Texts) -> None:
    """Refuse to go on with another text than the run was begun with."""
    found = {name: _fingerprint(text) for name, text in texts.parts().items()}
    known = run.read_json("corpus.json")
    if known is None:
        run.write_json("corpus.json", found)
        return
    changed = [name for name in {*known, *found} if known.get(name) != found.get(name)]
    if changed:
        raise RunError(
            f"the {' and '.join(sorted(changed))} text is no longer what {run.directory} was trained on "
            "(corpus.json has the counts and checksums), or this nmt reads it otherwise; restore it, or train into a "
            "new directory with --run"
        )


def _fingerprint(text: Corpus) -> dict[str, int | str]:
    return {"pairs": len(text), "sha256": text.checksum()}


def _train_pieces(run: Run, texts: Texts) -> tuple[pieces.Pieces, pieces.Pieces]:
    settings = run.recipe.pieces
    found = _learnable_masks(run, texts) if settings.masks else []
    symbols = list(dict.fromkeys([*settings.symbols, *found]))
    masks = Masks(symbols)
    learnt_from: dict[Path, list[Sequence[str]]] = {path: [] for path in run.piece_paths()}  # one, or one a side
    for text in (texts.train, *texts.mixes.values()):
        for path, lines in zip(run.piece_paths(), _masked(masks, text), strict=True):
            learnt_from[path].append(lines)
    for path, sides in learnt_from.items():
        if not path.is_file():
            sentences = corpus.sample(sides, pieces.LARGEST_TEXT)
            logger.info("training pieces on %d of %d sentences", len(sentences), sum(map(len, sides)))
            pieces.train(
                sentences,
                path,
                size=settings.size,
                character_coverage=settings.character_coverage,
                byte_fallback=settings.byte_fallback,
                symbols=symbols,
            )
    if run.read_json("pieces.json") is None:
        run.pin_pieces()
    return run.pieces()


def _masked(masks: Masks, text: Corpus) -> tuple[Sequence[str], Sequence[str]]:
    """Both sides of ``text`` as a model reads them."""
    return masks.lines(text.source), masks.lines(text.target, text.source)


def _learnable_masks(run: Run, texts: Texts) -> list[str]:
    """The masks that the model can learn, of pairs at even distances; none where its pieces are there already."""
    if all(path.is_file() for path in run.piece_paths()):
        return []
    to_learn = [texts.train, *texts.mixes.values()]

    def pairs() -> Iterator[tuple[str, str]]:
        for text in to_learn:
            count = min(len(text), _LOOKED_THROUGH // len(to_learn))
            picked = text.pick(np.arange(count) * len(text) // count, text.notes)
            yield from zip(picked.source, picked.target, strict=True)

    masks = Masks.learnable(pairs(), run.recipe.pieces.symbols)
    if masks:
        logger.info("masks that the text is enough for: %s", " ".join(masks))
    return masks


def _batch_tokens(run: Run) -> int:
    """What the recipe says; of auto what was found before, or else the least that a trial begins with."""
    tokens = run.recipe.training.batch_tokens
    if tokens == "auto":
        tokens = (run.read_json("forecast.json") or {"batch_tokens": forecast.TRIED[0]})["batch_tokens"]
    return int(tokens)


def _lengths(
    run: Run,
    texts: Texts,
    piece_models: tuple[pieces.Pieces, pieces.Pieces],
    known: index.Index | None,
    origin: index.Origin,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of pieces of each source and target to train on: from the index, or counted, and then kept there.

    Those of the training text first, then those of each text mixed in.
    """
    checksums = run.read_json("pieces.json")
    if known and known.pieces == checksums:
        logger.info("%s says where the training text is, and how long", run.path(_INDEX))
        return known.lengths
    to_learn = [texts.train, *texts.mixes.values()]
    logger.info("counting the pieces of %d pairs", sum(map(len, to_learn)))
    masked = [_masked(piece_models[0].masks, text) for text in to_learn]
    source, target = (
        np.concatenate([pieces.Encoded(model, lines).lengths for lines in side])
        for model, side in zip(piece_models, zip(*masked, strict=True), strict=True)
    )
    fingerprints = run.read_json("corpus.json")
    parts = {
        name: replace(part, known_checksum=fingerprints[name]["sha256"])
        for name, part in texts.parts().items()
        if not isinstance(getattr(run.recipe.data, name, None), Files) or name == "train"
    }
    run.write(_INDEX, index.Index(parts, checksums, (source, target)).packed(origin))
    logger.info("%s will spare reading the training text again", run.path(_INDEX))
    return source, target


def _training_plan(
    run: Run,
    texts: Texts,
    piece_models: tuple[pieces.Pieces, pieces.Pieces],
    lengths: tuple[np.ndarray, np.ndarray],
) -> batches.BatchPlan:
    """The plan of all text to learn from: of the pairs that are not too long, segmented as the recipe says."""
    data, seed = run.recipe.data, run.recipe.training.seed
    parts = {"training": texts.train, **texts.mixes}
    short = (lengths[0] <= data.max_length) & (lengths[1] <= data.max_length)
    kept = []
    for (name, text), mine in zip(
        parts.items(), np.split(short, np.cumsum([*map(len, parts.values())])[:-1]), strict=True
    ):
        if not mine.all():
            left_out = len(mine) - int(mine.sum())
            logger.warning("%s text: %d pairs over %d pieces are left out", name, left_out, data.max_length)
            text = text.pick(np.flatnonzero(mine), text.notes)
        kept.append(text)
    if not kept[0]:
        raise CorpusError(f"no pair has at most data.max_length: {data.max_length} pieces on both sides; raise it")

    masked = [_masked(piece_models[0].masks, text) for text in kept]

    def side(number: int, alpha: float) -> batches.Sentences:
        lines = corpus.Joined([sides[number] for sides in masked])
        plain = pieces.Encoded(piece_models[number], lines, lengths[number][short])
        return pieces.Sampled(plain, alpha, (seed, number), data.max_length) if alpha else plain

    alpha = run.recipe.pieces.sampling
    source, target = side(0, alpha.source), side(1, alpha.target)
    shapes = batches.fitted_lengths(source, target) if run.recipe.device.backend == "jax" else ()
    if shapes and (alpha.source or alpha.target):
        shapes = tuple(sorted({*shapes, data.max_length + 1}))  # a later epoch may have longer ones than the first
    weights = [1.0, *(files.weight for files in data.mix)]
    shares = tuple(batches.Share(len(text), weight) for text, weight in zip(kept, weights, strict=True))
    return batches.BatchPlan(source, target, _batch_tokens(run), seed, shapes, shares)


def _plan(
    run: Run, text: Corpus, source_pieces: pieces.Pieces, target_pieces: pieces.Pieces, batch_tokens: int
) -> batches.BatchPlan:
    """The plan of the development text."""
    lines = _masked(source_pieces.masks, text)
    source, target = pieces.Encoded(source_pieces, lines[0]), pieces.Encoded(target_pieces, lines[1])
    shapes = batches.fitted_lengths(source, target) if run.recipe.device.backend == "jax" else ()
    return batches.BatchPlan(source, target, batch_tokens, run.recipe.training.seed, shapes)
