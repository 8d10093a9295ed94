"""JSON Lines: an object a line, which has source and target under the names of columns or languages.

A name may have dots, as ``translation.en`` for ``{"translation": {"en": "…"}}``, and languages are looked for there by
themselves. Only the value of the translation is written; the rest of the line stays as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from nmt.formats.document import FormatError, Pair, Part, Slot, Text, Wanted
from nmt.formats.lines import TextLines

# What JSON need not escape, but some readers take for the end of a line.
_LINE_ENDS = {ord(end): json.dumps(end)[1:-1] for end in "\x85\u2028\u2029"}


def pairs(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Pair]:
    """Both texts of every object that has them.

    Raises:
        FormatError: a line that is no object, or none has both.
    """
    lines = TextLines(file, name)
    found = False
    for line in lines:
        row = _object(line, lines)
        if row is not None:
            source, target = (_value(row, path) for path in _paths(row, wanted))
            if isinstance(source, str) and isinstance(target, str):
                found = True
                yield Pair(source, target, lines.number)
    if not found:
        raise FormatError(f"{name}: no line has both {' and '.join(_names(wanted)[0])}; name the two with columns")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The lines: a slot for every one without a target, or for every one where ``again`` is wanted.

    Raises:
        FormatError: a line that is no object, or has no source.
    """
    lines = TextLines(file, name)
    yield lines.mark
    for line in lines:
        row = _object(line, lines)
        if row is None:
            yield lines.encoded(line)
            continue
        source, target = _paths(row, wanted)
        text, there = _value(row, source), _value(row, target)
        if not isinstance(text, str):
            raise FormatError(
                f"{name}, line {lines.number:,}: has no text {'.'.join(source)}; its names are {', '.join(row)}"
            )
        filled = there is not None and (not isinstance(there, str) or there.strip())
        if not text.strip() or (filled and not wanted.again):
            yield lines.encoded(line)
        else:
            _check(row, target, lines)
            yield Slot(
                f"line {lines.number:,}", (Text(text.encode(errors="replace").decode()),), _filling(lines, line, target)
            )


def _filling(lines: TextLines, line: str, path: tuple[str, ...]) -> Callable[[Sequence[Text]], bytes]:
    def fill(translations: Sequence[Text]) -> bytes:
        value = json.dumps(translations[0].plain, ensure_ascii="\\u" in line).translate(_LINE_ENDS)
        return lines.encoded(_with(line, line.index("{"), path, value))

    return fill


def _object(line: str, lines: TextLines) -> dict[str, Any] | None:
    """What the line says; None for a blank one."""
    if not line.strip():
        return None
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{lines.name}, line {lines.number:,}, column {error.colno}: no valid JSON: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand lists in lists
        raise FormatError(f"{lines.name}, line {lines.number:,}: no JSON that Python reads: {error}") from None
    if not isinstance(found, dict):
        raise FormatError(f"{lines.name}, line {lines.number:,}: expected an object, received {line.strip()[:40]}")
    return found


def _check(row: dict[str, Any], path: tuple[str, ...], lines: TextLines) -> None:
    """That what ``path`` leads through is an object, or is not there yet."""
    for length in range(1, len(path)):
        there = _value(row, path[:length])
        if there is not None and not isinstance(there, dict):
            raise FormatError(
                f"{lines.name}, line {lines.number:,}: expected an object at {'.'.join(path[:length])} to put "
                f"{'.'.join(path)} into, received {json.dumps(there)[:40]}; name another column for the target"
            )


def _names(wanted: Wanted) -> list[tuple[str, str]]:
    """The names of source and target that are looked for, in that order."""
    if wanted.columns is not None:
        return [wanted.columns]
    languages = wanted.source, wanted.target
    return [languages, ("source", "target"), (f"translation.{languages[0]}", f"translation.{languages[1]}")]


def _paths(row: dict[str, Any], wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where source and target stand in ``row``, as names of objects within objects."""
    paths = [(_path(row, source), _path(row, target)) for source, target in _names(wanted)]
    return next((pair for pair in paths if isinstance(_value(row, pair[0]), str)), paths[0])


def _path(row: dict[str, Any], name: str) -> tuple[str, ...]:
    return (name,) if name in row else tuple(name.split("."))


def _value(row: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _with(line: str, start: int, path: tuple[str, ...], value: str) -> str:
    """``line`` with ``value`` (JSON) at ``path`` of the object that begins at ``start``."""
    decoder = json.JSONDecoder()
    name, *inner = path
    place = last = start + 1
    found: tuple[int, int] | None = None
    while True:
        place = _blank(line, place)
        if line[place] == "}":
            break
        key, place = decoder.raw_decode(line, place)
        begin = _blank(line, _blank(line, place) + 1)  # behind the colon
        _, end = decoder.raw_decode(line, begin)
        if key == name:
            found = begin, end  # of several of a name, readers take the last
        last = end
        place = _blank(line, end)
        place = _blank(line, place + (line[place] == ","))
    if found and inner and line[found[0]] == "{":
        return _with(line, found[0], tuple(inner), value)
    if found:
        return line[: found[0]] + _nested(inner, value) + line[found[1] :]
    comma = ", " if last > start + 1 else ""
    return f"{line[:last]}{comma}{json.dumps(name)}: {_nested(inner, value)}{line[last:]}"


def _nested(path: Sequence[str], value: str) -> str:
    """``value`` under ``path``: ``{"en": value}``."""
    for name in reversed(path):
        value = f"{{{json.dumps(name)}: {value}}}"
    return value


def _blank(line: str, place: int) -> int:
    """The next place that is not blank."""
    while line[place] in " \t\r\n":
        place += 1
    return place
