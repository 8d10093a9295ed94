"""A trained model, or several together, as a Python object that translates: what ``nmt.load`` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt import compact, translation
from nmt.compact import Compact
from nmt.engines import Engine
from nmt.explanation import Explanation
from nmt.pieces import Pieces
from nmt.recipe import Search
from nmt.translation import Translation

if TYPE_CHECKING:
    from nmt.run import Run


class TranslatorError(ValueError):
    """These cannot translate together, or something that they need is missing."""


class Translator:
    """Translates with an engine, the pieces that it reads and writes, and the settings of a search."""

    def __init__(self, engine: Engine, pieces: tuple[Pieces, Pieces], search: Search) -> None:
        self._engine, self._pieces, self._search = engine, pieces, search

    @classmethod
    def of_runs(cls, *runs: Run) -> Translator:
        """The translator of a run, or of an ensemble of them, with search and device as the first one says.

        An ensemble takes the mean of its models' log-probabilities for the next piece (``nmt.model.expand``).

        Raises:
            ValueError: a run has no weights yet, the runs are not of the same pieces, or the device is not there.
        """
        from nmt import experiment

        models = experiment.load_models(runs)

        from nmt.engines.keras_engine import KerasEngine

        return cls(KerasEngine(*models), runs[0].pieces(), runs[0].recipe.search)

    @classmethod
    def of_compact(cls, model: Compact) -> Translator:
        """The translator of a compact model, without TensorFlow or Keras.

        Raises:
            TranslatorError: ONNX Runtime is missing, or cannot run it.
        """
        try:
            from nmt.engines.compact_engine import CompactEngine, EngineError
        except ImportError as error:
            raise TranslatorError(
                f"{model.directory} is a compact model, which needs {error.name}; run: pip install 'nmt[compact]'"
            ) from error
        try:
            engine = CompactEngine(model.directory, model.recipe.device.threads)
        except EngineError as error:
            raise TranslatorError(f"{model.directory} cannot be run: {error}") from error
        return cls(engine, model.pieces(), model.recipe.search)

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The translation of each line; a blank line gives an empty one.

        Raises:
            ValueError: ``lines`` is one string.
        """
        return [found.text for found in self.translate_scored(lines)]

    def translate_scored(
        self,
        lines: Sequence[str],
        advance: Callable[[int], object] = lambda lines: None,
        *,
        n_best: int = 1,
        align: bool = False,
        prefixes: Sequence[str] | None = None,
    ) -> list[Translation]:
        """As ``translate``, each with its ``text``, its ``score``, and whether it ``finished`` within its limit.

        The score is the log-probability (natural logarithm) of the translation, which with a beam of 2 or more is
        divided by its length penalty, and to which the coverage penalty is added: 0 is certain, and 0 is given to a
        blank line. ``advance`` is told the number of lines done, batch by batch.

        With ``n_best`` each also has as many ``alternatives`` less one, with ``align`` an ``alignment``: pairs of the
        numbers of a source word and of the word of the translation that comes from it. ``prefixes`` are what the
        translation of each line begins with, as a translator has typed it; "" is nothing.

        Raises:
            ValueError: ``lines`` is one string, ``n_best`` is more than the beam, or a prefix cannot be spelt.
        """
        if isinstance(lines, str):
            raise ValueError(f"expected a list of lines, received one string; write [{lines[:30]!r}]")
        return translation.translate(
            self._engine, self._pieces, lines, self._search, advance, n_best=n_best, align=align, prefixes=prefixes
        )

    def explain(self, line: str, translated: str | None = None) -> Explanation:
        """Where each word of the translation of ``line`` comes from; of another translation, where one is given.

        Raises:
            ValueError: one of them is blank.
        """
        if translated is None:
            (translated,) = self.translate([line])
        return translation.explain(self._engine, self._pieces, line, translated)

    def score(
        self, sources: Sequence[str], targets: Sequence[str], advance: Callable[[int], object] = lambda lines: None
    ) -> list[tuple[float, float]]:
        """What the model thinks of given translations: the log-probability of each, and the same for each piece of it.

        A pair with a blank side has nan for both. ``advance`` is told the number of pairs done.
        """
        return translation.score_pairs(self._engine, self._pieces, sources, targets, self._search, advance)


def load(directory: str | Path, *more: str | Path, settings: tuple[str, ...] = ()) -> Callable[[], Translator]:
    """The model in ``directory``, a run or a compact one, or an ensemble of runs, found and checked.

    Returns:
        What loads it, which takes seconds with a run.

    Raises:
        ValueError: as ``nmt.load``, for all that can be seen without loading.
    """
    if compact.is_compact(directory):
        if more:
            raise TranslatorError(
                f"{directory} is a compact model, and those do not translate together; give it alone, or the runs"
            )
        model = Compact.find(directory, settings)
        return lambda: Translator.of_compact(model)
    for other in more:
        if compact.is_compact(other):
            raise TranslatorError(
                f"{other} is a compact model, and those do not translate together; give it alone, or the runs"
            )

    from nmt.run import Run

    runs = [Run.find(directory, settings), *map(Run.find, more)]
    return lambda: Translator.of_runs(*runs)
