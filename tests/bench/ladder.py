"""What each setting brings: the rungs of a ladder trained, scored, and written into a table.

    python tests/bench/ladder.py tests/bench/ladder.yaml --jobs 2 --write recipes/README.md

A ladder is a recipe, settings that all of its rungs share, and settings of each rung (see ladder.yaml). Every rung is
trained once a seed by ``nmt train`` and scored by ``nmt evaluate``, --jobs at a time. What is finished is kept in
--kept and not done again, so a ladder may be climbed in many sittings; a rung whose settings changed is trained anew.

Besides settings a rung may have a ``recipe`` of its own, ``before``, commands that make what it is trained with, and
instead of settings ``ensemble``, other rungs that are scored together. Such rungs wait for all others of the ladder. A
ladder too may have ``before``. In all of them {runs} is where the runs are, and {seed} the seed.

Texts are the development text unless the ladder says otherwise: the test text is for a recipe that has won.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import yaml
from train import machine, write

Record = dict[str, Any]  # of one training: what it was, and what it scored


def rungs(ladders: dict[str, Any], seeds: list[int], only: list[str], runs: Path) -> Iterator[Record]:
    """Every training that is wanted: its ladder, rung, seed, and the commands that make it."""
    for ladder, content in ladders.items():
        for rung, settings in content["rungs"].items():
            if only and rung not in only:
                continue
            for seed in seeds:
                own = {key: value for key, value in settings.items() if key not in ("ensemble", "before", "recipe")}
                changes = {**content.get("base", {}), **own, "training.seed": seed}
                named = [str(directory(runs, ladder, name, seed)) for name in settings.get("ensemble", [])]
                recipe = settings.get("recipe", content["recipe"])
                record = {
                    "ladder": ladder,
                    "rung": rung,
                    "seed": seed,
                    "command": shlex.join(["nmt", "evaluate", *named])
                    if named
                    else f"nmt train {recipe} {shlex.join(changed(changes))}",
                    "texts": content["texts"],
                    "searches": [changed(search) for search in content["searches"]],
                    **({"before": settings["before"]} if "before" in settings else {}),
                }
                yield json.loads(json.dumps(record).replace("{runs}", str(runs)).replace("{seed}", str(seed)))


def waits(settings: dict[str, Any]) -> bool:
    """Whether a rung is made of others."""
    return "ensemble" in settings or "before" in settings


def directory(runs: Path, ladder: str, rung: str, seed: int) -> Path:
    """Where a rung is trained."""
    return runs / ladder / f"{''.join(letter if letter.isalnum() else '-' for letter in rung)}-{seed}"


def changed(settings: dict[str, Any]) -> list[str]:
    """``settings`` as arguments of a command."""
    values = {key: yaml.safe_dump(value, default_flow_style=True, width=10**6) for key, value in settings.items()}
    return [
        word
        for key, value in values.items()
        for word in ("--set", f"{key}={value.removesuffix('...' + chr(10)).strip()}")
    ]


def kept(path: Path) -> dict[tuple[str, str, int], Record]:
    """What has been measured so far, by ladder, rung and seed."""
    records: list[Record] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return {(record["ladder"], record["rung"], record["seed"]): record for record in records}


def climb(wanted: Record, runs: Path) -> Record:
    """Train and score one rung."""
    for command in wanted.get("before", []):
        shell(command)
    _, job, *arguments = shlex.split(wanted["command"])
    made: Record = {}
    if job == "train":
        run = directory(runs, wanted["ladder"], wanted["rung"], wanted["seed"])
        shell(f"{wanted['command']} --run {run}")
        history = json.loads((run / "history.json").read_text())
        made = {
            "updates": history[-1]["update"],
            "minutes": round(history[-1]["seconds"] / 60, 1),
            "perplexity": min(entry["perplexity"] for entry in history),
        }
        arguments = [str(run)]
    scores = []
    for text in wanted["texts"]:
        for search in wanted["searches"]:
            which = ["--development"] if text == "development" else []
            printed = shell(shlex.join(["nmt", "evaluate", *arguments, *which, *search]))
            found = [read_score(line) for line in printed.splitlines()]
            scores.append({"text": text, "search": " ".join(search[1::2]), "scores": found})
    return {**wanted, **made, "found": scores, "machine": machine()}


def read_score(line: str) -> Record:
    """What ``nmt evaluate`` prints of a score."""
    name, value, low, high, signature = re.fullmatch(r"(\S+) (\S+) \[(\S+), (\S+)\] (\S+)", line).groups()
    return {"name": name, "value": float(value), "low": float(low), "high": float(high), "signature": signature}


def shell(command: str) -> str:
    """Run a command, with this Python's ``nmt`` and ``python`` first; what it prints."""
    print(command, file=sys.stderr)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": programs}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}\n{command}: exit code {done.returncode}")
    return done.stdout


