"""How good a model is: on the development text while it trains, on the test text when it is done."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from nmt import score, translation
from nmt.batches import BatchPlan, Position
from nmt.corpus import Corpus
from nmt.engines import Engine
from nmt.pieces import Pieces
from nmt.recipe import Evaluation, Search
from nmt.score import Score
from nmt.translation import Translation

if TYPE_CHECKING:
    from nmt.engines.keras_engine import KerasEngine


# Search while a model is trained: greedy, and nothing that helps it.
_PLAIN = {"beam_size": 1, "sample": None, "min_length": 0, "no_repeat_ngram": 0, "loop_guard": False}


class Sample(NamedTuple):
    """One sentence as a person reads it."""

    source: str
    reference: str
    translation: str

    def __str__(self) -> str:
        return f"source     {self.source}\nreference  {self.reference}\nmodel      {self.translation}\n"


class Validation(NamedTuple):
    """The development text through the eyes of the model."""

    loss: float  # nats a target piece, without label smoothing
    accuracy: float  # share of target pieces guessed right, given the pieces before them
    bleu: Score  # of greedy translations, without an interval
    chrf: Score  # the same
    samples: list[Sample]

    def serialized(self) -> bytes:
        """For other processes; ``parse`` reads it."""
        samples = [list(sample) for sample in self.samples]
        return json.dumps([self.loss, self.accuracy, asdict(self.bleu), asdict(self.chrf), samples]).encode()

    @classmethod
    def parse(cls, content: bytes) -> Validation:
        """What ``serialized`` wrote."""
        loss, accuracy, bleu, chrf, samples = json.loads(content)
        return cls(loss, accuracy, Score(**bleu), Score(**chrf), [Sample(*sample) for sample in samples])

    @property
    def perplexity(self) -> float:
        """exp(loss): how many pieces the model wavers between."""
        return math.exp(min(self.loss, 700.0))


class TestResult(NamedTuple):
    """The test text translated and scored."""

    scores: list[Score]
    translations: list[str]
    log_probabilities: list[float]  # of each translation, the mean of its pieces; nan of a blank line
    samples: list[Sample]


def tokenizer(tokenized: bool) -> str:
    """sacreBLEU's tokenizer for text that is, or is not, tokenised already."""
    return "none" if tokenized else "13a"


def validate(
    engine: KerasEngine,
    pieces: tuple[Pieces, Pieces],
    development: Corpus,
    plan: BatchPlan,
    search: Search,
    settings: Evaluation,
    tokenized: bool,
) -> Validation:
    """Loss and accuracy by teacher forcing over the batches of ``plan``, BLEU and chrF of greedy translations.

    Of ``search`` the limits of length alone are used, which hold for the final translations too: its beam, its rules
    and its guard against loops would hide how far the model is.
    """
    loss = correct = tokens = 0.0
    for number in range(len(plan.epoch(0))):
        tally = engine.tally(*plan.batch(Position(0, number)))
        loss += float(tally.negative_log_likelihood)
        correct += float(tally.correct)
        tokens += float(tally.tokens)
    greedy = search.model_copy(update=_PLAIN)
    hypotheses = [one.text for one in _translate(engine, pieces, development.source, greedy, "validating")]
    bleu = score.bleu(
        hypotheses,
        development.target,
        tokenize=tokenizer(tokenized),
        lowercase=settings.lowercase,
        bootstrap=0,
    )
    chrf = score.chrf(hypotheses, development.target, lowercase=settings.lowercase, bootstrap=0)
    samples = _samples(development, hypotheses, settings.samples)
    return Validation(loss / tokens, correct / tokens, bleu, chrf, samples)


def test(
    engine: Engine,
    pieces: tuple[Pieces, Pieces],
    corpus: Corpus,
    settings: Search,
    evaluation: Evaluation,
    tokenized: bool,
) -> TestResult:
    """BLEU and chrF, each with its interval, of the translations of ``corpus``."""
    found = _translate(engine, pieces, corpus.source, settings, "translating")
    hypotheses = [one.text for one in found]
    bleu = score.bleu(
        hypotheses,
        corpus.target,
        tokenize=tokenizer(tokenized),
        lowercase=evaluation.lowercase,
        bootstrap=evaluation.bootstrap,
    )
    chrf = score.chrf(hypotheses, corpus.target, lowercase=evaluation.lowercase, bootstrap=evaluation.bootstrap)
    log_probabilities = [math.nan if one.log_probability is None else one.log_probability for one in found]
    return TestResult([bleu, chrf], hypotheses, log_probabilities, _samples(corpus, hypotheses, evaluation.samples))


def _samples(corpus: Corpus, hypotheses: Sequence[str], count: int) -> list[Sample]:
    """``count`` sentences at even distances."""
    step = max(1, len(corpus) // max(1, count))
    shown = range(0, len(corpus), step)[:count]
    return [Sample(corpus.source[i], corpus.target[i], hypotheses[i]) for i in shown]


def _translate(
    engine: Engine, pieces: tuple[Pieces, Pieces], lines: Sequence[str], settings: Search, doing: str
) -> list[Translation]:
    with tqdm(total=len(lines), desc=doing, unit="line", leave=False, disable=None) as bar:
        return translation.translate(engine, pieces, lines, settings, bar.update)
