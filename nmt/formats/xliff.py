"""XLIFF 1.2 and 2.x, what translation jobs come in: units of a source and its target.

The formats: http://docs.oasis-open.org/xliff/v1.2 and .../xliff-core/v2.1. What a machine has translated says so, in
its state: ``needs-review-translation`` of an ``mt-suggestion`` in 1.2, ``translated`` with the substate ``nmt:machine``
in 2.x. A unit that somebody has approved is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from nmt.formats.document import FormatError, Pair, Part, Slot, Text, Wanted, edited, not_there, speaks
from nmt.formats.markup import Event, Markup, content, rendered, without

_MACHINE_1 = ' state="needs-review-translation" state-qualifier="mt-suggestion"'
_MACHINE_2 = ' state="translated" subState="nmt:machine"'
# States of which a target is only there to be overwritten.
_UNTRANSLATED = ("new", "needs-translation", "initial")
_STATE = ("state", "state-qualifier", "subState")


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
    line: int
    tag: tuple[int, int]  # the bytes of its first tag
    source: _Side | None
    target: _Side | None
    end: int
    translate: bool
    behind: int  # where a target belongs: the end of the source, or of how it has been segmented

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

    @property
    def of_machine(self) -> bool:
        """Whether a machine has said it, and nobody has approved it."""
        about = self.about | (self.target.attributes if self.target else {})
        machine = about.get("state-qualifier") == "mt-suggestion" or about.get("subState") == "nmt:machine"
        return machine and not self.approved


class _Job:
    """The units of a file, one after the other.

    Args:
        wanted: its languages are those of the file, or it is refused.
        keep: whether marks and bytes are wanted.
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted, keep: bool) -> None:
        self.markup, self._name, self._wanted, self._keep = Markup(file, name, keep), name, wanted, keep
        self._events = iter(self.markup)
        self.second = False  # whether it is of version 2
        self.unsaid: tuple[int, int, str] | None = None  # a tag without the target language, and its attribute's name

    def units(self) -> Iterator[_Unit]:
        """Every unit; those of a <file> of other languages are left out.

        Raises:
            FormatError: this is no XLIFF, or all of it is of other languages.
        """
        opened: list[Event] = []
        wrong: FormatError | None = None
        refused: list[FormatError | None] = []
        for event in self._events:
            if event.kind == "end":
                opened.pop()
            if event.kind != "start":
                continue
            if not opened:
                self._begin(event)
            if event.name == ("xliff" if self.second else "file"):
                wrong = self._checked(event)
                refused.append(wrong)
            if event.name == ("segment" if self.second else "trans-unit"):
                unit = self._unit(event, [*opened, event])
                if wrong is None:
                    yield unit
            else:
                opened.append(event)
        if wrong is not None and all(refused):
            raise wrong

    def _begin(self, element: Event) -> None:
        version = element.attributes.get("version", "")
        if element.name != "xliff" or not version.startswith(("1.", "2.")):
            received = f"<{element.name}" + f' version="{version}"' * (element.name == "xliff")
            raise FormatError(f"{self._name}: begins with {received}>, expected <xliff> of version 1.2 or 2.x")
        self.second = version.startswith("2")

    def _checked(self, element: Event) -> FormatError | None:
        """What is wrong with the languages that ``element`` tells."""
        self.unsaid = None
        names = ("srcLang", "trgLang") if self.second else ("source-language", "target-language")
        for language, name in zip((self._wanted.source, self._wanted.target), names, strict=True):
            code = element.attributes.get(name)
            if code and not speaks(code, language):
                return not_there(f"{self._name}, line {element.line:,} ({name})", language, [code])
        if not code:
            self.unsaid = (element.start, element.end, name)
        return None

    def _unit(self, element: Event, opened: Sequence[Event]) -> _Unit:
        sides: dict[str, _Side] = {}
        settings = {key: value for event in opened for key, value in event.attributes.items()}
        space, depth, behind = element.end, 0, 0
        for event in self._events:
            last = event
            if event.kind == "start" and event.name in ("source", "target") and not depth:
                text, last = content(self._events, self.markup if self._keep else None, _is_code)
                if (event.attributes.get("xml:space") or settings.get("xml:space")) != "preserve":
                    text = text._replace(plain=re.sub(r"[\t\n\r]", " ", text.plain))
                tag = event.start, event.end
                sides[event.name] = _Side(text, event.attributes, event.line, tag, last.start, last.end, space)
            else:
                depth += (event.kind == "start") - (event.kind == "end")
            if depth < 0:
                break
            if not depth and last.kind == "end" and event.name in ("source", "seg-source"):
                behind = last.end
            if last.kind != "text" or last.text.strip():
                space = last.end
        return _Unit(
            element.attributes,
            element.line,
            (element.start, element.end),
            sides.get("source"),
            sides.get("target"),
            event.end,
            settings.get("translate") != "no",
            behind,
        )


