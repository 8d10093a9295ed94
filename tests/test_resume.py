"""A training that is killed and started again ends bit for bit as one that nobody disturbed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy

from nmt import devices, experiment
from nmt.run import Checkpoint, Run, RunError

KILLS = int(os.environ.get("NMT_KILLS", "3"))  # of each training; make test-kill asks for 20

# Everything that has a state: dropout everywhere, moving average, clipping, warm-up, plateau, accumulation, patience.
# A killed process keeps two checkpoints or fewer, as a rule: with nine updates for each there is always more to do.
EVERYTHING = {
    "training__updates": 9 * KILLS + 3,
    "training__gradient_accumulation": 2,
    "training__validate_every": 3,
    "training__schedule": "plateau",
    "training__plateau": {"factor": 0.5, "patience": 0},
    "training__learning_rate": 0.5,  # so that the loss rises now and then, and the rate falls
    "training__best": "loss",
    "training__patience": 1000,  # counted, and never over
}
SHORT = {"pieces__size": 45, "data__max_length": 4}  # three shapes of a batch for JAX to compile
KINDS = {
    ("tensorflow", "recurrent"): {"model__decoder_layers": 1, "device__threads": 2},  # so in two streams
    ("tensorflow", "parallel"): {
        "model__encoder_layers": 1,
        "pieces__sampling": {"source": 0.2, "target": 0.5},
        "training__r_drop": 2.0,
        "training__average_last": 2,
    },
    ("jax", "recurrent"): {"model__encoder_layers": 1, "model__decoder_layers": 1, **SHORT},
    ("jax", "parallel"): {"model__encoder_layers": 1, **SHORT},
}


def prepare(folder, **changes):
    """A recipe and its text in ``folder``, for ``toy.py`` to train."""
    folder.mkdir()
    recipe = toy.settings(toy.write_text(folder), **{**EVERYTHING, **changes})
    (folder / "toy.json").write_text(json.dumps(recipe.model_dump()))
    return recipe


@contextlib.contextmanager
def started(folder, *event):
    """A process that trains ``folder`` and says what moment has come, as ``toy.py`` tells; at last it is killed."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {  # JAX: compiled quickly, and once for all processes
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }
    with (folder / "errors").open("a") as errors:
        command = [sys.executable, str(Path(__file__).with_name("toy.py")), str(folder), *event]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            try:
                yield child
            finally:
                child.kill()


def train(folder, *event):
    """Train until the end, or until the process kills itself at ``event``."""
    with started(folder, *event) as child:
        child.communicate(timeout=1800)
    assert child.returncode == (-signal.SIGKILL if event else 0), (folder / "errors").read_text()[-3000:]


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


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def undisturbed(workshop):
    """The folder of a whole training of a kind; each is trained once."""

    def folder(kind):
        place = workshop / "-".join(kind)
        if not place.exists():
            prepare(place, device__backend=kind[0], model__flow=kind[1], **KINDS[kind])
            train(place)
        return place

    return folder


# While a file is being written: of the first start, before the first checkpoint and at the second, when best weights,
# samples and history of a validation stand already and no checkpoint knows of it.
EVENTS = ["corpus.json=1", "pieces.model=1", "best.npz=1", "checkpoints=2"]


@pytest.mark.slow
def test_killed_while_it_writes_a_file_it_ends_as_if_undisturbed(undisturbed, workshop):
    kind = "tensorflow", "recurrent"
    prepare(workshop / "killed", model__flow=kind[1], **KINDS[kind])
    for event in EVENTS:
        train(workshop / "killed", event)
    train(workshop / "killed")
    assert_same_end(workshop / "killed", undisturbed(kind))