def table(ladder: str, content: dict[str, Any], records: list[Record]) -> str:
    """The rungs of a ladder that have been climbed, each against the first."""
    columns = [(one["text"], one["search"]) for one in records[0]["found"]]
    head = [
        "rung",
        "seeds",
        "minutes",
        "perplexity",
        *(f"{text}: {search.replace('search.', '')}" for text, search in columns),
    ]
    rows = [head, ["---"] * len(head)]
    base: list[float] = []
    for rung in content["rungs"]:
        of_rung = sorted((record for record in records if record["rung"] == rung), key=lambda record: record["seed"])
        if not of_rung:
            continue
        cells = [rung, ", ".join(str(record["seed"]) for record in of_rung)]
        for key, digits in (("minutes", 0), ("perplexity", 2)):
            values = [record[key] for record in of_rung if key in record]  # an ensemble has neither
            cells.append(f"{statistics.mean(values):.{digits}f}" if values else "")
        means = []
        for column in range(len(columns)):
            values = [record["found"][column]["scores"][0]["value"] for record in of_rung]
            means.append(statistics.mean(values))
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{means[-1]:.2f}{spread}")
        base = base or means
        if base is not means:
            cells[4:] = [
                f"{cell} ({mean - first:+.2f})" for cell, mean, first in zip(cells[4:], means, base, strict=True)
            ]
        rows.append(cells)
    signature = records[0]["found"][0]["scores"][0]["signature"].replace("|", r"\|")
    machines = sorted({record["machine"] for record in records})
    shared = shlex.join(changed(content.get("base", {})))
    return (
        f"`nmt train {content['recipe']} {shared}`, and the settings of each rung, which stand in "
        f"`tests/bench/ladder.yaml`; BLEU `{signature}`; {'; '.join(machines)}\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ladders", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--rungs", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"))
    parser.add_argument("--kept", type=Path, default=Path("docs/ladder.json"), help="what has been measured so far")
    parser.add_argument("--write", type=Path, help="put the tables between this script's marks in a Markdown file")
    arguments = parser.parse_args()
    ladders = yaml.safe_load(arguments.ladders.read_text(encoding="utf-8"))
    done = kept(arguments.kept)
    wanted = list(rungs(ladders, arguments.seeds, arguments.rungs, arguments.runs))

    def climbed(wanted: Record) -> Record:
        known = done.get((wanted["ladder"], wanted["rung"], wanted["seed"]))
        if known and all(known.get(key) == wanted.get(key) for key in ("command", "texts", "searches", "before")):
            return known
        return climb(wanted, arguments.runs)

    for ladder in dict.fromkeys(record["ladder"] for record in wanted):
        for command in ladders[ladder].get("before", []):
            shell(command.replace("{runs}", str(arguments.runs)))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for last in (False, True):
            those = [one for one in wanted if waits(ladders[one["ladder"]]["rungs"][one["rung"]]) is last]
            for finished in as_completed([pool.submit(climbed, one) for one in those]):
                record = finished.result()
                # Read again: another process may be climbing another rung.
                done = kept(arguments.kept) | {(record["ladder"], record["rung"], record["seed"]): record}
                arguments.kept.write_text(json.dumps(list(done.values()), indent=1, ensure_ascii=False) + "\n")
    for ladder, content in ladders.items():
        records = [record for record in done.values() if record["ladder"] == ladder]
        if records:
            text = table(ladder, content, records)
            print(text)
            if arguments.write:
                write(arguments.write, f"ladder {ladder}", text)


if __name__ == "__main__":
    main()
