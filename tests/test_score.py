"""Scores, against hand computation and the sacrebleu command line."""

import json
import logging
import math
import random
import re
import subprocess
import sys

import pytest

from nmt.score import Score, bleu, chrf, compare

WORDS = ["the", "a", "cat", "dog", "house", "red", "old", "runs", "sits", "in", "on", "and,", "it's", "snow-white"]


def sentence(generator):
    return " ".join(generator.choices(WORDS, k=generator.randint(5, 15))).capitalize() + "."


def damaged(lines, share):
    """About this share of the words replaced."""
    generator = random.Random(len(lines) + share)
    return [" ".join("blank" if generator.random() < share else word for word in line.split()) for line in lines]


REFERENCES = [sentence(random.Random(number)) for number in range(60)]
GOOD, FAIR, POOR = (damaged(REFERENCES, share) for share in (0.10, 0.12, 0.40))


@pytest.fixture(scope="module")
def command_line(tmp_path_factory):
    """Runs ``sacrebleu`` on systems (a dict of lines) and returns what it prints."""
    folder = tmp_path_factory.mktemp("lines")

    def run(references, systems, *options):
        for name, lines in {"references": references, **systems}.items():
            (folder / name).write_text("".join(line + "\n" for line in lines), "utf-8")
        command = [sys.executable, "-m", "sacrebleu", "references", "-i", *systems, "-m", "bleu", "chrf", "-w", "6"]
        return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=True).stdout

    return run


def test_bleu_by_hand():
    # 1-grams: the (twice in the hypothesis, once in the reference), cat, sat, on, mat: 5 of 6
    # 2-grams: the cat, cat sat, sat on: 3 of 5; 3-grams: the cat sat, cat sat on: 2 of 4; 4-grams: 1 of 3
    # 6 words against 7: brevity penalty exp(1 - 7/6)
    expected = 100 * math.exp(1 - 7 / 6) * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4)
    score = bleu(["the cat sat on the mat"], ["the cat sat on a red mat"], bootstrap=0)
    assert score.value == pytest.approx(expected)
    assert (score.name, score.low, score.high) == ("BLEU", None, None)


def test_chrf_by_hand():
    # 1-grams: 2 of 2 found, 2 of 3 recalled; 2-grams: 1 of 1, 1 of 2; longer ones: none in the hypothesis, left out.
    precision, recall = (1 + 1) / 2, (2 / 3 + 1 / 2) / 2
    expected = 100 * (1 + 2**2) * precision * recall / (2**2 * precision + recall)
    assert chrf(["ab"], ["abc"], bootstrap=0).value == pytest.approx(expected)


def test_equals_the_command_line_with_intervals(command_line):
    printed = json.loads(command_line(REFERENCES, {"poor": POOR}, "--confidence"))
    for score, theirs in zip((bleu(POOR, REFERENCES), chrf(POOR, REFERENCES)), printed, strict=True):
        assert score.name == theirs["name"]
        assert score.signature == theirs["signature"]
        assert score.value == pytest.approx(theirs["score"], abs=1e-5)
        assert score.low == pytest.approx(theirs["confidence_mean"] - theirs["confidence_var"], abs=1e-5)
        assert score.high == pytest.approx(theirs["confidence_mean"] + theirs["confidence_var"], abs=1e-5)
        assert score.low < score.value < score.high


def test_equals_the_command_line_in_lower_case_and_tokenized(command_line):
    shouted = [line.upper() for line in POOR]
    ours = (
        bleu(shouted, REFERENCES, tokenize="none", lowercase=True, bootstrap=0),
        chrf(shouted, REFERENCES, lowercase=True, bootstrap=0),
    )
    options = ("--tokenize", "none", "--lowercase", "--chrf-lowercase")
    theirs = json.loads(command_line(REFERENCES, {"poor": shouted}, *options))
    assert [score.signature for score in ours] == [score["signature"] for score in theirs]
    assert [score.value for score in ours] == pytest.approx([score["score"] for score in theirs], abs=1e-5)


def test_comparison_equals_the_command_line(command_line):
    systems = {"good": GOOD, "fair": FAIR, "poor": POOR}
    rows = compare(REFERENCES, systems, bootstrap=500)
    assert [row.system for row in rows] == ["good", "fair", "poor"]
    # As a LaTeX table, one line a system: score, mean, ± and p-value, twice.
    printed = command_line(REFERENCES, systems, "--paired-bs", "--paired-bs-n", "500", "-f", "latex").splitlines()
    for row in rows:
        (line,) = (line for line in printed if line.strip().removeprefix("Baseline: ").startswith(row.system))
        theirs = [float(number) for number in re.findall(r"\d+\.\d+", line)]
        ours = []
        for score, p_value in ((row.bleu, row.bleu_p_value), (row.chrf, row.chrf_p_value)):
            ours += [score.value, (score.low + score.high) / 2, (score.high - score.low) / 2]
            ours += [] if p_value is None else [p_value]
            assert any(line.endswith(score.signature) for line in printed)
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_comparison_tells_better_from_equal():
    baseline, equal, better = compare(REFERENCES, {"poor": POOR, "twin": list(POOR), "good": GOOD}, bootstrap=200)
    assert baseline.bleu_p_value is baseline.chrf_p_value is None
    assert equal.bleu_p_value == equal.chrf_p_value == 1.0
    assert better.bleu_p_value < 0.01
    assert better.chrf_p_value < 0.01
    assert better.bleu.low > baseline.bleu.high
    # The same seed, so the same resamples: the row says what the score alone says.
    alone = bleu(POOR, REFERENCES, bootstrap=200)
    assert (alone.value, alone.signature) == (baseline.bleu.value, baseline.bleu.signature)
    assert (alone.low, alone.high) == pytest.approx((baseline.bleu.low, baseline.bleu.high), abs=1e-4)


