"""PO and POT, the message catalogues of gettext.

They are read here, line by line: polib and the like write an entry anew, with other line breaks, and refuse, drop or
misread what msgfmt allows, such as ``#,fuzzy`` and U+2028. Only the ``msgstr`` of an entry changes, and its flags, in
which ``fuzzy`` marks what a machine has said.

The format: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import IO, NamedTuple

from babel.core import UnknownLocaleError
from babel.messages.plurals import get_plural

from nmt.formats.document import FormatError, Pair, Part, Slot, Text, Wanted, not_there, speaks

_BOM = b"\xef\xbb\xbf"
_CHARSET = re.compile(
    rb'^(?:msgstr\s*)?"(?:[^"]*\\n)?Content-Type:[^"\\]*charset=([\w.-]+)', re.MULTILINE | re.IGNORECASE
)
_PLURALS = re.compile(r"nplurals\s*=\s*([0-9]{1,9})\s*;\s*plural\s*=\s*([^;\\]+)")
_MOST_FORMS = 10  # no language has more than six
_LINE = re.compile(
    r"\s*+(?:(?P<key>msgctxt|msgid|msgid_plural|msgstr|msgstr\[(?P<form>[0-9]{1,2})\])?\s*+"
    r'"(?P<text>(?:[^"\\]|\\.)*)")?\s*'
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPED = {character: f"\\{letter}" for letter, character in _ESCAPES.items()} | {'"': '\\"', "\\": "\\\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))")


class _Entry(NamedTuple):
    """An entry, and the lines that it stands in."""

    said: dict[str, str]  # by keyword
    forms: dict[int, str]  # of a plural
    fuzzy: bool
    obsolete: bool
    start: int  # the index of its first line
    place: int  # that of its msgid, or msgctxt
    end: int  # that behind its last one

    @property
    def translated(self) -> bool:
        return bool(self.said.get("msgstr", "").strip()) or any(form.strip() for form in self.forms.values())

    @property
    def is_header(self) -> bool:
        return not self.obsolete and self.said.get("msgid") == "" and "msgctxt" not in self.said


class _Catalogue:
    """A whole file: catalogues are small.

    Raises:
        FormatError: it is no PO, of another language, says something twice, or its encoding is not what it says.
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted) -> None:
        content = file.read()
        self.mark = _BOM if content.startswith(_BOM) else b""
        content = content.removeprefix(_BOM)
        named = _CHARSET.search(content)
        self.name = name
        self.encoding = "utf-8" if self.mark or not named or named[1] == b"CHARSET" else named[1].decode()
        try:
            if "\n".encode(self.encoding) != b"\n":
                raise LookupError
            # Bytes are cut, so that those which stay are not decoded and encoded. No encoding has \n for anything else.
            self.bytes = re.findall(rb"[^\n]*\n|[^\n]+", content)
            self.lines = [self._decoded(line, number) for number, line in enumerate(self.bytes, 1)]
        except (LookupError, UnicodeError):
            raise FormatError(
                f"{name}: its encoding {self.encoding} is not one that a PO file can have; convert it: msgconv -t UTF-8"
            ) from None
        entries = list(_entries(self.lines, name))
        _check_duplicates(entries, name)
        header = next((entry for entry in entries if entry.is_header), None)
        about = header.said["msgstr"] if header else ""
        if (language := _field("Language", about)) and not speaks(language, wanted.target):
            raise not_there(f"{name} (its header's Language)", wanted.target, [language])
        if all(entry is header for entry in entries):
            raise FormatError(f"{name} has no entries; expected msgid and msgstr")
        self.entries, self.header = entries, header
        said = _PLURALS.search(_field("Plural-Forms", about))
        self.forms, self.expression = (int(said[1]), said[2].strip()) if said else _plurals(wanted.target)
        if not 1 <= self.forms <= _MOST_FORMS:
            raise FormatError(
                f"{name}: its header's nplurals={self.forms} is wrong; expected from 1 to {_MOST_FORMS}, for "
                f"{wanted.target} {_plurals(wanted.target)[0]}"
            )

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{self.name}, line {number:,}: byte 0x{line[error.start]:02x} is not valid {self.encoding}, which is "
                "what its header says; mend the line or the header"
            ) from None

    @cached_property
    def form_of_one(self) -> int:
        """The number of the plural form that goes with 1.

        Raises:
            FormatError: the header's expression is none.
        """
        try:
            form: int = gettext.c2py(self.expression)(1)
        except (ValueError, ArithmeticError) as error:
            raise FormatError(f"{self.name}: its header's plural={self.expression!r} is wrong: {error}") from None
        return form

    def encoded(self, text: str, where: str) -> bytes:
        """``text`` in the encoding of the file.

        Raises:
            FormatError: that has no such character.
        """
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise FormatError(
                f"{self.name}, {where}: {self.encoding} has no {text[error.start]!r}; convert the file first: "
                "msgconv -t UTF-8"
            ) from None


