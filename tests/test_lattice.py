"""Draws from the lattice of a word, by hand; tests/test_pieces.py has them beside SentencePiece's."""

import math
from random import Random

import pytest

from nmt.lattice import Sampler

NAMES = ["<s>", "a", "b", "ab", "▁"]
SCORES = [None, math.log(0.5), math.log(0.25), math.log(0.25), math.log(0.1)]


@pytest.mark.parametrize(
    ("alpha", "whole"),
    [
        (1.0, 2 / 3),  # ab: .25; a b: .5 * .25 = .125
        (2.0, 4 / 5),  # 1/16 and 1/64
        (0.5, math.sqrt(2) / (math.sqrt(2) + 1)),
    ],
)
def test_the_last_piece_is_drawn_first_by_the_share_of_what_ends_in_it(alpha, whole):
    sampler = Sampler(NAMES, SCORES, alpha)
    drawn = [sampler.sample([3], seed) for seed in range(60)]
    assert drawn == [[3] if Random(seed).random() < whole else [1, 2] for seed in range(60)]
    assert {len(ids) for ids in drawn} == {1, 2}
    assert [sampler.sample([1, 2], seed) for seed in range(60)] == drawn  # it is the same text


def test_words_and_what_stands_for_itself_are_borders():
    """``ab<s>ab▁ab``: three words, and never a piece across."""
    sampler = Sampler(NAMES, SCORES, 1.0)
    for seed in range(20):
        drawn = sampler.sample([3, 0, 1, 2, 4, 3], seed)
        assert "".join(NAMES[piece] for piece in drawn) == "ab<s>ab▁ab"
        words, chance = [], Random(seed).random
        for _ in range(2):
            words.append([3] if chance() < 2 / 3 else [1, 2])
            if words[-1] == [1, 2]:
                chance()  # a number for the a too, although nothing else can be before a b
        expected = [*words[0], 0, *words[1]]
        assert drawn[: len(expected)] == expected
    assert sampler.sample([], 1) == []
    assert sampler.sample([0], 1) == [0]
