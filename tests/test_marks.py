"""Marks of a source in its translation: none is lost, none is twice, and what was nested stays so."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.formats.document import Mark, Text
from nmt.marks import found, kept, missing_number, projected

WORDS = st.text("aäß語x.-", min_size=1, max_size=4)
BLANKS = st.sampled_from([" ", " ", " ", "  ", "\t", "\u00a0", "\u3000", "   "])


@st.composite
def plains(draw):
    words = draw(st.lists(st.tuples(WORDS, BLANKS), max_size=7))
    return (
        draw(st.sampled_from(["", "", " ", "  "]))
        + "".join(word + blank for word, blank in words)[: draw(st.integers(0, 40))]
    )


@st.composite
def texts(draw):
    """A text with pairs that are nested, and marks that stand alone, at any of its places."""
    plain = draw(plains())
    marks = []

    def add(low, high, depth):
        place = low
        for _ in range(draw(st.integers(0, 2 if depth else 3))):
            place = draw(st.integers(place, high))
            number = len(marks)
            if draw(st.booleans()):
                end = draw(st.integers(place, high))
                marks.append(Mark(place, f"<{number}>", f"pair {number}", opens=True))
                if depth < 3:
                    add(place, end, depth + 1)
                marks.append(Mark(end, f"</{number}>", f"pair {number}"))
                place = end
            else:
                marks.append(Mark(place, f"<{number}/>"))

    add(0, len(plain), 0)
    return Text(plain, tuple(marks))


def links_of(source, target):
    return st.lists(
        st.tuples(st.integers(0, len(source.split()) + 1), st.integers(0, len(target.split()) + 1)), max_size=12
    )


def around(marks):
    """The pairs that each mark stands within, by codes."""
    found, opened = {}, []
    for mark in marks:
        if mark.pair and not mark.opens:
            assert opened.pop() == mark.pair  # it closes what was opened last
        found[mark.code] = tuple(opened)
        if mark.opens:
            opened.append(mark.pair)
    assert not opened
    return found


@given(st.data(), texts(), plains())
@settings(max_examples=400, deadline=None)
def test_every_mark_is_there_once_and_as_it_was_nested(data, source, target):
    found = projected(source, target, data.draw(links_of(source.plain, target)))
    assert sorted(mark.code for mark in found.marks) == sorted(mark.code for mark in source.marks)
    assert [mark.place for mark in found.marks] == sorted(mark.place for mark in found.marks)
    assert all(0 <= mark.place <= len(found.plain) for mark in found.marks)
    assert around(found.marks) == around(source.marks)


@given(st.data(), texts(), plains())
@settings(max_examples=400, deadline=None)
def test_the_translation_is_as_it_was_but_for_blanks_beside_marks(data, source, target):
    found = projected(source, target, data.draw(links_of(source.plain, target)))
    places = {mark.place for mark in found.marks}
    # Every blank beside a mark may be one that was added, so those of both are left out of the comparison.
    beside = {place for place, one in enumerate(found.plain) if one == " " and {place, place + 1} & places}
    kept = iter(target)
    for place, one in enumerate(found.plain):
        if place not in beside:
            assert one in kept
    assert "".join(found.plain.split()) == "".join(target.split())
    assert len(found.plain) <= len(target) + 2 * len(found.marks)


@given(texts())
@settings(max_examples=800, deadline=None)
def test_a_copy_with_its_own_alignment_is_the_source(source):
    words = range(len(source.plain.split()))
    assert projected(source, source.plain, [(word, word) for word in words]) == source


@given(plains(), plains(), st.data())
@settings(max_examples=100, deadline=None)
def test_pairs_that_cross_or_lack_a_partner_lose_no_mark(plain, target, data):
    codes = [
        Mark(0, "<a>", "a", opens=True), Mark(0, "<b>", "b", opens=True), Mark(0, "</a>", "a"), Mark(0, "</b>", "b"),
        Mark(0, "<c>", "c", opens=True), Mark(0, "</d>", "d"),
    ]  # fmt: skip
    places = sorted(data.draw(st.lists(st.integers(0, len(plain)), min_size=6, max_size=6)))
    source = Text(plain, tuple(mark._replace(place=place) for mark, place in zip(codes, places, strict=True)))
    found = projected(source, target, data.draw(links_of(plain, target)))
    assert sorted(mark.code for mark in found.marks) == sorted(mark.code for mark in codes)


def tagged(content):
    import re

    return Text.marked(content, re.compile(r"<(?P<opens>[a-z]+)>|</(?P<closes>[a-z]+)>|<[a-z]+/>"))


@pytest.mark.parametrize(
    ("source", "target", "links", "expected"),
    [
        # The adjective goes behind its noun, and takes its tag along.
        ("a <b>red</b> car", "une voiture rouge", [(0, 0), (1, 2), (2, 1)], "une voiture <b>rouge</b>"),
        # A verb in two parts: the tag goes around both and what is between.
        ("he <i>called</i> me", "er rief mich an", [(0, 0), (1, 1), (1, 3), (2, 2)], "er <i>rief mich an</i>"),
        # A tag of two words whose words change their order.
        ("the <b>old house</b> .", "la casa vieja .", [(0, 0), (1, 2), (2, 1), (3, 3)], "la <b>casa vieja</b> ."),
        # Nested.
        ("see <a>the <b>big</b> dog</a>", "voir le gros chien", [(0, 0), (1, 1), (2, 2), (3, 3)],
         "voir <a>le <b>gros</b> chien</a>"),
        # What stands alone stays before its word, apart from it where it was.
        ("press <key/> now", "jetzt drücken", [(0, 1), (1, 0)], "<key/> jetzt drücken"),
        ("press<key/> now", "drücke jetzt", [(0, 0), (1, 1)], "drücke<key/> jetzt"),
        # Around all, whatever the alignment says.
        ("<b>a dog</b>", "ein Hund", [], "<b>ein Hund</b>"),
        ("<b>a</b> dog<br/>", "ein Hund", [(1, 1)], "<b></b>ein Hund<br/>"),
        # A language without blanks: as far from the start as it was.
        ("aa bb cc <b>dd</b> ee ff", "一二三四五六", [(0, 0)], "一二三<b>四</b>五六"),
        # Punctuation that hangs on a word stays outside.
        ("a <b>dog</b>, yes", "ein Hund, ja", [(0, 0), (1, 1), (2, 2)], "ein <b>Hund</b>, ja"),
        ("<b>a</b>", "", [], "<b></b>"),
        # A link to a word that is not there.
        ("<b>a</b> b", "x", [(0, 7), (9, 0)], None),
    ],
)  # fmt: skip
def test_marks_go_where_their_words_went(source, target, links, expected):
    found = projected(tagged(source), target, links).render()
    if expected is None:
        assert sorted(found) == sorted("<b></b>x")
    else:
        assert found == expected


def test_pairs_nested_a_thousandfold_are_all_there():
    opening = [Mark(0, f"<{number}>", str(number), True) for number in range(1000)]
    closing = [Mark(3, f"</{number}>", str(number)) for number in reversed(range(1000))]
    found = projected(Text("one", (*opening, *closing)), "eins", [(0, 0)])
    assert Counter(mark.code for mark in found.marks) == Counter(mark.code for mark in (*opening, *closing))
    assert found.render().startswith("".join(mark.code for mark in opening[:100]))
    assert found.render().endswith("".join(mark.code for mark in closing[-100:]))


NONE = re.compile("(?!)")


@pytest.mark.parametrize(
    ("line", "marks"),
    [
        ("see http://a.b/c?d=1,2.", [" http://a.b/c?d=1,2"]),
        ("请访问http://a.b/c获取更多信息。", ["http://a.b/c"]),
        ("メールはa@b.cまで", ["a@b.c"]),
        ("see “http://x.org” , a dog", ["http://x.org"]),
        ("%s of %d, %(name)s: %prog 100%% {0} {name!r} {{ x }} ${y} {}", None),
        ("%ds left, %d MB, %dMB, %d-bit", ["%d", "%d", "%d", "%d"]),
        ("100 %-ige Frauen, die 10 %ige Lösung, 50 %off, 100 %d'accord, 50%off", []),
        ("two men if a<b and c>d then 1<x, y>2 (a<b && c>d)", []),
        ("{1,2,3} { a } {", []),
        ('<a href="x">y</a> <br/> <br /> <b>', ['<a href="x">', "</a>", "<br/>", "<br />", "<b>"]),
        ("a <unk> man", []),
    ],
)
def test_what_is_a_mark(line, marks):
    text = found(line, NONE)
    if marks is None:
        marks = ["%s", "%d", "%(name)s", "%prog", "{0}", "{name!r}", "{{ x }}", "${y}", "{}"]
    assert [mark.code.strip() for mark in text.marks] == [mark.strip() for mark in marks]
    assert text.render() == line


def test_a_mark_takes_its_blank_along_where_punctuation_follows():
    assert found("Delete {x}?", NONE).plain == "Delete?"
    assert found("a man {x} .", NONE).plain == "a man ."
    assert found("keep {x} now", NONE).plain == "keep  now"
    assert projected(found("a man {x} .", NONE), "ein Mann .", [(0, 0), (1, 1)]).render() == "ein Mann {x} ."
    assert projected(found("at {x} b", NONE), "am", [(0, 0)]).render() == "am {x}"


def test_marks_that_are_kept_and_numbers_that_are_missing():
    assert kept("%s and {x}", "{x} und %s")
    assert not kept("%s and %s", "%s und")
    assert not kept("%s and %d", "%s und %d und %d")  # for which a program would have no value
    assert kept("<b>a</b> <i>c</i>", "<i>c</i> <b>a</b>")
    assert not kept("a <b>red</b> dog", "ein </b>roter<b> Hund")
    assert kept("50% of all", "%d of all")  # nothing was asked for
    assert not missing_number("10,000 or 10 000 or 10.000", "10.000 10 000 10\u202f000")
    assert not missing_number("in 1999", "في ١٩٩٩")
    assert missing_number("in 1999", "neulich")
    assert not missing_number("7 dogs at {x12}", "sieben Hunde")


def test_where_a_sentence_is_one_word_a_mark_stands_as_far_from_its_start():
    """Nineteen characters become ten: the third of them is the end of what was the first word."""
    text = projected(found("<b>red</b> car is here now", NONE), "赤い車がここにあるよ", [(0, 0)])
    assert text.render() == "<b>赤い</b>車がここにあるよ"
