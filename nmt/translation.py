"""Lines in, the same number of lines out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nmt import search
from nmt.batches import Ids, pad_source
from nmt.corpus import without_control
from nmt.engines import Engine
from nmt.pieces import Pieces
from nmt.recipe import Search
from nmt.symbols import EOS

logger = logging.getLogger("nmt")

# Source pieces a batch may hold per sentence it may hold: a batch of very long lines has fewer of them.
_PIECES_A_SENTENCE = 100


class Translation(NamedTuple):
    """What became of one line."""

    text: str
    score: float  # log-probability, divided by the length penalty unless the beam is 1; 0 for a blank line
    finished: bool = True  # whether the model ended it; otherwise it was cut off at its limit of length


def translate(
    engine: Engine,
    pieces: tuple[Pieces, Pieces],
    lines: Sequence[str],
    settings: Search,
    advance: Callable[[int], object] = lambda lines: None,
) -> list[Translation]:
    """Translate ``lines``; a line without anything to translate stays empty and never reaches the model.

    Control characters count as blanks, as in training (``nmt.corpus.clean``).

    Sentences of similar length are translated together, and come back in the order of ``lines``. ``advance`` is told
    the number of lines done, batch by batch.
    """
    source_pieces, target_pieces = pieces
    sources = source_pieces.encode_lines(map(without_control, lines))
    translations = [Translation("", 0.0)] * len(lines)
    filled = [number for number, ids in enumerate(sources) if ids]
    advance(len(lines) - len(filled))
    for numbers in _batches(sources, filled, settings.batch_sentences):
        hypotheses = best([sources[number] for number in numbers], engine, settings)
        texts = target_pieces.decode_lines([ids for ids, _ in hypotheses])
        for number, text, (ids, score) in zip(numbers, texts, hypotheses, strict=True):
            translations[number] = Translation(text, score, EOS in ids)
        advance(len(numbers))
    return translations


def best(sources: Sequence[Ids], engine: Engine, settings: Search) -> list[tuple[list[int], float]]:
    """The best hypothesis of each source (pieces, none of them empty): its pieces and its score."""
    limits = np.array([length_limit(len(ids), settings) for ids in sources])
    start = engine.start(pad_source(sources), settings.beam_size, 2 * settings.beam_size)
    if settings.beam_size == 1:
        found = search.greedy(*start, limits)
    else:
        found = search.beam(*start, settings.beam_size, limits, settings.length_penalty)
    return [(ids.tolist(), float(score)) for ids, score in zip(found.ids[:, 0], found.scores[:, 0], strict=True)]


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
