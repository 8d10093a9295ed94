"""What may come next, against enumeration over pieces of letters."""

import math

import numpy as np
import pytest

from nmt import pieces as learnt
from nmt.constraints import ConstraintError, Constraints
from nmt.symbols import BOS, EOS, PAD, UNK

TEXT = ["guten morgen", "guten tag", "gute nacht", "der tag", "die nacht", "morgen", "tage und nächte"] * 5


@pytest.fixture(scope="module", params=[False, True], ids=["letters", "bytes"])
def pieces(request):
    size = 330 if request.param else 60
    return learnt.learn(TEXT, size=size, character_coverage=1.0, byte_fallback=request.param)


def allowed(bias):
    return [set(np.flatnonzero(row == 0).tolist()) for row in bias]


def spelled(pieces, ids):
    return b"".join(pieces.spellings()[piece] or b"" for piece in ids)


@pytest.mark.parametrize("prefix", ["guten mo", "guten ", "n", "tage und nä"])
def test_a_prefix_allows_what_spells_it_and_nothing_else(pieces, prefix):
    """Every way to spell it, piece by piece: each leads to a text that begins with it, and none is left out."""
    rules = Constraints(pieces, ["", prefix])
    wanted = ("▁" + prefix.replace(" ", "▁")).encode()
    spellings = pieces.spellings()
    ways, done = [[]], 0
    while ways:
        said = ways.pop()
        ids = np.array([said, said], "int32").reshape(2, -1)
        bias = rules(np.array([0, 1]), ids)
        rest = wanted[len(spelled(pieces, said)) :]
        if not rest:
            assert bias is None or (bias[1] == 0).all()
            done += 1
            continue
        expected = {
            piece
            for piece, spelling in enumerate(spellings)
            if spelling and (rest.startswith(spelling) or spelling.startswith(rest))
        }
        free, found = allowed(bias)
        assert free == set(range(pieces.size))  # the other sentence may go on as it likes
        assert found == expected
        assert not found & {PAD, UNK, BOS, EOS}
        ways += [[*said, piece] for piece in found if len(spellings[piece]) < len(rest)]
        if len(ways) > 300:
            break
        done += any(len(spellings[piece]) >= len(rest) for piece in found)
    assert done


def test_the_end_waits_for_the_least_length(pieces):
    rules = Constraints(pieces, [""], min_length=2)
    for length in (0, 1):
        (found,) = allowed(rules(np.array([0]), np.full((1, length), 9, "int32")))
        assert found == set(range(pieces.size)) - {EOS}
    assert rules(np.array([0]), np.full((1, 2), 9, "int32")) is None
    assert rules.least.tolist() == [2]


def test_nothing_is_said_twice(pieces):
    said = [5, 6, 7, 5, 6, 8, 5, 6]
    bias = Constraints(pieces, [""], no_repeat_ngram=3)(
        np.array([0, 0]), np.array([said, [5, 6, 6, 5, 6, 9, 9, 6]], "int32")
    )
    assert [set(np.flatnonzero(np.isneginf(row)).tolist()) for row in bias] == [{7, 8}, set()]
    bias = Constraints(pieces, [""], no_repeat_ngram=1)(np.array([0]), np.array([said], "int32"))
    assert set(np.flatnonzero(np.isneginf(bias[0])).tolist()) == {5, 6, 7, 8}


def test_rules_go_together(pieces):
    rules = Constraints(pieces, ["der "], min_length=30, no_repeat_ngram=1)
    said = pieces.encode("der tag")
    bias = rules(np.array([0]), np.array([said], "int32"))
    assert set(np.flatnonzero(np.isneginf(bias[0])).tolist()) == {EOS, *said}
    assert math.isinf(bias.min())


def test_what_has_no_letters_is_told():
    letters = learnt.learn(TEXT, size=60, character_coverage=1.0, byte_fallback=False)
    with pytest.raises(
        ConstraintError, match=r"the prefix 'tag für €' cannot be spelt .* which lack f ü €; leave it out"
    ):
        Constraints(letters, ["tag für €"])
    spelt = learnt.learn(TEXT, size=330, character_coverage=1.0, byte_fallback=True)
    rules = Constraints(spelt, ["€"])
    (found,) = allowed(rules(np.array([0]), np.array([spelt.encode("€")[:1]], "int32")))
    assert [spelt.spellings()[piece] for piece in found] == ["€".encode()[:1]]
