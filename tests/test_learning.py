"""The learning tests: what the shipped recipes of committed text must reach, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NMT = str(Path(sys.executable).with_name("nmt"))


@pytest.mark.slow
def test_reversing_a_line_is_learnt_to_nine_lines_in_ten(tmp_path: Path) -> None:
    """Three minutes are allowed on two idle cores; five bound the test on a busy machine."""
    run = tmp_path / "reverse"
    subprocess.run([NMT, "train", "recipes/reverse.yaml", "--run", str(run)], cwd=ROOT, check=True, timeout=300)
    source = (ROOT / "data/reverse/test.source").read_text().splitlines()
    target = (ROOT / "data/reverse/test.target").read_text().splitlines()
    assert [" ".join(reversed(line.split())) for line in source] == target, "the test text is not what it says"
    done = subprocess.run(
        [NMT, "translate", str(run)], cwd=ROOT, input="\n".join(source), capture_output=True, text=True, check=True
    )
    translations = done.stdout.splitlines()
    assert len(translations) == len(source)
    right = sum(translation == wanted for translation, wanted in zip(translations, target, strict=True))
    assert right >= 0.9 * len(target), f"{right} of {len(target)} lines are reversed exactly"


@pytest.mark.slow
def test_the_demo_translates_unseen_sentences_and_a_beam_does_it_no_worse(tmp_path: Path) -> None:
    run = tmp_path / "demo"
    subprocess.run([NMT, "train", "recipes/demo.yaml", "--run", str(run)], cwd=ROOT, check=True, timeout=1500)

    def bleu(*options: str) -> float:
        subprocess.run([NMT, "evaluate", str(run), *options], cwd=ROOT, check=True, capture_output=True)
        scores = json.loads((run / "evaluation.json").read_text())["scores"]
        return next(score["value"] for score in scores if score["name"] == "BLEU")

    greedy, beam = bleu("--beam", "1"), bleu()
    assert beam >= 60.0
    assert beam >= greedy