def _entries(lines: Sequence[str], name: str) -> Iterator[_Entry]:
    """The entries of a file, the header among them.

    Raises:
        FormatError: a line is none of a PO file's, or an entry is not complete.
    """
    said: dict[str, str] = {}
    forms: dict[int, str] = {}
    flags: set[str] = set()
    obsolete, start, place, end, key = False, 0, 0, 0, ""

    def entry() -> _Entry:
        several = "msgid_plural" in said
        if "msgid" not in said or (bool(forms), "msgstr" in said) != (several, not several):
            expected = "msgid_plural and msgstr[0]" if several else "msgid and msgstr"
            raise FormatError(f"{name}, line {place + 1:,}: this entry is not whole; expected {expected}, each once")
        return _Entry(said, forms, "fuzzy" in flags, obsolete, start, place, end)

    for number, line in enumerate(lines):
        stripped = line.strip()
        old = stripped.startswith("#~") and not stripped.startswith("#~|")
        comment = stripped.startswith("#") and not old
        found = None if comment else _LINE.fullmatch(stripped.removeprefix("#~"))
        if not comment and (found is None or (found["text"] is not None and not (found["key"] or key))):
            raise FormatError(
                f"{name}, line {number + 1:,}: {stripped[:50]!r} is not what a PO file is made of; expected a comment, "
                'msgid or the like and a text, or a text, which is in "double quotes"'
            )
        new = comment or (found is not None and found["key"] in ("msgctxt", "msgid"))
        if new and ("msgstr" in said or forms):
            yield entry()
            said, forms, flags, start, key = {}, {}, set(), number, ""
        if comment:
            flags.update(re.split(r"[\s,]+", stripped[2:]) if stripped.startswith("#,") else ())
        elif found is not None and found["text"] is not None:
            if not said:
                obsolete, place = old, number
            if old != obsolete:
                raise FormatError(f"{name}, line {number + 1:,}: expected #~ before all lines of an entry, or none")
            text, end = _ESCAPE.sub(_unescaped, found["text"]), number + 1
            if found["key"]:
                key = found["key"]
                if key in said or (found["form"] and int(found["form"]) in forms):
                    raise FormatError(f"{name}, line {number + 1:,}: a second {key} in one entry; expected one")
            if key.startswith("msgstr["):
                form = int(key[7:-1])
                forms[form] = forms.get(form, "") + text
            else:
                said[key] = said.get(key, "") + text
    if said:
        yield entry()


def _unescaped(found: re.Match[str]) -> str:
    if found[3]:
        return _ESCAPES.get(found[3], found[3])
    return chr(int(found[1], 16) if found[1] else int(found[2], 8))


def _check_duplicates(entries: Sequence[_Entry], name: str) -> None:
    """Refuse two entries with one id, of which programs would use either."""
    known: dict[tuple[str | None, str], int] = {}
    for entry in entries:
        if entry.obsolete:
            continue
        key = entry.said.get("msgctxt"), entry.said["msgid"]
        first = known.setdefault(key, entry.place)
        if first != entry.place:
            what = f"msgid {key[1][:50]!r}" + ("" if key[0] is None else f" of the context {key[0]!r}")
            raise FormatError(
                f"{name}, line {entry.place + 1:,}: {what} is there already, in line {first + 1:,}; expected it once: "
                "msguniq merges them"
            )


