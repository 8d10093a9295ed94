"""Translation speed of one trained run on every engine: the run itself, SavedModels, compact models.

    python tests/bench/translate.py runs/multi30k-lc-tok-en-de --write docs/benchmarks.md

Each engine translates the run's test text in a process of its own, so that peak memory is its own; before it is timed
it translates a few lines. Sentences one by one are the first 300. Cold is the time of ``nmt translate`` for one line,
from the shell, best of five. BLEU is that of greedy search over the development text, on which nothing was tuned here.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from train import machine, write

from nmt import experiment, score
from nmt.run import Run

NMT = Path(sys.executable).with_name("nmt")
BEAMS = (1, 5)
ALONE = 300  # sentences that are translated one by one


def measure(engine: str, model: str, run: str, threads: int) -> dict[str, Any]:
    """What an engine does with the run's text, in this process."""
    source = Run.find(run)
    lines = list(experiment.read_text(source, "test").source)
    development = experiment.read_text(source, "development")
    pieces = source.pieces()[1]
    found: dict[str, Any] = {}
    for beam in BEAMS:
        translate = translator(engine, model, beam, threads)
        for warm_up in (lines[:64], lines[64:128], lines[:1], lines[1:2]):
            translate(warm_up)
        begun = time.perf_counter()
        said = [one for first in range(0, len(lines), 1000) for one in translate(lines[first : first + 1000])]
        seconds = time.perf_counter() - begun
        tokens = sum(len(ids) + 1 for ids in pieces.encode_lines(said))
        alone = []
        for line in lines[:ALONE]:
            begun = time.perf_counter()
            translate([line])
            alone.append(time.perf_counter() - begun)
        found[str(beam)] = {
            "sentences": len(lines) / seconds,
            "tokens": tokens / seconds,
            "alone": len(alone) / sum(alone),
            "p50": statistics.median(alone) * 1000,
            "p99": sorted(alone)[len(alone) * 99 // 100] * 1000,
        }
        if beam == 1:
            tokenize = "none" if source.recipe.data.tokenized else "13a"
            hypotheses = translate(list(development.source))
            bleu = score.bleu(hypotheses, development.target, tokenize=tokenize, lowercase=False, bootstrap=0)
            found["bleu"], found["signature"] = bleu.value, bleu.signature
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def translator(engine: str, model: str, beam: int, threads: int) -> Any:
    """A function of lines."""
    if engine == "SavedModel":
        import tensorflow as tf
        import tensorflow_text

        assert tensorflow_text.SentencepieceTokenizer  # whose import makes the operations known that the graph holds
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        signature = tf.saved_model.load(f"{model}-{beam}/text").signatures["serving_default"]

        def translate(lines: list[str]) -> list[str]:
            order = sorted(range(len(lines)), key=lambda number: -len(lines[number]))
            said = [""] * len(lines)
            for first in range(0, len(lines), 64):
                batch = order[first : first + 64]
                answers = signature(text=tf.constant([lines[number] for number in batch]))["translation"].numpy()
                for number, answer in zip(batch, answers, strict=True):
                    said[number] = answer.decode()
            return said

        return translate
    import nmt

    return nmt.load(model, settings=(f"search.beam_size={beam}", f"device.threads={threads}")).translate


def cold(model: Path, line: str, threads: int) -> float:
    """Seconds from the shell to the translation of one line."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        command = [NMT, "translate", model, "--threads", str(threads), "--beam", "1"]
        subprocess.run(command, input=line, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def megabytes(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)  # what a process of its own does
    arguments = parser.parse_args()
    if arguments.measure:
        engine, model, threads = arguments.measure
        print(json.dumps(measure(engine, model, arguments.run, int(threads))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        for name, *options in (
            ("float32", "--to", "compact", "--precision", "float32"),
            ("int8", "--to", "compact"),
            *((f"savedmodel-{beam}", "--to", "savedmodel", "--beam", str(beam)) for beam in BEAMS),
        ):
            subprocess.run([NMT, "export", arguments.run, made / name, *options], check=True, capture_output=True)
        line = next(iter(experiment.read_text(Run.find(arguments.run), "test").source))
        for engine, model in (
            ("TensorFlow graph (the run)", Path(arguments.run)),
            ("SavedModel", made / "savedmodel"),
            ("compact, float32", made / "float32"),
            ("compact, int8", made / "int8"),
        ):
            for threads in arguments.threads:
                asked = [sys.executable, __file__, arguments.run, "--measure", engine, str(model), str(threads)]
                done = subprocess.run(asked, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{done.stderr}\n{engine}: exit code {done.returncode}")
                found = json.loads(done.stdout.splitlines()[-1])
                size = megabytes(made / "savedmodel-1" / "text" if engine == "SavedModel" else model)
                if engine.startswith("TensorFlow"):
                    size = (model / "best.npz").stat().st_size / 1e6
                begun = None if engine == "SavedModel" else cold(model, line, threads)
                rows.append(row(engine, threads, found, size, begun))
                print(rows[-1], flush=True)
        signature = found["signature"].replace("|", r"\|")
    figures = ("sentences/s", "tokens/s", "one by one", "p50 / p99, ms")
    heads = ["engine", "threads", "MB", "peak MB", "cold, s", "BLEU"]
    heads += [f"{figure}, {name}" for name in ("greedy", "beam 5") for figure in figures]
    command = shlex.join(["python", "tests/bench/translate.py", *sys.argv[1:]])
    text = (
        f"`{command}`  \n{machine()}; BLEU `{signature}`\n\n"
        + "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *rows])
        + "\n"
    )
    print(text)
    if arguments.write:
        write(arguments.write, "translate", text)


def row(engine: str, threads: int, found: dict[str, Any], size: float, begun: float | None) -> str:
    cells = [engine, str(threads), f"{size:.1f}", f"{found['memory']:.0f}", "" if begun is None else f"{begun:.2f}"]
    cells.append(f"{found['bleu']:.2f}")
    for beam in BEAMS:
        one = found[str(beam)]
        cells += [f"{one['sentences']:,.0f}", f"{one['tokens']:,.0f}", f"{one['alone']:,.0f}"]
        cells.append(f"{one['p50']:.1f} / {one['p99']:.1f}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
