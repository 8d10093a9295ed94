"""The benchmarks run and write what they measured where they are told to; no figure is judged here."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy
import yaml

from nmt import recipe

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "name", "options", "rows"),
    [
        (
            "train.py",
            "reverse",
            ["recipes/reverse.yaml", "--updates", "4", "--rounds", "1"],
            {"whole loop", "limit", "share of the limit", "peak memory"},
        ),
        (
            "start.py",
            "start",
            ["recipes/reverse.yaml"],
            {"pieces: train and encode", "to the first update", "nmt --help", "a wrong recipe refused"},
        ),
        ("scale.py", "scale", ["--pairs", "1000", "2000", "--pieces", "1000"], {"1,000", "2,000"}),
    ],
)
def test_a_benchmark_replaces_its_own_table_and_nothing_else(tmp_path, script, name, options, rows):
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n<!-- {name} -->\nold figures\n<!-- end {name} -->\nafter\n")
    command = [sys.executable, f"tests/bench/{script}", *options, "--write", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=1800, capture_output=True)
    text = page.read_text()
    assert text.startswith(f"before\n<!-- {name} -->\n`python tests/bench/{script} {options[0]}")
    assert text.endswith(f"<!-- end {name} -->\nafter\n")
    assert "old figures" not in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    for row in rows:
        assert any(row in line and re.search(r"\| \D*\d", line) for line in table), f"no figure for {row}: {table}"


@pytest.mark.slow
def test_the_contestants_take_turns_and_one_that_fails_stops_no_other(tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- peers -->\nold figures\n<!-- end peers -->\nafter\n")
    contestants = "ours-tensorflow-recurrent,keras-tutorial"
    # no index to install from: the environment of JoeyNMT cannot be made
    command = [sys.executable, "tests/bench/peers.py", "recipes/reverse.yaml", "--only", f"{contestants},joeynmt"]
    options = ["--updates", "4", "--rounds", "1", "--environments", str(tmp_path / "environments")]
    subprocess.run(
        [*command, *options, "--set", "training.batch_tokens=400", "--write", str(page)],
        cwd=ROOT,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""},
        check=True,
        timeout=1800,
        capture_output=True,
    )
    text = page.read_text()
    assert text.startswith("before\n<!-- peers -->\n`python tests/bench/peers.py recipes/reverse.yaml")
    assert text.endswith("<!-- end peers -->\nafter\n")
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    for name in contestants.split(","):
        assert re.search(r"\| [\d,]+ \([\d,]+ to [\d,]+\) \|", rows[name]), rows[name]
    assert "failed: " in rows["joeynmt"]


@pytest.mark.slow
def test_every_engine_translates_side_by_side_and_peers_that_fail_stop_nothing(tmp_path):
    text = toy.write_text(tmp_path)
    run = toy.write_run(tmp_path / "run", text, data__test=6)
    page = tmp_path / "page.md"
    command = [sys.executable, "tests/bench/translate.py", run.directory, "--threads", "1", "--sentences", "5"]
    # no index to install from: the environments of the peers cannot be made
    command += ["--peers", "--environments", tmp_path / "environments", "--write", page]
    alone = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    subprocess.run(command, cwd=ROOT, env=alone, check=True, timeout=1800, capture_output=True)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.read_text().splitlines() if row[:1] == "|"]
    assert [row[0] for row in rows[2:]] == [
        "TensorFlow graph (the run)", "SavedModel", "compact, float32", "compact, int8",
        "compact, int8, shortlist", "compact, int8, 2 processes",
        "OpenNMT-py", "JoeyNMT", "CTranslate2, Transformer, int8",
    ]  # fmt: skip
    assert {len(row) for row in rows} == {8 + 2 * 4}
    assert all(row[2].startswith("failed: ") for row in rows[8:])
    for row in rows[2:7]:
        assert float(row[3]) > 10  # megabytes; the models of this test have less than a tenth of one
        assert row[0] == "SavedModel" or float(row[4]) > 0
    assert [row[3:5] for row in rows[7:8]] == [["", ""]]  # of several processes neither is told
    assert all(re.fullmatch(r"[1-9]\d? % / [1-9]\d? %", row[7]) for row in rows[4:7])
    assert {(row[5], row[6]) for row in rows[2:5]} == {(rows[2][5], "100.0 %")}


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "bench")
    monkeypatch.chdir(ROOT)


def a_contest(**changes):
    sources = [["a"], ["a", "b", "c"], ["a", "b"]]
    searches = [SimpleNamespace(beam=1, lengths=[2, 4, 7]), SimpleNamespace(beam=5, lengths=[1, 1, 1])]
    asked = {"job": "translate", "sources": sources, "searches": searches, "batch_sentences": 2, "alone": 2}
    return SimpleNamespace(**asked, **changes)


def test_a_peer_translates_our_batches_to_our_lengths(bench, monkeypatch, tmp_path):
    from contestants import translation

    seen = []

    def load(asked, beam):
        def translate(batch):
            seen.append((beam, batch.sources, batch.length))
            return [["x"] * batch.length for _ in batch.sources]

        return translate

    monkeypatch.setattr(sys, "argv", ["script", "contest.json", str(tmp_path / "result.json")])
    translation.run(a_contest(), None, load)
    (short, long, middle), greedy = a_contest().sources, [what[1:] for what in seen if what[0] == 1]
    text = [([long, middle], 6), ([short], 2)]  # 4 and 7 are 5.5 on average
    first = [([short], 2), ([long], 4)]
    assert greedy == [*text, *first, *text, *first]  # the first time they warm up
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["1"]["lengths"] == [6, 6, 2]
    assert found["5"]["lengths"] == [1, 1, 1]
    assert found["memory"] > 1


def test_a_peer_whose_translations_have_other_lengths_fails(bench):
    from contestants import translation

    def load(asked, beam):
        return lambda batch: [["x"] for _ in batch.sources]

    with pytest.raises(RuntimeError, match="asked for"):
        translation.run(a_contest(), None, load)


def test_a_peer_has_a_row_like_ours_without_bleu(bench):
    # By its path: translate-toolkit, which other tests read documents with, is a package of the same name.
    spec = importlib.util.spec_from_file_location("bench_translate", ROOT / "tests/bench/translate.py")
    translate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(translate)
    figures = {"sentences": 1234.5, "tokens": 20000.0, "alone": 80.4, "p50": 12.34, "p99": 45.6}
    found = {"size": 6.71, "memory": 105.2, "cold": 0.388, "1": figures, "5": figures}
    row = translate.cells(translate.Row("peer", 2, found))
    one = ["1,234", "20,000", "80", "12.3 / 45.6"]
    assert row == ["peer", "2", "6.7", "105", "0.39", "–", "–", "", *one, *one]
    assert len(row) == len(translate.heads())
    failed = translate.cells(translate.Row("peer", 2, {**found, "failed": "no torch"}))
    assert failed[:3] == ["peer", "2", "failed: no torch"]
    assert len(failed) == len(row)


def test_every_rung_of_the_ladder_is_a_recipe_of_its_own(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "bench")
    monkeypatch.chdir(ROOT)
    import ladder

    ladders = yaml.safe_load((ROOT / "tests/bench/ladder.yaml").read_text())
    wanted = list(ladder.rungs(ladders, seeds=[1, 2], only=[], runs=Path("runs/ladder")))
    recipes = []
    for rung in wanted:
        _, job, name, *settings = shlex.split(rung["command"])
        if job == "evaluate" or "before" in rung:  # made of other runs
            continue
        recipes.append(recipe.effective(recipe.read(name, tuple(settings[1::2]))))
    assert len(set(recipes)) == len(recipes) > 30


def test_missing_lines_are_looked_for_in_the_demo_corpus():
    command = [sys.executable, "tests/bench/drift.py", "data/demo:train.en:train.de", "--trials", "3"]
    done = subprocess.run(command, cwd=ROOT, check=True, timeout=1800, capture_output=True, text=True)
    row = [cell.strip() for cell in done.stdout.splitlines()[2].split("|")]
    assert row[1] == "data/demo train.en train.de"
    assert row[4].endswith("of 3")


def test_documents_of_two_sizes_are_read_filled_and_looked_through():
    command = [sys.executable, "tests/bench/documents.py", "100", "200"]
    done = subprocess.run(command, cwd=ROOT, check=True, timeout=1800, capture_output=True, text=True)
    rows = [[cell.strip() for cell in row.split("|")] for row in done.stdout.splitlines()[2:-1]]
    assert [row[1] for row in rows] == ["100"] * 4 + ["200"] * 4
    assert [row[2] for row in rows[:4]] == [
        "a TMX, to learn from", "a TMX, filled by a copy", "two files, read and cleaned", "two files, the doctor",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_ladder_is_climbed_once_and_its_rungs_stand_against_the_first(tmp_path):
    (tmp_path / "ladder.yaml").write_text("""
