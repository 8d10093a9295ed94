"""How fast documents and large texts are read, and in how much memory: what a size costs, each in a process of its own.

    python tests/bench/documents.py 10000 100000 1000000

For each number of units a TMX, and as many pairs of lines, are made in --folder, and read, translated by an engine that
copies, and looked through by the doctor. Memory is the most that the process held at once; seconds are those that it
computed, which on an idle machine are those on the clock, and on a busy one tell the same.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from train import machine

WORDS = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "was", "with", "his", "they", "this", "from"]


def sentence(rng: random.Random) -> str:
    """Some 60 characters, hardly ever the same twice."""
    return " ".join([*rng.choices(WORDS, k=11), f"{rng.randrange(10**9)}."])


def make(folder: Path, units: int) -> tuple[Path, Path, Path]:
    """A memory, and the same as two files."""
    memory, source, target = (folder / f"{units}.{ending}" for ending in ("tmx", "en", "de"))
    rng = random.Random(units)
    with memory.open("w") as tmx, source.open("w") as en, target.open("w") as de:
        tmx.write('<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n<header srclang="en"/>\n<body>\n')
        for number in range(units):
            a, b = sentence(rng), sentence(rng)
            en.write(f"{a}\n")
            de.write(f"{b}\n")
            variants = [("en", a)] if number % 2 else [("en", a), ("de", b)]
            tmx.write(f'<tu tuid="{number}" changedate="20260101T000000Z">\n')
            for language, text in variants:
                tmx.write(f'  <tuv xml:lang="{language}">\n    <seg>{text} <ph x="1"/></seg>\n  </tuv>\n')
            tmx.write("</tu>\n")
        tmx.write("</body>\n</tmx>\n")
    return memory, source, target


def read_memory(memory: Path, source: Path, target: Path) -> int:
    from nmt import corpus
    from nmt.formats.document import Wanted

    return len(corpus.read_tsv(memory, Wanted("en", "de")))


def fill_memory(memory: Path, source: Path, target: Path) -> int:
    from nmt import documents, formats
    from nmt.formats.document import Wanted
    from nmt.translation import Translation

    def copied(lines: list[str], *, align: bool) -> list[Translation]:
        return [
            Translation(line, 0.0, alignment=tuple((word, word) for word in range(len(line.split())))) for line in lines
        ]

    written = 0
    with memory.open("rb") as file, memory.with_suffix(".out").open("wb") as out:
        for content in documents.translated(formats.parts(memory)(file, str(memory), Wanted("en", "de")), copied):
            written += content.count(b"<tuv")
            out.write(content)
    return written // 2


def read_lines(memory: Path, source: Path, target: Path) -> int:
    from nmt import corpus

    return len(corpus.drop_empty(corpus.clean(corpus.read_parallel(source, target))))


def doctor(memory: Path, source: Path, target: Path) -> int:
    from nmt import doctor, recipe

    data = {
        "source_language": "en",
        "target_language": "de",
        "train": {"source": str(source), "target": str(target)},
        "development": 100,
    }
    return len(doctor.examine(recipe.parse({"data": data}, "bench")).texts[0].text)


JOBS: dict[str, Callable[[Path, Path, Path], int]] = {
    "a TMX, to learn from": read_memory,
    "a TMX, filled by a copy": fill_memory,
    "two files, read and cleaned": read_lines,
    "two files, the doctor": doctor,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=int, nargs="+")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        measure(arguments.job, arguments.folder, arguments.units[0])
    else:
        table(arguments.units, arguments.folder)
        print(machine())


def table(numbers: list[int], folder: Path | None) -> None:
    """Every job for each number of units, one after the other."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        print("| units | what | MB | seconds of a core | units a second | peak memory, MB |\n|" + " --- |" * 6)
        for units in numbers:
            files = make(Path(temporary), units)
            for job in JOBS:
                size = files[0].stat().st_size if "TMX" in job else sum(file.stat().st_size for file in files[1:])
                command = [sys.executable, __file__, str(units), "--folder", temporary, "--job", job]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, memory = map(float, done.stdout.split())
                print(
                    f"| {units:,} | {job} | {size / 1e6:,.0f} | {seconds:.1f} | {units / seconds:,.0f} "
                    f"| {memory:,.0f} |",
                    flush=True,
                )


def measure(job: str, folder: Path, units: int) -> None:
    """One job, in this process: its seconds and its megabytes."""
    import resource

    memory, source, target = (folder / f"{units}.{ending}" for ending in ("tmx", "en", "de"))
    began = time.process_time()
    found = JOBS[job](memory, source, target)
    seconds = time.process_time() - began
    expected = (units + 1) // 2 if job == "a TMX, to learn from" else units
    if found != expected:
        raise SystemExit(f"{job}: {found} units of {expected}")
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


if __name__ == "__main__":
    main()
