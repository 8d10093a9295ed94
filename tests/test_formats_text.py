"""Tables, JSON Lines, subtitles and Markdown: filled in place, read by others as before, whatever the engine says."""

import codecs
import csv
import html.parser
import io
import itertools
import json
import re
from pathlib import Path

import babel
import pysubs2
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nmt import documents, formats
from nmt.formats import languages, table
from nmt.formats import lines as lines_module
from nmt.formats.document import FormatError, Mark, Slot, Text, Wanted
from nmt.formats.lines import TextLines
from nmt.translation import Translation

ROOT = Path(__file__).parents[1]
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
FAST = settings(max_examples=100, deadline=None)
# What ends a line or a cell somewhere, or is more than one byte or one character of UTF-16.
LETTERS = st.sampled_from([*"aZ ,;|\t\"'\\{}<>&-#\n\rü語\U0001f600\u2028\x85\x0b", "\r\n"])
ANY = st.lists(LETTERS | st.characters(exclude_categories=["Cs"]), max_size=8).map("".join)
INLINE = ANY.map(lambda text: re.sub("[\t\r\n]", " ", text))
# Answers that no model should give.
NASTY = [
    "", " ", "\n", "a\n\nb", "a\r\n\r\nb\r", "\ta\tb", '"', '"a', 'a,"b";c|d\te', "a --> b", "-->", "\\", "|", "a|b|",
    "{}", "00:01 --> 00:02", "00:01.000 --> 0:2", "WEBVTT", "7", "<i>", "</", "<", "&", "&amp;", "NOTE a", "- a",
    "\u2028a", "\x85b",
    "# a", "> a", "1. a", "a\n---", "===", "```", "    a", "[a]: b", "<div>", "a |\n-|-", "a  b   c",
]  # fmt: skip


def saying(answer):
    def engine(lines, *, align):
        return [
            Translation(answer(line), 0.0, alignment=tuple((word, word) for word in range(len(line.split()))))
            for line in lines
        ]

    return engine


def parts(name, content, **wanted):
    return formats.parts(name)(io.BytesIO(content), name, Wanted("en", "de", **wanted))


def filled(name, content, answer=str, **wanted):
    return b"".join(documents.translated(parts(name, content, **wanted), saying(answer)))


def asked(name, content, **wanted):
    """All texts of a document that are to be translated."""
    return [text.plain for part in parts(name, content, **wanted) if isinstance(part, Slot) for text in part.texts]


def refused(name, content, message, **wanted):
    with pytest.raises(FormatError, match=message):
        list(parts(name, content, **wanted))


# Lines.


@given(ANY, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.integers(1, 5))
@FAST
def test_lines_are_read_right_wherever_a_read_ends(content, encoding, size):
    content = f"some {content}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_BYTES", size)
        lines = TextLines(io.BytesIO(content.encode(encoding)), "a.txt")
        found = list(lines)
    assert found == io.StringIO(content, newline="\n").readlines()
    assert lines.number == len(found)
    assert lines.mark + lines.encoded("".join(found)) == content.encode(encoding)


