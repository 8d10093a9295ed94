"""A trained model, or several together, as a Python object that translates: what ``nmt.load`` returns."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt import compact, marks, paragraphs, translation
from nmt.compact import Compact
from nmt.confidence import Confidence
from nmt.engines import Engine
from nmt.explanation import Explanation
from nmt.formats.document import Text
from nmt.paragraphs import Joiner, Paragraph
from nmt.pieces import Pieces
from nmt.recipe import Recipe
from nmt.translation import Translation

if TYPE_CHECKING:
    from nmt.run import Run


# The doubt that a tenth of all lines has; the others are rare.
UNSURE = "low confidence"
TOO_LONG = "too long, translated in parts"
LOST_NUMBER = "a number is missing"
LOST_MARKS = "marks were lost"
MOVED_MARKS = "marks were lost, and put where the attention tells"


class TranslatorError(ValueError):
    """These cannot translate together, or something that they need is missing."""


class Translator:
    """Translates with an engine, the pieces that it reads and writes, and what its recipe says of text and search."""

    def __init__(
        self, engine: Engine, pieces: tuple[Pieces, Pieces], recipe: Recipe, confidence: Confidence | None = None
    ) -> None:
        self._engine, self._pieces = engine, pieces
        self._data, self._search = recipe.data, recipe.search
        self._tags = recipe.pieces.symbols
        symbols = "|".join(map(re.escape, self._tags))
        self._symbols = re.compile(f"(?:{symbols}) ?" if symbols else "(?!)")
        self._confidence = confidence

    @property
    def confidence(self) -> Confidence | None:
        """How far the translations can be trusted, where that is known."""
        return self._confidence

    @property
    def languages(self) -> tuple[str, str]:
        """The codes of the source and the target language, as the recipe says them."""
        return self._data.source_language, self._data.target_language

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

        confidence = None if len(runs) > 1 else experiment.confidence(runs[0])
        return cls(KerasEngine(*models), runs[0].pieces(), runs[0].recipe, confidence)

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
        return cls(engine, model.pieces(), model.recipe, model.confidence)

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The translation of each line, which may be several sentences; a blank line gives an empty one.

        Raises:
            ValueError: ``lines`` is one string.
        """
        return [found.text for found in self.translate_scored(lines)]

    def translate_scored(
        self,
        lines: Sequence[str],
        advance: Callable[[int], object] = lambda sentences: None,
        *,
        n_best: int = 1,
        align: bool = False,
        attention: bool = False,
        prefixes: Sequence[str] | None = None,
        split: bool = True,
        tag: str | None = None,
    ) -> list[Translation]:
        """As ``translate``, each with its ``text``, its ``score``, and whether it ``finished`` within its limit.

        The score is the log-probability (natural logarithm) of the translation, which with a beam of 2 or more is
        divided by its length penalty, and to which the coverage penalty is added: 0 is certain, and 0 is given to a
        blank line. The ``confidence`` is the chrF, from 0 to 1, to be expected of it, None where the model is not
        calibrated (``nmt evaluate --development`` does that). ``doubts`` are reasons why a person should look at it.

        The sentences of a line are translated one by one, one that is longer than the model has learnt from in parts,
        and put together with the white space between them (``nmt.paragraphs``), their scores added up; ``sentences``
        has each of them. Tokenised text is not split into sentences; with ``split`` False, and with a prefix, a line is
        translated as one, without the white space around it.
        ``advance`` is told the number of sentences done, batch by batch.

        What has to stay as it is (``nmt.marks``) is in every translation: where it is lost the line is translated again
        without it, unless there is a prefix, and it is put where it belongs; that, and a missing number, is a doubt.
        What attention such marks paid or got is not told.

        With ``n_best`` each also has as many ``alternatives`` less one, with ``align`` an ``alignment``: pairs of the
        numbers of a source word and of the word of the translation that comes from it, with
        ``attention`` what each word of the translation paid to those of the source. ``prefixes`` are what the
        translation of each line begins with, as a translator has typed it; "" is nothing. ``tag`` is what the model
        reads before each sentence, as it has learnt from text with ``data.train.tag``; it counts as no word.

        Raises:
            ValueError: ``lines`` is one string, ``n_best`` is more than the beam, a prefix cannot be spelt, or the
                model knows no such tag.
        """
        check(lines, prefixes)
        if tag is not None and tag not in self._tags:
            known = f"it has learnt {', '.join(self._tags)}" if self._tags else "it has learnt none (pieces.symbols)"
            raise TranslatorError(f"the model knows no tag {tag!r}; {known}")
        translated = functools.partial(
            self._translated, advance=advance, split=split, n_best=n_best, attention=attention, tag=tag
        )
        told = translated(lines, prefixes=prefixes, align=align)
        plain = [self._symbols.sub("", line) for line in lines]  # what they tell the model is not said in a translation
        for number, line in enumerate(plain):
            others = told[number].alternatives
            told[number] = told[number]._replace(
                alternatives=tuple(one for one in others if marks.kept(line, one.text))
            )
        lost = [number for number, line in enumerate(plain) if not marks.kept(line, told[number].text)]
        if prefixes is not None:
            for number in lost:
                told[number] = _doubted(told[number], LOST_MARKS)
        elif lost:
            texts = [marks.found(lines[number], but=self._symbols) for number in lost]
            without = [text.plain for text in texts]
            again = translated(without, prefixes=None, align=True)
            for number, text, one in zip(lost, texts, again, strict=True):
                if any(map(str.isalnum, text.plain)):
                    told[number] = _doubted(_with_marks(one, text, align), MOVED_MARKS)
                else:
                    told[number] = Translation(lines[number], 0.0, alignment=() if align else None)
        for number, line in enumerate(plain):
            if marks.missing_number(line, told[number].text):
                told[number] = _doubted(told[number], LOST_NUMBER)
        return told

    def _translated(
        self,
        lines: Sequence[str],
        *,
        advance: Callable[[int], object],
        prefixes: Sequence[str] | None,
        split: bool,
        n_best: int,
        align: bool,
        attention: bool,
        tag: str | None,
    ) -> list[Translation]:
        """As ``translate_scored``, whatever becomes of marks and numbers."""
        begun = [""] * len(lines) if prefixes is None else prefixes
        # The marks of a tokenised text stand alone, which is not how sentences are written.
        language = None if self._data.tokenized else self._data.source_language
        parts = [
            paragraphs.split(line, language, self._fits) if split and not prefix else Paragraph([line], ["", ""], False)
            for line, prefix in zip(lines, begun, strict=True)
        ]
        found = translation.translate(
            self._engine,
            self._pieces,
            [sentence for part in parts for sentence in part.sentences],
            self._search,
            advance,
            n_best=n_best,
            align=align,
            attention=attention,
            prefixes=[prefix for part, prefix in zip(parts, begun, strict=True) for _ in part.sentences],
            tag=tag,
        )
        judged = map(self._judged, found)
        joiner = Joiner(self._pieces[0], self._data.source_language, self._data.target_language)
        drawn = self._search.sample is not None
        together = [
            joiner.joined(part, list(itertools.islice(judged, len(part.sentences))), n_best, drawn) for part in parts
        ]
        return [one._replace(doubts=(*one.doubts, TOO_LONG)) if one.cut else one for one in together]

    def _fits(self, sentence: str) -> bool:
        """Whether it is no longer than what the model has learnt from; a piece has a byte or more."""
        longest = self._data.max_length
        source_pieces = self._pieces[0]
        return (
            len(sentence.encode()) <= longest
            or len(source_pieces.encode(source_pieces.masks.masked(sentence).line)) <= longest
        )

    def _judged(self, found: Translation) -> Translation:
        """A sentence's translation, with how far it and its alternatives can be trusted, and why a person should look.

        What is doubted is a sentence, not the mean of a paragraph, in which nine good ones would hide a bad one.
        """
        known, mean = self.confidence, found.log_probability
        reasons = {
            UNSURE: known is not None and mean is not None and mean < known.doubtful,
            "ran in circles": found.looped,
            "cut off at its limit of length": not found.finished,
        }
        trusted = [
            one._replace(confidence=known(one.log_probability)) if known and one.log_probability is not None else one
            for one in (found, *found.alternatives)
        ]
        doubts = tuple(reason for reason, holds in reasons.items() if holds)
        return trusted[0]._replace(alternatives=tuple(trusted[1:]), doubts=doubts)

    def explain(self, line: str, translated: str | None = None) -> Explanation:
        """Where each word of the translation of ``line`` comes from; of another translation, where one is given.

        What has to stay as it is (``nmt.marks``) is left out of both: the model need not have said it.

        Raises:
            ValueError: one of them is blank.
        """
        if translated is None:
            (translated,) = (found.text for found in self.translate_scored([line], split=False))
        sides = (marks.found(side, but=self._symbols).plain for side in (line, translated))
        return translation.explain(self._engine, self._pieces, *sides)

    def score(
        self, sources: Sequence[str], targets: Sequence[str], advance: Callable[[int], object] = lambda lines: None
    ) -> list[tuple[float, float]]:
        """What the model thinks of given translations: the log-probability of each, and the same for each piece of it.

        A pair with a blank side has nan for both. ``advance`` is told the number of pairs done.
        """
        return translation.score_pairs(self._engine, self._pieces, sources, targets, self._search, advance)


