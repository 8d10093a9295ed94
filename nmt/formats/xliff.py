"""XLIFF 1.2 and 2.x, what translation jobs come in: units of a source and its target.

The formats: http://docs.oasis-open.org/xliff/v1.2 and .../xliff-core/v2.1. What a machine has translated says so, in
its state: ``needs-review-translation`` of an ``mt-suggestion`` in 1.2, ``translated`` with the substate ``nmt:machine``
in 2.x. A unit that somebody has approved is never changed. Where a unit of 1.2 has been cut into segments (``<mrk
mtype="seg">``), they are translated one by one, and the target has the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from nmt.formats.document import FormatError, Mark, Pair, Part, Slot, Text, Wanted, edited, not_there, speaks
from nmt.formats.markup import Event, Markup, attributes, content, rendered, without

_MACHINE_1 = ' state="needs-review-translation" state-qualifier="mt-suggestion"'
_MACHINE_2 = ' state="translated" subState="nmt:machine"'
# States of which a target is only there to be overwritten.
_UNTRANSLATED = ("new", "needs-translation", "initial")
_STATE = ("state", "state-qualifier", "subState")
_MRK = re.compile(r"<(?:[^\s<>/:]+:)?mrk(?=[\s/>])")


class _Side(NamedTuple):
    """A source or a target, and the bytes that it stands in."""

    text: Text
    attributes: dict[str, str]
    line: int
    tag: tuple[int, int]
    inner_end: int
    end: int
    space: int  # where the white space before it begins


class _Segments(NamedTuple):
    """A source that has been cut into sentences, and what its target has of them."""

    pieces: list[Text]  # every second one is a segment; what stands around them belongs to the target, too
    names: list[str]  # of the segments
    there: dict[str, Text]  # by name, what has been translated
    fit: bool  # whether that is all that stands in the target

    def unfilled(self, known: dict[str, Text]) -> list[Text]:
        """The segments that say something, but those ``known``."""
        return [text for text, name in self._named() if text.plain.strip() and name not in known]

    def filled(self, known: dict[str, Text], translations: Sequence[Text]) -> Text:
        """The text with those ``known``, and with ``translations`` for those ``unfilled``."""
        following, pieces = iter(translations), list(self.pieces)
        pieces[1::2] = [
            text if not text.plain.strip() else known[name] if name in known else next(following)
            for text, name in self._named()
        ]
        return Text.joined(pieces, "")

    def pairs(self) -> list[tuple[Text, Text]]:
        """The segments that have a translation."""
        return [(text, self.there[name]) for text, name in self._named() if text.plain.strip() and name in self.there]

    def _named(self) -> Iterator[tuple[Text, str]]:
        return zip(self.pieces[1::2], self.names, strict=True)


class _Unit(NamedTuple):
    """A trans-unit of 1.2, a segment of 2.x."""

    about: dict[str, str]  # its attributes
    line: int
    tag: tuple[int, int]  # the bytes of its first tag
    source: _Side | None
    target: _Side | None
    segments: _Segments | None
    end: int
    translate: bool
    ours: bool  # whether it is of the languages that are wanted
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
        if target is None or not target.text.plain.strip() or self.state in _UNTRANSLATED:
            return False
        if self.segments is None or not any(map(_is_segment, target.text.marks)):
            return True
        # What is segmented otherwise is a person's work that would be lost.
        return not self.segments.fit or not self.segments.unfilled(self.segments.there)

    def pairs(self) -> list[tuple[Text, Text]]:
        """What a person has translated of it: its segments, were it some of them, or all in one."""
        if self.source is None or self.target is None or self.of_machine or self.state in _UNTRANSLATED:
            return []
        segments = self.segments.pairs() if self.segments else []
        return segments or [(self.source.text, self.target.text)] * self.translated

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
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted) -> None:
        self.markup, self._name, self._wanted = Markup(file, name, keep=True), name, wanted
        self._events = iter(self.markup)
        self.second = False  # whether it is of version 2
        self.unsaid: tuple[int, int, str] | None = None  # a tag without the target language, and its attribute's name

    def units(self) -> Iterator[_Unit]:
        """Every unit, those of a <file> of other languages too; up to the end of each, bytes are to be taken.

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
                yield self._unit(event, [*opened, event], ours=wrong is None)
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

    def _unit(self, element: Event, opened: Sequence[Event], ours: bool) -> _Unit:
        sides: dict[str, _Side] = {}
        settings = {key: value for event in opened for key, value in event.attributes.items()}
        space, depth, behind = element.end, 0, 0
        for event in self._events:
            last = event
            if event.kind == "start" and event.name in ("source", "seg-source", "target") and not depth:
                text, last = content(self._events, self.markup, _is_code)
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
        source, target = sides.get("source"), sides.get("target")
        return _Unit(
            element.attributes,
            element.line,
            (element.start, element.end),
            source,
            target,
            _segments(sides.get("seg-source"), source, target),
            event.end,
            settings.get("translate") != "no",
            ours,
            behind,
        )


