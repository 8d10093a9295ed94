"""CSV, the tables that spreadsheets write, with or without a row of headings.

Python's csv module reads them. It would write them with other quotation marks than they had; here only the cells of
translations change.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from nmt.formats.document import FormatError, Pair, Part, Slot, Text, Wanted, speaks
from nmt.formats.languages import is_named
from nmt.formats.lines import TextLines

logger = logging.getLogger("nmt")

# What a row is guessed from.
_SAMPLE_LINES = 200

# A cell may be as long as it likes.
csv.field_size_limit(2**31 - 1)


class _Table:
    """The rows of a file, one after the other.

    Raises:
        FormatError: the columns that are asked for are not there.
    """

    def __init__(self, file: IO[bytes], name: str, wanted: Wanted, tabs: bool) -> None:
        self.lines, self.name = TextLines(file, name), name
        head = list(itertools.islice(self.lines, _SAMPLE_LINES))
        if not head:
            raise FormatError(f"{name} is empty; expected rows of a source and a target")
        self.quoting = not tabs
        self.delimiter = "\t" if tabs else _delimiter(head, wanted)
        self._all = itertools.chain(head, self.lines)
        self._raw: list[str] = []
        self.number = 1
        first = next(iter(self._rows()))
        self.columns, self.headed = _columns(name, first[1], wanted)
        self._pending, self.width = [first], len(first[1])
        if not self.headed or any(map(str.isdigit, wanted.columns or ())):  # otherwise somebody has said so
            what = "headings" if self.headed else "text; if it has headings, name the columns by them"
            _tell(f"{name}: its first row ({_shown(first[1])}) is read as {what}")

    def rows(self) -> Iterator[tuple[int, str, list[str]]]:
        """Number of its line, the row as it stands, and its cells; the headings are the first row, if there are any."""
        for raw, cells in itertools.chain(self._pending, self._rows()):
            yield self.number, raw, cells
            self.number += raw.count("\n")

    def _rows(self) -> Iterator[tuple[str, list[str]]]:
        def watched() -> Iterator[str]:
            for line in self._all:
                self._raw.append(line)
                yield line

        rules: dict[str, Any] = {} if self.quoting else {"quoting": csv.QUOTE_NONE}
        reader = csv.reader(watched(), delimiter=self.delimiter, strict=True, **rules)
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise FormatError(f"{self.name}, line {self.number:,}: no valid row: {error}") from None
            if cells is None:
                return
            raw = "".join(self._raw)
            self._raw.clear()
            yield raw, cells

    def cells(self, raw: str) -> list[str]:
        """The cells of a row as they stand, without what ends it."""
        found, start, quoted = [], 0, False
        for place, character in enumerate(raw):
            if self.quoting and character == '"' == raw[start]:
                quoted = not quoted  # inside a cell they are doubled
            elif character == self.delimiter and not quoted:
                found.append(raw[start:place])
                start = place + 1
        return [*found, raw[start:]]

    def written(self, text: str, quoted: bool = False) -> str:
        """``text`` as a cell, in quotation marks if it is to be ``quoted`` or has to be."""
        if not self.quoting:
            return re.sub("[\t\r\n]", " ", text)  # where nothing could tell that they are no ends
        if quoted or any(character in text for character in f'{self.delimiter}"\r\n'):
            text = '"' + text.replace('"', '""') + '"'
        return text


def pairs(file: IO[bytes], name: str, wanted: Wanted, tabs: bool = False) -> Iterator[Pair]:
    """Both columns of every row that has text in them.

    Raises:
        FormatError: a row that is none, or one without these columns.
    """
    table = _Table(file, name, wanted, tabs)
    for number, _, cells in itertools.islice(table.rows(), int(table.headed), None):
        if not any(map(str.strip, cells)):
            continue
        if table.headed and number == 2 and len(cells) <= table.columns[1] == table.width:
            raise FormatError(f"{name} has no column of the target; name the two columns")
        if len(cells) <= max(table.columns):
            raise FormatError(
                f"{name}, line {number:,}: expected a source and a target in columns {table.columns[0] + 1} and "
                f"{table.columns[1] + 1}, received {len(cells)} column(s): {cells[0][:40]!r}"
            )
        yield Pair(cells[table.columns[0]], cells[table.columns[1]], number)


def parts(file: IO[bytes], name: str, wanted: Wanted, tabs: bool = False) -> Iterator[Part]:
    """The table: a slot for every row without a target, or for every one where ``again`` is wanted.

    Raises:
        FormatError: a row that is none, or one without a source.
    """
    table = _Table(file, name, wanted, tabs)
    yield table.lines.mark
    for number, raw, cells in table.rows():
        source, target = table.columns
        body = raw.rstrip("\r\n")
        there = table.cells(body)
        heading = table.headed and number == 1
        if heading and len(there) <= target:
            title = wanted.columns[1] if wanted.columns else wanted.target
            yield table.lines.encoded(table.delimiter.join([*there, table.written(title)]) + raw[len(body) :])
        elif heading or not any(map(str.strip, cells)):
            yield table.lines.encoded(raw)
        elif len(cells) <= source:
            raise FormatError(f"{name}, line {number:,}: has no column {source + 1}: {raw[:40]!r}")
        elif not cells[source].strip() or (len(cells) > target and cells[target].strip() and not wanted.again):
            yield table.lines.encoded(raw)
        else:
            yield Slot(f"line {number:,}", (Text(cells[source]),), _filling(table, there, raw[len(body) :]))


@functools.lru_cache  # a training reads its files more than once
def _tell(message: str) -> None:
    logger.info("%s", message)


def _shown(cells: Sequence[str]) -> str:
    """A row for people to read, whatever it holds: a cell may have line ends, or what a terminal would obey."""
    return repr(", ".join(cells)[:80])


def _filling(table: _Table, there: list[str], end: str) -> Callable[[Sequence[Text]], bytes]:
    source, target = table.columns
    quoted = table.quoting and there[source].startswith('"')

    def fill(translations: Sequence[Text]) -> bytes:
        cells = [*there, *[""] * (target + 1 - len(there))]
        cells[target] = table.written(translations[0].plain, quoted)
        return table.lines.encoded(table.delimiter.join(cells) + end)

    return fill


def _delimiter(head: list[str], wanted: Wanted) -> str:
    """What stands between two cells: with it there are headings, and the rows have as many cells as the first.

    Python's sniffer counts characters instead; it takes a semicolon of each sentence for one.
    """

    def fit(delimiter: str) -> tuple[bool, float]:
        rows: list[list[str]] = []
        # The last row may be cut, or be none with this delimiter: what stands before it counts.
        with contextlib.suppress(csv.Error):
            rows.extend(filter(None, csv.reader(head, delimiter=delimiter, strict=True)))
        try:
            headed = len(rows[0]) > 1 and _columns("", rows[0], wanted)[1]
        except (FormatError, IndexError):
            headed = False
        return headed, sum(len(row) == len(rows[0]) > 1 for row in rows) / len(head)

    return max(",;\t|", key=fit)  # the comma if there is one column, as of text to be translated


def _columns(name: str, first: list[str], wanted: Wanted) -> tuple[tuple[int, int], bool]:
    """The numbers of the source's and the target's column, from 0, and whether the first row has headings."""
    headings = [cell.strip().lower() for cell in first]
    if wanted.columns is not None:
        columns, headed = _asked(name, headings, wanted.columns)
        there = [headings[number] for number in columns if number < len(headings)]
        # One such cell is no sign: in a glossary "source" is a word like others.
        return columns, headed or _sides(there, wanted, is_named) == (0, 1)
    source, target = _sides(headings, wanted, is_named)
    if source is None or target is None:
        # One name is no sign: in a glossary "English" is a word like others.
        source, target = _sides(headings, wanted, speaks)
    if source is None and target is None and len(first) < 3:
        return (0, 1), False
    if source is None:
        raise FormatError(
            f"{name}: its first row is {_shown(first)}, and nothing there is source or {wanted.source}, nor are both "
            "languages named; name the two columns"
        )
    return (source, len(first) if target is None else target), True


def _sides(headings: Sequence[str], wanted: Wanted, tells: Callable[[str, str], bool]) -> tuple[int | None, int | None]:
    """Where the headings of the source and of the target are: these very words, or what ``tells`` their language."""

    def places(side: str, language: str) -> Iterator[int]:
        return (number for number, cell in enumerate(headings) if cell == side or tells(cell, language))

    source = next(places("source", wanted.source), None)
    # en is of en-GB, too, but it may be taken.
    return source, next((number for number in places("target", wanted.target) if number != source), None)


def _asked(name: str, headings: list[str], columns: tuple[str, str]) -> tuple[tuple[int, int], bool]:
    """As ``_columns``, for those that are asked for by name or number."""
    found, headed = [], False
    for column in columns:
        if column.lower() in headings:
            found.append(headings.index(column.lower()))
            headed = True
        elif column.isdigit() and int(column) > 0:
            found.append(int(column) - 1)
        elif found and headed:
            found.append(len(headings))  # the target's, to be added
        else:
            raise FormatError(f"{name} has no column {column}; its first row is {_shown(headings)}")
    if found[0] == found[1]:
        raise FormatError(f"{name}: {columns[0]} and {columns[1]} are one column; expected a source and a target")
    return (found[0], found[1]), headed
