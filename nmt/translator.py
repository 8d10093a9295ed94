"""A trained run, or several together, as a Python object that translates: what ``nmt.load`` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nmt import translation
from nmt.experiment import load_models
from nmt.run import Run
from nmt.translation import Translation


class Translator:
    """Translates with the weights, the pieces and the search settings of a run, or with an ensemble of runs.

    An ensemble takes the mean of its models' log-probabilities for the next piece (``nmt.model.expand``), and search
    and device as the first run says.

    Raises:
        ValueError: a run has no weights yet, the runs are not of the same pieces, or the device is not there.
    """

    def __init__(self, run: Run, *more: Run) -> None:
        models = load_models([run, *more])

        from nmt.engines.keras_engine import KerasEngine

        self._engine = KerasEngine(*models)
        self._pieces = run.pieces()
        self._search = run.recipe.search

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The translation of each line; a blank line gives an empty one.

        Raises:
            ValueError: ``lines`` is one string.
        """
        return [found.text for found in self.translate_scored(lines)]

    def translate_scored(
        self, lines: Sequence[str], advance: Callable[[int], object] = lambda lines: None
    ) -> list[Translation]:
        """As ``translate``, each with its ``text``, its ``score``, and whether it ``finished`` within its limit.

        The score is the log-probability (natural logarithm) of the translation, divided by its length penalty unless
        the beam is 1: 0 is certain, and 0 is given to a blank line. ``advance`` is told the number of
        lines done, batch by batch.
        """
        if isinstance(lines, str):
            raise ValueError(f"expected a list of lines, received one string; write [{lines[:30]!r}]")
        return translation.translate(self._engine, self._pieces, lines, self._search, advance)
