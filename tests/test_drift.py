"""Lines are taken out of aligned texts, and must be missed where they were."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt import drift
from nmt.corpus import drifts as find
from nmt.drift import Drift

WORDS = ["the", "a", "to", "that", "with", "is", "house", "they", "translation", "seven", "between", "on"]


def texts(count, seed=7):
    """Lines whose translation is a fifth longer, give or take a fifth of that; one in six asks or has a number."""
    rng = random.Random(seed)
    source, target = [], []
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.randint(3, 25))
        end = rng.choice([*["."] * 5, "?", f" {rng.randint(1, 99)}."])
        source.append(" ".join(words) + end)
        target.append("x" * round(len(source[-1]) * rng.gauss(1.2, 0.2)) + end)
    return source, target


def test_aligned_texts_do_not_drift():
    assert find(*texts(5000)) == []
    assert find([], []) == find(["a"], []) == []
    assert find(["same"] * 99, ["same"] * 99) == []


def test_texts_that_are_no_translations_of_each_other_are_noticed():
    assert len(find(texts(5000, 1)[0], texts(5000, 2)[1])) > 3


@pytest.mark.parametrize("gone", [1, 5, 19])
@pytest.mark.parametrize("place", [0, 700, 4321])
def test_missing_lines_are_missed_where_they_were(gone, place):
    source, target = texts(5000)
    (found,) = find(source, target[:place] + target[place + gone :])
    assert (found.before, found.shift) == (0, -gone)
    assert abs(found.line - place) <= 25
    (found,) = find(source[:place] + source[place + gone :], target)
    assert (found.before, found.shift) == (0, gone)
    assert abs(found.line - place) <= 25


def test_a_shift_as_large_as_the_difference_of_the_files_is_found():
    source, target = texts(5000)
    (found,) = find(source, target[:2000] + target[2130:])
    assert found.shift == -130
    assert abs(found.line - 2000) <= 150  # of those without a partner any number may stand before or behind


def test_a_drift_that_another_one_mends_is_told_twice():
    source, target = texts(4000)
    del target[1000]
    target.insert(3000, "one line too many, which nothing in the source says")
    found = find(source, target)
    assert [(one.before, one.shift) for one in found] == [(0, -1), (-1, 0)]
    assert abs(found[0].line - 1000) <= 25
    assert abs(found[1].line - 3001) <= 25


def test_no_shift_is_looked_for_beyond_the_most_and_no_more_blocks_are_made(monkeypatch):
    """So that neither files of very different lengths nor very long ones take all memory."""
    sizes = []
    cheapest = drift._cheapest

    def watched(costs, start):
        sizes.append(costs.shape)
        return cheapest(costs, start)

    monkeypatch.setattr(drift, "_cheapest", watched)
    monkeypatch.setattr(drift, "_MOST", 100)
    monkeypatch.setattr(drift, "_MOST_BLOCKS", 40)
    source, target = texts(5000)
    find(source, target[:2000] + target[2300:])
    assert sizes == [(201, 40)]
    (found,) = find(source, target[:2000] + target[2001:])
    assert sizes[1:] == [(43, 40)]
    assert abs(found.line - 2000) <= 25


@pytest.mark.parametrize(
    ("mine", "other"), [("7", "7"), *itertools.pairwise("?？؟"), *zip("!:;([«„", "！：；（（“「", strict=True)]
)
def test_lines_of_one_length_are_told_apart_by_what_both_sides_have(mine, other):
    has = np.random.default_rng(3).random(2000) < 0.3
    source, target = ([f"some words {sign if one else 'x'}" for one in has] for sign in (mine, other))
    assert find(source, target) == []
    (found,) = find(source, target[:700] + target[701:])
    assert (found.before, found.shift) == (0, -1)
    assert abs(found.line - 700) <= 25


def test_a_wordier_language_is_no_hindrance():
    """Each line has four times as many letters, so that in short texts little else would tell."""
    random = np.random.default_rng(5)
    sizes = random.integers(10, 100, 200)
    source, target = ["x" * size for size in sizes], ["x" * round(4 * size * random.normal(1, 0.05)) for size in sizes]
    assert find(source, target) == []
    (found,) = find(source, target[:100] + target[101:])
    assert (found.before, found.shift) == (0, -1)
    assert abs(found.line - 100) <= 5


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(100, 0, 3), (150, 3, -1)], [(100, 0, -1)]),
        ([(100, 0, 3), (151, 3, -1)], [(100, 0, 3), (151, 3, -1)]),
        ([(100, 0, 60), (150, 60, 61), (155, 61, 60)], [(100, 0, 60)]),
        ([(100, 0, 3), (150, 3, 0), (160, 0, 2)], [(160, 0, 2)]),  # what ends as it began is no drift
    ],
)
def test_changes_next_to_each_other_are_one(found, expected):
    assert drift._merged([Drift(*one) for one in found]) == expected


def test_what_is_told():
    assert str(Drift(999, 0, -1)) == "near line 1,000 1 line is missing in the target, or too many in the source"
    assert str(Drift(4, -1, 2)) == "near line 5 3 lines are missing in the source, or too many in the target"


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_course_is_the_cheapest_of_all(states, times, seed):
    """Against the plain recursion over all changes of state."""
    costs = np.random.default_rng(seed).uniform(0, 12, (states, times))
    path = drift._cheapest(costs, start=0)

    def price(course):
        changes = sum(a != b for a, b in zip([0, *course], course, strict=False))
        return sum(costs[state, time] for time, state in enumerate(course)) + 15 * changes

    best = [costs[state, 0] + 15 * (state != 0) for state in range(states)]
    for time in range(1, times):
        best = [min(best[b] + 15 * (a != b) for b in range(states)) + costs[a, time] for a in range(states)]
    assert price(path) == pytest.approx(min(best))
