"""Markdown: paragraphs, headings, items of lists and cells of tables; code, addresses, HTML and front matter stay.

markdown-it-py, a port of the CommonMark project's own parser, says which lines are text. It does not write Markdown;
here the text is put back into the lines that it came from.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from markdown_it import MarkdownIt

from nmt.formats.document import Part, Slot, Text, Wanted
from nmt.formats.lines import TextLines

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?^(?:---|\.\.\.)[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
_ADDRESS = r"\([^()\s]*(?:\s+\"[^\"]*\")?\)"  # and title: (https://example.org "Example")
# What in a text is markup.
_MARKUP = re.compile(
    r"(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|<[a-z][a-z0-9+.-]*:[^<>\s]*>|<[^<>\s@]+@[^<>\s]+>|<!--.*?-->"
    rf"|!\[[^\]]*\](?:{_ADDRESS}|\[[^\]]*\])|\[\^[^\]\s]+\]|https?://[^\s<>()]+"
    r"|</(?P<closes>[a-z][a-z0-9]*)\s*>|<[a-z][^<>]*/>|<(?P<opens>[a-z][a-z0-9]*)[^<>]*>"
    rf"|(?P<opens_link>\[)(?=[^\]\[]*\](?:{_ADDRESS}|\[[^\]]*\]))|(?P<closes_link>\](?:{_ADDRESS}|\[[^\]]*\]))"
    r"|(?P<both>\*{1,3}|~~|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w))",
    re.IGNORECASE,
)
# What breaks a line for good.
_BREAK = re.compile(r"(?: {2,}|\\)$")


def parts(file: IO[bytes], name: str, wanted: Wanted) -> Iterator[Part]:
    """The document: a slot for every block of text.

    Raises:
        FormatError: bytes that are no text.
    """
    reader = TextLines(file, name)
    lines = list(reader)
    text = "".join(lines)
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    front = _FRONT_MATTER.match(text)
    first = front[0].count("\n") if front else 0
    yield reader.mark
    done = 0
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(text[starts[first] :]):
        if token.type != "inline" or token.map is None:
            continue
        line = first + token.map[0]
        spans = _spans(text, max(done, starts[line]), token.content.split("\n"))
        if spans is None:
            continue  # the parser has changed the text: it stays as it is
        yield reader.encoded(text[done : spans[0][0]])
        groups = _groups(text, spans)
        texts = tuple(Text.marked(" ".join(text[start:end] for start, end in group), _MARKUP) for group in groups)
        yield Slot(f"line {line + 1:,}", texts, _filling(reader, text, groups))
        done = spans[-1][1]
    yield reader.encoded(text[done:])


def _spans(text: str, start: int, content: list[str]) -> list[tuple[int, int]] | None:
    """Where the lines of ``content`` stand in ``text``, from ``start`` on, each in a line of its own."""
    spans = []
    for number, line in enumerate(content):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        wanted = _BREAK.sub("", line).strip()
        forms = (wanted, wanted.replace("|", "\\|"))  # as a cell of a table has it
        found = next((form for form in forms if text.find(form, start, end) >= 0), None)
        if not found:
            return None
        place = text.find(found, start, end)
        spans.append((place, place + len(found)))
        start = end + 1 if number + 1 < len(content) else place
    return spans


def _groups(text: str, spans: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The lines that are one running text: a break ends it."""
    groups: list[list[tuple[int, int]]] = [[]]
    for start, end in spans:
        groups[-1].append((start, end))
        if (start, end) != spans[-1] and re.match(r" {2,}|\\", text[end:]):
            groups.append([])
    return groups


def _filling(reader: TextLines, text: str, groups: list[list[tuple[int, int]]]) -> Callable[[Sequence[Text]], bytes]:
    def fill(translations: Sequence[Text]) -> bytes:
        written, done = "", groups[0][0][0]
        for spans, translation in zip(groups, translations, strict=True):
            lengths = [len(Text.marked(text[start:end], _MARKUP).plain) for start, end in spans]
            for (start, _), line in zip(spans, translation.wrapped(lengths), strict=False):
                written += text[done:start] + line.render()
                done = next(end for begin, end in spans if begin == start)
            done = spans[-1][1]
        return reader.encoded(written)

    return fill
