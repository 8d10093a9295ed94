"""What the recipe's ``device`` section means: backend, CPU or GPU, threads, precision.

``prepare`` must run before Keras is imported anywhere, because Keras chooses its backend when it is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nmt.recipe import Device

if TYPE_CHECKING:
    import keras


class DeviceError(ValueError):
    """The device that a recipe asks for is not there."""


def prepare(device: Device) -> str:
    """Set up the process for ``device`` and return, for the log, what is really used.

    Raises:
        DeviceError: a missing package, a missing GPU, or another backend already imported.
    """
    if importlib.util.find_spec(device.backend) is None:
        raise DeviceError(
            f"device.backend: {device.backend} is not installed; run: pip install 'nmt[{device.backend}]'"
        )
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.backend.backend() != device.backend:
        raise DeviceError(
            f"device.backend: {device.backend} was asked for, but this process already runs Keras on "
            f"{loaded.backend.backend()}; start a new process"
        )
    os.environ["KERAS_BACKEND"] = device.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device.kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a cluster may have set it
        os.environ["JAX_PLATFORMS"] = "cpu"
    _keep_freed_memory()
    threads = device.threads or os.cpu_count() or 1
    name = _prepare_tensorflow(device) if device.backend == "tensorflow" else _prepare_jax(device, threads)

    import keras

    policy = "float32" if device.precision == "float32" else f"mixed_{device.precision}"
    keras.config.set_dtype_policy(policy)
    return f"backend={device.backend} device={name} threads={threads} precision={device.precision}"


def inexact(backend: str, environment: Mapping[str, str]) -> str:
    """For the log: why two trainings of one seed on a GPU may differ, and what helps; on a CPU they are equal.

    TensorFlow's own operations are made deterministic in ``prepare``. cuDNN's LSTM may choose another kernel from one
    run to the next (cuDNN's release notes 7.6.5; tensorflow#59281). XLA's flag has cost much time (jax#17844) and even
    given wrong numbers (jax#27796), so it is left to the user.
    """
    settings = {"CUBLAS_WORKSPACE_CONFIG": ":4096:2"}
    if backend == "jax":
        settings["XLA_FLAGS"] = "--xla_gpu_deterministic_ops=true"
    missing = [f"{name}={value}" for name, value in settings.items() if value not in environment.get(name, "").split()]
    return (
        "on a GPU the same seed may give weights that differ in their last bits, because of cuDNN's LSTM"
        + (" and of XLA's sums" if backend == "jax" else "")
        + (f"; less so with {' '.join(missing)} in the environment" if missing else "")
        + "; it gives the same ones on a CPU (device.kind: cpu)"
    )


def compiled(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of arrays, compiled for the backend; it may read the variables of ``model``.

    Search and validation need this: what is not compiled runs operation by operation, fifty times slower.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)

    import jax

    @jax.jit
    def pure(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return function(*arguments)

    return lambda *arguments: pure([variable.value for variable in model.variables], *arguments)


def of_any_length(batches: keras.utils.PyDataset) -> Any:
    """``batches`` ({name: ids [B, length]}, ids [B, length]) as ``fit`` takes them whatever their lengths.

    On TensorFlow, Keras takes the dimensions of a dataset from its first two batches: where these happen to be of one
    length, any other would be refused. So there the dimensions are said.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    names, _ = batches[0]
    ids = tf.TensorSpec([None, None], "int32")
    dataset = tf.data.Dataset.from_generator(
        lambda: map(batches.__getitem__, range(len(batches))),
        output_signature=(dict.fromkeys(names, ids), ids),
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


def _prepare_tensorflow(device: Device) -> str:
    with _quiet_unless_it_fails():
        import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU") if device.kind != "cpu" else []
    _want_gpu(device, len(gpus))
    try:  # to ask for what is set already is allowed at any time
        if device.threads and tf.config.threading.get_intra_op_parallelism_threads() != device.threads:
            tf.config.threading.set_intra_op_parallelism_threads(device.threads)
            tf.config.threading.set_inter_op_parallelism_threads(device.threads)
        for gpu in gpus if device.memory_growth else []:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise DeviceError(
            f"device.threads: {device.threads}, device.memory_growth: {device.memory_growth}: TensorFlow is already "
            "running in this process with other settings; start a new process, or leave these at 0 and false"
        ) from error
    tf.config.experimental.enable_op_determinism()
    if not gpus:
        return "cpu"
    first = gpus[0]  # without a distribution strategy TensorFlow uses this one alone
    return str(tf.config.experimental.get_device_details(first).get("device_name", first.name))


@contextlib.contextmanager
def _quiet_unless_it_fails() -> Iterator[None]:
    """Hold back standard error, C++'s included, and show it where an exception is raised.

    TensorFlow's libraries write there while they are loaded, before any setting of theirs is read.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def _prepare_jax(device: Device, threads: int) -> str:
    if device.threads:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen={str(threads > 1).lower()}".strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", str(not device.memory_growth).lower())
    import jax

    devices = jax.devices()
    _want_gpu(device, sum(found.platform == "gpu" for found in devices))
    return ", ".join(found.device_kind for found in devices)


def _want_gpu(device: Device, gpus: int) -> None:
    if device.kind == "gpu" and not gpus:
        raise DeviceError(
            f"device.kind: gpu was asked for, but {device.backend} sees none; use device.kind: auto or cpu, "
            "or install a driver and: pip install 'nmt[cuda]'"
        )


def _keep_freed_memory() -> None:
    """Let glibc keep large freed blocks, which training asks for again a moment later.

    With its defaults every array over 32 MB is mapped and zeroed anew by the kernel: element-wise work on 170 MB took
    twice the time. Elsewhere than on glibc nothing is done.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
