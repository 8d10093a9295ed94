"""Words and their links, by hand."""

import numpy as np

from nmt import alignment

SOURCE = ["▁the", "▁white", "▁hou", "se"]
TARGET = ["▁das", "▁", "wei", "ße", "▁haus"]


def test_pieces_make_words():
    assert alignment.words(SOURCE) == ["the", "white", "house"]
    assert alignment.words(TARGET) == ["das", "weiße", "haus"]
    assert alignment.words([]) == []


def test_attention_of_pieces_becomes_that_of_words():
    attention = np.array([
        [0.6, 0.1, 0.1, 0.0, 0.2],  # das; the last is the end of the source
        [0.1, 0.5, 0.1, 0.1, 0.2],  # the blank of weiße
        [0.0, 0.9, 0.0, 0.0, 0.1],
        [0.1, 0.3, 0.2, 0.2, 0.2],
        [0.0, 0.1, 0.3, 0.5, 0.1],  # haus
        [0.2, 0.2, 0.2, 0.2, 0.2],  # the end
    ])  # fmt: skip
    table = alignment.soft(SOURCE, TARGET, attention)
    np.testing.assert_allclose(table, [
        [0.75, 0.125, 0.125],
        np.array([0.2, 1.7, 0.6]) / 2.5,
        [0, 1 / 9, 8 / 9],
    ])  # fmt: skip
    links = alignment.hard(table)
    assert links == [(0, 0), (1, 1), (2, 2)]
    assert alignment.pharaoh(links) == "0-0 1-1 2-2"


def test_what_is_unknown_is_a_word_of_its_own():
    pieces = ["▁gute", "n", "▁⁇▁", "t", "ag"]  # as nmt.translation has them of a translation
    assert alignment.words(pieces) == ["guten", "⁇", "tag"]
    assert alignment.hard(alignment.soft(["▁a", "▁b", "▁c"], pieces, np.eye(5)[[0, 0, 1, 2, 2]])) == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_links_name_the_source_first():
    table = alignment.soft(["▁a", "▁b"], ["▁c", "▁d"], np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert alignment.pharaoh(alignment.hard(table)) == "1-0 0-1"


def test_nothing_is_linked_with_nothing():
    assert alignment.hard(alignment.soft([], ["▁c"], np.zeros((1, 1)))) == []
    assert alignment.hard(alignment.soft(["▁a"], [], np.zeros((1, 2)))) == []
    assert alignment.hard(alignment.soft(["▁a", "▁"], ["▁c", "▁"], np.ones((3, 3)))) == [(0, 0)]
    assert alignment.pharaoh([]) == ""