@pytest.mark.parametrize("size", [1, 3, 1 << 18])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xfcber", "a.txt, line 1: byte 0xfc is not valid utf-8; convert the file, e.g. `iconv"),
        (b"one\ntwo\n\ndrei \xfc\nvier\n", "a.txt, line 4: byte 0xfc is not valid utf-8"),
        (b"one\ncut \xe2\x82", "a.txt, line 2: byte 0xe2 is not valid utf-8"),
        ("one\n\u0a41\ntwo\n".encode("utf-16") + b"x", "a.txt, line 4: byte 0x78 is not valid utf-16-le"),
        ("one\n".encode("utf-16-le"), "a.txt, line 1: byte 0x00 is .* UTF-16 without a byte-order mark; convert"),
    ],
)
def test_bytes_that_are_no_text_are_named_with_their_line(monkeypatch, size, content, message):
    monkeypatch.setattr(lines_module, "_BYTES", size)
    with pytest.raises(FormatError, match=message):
        list(TextLines(io.BytesIO(content), "a.txt"))


def test_a_table_of_many_rows_names_the_line_of_a_wrong_byte(monkeypatch):
    monkeypatch.setattr(lines_module, "_BYTES", 100)  # so that it stands far behind what was looked at first
    rows = b"source,target\n" + b"a dog,\n" * 3000
    refused("a.csv", rows + b"\xff,\n", "line 3,002: byte 0xff is not valid utf-8")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.srt", "a.vtt", "a.md"])
def test_another_encoding_is_named_by_every_format(name):
    refused(name, '{"en": "K\u00f6ln"}\n'.encode("latin-1"), f"{name}, line 1: byte 0xf6 is not valid utf-8; convert")


# CSV.

ROWS = st.lists(st.tuples(ANY, st.just("") | ANY, ANY), max_size=6)
DIALECTS = [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]


def written(rows, delimiter, quoting, end):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return stream.getvalue()


def to_fill(source, target, again=False):
    """Whether it says something that was not translated."""
    return any(map(str.isalpha, source)) and (again or not target.strip())


@given(ROWS, st.sampled_from(",;\t|"), st.sampled_from(DIALECTS), st.sampled_from(ENCODINGS), st.booleans())
@settings(FAST, max_examples=200)
@example([('a "b"\nc', "", "x")], ",", DIALECTS[0], "utf-8", False)
def test_of_a_table_that_python_wrote_the_target_alone_changes(rows, delimiter, dialect, encoding, again):
    head = [("source", "target", "note")]
    given_rows = [(source, target, note) for source, target, note in rows]
    content = written(head + given_rows, delimiter, *dialect).encode(encoding)
    copied = [
        (source, source if source.strip() and (again or not target.strip()) else target, note)
        for source, target, note in given_rows
    ]
    found = filled("a.csv", content, again=again)
    assert found == written(head + copied, delimiter, *dialect).encode(encoding)
    assert list(csv.reader(io.StringIO(found.decode(encoding), newline=""), delimiter=delimiter)) == [
        list(row) for row in head + copied
    ]
    assert b"".join(part for part in parts("a.csv", found) if isinstance(part, bytes)) == found


@pytest.mark.parametrize("answer", NASTY)
@pytest.mark.parametrize("quoted", ['"a dog"', "a dog"])
@pytest.mark.parametrize("delimiter", ",;\t|")
def test_a_table_keeps_its_cells_whatever_the_answer(answer, quoted, delimiter):
    content = f"id,source,target,note\r\n1,{quoted},,x\r\n2,{quoted},,y\r\n".replace(",", delimiter).encode()
    found = filled("a.csv", content, lambda line: answer).decode()
    rows = list(csv.reader(io.StringIO(found, newline=""), delimiter=delimiter, strict=True))
    said = re.sub("\r?\n", " ", answer)
    assert rows[1:] == [["1", "a dog", said, "x"], ["2", "a dog", said, "y"]]


@pytest.mark.parametrize(
    ("content", "wanted", "expected"),
    [
        # Without headings the first column is the source; where there is no second, there is one then.
        ("a dog\na cat\n", {}, "a dog,a dog\na cat,a cat\n"),
        ("a dog;\nyes, no;nein\n", {}, "a dog;a dog\nyes, no;nein\n"),
        ("a dog,ein Hund", {}, "a dog,ein Hund"),
        ("a dog,ein Hund", {"again": True}, "a dog,a dog"),
        # Headings by language, of whatever region; a target that is missing gets its own.
        ("en-GB;fr\na, b;x\n", {}, "en-GB;fr;de\na, b;x;a, b\n"),
        ("DE,n,EN\n,1,a\n", {}, "DE,n,EN\na,1,a\n"),
        # Asked for by name or number; a name that is not there becomes a heading.
        ("n,text\n1,a\n", {"columns": ("Text", "German")}, "n,text,German\n1,a,a\n"),
        ("n,text\n1,a\n", {"columns": ("text", "a,b")}, 'n,text,"a,b"\n1,a,a\n'),
        ("1,a\n2,b\n", {"columns": ("2", "4")}, "1,a,,a\n2,b,,b\n"),
        # In a glossary, and in text, such words are like others.
        ("English\na dog\n", {"columns": ("1", "2")}, "English,English\na dog,a dog\n"),
        ("source\na dog\n", {"columns": ("1", "2")}, "source,source\na dog,a dog\n"),
        ("English\na dog\n", {}, "English,English\na dog,a dog\n"),
        ("English,\nDutch,\n", {}, "English,English\nDutch,Dutch\n"),
        ("English,Englisch\nDutch,\n", {}, "English,Englisch\nDutch,Dutch\n"),
        ("source\na dog\n", {}, "source,de\na dog,a dog\n"),
        # Rows without text, and what is only blank.
        ("source,target\n\n , \n,x\na, \n", {}, "source,target\n\n , \n,x\na,a\n"),
        # What a text has inside tells nothing of the delimiter.
        ('source,target\n"a; b; c",\n"d; e; f",\n', {}, 'source,target\n"a; b; c","a; b; c"\n"d; e; f","d; e; f"\n'),
        ('"a; b",\n"c; d",\n', {}, '"a; b","a; b"\n"c; d","c; d"\n'),
        ("a dog's,\nthe dog's,\n", {}, "a dog's,a dog's\nthe dog's,the dog's\n"),
    ],
)
def test_columns_of_a_table(content, wanted, expected):
    found = filled("a.csv", content.encode(), **wanted)
    assert found.decode() == expected
    assert filled("a.csv", found, lambda line: "twice", **{**wanted, "again": False}) == found


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        ("", {}, "a.csv is empty; expected rows of a source and a target"),
        ('source,target\na,b\n"c,d\n', {}, "a.csv, line 3: no valid row"),
        ('source,target\n"a"b,\n', {}, "a.csv, line 2: no valid row"),
        ("fr,de\na,b\n", {}, "its first row is 'fr, de', and nothing there is source or en, nor are both "),
        ("English,Englisch,n\na,b,1\n", {}, "nor are both languages named; name the two columns"),
        ("a\x1b[2J,b,c\n", {}, r"its first row is 'a\\x1b\[2J, b, c', and"),
        ('"a\nb",c\n', {"columns": ("text", "2")}, r"its first row is 'a\\nb, c'$"),
        ("a,b\n", {"columns": ("text", "2")}, "a.csv has no column text; its first row is 'a, b'"),
        ("a,b\n", {"columns": ("1", "text")}, "a.csv has no column text; its first row is 'a, b'"),
        ("a,b\n", {"columns": ("a", "1")}, "a.csv: a and 1 are one column; expected a source and a target"),
        ("n,source\n1,a\n2\n", {}, "line 3: has no column 2: '2"),
        ('n,source\n1,"a\nb"\n2\n', {}, "line 4: has no column 2: '2"),
        ("a,b\n", {"columns": ("0", "2")}, "a.csv has no column 0"),
    ],
)
def test_a_table_that_is_none_is_told(content, wanted, message):
    refused("a.csv", content.encode(), message, **wanted)


TEXT = "text; if it has headings, name the columns by them"


@pytest.mark.parametrize(
    ("first", "columns", "said"),
    [
        # With numbers, both cells have to be headings, each of its side.
        ("source,target", ("1", "2"), "headings"),
        ("Target,Source", ("2", "1"), "headings"),
        ("n,en-GB,de_AT", ("2", "3"), "headings"),
        ("English,GERMAN", ("1", "2"), "headings"),
        ("English,Deutsch", ("1", "2"), "headings"),
        ("German,Deutsch", ("1", "2"), TEXT),
        ("German,English", ("1", "2"), TEXT),
        ("source,English", ("1", "2"), TEXT),
        ("target,source", ("1", "2"), TEXT),
        ("source,Quelle", ("1", "2"), TEXT),
        ("English,Französisch", ("1", "2"), TEXT),
        ("Term,Begriff", ("1", "2"), TEXT),
        ("source,a,b", ("2", "3"), TEXT),
        # One name is enough.
        ("Term,Begriff", ("Term", "2"), "headings"),
        # Where nothing is asked for, languages and sides are.
        ("English,German", None, None),
        ("n,Deutsch,English", None, None),
        ("source,German", None, None),
        ("English,de", None, None),
        # Of the languages' names it takes both.
        ("English,Englisch", None, TEXT),
        ("German,Deutsch", None, TEXT),
        ("Term,Begriff", None, TEXT),
        ("Term,Begriff", ("term", "begriff"), None),
    ],
)
def test_whether_a_first_row_has_headings_is_told(first, columns, said, caplog):
    caplog.set_level("INFO")
    table._tell.cache_clear()
    content = f"{first}\none,two,three\n"
    found = list(formats.pairs("a.csv")(io.BytesIO(content.encode()), "a.csv", Wanted("en", "de", columns)))
    told = f"a.csv: its first row ('{first.replace(',', ', ')}') is read as {said}"
    assert caplog.messages == ([] if said is None else [told])
    assert len(found) == 1 + (said == TEXT)


def test_what_a_first_row_was_taken_for_is_told_once_and_moves_no_cursor(caplog):
    caplog.set_level("INFO")
    table._tell.cache_clear()
    content = b'"a\n\x1b[2J\xe2\x80\xae",' + b"b" * 100 + b"\nc,d\n"
    for name in ("a.csv", "a.csv", "b.csv"):
        assert len(list(formats.pairs(name)(io.BytesIO(content), name, Wanted("en", "de")))) == 2
    shown = rf"'a\n\x1b[2J\u202e, {'b' * 71}'"
    assert caplog.messages == [f"{name}: its first row ({shown}) is read as {TEXT}" for name in ("a.csv", "b.csv")]


def test_languages_are_named_as_the_cldr_has_them():
    """Whose names Babel tells."""
    for code, names in languages.NAMES.items():
        locale = babel.Locale.parse(code)
        assert names == (babel.Locale("en").languages[code], locale.languages[code])
        assert languages.is_named(f" {names[0].upper()}\n", f"{code}-XX")
        assert languages.is_named(names[1].lower(), code.upper())
    assert languages.is_named("de-AT", "de")
    assert not languages.is_named("German", "en")
    assert not languages.is_named("", "de")
    assert not languages.is_named("Klingon", "tlh")


def test_a_cell_may_be_as_long_as_it_likes():
    long = "a b " * 50_000  # more than Python reads by itself
    assert filled("a.csv", f"source,target\n{long},\n".encode()).decode() == f"source,target\n{long},{long}\n"


def test_a_column_is_not_both_the_source_and_the_target():
    reader = formats.parts("a.csv")(io.BytesIO(b"en,n\na,1\n"), "a.csv", Wanted("en-US", "en-GB"))
    assert b"".join(documents.translated(reader, saying(str))) == b"en,n,en-GB\na,1,a\n"
    reader = formats.pairs("a.csv")(io.BytesIO(b"English,en-GB\na,b\n"), "a.csv", Wanted("en-US", "en-GB"))
    assert list(reader) == [("a", "b", 2)]


def test_pairs_of_a_table():
    content = 'id,en,de\n1,"a\nb",c\n\n2,d,e\n'.encode("utf-16")
    wanted = Wanted("en", "de")
    assert list(formats.pairs("a.csv")(io.BytesIO(content), "a.csv", wanted)) == [
        ("a\nb", "c", 2),
        ("d", "e", 5),
    ]
    with pytest.raises(FormatError, match=r"line 3: expected a source and a target in columns 1 and 2, received 1"):
        list(formats.pairs("a.csv")(io.BytesIO(b"source,target\na,b\nc\n"), "a.csv", wanted))
    with pytest.raises(FormatError, match=r"a.csv has no column of the target; name the two columns"):
        list(formats.pairs("a.csv")(io.BytesIO(b"en,n\na,1\n"), "a.csv", wanted))


# TSV.


@given(st.lists(st.tuples(INLINE, st.just("") | INLINE, INLINE), max_size=6), st.sampled_from(["\n", "\r\n"]))
@FAST
def test_of_tsv_the_target_alone_changes(rows, end):
    head = [("source", "target", "note")]
    copied = [
        (source, source if source.strip() and not target.strip() else target, note) for source, target, note in rows
    ]
    found = filled("a.tsv", "".join("\t".join(row) + end for row in head + rows).encode())
    assert found.decode() == "".join("\t".join(row) + end for row in head + copied)
    assert asked("a.tsv", found) == []


@pytest.mark.parametrize("answer", NASTY)
def test_tsv_keeps_its_cells_whatever_the_answer(answer):
    found = filled("a.tsv", b'source\ttarget\tn\n"a dog\t\t"1\n', lambda line: answer).decode()
    head, row, rest = found.split("\n")
    assert (head, rest) == ("source\ttarget\tn", "")
    assert row.split("\t") == ['"a dog', re.sub("[\t\r\n]", " ", answer.replace("\r\n", " ")), '"1']


# JSON Lines.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY, inner, max_size=2),
    max_leaves=4,
)
OTHERS = st.dictionaries(
    ANY.filter(lambda name: name not in ("en", "de", "source", "translation.en")), VALUES, max_size=2
)
LAYOUTS = st.tuples(st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")]))


@given(OTHERS, OTHERS, ANY, st.sampled_from([None, "", " ", "da"]), LAYOUTS, st.sampled_from(["\n", "\r\n", ""]))
@settings(FAST, max_examples=200)
def test_of_json_lines_the_target_alone_changes(before, behind, source, target, layout, end):
    ascii_only, separators = layout

    def dumped(value):
        return json.dumps(value, ensure_ascii=ascii_only, separators=separators)

    behind = {name: value for name, value in behind.items() if name not in before}
    names = [*before.items(), ("en", source), *behind.items()]
    start = "{ " + separators[0].join(f"{dumped(name)}{separators[1]}{dumped(value)}" for name, value in names)
    start += f'{separators[0]}"de"{separators[1]}'
    content = f"{start}{dumped(target)}  }}{end}".encode()
    found = filled("a.jsonl", content).decode()
    fills = source.strip() and not (target or "").strip()
    assert json.loads(found) == {**dict(names), "de": source if fills else target}
    assert found.startswith(start)
    assert found.endswith("  }" + end)
    assert found.count("\n") == end.count("\n")
    if not fills:
        assert found == content.decode()
    if source.strip():
        assert asked("a.jsonl", found.encode()) == []


@given(OTHERS, ANY.filter(str.strip), LAYOUTS)
@FAST
def test_a_target_is_added_behind_what_is_there(others, source, layout):
    ascii_only, separators = layout
    for row, path in (
        ({**others, "en": source}, ("de",)),
        ({"translation": {**others, "en": source}, "id": 1}, ("translation", "de")),
    ):
        line = json.dumps(row, ensure_ascii=ascii_only, separators=separators)
        found = json.loads(filled("a.jsonl", line.encode()))
        inner = found
        for name in path[:-1]:
            inner = inner[name]
        assert inner.pop(path[-1]) == source
        assert found == row


@pytest.mark.parametrize("answer", NASTY)
def test_a_line_of_json_stays_one_whatever_the_answer(answer):
    found = filled("a.jsonl", '{"en": "ä dog"}\n\n{"en": "2"}\n'.encode(), lambda line: answer).decode()
    first, blank, third = found.splitlines()  # which knows more ends of lines than JSON
    assert json.loads(first) == {"en": "ä dog", "de": re.sub("\r?\n", " ", answer)}
    assert blank == ""
    assert json.loads(third)["de"] == "2"


@pytest.mark.parametrize(
    ("line", "wanted", "expected"),
    [
        ('{"en":"a"}', {}, '{"en":"a", "de": "a"}'),
        ('{"source": "a", "target": null, "n": {}}', {}, '{"source": "a", "target": "a", "n": {}}'),
        ('{"en": "a", "de": 0}', {}, '{"en": "a", "de": 0}'),
        ('{"en": 1, "source": "a"}', {}, '{"en": 1, "source": "a", "target": "a"}'),
        ('{"en": "a", "de": "b"}', {"again": True}, '{"en": "a", "de": "a"}'),
        # Of two values of a name every reader takes the last.
        ('{"en": "a", "de": "", "de": null}', {}, '{"en": "a", "de": "", "de": "a"}'),
        ('{"en": "x", "en": "a", "de": ""}', {}, '{"en": "x", "en": "a", "de": "a"}'),
        ('{"x": {"y": "a"}}', {"columns": ("x.y", "p.q")}, '{"x": {"y": "a"}, "p": {"q": "a"}}'),
        ('{"x.y": "a", "p": null}', {"columns": ("x.y", "p.q")}, '{"x.y": "a", "p": {"q": "a"}}'),
        ('{"\\u0065n": "a", "\\u0064e" : ""}', {}, '{"\\u0065n": "a", "\\u0064e" : "a"}'),
        # Letters are escaped where they were, and only there.
        ('{"en": "\\u00fc"}', {}, '{"en": "\\u00fc", "de": "\\u00fc"}'),
        ('{"en": "ü"}', {}, '{"en": "ü", "de": "ü"}'),
        ('{"en": "a\\ud800"}', {}, '{"en": "a\\ud800", "de": "a?"}'),
    ],
)
def test_values_of_json(line, wanted, expected):
    assert filled("a.jsonl", line.encode(), **wanted).decode() == expected
    assert filled("a.jsonl", b"\xef\xbb\xbf" + line.encode() + b"\r\n", **wanted).decode() == f"\ufeff{expected}\r\n"


def test_what_a_language_has_is_not_escaped():
    assert (
        filled("a.jsonl", b'{"en": "a dog"}', lambda line: "ein Rüde") == '{"en": "a dog", "de": "ein Rüde"}'.encode()
    )


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        ('\n{"en": }', {}, "a.jsonl, line 2, column 8: no valid JSON"),
        ("[1]", {}, r"a.jsonl, line 1: expected an object, received \[1\]"),
        ('{"fr": "a"}', {}, "line 1: has no text en; its names are fr"),
        ('{"en": 1}', {}, "line 1: has no text en; its names are en"),
        (
            '{"a": "b"}',
            {"columns": ("a", "a.de")},
            'expected an object at a to put a.de into, received "b"; name another',
        ),
        ('{"en": ' + "[" * 100_000, {}, "line 1: no JSON that Python reads"),
        ('{"n": ' + "1" * 5000 + "}", {}, "line 1: no JSON that Python reads"),
    ],
)
def test_json_that_cannot_be_filled_is_told(content, wanted, message):
    refused("a.jsonl", content.encode(), message, **wanted)


def test_pairs_of_json_lines():
    wanted = Wanted("en", "de")
    content = b'{"translation": {"en": "a", "de": "b"}}\n\n{"en": "c", "de": null}\n'
    assert list(formats.pairs("a.jsonl")(io.BytesIO(content), "a.jsonl", wanted)) == [("a", "b", 1)]
    content = b'{"translation": {"en": "a", "de": "b"}}\n\n{"en": "c", "de": null}\n{"en": "d", "de": 4}\n'
    assert list(formats.pairs("a.jsonl")(io.BytesIO(content), "a.jsonl", wanted)) == [("a", "b", 1)]
    with pytest.raises(FormatError, match=r"a\.jsonl: no line has both en and de; name the two"):
        list(formats.pairs("a.jsonl")(io.BytesIO(b'{"en": "c"}\n'), "a.jsonl", wanted))


# Subtitles.

SAID = [
    "Hello there",
    "- Yes?",
    "-No!",
    "<i>so",
    "so</i> it is",
    "{\\an8}up",
    "<b>two  blanks</b> ",
    "a < b",
    "1984",
    "AT&amp;T",
    "\u2013 Oh",
]
SAID += ["<v Mary>Well", "<00:00:01.500>now", "\u00a0", "it's 5 o'clock", "語"]
CUES = st.lists(st.lists(st.sampled_from(SAID), min_size=1, max_size=4), min_size=1, max_size=5)


def subtitles(cues, end, web, numbered=True):
    lines = ["WEBVTT - a file", "", "STYLE", "::cue { color: red }", "", "NOTE Hello", ""] if web else []
    for number, cue in enumerate(cues):
        point = "." if web else ","
        times = f"00:00:{number * 2:02}{point}000 --> 00:00:{number * 2 + 1:02}{point}000"
        lines += [*([str(number + 1)] if numbered else []), times + " align:start" * web, *cue, ""]
    return end.join(lines)


def timing(content, kind):
    """When its cues are, as pysubs2 reads them."""
    return [(event.start, event.end) for event in pysubs2.SSAFile.from_string(content, format_=kind)]


@given(CUES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans(), st.sampled_from(["", "\ufeff"]))
@FAST
def test_subtitles_that_are_copied_are_the_same(cues, end, web, numbered, mark):
    content = (mark + subtitles(cues, end, web, numbered)).encode()
    assert filled("a.vtt" if web else "a.srt", content) == content


@given(CUES, st.booleans(), st.lists(st.sampled_from(NASTY) | ANY, min_size=1, max_size=5))
@settings(FAST, max_examples=200)
def test_whatever_an_answer_there_are_as_many_cues_at_their_times(cues, web, answers):
    kind = "vtt" if web else "srt"
    # pysubs2 takes any two times in a line for those of a cue.
    cues = [[line.replace("<00:00:01.500>", "") for line in cue] for cue in cues]
    content = subtitles(cues, "\n", web)
    one = itertools.cycle(answers)
    found = filled(f"a.{kind}", content.encode(), lambda line: next(one)).decode()
    assert timing(found, kind) == timing(content, kind)
    assert found.count("-->") == len(cues)
    # By the rules of WebVTT: a block ends at an empty line. What is not a cue is what it was.
    for old, new in zip(re.split("\n\n", content.strip("\n")), re.split("\n\n+", found.strip("\n")), strict=True):
        if "-->" in old:
            assert new.split("\n")[:2] == old.split("\n")[:2]
            assert len(new.strip("\n").split("\n")) <= len(old.strip("\n").split("\n"))
        else:
            assert new == old
    tags = re.compile(r"<[^<>\n]*>|\{[^{}]*\}")
    if not any(re.search("[<{]", answer) for answer in answers):
        assert sorted(tags.findall(found)) == sorted(tags.findall(content))


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_that_pysubs2_wrote(kind):
    subs = pysubs2.SSAFile()
    texts = ["Hello", r"- Who?\N- Me.", r"{\i1}so{\i0} it is", r"two lines\Nof one sentence", "a -- b"]
    subs.events = [pysubs2.SSAEvent(number * 1000, number * 1000 + 900, text) for number, text in enumerate(texts)]
    content = subs.to_string(kind)
    assert filled(f"a.{kind}", content.encode()).decode() == content
    found = pysubs2.SSAFile.from_string(filled(f"a.{kind}", content.encode(), str.upper).decode(), format_=kind)
    assert [event.plaintext.lower() for event in found] == [event.plaintext.lower() for event in subs]
    assert [(event.start, event.end) for event in found] == [(event.start, event.end) for event in subs]


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.srt", "1\n00:01 --> 00:02\nOne\ntwo\n\n2\n00:03 --> 00:04\n- A\n- B\n", ["One two", "A", "B"]),
        # Cues that no blank line parts, with and without blanks around the arrow.
        ("a.srt", "1\n00:01 --> 00:02\nOne\n2\n00:03-->00:04\nTwo\n1984\n", ["One", "Two 1984"]),
        ("a.srt", "00:01 --> 00:02\nOne\n00:03 --> 00:04\nTwo\n", ["One", "Two"]),
        ("a.srt", "1\n00:01 --> 00:02\na --> b\n", ["a --> b"]),
        ("a.srt", "1\n00:01 --> 00:02\n\u2013 A\n\u2014 B\n", ["A", "B"]),
        # A line of blanks is text in WebVTT alone.
        ("a.srt", "1\n00:01 --> 00:02\nOne\n \t\nlost\n", ["One"]),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\n \ntwo\n", ["One  two"]),
        ("a.srt", "1\r\r\n00:01 --> 00:02\r\r\nOne\r\r\ntwo\r\r\n\r\r\nlost", ["One two"]),
        ("a.srt", "1\n00:01 --> 00:02\n\n2\n00:03 --> 00:04\nTwo\n", ["Two"]),
        ("a.srt", "1\r\n00:01 --> 00:02\r\nOne\r\ntwo", ["One two"]),
        ("a.vtt", "WEBVTT\n\nNOTE\nHello\n\nintro\n00:01.000 --> 00:02.000\nAT&amp;T &lt;3\n", ["AT&T <3"]),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\na --> b\nlost\n\n", ["One"]),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Mary>One <c.red>two</c></v>\n", ["One two"]),
    ],
)
def test_what_is_said_in_subtitles(name, content, texts):
    assert asked(name, content.encode()) == texts


@pytest.mark.parametrize(
    ("name", "cue", "answer", "expected"),
    [
        ("a.srt", "one two\nthree four", "1 2 3 4 a", "1 2\n3 4 a"),
        ("a.srt", "one two\nthree four", "a", "a"),
        ("a.srt", "one\ntwo", "a   b", "a\nb"),
        ("a.srt", "one two", "a --> b", "a -- > b"),
        ("a.vtt", "one two", "a --> <b> & c", "a --&gt; &lt;b&gt; &amp; c"),
        ("a.srt", "- one\n- two", "a\n\nb", "- a b\n- a b"),
        ("a.srt", "one", "a\u00a0!", "a\u00a0!"),
    ],
)
def test_how_an_answer_is_said(name, cue, answer, expected):
    head = "WEBVTT\n\n00:01.000 --> 00:02.000\n" if name == "a.vtt" else "1\n00:01,000 --> 00:02,000\n"
    assert filled(name, f"{head}{cue}\n\n".encode(), lambda line: answer).decode() == f"{head}{expected}\n\n"


# Markdown.

DOCUMENTS = {
    "lists": "- one\n  two\n  - three\n    1. four\n\n       five\n\n* six\n+ seven\n\n1) eight\n2) nine\n",
    "quotes": "> one\n> two\nlazy three\n>\n> > four\n> > - five\n> >   six\n",
    "breaks": "one  \ntwo\\\nthree   \n   four\nfive\\\\\nsix\n",
    "tables": "| one | two |\n|:---|---:|\n| a \\| b | `c \\| d` |\n| | e **f** |\n\na | b\n- | -\nc | d\n",
    "table in a list": "- one\n\n  | one | one |\n  |---|---|\n  | one | `x` one |\n",
    "links": 'See [the book][book], [this one](https://x.org "A title"), [book], [book][] and ![a book].\n\n'
    "[A](<a b.md> 'one') [b](x_(y)) [c](x (one)) [d]( y ).\n\n[book]: https://example.org 'Book'\n[a book]: b.png\n",
    "notes": "One[^1] two[^note].\n\n[^1]: The first note.\n[^note]: The second\n    goes on.\n",
    "blocks of HTML": "<div>\n<p>one</p>\n\ntwo\n</div>\n\n<!-- three\n\nfour -->\n\n<details>\n<b>x</b>\n\nfive\n",
    "HTML": 'one <b>two</b> <span title="a > b">three</span><br> four <br/>five <!-- six --> &nbsp; &copy;&#38;\n',
    "front matter": "---\ntitle: One two\ntags: [a, b]\n---\n\n# Three\n\nfour\n\n---\n\nfive\n",
    "empty front matter": "---\n---\none\n",
    "headings": "One\n===\n\nTwo\nthree\n---\n\n# Four #\n## Five \\#\n### 6. Six ###\n####\n",
    "code": "one\n\n    indented code\n\ntwo `a  b` ``c ` d``\n\n```python\nthree\n```\n\n~~~\nfour\n~~~\n",
    "code in a list": "1. one\n\n   ```sh\n   two\n   ```\n   three\n\n       four\n- ```\n  five\n  ```\n",
    "images": "[![one](a.png)](b.html) [![two][i]](c) ![three](d.png 'four') wow\\![five](e)\n\n[i]: i.png\n",
    "addresses": "See <https://x.org/a_b>, https://x.org/a_b_c, <me@x.org> and [https://x.org](https://x.org).\n",
    "emphasis": "one *two\nthree* __four__ five_six_seven ***eight*** ~~nine\nten~~ 2 * 3 * 4 **a *b* c**\n",
    "over lines": "one `two\nthree` [four\nfive](x\n'six') <b\nid='a'>seven</b> eight\n",
    "tasks": "- [ ] one\n- [x] two\n  three\n  * [X] four\n- [link](x)\n- [y] five\n",
    "escapes": "1\\. one\n\n\\# two \\*three\\* a\\_b \\`c\\` \\\\*d* \\[e] \\<f> \\&amp; g\\h don\\'t\n",
    "signs": "a [b] c] [ d < e > f & g \\ h _ i ` j ~ k | l ! m * n\n",
    "what looks like more": "one\n2. two\n<b> three\n#four\n- - five\n6. 6. six\n* 7 *\n",
    "nothing": "",
    "a blank": " \n\n",
    "blanks": "  one\t \n \u00a0two\u3000\n\tthree\n\n-\tfour\n",
    "carriage returns": "one\rtwo\r\r- three\r",
    "null": "one two\0three\n\nfour\n",
    "number and text": "1. 1. a\n- -b\n> >c\n",
    "form feed": "one\x0ctwo\x0b\u2028three\n\n\x85four\n",
}  # fmt: skip
FILES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
VARIANTS = {
    "as it is": lambda content: content,
    "without a last line end": lambda content: content.rstrip("\n"),
    "with CRLF": lambda content: content.replace("\n", "\r\n"),
    "with a mark": lambda content: f"\ufeff{content}",
}


