"""Writes the reverse task: a source is 4 to 10 letters between blanks, its target the same letters backwards.

    python data/reverse/generate.py [--seed 1] [--out data/reverse]

The same seed gives the same bytes. All sources differ, and so do all targets: nothing of test or development occurs in
train on the same side. A source may be some other line's target.
"""

import argparse
from pathlib import Path
from random import Random

LETTERS = "abcdefghij"
SIZES = {"train": 10_000, "development": 200, "test": 200}


def sources(seed: int) -> dict[str, list[str]]:
    """The distinct letter sequences of each split, by its name."""
    draw = Random(seed)
    distinct: dict[str, None] = {}  # a set that keeps its order
    while len(distinct) < sum(SIZES.values()):
        distinct[" ".join(draw.choices(LETTERS, k=draw.randint(4, 10)))] = None
    lines = iter(distinct)
    return {name: [next(lines) for _ in range(size)] for name, size in SIZES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the reverse task.")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other lines (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("data/reverse"), help="where to write (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, lines in sources(arguments.seed).items():
        (arguments.out / f"{name}.source").write_bytes("".join(f"{line}\n" for line in lines).encode())
        (arguments.out / f"{name}.target").write_bytes("".join(f"{line[::-1]}\n" for line in lines).encode())


if __name__ == "__main__":
    main()
