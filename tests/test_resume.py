"""A training that is killed and started again ends bit for bit as one that nobody disturbed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from nmt import experiment
from nmt.run import Run

# Everything that has a state: dropout everywhere, moving average, clipping, warm-up, plateau, accumulation, patience.
EVERYTHING = {
    "training__updates": 15,
    "training__gradient_accumulation": 2,
    "training__validate_every": 3,
    "training__schedule": "plateau",
    "training__plateau": {"factor": 0.5, "patience": 0},
    "training__learning_rate": 0.5,  # so that the loss rises now and then, and the rate falls
    "training__best": "loss",
}


def prepare(folder, **changes):
    """A recipe and its text in ``folder``, for ``toy.py`` to train."""
    folder.mkdir()
    recipe = toy.settings(toy.write_text(folder), **{**EVERYTHING, **changes})
    (folder / "toy.json").write_text(json.dumps(recipe.model_dump()))
    return recipe


def train(folder, event=None):
    """Train in a process of its own; it ends by itself, or is killed at ``event``."""
    command = [sys.executable, str(Path(__file__).with_name("toy.py")), str(folder), *([event] if event else [])]
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == (-signal.SIGKILL if event else 0), done.stderr[-3000:]


def assert_same_end(one, other):
    first, second = Run.find(one / "run"), Run.find(other / "run")
    checkpoints = first.load_checkpoint(), second.load_checkpoint()
    assert checkpoints[0].update == checkpoints[1].update
    for array, expected in zip(checkpoints[0].arrays, checkpoints[1].arrays, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert timeless(checkpoints[0].progress) == timeless(checkpoints[1].progress)
    assert timeless(first.read_json("history.json")) == timeless(second.read_json("history.json"))
    best = first.load_best(), second.load_best()
    assert best[0].keys() == best[1].keys()
    for name, array in best[0].items():
        np.testing.assert_array_equal(array, best[1][name])
    samples = [sorted(run.path("samples").iterdir()) for run in (first, second)]
    assert [(path.name, path.read_text()) for path in samples[0]] == [(p.name, p.read_text()) for p in samples[1]]
    return checkpoints[0].progress


def timeless(record):
    """``record`` without the seconds that it took."""
    if isinstance(record, dict):
        return {key: timeless(value) for key, value in record.items() if key != "seconds"}
    return [timeless(item) for item in record] if isinstance(record, list) else record


def killed_and_undisturbed(tmp_path, events, **changes):
    """Train twice: once as it is, once killed at each of ``events`` and started again by the same command."""
    for name in ("undisturbed", "killed"):
        prepare(tmp_path / name, **changes)
    train(tmp_path / "undisturbed")
    for event in events:
        train(tmp_path / "killed", event)
    train(tmp_path / "killed")
    return assert_same_end(tmp_path / "killed", tmp_path / "undisturbed")


# Before the first checkpoint; after that of update 3 and some updates beyond it; within a validation, whose update then
# has been made twice; while a checkpoint is being written, whose best weights and history stand already.
EVENTS = ["update=2", "update=6", "validation=1", "checkpoint=2"]


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["recurrent", "parallel"])
def test_killed_four_times_it_ends_as_if_undisturbed(tmp_path, flow):
    progress = killed_and_undisturbed(tmp_path, EVENTS, model__flow=flow)
    assert progress["rate_factor"] < 1  # the plateau was met
    assert progress["batches"] == 30


@pytest.mark.slow
def test_killed_on_jax_it_ends_as_if_undisturbed(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))  # compiled once for all processes
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    killed_and_undisturbed(
        tmp_path,
        ["update=5"],
        device__backend="jax",
        model__encoder_layers=1,
        model__decoder_layers=1,
        training__updates=6,
    )


def test_interrupted_here_and_resumed_in_another_process_it_ends_as_if_undisturbed(tmp_path, monkeypatch):
    from nmt import training

    changes = {"training__updates": 5, "model__encoder_layers": 1, "model__decoder_layers": 1}
    recipes = {name: prepare(tmp_path / name, **changes) for name in ("undisturbed", "interrupted")}
    experiment.train(recipes["undisturbed"], tmp_path / "undisturbed" / "run")

    def interrupt(update, *arguments):
        if update == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return rate(update, *arguments)

    rate = training.learning_rate
    monkeypatch.setattr(training, "learning_rate", interrupt)
    run, progress = experiment.train(recipes["interrupted"], tmp_path / "interrupted" / "run")
    assert (progress.batches, progress.finished, run.load_checkpoint().update) == (4, "", 2)
    train(tmp_path / "interrupted")
    assert_same_end(tmp_path / "interrupted", tmp_path / "undisturbed")