def shown(content):
    """What a reader sees, in capitals, without line breaks that he does not see."""
    front = re.match(r"\ufeff?(---\r?\n(?s:.*?\n)??---\r?\n)?", content)
    return " ".join(MARKDOWN.render(content[front.end() :]).upper().split())


@pytest.mark.parametrize("content", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_markdown_that_is_copied_is_the_same_and_in_capitals_it_shows_the_same(content, variant):
    content = variant(content)
    assert filled("a.md", content.encode()).decode() == content
    assert shown(filled("a.md", content.encode(), str.upper).decode()) == shown(content)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_documents_of_this_repository(path):
    content = path.read_bytes()
    assert filled("a.md", content) == content
    assert shown(filled("a.md", content, str.upper).decode()) == shown(content.decode())


FRAGMENTS = [
    "one", "two three", " ", "  ", "\t", "\n", "\n\n", "\n    ", "\n- ", "\n> ", "\n1. ", "\n# ", "\n===\n", "\n```\n",
    "\n| a | b |\n|---|---|\n", "\n<div>\n", "\n[one]: x\n", "  \n", "\\\n", "\r\n", "\n---\n", "*", "**", "_", "`",
    "\\", "|", "[", "](x)", "]", "[one]", "![", "<b>", "</b>", "<br>", "&amp;", "<!--", "-->", "[^1]: ", "[ ] ", "ü",
    "\u00a0", "~~",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS) | INLINE, max_size=14).map("".join))
