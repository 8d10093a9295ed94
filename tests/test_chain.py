"""The whole chain as a user walks it, in processes of its own, from two text files to an exported translator.

The network is cut: a connection, or even the look-up of a name, ends the process that tries it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NMT = str(Path(sys.executable).with_name("nmt"))

CUT = """
import os, socket, sys

def refuse(*arguments, **_):
    print("THE NETWORK WAS ASKED FOR:", arguments, file=sys.stderr, flush=True)
    os._exit(97)

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""

CLIENT = """
import sys
import tensorflow as tf, tensorflow_text
translate = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
lines = sys.stdin.buffer.read().decode().split("\\n")[:-1]
for line in translate(text=tf.constant(lines))["translation"].numpy():
    print(line.decode())
"""

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two text files of one's own."""
    folder = tmp_path_factory.mktemp("work")
    for language in ("en", "de"):
        lines = (ROOT / f"data/demo/train.{language}").read_text(encoding="utf-8").splitlines()[:3000]
        (folder / f"mine.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shell(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Run a command in that folder, without a network."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(CUT)
    environment = {**os.environ, "PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("NMT_DATA", None)

    def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
        settings = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": 1800, **options}
        # No overload of run fits options that are only known by name.
        done = subprocess.run([str(word) for word in command], check=False, **settings)  # type: ignore[call-overload]
        assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stderr[-3000:]}"
        return done

    return run


def test_the_network_is_really_cut(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="ended with 97"):
        shell(sys.executable, "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')")


@pytest.mark.slow
def test_two_files_become_a_scored_and_exported_translator(folder: Path, shell: Shell) -> None:
    made = shell(NMT, "new", "mine.en", "mine.de")
    (folder / "mine.yaml").write_text(made.stdout)

    few = ["--set", "training.updates=30", "--set", "training.validate_every=15", "--set", "training.batch_tokens=400"]
    trained = shell(NMT, "train", "mine.yaml", *few, "--run", "run")
    assert "update=30 validation" in trained.stderr
    assert "nrefs:1" in trained.stderr, "a score travels with its signature"
    again = shell(NMT, "train", "mine.yaml", *few, "--run", "run")
    assert "update=30 validation" not in again.stderr, "a finished run is not trained again"

    evaluated = shell(NMT, "evaluate", "run")
    printed = [(line.split()[0], float(line.split()[1])) for line in evaluated.stdout.splitlines()]
    kept = json.loads((folder / "run/evaluation.json").read_text())["scores"]
    assert [name for name, _ in printed] == ["BLEU", "chrF2"]
    assert printed == [(score["name"], round(score["value"], 2)) for score in kept]
    assert all(0 <= value <= 100 for _, value in printed)

    lines = ["The dog sleeps.", "", "I know that the train arrives at four o'clock.", "a\u2028b"]
    text = "\n".join(lines) + "\n"
    # The graph of a SavedModel has no guard against loops.
    translated = shell(NMT, "translate", "run", "--set", "search.loop_guard=false", input=text).stdout.split("\n")[:-1]
    assert len(translated) == len(lines)
    assert translated[1] == ""

    shell(NMT, "export", "run", "--to", "savedmodel", "exported")
    served = shell(sys.executable, "-c", CLIENT, "exported/text", input=text).stdout.split("\n")[:-1]
    assert served == translated

    shell(NMT, "train", "mine.yaml", *few, "--set", "training.seed=2", "--run", "other")
    shell(NMT, "evaluate", "other")
    compared = shell(NMT, "compare", "run", "other")
    rows = [line.split() for line in compared.stdout.splitlines()[1:3]]
    assert [row[0] for row in rows] == ["run", "other"]
    assert float(rows[0][1]) == printed[0][1], "the score that evaluate printed"
    assert 0 <= float(rows[1][4]) <= 1, "a p-value, after the score and its interval"
