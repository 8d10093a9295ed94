"""Masks: symbols that stand for marks and long numbers while a model works, so that it need not spell them.

A model that has learnt where ``⟦mark1⟧`` goes puts ``%(user)s`` there, and whatever else it has never seen. Both sides
of the training text are masked alike, each for itself: the marks of a line are numbered in the order of their letters,
so that a sentence and its translation agree in the numbers wherever they have the same marks. There are three kinds,
as they behave differently in a sentence: tags, numbers, and all other marks (``nmt.marks``). Which of them a model
knows is part of its pieces; what it does not know stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nmt import marks

_MASK = r"(?P<mask>⟦(?P<kind>mark|tag|number)[1-9]⟧)"
# A long number is written alike in most languages: no blank or comma stands in it, as in 10,000, and it is rarely said
# in words, as 12 is.
_PATTERN = re.compile(
    rf"{_MASK}|{marks.PATTERN.pattern}|(?P<number>(?<![0-9])[0-9]{{4,}}(?![0-9]))"  # a mask in a text is kept, too
)
# Without one of these there is nothing to mask: a first look, as most lines have none.
_SIGN = re.compile(r"[%{<@⟦]|://|www\.|[0-9]{4}")

_KINDS = ("mark", "tag", "number")
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
                others = every.masked(target).codes
                of_source.update(codes.keys())
                of_both.update(mask for mask, code in codes.items() if others.get(mask) == code)
        return sorted(mask for mask, seen in of_both.items() if seen >= _SEEN and seen >= _SHARE * of_source[mask])

    def masked(self, line: str) -> Masked:
        """``line`` with a mask for each mark and long number, one for all that are the same; beyond the last: as is."""
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
        """``line`` with the masks that stand for ``codes`` in another."""
        names = {code: mask for mask, code in codes.items()}
        return _PATTERN.sub(lambda match: names.get(match[0], match[0]), line) if names else line

    def unmasked(self, line: str, codes: Mapping[str, str]) -> str:
        """``line`` with what its masks stand for.

        A mask that stands for nothing is taken for one of its kind that the line lacks; where none is lacking it goes.
        """
        if not self.known or "⟦" not in line:
            return line
        lacking = [mask for mask in codes if mask not in line]

        def code(match: re.Match[str]) -> str:
            mask = match["mask"]
            if mask not in self.known:
                return match[0]
            if mask not in codes:
                mask = next((other for other in lacking if match["kind"] in other), "")
                if not mask:
                    return ""
                lacking.remove(mask)
            return match["blank"] + codes[mask]

        return re.sub(rf"(?P<blank> ?){_MASK}", code, line)


def _kind(match: re.Match[str]) -> str:
    if match["kind"] or match["number"]:
        return match["kind"] or "number"
    return "tag" if match["opens"] or match["closes"] else "mark"
