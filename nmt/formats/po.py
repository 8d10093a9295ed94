"""PO and POT, the message catalogues of gettext.

polib reads them. It would also write them, but with lines broken anew and entries put in its own order; here only the
``msgstr`` of an entry changes, and its flags, in which ``fuzzy`` marks what a machine has said.

The format: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

import polib
from babel.core import UnknownLocaleError
from babel.messages.plurals import get_plural

from nmt.formats.document import FormatError, Part, Slot, Text, Wanted, not_there, speaks

_CHARSET = re.compile(rb"charset=([\w.-]+)")
_PLURALS = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;\\]+)")


class _Entry(NamedTuple):
    """An entry, and its lines."""

    about: polib.POEntry
    lines: list[str]
    number: int  # of its first line

    @property
    def translated(self) -> bool:
        about = self.about
        return bool(about.msgstr.strip()) or any(form.strip() for form in about.msgstr_plural.values())


class _Catalogue:
    """A whole file: catalogues are small.

    Raises:
        FormatError: it is no PO, of another language, or its encoding is not what it says.
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted) -> None:
        content = file.read()
        named = _CHARSET.search(content)
        encoding = named[1].decode() if named and named[1] != b"CHARSET" else "utf-8"
        self.mark = content.startswith(b"\xef\xbb\xbf")
        try:
            text = content.decode("utf-8-sig" if self.mark else encoding)
        except LookupError:
            raise FormatError(f"{name}: its encoding {encoding} is not known; convert it: msgconv -t UTF-8") from None
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise FormatError(
                f"{name}, line {line:,}: byte 0x{content[error.start]:02x} is not valid {encoding}, which is what its "
                "header says; mend the line or the header"
            ) from None
        self.name, self.encoding = name, encoding
        try:
            found = polib.pofile(text if text.strip() else "\n", check_for_duplicates=True)
        except (OSError, ValueError) as error:
            raise FormatError(f"{name}: no valid PO file: {error}") from None
        language = found.metadata.get("Language", "")
        if language and not speaks(language, wanted.target):
            raise not_there(f"{name} (its header's Language)", wanted.target, [language])
        lines = text.splitlines(keepends=True)  # as polib counts them
        entries = sorted(found, key=lambda entry: entry.linenum)
        starts = [max(0, entry.linenum - 1) for entry in entries]
        if not starts:
            raise FormatError(f"{name} has no entries; expected msgid and msgstr")
        self.header = lines[: starts[0]] if found.metadata else []
        if not found.metadata:
            starts[0] = 0
        ends = [*starts[1:], len(lines)]
        self.entries = [
            _Entry(entry, lines[start:end], start + 1) for entry, start, end in zip(entries, starts, ends, strict=True)
        ]
        said = _PLURALS.search(found.metadata.get("Plural-Forms", ""))
        self.says_plurals = said is not None
        self.forms, self.expression = (int(said[1]), said[2]) if said else _plurals(wanted.target)

    def form_of_one(self) -> int:
        """The number of the plural form that goes with 1.

        Raises:
            FormatError: the header's expression is none.
        """
        try:
            form: int = gettext.c2py(self.expression)(1)
        except ValueError as error:
            raise FormatError(f"{self.name}: its header's plural={self.expression!r} is wrong: {error}") from None
        return form

    def encoded(self, lines: Sequence[str], where: str) -> bytes:
        text = "".join(lines)
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise FormatError(
                f"{self.name}, {where}: {self.encoding} has no {text[error.start]!r}; convert the file first: "
                "msgconv -t UTF-8"
            ) from None


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[tuple[str, str]]:
    """The text of every entry that is translated and not fuzzy; of plurals the forms for one and for many.

    Raises:
        FormatError: it is no PO, of another language, or nothing in it is translated.
    """
    catalogue = _Catalogue(file, name, wanted)
    found = False
    for entry, _, _ in catalogue.entries:
        if entry.obsolete or entry.fuzzy:
            continue
        several = entry.msgstr_plural
        said = [(entry.msgid, entry.msgstr)]
        if several:
            said = [(entry.msgid_plural, several[max(several)])]
            if len(several) > 1:
                said.insert(0, (entry.msgid, several.get(catalogue.form_of_one(), "")))
        for source, target in said:
            if source.strip() and target.strip():
                found = True
                yield from _by_lines(source, target)
    if not found:
        raise FormatError(f"{name}: none of its entries is translated; expected translations to learn from")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The catalogue: a slot for every entry without a translation, or for every one where ``again`` is wanted.

    Where the header of a template leaves open what the language and its plural forms are, it is filled in.

    Raises:
        FormatError: it is no PO, of another language, or its encoding lacks what has to be said.
    """
    catalogue = _Catalogue(file, name, wanted)
    if catalogue.mark:
        yield b"\xef\xbb\xbf"
    yield catalogue.encoded(_header(catalogue, wanted), "line 1")
    for entry in catalogue.entries:
        if entry.about.obsolete or (entry.translated and not wanted.again) or not entry.about.msgid.strip():
            yield catalogue.encoded(entry.lines, f"line {entry.number:,}")
        else:
            several = bool(entry.about.msgid_plural)
            texts = (entry.about.msgid, entry.about.msgid_plural) if several else (entry.about.msgid,)
            yield Slot(f"line {entry.number:,}", tuple(map(Text, texts)), _filling(catalogue, entry))


def _filling(catalogue: _Catalogue, entry: _Entry) -> Callable[[Sequence[Text]], bytes]:
    """What fills the slot of ``entry``: all its lines, with a new ``msgstr``."""
    lines, where = entry.lines, f"line {entry.number:,}"
    one = catalogue.form_of_one() if entry.about.msgid_plural else 0

    def fill(translations: Sequence[Text]) -> bytes:
        texts = [translation.plain for translation in translations]
        first = next(number for number, line in enumerate(lines) if line.startswith("msgstr"))
        last = first
        while last < len(lines) and lines[last].startswith(("msgstr", '"')):
            last += 1
        end = lines[first][len(lines[first].rstrip("\r\n")) :] or "\n"
        if entry.about.msgid_plural:
            forms = {
                f"msgstr[{form}]": texts[0 if form == one and catalogue.forms > 1 else 1]
                for form in range(catalogue.forms)
            }
        else:
            forms = {"msgstr": texts[0]}
        written = [line + end for key, text in forms.items() for line in _written(key, text)]
        before = lines[:first]
        return catalogue.encoded([*_fuzzy(before, entry.about.fuzzy, end), *written, *lines[last:]], where)

    return fill


def _written(key: str, text: str) -> list[str]:
    """``text`` as the lines of a PO file: of several lines, each on its own."""
    lines = [f'"{polib.escape(line)}"' for line in text.splitlines(keepends=True)] or ['""']
    return [f"{key} {lines[0]}"] if len(lines) == 1 else [f'{key} ""', *lines]


def _fuzzy(lines: list[str], already: bool, end: str) -> list[str]:
    """What stands before the ``msgstr``, with the flag ``fuzzy``."""
    if already:
        return lines
    for number, line in enumerate(lines):
        if line.startswith("#,"):
            return [*lines[:number], f"#, fuzzy,{line[2:]}", *lines[number + 1 :]]
    place = next(number for number, line in enumerate(lines) if re.match(r"msg|#\|", line))
    return [*lines[:place], f"#, fuzzy{end}", *lines[place:]]


def _header(catalogue: _Catalogue, wanted: Wanted) -> list[str]:
    """The lines before the first entry, with what a template leaves open."""
    lines = list(catalogue.header)
    if not lines:
        return lines
    plurals = f"nplurals={catalogue.forms}; plural={catalogue.expression};"
    text = "".join(lines).replace("charset=CHARSET", "charset=UTF-8")
    text = re.sub(r'^"Language: *\\n"', f'"Language: {wanted.target.replace("-", "_")}\\\\n"', text, flags=re.MULTILINE)
    text = text.replace("nplurals=INTEGER; plural=EXPRESSION;", plurals)
    if any(entry.about.msgid_plural for entry in catalogue.entries) and "Plural-Forms:" not in text:
        said = list(re.finditer(r'^".*"(\r?\n)', text, re.MULTILINE))
        if said:
            text = f'{text[: said[-1].end()]}"Plural-Forms: {plurals}\\n"{said[-1][1]}{text[said[-1].end() :]}'
    return [text]


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
