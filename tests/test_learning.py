"""The learning test: the shipped recipe must learn a rule that only attention can learn, from the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NMT = str(Path(sys.executable).with_name("nmt"))


@pytest.mark.slow
def test_reversing_a_line_is_learnt_to_nine_lines_in_ten(tmp_path: Path) -> None:
    """About a minute on two idle cores; three are allowed, and five bound the test on a busy machine."""
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
