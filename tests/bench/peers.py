"""Training speed beside other toolkits: the same model, text, threads and batches, in turns, in one run.

    python tests/bench/peers.py --write docs/benchmarks.md
    python tests/bench/peers.py --only ours-tensorflow-recurrent,pytorch-fused-recurrent --rounds 1

Every contestant is a script of tests/bench/contestants, run in a process of its own, and those that are not ours in
virtual environments that are made here once. The speed of shared machines drifts, so the contestants take turns (A B C
A B C …) and are compared within a round. What is measured is *real* target tokens a second of the training loop: no
padding, ends of sentences included, warm-up not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from train import machine, write

from nmt import batches, experiment, pieces, recipe
from nmt.recipe import Recipe
from nmt.symbols import SPECIAL_PIECES

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = Path(__file__).resolve().parent / "contestants"


class Contestant(NamedTuple):
    script: str
    environment: str  # a key of ENVIRONMENTS; "" is the one that runs this script
    updates: int  # that are measured, so many that a round takes about a quarter of a minute on two cores
    flow: str = "recurrent"
    warmup: int = 3  # updates before these
    options: dict[str, str] = {}  # noqa: RUF012  what only its own script understands


CONTESTANTS = {
    "ours-tensorflow-recurrent": Contestant("ours", "", 16, options={"backend": "tensorflow"}),
    "ours-tensorflow-parallel": Contestant("ours", "", 16, "parallel", options={"backend": "tensorflow"}),
    "ours-jax-recurrent": Contestant("ours", "", 24, options={"backend": "jax"}),
    "ours-jax-parallel": Contestant("ours", "", 24, "parallel", options={"backend": "jax"}),
    "keras-tutorial": Contestant("keras_tutorial", "", 8),
    "pytorch-cells-recurrent": Contestant("bare_pytorch", "pytorch", 8, options={"lstm": "cells"}),
    "pytorch-fused-recurrent": Contestant("bare_pytorch", "pytorch", 10, options={"lstm": "fused"}),
    "pytorch-fused-parallel": Contestant("bare_pytorch", "pytorch", 10, "parallel", options={"lstm": "fused"}),
    "opennmt-py": Contestant("opennmt", "opennmt-py", 6),
    "joeynmt": Contestant("joey", "joeynmt", 3, warmup=1),
}
TOOLKITS = ("opennmt-py", "joeynmt")

# What is installed, one call of pip after the other. The toolkits come without what they declare: OpenNMT-py wants
# torch < 2.3 but trains on 2.13, JoeyNMT wants a protobuf of 2022. torch is pinned to a version whose CPU build the
# machine's package index should offer: the builds for GPUs are several GB.
TORCH = ("torch==2.13.0", "numpy>=2,<3")
ENVIRONMENTS: dict[str, list[tuple[str, ...]]] = {
    "pytorch": [TORCH],
    "opennmt-py": [
        TORCH,
        ("configargparse", "ctranslate2>=4,<5", "pyonmttok>=1.37,<2", "pyyaml", "sacrebleu", "tensorboard", "six"),
        ("rapidfuzz", "pyahocorasick", "spacy", "pybind11", "setuptools<81"),
        ("--no-deps", "fasttext-wheel", "OpenNMT-py==3.5.1"),
    ],
    "joeynmt": [
        TORCH,
        ("sentencepiece==0.2.0", "sacrebleu", "sacremoses", "subword-nmt", "pyyaml", "tensorboard", "matplotlib"),
        ("pandas", "packaging", "importlib_metadata", "setuptools<81"),
        ("--no-deps", "joeynmt==2.3.0"),
    ],
    "ctranslate2": [("ctranslate2>=4,<5", "numpy>=2,<3")],  # for translate.py
}


def environment(name: str, folder: Path) -> Path:
    """The Python of the environment ``name``, made in ``folder`` unless it is there.

    Raises:
        subprocess.CalledProcessError: a package cannot be installed.
    """
    if not name:
        return Path(sys.executable)
    place = folder / name
    python, made = place / "bin" / "python", place / "made.json"
    wanted = json.dumps(ENVIRONMENTS[name])
    if not made.is_file() or made.read_text() != wanted:
        print(f"making the environment {place}", file=sys.stderr)
        venv.create(place, clear=True, with_pip=True)
        for packages in ENVIRONMENTS[name]:
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
            subprocess.run(command, check=True, capture_output=True, text=True)
        made.write_text(wanted)
    return python


def prepare(settings: Recipe, folder: Path) -> dict[str, Any]:
    """Write the training text into ``folder`` for all contestants, and say where.

    The order is that of this toolkit's own batches, so that even who reads sentence after sentence gets batches of
    similar length.
    """
    if not settings.pieces.joint:
        raise SystemExit("the contestants share one vocabulary: choose a recipe with pieces.joint: true")
    texts = experiment.read_texts(settings.data)
    learned = pieces.learn(
        [*texts.train.source, *texts.train.target], **settings.pieces.model_dump(exclude={"joint", "sampling", "masks"})
    )
    source, target = (learned.encode_lines(side) for side in (texts.train.source, texts.train.target))
    longest = settings.data.max_length
    kept = [pair for pair in range(len(source)) if max(len(source[pair]), len(target[pair])) <= longest]
    source, target = [source[pair] for pair in kept], [target[pair] for pair in kept]
    plan = batches.BatchPlan(source, target, settings.training.batch_tokens, settings.training.seed)
    epoch = plan.epoch(0)
    found: dict[str, Any] = {"batch_sizes": [len(pairs) for pairs in epoch]}
    for side, ids in (("source", source), ("target", target)):
        ordered = [ids[pair] for pairs in epoch for pair in pairs]
        found[side], found[f"{side}_lengths"] = np.concatenate(ordered), [len(row) for row in ordered]
        lines = [" ".join(learned.text_of(row)) + "\n" for row in ordered]
        (folder / f"train.{side}").write_text("".join(lines), encoding="utf-8")
        (folder / f"development.{side}").write_text("".join(lines[:8]), encoding="utf-8")  # JoeyNMT wants some
    np.savez(folder / "batches.npz", **found)
    return {
        "pieces": learned.size,
        "batches": str(folder / "batches.npz"),
        "train": str(folder / "train"),
        "development": str(folder / "development"),
        "vocabulary": str(write_vocabulary(learned, folder)),
    }


def write_vocabulary(learned: pieces.Pieces, folder: Path) -> Path:
    """The file of the pieces, special ones aside, which every toolkit has in a way of its own."""
    vocabulary = learned.text_of(range(len(SPECIAL_PIECES), learned.size))
    (folder / "vocabulary").write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")
    return folder / "vocabulary"


class Asked(NamedTuple):
    """What is asked of every contestant."""

    recipe: str
    settings: tuple[str, ...]  # of the recipe, as ``nmt train --set``
    text: dict[str, Any]
    environments: Path
    warmup: int | None  # each contestant's own number where none is asked for
    updates: int | None
    threads: int
    keep_memory: bool


def run(name: str, asked: Asked) -> dict[str, Any]:
    """One turn of a contestant: what ``contestants/contest.py`` writes, or {"failed": why}."""
    contestant = CONTESTANTS[name]
    settings = asked.settings
    if contestant.flow == "parallel":
        settings += ("model.flow=parallel", "model.decoder_layers=2")
    if contestant.script == "ours":
        settings += (f"device.backend={contestant.options['backend']}",)
    wanted = recipe.read(asked.recipe, settings)
    variables = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)} if asked.keep_memory else {}
    with tempfile.TemporaryDirectory() as workspace:
        content = {
            "recipe": asked.recipe,
            "set": settings,
            "model": wanted.model.model_dump(),
            "training": wanted.training.model_dump(),
            "text": asked.text,
            "options": contestant.options,
            "warmup": asked.warmup or contestant.warmup,
            "updates": asked.updates or contestant.updates,
            "threads": asked.threads,
            "workspace": workspace,
            "compiled": str(asked.environments / "compiled"),
        }
        return answer(name, contestant.script, contestant.environment, asked.environments, content, variables)


def answer(
    name: str,
    script: str,
    needs: str,
    environments: Path,
    content: dict[str, Any],
    variables: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What a contestant's ``script`` writes, run in the environment that it ``needs``, or {"failed": why}.

    Args:
        name: of the log of what it prints.
        content: what is asked of it; says ``threads`` and ``workspace``.
        variables: of its process, beside those that say how many threads.
    """
    contest, result = (Path(content["workspace"]) / name for name in ("contest.json", "result.json"))
    contest.write_text(json.dumps(content))
    log = environments / "logs" / f"{name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        python = environment(needs, environments)
        with log.open("w", encoding="utf-8") as output:
            subprocess.run(
                [python, SCRIPTS / f"{script}.py", contest, result],
                cwd=ROOT,
                env={**os.environ, **as_many(content["threads"]), **(variables or {}), "PYTHONPATH": str(ROOT)},
                check=True,
                timeout=900,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return json.loads(result.read_text())
    except subprocess.TimeoutExpired as error:
        return {"failed": f"not done after {error.timeout:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"failed": reason(error, error.stderr or log.read_text(encoding="utf-8", errors="replace"))}


def reason(error: subprocess.CalledProcessError, said: str) -> str:
    """Why a process failed, for a cell of a table: the last line that it ``said``."""
    last = next((line for line in reversed(said.split("\n")) if line.strip()), f"exit status {error.returncode}")
    return last.strip().replace("|", "/")[:120]


def as_many(threads: int) -> dict[str, str]:
    """What tells libraries how many threads to take."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))


def table(rounds: list[dict[str, dict[str, Any]]]) -> str:
    """What was measured, as a table in Markdown, and what it comes to."""
    rows = [
        "| contestant | target tokens/s, median (range) | of ours, same flow | parameters | MFLOP a pair | GFLOP/s |",
        "|---|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        failed = next((turn[name]["failed"] for turn in rounds if "failed" in turn[name]), None)
        if failed:
            rows.append(f"| {name} | failed: {failed} | | | | |")
            continue
        rates = [turn[name]["rate"] for turn in rounds]
        shares = _shares(rounds, name, f"ours-tensorflow-{CONTESTANTS[name].flow}")
        share = f"{np.median(shares):.2f}" if shares else ""
        operations = 6 * rounds[0][name]["multiplied"]  # two forward, four for the gradients
        rows.append(
            f"| {name} | {np.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | {share} | "
            f"{rounds[0][name]['weights'] / 1e6:.2f} M | {operations / 1e6:.1f} | "
            f"{np.median(rates) * operations / 1e9:.0f} |"
        )
    return "\n".join([*rows, "", *_conclusions(rounds)])


def _conclusions(rounds: list[dict[str, dict[str, Any]]]) -> Iterable[str]:
    ours, pytorch = "ours-tensorflow-recurrent", "pytorch-fused-recurrent"
    if shares := _shares(rounds, ours, pytorch):
        yield f"{ours} runs at {np.median(shares):.2f} times the speed of {pytorch}, the identical model (goal 1.0).  "
    toolkits = {name: shares for name in TOOLKITS if (shares := _shares(rounds, ours, name))}
    if toolkits:
        fastest = min(toolkits, key=lambda name: np.median(toolkits[name]))
        times = float(np.median(toolkits[fastest]))
        work = rounds[0][ours]["multiplied"] / rounds[0][fastest]["multiplied"]
        yield (
            f"{ours} runs at {times:.2f} times the speed of {fastest}, the fastest toolkit (goal 1.8); "
            f"in operations a second, {times * work:.2f} times.  "
        )
    yield versions(result for turn in rounds for result in turn.values())


def versions(results: Iterable[dict[str, Any]]) -> str:
    """Of the packages that the contestants used."""
    found = {name: version for result in results for name, version in result.get("versions", {}).items()}
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(found.items())) + "."


def _shares(rounds: list[dict[str, dict[str, Any]]], name: str, other: str) -> list[float]:
    """The rate of ``name`` by that of ``other``, round by round; nothing if one of them failed or did not run."""
    pairs = [(turn.get(name, {}).get("rate"), turn.get(other, {}).get("rate")) for turn in rounds]
    return [mine / theirs for mine, theirs in pairs] if all(mine and theirs for mine, theirs in pairs) else []


def command() -> str:
    """How this script was called; where the environments are is this machine's affair."""
    shown = [word for before, word in pairwise(["", *sys.argv]) if "--environments" not in (before, word.split("=")[0])]
    return f"python {shlex.join(shown)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="recipes/multi30k-lc-tok-en-de.yaml")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="names, with commas; all: %(default)s")
    parser.add_argument(
        "--updates", type=int, help="that are measured, for all contestants; each has its own number otherwise"
    )
    parser.add_argument("--warmup", type=int, help="updates before these, likewise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readout", type=int, help="another readout than the recipe's; 512 is what the toolkits have")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--keep-memory", action="store_true", help="let glibc keep freed memory, as ours always does")
    parser.add_argument("--environments", type=Path, default=ROOT / ".bench", help="where they are kept (%(default)s)")
    parser.add_argument("--write", type=Path, help="put the table between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in CONTESTANTS]:
        parser.error(f"unknown contestants {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    settings = ("training.batch_tokens=4000", "device.kind=cpu", f"device.threads={arguments.threads}", *arguments.set)
    if arguments.readout:
        settings += (f"model.readout_units={arguments.readout}", "model.tying=none")
    if hasattr(os, "sched_setaffinity"):  # JAX and some libraries take as many threads as they see cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    load = os.getloadavg()[0]
    environments = arguments.environments.resolve()
    environments.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(
            recipe=arguments.recipe,
            settings=settings,
            text=prepare(recipe.read(arguments.recipe, settings), Path(folder)),
            environments=environments,
            warmup=arguments.warmup,
            updates=arguments.updates,
            threads=arguments.threads,
            keep_memory=arguments.keep_memory,
        )
        rounds = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({})
            for name in names:
                rounds[-1][name] = result = run(name, asked)
                said = f"failed: {result['failed']}" if "failed" in result else f"{result['rate']:,.0f} tokens/s"
                print(f"round {number}  {name}  {said}", file=sys.stderr)
    text = (
        f"`{command()}`  \n{machine()}, {arguments.threads} threads each, load {load:.1f} before\n\n{table(rounds)}\n"
    )
    print(text)
    if arguments.write:
        write(arguments.write, "peers", text)


if __name__ == "__main__":
    main()