def _is_code(element: Event) -> bool:
    """Whether it stands, with what it contains, for something of another format, or is not to be translated."""
    about = element.attributes
    protected = element.name == "mrk" and (about.get("mtype") == "protected" or about.get("translate") == "no")
    return protected or element.name in ("x", "bx", "ex", "ph", "bpt", "ept", "it", "sc", "ec", "sm", "em", "cp")


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Pair]:
    """The text of every unit that has been translated, not by a machine alone.

    Raises:
        FormatError: it is no XLIFF, of other languages, or nothing in it has been translated.
    """
    found = False
    for unit in _Job(file, name, wanted, keep=False).units():
        if unit.source and unit.target and unit.translated and not unit.of_machine:
            found = True
            yield Pair(unit.source.text.plain, unit.target.text.plain, unit.line)
    if not found:
        raise FormatError(f"{name}: none of its units has a target that a person has seen; expected translations")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every unit without a translation; where that is wanted ``again`` for every
    one that is not approved. A <file> of other languages stays as it is.

    Raises:
        FormatError: it is no XLIFF, or all of it is of other languages.
    """
    job = _Job(file, name, wanted, keep=True)
    markup = job.markup
    for unit in job.units():
        edits: list[tuple[int, int, Part]] = []
        if job.unsaid is not None:
            start, end, attribute = job.unsaid
            head, language = without(markup.raw(start, end), (attribute,)), wanted.target.replace("_", "-")
            edits.append((start, end, markup.encoded(f'{head[:-1]} {attribute}="{language}">')))
            job.unsaid = None
        unfilled = not unit.approved if wanted.again else not (unit.approved or unit.translated)
        if unfilled and unit.translate and unit.source and unit.source.text.plain.strip():
            edits += _filled(markup, unit, unit.source, second=job.second)
        yield from edited(markup.take, edits, unit.end)
    yield markup.take(markup.size)


def _filled(markup: Markup, unit: _Unit, source: _Side, second: bool) -> Iterator[tuple[int, int, Part]]:
    """The edits that give ``unit`` a target."""
    prefix = markup.raw(*source.tag)[1:].partition("source")[0]  # a namespace's
    space, attributes, place = markup.raw(source.space, source.tag[0]), "", (unit.behind, unit.behind)
    if unit.target:
        space, place = "", (unit.target.tag[0], unit.target.end)
        attributes = markup.raw(*unit.target.tag)[len(f"<{prefix}target") : -1].rstrip().removesuffix("/").rstrip()
        attributes = without(attributes, _STATE)
    attributes += "" if second else _MACHINE_1
    if "xml:space" in source.attributes and not (unit.target and "xml:space" in unit.target.attributes):
        attributes += f' xml:space="{source.attributes["xml:space"]}"'
    like = markup.raw(source.tag[0], source.end)

    def fill(translations: Sequence[Text]) -> bytes:
        inner = rendered(translations[0], like)
        return markup.encoded(f"{space}<{prefix}target{attributes}>{inner}</{prefix}target>")

    yield *place, Slot(f"line {source.line:,}", (source.text,), fill)
    if second:
        tag = without(markup.raw(*unit.tag), _STATE)
        yield *unit.tag, markup.encoded(f"{tag[:-1]}{_MACHINE_2}>")
