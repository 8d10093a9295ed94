"""Whole-loop training speed against the machine's limit.

    python tests/bench/train.py recipes/multi30k-lc-tok-en-de.yaml --updates 60 --write docs/benchmarks.md

The limit is the rate of the model's own matrix products, weighted by their share of the work, timed in the same run
with the same threads: what a training would reach if everything that is no matrix product took no time. The loop is
``nmt train`` itself (fit, dropout, moving average, clipping, callbacks) on the recipe's real text; warm-up updates and
validation are not counted. The two are measured in turns, since the speed of shared machines drifts.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import numpy as np

from nmt import devices, experiment, recipe
from nmt.recipe import Model, Recipe


def products(model: Model, pieces: int, sentences: int, source: int, target: int) -> list[tuple[int, int, int, int]]:
    """The matrix products (rows, inner, columns, times) of one forward pass over a batch, attention's sums aside."""
    embedding, encoder, decoder = model.embedding_units, model.encoder_units, model.decoder_units
    context = 2 * encoder
    found = []
    below = embedding
    for _ in range(model.encoder_layers):
        found.append((sentences * source, below, 4 * encoder, 2))  # W x, both directions
        found.append((sentences, encoder, 4 * encoder, 2 * source))  # U h, step by step
        below = context
    found.append((sentences * source, context, model.attention_units, 1))  # keys
    if model.flow == "recurrent":
        found.append((sentences * target, embedding, 4 * decoder, 1))  # W y
        found.append((sentences, decoder, model.attention_units, target))  # query, step by step
        found.append((sentences, context + decoder, 4 * decoder, target))  # [C U] [c; s]
    else:
        found.append((sentences * target, embedding, 4 * decoder, 1))
        found.append((sentences, decoder, 4 * decoder, target))
        found.append((sentences * target, decoder, model.attention_units, 1))
    for _ in range(model.decoder_layers - 1):
        found.append((sentences * target, decoder + context, 4 * decoder, 1))
        found.append((sentences, decoder, 4 * decoder, target))
    found.append((sentences * target, decoder + embedding + context, model.readout_units, 1))
    found.append((sentences * target, model.readout_units, pieces, 1))
    return found


def limit(model: Model, pieces: int, shapes: list[tuple[int, int, int]], seconds: float = 6.0) -> tuple[float, float]:
    """(padded target tokens a second, GFLOP/s) if nothing but matrix products took time.

    Forward, gradient by input and gradient by weight are one product each; each distinct product is timed alone.
    """
    import tensorflow as tf

    tf.random.set_seed(1)  # deterministic operations want one
    work: dict[tuple[int, int, int], int] = {}
    tokens = 0
    for sentences, source, target in shapes:
        tokens += sentences * target
        for rows, inner, columns, times in products(model, pieces, sentences, source, target):
            for shape in ((rows, inner, columns), (rows, columns, inner), (inner, rows, columns)):
                work[shape] = work.get(shape, 0) + times
    needed = flops = 0.0
    each = seconds / len(work)
    for (rows, inner, columns), times in work.items():
        a, b = tf.random.normal([rows, inner]), tf.random.normal([inner, columns])
        flop = 2.0 * rows * inner * columns
        runs = max(2, int(each * 60e9 / flop))
        tf.linalg.matmul(a, b)
        began = time.perf_counter()
        for _ in range(runs):
            product = tf.linalg.matmul(a, b)
        product[0, 0].numpy()
        needed += times * (time.perf_counter() - began) / runs
        flops += times * flop
    return tokens / needed, flops / needed / 1e9


