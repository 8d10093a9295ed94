"""Lines in, the same number of lines out."""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nmt import alignment, search
from nmt.batches import Ids, pad_source
from nmt.constraints import Constraints
from nmt.corpus import without_control
from nmt.engines import Engine
from nmt.explanation import Explanation
from nmt.loops import loops
from nmt.pieces import Pieces
from nmt.recipe import Sample, Search
from nmt.symbols import EOS, PAD, UNK

logger = logging.getLogger("nmt")

# How a sentence is searched again of which every hypothesis runs in circles.
_AGAIN_BEAM, _AGAIN_NGRAM = 4, 2

# Source pieces a batch may hold per sentence it may hold: a batch of very long lines has fewer of them.
_PIECES_A_SENTENCE = 100


class TranslationError(ValueError):
    """These lines cannot be translated like this."""


class Translation(NamedTuple):
    """What became of one line."""

    text: str
    score: float  # log-probability; of a beam over its length penalty, plus its coverage penalty; 0 for a blank line
    finished: bool = True  # whether the model ended it; otherwise it was cut off at its limit of length
    alignment: tuple[tuple[int, int], ...] | None = None  # (source word, target word), where they were asked for
    attention: tuple[tuple[float, ...], ...] | None = None  # of each target word to the source words, where asked for
    alternatives: tuple[Translation, ...] = ()  # the next best, or further samples, where they were asked for
    looped: bool = False  # the best one ran in circles: this is the best that does not, or it if there is none
    log_probability: float | None = None  # the mean of its pieces; of one sentence
    # What the translator adds:
    confidence: float | None = None  # 0 to 1, the chrF to be expected, where the model is calibrated (nmt.confidence)
    cut: bool = False  # a sentence of the line was too long, and translated in parts
    doubts: tuple[str, ...] = ()  # why a person should look at it
    sentences: tuple[Translation, ...] = ()  # of a line of several


class Hypothesis(NamedTuple):
    """A translation as search found it."""

    ids: list[int]  # with EOS where it ended within its limit
    score: float
    log_probability: float  # the sum over its pieces

    @property
    def mean_log_probability(self) -> float:
        """Of a piece."""
        return self.log_probability / max(1, len(self.ids))


