"""Writes the demo corpus: train, development and test, each as ``.en`` and ``.de``, one sentence a line.

    python data/demo/generate.py [--seed 1] [--out data/demo]

The same seed gives the same bytes. No sentence of either language occurs twice, so none of test or development occurs
in train. Every word of test and development does: what is new there is how the words are put together.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from grammar import Pair
from patterns import draw_pair

SIZES = {"train": 12_000, "development": 400, "test": 400}
LENGTHS = range(4, 15)  # words a side
SEEN = 3  # how often train has each word of test and development, at least


def new_pairs(draw: Random) -> Iterator[Pair]:
    """Pairs of a good length without end, neither side of which has been given before."""
    seen: set[str] = set()
    while True:
        pair = draw_pair(draw)
        if seen.isdisjoint(pair) and all(len(side.split()) in LENGTHS for side in pair):
            seen.update(pair)
            yield pair


def corpus(seed: int) -> dict[str, list[Pair]]:
    """The pairs of each split, by its name."""
    pairs = new_pairs(Random(seed))
    splits = {"train": [next(pairs) for _ in range(SIZES["train"])]}
    counts = Counter(word for pair in splits["train"] for side in pair for word in side.split())
    familiar = (pair for pair in pairs if all(counts[word] >= SEEN for side in pair for word in side.split()))
    for name in ("development", "test"):
        splits[name] = [next(familiar) for _ in range(SIZES[name])]
    return splits


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the English-German demo corpus.")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other sentences (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder to write to (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, pairs in corpus(arguments.seed).items():
        for suffix, side in (("en", "english"), ("de", "german")):
            lines = "".join(getattr(pair, side) + "\n" for pair in pairs)
            (arguments.out / f"{name}.{suffix}").write_bytes(lines.encode())


if __name__ == "__main__":
    main()
