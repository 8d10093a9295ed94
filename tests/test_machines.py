"""Several devices train as one: replicas of one process, and processes that find each other on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy
import yaml

from nmt import machines
from nmt.machines import MachinesError
from nmt.recipe import Device
from nmt.run import Run

NO_DROPOUT = dict.fromkeys(("embedding", "layers", "encoder_output", "readout", "attention"), 0.0)


def write(folder, device, **changes):
    """A recipe in ``folder`` whose batches, of random order, do not divide evenly."""
    folder.mkdir(exist_ok=True)
    settings = {"model__dropout": NO_DROPOUT, "training__batch_tokens": 61, "training__updates": 6, **changes}
    content = toy.settings(toy.write_text(folder), **settings).model_dump()
    content["device"] = device
    (folder / "toy.yaml").write_text(yaml.safe_dump(content))
    return folder


def start(folder, run, *arguments, **environment):
    """``nmt train`` in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "JAX_PLATFORMS")}
    command = [sys.executable, "-c", "from nmt.cli import main; main()", "train", str(folder / "toy.yaml")]
    return subprocess.Popen(
        [*command, "--run", str(folder / run), *arguments],
        env={
            **inherited,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "OMP_NUM_THREADS": "1",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, code=0):
    """What ``process`` said on standard error."""
    _, said = process.communicate(timeout=1800)
    assert process.returncode == code, said[-3000:]
    return said


def together(folder, run, *arguments, count=2, second=()):
    """The processes of one training; ``second`` are arguments of the second alone."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    several = ("strategy=multi_machine", f"coordinator=localhost:{port}", f"processes={count}")
    settings = [part for setting in several for part in ("--set", f"device.{setting}")]
    return [
        start(folder, run, *settings, "--process", str(number), *arguments, *(second if number else ()))
        for number in range(count)
    ]


def arrays(folder, run):
    return Run.find(folder / run).load_checkpoint()


def assert_equal_weights(one, other):
    """Weights, Adam's moments, moving averages and norms of gradients."""
    assert one.update == other.update
    for array, expected in zip(one.arrays, other.arrays, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)
    losses = [[entry["loss"] for entry in checkpoint.progress["history"]] for checkpoint in (one, other)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert one.progress["tokens"] == other.progress["tokens"]


def losses_told(folder, run):
    lines = (folder / run / "train.log").read_text().splitlines()
    return [float(line.partition(" loss=")[2].split()[0]) for line in lines if "epoch=" in line]


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["recurrent", "parallel"])
def test_two_replicas_are_one_device_on_the_joint_batch(tmp_path, flow):
    """To 1e-5: weights, Adam's state and moving average, with clipping; and the losses that are told."""
    folder = write(tmp_path / "toy", {"kind": "cpu"}, model__flow=flow)
    end(start(folder, "one"))
    end(start(folder, "two", "--set", "device.strategy=mirrored", "--set", "device.replicas=2"))
    assert_equal_weights(arrays(folder, "two"), arrays(folder, "one"))
    np.testing.assert_allclose(losses_told(folder, "two"), losses_told(folder, "one"), atol=1.1e-4)  # four digits
    assert "strategy=mirrored" in (folder / "two" / "train.log").read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A training in one process, to compare with; few shapes, since JAX compiles each."""
    folder = write(
        tmp_path_factory.mktemp("machines") / "toy",
        {"backend": "jax", "kind": "cpu"},
        model__encoder_layers=1,
        model__decoder_layers=1,
        training__gradient_accumulation=2,
        training__validate_every=1,  # so that there is time to kill between the first checkpoint and the last
    )
    end(start(folder, "one"))
    return folder


@pytest.mark.slow
def test_two_processes_are_one_on_the_joint_batch(alone):
    """And only the first of them writes."""
    first, second = together(alone, "two")
    end(first)
    said = end(second)
    assert_equal_weights(arrays(alone, "two"), arrays(alone, "one"))
    np.testing.assert_allclose(losses_told(alone, "two"), losses_told(alone, "one"), atol=1.1e-4)
    assert "process 1 of 2; process 0 tells how it goes" in said
    assert "update=" not in said


@pytest.mark.slow
def test_a_scheduler_tells_who_and_where_the_processes_are(alone):
    """Slurm's variables, as it sets them for two tasks on this machine; JAX makes the port from the job's number."""
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    slurm |= {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_JOB_NUM_NODES": "1"}
    processes = [
        start(alone, "slurm", "--set", "device.strategy=multi_machine", **slurm, SLURM_PROCID=rank, SLURM_LOCALID=rank)
        for rank in ("0", "1")
    ]
    for said in [end(process) for process in processes]:
        assert "Check failure" not in said
    assert_equal_weights(arrays(alone, "slurm"), arrays(alone, "one"))


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_dies_ends_the_others_with_words_and_the_run_goes_on(alone, killed):
    """Killed after the first checkpoint, started again at another port: the end is that of one process."""
    run = f"killed-{killed}"
    processes = together(alone, run)
    waited = time.monotonic()
    while not list((alone / run).glob("checkpoints/[0-9]*.npz")) and time.monotonic() < waited + 1800:
        assert processes[killed].poll() is None
        time.sleep(0.02)
    os.kill(processes[killed].pid, signal.SIGKILL)
    end(processes[killed], code=-signal.SIGKILL)
    said = processes[1 - killed].communicate(timeout=1800)[1]
    if killed == 0 and processes[1].returncode == -signal.SIGABRT:  # JAX was faster: it aborts where the first is lost
        assert "This most likely indicates that another task died" in said
    else:
        assert processes[1 - killed].returncode == 2, said
        assert "error: another process of this training ended or cannot be reached" in said
        assert "Start all of them again: they go on from the last checkpoint" in said
        assert "Traceback" not in said
    assert arrays(alone, run).update < 6
    for process in together(alone, run):
        end(process)
    assert_equal_weights(arrays(alone, run), arrays(alone, "one"))


@pytest.mark.slow
def test_a_peer_with_another_recipe_or_text_is_refused(alone):
    processes = together(alone, "refused", second=("--set", "training.seed=9"))
    for text in [end(process, code=2) for process in processes]:
        assert "must have the same recipe and text; other than in process 0: process 1: recipe" in text
    assert not (alone / "refused").exists()

    lines = (alone / "train.de").read_text().splitlines()
    (alone / "other.de").write_text("\n".join([*lines[:-1], "zehn"]) + "\n")
    changed = json.dumps({"source": str(alone / "train.en"), "target": str(alone / "other.de")})
    processes = together(alone, "refused", second=("--set", f"data.train={changed}"))
    for text in [end(process, code=2) for process in processes]:
        assert "process 1: train text" in text


# --- what needs no other process ---


def test_a_process_must_know_its_number():
    device = Device(backend="jax", strategy="multi_machine", coordinator="host:1", processes=2)
    with pytest.raises(MachinesError, match=r"the number of this process, 0 to 1: nmt train RECIPE --process 0"):
        machines.join(device)
    with pytest.raises(MachinesError, match=r"--process 2: device\.processes is 2, and the first is 0"):
        machines.join(device, 2)


def test_alone_a_process_hears_itself():
    assert machines.hear("grüß".encode()) == "grüß".encode()
    assert machines.hear() == b""
    assert machines.any_of(True)
    assert not machines.any_of(False)
    machines.compare({"recipe": "one"})


def test_a_lost_peer_is_told_of_in_words_and_any_other_error_as_it_is():
    with (
        pytest.raises(
            MachinesError, match=r"ended or cannot be reached \(UNKNOWN: Gloo .*reset.* Start all of them again"
        ),
        machines.lost_peers(),
    ):
        raise ValueError("UNKNOWN: Gloo AllGather failed: [pair.cc:538] Read error: Connection reset by peer")
    with pytest.raises(RuntimeError, match="Connection reset by a peer of ours"), machines.lost_peers():
        raise RuntimeError("Connection reset by a peer of ours")