def translate(
    engine: Engine,
    pieces: tuple[Pieces, Pieces],
    lines: Sequence[str],
    settings: Search,
    advance: Callable[[int], object] = lambda lines: None,
    *,
    n_best: int = 1,
    align: bool = False,
    attention: bool = False,
    prefixes: Sequence[str] | None = None,
    tag: str | None = None,
) -> list[Translation]:
    """Translate ``lines``; a line without anything to translate stays empty and never reaches the model.

    Control characters count as blanks, as in training (``nmt.corpus.clean``).

    Sentences of similar length are translated together, and come back in the order of ``lines``. ``advance`` is told
    the number of lines done, batch by batch.

    Args:
        n_best: how many translations of each line, the best and its ``alternatives``; fewer where there are no more.
        align: whether each says which word comes from which.
        attention: whether each says what attention its words paid to those of the source.
        prefixes: what the translation of each line begins with; "" is nothing.
        tag: what the model reads before each line, as in training (data.train.tag); alignments do not count it.

    Raises:
        TranslationError: more translations than the beam holds, or not a prefix a line.
        ConstraintError: a prefix that the pieces cannot spell.
    """
    if n_best < 1:
        raise TranslationError(f"expected 1 or more translations of each line, received n_best={n_best}")
    if n_best > 1 and settings.sample is None and n_best > settings.beam_size:
        raise TranslationError(
            f"the {n_best} best translations need a beam of as many; received a beam of {settings.beam_size}"
        )
    if prefixes is not None and len(prefixes) != len(lines):
        raise TranslationError(f"expected a prefix for each of {len(lines)} lines, received {len(prefixes)}")
    source_pieces, target_pieces = pieces
    masked = [source_pieces.masks.masked(without_control(line)) for line in lines]
    sources = source_pieces.encode_lines(line for line, _ in masked)
    if tag is not None:
        tagged = source_pieces.encode_lines(f"{tag} {line}" for line, _ in masked)
        sources = [with_tag if ids else [] for with_tag, ids in zip(tagged, sources, strict=True)]
    nothing = Translation("", 0.0, alignment=() if align else None, attention=() if attention else None)
    translations = [nothing] * len(lines)
    filled = [number for number, ids in enumerate(sources) if ids]
    advance(len(lines) - len(filled))
    rules = settings.min_length, settings.no_repeat_ngram
    for numbers in _batches(sources, filled, settings.batch_sentences):
        batch = [sources[number] for number in numbers]
        begun = [
            source_pieces.masks.begun(without_control(prefixes[number]), masked[number].codes) if prefixes else ""
            for number in numbers
        ]
        constraints = Constraints(target_pieces, begun, *rules) if any(begun) or any(rules) else None
        looped: set[int] = set()
        if settings.sample is not None:
            hypotheses = best(batch, engine, settings, constraints, n_best)
        else:
            found_all = best(batch, engine, settings, constraints, max(n_best, settings.beam_size))
            if settings.loop_guard:
                looped = _unlooped(batch, found_all, engine, settings, target_pieces, begun)
            _prefer_masks(batch, found_all, pieces, settings.loop_guard)
            hypotheses = [found[:n_best] for found in found_all]
        texts = iter(target_pieces.decode_lines([one.ids for found in hypotheses for one in found]))
        asked = align or attention
        tables = iter(_alignments(batch, hypotheses, engine, pieces) if asked else itertools.repeat(None))
        for place, (number, found) in enumerate(zip(numbers, hypotheses, strict=True)):
            codes = masked[number].codes
            listed = []
            for one, table in zip(found, tables, strict=False):
                if table is not None and source_pieces.masks.known:
                    table = _unmasked(table, (batch[place], one.ids), pieces, codes)
                if table is not None and tag is not None:
                    table = table[:, 1:] / np.maximum(table[:, 1:].sum(axis=1, keepdims=True), 1e-30)
                listed.append(
                    Translation(
                        target_pieces.masks.unmasked(next(texts), codes),
                        one.score,
                        EOS in one.ids,
                        tuple(alignment.hard(table)) if align and table is not None else None,
                        tuple(map(tuple, table.tolist())) if attention and table is not None else None,
                        log_probability=one.mean_log_probability,
                    )
                )
            translations[number] = listed[0]._replace(alternatives=tuple(listed[1:]), looped=place in looped)
        advance(len(numbers))
    return translations


def _prefer_masks(
    sources: Sequence[Ids], hypotheses: list[list[Hypothesis]], pieces: tuple[Pieces, Pieces], guarded: bool
) -> None:
    """Put what has the masks of its source, as often as there, before what lacks one or has one too many.

    What runs in circles stays behind what does not, where that is ``guarded``.
    """

    def masks(side: Pieces, ids: Ids) -> Counter[str]:
        return Counter(piece for piece in side.text_of(ids) if piece in side.masks.known)

    if pieces[0].masks.known:
        for source, found in zip(sources, hypotheses, strict=True):
            asked = masks(pieces[0], source)
            found.sort(key=lambda one: (guarded and loops(source, one.ids), asked != masks(pieces[1], one.ids)))


def _unmasked(
    table: np.ndarray, pair: tuple[Ids, Ids], pieces: tuple[Pieces, Pieces], codes: Mapping[str, str]
) -> np.ndarray:
    """A soft alignment of words that are masks as one of what these stand for, which is some words or none."""
    source, target = (
        [
            len(word.split())
            for word in side.masks.unmasked_words(
                alignment.words(said(side, [piece for piece in ids if piece != EOS])), codes
            )
        ]
        for side, said, ids in zip(pieces, (Pieces.text_of, _said), pair, strict=True)
    )
    spread = np.repeat(table / np.maximum(source, 1), source, axis=1)
    return np.repeat(spread, target, axis=0)


