"""The learning tests: what the shipped recipes of committed text must reach, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import toy

ROOT = Path(__file__).resolve().parent.parent
NMT = str(Path(sys.executable).with_name("nmt"))


@pytest.mark.slow
def test_reversing_a_line_is_learnt_to_nine_lines_in_ten(tmp_path: Path) -> None:
    run = tmp_path / "reverse"
    subprocess.run([NMT, "train", "recipes/reverse.yaml", "--run", str(run)], cwd=ROOT, check=True, timeout=1800)
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
    subprocess.run([NMT, "train", "recipes/demo.yaml", "--run", str(run)], cwd=ROOT, check=True, timeout=1800)

    def bleu(*options: str) -> float:
        subprocess.run([NMT, "evaluate", str(run), *options], cwd=ROOT, check=True, capture_output=True)
        scores = json.loads((run / "evaluation.json").read_text())["scores"]
        return next(score["value"] for score in scores if score["name"] == "BLEU")

    greedy, beam = bleu("--beam", "1"), bleu()
    assert beam >= 60.0
    assert beam >= greedy


@pytest.mark.slow
def test_marks_that_no_training_text_has_are_carried_over_by_what_stands_for_them(tmp_path: Path) -> None:
    """With masks the model puts every unseen mark where it belongs; without it loses many."""
    for name, seed, count in (("train", 1, 3000), ("dev", 2, 100), ("test", 3, 300)):
        for language, text in zip(("en", "de"), toy.marked_lines(count, seed), strict=True):
            (tmp_path / f"{name}.{language}").write_text("".join(f"{line}\n" for line in text))
    recipe = {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": {"source": "train.en", "target": "train.de"},
            "development": {"source": "dev.en", "target": "dev.de"},
        },
        "pieces": {"size": 400},
        "model": dict.fromkeys(
            ("embedding_units", "encoder_units", "decoder_units", "attention_units", "readout_units"), 64
        ),
        "training": {
            "updates": 400, "batch_tokens": 1000, "learning_rate": 0.005, "warmup_updates": 30, "validate_every": 200,
        },
        "device": {"threads": 1},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    source, target = toy.marked_lines(300, 3)

    def said(masks: str) -> tuple[int, int]:
        """How many marks the model loses, and how many stand first, where they belong."""
        run = tmp_path / masks
        command = [NMT, "train", "recipe.yaml", "--set", f"pieces.masks={masks}", "--run", str(run)]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=1800)
        done = subprocess.run(
            [NMT, "translate", str(run), "test.en", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == len(source)
        marks = [line.split()[0] for line in target]
        assert all(
            mark in one["translation"] for mark, one in zip(marks, found, strict=True)
        )  # put back where it was lost
        lost = sum(any("marks were lost" in doubt for doubt in one.get("doubts", ())) for one in found)
        return lost, sum(one["translation"].startswith(mark) for mark, one in zip(marks, found, strict=True))

    lost, first = said("true")
    assert lost <= 3
    assert first >= 295
    lost_without, first_without = said("false")
    assert lost_without > 10 * max(1, lost)
    assert first > first_without
