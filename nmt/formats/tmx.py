"""TMX 1.4, translation memories: units, each of which says the same in several languages.

The format: https://www.gala-global.org/tmx-14b. A unit is a source where it has a ``tuv`` of that language; the first
one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from nmt.formats.document import FormatError, Pair, Part, Slot, Text, Wanted, edited, not_there, speaks
from nmt.formats.markup import Event, Markup, content, rendered, without

_MACHINE = ' creationtool="nmt" creationid="machine translation"'
# Who has made a variant, and when and how often it has been of use.
_CREATION = (
    *("creationtool", "creationtoolversion", "creationid", "creationdate", "changeid", "changedate"),
    *("usagecount", "lastusagedate"),
)


def _is_code(element: Event) -> bool:
    """Whether it stands for the formatting of the program that the memory comes from."""
    return element.name in ("bpt", "ept", "ph", "it", "ut")


class _Variant(NamedTuple):
    """A ``tuv``: a unit in one language, and the bytes that it stands in."""

    language: str
    text: Text
    line: int
    head: tuple[int, int]  # of its own tag
    inner: tuple[int, int]  # of what <seg> contains
    tag: tuple[int, int]  # of <seg>
    end: int
    of_machine: bool  # whether this toolkit has said it
    space: int  # where the white space before it begins


class _Memory:
    """The units of a file, one after the other, and the languages that were seen."""

    def __init__(self, markup: Markup, keep: bool) -> None:
        self._markup, self._events, self._keep = markup, iter(markup), keep
        self.languages: dict[str, None] = {}
        self.line = 0  # of the unit read last

    def units(self) -> Iterator[list[_Variant]]:
        """The variants of every unit.

        Raises:
            FormatError: this is no TMX.
        """
        variants: list[_Variant] = []
        space = depth = 0
        for event in self._events:
            if event.kind == "start" and not depth and event.name != "tmx":
                raise FormatError(f"{self._markup.name}: begins with <{event.name}>, expected <tmx>")
            depth += event.kind == "start"
            if event.kind == "start" and event.name == "tu":
                self.line = event.line
            if event.kind == "start" and event.name == "tuv":
                variants.append(self._variant(event, space))
                self.languages[variants[-1].language] = None
                space = variants[-1].end
                continue
            if event.kind == "end" and event.name == "tu":
                yield variants
                variants = []
            if event.kind != "text" or event.text.strip():
                space = event.end

    def _variant(self, element: Event, space: int) -> _Variant:
        text, inner, tag = Text(""), (0, 0), (0, 0)
        for event in self._events:
            if event.kind == "start" and event.name == "seg":
                text, end = content(self._events, self._markup if self._keep else None, _is_code)
                inner, tag = (event.end, end.start), (event.start, event.end)
            elif event.kind == "end" and event.name == "tuv":
                break
        language = (element.attributes.get("xml:lang") or element.attributes.get("lang") or "?").strip()
        machine = element.attributes.get("creationtool") == "nmt"
        head = element.start, element.end
        return _Variant(language, text, element.line, head, inner, tag, event.end, machine, space)


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Pair]:
    """The text of every unit that has both languages, unless a machine has said the target.

    Raises:
        FormatError: it is no TMX, or has none of one of the languages.
    """
    memory = _Memory(Markup(file, name), keep=False)
    found = False
    for variants in memory.units():
        source, target = _sides(variants, wanted)
        if source and target and not target.of_machine:
            found = True
            yield Pair(source.text.plain, target.text.plain, memory.line)
    if not found:
        for language in (wanted.source, wanted.target):
            if not any(speaks(code, language) for code in memory.languages):
                raise not_there(name, language, list(memory.languages))
        raise FormatError(f"{name}: no unit has both {wanted.source} and {wanted.target}; expected translations")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every unit that lacks the target language, or for every one where ``again`` is wanted.

    Raises:
        FormatError: it is no TMX, or has none of the source language.
    """
    markup = Markup(file, name, keep=True)
    memory = _Memory(markup, keep=True)
    found = False
    for variants in memory.units():
        source, target = _sides(variants, wanted)
        found = found or source is not None
        end = variants[-1].end if variants else 0
        if not source or not source.text.plain.strip():
            yield markup.take(end)
        elif not target:
            space = markup.raw(source.space, source.head[0])
            yield from edited(markup.take, [(source.end, source.end, _added(markup, source, wanted, space))], end)
        elif target.tag[1] and (wanted.again or not target.text.plain.strip()):
            yield from edited(markup.take, _replaced(markup, source, target), end)
        else:
            yield markup.take(end)
    if not found:
        raise not_there(name, wanted.source, list(memory.languages))
    yield markup.take(markup.size)


def _sides(variants: list[_Variant], wanted: Wanted) -> tuple[_Variant | None, _Variant | None]:
    """The variants of both languages; of one that stands there with and without a region, what was asked for."""
    codes = tuple(_plain(language) for language in (wanted.source, wanted.target))
    sides: list[_Variant | None] = []
    for code, other in (codes, codes[::-1]):
        mine = [variant for variant in variants if speaks(variant.language, code) and variant not in sides]
        exact = [variant for variant in mine if _plain(variant.language) == code]
        sides.append(next(iter(exact or [variant for variant in mine if _plain(variant.language) != other]), None))
    return sides[0], sides[1]


def _plain(language: str) -> str:
    return language.lower().replace("_", "-")


def _added(markup: Markup, source: _Variant, wanted: Wanted, space: str) -> Slot:
    """A new ``tuv`` behind that of the source, marked as the work of a machine."""
    before, behind = markup.raw(source.head[0], source.tag[0]), markup.raw(source.inner[1], source.end)
    inside = before[before.rindex(">") + 1 :]  # white space
    behind = behind[behind.index(">") + 1 : behind.rindex("<")]
    behind = "" if behind.strip() else behind
    like, language = markup.raw(source.head[0], source.end), wanted.target.replace("_", "-")

    def fill(translations: Sequence[Text]) -> bytes:
        return markup.encoded(
            f'{space}<tuv xml:lang="{language}"{_MACHINE}>{inside}'
            f"<seg>{rendered(translations[0], like)}</seg>{behind}</tuv>"
        )

    return Slot(f"line {source.line:,}", (source.text,), fill)


def _replaced(markup: Markup, source: _Variant, target: _Variant) -> Iterator[tuple[int, int, Part]]:
    """The content of the ``seg`` that is there, and whose work it is."""
    head, like = without(markup.raw(*target.head), _CREATION), markup.raw(source.head[0], source.end)
    yield *target.head, markup.encoded(f"{head[:-1].rstrip()}{_MACHINE}>")
    tag = markup.raw(*target.tag)
    empty = tag.rstrip().endswith("/>")
    start, end = target.tag if empty else target.inner

    def fill(translations: Sequence[Text]) -> bytes:
        inner = rendered(translations[0], like)
        return markup.encoded(f"{tag.rstrip()[:-2].rstrip()}>{inner}</seg>" if empty else inner)

    yield start, end, Slot(f"line {target.line:,}", (source.text,), fill)