# The moments after which a process is killed: the n-th of them in its life, n at most the first number, and at most so
# many seconds later.
MOMENTS = {"update": (6, 0.1), "validation": (2, 0.5), "checkpoint": (2, 0.03)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_killed_at_random_it_ends_as_if_undisturbed(undisturbed, workshop, kind):
    seed = int(os.environ.get("NMT_KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"again: NMT_KILL_SEED={seed} NMT_KILLS={KILLS}")  # shown where the test fails
    chance = random.Random(seed)
    folder = workshop / f"{'-'.join(kind)}-killed"
    whole = undisturbed(kind)
    prepare(folder, device__backend=kind[0], model__flow=kind[1], **KINDS[kind])
    moments: list[str] = []
    while len(moments) < KILLS:  # each of the three before any comes again
        moments += chance.sample(list(MOMENTS), len(MOMENTS))
    for moment in moments[:KILLS]:
        most, longest = MOMENTS[moment]
        count, delay = chance.randint(1, most), chance.uniform(0, longest)
        print(f"killed {delay:.4f} s after {moment} {count}")
        with started(folder) as child:
            for said in child.stdout:
                count -= said.strip() == moment
                if not count:
                    break
            time.sleep(delay)
        assert child.returncode == -signal.SIGKILL, (folder / "errors").read_text()[-3000:]
    train(folder)
    progress = assert_same_end(folder, whole)
    assert progress["rate_factor"] < 1  # the plateau was met
    assert progress["batches"] == 2 * EVERYTHING["training__updates"]


@pytest.mark.slow
def test_weights_of_one_backend_give_the_same_logits_on_the_other(undisturbed, workshop):
    folders = [str(undisturbed(kind)) for kind in KINDS]
    answers = {}
    for backend in ("tensorflow", "jax"):
        path = str(workshop / f"{backend}.npz")
        program = "import sys, toy; toy.write_logits(*sys.argv[1:])"
        environment = os.environ | {"KERAS_BACKEND": backend}
        command = [sys.executable, "-c", program, path, backend, *folders]
        subprocess.run(command, cwd=Path(__file__).parent, env=environment, check=True, timeout=1800)
        with np.load(path) as archive:
            answers[backend] = dict(archive)
    assert len(answers["jax"]) == len(KINDS)
    for name, logits in answers["jax"].items():
        assert np.std(logits) > 0.1
        np.testing.assert_allclose(answers["tensorflow"][name], logits, rtol=1e-5, atol=1e-5)


def test_interrupted_here_and_resumed_in_another_process_it_ends_as_if_undisturbed(tmp_path, monkeypatch):
    """Text that is mixed, and other pieces in every epoch: of three or four batches, so stopped in the third one."""
    from nmt import training

    (tmp_path / "mix.tsv").write_text("one two\tzwei eins\nten\tzehn\nsix one\teins sechs\n")
    changes = {
        "data__mix": [{"tsv": str(tmp_path / "mix.tsv"), "weight": 0.5}],
        "pieces__sampling": {"source": 0.1, "target": 0.2},
        "training__updates": 5,
        "training__batch_tokens": 240,
        "model__encoder_layers": 1,
        "model__decoder_layers": 1,
    }
    recipes = {name: prepare(tmp_path / name, **changes) for name in ("undisturbed", "interrupted")}
    experiment.train(recipes["undisturbed"], tmp_path / "undisturbed" / "run")

    def interrupt(update, *arguments):
        if update == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return rate(update, *arguments)

    rate = training.learning_rate
    monkeypatch.setattr(training, "learning_rate", interrupt)
    run, progress = experiment.train(recipes["interrupted"], tmp_path / "interrupted" / "run")
    assert (progress.batches, progress.finished, run.load_checkpoint().update) == (8, "", 4)
    assert len(progress.epochs) == 3
    train(tmp_path / "interrupted")
    assert_same_end(tmp_path / "interrupted", tmp_path / "undisturbed")


# --- what is not the same any more ---


@pytest.fixture
def begun(tmp_path):
    """A recipe and the folder of its run, stopped after something was learnt."""
    recipe = prepare(tmp_path / "toy", training__batch_tokens=9000)
    with pytest.raises(ValueError, match="smaller than a batch"):  # so far it comes without a model
        experiment.train(recipe, tmp_path / "toy" / "run")
    Run.find(tmp_path / "toy" / "run").save_checkpoint(Checkpoint(1, [], {}))
    return recipe, tmp_path / "toy" / "run"


def test_text_that_changed_between_stop_and_resume_is_refused_with_the_way_to_start_anew(begun):
    recipe, directory = begun
    path = Path(recipe.data.train.target)
    path.write_text(path.read_text().replace("zwei", "zwo", 1))
    with pytest.raises(RunError) as caught:
        experiment.train(recipe, directory)
    message = str(caught.value)
    assert f"train text is no longer what {directory} was trained on" in message
    assert "restore it, or train into a new directory with --run" in message


def test_a_changed_recipe_is_refused_before_text_and_frameworks_are_read(begun):
    """In a process of its own, since this one has imported them already."""
    recipe, directory = begun
    changed = recipe.model_copy(update={"training": recipe.training.model_copy(update={"updates": 99})})
    (directory / "changed.json").write_text(json.dumps(changed.model_dump()))
    Path(recipe.data.train.target).unlink()
    program = """
import json, sys
from pathlib import Path
from nmt import experiment, recipe
directory = Path(sys.argv[1])
try:
    experiment.train(recipe.parse(json.loads((directory / "changed.json").read_text()), "changed.json"), directory)
except ValueError as error:
    print(error)
print({"tensorflow", "keras"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program, str(directory)], capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert said[0] == f"{directory} is a run of another recipe; what changed:"
    assert said[-1] == "set()"


# --- what cannot be the same ---


@pytest.mark.parametrize(
    ("backend", "environment", "advice"),
    [
        ("tensorflow", {}, "cuDNN's LSTM; less so with CUBLAS_WORKSPACE_CONFIG=:4096:2 in the environment; it gives"),
        ("tensorflow", {"CUBLAS_WORKSPACE_CONFIG": ":4096:2"}, "because of cuDNN's LSTM; it gives"),
        (
            "jax",
            {"XLA_FLAGS": "--another=1"},
            "cuDNN's LSTM and of XLA's sums; less so with CUBLAS_WORKSPACE_CONFIG=:4096:2 "
            "XLA_FLAGS=--xla_gpu_deterministic_ops=true in the environment; it gives",
        ),
        (
            "jax",
            {"XLA_FLAGS": "--another=1 --xla_gpu_deterministic_ops=true"},
            "XLA's sums; less so with CUBLAS_WORKSPACE_CONFIG=:4096:2 in the environment; it gives",
        ),
    ],
)
def test_what_may_differ_on_a_gpu_is_named_with_what_helps(backend, environment, advice):
    assert advice in devices.inexact(backend, environment)


@pytest.mark.parametrize(("device", "told"), [("cpu", False), ("NVIDIA H200", True)])
def test_the_log_of_a_training_says_where_it_may_not_be_repeated(tmp_path, monkeypatch, caplog, device, told):
    monkeypatch.setattr(devices, "prepare", lambda wanted, **_: f"backend=tensorflow device={device} threads=2")
    recipe = prepare(tmp_path / "toy", training__batch_tokens=9000)
    with pytest.raises(ValueError, match="smaller than a batch"):  # far enough
        experiment.train(recipe, tmp_path / "toy" / "run")
    assert ("the same seed may give weights that differ" in caplog.text) is told
