"""Markdown: paragraphs, headings, items of lists and cells of tables; code, addresses, HTML and front matter stay.

markdown-it-py, a port of the CommonMark project's own parser, says which lines are text. It does not write Markdown;
here the text is put back into the lines that it came from.
"""

from __future__ import annotations

import bisect
import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from markdown_it import MarkdownIt

from nmt.formats.document import Mark, Part, Slot, Text, Wanted
from nmt.formats.lines import TextLines

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?:.*?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")  # as the parser has them
# What begins a text and is none: the name of a footnote, the box of a task.
_LABEL_OF_NOTE = re.compile(r"\[\^[^\]\s]+\]:[ \t]*|\[[ xX]\][ \t]+")
_SIGN = r"[!-/:-@\[-`{-~]"  # what a backslash escapes
_ESCAPED = re.compile(rf"\\({_SIGN})|&(?:#\d{{1,7}}|#x[0-9a-f]{{1,6}}|[a-z][a-z0-9]*);", re.IGNORECASE)
_LABEL = r"(?:\\.|[^\[\]\\])*"
_WORD = r"(?:\\.|[^()\s\\]|\((?:\\.|[^()\s\\])*\))"
_TITLE = r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\((?:\\.|[^()\\])*\))"
# (https://example.org/Example_(word) "Example"), or the [label] of an address that stands elsewhere.
_ADDRESS = rf"(?:\(\s*(?:<[^<>]*>|{_WORD}*)(?:\s+{_TITLE})?\s*\)|\[{_LABEL}\])"
# An address as it is; what ends its sentence is not of it.
_BARE = r"https?://[^\s<>()\[\]*|]*[^\s<>()\[\]*|.,:;!?'\"]"
_LINKED = rf"(?:\\.|`[^`]*`|!?\[{_LABEL}\]|[^\[\]\\`!]|!(?!\[))*"  # it may have an image in it
_ATTRIBUTES = r"(?:\s(?:\"[^\"]*\"|'[^']*'|[^<>\"'])*)?"
# What breaks a line for good.
_BREAK = re.compile(r"(?: {2,}|(?<!\\)\\)$")
_BROKEN = re.compile(r" {2,}|\\")
# What in a translation would be markup.
_RISKY = re.compile(rf"[*`\[\]]|<(?=[a-z/!?])|\\(?={_SIGN}|$)|&(?=#?\w+;)|~(?=~)|(?<!\w)_|_(?!\w)", re.IGNORECASE)

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_BLOCKS = MarkdownIt("commonmark").enable("table").disable("inline")


class _Span(NamedTuple):
    """A line of a text: where it begins and ends in the document."""

    start: int
    end: int


