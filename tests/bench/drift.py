"""How far off ``nmt.drift`` is: lines taken out of known corpora at random, and looked for.

    python tests/bench/drift.py data/multi30k:train.en.gz:train.de.gz data/enja50k:train.en.gz:train.ja.gz

In each of --trials one to thirty lines are taken out of one side, and one line more, 500 lines or more behind them.
Right is a trial in which both are missed, with their numbers, and nothing else is.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import numpy as np
from train import machine

from nmt import catalogue, corpus
from nmt.drift import Features, drifts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", metavar="FOLDER:SOURCE:TARGET")
    parser.add_argument("--trials", type=int, default=100)
    arguments = parser.parse_args()
    print("| corpus | lines | false alarms | right | lines off: median | 95 % | most | seconds |\n|" + " --- |" * 8)
    for name in arguments.corpora:
        folder, *files = name.split(":")
        text = corpus.read_parallel(*(catalogue.locate(folder, file) for file in files))
        began = time.perf_counter()
        source, target = (Features.of(side, len(text)) for side in (text.source, text.target))
        alarms = len(drifts(source, target))
        seconds = time.perf_counter() - began
        right, off = 0, []
        for seed in range(arguments.trials):
            found = trial(source, target, random.Random(seed))
            if found is not None:
                right += 1
                off += found
        tail = sorted(off)[int(0.95 * len(off))]
        print(
            f"| {folder} {files[0]} {files[1]} | {len(text):,} | {alarms} | {right} of {arguments.trials} "
            f"| {statistics.median(off):.0f} | {tail} | {max(off)} | {seconds:.1f} |",
            flush=True,
        )
    print(machine())


def trial(source: Features, target: Features, rng: random.Random) -> list[int] | None:
    """How far off both places are; None where what is found is not what was done."""
    lines = len(source.length)
    first = rng.randrange(200, lines - 1000)
    second = rng.randrange(first + 500, lines - 200)
    gone = rng.choice([1, 1, 2, 5, 30])
    kept = np.ones(lines, bool)
    kept[first : first + gone] = kept[second] = False
    if rng.random() < 0.5:
        target = Features(*(array[kept] for array in target))
        wanted = [(first, -gone), (second, -gone - 1)]
    else:
        source = Features(*(array[kept] for array in source))
        wanted = [(first, gone), (second - gone, gone + 1)]
    found = drifts(source, target)
    if [one.shift for one in found] != [shift for _, shift in wanted]:
        return None
    return [abs(one.line - place) for one, (place, _) in zip(found, wanted, strict=True)]


if __name__ == "__main__":
    main()