def _field(name: str, header: str) -> str:
    found = re.search(rf"^{name}:(.*)", header, re.MULTILINE)
    return found[1].strip() if found else ""


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Pair]:
    """The text of every entry that is translated and not fuzzy; of plurals the forms for one and for many.

    Raises:
        FormatError: it is no PO, of another language, or nothing in it is translated.
    """
    catalogue = _Catalogue(file, name, wanted)
    found = False
    for entry in catalogue.entries:
        if entry.obsolete or entry.fuzzy or entry is catalogue.header:
            continue
        forms = entry.forms
        if forms:
            said = [(entry.said["msgid_plural"], forms[max(forms)])]
            if len(forms) > 1:
                said.insert(0, (entry.said["msgid"], forms.get(catalogue.form_of_one, "")))
        else:
            said = [(entry.said["msgid"], entry.said["msgstr"])]
        for source, target in said:
            if source.strip() and target.strip():
                found = True
                yield from (Pair(a, b, entry.place + 1) for a, b in _by_lines(source, target))
    if not found:
        raise FormatError(f"{name}: none of its entries is translated; expected translations to learn from")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The catalogue: a slot for every entry without a translation, or for every one where ``again`` is wanted.

    Where the header of a template leaves open what the language and its plural forms are, it is filled in.

    Raises:
        FormatError: it is no PO, of another language, or its encoding lacks what has to be said.
    """
    catalogue = _Catalogue(file, name, wanted)
    yield catalogue.mark
    done = 0
    for entry in catalogue.entries:
        if entry is catalogue.header:
            yield b"".join(catalogue.bytes[done : entry.place])
            yield catalogue.encoded(_header(catalogue, entry, wanted), "line 1")
            done = entry.end
        elif not entry.obsolete and (wanted.again or not entry.translated) and entry.said["msgid"].strip():
            yield b"".join(catalogue.bytes[done : entry.start])
            texts = tuple(Text(entry.said[key]) for key in ("msgid", "msgid_plural") if key in entry.said)
            yield Slot(f"line {entry.place + 1:,}", texts, _filling(catalogue, entry))
            done = entry.end
    yield b"".join(catalogue.bytes[done:])


def _filling(catalogue: _Catalogue, entry: _Entry) -> Callable[[Sequence[Text]], bytes]:
    """What fills the slot of ``entry``: all its lines, with a new ``msgstr``."""
    lines, where = catalogue.lines[entry.start : entry.end], f"line {entry.place + 1:,}"
    one = catalogue.form_of_one if entry.forms else 0

    def fill(translations: Sequence[Text]) -> bytes:
        texts = [translation.plain for translation in translations]
        first = next(number for number, line in enumerate(lines) if line.lstrip().startswith("msgstr"))
        end = "\r\n" if lines[first - 1].endswith("\r\n") else "\n"
        if entry.forms:
            forms = {
                f"msgstr[{form}]": texts[0 if form == one and catalogue.forms > 1 else 1]
                for form in range(catalogue.forms)
            }
        else:
            forms = {"msgstr": texts[0]}
        before = _fuzzy(lines[:first], entry, end)
        written = end.join(line for key, text in forms.items() for line in _written(key, text))
        last = end if lines[-1].endswith("\n") else ""
        return catalogue.encoded(f"{''.join(before)}{written}{last}", where)

    return fill


def _written(key: str, text: str) -> list[str]:
    """``text`` as the lines of a PO file: of several lines, each on its own."""
    pieces = re.findall(r"[^\n]*\n|[^\n]+", text) or [""]
    lines = ['"' + "".join(_ESCAPED.get(character, character) for character in piece) + '"' for piece in pieces]
    return [f"{key} {lines[0]}"] if len(lines) == 1 else [f'{key} ""', *lines]


def _fuzzy(lines: list[str], entry: _Entry, end: str) -> list[str]:
    """What stands before the ``msgstr``, with the flag ``fuzzy``."""
    if entry.fuzzy:
        return lines
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#,"):
            rest = line.lstrip()[2:]
            return [*lines[:number], f"#, fuzzy{',' * bool(rest.strip())}{rest}", *lines[number + 1 :]]
    place = next(number for number, line in enumerate(lines) if re.match(r"\s*(msg|#\|)", line))
    return [*lines[:place], f"#, fuzzy{end}", *lines[place:]]


def _header(catalogue: _Catalogue, header: _Entry, wanted: Wanted) -> str:
    """What the header says, with what a template leaves open."""
    plurals = f"nplurals={catalogue.forms}; plural={catalogue.expression};"
    text = "".join(catalogue.lines[header.place : header.end]).replace("charset=CHARSET", "charset=UTF-8")
    language = wanted.target.replace("-", "_")
    text = re.sub(r'("|\\n)Language: *\\n', lambda found: f"{found[1]}Language: {language}\\n", text)
    text = text.replace("nplurals=INTEGER; plural=EXPRESSION;", plurals)
    text = re.sub(r"Plural-Forms: *\\n", lambda found: f"Plural-Forms: {plurals}\\n", text)
    if any(entry.forms for entry in catalogue.entries) and "Plural-Forms:" not in text:
        end = "\r\n" if "\r\n" in text else "\n"
        ended = "" if header.said["msgstr"].endswith("\n") or not header.said["msgstr"] else f'{end}"\\n"'
        body = text.rstrip("\r\n")
        text = f'{body}{ended}{end}"Plural-Forms: {plurals}\\n"{text[len(body) :]}'
    return text


def _plurals(language: str) -> tuple[int, str]:
    """How many plural forms a language has, and the expression that chooses one of them."""
    try:
        found = get_plural(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return 2, "(n != 1)"
    return found.num_plurals, found.plural_expr


def _by_lines(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Texts of as many lines each, line by line; others as they are."""
    lines = source.split("\n"), target.split("\n")
    if len(lines[0]) != len(lines[1]):
        yield source, target
        return
    yield from ((a, b) for a, b in zip(*lines, strict=True) if a.strip() and b.strip())
