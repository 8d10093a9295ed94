"""Lines of several sentences: nothing of them is lost, and their translations come together as they stood."""

import math

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from nmt.corpus import without_control
from nmt.paragraphs import Joiner, split
from nmt.translation import Translation

LANGUAGES = ["en", "de", "ja", "zh-Hans", "ar", "hi", "tlh", ""]
SPACES = st.sampled_from(["", " ", "  ", "\n", "\n\n", "\t", "\u3000", "\u00a0"])
# Words with what ends sentences and what only seems to, in several scripts.
WORDS = st.sampled_from(
    ["Dr.", "Yes.", "no", "z.B.", "3.5", "Why?", "これは本です。", "，", "،", "नमस्ते।", '"', "a;", "…", "e\u0301"]
)


def whole(paragraph):
    inner = zip(paragraph.sentences, paragraph.spaces[1:], strict=True)
    return paragraph.spaces[0] + "".join(sentence + space for sentence, space in inner)


def fits(longest):
    return lambda sentence: len(sentence) <= longest


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    return toy.pieces(tmp_path_factory.mktemp("pieces"))


@given(
    st.lists(st.tuples(WORDS | st.text(max_size=6), SPACES), max_size=30),
    st.sampled_from(LANGUAGES),
    st.integers(1, 40),
)
def test_of_any_line_nothing_is_lost(parts, language, longest):
    line = "".join(word + space for word, space in parts)
    paragraph = split(line, language, fits(longest))
    assert whole(paragraph) == "\t".join(map(without_control, line.split("\t")))  # the same but for control characters
    if without_control(line).strip():
        assert all(sentence == sentence.strip() != "" for sentence in paragraph.sentences)
        assert all(len(sentence) <= longest for sentence in paragraph.sentences)
        assert all(space.strip() == "" for space in paragraph.spaces)
        assert len("".join(paragraph.spaces).splitlines()) <= 1
    else:
        assert paragraph.sentences == [whole(paragraph)]


@pytest.mark.parametrize(
    ("language", "line", "sentences"),
    [
        ("en", "Dr. Smith left. He said so!  Why?", ["Dr. Smith left.", "He said so!", "Why?"]),
        ("de", "Das ist z.B. gut. Am 3. Mai kam er.", ["Das ist z.B. gut.", "Am 3. Mai kam er."]),
        ("ja", "これはペンです。あれは本です！", ["これはペンです。", "あれは本です！"]),
        ("en-GB", "a man sleeps . a dog runs .", ["a man sleeps .", "a dog runs ."]),
        ("en", "no end", ["no end"]),
        ("en", "He left. —! Who knows?", ["He left. —!", "Who knows?"]),
        (None, "One. Two.", ["One. Two."]),
    ],
)
def test_sentences_end_where_a_reader_sees_it(language, line, sentences):
    paragraph = split(line, language, fits(1000))
    assert paragraph.sentences == sentences
    assert not paragraph.cut


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        # Behind the clause that is nearest the middle, not at the blank that is nearer.
        ("one two three, four five six seven", ["one two three,", "four five six seven"]),
        ("one, two three four five", ["one, two", "three four five"]),  # a comma too near the edge: a blank
        ("abcdefghijklmnop", ["abcdefgh", "ijklmnop"]),
        ("あいうえお、かきくけこ", ["あいうえお、", "かきくけこ"]),
    ],
)
def test_what_is_too_long_is_cut_at_the_best_place(line, parts):
    paragraph = split(line, "en", fits(20 if " " in line else 8))
    assert paragraph.sentences == parts
    assert paragraph.cut
    assert whole(paragraph) == line


def joined(paragraph, translations, pieces, target, n_best, drawn, source="en"):
    return Joiner(pieces, source, target).joined(paragraph, translations, n_best, drawn)


def said(text, score=-1.0, **about):
    return Translation(text, score, **about)


@pytest.mark.parametrize(
    ("source", "target", "line", "translations", "expected"),
    [
        ("en", "de", "  One.  Two.\tThree.\n", ["Eins.", "Zwei.", "Drei."], "  Eins.  Zwei.\tDrei. "),
        ("en", "ja", "One. Two.\tThree.", ["一。", "二。", "三。"], "一。二。\t三。"),
        ("ja", "en", "一。二。三。", ["One.", "Two.", "Three."], "One. Two. Three."),
        ("zh", "ja", "一。二。三。", ["ichi。", "ni。", "san。"], "ichi。ni。san。"),
    ],
)
def test_they_come_together_with_the_white_space_of_the_line(pieces, source, target, line, translations, expected):
    paragraph = split(line, source, fits(1000))
    found = joined(paragraph, [said(text) for text in translations], pieces, target, 1, drawn=False, source=source)
    assert found.text == expected
    assert found.score == -3
    assert found.finished
    assert found.alternatives == ()


def test_a_word_that_had_to_be_cut_is_one_word_again(pieces):
    paragraph = split("abcdefghijklmnop", "en", fits(8))
    found = joined(paragraph, [said("ABCDEFGH"), said("IJKLMNOP")], pieces, "de", 1, drawn=False)
    assert found.text == "ABCDEFGHIJKLMNOP"
    assert found.cut


def test_what_is_cut_where_no_blank_was_is_not_glued_together(pieces):
    paragraph = split("あいうえおかきくけこ", "ja", fits(5))
    assert paragraph.sentences == ["あいうえお", "かきくけこ"]
    found = joined(paragraph, [said("The man in blue"), said("stands.")], pieces, "en", 1, drawn=False, source="ja")
    assert found.text == "The man in blue stands."


