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

from nmt import translation
from nmt.corpus import without_control
from nmt.pieces import Pieces
from nmt.translation import Translation

# Languages that put no blank between two sentences, and those that put none between two words.
_SENTENCES_TOGETHER = frozenset({"cmn", "ja", "jpn", "lzh", "wuu", "yue", "zh", "zho"})
_WORDS_TOGETHER = _SENTENCES_TOGETHER | {"bo", "dz", "khm", "km", "lao", "lo", "mya", "my", "th", "tha"}

# Where a sentence is cut, the best places first: behind the punctuation of a clause, behind a blank.
_CUTS = (re.compile(r"[;:—,](?=\s)|[、，；：،؛]"), re.compile(r"\s+"))


class Paragraph(NamedTuple):
    """A line as sentences, and the white space around them."""

    sentences: list[str]
    spaces: list[str]  # before each sentence, and behind the last one
    cut: bool  # whether a sentence was too long, and is several of them now


def split(line: str, language: str | None, fits: Callable[[str], bool]) -> Paragraph:
    """The sentences of ``line``; where there are none, what is there is one.

    Control characters but tabs count as blanks, those that end lines among them.

    Args:
        language: of the line, a code such as ``en`` or ``pt-BR``; another than sentencex knows is read like English.
            None: the line is one sentence.
        fits: whether a sentence is short enough; one character always is.
    """
    line = "\t".join(map(without_control, line.split("\t")))
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


class Joiner:
    """Puts translations of sentences together.

    Args:
        source_pieces: which know how many words a sentence has.
        source_language, target_language: some have no blanks between sentences, or between words.
    """

    def __init__(self, source_pieces: Pieces, source_language: str, target_language: str) -> None:
        self._source_pieces = source_pieces
        self._languages = _base(source_language), _base(target_language)

    def joined(self, paragraph: Paragraph, found: Sequence[Translation], n_best: int, drawn: bool) -> Translation:
        """The translation of a paragraph, of those that were ``found`` for its sentences.

        Its score is their sum, its confidence their mean, in which a character counts once; it is finished where all
        are, and has the doubts of all of them. Where there are several, they are its ``sentences``.

        Args:
            n_best: how many translations, the best and its alternatives: the best of all combinations of those of the
                sentences.
            drawn: whether they are samples, of which the first are put together, the second, and so on.
        """
        choices = [(one, *one.alternatives) for one in found]
        if drawn:
            count = max(map(len, choices))  # a blank sentence has one
            combinations = [[those[number % len(those)] for those in choices] for number in range(count)]
        else:
            combinations = _best(choices, n_best)
        first, *others = (self._together(paragraph, combination) for combination in combinations)
        return first._replace(
            alternatives=tuple(others),
            looped=any(one.looped for one in found),
            cut=paragraph.cut,
            doubts=tuple(dict.fromkeys(doubt for one in found for doubt in one.doubts)),
            sentences=tuple(found) if len(found) > 1 else (),
        )

    def _together(self, paragraph: Paragraph, sentences: Sequence[Translation]) -> Translation:
        """One translation of each sentence, as one."""
        before, *inner, behind = paragraph.spaces
        spaces = [self._between(*pair) for pair in zip(paragraph.sentences, inner, strict=False)]
        parts = [part for pair in zip(sentences, [*spaces, behind], strict=True) for part in (pair[0].text, pair[1])]
        sure = [one for one in sentences if one.confidence is not None]
        together = Translation(
            "".join([before, *parts]),
            sum(one.score for one in sentences),
            all(one.finished for one in sentences),
            log_probability=sentences[0].log_probability if len(sentences) == 1 else None,
            confidence=float(np.average([one.confidence for one in sure], weights=[len(one.text) + 1 for one in sure]))
            if sure
            else None,
        )
        asked = sentences[0]
        if asked.alignment is None and asked.attention is None:
            return together
        words = [len(translation.words(self._source_pieces, sentence)) for sentence in paragraph.sentences]
        source, width = _starts(words, inner)
        target, height = _starts([len(one.text.split()) for one in sentences], spaces)
        if asked.alignment is not None:
            links = tuple(
                (source[number] + word, target[number] + other)
                for number, one in enumerate(sentences)
                for word, other in one.alignment or ()
            )
            together = together._replace(alignment=links)
        if asked.attention is not None:
            table = np.zeros((height, width))
            for number, one in enumerate(sentences):
                for row, paid in enumerate(one.attention or (), target[number]):
                    table[row, source[number] : source[number] + len(paid)] += paid
            table /= np.maximum(table.sum(axis=1, keepdims=True), 1e-30)
            together = together._replace(attention=tuple(map(tuple, table.tolist())))
        return together

    def _between(self, sentence: str, space: str) -> str:
        """What stands between the translation of ``sentence`` and the next one, where ``space`` stood behind it."""
        source, target = self._languages
        if target in _SENTENCES_TOGETHER:
            return "" if space.strip(" ") == "" else space
        torn = sentence[-1].isalnum() and source not in _WORDS_TOGETHER  # a word that had to be cut
        return space or " " * (not torn)


def _best(choices: Sequence[Sequence[Translation]], count: int) -> list[list[Translation]]:
    """Of all ways to take one of each, the ``count`` with the highest sum of scores, best first.

    What was put behind another, as what runs in circles is, counts for no more than that.
    """
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for those in choices:
        scores = list(itertools.accumulate((one.score for one in those), min))
        longer = [(total + score, (*taken, number)) for total, taken in best for number, score in enumerate(scores)]
        best = heapq.nlargest(count, longer, key=lambda pair: pair[0])
    return [[those[number] for those, number in zip(choices, taken, strict=True)] for _, taken in best]


def _starts(counts: Sequence[int], spaces: Sequence[str]) -> tuple[list[int], int]:
    """The number of the first word of each sentence, of ``counts`` words, and how many words there are in all.

    Where no ``spaces`` stand between two sentences, the last word of the one and the first of the other are one.
    """
    starts, total, apart = [], 0, True
    for count, space in zip(counts, [*spaces, " "], strict=True):
        shared = int(not apart and count > 0 and total > 0)
        starts.append(total - shared)
        total += count - shared
        apart = bool(space) or (apart and not count)
    return starts, total


def _base(language: str) -> str:
    """``pt`` of ``pt-BR``."""
    return re.split("[-_]", language)[0].lower()