def test_comparison_finds_no_difference_between_like_systems():
    half = len(REFERENCES) // 2
    early = POOR[:half] + REFERENCES[half:]
    late = REFERENCES[:half] + POOR[half:]
    _, other = compare(REFERENCES, {"early": early, "late": late}, bootstrap=200)
    assert other.bleu_p_value > 0.05
    assert other.chrf_p_value > 0.05


def test_an_interval_of_translations_that_hardly_match():
    # Most resamples miss the one line with a match and score exactly 0.
    hypotheses, references = ["ab", *["xx"] * 9], ["ab", *["yy"] * 9]
    score = chrf(hypotheses, references, bootstrap=50)
    assert score.low < score.value < score.high


def test_same_input_gives_the_same_interval():
    assert bleu(POOR, REFERENCES, bootstrap=50) == bleu(POOR, REFERENCES, bootstrap=50)


def test_signature_says_how_it_was_computed():
    assert re.fullmatch(
        r"nrefs:1\|bs:20\|seed:12345\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:\S+",
        bleu(POOR, REFERENCES, bootstrap=20).signature,
    )
    assert "tok:none" in bleu(POOR, REFERENCES, tokenize="none", bootstrap=0).signature
    assert "case:lc" in bleu(POOR, REFERENCES, lowercase=True, bootstrap=0).signature
    assert "bs:" not in bleu(POOR, REFERENCES, bootstrap=0).signature
    assert re.fullmatch(
        r"nrefs:1\|case:lc\|eff:yes\|nc:6\|nw:0\|space:no\|version:\S+",
        chrf(POOR, REFERENCES, lowercase=True, bootstrap=0).signature,
    )


def test_score_is_written_with_its_signature():
    assert str(Score("BLEU", 38.4217, 37.1, 39.708, "nrefs:1|tok:13a")) == "BLEU 38.42 [37.10, 39.71] nrefs:1|tok:13a"
    assert str(Score("chrF2", 61.0, None, None, "nrefs:1|nc:6")) == "chrF2 61.00 nrefs:1|nc:6"


def test_tokenizer_changes_the_score():
    # 13a splits the full stop off, so one of six tokens differs; left whole, one of five does.
    hypotheses, references = ["one two three four five."], ["one two three four five!"]
    assert bleu(hypotheses, references, bootstrap=0).value == pytest.approx(
        100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** (1 / 4)
    )
    assert bleu(hypotheses, references, tokenize="none", bootstrap=0).value == pytest.approx(
        100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    )


def test_tokenized_text_is_warned_of_once_unless_meant(caplog):
    # Twice over, to have the 100 lines at which sacreBLEU would speak too.
    references, plain = REFERENCES * 2, GOOD * 2
    tokenized = [line.replace(".", " .") for line in plain]
    with caplog.at_level(logging.WARNING):
        bleu(tokenized, references, tokenize="none", bootstrap=0)
        bleu(plain, references, bootstrap=0)
        assert not caplog.records
        bleu(tokenized, references, bootstrap=0)
        compare(references, {"plain": plain, "cut": tokenized}, bootstrap=2)
    ended = sum(line.endswith(" .") for line in tokenized)
    assert ended >= 100
    first, second = (record.getMessage() for record in caplog.records)
    assert f'hypotheses: {ended} of 120 lines end in " ."' in first
    assert 'use "none"' in first
    assert "system 'cut'" in second


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_different_numbers_of_lines_are_refused(metric):
    with pytest.raises(ValueError, match="hypotheses: 2 lines, references: 3 lines"):
        metric(["a", "b"], ["a", "b", "c"])
    with pytest.raises(ValueError, match="hypotheses: no lines to score"):
        metric([], [])


def test_impossible_comparisons_are_refused():
    with pytest.raises(ValueError, match="system 'b': 1 lines, references: 2 lines"):
        compare(["x", "y"], {"a": ["x", "y"], "b": ["x"]})
    with pytest.raises(ValueError, match=r"a baseline and another system, received 1: \['a'\]"):
        compare(["x"], {"a": ["x"]})
    with pytest.raises(ValueError, match="bootstrap=0"):
        compare(["x"], {"a": ["x"], "b": ["y"]}, bootstrap=0)


def test_unknown_tokenizer_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown tokenizer '13b', expected one of none, .*13a"):
        bleu(["x"], ["x"], tokenize="13b")


@pytest.mark.parametrize(
    "error", [RuntimeError("\nneeds more:\n    pip install sacrebleu[ja]\n"), OSError("no network")]
)
def test_a_tokenizer_that_cannot_be_used_is_refused_with_the_reason(monkeypatch, error):
    def fails(name):
        raise error

    monkeypatch.setattr("sacrebleu.metrics.bleu._get_tokenizer", fails)
    reason = re.escape(" ".join(str(error).split()))
    with pytest.raises(ValueError, match=rf"the tokenizer 'ja-mecab' cannot be used here: {reason}$"):
        bleu(POOR, REFERENCES, tokenize="ja-mecab")
