"""Several processes, on one machine or many, that train one model together.

They find each other through JAX's distributed service, and each computes its part of every batch. The first writes the
run and decides; the others take its word. Alone, a process is the first and hears itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nmt.recipe import Device

# Seconds that the first process leaves the others to take their leave.
GRACE = 2.0


class MachinesError(ValueError):
    """The processes of a training do not find each other, do not match, or have lost one of them."""


def join(device: Device, process: int | None = None) -> None:
    """Become one of the processes of ``device``: number ``process`` (from 0), or what the scheduler says.

    Raises:
        MachinesError: the others are not found, or neither recipe nor scheduler say who they are.
    """
    import jax
    import keras

    if device.coordinator is not None and process is None:
        raise MachinesError(
            f"device.strategy: multi_machine with device.coordinator: {device.coordinator} needs the number of this "
            f"process, 0 to {(device.processes or 1) - 1}: nmt train RECIPE --process 0"
        )
    if process is not None and device.processes is not None and process >= device.processes:
        raise MachinesError(f"--process {process}: device.processes is {device.processes}, and the first is 0")
    if jax.distributed.is_initialized():
        return
    # By itself JAX aborts the others, with a stack of C++, once the first process is gone. On CPUs the exchange (Gloo)
    # fails in an orderly way; on GPUs (NCCL) it may wait for ever, so there the abort is better.
    gpus = device.kind != "cpu" and any(map(importlib.util.find_spec, ("jax_cuda12_plugin", "jax_cuda13_plugin")))
    jax.config.update("jax_enable_recoverability", not gpus)  # type: ignore[no-untyped-call]  # JAX's
    try:
        keras.distribution.initialize(device.coordinator, device.processes, process)
    except (ValueError, RuntimeError) as error:
        raise MachinesError(
            "the processes of device.strategy: multi_machine did not come together: "
            f"{str(error).splitlines()[0]}. Give device.coordinator (host:port of process 0), device.processes, and "
            "--process N to each, or start them through Slurm, Open MPI or Kubernetes"
        ) from error


def leave() -> None:
    """End together: JAX aborts whoever is still there when the first process has gone. All must call it."""
    import jax
    from jax.experimental import multihost_utils

    with lost_peers():
        multihost_utils.sync_global_devices("end")
        if number() == 0:
            time.sleep(GRACE)
        jax.distributed.shutdown()  # type: ignore[no-untyped-call]  # JAX's


def count() -> int:
    """How many processes train together."""
    import jax

    return jax.process_count()


def number() -> int:
    """Which of them this is, from 0."""
    import jax

    return jax.process_index()


def hear(content: bytes = b"") -> bytes:
    """What the first process says, in every process; ``content`` of the others is not asked for. All must call it."""
    from jax.experimental import multihost_utils

    with lost_peers():
        size = int(multihost_utils.broadcast_one_to_all(np.int64(len(content))))
        buffer = np.zeros(size, "uint8")
        if number() == 0:
            buffer[:] = np.frombuffer(content, "uint8")
        return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype("uint8").tobytes()


def any_of(flag: bool) -> bool:
    """Whether ``flag`` holds in any process. All must call it."""
    from jax.experimental import multihost_utils

    with lost_peers():
        return bool(np.any(multihost_utils.process_allgather(np.int32(flag))))


def compare(what: dict[str, str]) -> None:
    """Refuse to train together with a process for which ``what`` reads otherwise. All must call it.

    Raises:
        MachinesError: in every process; it says which processes differ from the first, and in what.
    """
    from jax.experimental import multihost_utils

    digests = np.array([list(hashlib.sha256(value.encode()).digest()[:8]) for value in what.values()], "int32")
    with lost_peers():
        found = np.asarray(multihost_utils.process_allgather(digests))  # [processes, names, 8]
    different = [
        f"process {process}: {', '.join(name for name, row in zip(what, differs, strict=True) if row)}"
        for process, differs in enumerate((found != found[0]).any(axis=-1))
        if differs.any()
    ]
    if different:
        raise MachinesError(
            "processes that train together must have the same recipe and text; other than in process 0: "
            + "; ".join(different)
        )


@contextmanager
def lost_peers() -> Iterator[None]:
    """Say in words that another process is gone."""
    try:
        yield
    except Exception as error:
        if not _lost(error):
            raise
        raise MachinesError(
            "another process of this training ended or cannot be reached "
            f"({str(error).splitlines()[0][:200]}). Start all of them again: they go on from the last checkpoint"
        ) from error


def _lost(error: BaseException) -> bool:
    """Whether ``error`` is what JAX raises, in several types, where another process is gone."""
    text = str(error)
    exchange = any(name in text for name in ("Gloo", "NCCL", "coordination service", "CoordinationService"))
    signs = ("Connection closed", "Connection reset", "Socket closed", "UNAVAILABLE", "DEADLINE_EXCEEDED", "heartbeat")
    return exchange and (any(sign in text for sign in signs) or text.startswith(("UNKNOWN", "INTERNAL", "ABORTED")))
