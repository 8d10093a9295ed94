"""Synthetic parallel text: one side is text that people wrote, the other what trained runs make of it.

*Sequence-level knowledge distillation* (Kim and Rush 2016, arXiv:1606.07947): translations become the ``target``. A
model, often a smaller one, learns to say what a larger one or an ensemble says.

*Back-translation* (Sennrich, Haddow and Birch 2016, arXiv:1511.06709): runs of the opposite direction translate text of
the target language, and translations become the ``source``. A tag in front of each (Caswell, Chelba and Grangier 2019,
arXiv:1906.06442) lets the model tell them from what people wrote.

    source.<language>.gz   line i of one translates
    target.<language>.gz   line i of the other
    recipe.yaml            trains with both, beside the text of a recipe
    provenance.json        what they were made of, and how many lines were dropped for what
    README.md              the same in words
    unfinished/            before these: the chunks that are done

A chunk is written beside its place and renamed into it, and so are the files above, the provenance last: whatever is
killed goes on at its next chunk, and ends with the files that it would have had undisturbed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from tqdm import tqdm

from nmt import corpus, experiment
from nmt import recipe as recipes
from nmt.recipe import Recipe
from nmt.run import Run, locked, version, whole
from nmt.symbols import check_symbols
from nmt.translator import Translator

logger = logging.getLogger("nmt")

Side = Literal["source", "target"]

# Of back-translations, where no other is asked for; Caswell et al. call it so.
BACK_TRANSLATION_TAG = "<BT>"

# Lines: so few that little is lost when the process is killed, so many that those of alike length fill batches.
CHUNK_LINES = 5000

_PROVENANCE, _UNFINISHED = "provenance.json", "unfinished"
# What of the provenance may change while a synthesis is unfinished: where things lie, when and by which version it was.
_CIRCUMSTANCES = {"runs", "text", "recipe", "nmt", "date", "lines"}


class SynthesisError(ValueError):
    """A synthesis that cannot be made, or not there; the message says why and what to do."""


def synthesize(
    runs: Sequence[Run],
    directory: str | Path,
    side: Side,
    text: str | Path | None = None,
    recipe: str | Path | None = None,
    tag: str | None = None,
) -> dict[str, Any]:
    """Translate a text with a run, or with an ensemble, into a corpus in ``directory``, or go on where that stopped.

    Lines that are blank or whose translation is, and lines whose translation had not ended at its limit of length
    (``search.max_length_factor``), are dropped on both sides, and counted.

    Args:
        runs: they search as the first one says.
        side: what translations become, "target" (distillation) or "source" (back-translation).
        text: file of one sentence a line, in the language that the runs read; None, for distillation, is the source of
            the first run's training text, without what is held out of it.
        recipe: file of the recipe that is to be trained with the result; None, for distillation, is the first run's.
        tag: one word that is put in front of each source, with a blank; "" is none, None is ``BACK_TRANSLATION_TAG``
            for back-translation and none for distillation.

    Returns:
        The content of provenance.json.

    Raises:
        SynthesisError: text or recipe is missing or of other languages, the tag is no word, the directory holds
            something else or what was made of something else, or no translation could be kept.
        ValueError: the runs cannot translate (together), or text or recipe cannot be read.
    """
    directory = Path(directory)
    if tag is None:
        tag = BACK_TRANSLATION_TAG if side == "source" else ""
    if tag:
        try:
            check_symbols([tag])
        except ValueError as error:
            raise SynthesisError(f"a tag is one word in front of each source, for example <BT>: {error}") from error
    if side == "source" and (text is None or recipe is None):
        raise SynthesisError(
            "back-translation (--as source) needs --text, a file in the language that the run reads, and --for, the "
            "recipe that is to be trained with the result; received "
            + " and ".join(f"{name} {value or 'none'}" for name, value in (("--text", text), ("--for", recipe)))
        )
    student = recipes.read(recipe) if recipe is not None else Run.find(runs[0].directory).recipe
    _check_languages(runs[0], student, side, recipe)
    lines = corpus.read_lines(text).cleaned() if text is not None else experiment.read_text(runs[0], "train").source
    about = _begun(
        directory,
        {
            "as": side,
            "tag": tag,
            "runs": [str(run.directory) for run in runs],
            "weights_sha256": [run.weights_checksum() for run in runs],
            "search": runs[0].recipe.search.model_dump(),
            "text": str(text) if text is not None else f"the training text of {runs[0].directory}",
            "text_lines": len(lines),
            "text_sha256": _sha256(line.encode() + b"\n" for line in lines),
            "recipe": str(recipe if recipe is not None else runs[0].path("recipe.yaml")),
            "recipe_sha256": _sha256([recipes.effective(student).encode()]),
            "chunk_lines": CHUNK_LINES,
            "nmt": version(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    working = directory / _UNFINISHED
    if "lines" in about:
        logger.info("%s is finished already", directory)
        shutil.rmtree(working, ignore_errors=True)  # it may have been killed while doing so
        return about
    chunks = {first: working / f"{first:012d}.json" for first in range(0, len(lines), CHUNK_LINES)}
    translator = Translator.of_runs(*runs)  # before the directory: what cannot translate leaves none
    with locked(working, "synthesizing"):
        if (directory / _PROVENANCE).is_file():  # another process finished it meanwhile
            shutil.rmtree(working)
            return _begun(directory, about)
        missing = [first for first, path in chunks.items() if not path.is_file()]
        _write(working / _PROVENANCE, _json(about))
        done = len(lines) - sum(min(CHUNK_LINES, len(lines) - first) for first in missing)
        if done:
            logger.info("%s: going on after %d of %d lines", directory, done, len(lines))
        with tqdm(total=len(lines), initial=done, desc="synthesizing", unit="line", leave=False, disable=None) as bar:
            for first in missing:
                chunk = _translate(translator, list(lines[first : first + CHUNK_LINES]), bar.update)
                _write(chunks[first], _json(chunk))
        about = _finish(directory, student, about, list(chunks.values()))
        shutil.rmtree(working)
    return about


def with_synthetic(recipe: Recipe, source: Path, target: Path, tag: str) -> dict[str, Any]:
    """The content of ``recipe`` with one more parallel text to train on, whose sources begin with ``tag`` if any."""
    content = recipe.model_dump()
    data, pieces = content["data"], content["pieces"]
    content["training"]["init_from"] = None  # other pieces, or another size of model, than those weights are of
    data["mix"] = [*data["mix"], {"source": str(source), "target": str(target), "weight": 1.0}]
    if tag:
        pieces["symbols"] = list(dict.fromkeys([*pieces["symbols"], tag]))  # never cut into pieces
    return content


def _check_languages(run: Run, student: Recipe, side: Side, recipe: str | Path | None) -> None:
    """Refuse a recipe for other languages, or another form of text, than those of the corpus that will come of it."""
    ours = run.recipe.data.source_language, run.recipe.data.target_language
    theirs = student.data.source_language, student.data.target_language
    if theirs != (ours if side == "target" else ours[::-1]):
        wanted = (
            "the same languages" if side == "target" else "the opposite direction, as it translates its target back"
        )
        raise SynthesisError(
            f"{recipe} is for {theirs[0]} → {theirs[1]}, and {run.directory} translates {ours[0]} → {ours[1]}; "
            f"--as {side} needs a run of {wanted}"
        )
    if student.data.tokenized != run.recipe.data.tokenized:
        raise SynthesisError(
            f"data.tokenized is {student.data.tokenized} in {recipe} and {run.recipe.data.tokenized} in "
            f"{run.directory}: its translations would be text of another form; take a run and a recipe of one form"
        )


def _begun(directory: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The provenance of what is in ``directory``, which must agree with the one ``wanted``; that, where nothing is."""
    for path in (directory / _PROVENANCE, directory / _UNFINISHED / _PROVENANCE):
        if path.is_file():
            known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            before, now = (
                {key: value for key, value in about.items() if key not in _CIRCUMSTANCES} for about in (known, wanted)
            )
            if changed := recipes.differences(before, now):
                raise SynthesisError(
                    f"{directory} was made, or begun, otherwise; what differs:\n  "
                    + "\n  ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items())
                    + f"\nUndo the change, or choose another directory, or remove {directory}"
                )
            return known
    if directory.exists() and not (
        directory.is_dir() and {child.name for child in directory.iterdir()} <= {_UNFINISHED}
    ):
        raise SynthesisError(f"{directory} exists and holds no synthesis ({_PROVENANCE}); choose another directory")
    return wanted


