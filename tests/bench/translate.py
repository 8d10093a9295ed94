"""Translation speed of one trained run on every engine: the run itself, SavedModels, compact models; and of others.

    python tests/bench/translate.py runs/multi30k-lc-tok-en-de --write docs/benchmarks.md
    python tests/bench/translate.py runs/multi30k-lc-tok-en-de --peers --sentences 100

Each engine translates the run's test text in a process of its own, so that peak memory is its own; before it is timed
it translates a few lines. Sentences one by one are the first 300. Cold is the time of ``nmt translate`` for one line,
from the shell, best of five, and peak memory, where a command translates, that of ``nmt translate`` of the test text
with the largest beam. BLEU is that of greedy search over the development text, on which nothing was tuned here; how
many of its lines are word by word those of the first row is told too. Products is the share of its time that a compact
model spends in matrix products, by ONNX Runtime's profile: where it is 100 %, nothing but them takes time.

The peers are scripts of tests/bench/contestants, in the virtual environments of ``peers.py``. Their weights are random
(speed is all that is measured), and they are told how long a translation is: as long as ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import peers
from contestants import translation
from train import machine, write

from nmt import experiment, score
from nmt.run import Run

NMT = Path(sys.executable).with_name("nmt")
BEAMS = (1, 5)
ALONE = 300  # sentences that are translated one by one
BATCH = 64  # sentences translated together
PROCESSES = 2
# The operators that multiply matrices, an LSTM's among them.
PRODUCTS = {
    "MatMul",
    "FusedMatMul",
    "Gemm",
    "LSTM",
    "DynamicQuantizeLSTM",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
}


class Peer(NamedTuple):
    script: str
    environment: str  # a key of peers.ENVIRONMENTS


PEERS = {
    "OpenNMT-py": Peer("translate_opennmt", "opennmt-py"),
    "JoeyNMT": Peer("translate_joey", "joeynmt"),
    "CTranslate2, Transformer, int8": Peer("translate_ctranslate2", "ctranslate2"),
}


class Row(NamedTuple):
    engine: str
    threads: int
    found: dict[str, Any]  # what was measured, with ``size`` and ``cold``, or {"failed": why}


def measure(engine: str, model: str, run: str, threads: int, sentences: int | None) -> dict[str, Any]:
    """What an engine does with the run's text, in this process."""
    source = Run.find(run)
    lines = list(experiment.read_text(source, "test").source)[:sentences]
    development = experiment.read_text(source, "development")
    pieces = source.pieces()[1]
    found: dict[str, Any] = {}
    for beam in BEAMS:
        translate = translator(engine, model, beam, threads)
        found[str(beam)] = translation.measure(
            translate,
            warm_up=(lines[:64], lines[64:128] or lines[:64], lines[:1], lines[1:2]),
            together=[lines[first : first + 1000] for first in range(0, len(lines), 1000)],
            alone=[[line] for line in lines[:ALONE]],
            lengths=lambda said: (len(ids) + 1 for ids in pieces.encode_lines(said)),
        )
        if beam == 1:
            tokenize = "none" if source.recipe.data.tokenized else "13a"
            hypotheses = translate(list(development.source)[:sentences])
            references = list(development.target)[:sentences]
            bleu = score.bleu(hypotheses, references, tokenize=tokenize, lowercase=False, bootstrap=0)
            found["bleu"], found["signature"], found["said"] = bleu.value, bleu.signature, hypotheses
    found["memory"] = translation.peak_memory()
    if engine.startswith("compact") and not engine.endswith("processes"):
        found["products"] = [
            products(model, threads, batches) for batches in ([lines], [[one] for one in lines[:ALONE]])
        ]
    return found


def products(model: str, threads: int, batches: Sequence[list[str]]) -> float:
    """The share of the time of greedy search over ``batches`` that a compact ``model`` spends in matrix products."""
    import onnxruntime

    from nmt.engines import compact_engine

    sessions = []

    def profiled(path: Path, options: Any, **others: Any) -> Any:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / path.name)
        sessions.append(onnxruntime.InferenceSession(path, options, **others))
        return sessions[-1]

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(compact_engine, "onnxruntime") as runtime:
        runtime.SessionOptions, runtime.InferenceSession = onnxruntime.SessionOptions, profiled
        translate = translator("compact", model, 1, threads)
        begun = time.perf_counter()
        for batch in batches:
            translate(batch)
        seconds = time.perf_counter() - begun
        events = [event for one in sessions for event in json.loads(Path(one.end_profiling()).read_text())]
    spent = sum(
        event["dur"]
        for event in events
        if event["name"].endswith("kernel_time") and event["args"]["op_name"] in PRODUCTS
    )
    return spent / 1e6 / seconds


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

    processes = PROCESSES if engine.endswith("processes") else 1
    settings = (f"search.beam_size={beam}", f"device.threads={threads}")
    return nmt.load(model, settings=settings, processes=processes).translate