@settings(FAST, max_examples=250)
def test_any_markdown_that_is_copied_is_the_same(content):
    assume("\0" not in content[:4])  # it would be taken for UTF-16
    assert filled("a.md", content.encode()).decode() == content


def blocks(content):
    return [token.type for token in MARKDOWN.parse(content) if token.type != "inline"]


SIGNS = [
    "#", "##", "-", "+", "*", "1.", "2)", ">", "===", "---", "***", "```", "~~~", "<div>", "<b>", "|", "b|c", "\\",
    "    ", "[a]:", "[a]", "\n", "\n\n", "\r\n", "\t", "_x_", "&amp;", "![", "](x)", "`", ":--|--:", "-|-", "<!--",
    "<?", "word", "x", "!", "a\\", "~~", "**b**", "</div>", "[x](y)", "&lt;", "==", "- -", "- ", "a*b", "a_b_", "<x@y>",
]  # fmt: skip
# Where a text may stand, with as much of it as shows whether the answer stays there.
PLACES = [
    "one two three four\nfive six seven eight\nnine\n", "> one two\n> three four\n", "1. one\n   two\n",
    "- one\n  two\n\n  three\n- four\n", "# one\n\ntwo\n", "## one ##\n", "one\ntwo\n===\n",
    "one  \ntwo\\\nthree\n", "- [ ] one\n",
    "| one | two |\n|---|---|\n| three | four |\n", "one | two\n--- | ---\nthree | four\n",
]  # fmt: skip