def _translate(translator: Translator, lines: list[str], advance: Callable[[int], object]) -> dict[str, Any]:
    """The pairs of line and translation that are kept, and how many are dropped for what."""
    pairs, dropped = [], Counter[str]()
    for line, found in zip(lines, translator.translate_scored(lines, advance, split=False), strict=True):
        if not line.strip():
            dropped["blank line"] += 1
        elif not found.text.strip():
            dropped["blank translation"] += 1
        elif not found.finished:
            dropped["translation cut off at its limit of length"] += 1
        else:
            pairs.append((line, found.text))
    return {"pairs": pairs, "dropped": dropped}


def _finish(directory: Path, student: Recipe, about: dict[str, Any], chunks: list[Path]) -> dict[str, Any]:
    """Write the files of ``directory``, the provenance, which says that it is finished, last."""
    kept, dropped = 0, Counter[str]()
    for chunk in map(_read, chunks):
        kept += len(chunk["pairs"])
        dropped.update(chunk["dropped"])
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items()) or "none"
    if not kept:
        raise SynthesisError(
            f"no translation of the {about['text_lines']:,} lines can be kept (dropped: {reasons}); has the run been "
            "trained long enough, and is the text of its language?"
        )
    source = directory / f"source.{student.data.source_language}.gz"
    target = directory / f"target.{student.data.target_language}.gz"
    written, translated = (target, source) if about["as"] == "source" else (source, target)
    prefix = f"{about['tag']} " if about["tag"] else ""
    for column, path in enumerate((written, translated)):
        before = prefix if path == source else ""
        with whole(path) as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as text:
            for chunk in map(_read, chunks):
                text.write("".join(f"{before}{pair[column]}\n" for pair in chunk["pairs"]).encode())
    content = with_synthetic(student, source.resolve(), target.resolve(), about["tag"])
    recipe = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    _write(directory / "recipe.yaml", f"# {about['recipe']}, with the text of this directory.\n{recipe}".encode())
    readme = _README.format(
        directory=directory,
        name=directory.resolve().name,
        source=source.name,
        target=target.name,
        kept=kept,
        translated=translated.name,
        written=written.name,
        runs=", ".join(about["runs"]),
        text=about["text"],
        lines=about["text_lines"],
        reasons=reasons,
        tag=f" Each source begins with `{about['tag']}`." if about["tag"] else "",
    )
    _write(directory / "README.md", readme.encode())
    about = {**about, "lines": {"read": about["text_lines"], "kept": kept, "dropped": dict(dropped)}}
    _write(directory / _PROVENANCE, _json(about))
    logger.info("%s: %d pairs of %d lines; dropped: %s", directory, kept, about["text_lines"], reasons)
    return about


_README = """\
# Synthetic parallel text

Line i of `{source}` and line i of `{target}` translate each other: {kept:,} pairs.{tag}

- `{translated}` was written by a machine: {runs}.
- `{written}` is what it translated: {text}, {lines:,} lines. Dropped: {reasons}.

`provenance.json` tells checksums and search settings. To train with it:

    nmt train {directory}/recipe.yaml --run runs/{name}
"""


def _write(path: Path, content: bytes) -> None:
    with whole(path) as file:
        file.write(content)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _read(chunk: Path) -> Any:
    return json.loads(chunk.read_text(encoding="utf-8"))


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
