"""Masks: a line and its translation are masked alike, and what they stand for comes back as it was."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.masks import Masks
from nmt.pieces import learn

ALL = [f"⟦{kind}{number}⟧" for kind in ("mark", "tag", "number") for number in (1, 2, 3)]
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
        ("<b>%s</b> at https://a.example/1234", "⟦tag2⟧⟦mark1⟧⟦tag1⟧ at ⟦mark2⟧"),
        ("{a} {b} {c} {d}", "⟦mark1⟧ ⟦mark2⟧ ⟦mark3⟧ {d}"),  # there are three
        ("⟦mark2⟧ is a mask", "⟦mark1⟧ is a mask"),
        ("50 % sure, <BT>", "50 % sure, <BT>"),
    ],
)
def test_what_is_masked(line, expected):
    assert Masks([*ALL, "<BT>"]).masked(line).line == expected


def test_pieces_without_masks_mask_nothing():
    assert Masks(["<BT>"]).masked("%s of 1984") == ("%s of 1984", {})


def test_only_the_kinds_that_are_known_are_masked():
    assert Masks(["⟦number1⟧"]).masked("%s of 1984 and 1985 <b>").line == "%s of ⟦number1⟧ and 1985 <b>"


@given(st.lists(st.sampled_from([*CODES, *ALL, "word", "—"]), max_size=12), st.sampled_from([ALL, ALL[:1], ALL[4:8]]))
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


def test_a_mask_that_stands_for_nothing_is_one_that_is_lacking_or_none():
    masks = Masks(ALL)
    codes = masks.masked("{a} of {b} in 1984").codes
    assert masks.unmasked("⟦number1⟧ : ⟦mark3⟧ von ⟦mark2⟧", codes) == "1984 : {a} von {b}"
    assert masks.unmasked("⟦number1⟧ : ⟦mark1⟧ von ⟦mark2⟧ ⟦mark3⟧ !", codes) == "1984 : {a} von {b} !"
    assert masks.unmasked("⟦tag1⟧ da ⟦tag2⟧", codes) == " da"
    assert masks.unmasked("⟦mark9⟧", codes) == "⟦mark9⟧"  # which these pieces do not know


def test_a_line_is_masked_like_another():
    masks = Masks(ALL)
    assert masks.like("{b} und {c} ⟦mark1⟧", {"⟦mark1⟧": "{a}", "⟦mark2⟧": "{b}"}) == "⟦mark2⟧ und {c} ⟦mark1⟧"


def test_a_text_teaches_what_it_has_often_enough_on_both_sides():
    both = [("see %s", "siehe %s")] * 50
    rare = [("<b> a", "<b> b")] * 49
    # Of three translations only two have the number: 100 pairs are enough, but that is less than three in four.
    moved = [("in 1984", "1984")] * 100 + [("in 1984", "im Jahr 62")] * 50
    assert Masks.learnable(both + rare + moved) == ["⟦mark1⟧"]
    assert Masks.learnable(rare + rare[:1]) == ["⟦tag1⟧"]
    assert Masks.learnable(moved[:133]) == ["⟦number1⟧"]
    assert Masks.learnable([("{a} {b}", "{b} {a}")] * 50) == ["⟦mark1⟧", "⟦mark2⟧"]
    assert Masks.learnable([("{a} x", "{b} x")] * 99) == []
    assert Masks.learnable([("<BT> a", "<BT> b")] * 99, ["<BT>"]) == []


TEXT = [f"the cat {word} %s and a dog in 1984" for word in ("sees", "likes", "wants", "finds")] * 5


@pytest.fixture(scope="module")
def pieces():
    symbols = ["<BT>", "⟦mark1⟧", "⟦mark2⟧", "⟦number1⟧"]
    return learn(TEXT, size=320, character_coverage=1.0, byte_fallback=True, symbols=symbols)


def test_pieces_know_their_masks_and_are_learnt_from_masked_text(pieces):
    assert pieces.masks.known == {"⟦mark1⟧", "⟦mark2⟧", "⟦number1⟧"}
    assert not any(re.search(r"[%1984]", piece) for piece in pieces.text_of(range(4 + 4 + 256, pieces.size)))


def test_a_line_and_its_like_have_the_same_pieces(pieces):
    line = "the cat likes %s and a dog in 1984"
    assert pieces.encode(line) == pieces.encode("the cat likes https://www.example.org/?q=1 and a dog in 20305")
    assert (
        pieces.encode_lines([line]) == [pieces.encode(line)] == pieces.encode_masked([pieces.masks.masked(line).line])
    )
    assert pieces.text_of(pieces.encode("<BT> {x}s")) == [
        "▁",
        "<BT>",
        "▁",
        "⟦mark1⟧",
        *pieces.text_of(pieces.encode_masked(["x⟦mark1⟧s"])[0])[-1:],
    ]
    assert pieces.decode(pieces.encode(line)) == "the cat likes ⟦mark1⟧ and a dog in ⟦number1⟧"


def test_segmentations_that_are_drawn_keep_masks(pieces):
    sampler, ids = pieces.sampler(0.1), pieces.encode("the cat likes {name} and a dog in 1984")
    rows = {tuple(sampler.sample(ids, seed)) for seed in range(200)}
    assert len(rows) > 5
    assert {pieces.decode(row) for row in rows} == {"the cat likes ⟦mark1⟧ and a dog in ⟦number1⟧"}
