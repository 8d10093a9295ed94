"""Masks: symbols that stand for marks and long numbers while a model works, so that it need not spell them.

A model that has learnt where ``⟦mark1⟧`` goes puts ``%(user)s`` there, and whatever else it has never seen. The marks
of a source are numbered in the order of their letters, which tells nothing of their places; in its translation the same
marks have the same masks, in training as well, and what the source does not have stays as it is there: so a model never
learns to say a mask that it has not read. There are five kinds, as they behave differently in a sentence: tags that
open, that close and that stand alone, numbers, and all other marks (``nmt.marks``). Which of them a model knows is part
of its pieces; what it does not know it reads as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, overload

from nmt import marks

_KINDS = ("mark", "open", "close", "tag", "number")
_MASK = rf"(?P<mask>⟦(?P<kind>{'|'.join(_KINDS)})[1-9]⟧)"
# A long number is written alike in most languages: no blank or comma stands in it, as in 10,000, and it is rarely said
# in words, as 12 is.
_PATTERN = re.compile(
    rf"{_MASK}|{marks.PATTERN.pattern}|(?P<number>(?<![0-9])[0-9]{{4,}}(?![0-9]))"  # a mask in a text is kept, too
)
# Without one of these there is nothing to mask: a first look, as most lines have none.
_SIGN = re.compile(r"[%{<@⟦]|://|www\.|[0-9]{4}")

# Of a kind; a sentence has rarely more.
_MOST = 9
# Pairs that have a mask on both sides, for a model to learn it; and their share of all whose source has it. Where
# translators turn dates of one calendar into those of another, a model cannot learn to keep them.
_SEEN, _SHARE = 50, 0.75


class Masked(NamedTuple):
    """A line with masks, and what each of them stands for."""

    line: str
    codes: dict[str, str]


class Masks:
    """The masks that pieces have.

    Args:
        symbols: all symbols of the pieces; those that are no masks, such as <BT>, are never masked.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        symbols = sorted(symbols)
        self._of_kind: dict[str, list[str]] = {kind: [] for kind in _KINDS}
        for symbol in symbols:
            if match := re.fullmatch(_MASK, symbol):
                self._of_kind[match["kind"]].append(symbol)
        self.known = frozenset(mask for masks in self._of_kind.values() for mask in masks)
        self._others = frozenset(symbols) - self.known

    @classmethod
    def learnable(cls, pairs: Iterable[tuple[str, str]], symbols: Iterable[str] = ()) -> list[str]:
        """The masks that a model can learn from ``pairs``: those that enough of them have on both sides.

        Args:
            symbols: others that the text has.
        """
        every = cls([*(f"⟦{kind}{number}⟧" for kind in _KINDS for number in range(1, _MOST + 1)), *symbols])
        of_source, of_both = Counter[str](), Counter[str]()
        for source, target in pairs:
            if codes := every.masked(source).codes:
                translation = every.like(target, codes)
                of_source.update(codes.keys())
                of_both.update(mask for mask in codes if mask in translation)
        return sorted(mask for mask, seen in of_both.items() if seen >= _SEEN and seen >= _SHARE * of_source[mask])

    def masked(self, line: str) -> Masked:
        """A source with a mask for each mark and long number, one for all that are the same; beyond the last: as is."""
        if not self.known or not _SIGN.search(line):
            return Masked(line, {})
        found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for match in _PATTERN.finditer(line):
            if match[0] not in self._others and (match["mask"] is None or match[0] in self.known):
                found[_kind(match)].add(match[0])
        codes = {
            mask: code
            for kind, masks in self._of_kind.items()
            for mask, code in zip(masks, sorted(found[kind], key=self._order), strict=False)
        }
        return Masked(self.like(line, codes), codes)

    def _order(self, code: str) -> tuple[bool, str]:
        """By letters; but a mask that stands in the text itself must not be left as it is."""
        return code not in self.known, code

    def like(self, line: str, codes: Mapping[str, str]) -> str:
        """A translation with the masks that stand for ``codes`` in its source."""
        names = {code: mask for mask, code in codes.items()}
        return _PATTERN.sub(lambda match: names.get(match[0], match[0]), line) if names else line

    def begun(self, prefix: str, codes: Mapping[str, str]) -> str:
        """As ``like``, of what a translation begins with: an unfinished mark at its end is the one it may become."""
        masked = self.like(prefix, codes)
        last = re.split(r"\s", masked)[-1]
        whole = [mask for mask, code in codes.items() if last and code.startswith(last)]
        # One letter or digit may be the beginning of anything.
        if len(whole) == 1 and (len(last) > 1 or not last.isalnum()):
            return masked[: len(masked) - len(last)] + whole[0]
        return masked

    def lines(self, lines: Sequence[str], sources: Sequence[str] | None = None) -> Sequence[str]:
        """Sources as they are read, or translations of ``sources``; masked when they are asked for."""
        return _Lines(self, lines, sources) if self.known else lines

    def unmasked(self, line: str, codes: Mapping[str, str]) -> str:
        """What a model has said, with what its masks stand for; a word that stands for nothing is left out.

        A mask that stands for nothing is taken for one of its kind that is lacking, if there is one.
        """
        if not self.known or "⟦" not in line:
            return line
        words = line.split(" ")
        return " ".join(
            new for old, new in zip(words, self.unmasked_words(words, codes), strict=True) if new or not old
        )

    def unmasked_words(self, words: Sequence[str], codes: Mapping[str, str]) -> list[str]:
        """The words of a line, each with what its masks stand for, as in ``unmasked``."""
        said = {match[0] for word in words for match in re.finditer(_MASK, word)}
        lacking = [mask for mask in codes if mask not in said]

        def code(match: re.Match[str]) -> str:
            mask = match[0]
            if mask not in self.known:
                return mask
            if mask not in codes:
                mask = next((other for other in lacking if match["kind"] in other), "")
                if not mask:
                    return ""
                lacking.remove(mask)
            return codes[mask]

        return [re.sub(_MASK, code, word) for word in words]


class _Lines(Sequence[str]):
    """The lines of one side of a text, masked when they are asked for."""

    def __init__(self, masks: Masks, lines: Sequence[str], sources: Sequence[str] | None) -> None:
        self._masks, self._lines, self._sources = masks, lines, sources

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._masked(self._lines[index], None if self._sources is None else self._sources[index])

    def __iter__(self) -> Iterator[str]:
        if self._sources is None:
            return (self._masked(line, None) for line in self._lines)
        return (self._masked(*pair) for pair in zip(self._lines, self._sources, strict=True))

    def _masked(self, line: str, source: str | None) -> str:
        if source is None:
            return self._masks.masked(line).line
        return self._masks.like(line, self._masks.masked(source).codes)


def _kind(match: re.Match[str]) -> str:
    if match["kind"] or match["number"]:
        return match["kind"] or "number"
    if match["alone"]:
        return "tag"
    return "open" if match["opens"] else "close" if match["closes"] else "mark"
