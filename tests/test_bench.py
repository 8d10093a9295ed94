"""The benchmarks run and write what they measured where they are told to; no figure is judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    subprocess.run(command, cwd=ROOT, check=True, timeout=600, capture_output=True)
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
        timeout=300,
        capture_output=True,
    )
    text = page.read_text()
    assert text.startswith("before\n<!-- peers -->\n`python tests/bench/peers.py recipes/reverse.yaml")
    assert text.endswith("<!-- end peers -->\nafter\n")
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    for name in contestants.split(","):
        assert re.search(r"\| [\d,]+ \([\d,]+ to [\d,]+\) \|", rows[name]), rows[name]
    assert "failed: " in rows["joeynmt"]
