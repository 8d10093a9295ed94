"""XLIFF 1.2 and 2.x, what translation jobs come in: units of a source and its target.

The formats: http://docs.oasis-open.org/xliff/v1.2 and .../xliff-core/v2.1. What a machine has translated says so, in
its state: ``needs-review-translation`` of an ``mt-suggestion`` in 1.2, ``translated`` with the substate ``nmt:machine``
in 2.x. A unit that somebody has approved is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from nmt.formats.document import FormatError, Part, Slot, Text, Wanted, edited, not_there, speaks
from nmt.formats.markup import Event, Markup, content, rendered

_MACHINE_1 = ' state="needs-review-translation" state-qualifier="mt-suggestion"'
_MACHINE_2 = ' state="translated" subState="nmt:machine"'
# States of which a target is only there to be overwritten.
_UNTRANSLATED = ("new", "needs-translation", "initial")
_STATE = re.compile(r"""\s+(?:state|state-qualifier|subState)\s*=\s*("[^"]*"|'[^']*')""")


class _Side(NamedTuple):
    """A source or a target, and the bytes that it stands in."""

    text: Text
    attributes: dict[str, str]
    line: int
    tag: tuple[int, int]
    inner_end: int
    end: int
    space: int  # where the white space before it begins


class _Unit(NamedTuple):
    """A trans-unit of 1.2, a segment of 2.x."""

    about: dict[str, str]  # its attributes
    tag: tuple[int, int]  # the bytes of its first tag
    source: _Side | None
    target: _Side | None
    end: int
    translate: bool

    @property
    def state(self) -> str | None:
        return self.about.get("state") or (self.target.attributes.get("state") if self.target else None)

    @property
    def approved(self) -> bool:
        return self.about.get("approved") == "yes" or self.state in ("final", "signed-off")

    @property
    def translated(self) -> bool:
        target = self.target
        return target is not None and bool(target.text.plain.strip()) and self.state not in _UNTRANSLATED


class _Job:
    """The units of a file, one after the other.

    Args:
        wanted: its languages are those of the file, or it is refused.
        keep: whether marks and bytes are wanted.
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted, keep: bool) -> None:
        self.markup, self._name, self._wanted, self._keep = Markup(file, name, keep), name, wanted, keep
        self._events = iter(self.markup)
        self._unsaid: list[tuple[int, str]] = []
        self.second = False  # whether it is of version 2

    def said(self) -> list[tuple[int, str]]:
        """Where the document does not say what its target language is, and how to say it; told once."""
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def units(self) -> Iterator[_Unit]:
        """Every unit.

        Raises:
            FormatError: this is no XLIFF, or of other languages.
        """
        opened: list[Event] = []
        for event in self._events:
            if event.kind == "end":
                opened.pop()
            if event.kind != "start":
                continue
            if not opened:
                self._begin(event)
            if event.name == ("xliff" if self.second else "file"):
                self._check(event)
            if event.name == ("segment" if self.second else "trans-unit"):
                yield self._unit(event, [*opened, event])
            else:
                opened.append(event)

    def _begin(self, element: Event) -> None:
        version = element.attributes.get("version", "")
        if element.name != "xliff" or not version.startswith(("1.", "2.")):
            received = f"<{element.name}" + f' version="{version}"' * (element.name == "xliff")
            raise FormatError(f"{self._name}: begins with {received}>, expected <xliff> of version 1.2 or 2.x")
        self.second = version.startswith("2")

    def _check(self, element: Event) -> None:
        """Refuse other languages."""
        names = ("srcLang", "trgLang") if self.second else ("source-language", "target-language")
        for language, name in zip((self._wanted.source, self._wanted.target), names, strict=True):
            code = element.attributes.get(name)
            if code is None and name == names[1]:
                self._unsaid.append((element.end - 1, f' {name}="{language}"'))
            elif code is not None and not speaks(code, language):
                raise not_there(f"{self._name}, line {element.line:,} ({name})", language, [code])

    def _unit(self, element: Event, opened: Sequence[Event]) -> _Unit:
        sides: dict[str, _Side] = {}
        settings = {key: value for event in opened for key, value in event.attributes.items()}
        space, depth = element.end, 0
        for event in self._events:
            last = event
            if event.kind == "start" and event.name in ("source", "target") and not depth:
                text, last = content(self._events, self.markup if self._keep else None, _is_code)
                if (event.attributes.get("xml:space") or settings.get("xml:space")) != "preserve":
                    text = text._replace(plain=re.sub(r"\s", " ", text.plain))
                tag = event.start, event.end
                sides[event.name] = _Side(text, event.attributes, event.line, tag, last.start, last.end, space)
            else:
                depth += (event.kind == "start") - (event.kind == "end")
            if depth < 0:
                break
            if last.kind != "text" or last.text.strip():
                space = last.end
        return _Unit(
            element.attributes,
            (element.start, element.end),
            sides.get("source"),
            sides.get("target"),
            event.end,
            settings.get("translate") != "no",
        )


def _is_code(element: Event) -> bool:
    """Whether it stands, with what it contains, for something of another format, or is not to be translated."""
    about = element.attributes
    protected = element.name == "mrk" and (about.get("mtype") == "protected" or about.get("translate") == "no")
    return protected or element.name in ("x", "bx", "ex", "ph", "bpt", "ept", "it", "sc", "ec", "sm", "em", "cp")


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[tuple[str, str]]:
    """The text of every unit that has been translated.

    Raises:
        FormatError: it is no XLIFF, of other languages, or nothing in it has been translated.
    """
    found = False
    for unit in _Job(file, name, wanted, keep=False).units():
        if unit.source and unit.target and unit.translated:
            found = True
            yield unit.source.text.plain, unit.target.text.plain
    if not found:
        raise FormatError(f"{name}: none of its units has a target; expected translations to learn from")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every unit without a translation; where that is wanted ``again`` for every
    one that is not approved.

    Raises:
        FormatError: it is no XLIFF, or of other languages.
    """
    job = _Job(file, name, wanted, keep=True)
    markup = job.markup
    for unit in job.units():
        edits: list[tuple[int, int, Part]] = [(place, place, markup.encoded(said)) for place, said in job.said()]
        unfilled = not unit.approved if wanted.again else not (unit.approved or unit.translated)
        if unfilled and unit.translate and unit.source and unit.source.text.plain.strip():
            edits += _filled(markup, unit, unit.source, second=job.second)
        yield from edited(markup.take, edits, unit.end)
    yield markup.take(markup.size)


def _filled(markup: Markup, unit: _Unit, source: _Side, second: bool) -> Iterator[tuple[int, int, Part]]:
    """The edits that give ``unit`` a target."""
    space, attributes, place = markup.raw(source.space, source.tag[0]), "", (source.end, source.end)
    if unit.target:
        space, place = "", (unit.target.tag[0], unit.target.end)
        tag = markup.raw(*unit.target.tag)
        attributes = _STATE.sub("", tag[tag.index("target") + len("target") : -1].rstrip("/").rstrip())
    attributes += "" if second else _MACHINE_1
    prefix = markup.raw(*source.tag)[1:].partition("source")[0]  # a namespace's

    def fill(translations: Sequence[Text]) -> bytes:
        inner = rendered(translations[0])
        return markup.encoded(f"{space}<{prefix}target{attributes}>{inner}</{prefix}target>")

    yield *place, Slot(f"line {source.line:,}", (source.text,), fill)
    if second:
        tag = _STATE.sub("", markup.raw(*unit.tag))
        yield *unit.tag, markup.encoded(f"{tag[:-1]}{_MACHINE_2}>")
