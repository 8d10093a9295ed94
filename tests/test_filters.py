"""Planted faults, each of which its filter must leave out, and nothing else."""

import random
from collections import Counter

import numpy as np
import pytest

from nmt import filters
from nmt.corpus import Corpus
from nmt.filters import FilterError, Usual, applied, glance, judged, languages_of, mixes_scripts, repeated
from nmt.recipe import Filters

EN = [
    "The weather is nice today.",
    "She has gone to the market with her brother.",
    "We will see what happens tomorrow.",
]
DE = [
    "Das Wetter ist heute schön.",
    "Sie ist mit ihrem Bruder auf den Markt gegangen.",
    "Wir werden morgen sehen, was ist.",
]


def text(*planted):
    """300 pairs that differ by a word, and ``planted`` behind them."""
    numbers = random.Random(3).sample(range(1000, 9999), 300)
    words = ["".join("abcdefghij"[int(digit)] for digit in str(number)) for number in numbers]
    pairs = [(f"{word} {EN[i % 3]}", f"{word} {DE[i % 3]}") for i, word in enumerate(words)]
    return corpus_of([*pairs, *planted])


def corpus_of(pairs):
    return Corpus([a for a, _ in pairs], [b for _, b in pairs])


def left_out(settings, *planted):
    """Which of ``planted`` are left out; of the others none may be."""
    reasons = judged(text(*planted), settings, ("en", "de"))
    assert (reasons[:300] == -1).all()
    return [None if number < 0 else filters.REASONS[number] for number in reasons[300:]]


def test_lengths():
    long = "a" * 90
    assert left_out(Filters(lengths=90), (long, "b"), (long + "a", "b"), ("b", long + "a")) == [
        None,
        "lengths",
        "lengths",
    ]


def test_ratio_is_beside_what_is_usual():
    """Of lines of 30 and 60 characters, with ten that every side is given more, the ratio is 7 to 4."""
    planted = ("x" * 30, "y" * 60), ("x" * 60, "y" * 30), ("x", "yyyy yyyy")
    assert left_out(Filters(ratio=1.9), *planted) == [None, None, None]
    assert left_out(Filters(ratio=1.4), *planted) == ["ratio", "ratio", "ratio"]
    twice = Corpus(["x" * 20] * 99 + ["x" * 50], ["y" * 50] * 99 + ["y" * 20])  # 6 to 3 is usual, and 3 to 6 is not
    assert np.flatnonzero(judged(twice, Filters(ratio=3.0), ("", "")) + 1).tolist() == [99]


def test_identical_sides():
    planted = ("Stop it!", "stop it"), ("42", "42"), ("Stop", "Stopp")
    assert left_out(Filters(identical=True), *planted) == ["identical", None, None]


def test_duplicates_are_all_but_the_first():
    planted = (
        ("New here.", "Neu hier."),
        ("new here", "Neu  hier!"),
        ("New here.", "Neu da."),
        ("Neu hier.", "New here."),
    )
    assert left_out(Filters(duplicates=True), *planted) == [None, "duplicates", None, None]
    foreign = ("Москва большая.", "Москва большая.")
    assert left_out(Filters(duplicates=True, alphabet=True), foreign, foreign) == ["alphabet", "duplicates"]
    assert repeated(np.array([5, 3, 5, 5, 3, 1], "uint64")).tolist() == [2, 3, 4]


def test_another_alphabet():
    planted = (
        ("Это не по-английски.", "Das ist kein Englisch."),
        ("Москва is a big city.", "Москва ist groß, sagt man."),
        ("…", "42"),
    )
    assert left_out(Filters(alphabet=True), *planted) == ["alphabet", None, None]
    japanese = corpus_of([("I am home.", "ただいま、コーヒーを飲む。")] * 50)
    planted = [("Tennis", "テニス"), ("Tennis", "ﾃﾆｽ"), ("No", "no")]
    japanese = corpus_of([*zip(japanese.source, japanese.target, strict=True), *planted])
    assert judged(japanese, Filters(alphabet=True), ("en", "ja")).tolist() == [-1] * 52 + [4]