class _Block(NamedTuple):
    """What a text is in: what is text in one may be more in another."""

    document: str
    is_title: bool  # behind #
    is_cell: bool
    is_first: bool  # it may be taken for something else than a cell or a line of a paragraph


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every block of text.

    Raises:
        FormatError: bytes that are no text.
    """
    reader = TextLines(file, name)
    text = "".join(reader)
    starts = [0, *(match.end() for match in _LINE.finditer(text))]
    front = _FRONT_MATTER.match(text)
    first = starts.index(front.end()) if front else 0
    yield reader.mark
    done = 0
    env: dict[str, Any] = {}
    tokens = _PARSER.parse(text[starts[first] :], env)
    markup = _markup(env.get("references", {}))
    for before, token in itertools.pairwise(tokens):
        if token.type != "inline" or token.map is None:
            continue
        line = first + token.map[0]
        is_cell = before.type in ("th_open", "td_open")
        spans = _spans(text, starts, max(done, starts[line]), token.content.split("\n"), is_cell)
        if spans is None:
            continue  # the parser has changed the text: it stays as it is
        yield reader.encoded(text[done : spans[0].start])
        groups = _groups(text, spans)
        texts = tuple(_text(" ".join(text[start:end] for start, end in group), markup) for group in groups)
        is_first = not (is_cell and "|" in text[starts[line] : spans[0].start])
        block = _Block(text, before.markup.startswith("#"), is_cell, is_first)
        yield Slot(f"line {line + 1:,}", texts, _filling(reader, block, groups, texts, markup))
        done = spans[-1].end
    yield reader.encoded(text[done:])


def _spans(text: str, starts: list[int], start: int, content: list[str], is_cell: bool) -> list[_Span] | None:
    """Where the lines of ``content`` stand in ``text``, from ``start`` on, each in a line of its own."""
    spans = []
    number = bisect.bisect_right(starts, start)  # of the line behind
    for line in content:
        end = starts[number] if number < len(starts) else len(text)
        wanted = _BREAK.sub("", line).strip()
        if is_cell:
            wanted = wanted.replace("|", "\\|")
            place = text.find(wanted, start, end)
        else:
            place = text.rfind(wanted, start, end)  # "1." may stand before "1."
        if not wanted or place < 0:
            return None
        spans.append(_Span(place, place + len(wanted)))
        start, number = end, number + 1
    label = _LABEL_OF_NOTE.match(text, *spans[0])
    if label:
        spans[0] = _Span(label.end(), spans[0].end)
    return spans


def _groups(text: str, spans: list[_Span]) -> list[list[_Span]]:
    """The lines that are one running text: a break ends it."""
    groups: list[list[_Span]] = [[]]
    for span in spans:
        groups[-1].append(span)
        if span != spans[-1] and _BROKEN.match(text, span.end):
            groups.append([])
    return groups


def _markup(labels: Iterable[str]) -> re.Pattern[str]:
    """What in a text is markup, where ``labels`` are those of addresses."""
    names = [re.escape(label) for label in labels]
    one = "|".join(names) or "(?!)"
    behind = "|".join(rf"(?<=\[{name})" for name in names) or "(?!)"
    return re.compile(
        r"(?:(?<!\\)|(?<=^\\\\)|(?<=[^\\]\\\\))(?:"  # not escaped
        r"(?P<ticks>(?<!`)`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
        r"|<[a-z][a-z0-9+.-]+:[^<>\s]*>|<[^<>\s@]+@[^<>\s]+>|<!--.*?-->|<[?!].*?>"
        rf"|!\[{_LABEL}\]{_ADDRESS}|!\[(?:{one})\]|\[\^[^\]\s]+\]|{_BARE}"
        rf"|</(?P<closes>[a-z][a-z0-9-]*)\s*>|<[a-z][^<>]*/>|<(?P<opens>[a-z][a-z0-9-]*){_ATTRIBUTES}>"
        rf"|(?P<opens_link>\[)(?={_LINKED}\]{_ADDRESS}|(?:{one})\])|(?P<closes_link>\]{_ADDRESS}|(?:{behind})\])"
        r"|(?P<both>\*{1,3}|~~|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w))"
        r")",
        re.IGNORECASE | re.DOTALL,
    )


def _text(content: str, markup: re.Pattern[str]) -> Text:
    """``content`` without its markup; a link whose text is its label gets it once more, as the text will change."""
    found = Text.marked(content, markup, _read)
    marks: list[Mark] = []
    start = 0
    for mark, match in zip(found.marks, markup.finditer(content), strict=True):
        if match["opens_link"]:
            start = match.end()
        own = match[0] in ("]", "][]") and mark.pair
        marks.append(mark._replace(code=f"][{content[start : match.start()]}]") if own else mark)
    return Text(found.plain, tuple(marks))


def _read(content: str) -> str:
    return _ESCAPED.sub(lambda match: match[1] or html.unescape(match[0]), content)


def _filling(
    reader: TextLines, block: _Block, groups: list[list[_Span]], texts: Sequence[Text], markup: re.Pattern[str]
) -> Callable[[Sequence[Text]], bytes]:
    document = block.document

    def fill(translations: Sequence[Text]) -> bytes:
        written, done = "", groups[0][0].start
        said: list[str] = []  # the lines so far, as they are now
        for spans, text, translation in zip(groups, texts, translations, strict=True):
            translation = translation.flat()
            if translation in (text, text.flat()) or not translation.plain.strip():
                # As it stands, with its own blanks and escapes; without a text, a block would not be one any more.
                written += document[done : spans[-1].end]
                said += [document[start:end] for start, end in spans]
            else:
                lengths = [len(Text.marked(document[start:end], markup, _read).plain) for start, end in spans]
                lines = _lines(translation, lengths, block, said)
                said += lines
                for span, line in zip(spans, lines, strict=False):
                    written += document[done : span.start] + line
                    done = span.end
            done = spans[-1].end
        return reader.encoded(written)

    return fill


def _lines(text: Text, lengths: Sequence[int], block: _Block, before: list[str]) -> list[str]:
    """``text`` in as many lines as ``lengths`` or fewer, none of which begins anything but text."""
    lines = [_safe(line, block.is_cell) for line in text.wrapped(lengths)]
    if block.is_title:
        return [re.sub(r"(?:^|(?<=\s))(?=#+$)", r"\\", line) for line in lines]
    # Behind the sign of an item, which is not seen here, these would rule a line, or make a table of that and the item.
    lines = [re.sub(r"^(?=[-:|][-:|\s]*$)", r"\\", line) for line in lines]
    number = 0
    while block.is_first and not _is_paragraph([*before, *lines]) and number < len(lines):
        if _is_paragraph([*before, *lines[: number + 1]]):
            number += 1
        elif lines[number].startswith("<") and number + 1 < len(lines):
            lines[number : number + 2] = [" ".join(lines[number : number + 2])]  # a tag with text behind it
        else:
            lines[number] = re.sub(rf"^(\d*)(?={_SIGN})", r"\1\\", lines[number])
            number += 1
    return lines


def _is_paragraph(lines: list[str]) -> bool:
    return [token.type for token in _BLOCKS.parse("\n".join(lines))] == ["paragraph_open", "inline", "paragraph_close"]


def _safe(text: Text, is_cell: bool) -> str:
    """``text`` with its marks, and without other markup."""
    # Before a link, an exclamation mark would make it an image.
    calls = [mark.place - 1 for mark in text.marks if mark.code == "[" and text.plain[: mark.place].endswith("!")]
    marks = sorted([*text.marks, *(Mark(place, "\\") for place in calls)], key=lambda mark: mark.place)

    def escape(content: str) -> str:
        content = _RISKY.sub(r"\\\g<0>", content)
        return content.replace("|", "\\|") if is_cell else content

    return text._replace(marks=tuple(marks)).render(escape)
