"""How long a person waits before anything happens.

    python tests/bench/start.py recipes/tatoeba-en-de.yaml --write docs/benchmarks.md

Pieces: training them on all training pairs of the recipe and encoding both sides; beside it ``cat``, which only reads
the same text. First update: from ``nmt train`` in a shell to its first log line after one update. Shell: ``nmt --help``
and a wrong recipe, beside ``python -c pass``, the least that any Python program can take.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from train import machine, write

from nmt import experiment, pieces, recipe


def seconds(action: Callable[[], object], runs: int) -> float:
    """The median wall time of ``action``."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def shell(*command: str, expected: int = 0) -> Callable[[], None]:
    def run() -> None:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != expected:
            raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    settings = recipe.read(arguments.recipe)
    text = experiment.read_texts(settings.data).train
    nmt = str(Path(sys.executable).with_name("nmt"))

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        def train_and_encode() -> None:
            model = pieces.train(
                [*text.source, *text.target],
                directory / "pieces.model",
                size=settings.pieces.size,
                character_coverage=settings.pieces.character_coverage,
                byte_fallback=settings.pieces.byte_fallback,
            )
            model.encode_lines(text.source)
            model.encode_lines(text.target)

        plain = directory / "text"
        plain.write_text("\n".join([*text.source, *text.target]), encoding="utf-8")
        wrong = directory / "wrong.yaml"
        wrong.write_text("trainig: {}\n")
        first = ["--set", "training.updates=1", "--set", "training.validate_every=2", "--run", str(directory / "run")]
        first += ["--set", "training.log_every=1"]

        def first_update() -> None:
            command = [nmt, "train", arguments.recipe, *first]
            with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
                if not any("update=1/1" in line for line in process.stderr or ()):
                    raise SystemExit(f"{shlex.join(command)} ended without an update")
                process.kill()

        rows = [
            (f"pieces: train and encode {len(text):,} pairs", seconds(train_and_encode, 1), "30"),
            ("  beside: cat of the same text", seconds(shell("cat", str(plain)), 3), ""),
            ("`nmt train` to the first update, pieces included", seconds(first_update, 1), "25"),
            ("`nmt --help`", seconds(shell(nmt, "--help"), 7), "0.4"),
            ("a wrong recipe refused", seconds(shell(nmt, "train", str(wrong), expected=2), 7), "0.4"),
            ("  beside: `python -c pass`", seconds(shell(sys.executable, "-c", "pass"), 7), ""),
        ]
    lines = [
        "| what | seconds | goal |",
        "|---|---|---|",
        *(f"| {what} | {took:.2f} | {goal} |" for what, took, goal in rows),
    ]
    result = f"`python {shlex.join(sys.argv)}`  \n{machine()}\n\n" + "\n".join(lines) + "\n"
    print(result)
    if arguments.write:
        write(arguments.write, "start", result)


if __name__ == "__main__":
    main()