def _unlooped(
    sources: Sequence[Ids],
    hypotheses: list[list[Hypothesis]],
    engine: Engine,
    settings: Search,
    target_pieces: Pieces,
    prefixes: Sequence[str],
) -> set[int]:
    """Put what runs in circles behind what does not; where all do, search again for one that cannot repeat itself.

    Returns:
        The places of the sources whose best hypothesis ran in circles.
    """
    looped, hopeless = set(), []
    for place, (source, found) in enumerate(zip(sources, hypotheses, strict=True)):
        if loops(source, found[0].ids):
            looped.add(place)
            found.sort(key=lambda one: loops(source, one.ids))  # stable
            if loops(source, found[0].ids):
                hopeless.append(place)
    if hopeless:
        again = settings.model_copy(update={"beam_size": max(settings.beam_size, _AGAIN_BEAM)})
        begun = [prefixes[place] for place in hopeless]
        ngram = min(settings.no_repeat_ngram or _AGAIN_NGRAM, _AGAIN_NGRAM)
        constraints = Constraints(target_pieces, begun, settings.min_length, ngram)
        for place, found in zip(
            hopeless, best([sources[place] for place in hopeless], engine, again, constraints), strict=True
        ):
            if found[0].score > -np.inf and not loops(sources[place], found[0].ids):
                hypotheses[place][:0] = found
    return looped


