"""Whether confidence holds: learnt from a run's development text, asked of its test text.

python tests/bench/confidence.py runs/multi30k-lc-tok-en-de --write docs/benchmarks.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from peers import command
from train import machine, write

import nmt
from nmt import experiment, score
from nmt.run import Run


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    run = Run.find(arguments.run)
    if experiment.confidence(run) is None:
        experiment.evaluate([run], experiment.read_text(run, "development"), "development")
    text = experiment.read_text(run, "test")
    found = nmt.load(arguments.run).translate_scored(list(text.source), split=False)
    chrf = np.array(score.sentence_chrf([one.text for one in found], list(text.target))) / 100
    expected = np.array([one.confidence for one in found])
    doubtful = np.array(["low confidence" in one.doubts for one in found])
    constant = np.sqrt(np.mean((chrf - chrf.mean()) ** 2))
    rows = [
        ("mean chrF: expected / found", f"{expected.mean():.3f} / {chrf.mean():.3f}"),
        ("correlation with chrF: Pearson / Spearman",
         f"{np.corrcoef(expected, chrf)[0, 1]:.2f} / {np.corrcoef(ranks(expected), ranks(chrf))[0, 1]:.2f}"),
        ("root of the mean squared error / of the mean of all",
         f"{np.sqrt(np.mean((expected - chrf) ** 2)):.3f} / {constant:.3f}"),
        ("sentences with low confidence", f"{doubtful.mean():.1%}"),
        ("mean chrF: with low confidence / the others", f"{chrf[doubtful].mean():.3f} / {chrf[~doubtful].mean():.3f}"),
    ]  # fmt: skip
    for part in np.array_split(np.argsort(expected, kind="stable"), 5):
        rows.append(("a fifth: expected / found", f"{expected[part].mean():.3f} / {chrf[part].mean():.3f}"))
    lines = [f"| {name} | {value} |" for name, value in rows]
    table = f"`{command()}`  \n{machine()}\n\n| of {len(chrf):,} sentences | |\n|---|---|\n" + "\n".join(lines) + "\n"
    print(table)
    if arguments.write:
        write(arguments.write, "confidence", table)


if __name__ == "__main__":
    main()
