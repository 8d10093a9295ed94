"""What a lexical shortlist brings a compact model, and what it costs: several exports of one run, in turns.

    nmt export RUN --to compact exports/all
    nmt export RUN --to compact exports/few --shortlist 50
    python tests/bench/shortlist.py val.en val.de exports/all exports/few --beam 5 --batch 64

The first export is the one that the others are compared with, turn by turn; each turn translates the whole text.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import nmt
from nmt import score
from nmt.batches import pad_source
from nmt.compact import Compact
from nmt.engines.compact_engine import CompactEngine


def share(directory: str, lines: list[str], batch: int) -> float:
    """Of all pieces, those that the shortlist of a batch has: the mean over the batches, sorted by length."""
    pieces = Compact.find(directory).pieces()
    engine = CompactEngine(Path(directory), threads=1)
    if not engine._shortlist:
        return 1.0
    ids = sorted(pieces[0].encode_lines(lines), key=len)
    found = []
    for first in range(0, len(ids), batch):
        source = pad_source(ids[first : first + batch])
        inputs = {"source": source, "lengths": np.count_nonzero(source, axis=1).astype("int32")}
        found.append(len(engine._encoder.run(["shortlist"], inputs)[0]) / pieces[1].size)
    return statistics.mean(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("exports", nargs="+")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenize", default="none")
    arguments = parser.parse_args()
    lines, references = (path.read_text().splitlines() for path in (arguments.source, arguments.reference))
    settings = (
        f"search.beam_size={arguments.beam}",
        f"search.batch_sentences={arguments.batch}",
        "device.threads=1",
    )
    translators = [nmt.load(export, settings=settings) for export in arguments.exports]
    for translator in translators:
        translator.translate(lines[:64])
    said: list[list[str]] = [[] for _ in translators]
    seconds = []
    for _ in range(arguments.rounds):
        turn = []
        for number, translator in enumerate(translators):
            begun = time.perf_counter()
            said[number] = translator.translate(lines)
            turn.append(time.perf_counter() - begun)
        seconds.append(turn)
    for number, export in enumerate(arguments.exports):
        bleu = score.bleu(said[number], references, tokenize=arguments.tokenize, lowercase=False, bootstrap=0).value
        gains = [turn[0] / turn[number] for turn in seconds]
        rate = len(lines) / statistics.median(turn[number] for turn in seconds)
        print(
            f"| {Path(export).name} | {arguments.beam} | {arguments.batch} | "
            f"{share(export, lines, arguments.batch):.0%} | {bleu:.2f} | {rate:,.0f} | "
            f"{statistics.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