def test_links_and_attention_count_the_words_of_the_whole_line(pieces):
    paragraph = split("one two. three.", "en", fits(1000))
    first = said("zwei eins.", alignment=((1, 0), (0, 1)), attention=((0.25, 0.75), (1.0, 0.0)))
    second = said("drei.", alignment=((0, 0),), attention=((1.0,),))
    found = joined(paragraph, [first, second], pieces, "de", 1, drawn=False)
    assert found.text == "zwei eins. drei."
    assert found.alignment == ((1, 0), (0, 1), (2, 2))
    assert found.attention == ((0.25, 0.75, 0), (1, 0, 0), (0, 0, 1))


def test_words_that_stand_together_share_their_links(pieces):
    """Of a word that was cut both halves are the same word, in the source and in the translation."""
    paragraph = split("abcdefghijklmnop", "en", fits(8))
    one = said("ABCDEFGH", alignment=((0, 0),), attention=((1.0,),))
    found = joined(paragraph, [one, one], pieces, "de", 1, drawn=False)
    assert set(found.alignment) == {(0, 0)}
    assert found.attention == ((1.0,),)


@pytest.mark.parametrize("target", ["de", "ja"])
def test_source_words_are_counted_by_the_blanks_of_the_source(pieces, target):
    paragraph = split("One two. Three.", "en", fits(1000))
    first = said("X Y.", alignment=((0, 0), (1, 1)), attention=((1.0, 0.0), (0.0, 1.0)))
    second = said("Z.", alignment=((0, 0),), attention=((1.0,),))
    found = joined(paragraph, [first, second], pieces, target, 1, drawn=False)
    apart = target == "de"
    assert found.text == ("X Y. Z." if apart else "X Y.Z.")
    assert found.alignment == ((0, 0), (1, 1), (2, 2 if apart else 1))
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] if apart else [[1, 0, 0], [0, 0.5, 0.5]]
    assert [list(row) for row in found.attention] == expected


def test_sentences_without_a_translation_are_harmless(pieces):
    paragraph = split("一。二。三。", "ja", fits(1000))
    nothing = said("", 0.0, alignment=(), attention=())
    one = said("Two words.", alignment=((0, 0), (0, 1)), attention=((1.0,), (1.0,)))
    for found in ([nothing, one, nothing], [one, nothing, nothing], [one, nothing, one], [nothing] * 3):
        together = joined(paragraph, found, pieces, "zh", 1, drawn=False, source="ja")
        words = together.text.split()
        assert len(together.attention) == len(words)
        assert {target for _, target in together.alignment} == set(range(len(words)))
        assert all(0 <= source < len(row) for source, target in together.alignment for row in together.attention)


def test_many_sentences_are_put_together_in_one_go(pieces):
    """Each text is copied once: 20,000 sentences are nothing, where a copy for each took half a minute."""
    count = 20_000
    paragraph = split("", "en", fits(9))._replace(sentences=["a."] * count, spaces=["", *[" "] * (count - 1), ""])
    found = joined(paragraph, [said("b.", -1.0)] * count, pieces, "de", 1, drawn=False)
    assert found.text == " ".join(["b."] * count)
    assert found.score == -count


def test_the_best_of_all_combinations_are_the_alternatives(pieces):
    paragraph = split("One. Two.", "en", fits(1000))
    first = said("A.", -1.0, alternatives=(said("B.", -1.5), said("C.", -4.0)))
    second = said("X.", -2.0, alternatives=(said("Y.", -2.25, finished=False), said("Z.", -9.0)))
    found = joined(paragraph, [first, second], pieces, "de", 3, drawn=False)
    assert [(one.text, one.score, one.finished) for one in (found, *found.alternatives)] == [
        ("A. X.", -3.0, True),
        ("A. Y.", -3.25, False),
        ("B. X.", -3.5, True),
    ]


def test_samples_are_put_together_number_by_number(pieces):
    paragraph = split("One. \u200b. Two.", "en", fits(1000))._replace(
        sentences=["One.", "\u200b", "Two."], spaces=["", " ", " ", ""]
    )
    first = said("A.", -9.0, alternatives=(said("B.", -1.0),))
    second = said("X.", -2.0, alternatives=(said("Y.", -3.0),))
    found = joined(paragraph, [first, said("", 0.0), second], pieces, "de", 2, drawn=True)
    assert [(one.text, one.score) for one in (found, *found.alternatives)] == [("A.  X.", -11.0), ("B.  Y.", -4.0)]


def test_confidence_is_the_mean_of_the_characters_and_a_loop_is_told(pieces):
    paragraph = split("One. Two.", "en", fits(1000))
    first, second = said("abc", confidence=0.5, doubts=("a",)), said("abcdefghijkl", confidence=0.9, looped=True)
    blank = said("")
    found = joined(paragraph, [first, second], pieces, "de", 1, drawn=False)
    assert found.confidence == pytest.approx((4 * 0.5 + 13 * 0.9) / 17)  # each with a blank behind it
    assert found.looped
    assert found.doubts == ("a",)
    assert found.sentences == (first, second)
    assert joined(paragraph, [first, blank], pieces, "de", 1, drawn=False).confidence == 0.5
    assert joined(paragraph, [blank, blank], pieces, "de", 1, drawn=False).confidence is None
    assert math.isclose(found.score, -2.0)