def _doubted(found: Translation, doubt: str) -> Translation:
    return found._replace(doubts=tuple(dict.fromkeys((*found.doubts, doubt))))


def _with_marks(found: Translation, source: Text, align: bool) -> Translation:
    """A translation of the plain text of ``source``, and its alternatives, with the marks; links where ``align``."""

    def put(one: Translation) -> Translation:
        text = marks.projected(source, one.text, one.alignment or ())
        links = marks.renumbered(one.alignment or (), source, text) if align else None
        return one._replace(text=text.render(), alignment=links)

    return put(found)._replace(alternatives=tuple(map(put, found.alternatives)))


def check(lines: Sequence[str], prefixes: Sequence[str] | None) -> None:
    """Refuse what cannot be meant: one string, or no strings, for a list of lines; other prefixes than one a line."""
    for name, texts in (("lines", lines), ("prefixes", prefixes)):
        if isinstance(texts, str):
            raise TranslatorError(f"expected a list of {name}, received one string; write [{texts[:30]!r}]")
        if texts is None and name == "prefixes":
            continue
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise TranslatorError(f"expected a list of strings as {name}, received {repr(texts)[:60]}")
    if prefixes is not None and len(prefixes) != len(lines):
        raise TranslatorError(f"expected a prefix for each of {len(lines)} lines, received {len(prefixes)}")


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