def test_another_language():
    planted = (
        ("Il a acheté une maison à la campagne.", "Er hat ein Haus auf dem Land gekauft."),
        ("He bought a house in the country.", "He bought a house in the country, and left."),
        ("Oui.", "Ja."),  # too short to tell
    )
    assert left_out(Filters(language=True), *planted) == ["language", "language", None]
    assert languages_of([*EN, *EN, DE[1], "Ja."]) == Counter(en=6, de=1)
    with pytest.raises(FilterError, match=r"py3langid cannot tell xx; .* knows \d+ of them: set it to false"):
        judged(text(), Filters(language=True), ("en", "xx"))


def test_only_a_line_that_is_long_enough_and_surely_of_another_language_counts(monkeypatch):
    class Known:
        labels = ("en", "no", "pt")

        def classify(self, line):
            language, probability = line.split()[:2]
            return language, float(probability)

    monkeypatch.setattr(filters, "_identifier", Known)
    lines = ["pt 0.96 " + "x" * 12, "pt 0.96 " + "x" * 11, "pt 0.95 " + "x" * 99, "no 0.99 " + "x" * 99]
    assert list(map(filters.identifier("no"), lines)) == [True, False, False, False]
    assert list(map(filters.identifier("nb_NO"), lines)) == [True, False, False, False]
    assert list(map(filters.identifier("pt-BR"), lines)) == [False, False, False, True]
    assert languages_of(lines) == Counter(pt=1, no=1)


def test_the_first_reason_counts_and_each_is_noted():
    planted = [
        ("x" * 99, "y"),
        ("New here.", "Neu hier."),
        ("New here.", "Neu hier."),
        ("Same", "same"),
        ("Same", "same"),
    ]
    settings = Filters(lengths=90, ratio=3.0, duplicates=True, identical=True)
    found = applied(text(*planted), settings, ("en", "de"))
    assert found.notes == Counter(lengths=1, duplicates=1, identical=2)
    assert len(found) == 301
    assert found.target[-1] == "Neu hier."
    whole = text(*planted)
    assert applied(whole, Filters(), ("en", "de")) is whole


def test_scripts_mixed_in_a_word():
    assert mixes_scripts("This is a c\u0430t.")  # a Cyrillic а
    assert mixes_scripts("Ρaris")  # a Greek Ρ
    assert not mixes_scripts("Moskau heißt Москва, 東京 heißt Tōkyō, und das ist kein Café.")
    assert not mixes_scripts("plain")


def test_what_is_usual_is_learnt_from_the_text():
    usual = Usual.of(Corpus(["abc"] * 10, ["абвг абвг абвг ab"] * 10))
    assert usual.scripts == ({"LATIN"}, {"CYRILLIC", "LATIN"})
    assert usual.ratio == pytest.approx(np.log(27 / 13))
    assert judged(Corpus([], []), Filters(ratio=2.0), ("", "")).tolist() == []


def test_a_sample_is_of_the_whole_text(monkeypatch):
    monkeypatch.setattr(filters, "_SAMPLE_PAIRS", 10)
    usual = Usual.of(corpus_of([("abc", "abc")] * 40 + [("abc", "абв" * 9)] * 60))
    assert usual.scripts == ({"LATIN"}, {"LATIN", "CYRILLIC"})
    assert usual.ratio == pytest.approx(np.log(37 / 13))


def test_a_glance_tells_shares():
    planted = [("Stop it!", "stop it")] * 60 + [("x" * 99, "y"), ("Москва большая.", "Moskau ist groß.")]
    shown = glance(text(*planted))
    assert shown == {
        name: pytest.approx(count / 362) for name, count in (("identical", 60), ("ratio", 1), ("alphabet", 1))
    }
    assert glance(text()) == {}
