"""Which training pairs had better be left out, and why.

What is usual in a text, how long one side is beside the other and which scripts each is written in, is taken from a
sample of the text itself, so that no language needs settings of its own.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nmt import corpus
from nmt.corpus import Corpus
from nmt.recipe import Filters

# The reasons, by the names of the settings; of several the first counts.
REASONS = ("lengths", "ratio", "identical", "duplicates", "alphabet", "language")

_SAMPLE_PAIRS = 10_000
# Letters of a script that make up a smaller share of a text are guests in it.
_USUAL_SHARE = 0.05
# Characters that a short side is taken to have more, so that two words against four are nothing unusual.
_MARGIN = 10
# Of a language: characters that tell it, and how sure one must be that it is another one.
_TELLING, _SURE = 20, 0.95


class FilterError(ValueError):
    """A filter that needs a package which is not there, or a language that nobody can tell."""


class Usual(NamedTuple):
    """What is usual in a parallel text."""

    ratio: float  # log of how many times as long the target is
    scripts: tuple[frozenset[str], frozenset[str]]  # of source and target

    @classmethod
    def of(cls, text: Corpus) -> Usual:
        """As a sample tells."""
        count = min(len(text), _SAMPLE_PAIRS)
        sample = text.pick(np.arange(count) * len(text) // max(1, count), Counter())
        pairs = list(zip(sample.source, sample.target, strict=True))
        ratio = float(np.median([_log_ratio(*pair) for pair in pairs])) if pairs else 0.0
        return cls(ratio, (_usual_scripts(sample.source), _usual_scripts(sample.target)))


def applied(text: Corpus, settings: Filters, languages: tuple[str, str], held_out: Sequence[Corpus] = ()) -> Corpus:
    """The pairs of ``text`` that no filter leaves out. Notes how many each of them does.

    Args:
        held_out: what ``settings.held_out`` looks at.

    Raises:
        FilterError: ``settings.language`` needs a package, or cannot tell one of ``languages``.
    """
    if settings.held_out:
        text = corpus.drop_related(text, held_out)
    if settings.model_copy(update={"held_out": False}) == Filters():
        return text
    reasons = judged(text, settings, languages)
    dropped = {name: int((reasons == number).sum()) for number, name in enumerate(REASONS)}
    return text.pick(np.flatnonzero(reasons < 0), text.notes + Counter(dropped))


def glance(text: Corpus) -> dict[str, float]:
    """Which faults some pairs of a sample have, and what share of it, as 0.02; those that are told in a moment."""
    count = min(len(text), _SAMPLE_PAIRS // 2)
    sample = text.pick(np.arange(count) * len(text) // max(1, count), Counter())
    reasons = judged(sample, Filters(ratio=3.0, identical=True, alphabet=True), ("", "")).tolist()
    return {REASONS[number]: found / count for number, found in Counter(reasons).items() if number >= 0}


def judged(text: Corpus, settings: Filters, languages: tuple[str, str]) -> np.ndarray:
    """For each pair the number of the reason why ``settings`` leave it out, -1 where none does; int8 [N].

    Raises:
        FilterError: as ``applied``.
    """
    usual = Usual.of(text)
    tell = [identifier(language) for language in languages] if settings.language else []
    reasons = np.full(len(text), -1, "int8")
    keys = np.zeros(len(text), "uint64")
    pairs = zip(text.source, text.target, strict=True)
    for number, pair in enumerate(corpus.watched(pairs, "looking for pairs to leave out", len(text))):
        if settings.duplicates or settings.identical:
            source, target = map(corpus.key, pair)
            keys[number] = (source * 3 + target) % 2**64  # not symmetric: (a, b) is not (b, a)
        if settings.lengths is not None and max(map(len, pair)) > settings.lengths:
            reasons[number] = 0
        elif settings.ratio is not None and abs(_log_ratio(*pair) - usual.ratio) > math.log(settings.ratio):
            reasons[number] = 1
        elif settings.identical and source == target and any(map(str.isalpha, pair[0])):
            reasons[number] = 2
        elif settings.alphabet and any(map(_foreign, pair, usual.scripts)):
            reasons[number] = 4
        elif any(other(line) for other, line in zip(tell, pair, strict=False)):
            reasons[number] = 5
    if settings.duplicates:
        later = repeated(keys)
        reasons[later[(reasons[later] < 0) | (reasons[later] > 3)]] = 3
    return reasons


def repeated(keys: np.ndarray) -> np.ndarray:
    """The numbers of those keys that came before, in order; int64."""
    order = keys.argsort(kind="stable")
    return np.sort(order[1:][keys[order][1:] == keys[order][:-1]])


def identifier(language: str) -> Callable[[str], bool]:
    """Whether a line is surely of another language than ``language``; of short ones nobody knows.

    Raises:
        FilterError: py3langid is not installed, or does not know the language.
    """
    name = language.lower().replace("_", "-").split("-")[0]
    name = {"nb": "no", "iw": "he", "in": "id", "ji": "yi"}.get(name, name)  # other names of the same
    known = _identifier()
    if name not in known.labels:
        raise FilterError(
            f"py3langid cannot tell {language}; data.filters.language needs ISO 639 codes such as en, and knows "
            f"{len(set(known.labels))} of them: set it to false"
        )

    def other(line: str) -> bool:
        if len(line) < _TELLING:
            return False
        found, probability = known.classify(line)
        return found != name and probability > _SURE

    return other


@functools.cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise FilterError("data.filters.language needs py3langid; run: pip install 'nmt[doctor]'") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def languages_of(lines: Iterable[str]) -> Counter[str]:
    """How many of the longer ``lines`` are of which language, as far as that is sure.

    Raises:
        FilterError: py3langid is not installed.
    """
    known = _identifier()
    found = (known.classify(line) for line in lines if len(line) >= _TELLING)
    return Counter(language for language, probability in found if probability > _SURE)


def mixes_scripts(line: str) -> bool:
    """Whether a word has letters of two scripts that no language mixes, such as a Cyrillic а among Latin letters."""
    if line.isascii():
        return False
    return any(len(_ALIKE & scripts(word).keys()) > 1 for word in line.split() if not word.isascii())


def scripts(line: str) -> Counter[str]:
    """How many letters of which script, by the first word of Unicode's names."""
    return Counter(script for character in line if (script := _script(character)))


# Scripts whose letters look alike.
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK"})


@functools.cache
def _script(character: str) -> str:
    if not character.isalpha():
        return ""
    script = re.split("[ -]", unicodedata.name(character, ""))[0]
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "HALFWIDTH", "BOPOMOFO") else script  # written side by side


def _usual_scripts(lines: Iterable[str]) -> frozenset[str]:
    counts = scripts("".join(lines))
    return frozenset(script for script, count in counts.items() if count >= _USUAL_SHARE * counts.total())


def _foreign(line: str, usual: frozenset[str]) -> bool:
    """Whether most letters of a line are of other scripts than usual."""
    if line.isascii() and "LATIN" in usual:
        return False
    counts = scripts(line)
    return sum(count for script, count in counts.items() if script not in usual) * 2 > counts.total()


def _log_ratio(source: str, target: str) -> float:
    return math.log((len(target) + _MARGIN) / (len(source) + _MARGIN))