def loop(
    settings: Recipe, updates: int, warmup: int | None = None
) -> tuple[float, float, list[tuple[int, int, int]], int]:
    """(real, padded) target tokens a second of the training loop, its batch shapes, and the pieces it used.

    On JAX the first update of every shape compiles; it is warm-up wherever it comes.
    """
    from nmt import training

    marks: list[tuple[int, float]] = []
    plan_of: list[training.BatchPlan] = []

    class Timed(training._Loop):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            super().on_train_batch_end(batch, logs)
            marks.append((self.progress.batches, time.perf_counter()))
            plan_of[:] = [self.plan]

        def _validate(self, update: int) -> None:
            self.progress.history.append({"update": update, "loss": 0.0, "perplexity": 1.0, "bleu": 0.0})

    warmup = warmup or max(10, updates // 4)
    original, training._Loop = training._Loop, Timed
    try:
        with tempfile.TemporaryDirectory() as directory:
            changed = settings.training.model_copy(update={"updates": warmup + updates, "validate_every": 10**9})
            with mock.patch.object(experiment, "_score_development"):  # nothing is validated, so no weights are best
                run, _ = experiment.train(settings.model_copy(update={"training": changed}), Path(directory) / "run")
            pieces = run.pieces()[1].size
    finally:
        training._Loop = original
    plan = plan_of[0]
    seen: set[tuple[int, int, int]] = set()
    shapes = []
    seconds, real = 0.0, 0
    for update, (number, before) in enumerate([(0, 0.0), *marks[:-2]]):  # the last batch also saves a checkpoint
        position = plan.locate(number)
        batch = plan.batch(position)
        shape = (*batch.source.shape, batch.target_in.shape[1])
        if update >= warmup and (shape in seen or not plan.lengths):
            seconds += marks[update][1] - before
            real += plan.target_tokens(position)
            shapes.append(shape)
        seen.add(shape)
    if not shapes:
        raise ValueError(f"nothing was measured: each of {updates} updates came in a new shape; ask for more")
    padded = sum(sentences * target for sentences, _, target in shapes)
    return real / seconds, padded / seconds, shapes, pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    settings = recipe.read(arguments.recipe, tuple(arguments.set))
    devices.prepare(settings.device, training=True)
    rounds = []
    memory = 0.0
    # The limit needs a process of its own: training gives each operation one core only.
    aside = ProcessPoolExecutor(1, get_context("spawn"), devices.prepare, (settings.device,))
    for _ in range(arguments.rounds):
        real, padded, shapes, pieces = loop(settings, arguments.updates)
        memory = memory or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        ceiling, rate = aside.submit(limit, settings.model, pieces, shapes).result()
        rounds.append((real, ceiling, rate, padded / ceiling, 1 - real / padded))
        print(f"share of the limit: {padded / ceiling:.1%}", file=sys.stderr)
    real, ceiling, rate, share, padding = (float(np.median(column)) for column in zip(*rounds, strict=True))
    shares = [row[3] for row in rounds]
    table = "\n".join(
        [
            f"| figure (median of {len(rounds)} rounds) | value |",
            "|---|---|",
            f"| whole loop, real target tokens a second | {real:,.0f} |",
            f"| limit, real target tokens a second | {ceiling * (1 - padding):,.0f} |",
            f"| rate of the model's own matrix products | {rate:.0f} GFLOP/s |",
            f"| **share of the limit** | **{share:.0%}** ({min(shares):.0%} to {max(shares):.0%}) |",
            f"| padding, share of all target positions | {padding:.1%} |",
            f"| peak memory of the training process | {memory:.2f} GB |",
        ]
    )
    command = f"python {shlex.join(sys.argv)}"
    text = f"`{command}`  \n{machine()}\n\n{table}\n"
    print(text)
    if arguments.write:
        write(arguments.write, Path(arguments.recipe).stem, text)


def machine() -> str:
    """What this was measured on, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = told.get("model name", platform.processor())
    # Processors of one name may have vectors of either width, and then differ in speed by more than any change here.
    known = {"avx512f": "AVX-512", "avx2": "AVX2"}
    widest = [name for flag, name in known.items() if flag in told.get("flags", "").split()][:1]
    parts = [model, *widest, f"{os.cpu_count()} cores", platform.system(), f"Python {platform.python_version()}"]
    return ", ".join(parts)


def write(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks of ``name`` in a Markdown file; the marks are added at its end if need be."""
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin not in content:
        content += f"\n{begin}\n{end}\n"
    before, rest = content.split(begin, 1)
    path.write_text(f"{before}{begin}\n{text}{end}{rest.split(end, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
