"""Lines of several sentences: split, translated sentence by sentence, and put together again with their white space.

A model has learnt from lines that are mostly one sentence, none longer than ``data.max_length`` pieces: what is longer
it translates badly, and of several sentences it may leave one out. So each sentence is translated by itself, and one
that is longer than any the model has seen is cut: behind a clause if there is one near its middle, else between two
words, else anywhere. Where sentences end is decided by sentencex, which knows abbreviations and the punctuation of
many languages, those without blanks among them.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import sentencex

from nmt import alignment
from nmt.pieces import Pieces
from nmt.translation import Translation

Table = tuple[tuple[float, ...], ...]

# Languages that put no blank between two sentences.
_WITHOUT_BLANKS = frozenset({"cmn", "ja", "jpn", "lzh", "wuu", "yue", "zh", "zho"})

# Where a sentence is cut, the best places first: behind the punctuation of a clause, behind a blank.
_CUTS = (re.compile(r"[;:—,](?=\s)|[、，；：،؛]"), re.compile(r"\s+"))


class Paragraph(NamedTuple):
    """A line as sentences, and the white space around them."""

    sentences: list[str]
    spaces: list[str]  # before each sentence, and behind the last one
    cut: bool  # whether a sentence was too long, and is several of them now


def split(line: str, language: str | None, fits: Callable[[str], bool]) -> Paragraph:
    """The sentences of ``line``; where there are none, what is there is one.

    Args:
        language: of the line, a code such as ``en`` or ``pt-BR``; another than sentencex knows is read like English.
            None: the line is one sentence.
        fits: whether a sentence is short enough; one character always is.
    """
    found = [line] if language is None else _sentences(line, language)
    parts = [part for sentence in found for part in _parts(sentence, fits)]
    sentences, spaces = [], [""]
    for part in parts:
        if core := part.strip():
            before = part[: len(part) - len(part.lstrip())]
            sentences.append(core)
            spaces[-1] += before
            spaces.append(part[len(before) + len(core) :])
        else:
            spaces[-1] += part
    if not sentences:
        return Paragraph([line], ["", ""], False)
    return Paragraph(sentences, spaces, len(parts) > len(found))


def _sentences(line: str, language: str) -> list[str]:
    """The sentences of ``line``, with their white space."""
    found: list[str] = []
    for sentence in sentencex.segment(_base(language), line):
        if found and not any(map(str.isalnum, sentence)):
            found[-1] += sentence  # a quotation mark or a row of dots is none
        else:
            found.append(sentence)
    return found if "".join(found) == line else [line]  # nothing may be lost, whatever the library does


def _parts(sentence: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """``sentence``, cut in two, and each part again, until all fit: none has under a quarter of what it was cut of."""
    core = sentence.strip()
    if len(core) < 2 or fits(core):
        yield sentence
        return
    quarter, middle = len(sentence) // 4, len(sentence) // 2
    for pattern in _CUTS:
        places = [match.end() for match in pattern.finditer(sentence) if quarter <= match.end() <= 3 * quarter]
        if places:
            middle = min(places, key=lambda place: abs(place - middle))
            break
    for half in (sentence[:middle], sentence[middle:]):
        yield from _parts(half, fits)


def joined(
    paragraph: Paragraph,
    translations: Sequence[Translation],
    source_pieces: Pieces,
    language: str,
    n_best: int,
    drawn: bool,
) -> Translation:
    """The translation of a paragraph, of those of its sentences.

    Its score is their sum, its confidence their mean, in which a character counts once; it is finished where all are.

    Args:
        source_pieces: which know how many words a sentence has.
        language: of the translation: some have no blanks between sentences.
        n_best: how many translations, the best and its alternatives: the best of all combinations of those of the
            sentences.
        drawn: whether they are samples, of which the first are put together, the second, and so on.
    """
    spaces = [paragraph.spaces[0]]
    for sentence, space in zip(paragraph.sentences, paragraph.spaces[1:-1], strict=False):
        spaces.append(_between(sentence, space, language))
    spaces.append(paragraph.spaces[-1])
    asked = translations[0]
    nothing = Translation(
        spaces[0],
        0.0,
        alignment=None if asked.alignment is None else (),
        attention=None if asked.attention is None else (),
    )
    so_far, words = [nothing], 0
    for sentence, found, space in zip(paragraph.sentences, translations, spaces[1:], strict=True):
        of_sentence = (found, *found.alternatives)
        count = len(alignment.words(source_pieces.text_of(source_pieces.encode(sentence))))
        longer = [
            _with(before, one, words, count, space)
            for before, one in (_numbered if drawn else itertools.product)(so_far, of_sentence)
        ]
        so_far = longer if drawn else heapq.nlargest(n_best, longer, key=lambda one: one.score)
        words += count - (not space)
    first, *others = so_far
    looped = any(found.looped for found in translations)
    return first._replace(alternatives=tuple(others), looped=looped, cut=paragraph.cut)


def _between(sentence: str, space: str, language: str) -> str:
    """What stands between the translation of ``sentence`` and the next one, where ``space`` stood behind it."""
    if _base(language) in _WITHOUT_BLANKS:
        return "" if space.strip(" ") == "" else space
    return space or " " * (not sentence[-1].isalnum())  # no word is torn where one had to be cut


def _numbered(
    so_far: Sequence[Translation], samples: Sequence[Translation]
) -> Iterator[tuple[Translation, Translation]]:
    """The first with the first, the second with the second; a blank has one alone, which goes with all."""
    count = max(len(so_far), len(samples))
    return itertools.islice(zip(itertools.cycle(so_far), itertools.cycle(samples), strict=False), count)


def _with(before: Translation, sentence: Translation, words: int, count: int, space: str) -> Translation:
    """What was there ``before``, with one more ``sentence`` and the ``space`` behind it.

    ``words`` of the source stand before the sentence, which has ``count``.
    """
    said = len(before.text.split()) - (before.text != "" and not before.text[-1].isspace())
    links, table = None, None
    if before.alignment is not None and sentence.alignment is not None:
        links = before.alignment + tuple((words + source, said + target) for source, target in sentence.alignment)
    if before.attention is not None and sentence.attention is not None:
        table = _beside(before.attention, sentence.attention, words, said, words + count)
    confidence = sentence.confidence
    if confidence is not None and before.confidence is not None:
        lengths = len(before.text), len(sentence.text)
        confidence = (lengths[0] * before.confidence + lengths[1] * confidence) / max(1, sum(lengths))
    return Translation(
        f"{before.text}{sentence.text}{space}",
        before.score + sentence.score,
        before.finished and sentence.finished,
        links,
        table,
        confidence=confidence,
    )


def _beside(before: Table, sentence: Table, words: int, said: int, width: int) -> Table:
    """Attention of a line of ``width`` source words: what was there ``before``, and that of one more sentence.

    Its first word is ``words`` in the source and ``said`` in the translation, which may be words that are there.
    """
    table = np.zeros((said + len(sentence), width))
    for row, paid in enumerate(before):
        table[row, : len(paid)] += paid
    for row, paid in enumerate(sentence, said):
        table[row, words : words + len(paid)] += paid
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1e-30)
    return tuple(map(tuple, table.tolist()))


def _base(language: str) -> str:
    """``pt`` of ``pt-BR``."""
    return re.split("[-_]", language)[0].lower()