def best(
    sources: Sequence[Ids],
    engine: Engine,
    settings: Search,
    constraints: Constraints | None = None,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source (pieces, none of them empty), best first, or samples; at least one each."""
    limits = np.array([length_limit(len(ids), settings) for ids in sources])
    if constraints:
        limits = np.maximum(limits, constraints.least + settings.max_length_extra)
    padded = pad_source(sources)
    if settings.sample is not None:
        sample = settings.sample
        drawn = [_sampled(number, sources, padded, engine, sample, limits, constraints) for number in range(n_best)]
        return [list(samples) for samples in zip(*drawn, strict=True)]
    start = engine.start(padded, settings.beam_size, 2 * settings.beam_size)
    if settings.beam_size == 1:
        found = search.greedy(*start, limits, constraints)
    else:
        found = search.beam(
            *start,
            settings.beam_size,
            limits,
            settings.length_penalty,
            beta=settings.coverage_penalty,
            diversity=settings.diversity,
            source_lengths=np.count_nonzero(padded != PAD, axis=1),
            constrain=constraints,
        )
    return _listed(found, n_best)


def _sampled(
    number: int,
    sources: Sequence[Ids],
    padded: np.ndarray,
    engine: Engine,
    sample: Sample,
    limits: np.ndarray,
    constraints: Constraints | None,
) -> list[Hypothesis]:
    """Sample ``number`` of each source: the numbers are drawn by the seed and by the source, whatever else is there."""
    seeds = [[sample.seed, number, *ids] for ids in sources]
    draws = np.stack([np.random.default_rng(seed).random(limits.max()) for seed in seeds])
    start = engine.start(padded, 1, min(sample.top_k or engine.size, engine.size))
    found = search.sample(*start, limits, draws, sample.temperature, sample.top_p, constraints)
    return [hypotheses[0] for hypotheses in _listed(found, 1)]


def _listed(found: search.Hypotheses, n_best: int) -> list[list[Hypothesis]]:
    """The ``n_best`` of each sentence that are there; the first, whatever it is."""
    listed = []
    best = search.Hypotheses(*(array[:, :n_best] for array in found))
    for ids, log_probabilities, scores in zip(*(array.tolist() for array in best), strict=True):
        hypotheses = [
            Hypothesis([piece for piece in row if piece != PAD], score, log_probability)
            for row, log_probability, score in zip(ids, log_probabilities, scores, strict=True)
        ]
        listed.append([one for number, one in enumerate(hypotheses) if not number or one.score > -np.inf])
    return listed


def score(engine: Engine, sources: Sequence[Ids], targets: Sequence[Ids]) -> tuple[np.ndarray, np.ndarray]:
    """What the model thinks of given translations, both of them pieces without their ends.

    Returns:
        The log-probability of each target piece, its end included, [B, T] with 0 behind it; and the attention paid for
        it [B, T, S].
    """
    return search.score(*engine.start(pad_source(sources), 1, 1), pad_source(targets), engine.size)


def explain(engine: Engine, pieces: tuple[Pieces, Pieces], line: str, translated: str) -> Explanation:
    """Which word of ``line`` each word of its translation comes from, and how sure the model is of it.

    Raises:
        TranslationError: one of them is blank.
    """
    masked = _masked_pair(pieces[0], line, translated)
    ids = [side.encode(text) for side, text in zip(pieces, masked[:2], strict=True)]
    if not all(ids):
        raise TranslationError(f"there is nothing to explain: {line!r} → {translated!r}; both need a word")
    source, target = pieces[0].text_of(ids[0]), _said(pieces[1], ids[1])
    log_probabilities, attention = score(engine, [ids[0]], [ids[1]])

    return Explanation(
        pieces[0].masks.unmasked_words(alignment.words(source), masked[2]),
        pieces[1].masks.unmasked_words(alignment.words(target), masked[2]),
        alignment.soft(source, target, attention[0]),
        np.exp(alignment.mean_of_words(target, log_probabilities[0])),
    )


def words(side: Pieces, line: str) -> list[str]:
    """The words of ``line`` as its pieces spell them: an alignment numbers these."""
    text, codes = side.masks.masked(without_control(line))
    spelled = side.masks.unmasked_words(alignment.words(side.text_of(side.encode(text))), codes)
    return [word for words in spelled for word in words.split()]


def _masked_pair(source_pieces: Pieces, source: str, target: str) -> tuple[str, str, dict[str, str]]:
    """Both masked as the source is, and what the masks stand for."""
    line, codes = source_pieces.masks.masked(without_control(source))
    return line, source_pieces.masks.like(without_control(target), codes), codes


def score_pairs(
    engine: Engine,
    pieces: tuple[Pieces, Pieces],
    sources: Sequence[str],
    targets: Sequence[str],
    settings: Search,
    advance: Callable[[int], object] = lambda lines: None,
) -> list[tuple[float, float]]:
    """The log-probability of each target given its source, and the mean of its pieces; nan where a side is blank.

    Raises:
        TranslationError: not as many targets as sources.
    """
    if len(sources) != len(targets):
        raise TranslationError(f"expected a translation of each of {len(sources)} lines, received {len(targets)}")
    masked = [_masked_pair(pieces[0], *pair) for pair in zip(sources, targets, strict=True)]
    ids = [
        pieces[0].encode_lines(source for source, _, _ in masked),
        pieces[1].encode_lines(target for _, target, _ in masked),
    ]
    found = [(math.nan, math.nan)] * len(sources)
    filled = [number for number, both in enumerate(zip(*ids, strict=True)) if all(both)]
    advance(len(sources) - len(filled))
    for numbers in _batches([max(pair, key=len) for pair in zip(*ids, strict=True)], filled, settings.batch_sentences):
        log_probabilities, _ = score(engine, *([side[number] for number in numbers] for side in ids))
        for number, total in zip(numbers, log_probabilities.sum(axis=1).tolist(), strict=True):
            found[number] = total, total / (len(ids[1][number]) + 1)  # the end is scored too
        advance(len(numbers))
    return found


def _alignments(
    sources: Sequence[Ids], hypotheses: Sequence[Sequence[Hypothesis]], engine: Engine, pieces: tuple[Pieces, Pieces]
) -> list[np.ndarray]:
    """The soft alignment of every hypothesis, one after the other."""
    pairs = [
        (source, [piece for piece in one.ids if piece != EOS])
        for source, found in zip(sources, hypotheses, strict=True)
        for one in found
    ]
    source_pieces, target_pieces = pieces
    tables = [np.zeros((0, 0))] * len(pairs)
    for numbers in _batches([max(pair, key=len) for pair in pairs], list(range(len(pairs))), len(sources)):
        _, attention = score(engine, *zip(*(pairs[number] for number in numbers), strict=True))
        for number, weights in zip(numbers, attention, strict=True):
            source, target = pairs[number]
            tables[number] = alignment.soft(source_pieces.text_of(source), _said(target_pieces, target), weights)
    return tables


def _said(pieces: Pieces, ids: Ids) -> list[str]:
    """The pieces of a translation as they are said: what is unknown is a word of its own, "⁇"."""
    return [alignment.UNKNOWN if piece == UNK else text for piece, text in zip(ids, pieces.text_of(ids), strict=True)]


def length_limit(source_pieces: int, settings: Search) -> int:
    """The most pieces that the translation of so many source pieces may have, its end included."""
    return int(settings.max_length_factor * source_pieces) + settings.max_length_extra


def _batches(sources: Sequence[Ids], numbers: list[int], sentences: int) -> Iterator[list[int]]:
    """``numbers`` from the longest source to the shortest, cut by count and by padded size."""
    batch: list[int] = []
    for number in sorted(numbers, key=lambda number: -len(sources[number])):
        longest = len(sources[batch[0]]) if batch else len(sources[number])
        if batch and (len(batch) == sentences or (len(batch) + 1) * longest > sentences * _PIECES_A_SENTENCE):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
