"""XML as a stream of events, each with the bytes that it stands in, so that all else can be kept as it is.

The parser is Expat, of Python's own library, which knows at every moment where in the file it stands; lxml and the
like give a tree, of which quotes, entities and white space inside tags can no longer be told. Nothing is loaded from
elsewhere, and a document that declares entities is refused: no translation needs them, and they are how a small file
fills the memory or reads another one (billion laughs, external entities).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Container, Iterator
from typing import IO, Any, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

from nmt.formats.document import FormatError, Mark, Text

_CHUNK = 1 << 18

# XML 1.0 cannot hold these, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# One after the other they are found, so nothing inside a value is taken for an attribute. White space is tried once,
# however much of it there is.
_ATTRIBUTE = re.compile(r"""(?<!\s)\s++([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
# Every document begins with one of these; what is not UTF-16 says in its first line what it is.
_BEGINNINGS = {
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}


class Event(NamedTuple):
    """Something that stands in the bytes from ``start`` to ``end`` of a document."""

    kind: str  # "start" or "end" of an element, "text", or "other"
    name: str  # of the element, without the prefix that the outermost one has
    attributes: dict[str, str]  # of a start; with a prefix are those of other namespaces
    text: str
    line: int
    start: int
    end: int

    @property
    def empty(self) -> bool:
        """Whether the end is that of an element such as <x/>, which has no tag of its own for it."""
        return self.start == self.end


class Markup:
    """An XML document that is read once, from its start to its end.

    Args:
        file: of which bytes are read.
        name: of the document, for messages.
        keep: whether its bytes are wanted, by ``take`` and ``raw``; what is not taken stays in memory.
    """

    def __init__(self, file: IO[bytes], name: str, keep: bool = False) -> None:
        self.name = name
        self.encoding = "utf-8"
        self.size = 0  # of what has been read
        self._file, self._keep = file, keep
        self._beginning, self._prefix = b"", ""
        self._held, self._taken = bytearray(), 0  # bytes from that place on
        self._found: list[tuple[str, str, dict[str, str], str, int, int]] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = lambda name: self._add("end", name.removeprefix(self._prefix))
        self._parser.CharacterDataHandler = lambda text: self._add("text", text=text)
        self._parser.DefaultHandler = lambda text: self._add("other")
        self._parser.CommentHandler = lambda text: self._add("other")
        self._parser.ProcessingInstructionHandler = lambda target, text: self._add("other")
        self._parser.StartCdataSectionHandler = lambda: self._add("other")
        self._parser.EndCdataSectionHandler = lambda: self._add("other")
        self._parser.XmlDeclHandler = self._declared
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._refuse_unknown

    def __iter__(self) -> Iterator[Event]:
        """Every event, in order.

        Raises:
            FormatError: it is no well-formed XML, or declares entities.
        """
        last: tuple[str, str, dict[str, str], str, int, int] | None = None
        more = True
        while more:
            chunk = self._file.read(_CHUNK)
            more = bool(chunk)
            if self.size < 2:
                self._beginning += chunk[:2]
                self.encoding = _BEGINNINGS.get(self._beginning[:2], self.encoding)
            self.size += len(chunk)
            if self._keep:
                self._held += chunk
            broken = None
            try:
                self._parser.Parse(chunk, not more)
            except expat.ExpatError as error:
                broken = error
            found, self._found = self._found, []
            for event in found:
                if last is not None:
                    yield Event(*last, event[-1])
                last = event
            if broken is not None:
                why = expat.errors.messages[broken.code]
                encoding = "; convert it to UTF-8, and say so there" if "encoding" in why else ""
                raise FormatError(
                    f"{self.name}, line {broken.lineno:,}, column {broken.offset + 1:,}: no well-formed XML: "
                    f"{why}{encoding}"
                ) from None
        if last is not None:
            yield Event(*last, self.size)

    def take(self, end: int) -> bytes:
        """The bytes up to ``end`` that have not been taken yet; none if they all have."""
        taken = bytes(self._held[: max(0, end - self._taken)])
        del self._held[: len(taken)]
        self._taken += len(taken)
        return taken

    def raw(self, start: int, end: int) -> str:
        """What stands in the bytes from ``start`` to ``end``, which have not been taken yet."""
        return self._held[start - self._taken : end - self._taken].decode(self.encoding, "replace")

    def encoded(self, content: str) -> bytes:
        """``content`` in the encoding of the document."""
        return _FORBIDDEN.sub("", content).encode(self.encoding, "xmlcharrefreplace")

    def _add(self, kind: str, name: str = "", attributes: dict[str, str] | None = None, text: str = "") -> None:
        parser = self._parser
        self._found.append((kind, name, attributes or {}, text, parser.CurrentLineNumber, parser.CurrentByteIndex))

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._prefix = name[: name.rfind(":") + 1]
        self._parser.StartElementHandler = self._start
        self._start(name, attributes)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._add("start", name.removeprefix(self._prefix), attributes)

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and not self.encoding.startswith("utf-16"):
            self.encoding = encoding
            if not _is_readable(encoding):
                raise FormatError(
                    f"{self.name}: its encoding {encoding} is not one that XML is read in; convert it to UTF-8, and "
                    "say so in its first line"
                )
        self._add("other")

    def _refuse_entity(self, name: str, *more: Any) -> None:
        raise FormatError(
            f"{self.name}, line {self._parser.CurrentLineNumber:,}: declares the entity {name}, which is not safe to "
            "read and never needed; write out what it stands for"
        )

    def _refuse_unknown(self, name: str, is_parameter: int) -> None:
        if not is_parameter:
            raise FormatError(
                f"{self.name}, line {self._parser.CurrentLineNumber:,}: &{name}; is not one of XML's entities; write "
                "the character itself"
            )


def content(events: Iterator[Event], markup: Markup | None, is_code: Callable[[Event], bool]) -> tuple[Text, Event]:
    """The text of the element that has just started, and its end; the events up to that are used up.

    Args:
        markup: where the marks' bytes are found; None: the text is wanted without marks.
        is_code: whether an element stands, with all that it contains, for something that is no text; what other
            elements contain is.
    """
    plain: list[str] = []
    marks: list[Mark] = []
    opened: list[tuple[str, int]] = []  # elements: what their marks share, and the number of the first one
    place = number = 0
    for event in events:
        if event.kind == "text":
            plain.append(event.text)
            place += len(event.text)
        elif event.kind == "start" and is_code(event):
            end = _end(events, event)
            if markup is not None:
                marks.append(Mark(place, markup.raw(event.start, end), *_role(event)))
        elif event.kind == "start":
            opened.append((f"{event.name} {number}", len(marks)))
            number += 1
            if markup is not None:
                marks.append(Mark(place, markup.raw(event.start, event.end), opened[-1][0], True))
        elif event.kind == "end":
            if not opened:
                return Text("".join(plain), tuple(marks)), event
            pair, first = opened.pop()
            if markup is None:
                continue
            if event.empty:
                marks[first] = Mark(place, marks[first].code)
            else:
                marks.append(Mark(place, markup.raw(event.start, event.end), pair))
    raise AssertionError("Expat refuses an element that does not end")


def _end(events: Iterator[Event], element: Event) -> int:
    """Where ``element`` ends, with all that it contains."""
    depth = 1
    for event in events:
        depth += (event.kind == "start") - (event.kind == "end")
        if not depth:
            return event.end
    return element.end


def _role(element: Event) -> tuple[str | None, bool]:
    """What a code shares with the one that it opens or closes, by TMX's and XLIFF's names; whether it opens."""
    about = element.attributes
    if element.name in ("bpt", "bx", "sc", "sm"):
        return f"code {about.get('i') or about.get('rid') or about.get('id')}", True
    if element.name in ("ept", "ex", "ec", "em"):
        return f"code {about.get('startRef') or about.get('i') or about.get('rid') or about.get('id')}", False
    return None, False


def rendered(text: Text, like: str) -> str:
    """``text`` with its marks, as XML whose lines end as those of ``like``, a piece of the document, do."""
    end = "\r\n" if "\r\n" in like else "\n"
    # A reader takes every line end for \n, so a carriage return that is meant has to be written as a number.
    return text.render(lambda plain: escape(plain, {"\r": "&#13;"}).replace("\n", end))


def attributes(tag: str) -> dict[str, str]:
    """What ``tag`` says, as it stands there."""
    return {found[1]: found[2][1:-1] for found in _ATTRIBUTE.finditer(tag)}


def without(tag: str, names: Container[str]) -> str:
    """``tag``, or a piece of it, without the attributes called ``names``."""
    return _ATTRIBUTE.sub(lambda found: "" if found[1] in names else found[0], tag)


def _is_readable(encoding: str) -> bool:
    """Whether Expat reads it: UTF-8, UTF-16, and what has one byte for a character."""
    try:
        if codecs.lookup(encoding).name in ("utf-8", "utf-16"):
            return encoding.lower() in ("utf-8", "utf-16")
        return len(bytes(range(256)).decode(encoding, "replace")) == 256
    except (LookupError, UnicodeError):
        return False
