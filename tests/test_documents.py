"""Documents filled piece by piece: as many lines as were asked for, whatever the pieces and the answers are."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt import documents
from nmt.formats.document import Mark, Slot, Text
from nmt.translation import Translation

BOLD = re.compile(r"<(?P<opens>b)>|</(?P<closes>b)>|<br/>")


def slot(*contents, where="line 1"):
    """A slot that shows what it was filled with, each text in brackets."""
    texts = tuple(Text.marked(content, BOLD) for content in contents)
    return Slot(where, texts, lambda found: "".join(f"[{text.render()}]" for text in found).encode())


class Engine:
    """It says every line in capitals, and word for word; it keeps what it was asked."""

    def __init__(self, answer=str.upper):
        self.answer, self.calls = answer, []

    def __call__(self, lines, *, align):
        self.calls.append((list(lines), align))
        return [
            Translation(self.answer(line), 0.0, alignment=tuple((word, word) for word in range(len(line.split()))))
            for line in lines
        ]

    @property
    def lines(self):
        return [line for lines, _ in self.calls for line in lines]


def filled(parts, engine, tell=lambda where, line, found: None):
    return b"".join(documents.translated(parts, engine, tell)).decode()


@pytest.fixture
def chunks(monkeypatch):
    def set_sizes(texts, size):
        monkeypatch.setattr(documents, "CHUNK", texts)
        monkeypatch.setattr(documents, "_BYTES", size)

    return set_sizes


CONTENTS = st.text("ab <>/1\n\r.", max_size=12) | st.sampled_from(["<b>a</b> b", "a\nb", "12", "", "a <b>b\nc</b> d"])
PARTS = st.lists(st.binary(max_size=9).map(lambda part: b"|" + part.hex().encode()) | st.lists(CONTENTS, max_size=3))


def made(parts):
    return [part if isinstance(part, bytes) else slot(*part) for part in parts]


@given(PARTS, st.integers(1, 5), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_chunks_never_change_what_becomes_of_a_document(parts, texts, size):
    with pytest.MonkeyPatch.context() as patch:
        whole = Engine()
        expected = filled(made(parts), whole)
        patch.setattr(documents, "CHUNK", texts)
        patch.setattr(documents, "_BYTES", size)
        cut = Engine()
        assert filled(made(parts), cut) == expected
        assert cut.lines == whole.lines
        assert len(whole.calls) <= 1
        assert all(lines for lines, _ in cut.calls)  # with nothing to say, nobody is asked


@given(PARTS)
@settings(max_examples=200, deadline=None)
def test_a_copy_is_what_was_there(parts):
    expected = "".join(
        part.decode() if isinstance(part, bytes) else "".join(f"[{content}]" for content in part) for part in parts
    )
    assert filled(made(parts), Engine(str)) == expected


@given(PARTS)
@settings(max_examples=100, deadline=None)
def test_what_has_no_letters_never_reaches_the_engine(parts):
    engine = Engine()
    filled(made(parts), engine)
    assert all(re.search("[abcd]", line) and "\n" not in line and "<b>" not in line for line in engine.lines)
    lines = [
        Text.marked(line, BOLD).plain.removesuffix("\r")
        for part in parts
        if not isinstance(part, bytes)
        for content in part
        for line in content.split("\n")
    ]
    assert engine.lines == [line for line in lines if re.search("[abcd]", line)]


def test_a_document_is_read_as_far_as_it_is_written(chunks):
    chunks(2, 100)
    read = []

    def parts():
        for number in itertools.count():
            read.append(number)
            yield slot(f"line {number}")

    document = documents.translated(parts(), Engine())
    assert [next(document) for _ in range(3)] == [b"[LINE 0]", b"[LINE 1]", b"[LINE 2]"]
    assert len(read) == 4


def test_a_document_with_little_to_translate_is_not_held(chunks):
    chunks(1000, 10)
    document = documents.translated((b"12345678" for _ in itertools.count()), Engine())
    assert [next(document) for _ in range(3)] == [b"12345678"] * 3


def test_after_much_that_stays_texts_are_translated_together_again(chunks):
    chunks(4, 10)
    engine = Engine()
    filled([b"12345678", b"12345678", *(slot("a", "b") for _ in range(4))], engine)
    assert engine.calls == [(["a", "b", "a", "b"], False)] * 2


def test_so_many_texts_as_are_asked_for_are_translated_together():
    engine = Engine()
    list(documents.translated([slot("a"), slot("b"), slot("c")], engine, most=2))
    assert engine.calls == [(["a", "b"], False), (["c"], False)]


def test_texts_of_several_lines_are_translated_line_by_line():
    engine = Engine()
    assert filled([slot("one\n\n2\ntwo\n", "three")], engine) == "[ONE\n\n2\nTWO\n][THREE]"
    assert engine.calls == [(["one", "two", "three"], False)]


def test_ends_of_lines_stay_and_are_not_translated():
    engine = Engine()
    assert filled([slot("one\r\n<b>two</b>\r\n\r\nthree")], engine) == "[ONE\r\n<b>TWO</b>\r\n\r\nTHREE]"
    assert engine.lines == ["one", "two", "three"]
    assert filled([slot("<b>one\r</b>\ntwo")], Engine(lambda line: "x y")) == "[<b>x</b> y\r\nx y]"


def test_marks_are_placed_in_their_own_line_and_words_are_aligned_only_for_them():
    engine = Engine()
    parts = [b"<", slot("a <b>dog</b>\nruns<br/>"), b">"]
    assert filled(parts, engine) == "<[A <b>DOG</b>\nRUNS<br/>]>"
    assert engine.calls == [(["a dog", "runs"], True)]


@pytest.mark.parametrize("answer", ["", " ", "x\ny", "\n", "x\r\ny\r", "x " * 50])
def test_whatever_an_engine_says_there_are_as_many_lines(answer):
    found = filled([slot("one\n<b>two</b> more\n3", "four")], Engine(lambda line: answer))
    assert [text.count("\n") for text in found[1:-1].split("][")] == [2, 0]
    assert re.findall(r"</?b>", found) == ["<b>", "</b>"]


def test_a_line_that_an_engine_breaks_gets_blanks():
    assert filled([slot("one")], Engine(lambda line: "x\r\ny\nz")) == "[x y z]"


def test_an_engine_that_tells_no_alignment_loses_no_mark():
    def engine(lines, *, align):
        return [Translation(line[::-1], 0.0) for line in lines]

    assert sorted(filled([slot("a <b>dog</b> runs")], engine)) == sorted("[a <b>dog</b> runs]")


def test_every_line_that_was_translated_is_told():
    told = []
    parts = [slot("one\n2", where="line 3"), b"...", slot("<b>two</b>", "three", where="line 9")]
    filled(parts, Engine(), lambda where, line, found: told.append((where, line, found.text)))
    assert told == [("line 3", "one", "ONE"), ("line 9", "two", "TWO"), ("line 9", "three", "THREE")]


def test_of_no_document_there_is_nothing():
    assert filled([], Engine()) == ""
    assert filled([slot()], Engine()) == ""


def test_marks_of_a_line_without_letters_stay():
    assert filled([slot("<b>1</b>\n<br/>")], Engine()) == "[<b>1</b>\n<br/>]"
    assert slot("<b>1").texts[0].marks == (Mark(0, "<b>"),)
