"""What runs in circles and what does not, by words."""

import pytest

from nmt.loops import loops

PLAIN = "a man and a dog in the park"


def ids(text):
    return [int.from_bytes(word.encode()) for word in text.split()]


@pytest.mark.parametrize(
    "text",
    [
        "the dog the dog the dog",
        "ein mann und und und und und geht",
        "a b c d e f g h a b c d e f g h a b c d e f g h",
        "sehr " * 30,
        "ein mann auf der straße auf der straße auf der straße und",
    ],
)
def test_circles_are_seen(text):
    assert loops(ids(PLAIN), ids(text))
    assert not loops(ids(text), ids(text))  # the source runs in the same ones


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ein",
        PLAIN,
        "nein nein nein nein",
        "der mann und der hund und der mann und die frau und der hund",
        "hin und her und hin und her",
        "a b c d e f g h i a b c d e f g h i a b c d e f g h i",  # longer than any circle
    ],
)
def test_what_only_repeats_itself_is_left_alone(text):
    assert not loops(ids(PLAIN), ids(text))


def test_a_source_that_repeats_allows_as_much():
    assert not loops(ids("no no no no no no"), ids("nein nein nein nein nein nein"))
    assert not loops(ids("very very very very very good"), ids("sehr , sehr , sehr , sehr , sehr gut"))
    assert loops(ids("no no no"), ids("nein nein nein nein nein nein"))
