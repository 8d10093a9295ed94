"""The directory of a compact model: what ``nmt export --to compact`` writes, and what translates without a framework.

compact.json    its form, where it comes from, what it scored, and the checksum of every other file
trained-by.yaml the recipe it was trained by, with the search that it was exported with
encoder.onnx    the model: two graphs, see ``nmt.export.compact``
step.onnx
*.model         the SentencePiece models of source and target, one where they are joint
README.md       the same for people: a model card
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nmt import recipe as recipes
from nmt.confidence import Confidence
from nmt.pieces import Pieces
from nmt.recipe import Recipe, RecipeError

CARD, RECIPE, GRAPHS = "compact.json", "trained-by.yaml", ("encoder.onnx", "step.onnx")
# Raised whenever an older nmt would misread a directory.
FORMAT = 1

# Of joint pieces, and of separate ones.
_PIECES = (("pieces.model",), ("source.model", "target.model"))


class CompactError(ValueError):
    """This is no compact model, or a damaged one; the message says why and what to do."""


class Compact:
    """A compact model on disk, every file of it checked.

    Attributes:
        directory: where it is.
        card: the content of compact.json.
        recipe: the recipe it was trained by; ``search`` and ``device.threads`` may have been changed.
        confidence: how far its translations can be trusted, None where that is not known.
    """

    def __init__(self, directory: Path, card: dict[str, Any], recipe: Recipe) -> None:
        self.directory, self.card, self.recipe = directory, card, recipe
        self.confidence = Confidence.parse(card["confidence"]) if card.get("confidence") else None

    @classmethod
    def find(cls, directory: str | Path, settings: tuple[str, ...] = ()) -> Compact:
        """The compact model in ``directory``, its search or threads changed by ``settings`` (as ``recipe.read``).

        Raises:
            CompactError: there is none, it is of another version of nmt, a file is missing or not what was written,
                or a setting is neither of search nor ``device.threads``.
            RecipeError: a setting that no recipe has.
        """
        directory = Path(directory)
        for setting in settings:
            if not setting.startswith(("search.", "device.threads=")):
                raise CompactError(
                    f"--set {setting}: of a compact model only search and device.threads can be changed; "
                    "everything else was decided when it was trained and exported"
                )
        card = _card(directory)
        pieces = next((names for names in _PIECES if set(names) <= card["files"].keys()), _PIECES[0])
        missing = {RECIPE, *GRAPHS, *pieces} - card["files"].keys()
        strange = [name for name in card["files"] if Path(name).name != name]
        if missing or strange:
            wrong = ", ".join(map(repr, strange)) or "no " + ", no ".join(sorted(missing))
            raise CompactError(
                f"{directory / CARD} names {wrong} among its files; copy the whole directory again, or export "
                "the run once more"
            )
        for name, checksum in card["files"].items():
            path = directory / name
            if not path.is_file():
                raise CompactError(f"{path} is missing; copy the whole directory again, or export the run once more")
            if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
                raise CompactError(
                    f"{path} is not the file that was exported ({path.stat().st_size:,} bytes): it is damaged, cut off "
                    "or changed; copy the whole directory again, or export the run once more"
                )
        try:
            recipe = recipes.read(directory / RECIPE)
        except RecipeError as error:
            raise CompactError(
                f"{directory} was written by nmt {card['nmt']}, whose recipes this one cannot read; upgrade nmt, or "
                f"export the run once more\n{error}"
            ) from error
        return cls(directory, card, recipes.read(directory / RECIPE, settings) if settings else recipe)

    def pieces(self) -> tuple[Pieces, Pieces]:
        """The piece models of source and target."""
        names = next(names for names in _PIECES if set(names) <= self.card["files"].keys())
        models = [Pieces.load(self.directory / name) for name in names]
        return models[0], models[-1]


def is_compact(directory: str | Path) -> bool:
    """Whether ``directory`` says that it is a compact model."""
    return (Path(directory) / CARD).is_file()


def _card(directory: Path) -> dict[str, Any]:
    path = directory / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        number, files = card["format"], card["files"]
        readable = isinstance(number, int) and isinstance(files, dict) and isinstance(card["nmt"], str)
    except FileNotFoundError:
        raise CompactError(f"{directory} holds no {CARD}, so it is no compact model") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CompactError(f"{path} cannot be read: {error!r}; copy it again, or export the run once more") from None
    if not readable:
        raise CompactError(f"{path} is not as nmt writes it; copy it again, or export the run once more")
    if number != FORMAT:
        what = "a newer" if number > FORMAT else "an older"
        raise CompactError(
            f"{directory} was written by {what} nmt ({card['nmt']}, format {number}; this one reads format {FORMAT}); "
            + ("upgrade nmt" if number > FORMAT else "export the run once more")
        )
    return dict(card)