class _Seen(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_data(self, data):
        self.text += data


@given(st.sampled_from(PLACES), st.lists(st.sampled_from(SIGNS), max_size=7), st.sampled_from(["", " "]))
@settings(FAST, max_examples=600)
def test_an_answer_is_text_whatever_it_looks_like(place, signs, between):
    answer = between.join(signs)
    found = filled("a.md", place.encode(), lambda line: answer).decode()
    assert blocks(found) == blocks(place)
    if answer.strip():
        slots = len(asked("a.md", place.encode()))
        seen = _Seen()
        seen.feed(MARKDOWN.render(found))
        box = "[ ]" if "[ ]" in place else ""
        assert "".join(seen.text.split()) == "".join((box + answer * slots).split())


@pytest.mark.parametrize(
    ("content", "answer", "expected"),
    [
        ("one two\nthree\n", "a b\n- c", "a b\n\\- c\n"),
        ("one two\nthree\n", "aaaaa 1986. b", "aaaaa\n1986. b\n"),  # a list of that number cannot begin here
        ("one\n", "1986. bbb", "1986\\. bbb\n"),
        ("# one\n", "1. a", "# 1. a\n"),
        ("# one\n", "C #", "# C \\#\n"),
        ("| one |\n|-|\n| 1 |\n", "a|b", "| a\\|b |\n|-|\n| 1 |\n"),
        ("one [two](x)\n", "a!", "a\\![](x)\n"),
        ("see [one]\n\n[one]: x\n", "a b", "a [b][one]\n\n[one]: x\n"),
        ("see [one][]\n\n[one]: x\n", "a b", "a [b][one]\n\n[one]: x\n"),
        ("one **two**\n", "", "one **two**\n"),
        ("- one\n", "--", "- \\--\n"),  # with the sign of the item it would be a line across the page
        ("1. one\n   two\n", "| -|", "1. \\|\n   \\-|\n"),  # with the number it would be a table
        ("- one\n  two\n", "| a :-|-", "- | a\n  \\:-|-\n"),
        ("- [x] one\n- [X] two\n", "a", "- [x] a\n- [X] a\n"),
        ("---\ntitle: one\n...\none\n", "a", "---\ntitle: one\n...\na\n"),
        ("[^1]: one two\n", "a", "[^1]: a\n"),
    ],
)
def test_how_an_answer_is_written(content, answer, expected):
    assert filled("a.md", content.encode(), lambda line: answer).decode() == expected


def test_what_of_markdown_is_translated():
    content = (
        "---\na: b\n---\n# One `x`\n\ntwo *three*\nfour  \nfive &amp; \\*\n\n```\ncode\n```\n- [ ] six [seven](x)\n"
    )
    assert asked("a.md", content.encode()) == ["One ", "two three four", "five & *", "six seven"]
    content = "see https://x.org/a_b, <https://x.org> or ![a book], ![it](b.png) [too][a book]\n\n[a book]: b.png\n"
    assert asked("a.md", content.encode()) == ["see ,  or ,  too"]


# Texts.

PAIRED = re.compile(r"<(?P<opens>[a-z])>|</(?P<closes>[a-z])>|(?P<opens_x>\[)|(?P<closes_x>\])|(?P<both>\*)|<!>")
MARKED = st.text("ab \n<>[]*/!", max_size=15)


@given(MARKED)
@FAST
def test_a_marked_text_is_rendered_as_it_was(content):
    text = Text.marked(content, PAIRED)
    assert text.render() == content
    assert Text.joined(text.lines()) == text
    assert [line.plain for line in text.lines()] == text.plain.split("\n")
    opened = [mark.pair for mark in text.marks if mark.opens]
    assert len(set(opened)) == len(opened)
    assert sorted(opened) == sorted(mark.pair for mark in text.marks if mark.pair and not mark.opens)


def test_pairs_share_what_opens_and_closes_them():
    marks = Text.marked("<a>x<b>*[y]*</a><!>]</b>", PAIRED).marks
    pairs = {}
    for mark in marks:
        pairs.setdefault(mark.pair, []).append(mark.code)
    assert pairs.pop(None) == ["<b>", "<!>", "]", "</b>"]  # one that another pair would cross stands alone
    assert sorted(pairs.values()) == [["*", "*"], ["<a>", "</a>"], ["[", "]"]]


@given(MARKED)
@FAST
def test_a_flat_text_has_its_words_and_marks(content):
    text = Text.marked(content, PAIRED)
    flat = text.flat()
    assert [mark.code for mark in flat.marks] == [mark.code for mark in text.marks]
    assert flat.flat() == flat
    assert "\n" not in flat.plain
    assert "  " not in flat.render()
    assert flat.render() == " ".join(text.render().split())


@given(MARKED, st.lists(st.integers(0, 9), min_size=1, max_size=5))
@FAST
def test_a_text_is_wrapped_at_blanks(content, lengths):
    text = Text.marked(content, PAIRED).flat()
    lines = text.wrapped(lengths)
    assert 1 <= len(lines) <= len(lengths)
    assert " ".join(line.render() for line in lines) == text.render()
    assert len(lines) == 1 or all(line.render().strip() for line in lines)


@pytest.mark.parametrize(
    ("content", "lengths", "expected"),
    [
        ("aa bb cc dd", [5, 5], ["aa bb", "cc dd"]),
        ("aa bb cc dd", [2, 8], ["aa", "bb cc dd"]),
        ("aa bb cc dd", [1, 1, 1, 1, 1], ["aa", "bb", "cc", "dd"]),
        ("aabb", [2, 2], ["aabb"]),
        ("", [3, 3], [""]),
    ],
)
def test_lines_share_a_text_as_they_did(content, lengths, expected):
    assert [line.plain for line in Text(content).wrapped(lengths)] == expected


def test_a_mark_at_the_end_of_a_line_ends_it():
    text = Text("a\nb", (Mark(1, "<x>"), Mark(2, "<y>")))
    assert text.lines() == [Text("a", (Mark(1, "<x>"),)), Text("b", (Mark(0, "<y>"),))]


# Names.


@pytest.mark.parametrize("name", ["a.doc", "a", "a.gz"])
def test_an_unknown_format_is_told(name):
    assert not formats.known(name)
    with pytest.raises(FormatError, match=f"{name}: its format is not known by its name; expected one of .tmx"):
        formats.parts(name)


def test_formats_are_known_by_their_endings():
    assert all(formats.known(f"a{ending}") and formats.known(f"A{ending.upper()}.gz") for ending in formats.ENDINGS)
    with pytest.raises(FormatError, match=r"a.srt holds one language, not two; expected one of .tmx"):
        formats.pairs("a.srt")


def test_marks_of_bytes_stay():
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_LE, "utf-32-le")):
        content = mark + "source,target\na,\n".encode(encoding)
        assert filled("a.csv", content) == mark + "source,target\na,a\n".encode(encoding)