def cold(command: Sequence[str | Path], line: str, times: int, variables: dict[str, str] | None = None) -> float:
    """Seconds from the shell to the translation of one line."""
    seconds = []
    environment = {**os.environ, **(variables or {})}
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(command, input=line, capture_output=True, text=True, check=True, env=environment)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def peak_memory(command: Sequence[str | Path], lines: Sequence[str]) -> float:
    """The most megabytes that ``command`` had in memory, reading ``lines``."""
    with tempfile.TemporaryFile("w+") as text:
        text.write("".join(f"{line}\n" for line in lines))
        text.seek(0)
        process = subprocess.Popen(command, stdin=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_maxrss / 1024


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def our_rows(run: str, threads: Sequence[int], sentences: int | None, made: Path) -> Iterator[Row]:
    """The engines of this toolkit, whose models are put in the folder ``made``."""
    for name, *options in (
        ("float32", "--to", "compact", "--precision", "float32"),
        ("int8", "--to", "compact"),
        ("shortlist", "--to", "compact", "--shortlist", "50"),
        *((f"savedmodel-{beam}", "--to", "savedmodel", "--beam", str(beam)) for beam in BEAMS),
    ):
        subprocess.run([NMT, "export", run, made / name, *options], check=True, capture_output=True)
    lines = list(experiment.read_text(Run.find(run), "test").source)[:sentences]
    engines = (
        ("TensorFlow graph (the run)", Path(run), Path(run) / "best.npz"),
        ("SavedModel", made / "savedmodel", made / "savedmodel-1" / "text"),
        ("compact, float32", made / "float32", made / "float32"),
        ("compact, int8", made / "int8", made / "int8"),
        ("compact, int8, shortlist", made / "shortlist", made / "shortlist"),
    )
    several = (f"compact, int8, {PROCESSES} processes", made / "int8", made / "int8")
    first: list[str] = []
    for (engine, model, size), count in [*itertools.product(engines, threads), (several, 1)]:
        asked = [sys.executable, __file__, run, "--measure", engine, str(model), str(count)]
        if sentences:
            asked += ["--sentences", str(sentences)]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{done.stderr}\n{engine}: exit code {done.returncode}")
        found = json.loads(done.stdout.splitlines()[-1])
        found["size"] = megabytes(size)
        first = first or found["said"]
        found["alike"] = sum(one == other for one, other in zip(first, found["said"], strict=True)) / len(first)
        if engine == several[0]:
            del found["memory"]  # of the process that waits
        elif engine != "SavedModel":  # which no command translates with
            command = [NMT, "translate", model, "--threads", str(count), "--beam"]
            found["cold"] = cold([*command, str(BEAMS[0])], lines[0], times=5)
            found["memory"] = peak_memory([*command, str(BEAMS[-1])], lines)
        yield Row(engine, count, found)


def contest(run: Run, lengths: dict[int, list[int]], workspace: Path) -> dict[str, Any]:
    """What is asked of every peer, its job and its threads aside.

    Args:
        lengths: by beam, the pieces of our translations of as many sentences as are translated, ends included.
    """
    if not run.recipe.pieces.joint:
        raise SystemExit("the peers share one vocabulary: choose a run with pieces.joint: true")
    pieces = run.pieces()[0]
    lines = list(experiment.read_text(run, "test").source)[: len(lengths[1])]
    return {
        "model": run.recipe.model.model_dump(),
        "training": run.recipe.training.model_dump(),
        "text": {
            "vocabulary": str(peers.write_vocabulary(pieces, workspace)),
            "train": "",  # nothing is trained
            "development": "",
        },
        "warmup": 0,
        "updates": 0,
        "sources": [pieces.text_of(ids) for ids in pieces.encode_lines(lines)],
        "searches": [{"beam": beam, "lengths": lengths[beam]} for beam in BEAMS],
        "batch_sentences": BATCH,
        "alone": ALONE,
        "workspace": str(workspace),
    }


def peer_rows(asked: dict[str, Any], threads: Sequence[int], environments: Path) -> Iterator[Row]:
    """The peers; one that fails stops no other."""
    line = " ".join(asked["sources"][0]) + "\n"
    for name, peer in PEERS.items():
        log, making = f"{peer.script}-make", {**asked, "job": "make", "threads": threads[0]}
        made = peers.answer(log, *peer, environments, making)
        for count in threads:
            if "failed" in made:
                yield Row(name, count, made)
                continue
            log, translating = f"{peer.script}-{count}", {**asked, "job": "translate", "threads": count}
            found = {**made, **peers.answer(log, *peer, environments, translating)}
            try:
                found["size"] = megabytes(Path(made["model"]))
                found["cold"] = cold(made["command"], line, times=3, variables=peers.as_many(count))
            except subprocess.CalledProcessError as error:
                found["failed"] = peers.reason(error, error.stderr)
            yield Row(name, count, found)


def cells(row: Row) -> list[str]:
    """The row, cell by cell, as ``heads`` has them."""
    found = row.found
    if "failed" in found:
        texts = [row.engine, str(row.threads), f"failed: {found['failed']}"]
        return texts + [""] * (len(heads()) - len(texts))
    texts = [row.engine, str(row.threads), f"{found['size']:.1f}"]
    texts.append(f"{found['memory']:.0f}" if "memory" in found else "")
    texts.append(f"{found['cold']:.2f}" if "cold" in found else "")
    texts.append(f"{found['bleu']:.2f}" if "bleu" in found else "–")
    texts.append(f"{100 * found['alike']:.1f} %" if "alike" in found else "–")
    texts.append(" / ".join(f"{100 * share:.0f} %" for share in found["products"]) if "products" in found else "")
    for beam in BEAMS:
        one = found[str(beam)]
        texts += [f"{one['sentences']:,.0f}", f"{one['tokens']:,.0f}", f"{one['alone']:,.0f}"]
        texts.append(f"{one['p50']:.1f} / {one['p99']:.1f}")
    return texts


def about_peers(rows: Sequence[Row]) -> Iterator[str]:
    weights = {row.engine: row.found["weights"] for row in rows if "weights" in row.found}
    if weights:
        yield "Weights: " + ", ".join(f"{name} {count / 1e6:.1f} M" for name, count in weights.items()) + ".  "
        yield peers.versions(row.found for row in rows)


def heads() -> list[str]:
    figures = ("sentences/s", "tokens/s", "one by one", "p50 / p99, ms")
    once = ["engine", "threads", "MB", "peak MB", "cold, s", "BLEU", "lines alike", "products: batches / one by one"]
    return once + [f"{figure}, {name}" for name in ("greedy", "beam 5") for figure in figures]


def line_of(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sentences", type=int, help="only so many of each text, to try the script; all otherwise")
    parser.add_argument("--peers", action="store_true", help="other toolkits too")
    parser.add_argument("--environments", type=Path, default=peers.ROOT / ".bench", help="of the peers (%(default)s)")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)  # what a process of its own does
    arguments = parser.parse_args()
    run, threads = arguments.run, arguments.threads
    if arguments.measure:
        engine, model, count = arguments.measure
        print(json.dumps(measure(engine, model, run, int(count), arguments.sentences)))
        return
    rows: list[Row] = []
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        for row in our_rows(run, threads, arguments.sentences, Path(folder)):
            rows.append(row)
            print(line_of(cells(row)), flush=True)
        ours = rows[0].found
        if arguments.peers:
            lengths = {beam: ours[str(beam)]["lengths"] for beam in BEAMS}
            asked = contest(Run.find(run), lengths, Path(folder))
            for row in peer_rows(asked, threads, arguments.environments.resolve()):
                rows.append(row)
                print(line_of(cells(row)), flush=True)
            notes = ["", *about_peers(rows)]
    signature = ours["signature"].replace("|", r"\|")
    table = [line_of(heads()), "|" + "---|" * len(heads()), *(line_of(cells(row)) for row in rows), *notes]
    text = f"`{peers.command()}`  \n{machine()}; BLEU `{signature}`\n\n" + "\n".join(table) + "\n"
    print(text)
    if arguments.write:
        write(arguments.write, "translate", text)


if __name__ == "__main__":
    main()
