"""Masks: a line and its translation are masked alike, and what they stand for comes back as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.masks import Masks
from nmt.pieces import learn

ALL = [f"⟦{kind}{number}⟧" for kind in ("mark", "open", "close", "tag", "number") for number in (1, 2, 3)]
CODES = [
    "%s",
    "{name}",
    "{0}",
    "%(n)d",
    "<b>",
    "</b>",
    "<br/>",
    "https://a.example/x?y=1",
    "me@a.example",
    "1984",
    "20304",
]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no marks, and 123 is short", "no marks, and 123 is short"),
        ("in 1984 or 20304", "in ⟦number1⟧ or ⟦number2⟧"),
        ("3.14159 and 10,000", "3.⟦number1⟧ and 10,000"),  # the latter is written otherwise in other languages
        # By the order of their letters, not of their places; the same has the same mask.
        ("{b} of {a} or {b}", "⟦mark2⟧ of ⟦mark1⟧ or ⟦mark2⟧"),
        ("<b>%s</b> at https://a.example/1234", "⟦open1⟧⟦mark1⟧⟦close1⟧ at ⟦mark2⟧"),
        ("<i>a</i><br/> <b>c</b>", "⟦open2⟧a⟦close2⟧⟦tag1⟧ ⟦open1⟧c⟦close1⟧"),
        ("{a} {b} {c} {d}", "⟦mark1⟧ ⟦mark2⟧ ⟦mark3⟧ {d}"),  # there are three
        ("⟦mark2⟧ is a mask", "⟦mark1⟧ is a mask"),
        ("⟦mark9⟧ is none of {these}", "⟦mark9⟧ is none of ⟦mark1⟧"),
        ("50 % sure, <BT>", "50 % sure, <BT>"),
    ],
)
def test_what_is_masked(line, expected):
    assert Masks([*ALL, "<BT>"]).masked(line).line == expected


def test_pieces_without_masks_mask_nothing():
    assert Masks(["<BT>"]).masked("%s of 1984") == ("%s of 1984", {})


def test_only_the_kinds_that_are_known_are_masked():
    assert Masks(["⟦number1⟧"]).masked("%s of 1984 and 1985 <b>").line == "%s of ⟦number1⟧ and 1985 <b>"


@given(st.lists(st.sampled_from([*CODES, *ALL, "word", "—"]), max_size=12), st.sampled_from([ALL, ALL[:1], ALL[4:14]]))
@settings(max_examples=300, deadline=None)
def test_what_was_masked_comes_back(words, symbols):
    line = " ".join(words)
    masks = Masks(symbols)
    masked = masks.masked(line)
    assert masks.unmasked(masked.line, masked.codes) == line
    assert set(masked.codes) <= set(symbols)


@given(st.permutations(CODES[:3] + CODES[9:]))
@settings(max_examples=50, deadline=None)
def test_the_order_does_not_matter(words):
    """A translation may say them in another order."""
    masks = Masks(ALL)
    assert masks.masked(" x ".join(words)).codes == masks.masked(" x ".join(CODES[:3] + CODES[9:])).codes


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("⟦number1⟧ : ⟦mark3⟧ von ⟦mark2⟧", "1984 : {a} von {b}"),  # {a} is lacking, and of that kind
        ("⟦number1⟧ : ⟦mark1⟧ von ⟦mark2⟧ ⟦mark3⟧ !", "1984 : {a} von {b} !"),
        ("⟦tag1⟧ da ⟦tag2⟧", "da"),
        ("Sie ⟦tag1⟧hier⟦tag2⟧. ⟦number2⟧s", "Sie hier. 1984s"),  # words do not grow together
        ("⟦mark3⟧ ⟦mark3⟧ ⟦mark3⟧", "{a} {b}"),
        ("⟦mark9⟧", "⟦mark9⟧"),  # which these pieces do not know
        ("", ""),
    ],
)
def test_a_mask_that_stands_for_nothing_is_one_that_is_lacking_or_none(said, expected):
    masks = Masks(ALL)
    codes = masks.masked("{a} of {b} in 1984").codes
    assert masks.unmasked(said, codes) == expected
    words = masks.unmasked_words(said.split(" "), codes)
    assert len(words) == len(said.split(" "))
    assert " ".join(filter(None, words)) == expected


def test_a_translation_is_masked_as_its_source():
    masks = Masks(ALL)
    codes = {"⟦mark1⟧": "{a}", "⟦mark2⟧": "{b}", "⟦number1⟧": "2001"}
    assert masks.like("{b} und {c} 1984 2001", codes) == "⟦mark2⟧ und {c} 1984 ⟦number1⟧"
    sources, targets = ["in 1984 and 2001", "%s", "cost 10,000"], ["2001 und", "ein %d", "kostet 10000"]
    assert list(masks.lines(sources)) == ["in ⟦number1⟧ and ⟦number2⟧", "⟦mark1⟧", "cost 10,000"]
    masked = masks.lines(targets, sources)
    assert list(masked) == [masked[0], masked[1], masked[2]] == ["⟦number2⟧ und", "ein %d", "kostet 10000"]
    assert masked[1:] == ["ein %d", "kostet 10000"]
    assert len(masked) == 3
    assert Masks([]).lines(targets, sources) is targets


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("siehe https://a.exam", "siehe ⟦mark1⟧"),
        ("siehe https://a.example/x ", "siehe ⟦mark1⟧ "),
        ("ruf 555", "ruf ⟦number1⟧"),
        ("ruf 5", "ruf 5"),  # perhaps five
        ("ruf 55 ", "ruf 55 "),
        ("{", "{"),  # of two
        ("{b", "⟦mark3⟧"),
        ("", ""),
    ],
)
def test_a_prefix_may_end_within_a_mark(prefix, expected):
    masks = Masks(ALL)
    codes = {"⟦mark1⟧": "https://a.example/x", "⟦mark2⟧": "{a}", "⟦mark3⟧": "{b}", "⟦number1⟧": "5551234"}
    assert masks.begun(prefix, codes) == expected


def test_a_text_teaches_what_it_has_often_enough_on_both_sides():
    both = [("see %s", "siehe %s")] * 50
    rare = [("<b> a", "<b> b")] * 49
    # Of three translations only two have the number: 100 pairs are enough, but that is less than three in four.
    moved = [("in 1984", "1984")] * 100 + [("in 1984", "im Jahr 62")] * 50
    assert Masks.learnable(both + rare + moved) == ["⟦mark1⟧"]
    assert Masks.learnable(rare + rare[:1]) == ["⟦open1⟧"]
    assert Masks.learnable(moved[25:125]) == ["⟦number1⟧"]  # three in four
    assert Masks.learnable([("{a} {b}", "{b} {a}")] * 50) == ["⟦mark1⟧", "⟦mark2⟧"]
    assert Masks.learnable([("{a} x", "{b} x")] * 99) == []
    assert Masks.learnable([("<BT> a", "<BT> b")] * 99, ["<BT>"]) == []


LINES = [f"the cat {word} {{name}} and a dog in 1984" for word in ("sees", "likes", "wants", "finds")] * 5


@pytest.fixture(scope="module")
def pieces():
    symbols = ["<BT>", "⟦mark1⟧", "⟦mark2⟧", "⟦number1⟧"]
    text = Masks(symbols).lines(LINES)
    return learn(text, size=320, character_coverage=1.0, byte_fallback=True, symbols=symbols)


def test_pieces_know_their_masks_each_of_which_is_one(pieces):
    assert pieces.masks.known == {"⟦mark1⟧", "⟦mark2⟧", "⟦number1⟧"}
    line = pieces.masks.masked("<BT> {x}s in 20305").line
    assert [piece for piece in pieces.text_of(pieces.encode(line)) if "⟦" in piece] == ["⟦mark1⟧", "⟦number1⟧"]
    assert pieces.decode(pieces.encode(line)) == "<BT> ⟦mark1⟧s in ⟦number1⟧"


def test_segmentations_that_are_drawn_keep_masks(pieces):
    line = pieces.masks.masked(LINES[0]).line
    sampler, ids = pieces.sampler(0.1), pieces.encode(line)
    rows = {tuple(sampler.sample(ids, seed)) for seed in range(200)}
    assert len(rows) > 5
    assert {pieces.decode(row) for row in rows} == {line}