def _is_code(element: Event) -> bool:
    """Whether it stands, with what it contains, for something of another format, or is not to be translated."""
    about = element.attributes
    protected = element.name == "mrk" and (about.get("mtype") == "protected" or about.get("translate") == "no")
    return protected or element.name in ("x", "bx", "ex", "ph", "bpt", "ept", "it", "sc", "ec", "sm", "em", "cp")


def _is_segment(mark: Mark) -> bool:
    """Whether a segment begins there, or stands there empty."""
    first = mark.opens or mark.code.endswith("/>")
    return first and bool(_MRK.match(mark.code)) and attributes(mark.code).get("mtype") == "seg"


def _cut(text: Text) -> tuple[list[Text], list[str]]:
    """``text`` in pieces, of which every second one is a segment, and the segments' names."""
    places: list[tuple[int, int]] = []
    names: list[str] = []
    behind = 0
    for number, mark in enumerate(text.marks):
        if number >= behind and mark.opens and _is_segment(mark):
            behind = next(i for i in range(number + 1, len(text.marks)) if text.marks[i].pair == mark.pair)
            places += [(mark.place, number + 1), (text.marks[behind].place, behind)]
            names.append(attributes(mark.code).get("mid", str(len(names))))
    return text.cut(places), names


def _segments(segmented: _Side | None, source: _Side | None, target: _Side | None) -> _Segments | None:
    """The segments of a unit: as ``segmented`` has them, or its source, or as the one of its target."""
    if not any(_is_segment(mark) for side in (segmented, source, target) if side for mark in side.text.marks):
        return None
    there, inside = _cut(target.text) if target else ([Text("")], [])
    for side in (segmented, source):
        pieces, names = _cut(side.text) if side else ([], [])
        if names:
            break
    else:
        marks = [mark for mark in target.text.marks if _is_segment(mark)] if target else []
        if source is None or len(marks) != 1:
            return None
        tag = marks[0].code.removesuffix("/>").rstrip().removesuffix(">")
        opening, closing = Mark(0, f"{tag}>", "mrk", True), Mark(0, f"</{tag[1:].split()[0]}>", "mrk")
        pieces, names = [Text("", (opening,)), source.text, Text("", (closing,))], [attributes(tag).get("mid", "0")]
    if any(len(set(mids)) < len(mids) for mids in (names, inside)):
        # Nobody can tell which is of which: what is there is not taken apart, and stays.
        return _Segments(pieces, names, {}, fit=False)
    known = {name: text for name, text in zip(inside, there[1::2], strict=True) if text.plain.strip()}
    around = ["".join("".join(text.plain for text in texts[::2]).split()) for texts in (there, pieces)]
    return _Segments(pieces, names, known, fit=known.keys() <= set(names) and around[0] in ("", around[1]))


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Pair]:
    """The text of every unit, or segment, that has been translated, not by a machine alone.

    Raises:
        FormatError: it is no XLIFF, of other languages, or nothing in it has been translated.
    """
    found = False
    job = _Job(file, name, wanted)
    for unit in job.units():
        job.markup.take(unit.end)
        for source, target in unit.pairs() if unit.ours else []:
            found = True
            yield Pair(source.plain, target.plain, unit.line)
    if not found:
        raise FormatError(f"{name}: none of its units has a target that a person has seen; expected translations")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every unit without a translation; where that is wanted ``again`` for every
    one that is not approved. A <file> of other languages stays as it is.

    Raises:
        FormatError: it is no XLIFF, or all of it is of other languages.
    """
    job = _Job(file, name, wanted)
    markup = job.markup
    for unit in job.units():
        edits: list[tuple[int, int, Part]] = []
        if job.unsaid is not None and unit.ours:
            start, end, attribute = job.unsaid
            head, language = without(markup.raw(start, end), (attribute,)), wanted.target.replace("_", "-")
            edits.append((start, end, markup.encoded(f'{head[:-1]} {attribute}="{language}">')))
            job.unsaid = None
        unfilled = not unit.approved if wanted.again else not (unit.approved or unit.translated)
        if unfilled and unit.ours and unit.translate and unit.source and unit.source.text.plain.strip():
            edits += _filled(markup, unit, unit.source, wanted.again, second=job.second)
        yield from edited(markup.take, edits, unit.end)
    yield markup.take(markup.size)


def _filled(markup: Markup, unit: _Unit, source: _Side, again: bool, second: bool) -> Iterator[tuple[int, int, Part]]:
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
    segments = unit.segments or _Segments([Text(""), source.text, Text("")], [""], {}, fit=True)
    known = {} if again or unit.state in _UNTRANSLATED else segments.there

    def fill(translations: Sequence[Text]) -> bytes:
        inner = rendered(segments.filled(known, translations), like)
        return markup.encoded(f"{space}<{prefix}target{attributes}>{inner}</{prefix}target>")

    yield *place, Slot(f"line {source.line:,}", tuple(segments.unfilled(known)), fill)
    if second:
        tag = without(markup.raw(*unit.tag), _STATE)
        yield *unit.tag, markup.encoded(f"{tag[:-1]}{_MACHINE_2}>")
