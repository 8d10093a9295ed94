"""The run directory: everything that a later command needs to know of a training.

    recipe.yaml          the effective recipe
    corpus.json          checksums and counts of the text it was trained on
    index.npz            where that text stands on disk, and how many pieces it has (nmt.index)
    source.model         the pieces (one file, pieces.model, where they are joint), each with a readable .vocab
    target.model
    pieces.json          checksums of the pieces
    checkpoints/         the last two full states of training, each one file
    validated/           the weights of the last validations, where their mean is asked for (training.average_last)
    best.npz             the weights that translate
    history.json         every validation
    curve.png            the same as a picture
    samples/             what the model said of some development sentences, at every validation
    tensorboard/         curves
    train.log
    evaluation.json      scores on the test text
    translations.tsv     its source, reference and translation
    evaluation-<name>.json, translations-<name>.tsv
                         the same of other text, or of an ensemble with this run as its first
    confidence.json      how far the translations of these weights can be trusted, by the development text
    fine_tuning.json     whose weights it began with, and what the old and the new domain scored before and after

Every file but the logs is written beside its place and renamed into it, so that a file is whole or not there; what
training goes on from is flushed to disk first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import io
import json
import logging
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from nmt import recipe as recipes
from nmt.pieces import Pieces
from nmt.recipe import Recipe, RecipeError

logger = logging.getLogger("nmt")

# All that a run may hold without its recipe: it was killed at its very start.
_FIRST_FILES = {"lock", "train.log", ".recipe.yaml.part"}

# Settings that may change while a run is trained: on which machines it goes on.
_WHEREABOUTS = ("device.coordinator:", "device.processes:")

# The meaning of a checkpoint: which arrays in which order, and the fields of its progress. It rises when code of before
# could no longer go on from a checkpoint rightly. (1 also stands for those that were written without a number.)
CHECKPOINT_FORMAT = 1

# What reading a damaged file may raise.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


class RunError(ValueError):
    """A run directory that cannot be used as asked."""


class Checkpoint(NamedTuple):
    """The full state of a training after some update."""

    update: int
    arrays: list[np.ndarray]  # every variable of model and optimizer, in their order
    progress: dict[str, Any]  # what is not an array: position, best score, patience, history


class Run:
    """One directory of a training, new or found."""

    def __init__(self, directory: str | Path, recipe: Recipe) -> None:
        self.directory = Path(directory)
        self.recipe = recipe

    @classmethod
    def find(cls, directory: str | Path, settings: tuple[str, ...] = ()) -> Run:
        """The run in ``directory``, its recipe changed by ``settings`` (``section.key=value``, as ``recipe.read``).

        Raises:
            RunError: there is none, another program made this directory, or a setting is one of training.
            RecipeError: a setting that no recipe has.
        """
        directory = Path(directory)
        for setting in settings:
            if setting.partition(".")[0] not in ("search", "evaluation", "device"):
                raise RunError(
                    f"--set {setting}: of a trained run only search, evaluation and device can be changed; "
                    "for anything else train a new one: nmt train RECIPE --set … --run …"
                )
        if not (directory / "recipe.yaml").is_file():
            what = "holds no recipe.yaml, so it is no run" if directory.is_dir() else "is no directory"
            if (directory / "compact.json").is_file():
                what = "is a compact model, which `nmt translate`, `nmt score-pairs` and `nmt explain` read"
            raise RunError(f"{directory} {what}; expected the directory of a training, for example runs/demo")
        recipe = _read_recipe(directory)
        return cls(directory, recipes.read(directory / "recipe.yaml", settings) if settings else recipe)

    @classmethod
    def open(cls, directory: str | Path, recipe: Recipe) -> Run:
        """The run of ``recipe`` in ``directory``, found or to be begun; nothing is written yet.

        Raises:
            RunError: the directory holds a trained run of another recipe, or something else than a run.
        """
        run = cls(directory, recipe)
        if run.path("recipe.yaml").is_file():
            changed = recipes.changed_keys(_read_recipe(run.directory), recipe) if run.has_checkpoints() else []
            changed = [key for key in changed if not key.startswith(_WHEREABOUTS)]
            if changed:
                raise RunError(
                    f"{directory} is a run of another recipe; what changed:\n  "
                    + "\n  ".join(changed)
                    + f"\nUndo the change, or train into a new directory with --run, or remove {directory}"
                )
        elif run.directory.is_dir() and not {child.name for child in run.directory.iterdir()} <= _FIRST_FILES:
            raise RunError(f"{directory} exists and is no run (no recipe.yaml); choose another directory with --run")
        return run

    def begin(self) -> None:
        """Write the recipe, and forget what a start that was refused or killed before its first checkpoint left.

        So a recipe may be mended until something has been learnt by it. Call it while holding the lock.
        """
        if self.has_checkpoints():
            return
        recipe = recipes.effective(self.recipe).encode()
        if self.path("recipe.yaml").is_file() and self.path("recipe.yaml").read_bytes() != recipe:
            self.path("forecast.json").unlink(missing_ok=True)  # of another model, or another size of batch
        learnt = ("pieces.json", "pieces.model", "source.model", "target.model")
        for left in ("corpus.json", "fine_tuning.json", *learnt):
            self.path(left).unlink(missing_ok=True)
        for weights in self._validated():
            weights.unlink()
        self.write("recipe.yaml", recipe)

    # Files

    def path(self, name: str) -> Path:
        """The path of one of the run's files."""
        return self.directory / name

    def write(self, name: str, content: bytes) -> None:
        """Put ``content`` into file ``name``, whole or not at all.

        Raises:
            RunError: the disk is full or the directory cannot be written.
        """
        path = self.path(name)
        try:
            with whole(path) as file:
                file.write(content)
        except OSError as error:
            raise RunError(
                f"cannot write {path} ({_megabytes(len(content))}): {error.strerror}. What was there before is "
                f"untouched; {_way_out(error, path, len(content))}, and run the same command again"
            ) from error

    def write_json(self, name: str, content: Any) -> None:
        self.write(name, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """The content of ``name``, or None where there is no such file."""
        path = self.path(name)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the run for one process.

        Raises:
            RunError: another process holds it.
        """
        return locked(self.directory, "training")

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """Append to train.log whatever is logged meanwhile, also where nobody has set up logging.

        Raises:
            RunError: the file cannot be opened. Where it can no longer be written, training goes on without it.
        """
        try:
            handler = _LogFile(self.path("train.log"), encoding="utf-8")
        except OSError as error:
            path = self.path("train.log")
            raise RunError(f"cannot write {path}: {error.strerror}; {_way_out(error, path, 1)}") from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk has been told of already
                handler.close()

    # Pieces

    def piece_paths(self) -> tuple[Path, Path]:
        """Where the source's and the target's piece models lie: twice the same where they are joint."""
        if self.recipe.pieces.joint:
            return self.path("pieces.model"), self.path("pieces.model")
        return self.path("source.model"), self.path("target.model")

    def pin_pieces(self) -> None:
        """Remember which piece models the weights of this run will belong to."""
        self.write_json("pieces.json", {path.name: _sha256(path) for path in self.piece_paths()})

    def pieces(self) -> tuple[Pieces, Pieces]:
        """The piece models of source and target.

        Raises:
            PiecesError: one is missing or damaged.
            RunError: one is not that which the run was trained with; weights of the same size would talk nonsense.
        """
        source, target = self.piece_paths()
        pinned = self.read_json("pieces.json") or {}
        for path in (source, target):
            if path.is_file() and pinned.get(path.name, _sha256(path)) != _sha256(path):
                raise RunError(f"{path} is not the piece model that this run was trained with; restore that one")
        first = Pieces.load(source)
        return first, first if source == target else Pieces.load(target)

    def learnt(self) -> list[str]:
        """The names of the files that training goes on from."""
        names = {path.name for path in self.piece_paths()} | {"pieces.json", "forecast.json"}
        return [
            *sorted(name for name in names if self.path(name).is_file()),
            *(str(path.relative_to(self.directory)) for path in [*self._validated(), *self._checkpoints()]),
        ]

    # Weights

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep ``checkpoint`` and the one before it."""
        header = {"format": CHECKPOINT_FORMAT, "nmt": version(), "arrays": len(checkpoint.arrays)}
        progress = json.dumps({**checkpoint.progress, "checkpoint": header})
        content = {"progress": np.frombuffer(progress.encode(), "uint8")}
        content |= {_variable(number): array for number, array in enumerate(checkpoint.arrays)}
        self.write(f"checkpoints/{checkpoint.update:09d}.npz", _packed(content))
        for old in self._checkpoints()[:-2]:
            old.unlink()

    def load_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that can be read; None where training never saved one.

        A damaged one (a full disk, a crash of the machine) is told of, and the one before it is used.

        Raises:
            RunError: there are checkpoints, but none can be read, or a newer nmt wrote them.
        """
        paths = self._checkpoints()
        for path in reversed(paths):
            try:
                content = _unpacked(path)
                progress = json.loads(content.pop("progress").tobytes())
                made = progress.pop("checkpoint", {"format": 1, "arrays": len(content)})
                if made["format"] <= CHECKPOINT_FORMAT:
                    arrays = [content[_variable(number)] for number in range(made["arrays"])]
                    return Checkpoint(int(path.stem), arrays, progress)
            except _DAMAGE as error:
                logger.warning("checkpoint %s is damaged (%s); trying the one before it", path, _reason(error))
                continue
            raise RunError(
                f"{path} was written by nmt {made['nmt']} in format {made['format']}; this is nmt {version()}, which "
                f"knows formats up to {CHECKPOINT_FORMAT}. Go on with that version or a newer one (pip install "
                "--upgrade nmt), or train into a new directory with --run"
            )
        if paths:
            raise RunError(
                f"no checkpoint in {self.path('checkpoints')} can be read ({len(paths)} tried); "
                "restore one from a backup, or remove the directory to start anew"
            )
        return None

    def has_checkpoints(self) -> bool:
        """Whether something has been learnt that training goes on from."""
        return bool(self._checkpoints())

    def _checkpoints(self) -> list[Path]:
        return sorted(self.path("checkpoints").glob("[0-9]*.npz"))

    def save_validated(self, update: int, weights: dict[str, np.ndarray], keep: int) -> None:
        """Keep the weights, by name, of the validation after ``update``, and of ``keep`` validations in all."""
        self.write(f"validated/{update:09d}.npz", _packed(weights))
        for old in [path for path in self._validated() if int(path.stem) <= update][:-keep]:
            old.unlink()

    def load_validated(self, update: int) -> list[dict[str, np.ndarray]]:
        """The weights that were kept of validations up to ``update``, by name, the oldest first.

        A damaged file (a crash of the machine) is told of and left out.
        """
        found = []
        for path in self._validated():
            if int(path.stem) <= update:
                try:
                    found.append(_unpacked(path))
                except _DAMAGE as error:
                    logger.warning("%s is damaged (%s) and left out", path, _reason(error))
        return found

    def _validated(self) -> list[Path]:
        return sorted(self.path("validated").glob("[0-9]*.npz"))

    def save_best(self, weights: dict[str, np.ndarray]) -> None:
        """Keep the weights, by name, that translate from now on."""
        self.write("best.npz", _packed(weights))

    def load_best(self) -> dict[str, np.ndarray]:
        """The weights that translate, by name.

        Raises:
            RunError: there are none yet, or they are damaged.
        """
        path = self._best()
        try:
            return _unpacked(path)
        except _DAMAGE as error:
            raise RunError(f"{path} is damaged ({error}); restore it from a backup or train again") from error

    def weights_checksum(self) -> str:
        """SHA-256, in hexadecimal, of the file of the weights that translate.

        Raises:
            RunError: there are none yet.
        """
        return _sha256(self._best())

    def _best(self) -> Path:
        path = self.path("best.npz")
        if not path.is_file():
            raise RunError(
                f"{self.directory} has no trained weights yet (best.npz); they are written at the first validation: "
                "run the training first"
            )
        return path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when all of it is on disk, or never does."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(directory: Path, doing: str) -> Iterator[None]:
    """Hold ``directory``, which is made if need be, for one process that is ``doing`` something there.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((directory / "lock").open("w"))
        except OSError as error:
            raise RunError(f"cannot write into {directory}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process is {doing} in {directory}; wait for it or stop it") from None
        yield


def version() -> str:
    """The version of this nmt, as a run keeps it."""
    try:
        return importlib.metadata.version("nmt")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # it runs from its folder and was never installed


def weights_by_name(variables: list[Any], values: list[Any]) -> dict[str, np.ndarray]:
    """Values of model variables by the path within the model, which does not depend on what else the process built."""
    return {
        variable.path.split("/", 1)[-1]: np.asarray(value) for variable, value in zip(variables, values, strict=True)
    }


def assign_weights(variables: list[Any], weights: dict[str, np.ndarray], origin: Path) -> None:
    """Give the variables their values from ``weights``.

    Raises:
        RunError: names or shapes are not those of the model.
    """
    for variable in variables:
        name = variable.path.split("/", 1)[-1]
        found = weights.get(name)
        if found is None or found.shape != tuple(variable.shape):
            what = "is missing" if found is None else f"has the shape {found.shape}"
            raise RunError(
                f"{origin} does not fit the model of its recipe: {name} {what}, expected {tuple(variable.shape)}; "
                "were pieces or recipe of this run changed by hand?"
            )
        variable.assign(found)


class _LogFile(logging.FileHandler):
    """train.log, without which training goes on: standard error says once that it cannot be written, and why."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)  # a mistake of ours, to be seen
        elif not self.told:
            self.told = True
            print(f"cannot write {self.baseFilename}: {error.strerror}; training goes on without it", file=sys.stderr)


def _read_recipe(directory: Path) -> Recipe:
    """The recipe of the run in ``directory``."""
    try:
        return recipes.read(directory / "recipe.yaml")
    except RecipeError as error:
        raise RunError(
            f"{error}\nnmt wrote this recipe, and nmt {version()} cannot read it; if a newer nmt wrote it, use that "
            "one (pip install --upgrade nmt); if it was changed by hand, undo the change"
        ) from error


def _variable(number: int) -> str:
    return f"variable_{number:04d}"


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any name for allow_pickle
    return buffer.getvalue()


def _unpacked(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}  # reads all, and so verifies every checksum


def _way_out(error: OSError, path: Path, size: int) -> str:
    """What must be done before ``size`` bytes can be written to ``path``."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return "mend that"
    disk = next(parent for parent in path.absolute().parents if parent.is_mount())
    free = shutil.disk_usage(disk).free
    return f"make {_megabytes(size)} free on the disk of {disk} ({free // 1_000_000} MB are free)"


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / 1e6)} MB"