letters:
  recipe: recipes/reverse.yaml
  texts: [development, test]
  searches: [{search.beam_size: 1}, {search.beam_size: 2, search.length_penalty: 0.5}]
  base: {training.updates: 2, training.validate_every: 1, model.decoder_units: 16}
  rungs:
    plain: {}
    "word dropout, cosine": {model.dropout.source_words: 0.1, training.schedule: cosine}
    both: {ensemble: [plain, "word dropout, cosine"]}
    made: {before: ["cp recipes/reverse.yaml {runs}/{seed}.yaml"], recipe: "{runs}/{seed}.yaml", model.decoder_units: 8}
""")
    page, kept, runs = tmp_path / "README.md", tmp_path / "ladder.json", tmp_path / "runs"
    command = [sys.executable, "tests/bench/ladder.py", tmp_path / "ladder.yaml", "--seeds", "1", "2", "--jobs", "2"]
    command += ["--kept", kept, "--runs", runs, "--write", page]
    subprocess.run(command, cwd=ROOT, check=True, timeout=1800, capture_output=True)
    records = json.loads(kept.read_text())
    order = ["plain", "word dropout, cosine", "both", "made"]
    records.sort(key=lambda record: (order.index(record["rung"]), record["seed"]))
    assert [(record["rung"], record["seed"]) for record in records] == [
        ("plain", 1), ("plain", 2), ("word dropout, cosine", 1), ("word dropout, cosine", 2),
        ("both", 1), ("both", 2), ("made", 1), ("made", 2),
    ]  # fmt: skip
    assert "--set training.schedule=cosine --set training.seed=2" in records[3]["command"]
    assert records[5]["command"] == f"nmt evaluate {runs}/letters/plain-2 {runs}/letters/word-dropout--cosine-2"
    assert records[7]["command"].startswith(f"nmt train {runs}/2.yaml --set ")
    assert "decoder_units: 8" in (runs / "letters" / "made-2" / "recipe.yaml").read_text()
    trained = (runs / "letters" / "word-dropout--cosine-2" / "recipe.yaml").read_text()
    assert "source_words: 0.1" in trained
    assert "decoder_units: 16" in trained
    rows = [[cell.strip() for cell in row.split("|")] for row in page.read_text().splitlines()[-5:-1]]
    first, last, both, _ = rows
    assert both[1:5] == ["both", "1, 2", "", ""]  # nothing was trained
    assert first[1:3] == ["plain", "1, 2"]
    assert last[1:3] == ["word dropout, cosine", "1, 2"]
    assert len(first) == 4 + 2 + 4  # two texts, each with two searches
    for plain, *others in zip(*(row[5:-1] for row in rows), strict=True):
        assert re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d", plain)
        for other in others:
            assert re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d \([+-]\d+\.\d\d\)", other)

    shutil.rmtree(runs)  # all is kept: nothing is trained again
    table = page.read_text()
    subprocess.run(command, cwd=ROOT, check=True, timeout=1800, capture_output=True)
    assert not runs.exists()
    assert page.read_text() == table
