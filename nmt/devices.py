"""What the recipe's ``device`` section means: backend, CPU or GPU, one or many of them, threads, precision.

``prepare`` must run before Keras is imported anywhere, because Keras chooses its backend when it is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nmt import machines
from nmt.recipe import Device

if TYPE_CHECKING:
    import keras


class DeviceError(ValueError):
    """The device that a recipe asks for is not there."""


class Parts(NamedTuple):
    """How the devices of a training share a batch."""

    total: int  # parts that every batch is cut into, one a device
    mine: tuple[range, ...]  # those that this process computes, step by step; one step where it is alone

    @property
    def elsewhere(self) -> bool:
        """Whether other processes compute some."""
        return sum(map(len, self.mine)) < self.total


ALONE = Parts(1, (range(1),))


def prepare(device: Device, *, training: bool = False, process: int | None = None) -> str:
    """Set up the process for ``device`` and return, for the log, what is really used.

    ``training`` also brings up the strategy: replicas, or the other machines, of which this is number ``process``.

    Raises:
        DeviceError: a missing package, a missing GPU, or another backend already imported.
        MachinesError: the other machines are not found.
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
    if process is not None and device.strategy != "multi_machine":
        raise DeviceError(
            f"--process {process} is for device.strategy: multi_machine; the recipe has {device.strategy}"
        )
    os.environ["KERAS_BACKEND"] = device.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device.kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a cluster may have set it
        os.environ["JAX_PLATFORMS"] = "cpu"
    _keep_freed_memory()
    if device.backend == "tensorflow":
        name = _prepare_tensorflow(device, training)
    else:
        name = _prepare_jax(device, training, process)

    import keras

    policy = "float32" if device.precision == "float32" else f"mixed_{device.precision}"
    keras.config.set_dtype_policy(policy)
    strategy = f" strategy={device.strategy}" if training and device.strategy != "single" else ""
    return f"backend={device.backend} device={name} threads={_threads(device)} precision={device.precision}{strategy}"


def streams(device: Device) -> int:
    """How many parts of a batch one device computes side by side.

    On a CPU TensorFlow cuts most operations of an LSTM's step too small to share among cores, so the cores work on
    different parts of the batch instead: with two, a sixth less time (docs/benchmarks.md). Four are enough.
    """
    if device.backend != "tensorflow" or device.strategy != "single" or _gpus(device):
        return 1
    return min(_threads(device), 4)


@contextlib.contextmanager
def strategy(device: Device) -> Iterator[Parts]:
    """Build and train a model within this, on the devices of the recipe's strategy, which share each batch."""
    if device.strategy == "mirrored":
        import tensorflow as tf

        kind = "GPU" if _gpus(device) else "CPU"
        names = [found.name for found in tf.config.list_logical_devices(kind)][: device.replicas or None]
        with tf.distribute.MirroredStrategy(names).scope():
            yield Parts(len(names), tuple(range(number, number + 1) for number in range(len(names))))
    elif device.strategy == "multi_machine":
        import keras

        with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
            import jax

            local = jax.local_device_count()
            yield Parts(jax.device_count(), (range(machines.number() * local, (machines.number() + 1) * local),))
    else:
        yield ALONE


def summed(gradients: list[Any]) -> list[Any]:
    """``gradients`` added up over the replicas of TensorFlow's strategy; elsewhere as they are."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    return gradients


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


def compiled(models: Sequence[keras.Model], function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of nests of arrays, compiled for the backend; it may read the variables of ``models``.

    Search and validation need this: what is not compiled runs operation by operation, fifty times slower. TensorFlow
    compiles one program for all shapes: of numbers the last dimension alone is fixed, of ids and masks none is. None
    may stand in place of an array. JAX compiles one for each.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        return _compiled_by_tensorflow(function)

    import jax

    def variables() -> list[Any]:
        return [variable for model in models for variable in model.variables]

    @jax.jit
    def pure(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables(), values, strict=True))):
            return function(*arguments)

    def local(value: Any) -> Any:  # a copy stands on every machine, and one of them may compute alone
        return value if value.is_fully_addressable else value.addressable_data(0)

    return lambda *arguments: pure([local(variable.value) for variable in variables()], *arguments)


def _compiled_by_tensorflow(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    def spec(array: Any) -> Any:
        free = [None] * len(array.shape)
        shape = [*free[:-1], array.shape[-1]] if array.dtype.is_floating and free else free
        return tf.TensorSpec(shape, array.dtype)

    programs: dict[Any, Any] = {}

    def run(*arguments: Any) -> Any:
        flat = tf.nest.flatten(arguments)
        given = [place for place, array in enumerate(flat) if array is not None]
        arrays = [tf.convert_to_tensor(flat[place]) for place in given]
        specs = tuple(map(spec, arrays))
        key = (tuple(given), specs)
        if key not in programs:

            @tf.function(input_signature=specs, autograph=False)
            def program(*arrays: Any) -> Any:
                complete: list[Any] = [None] * len(flat)
                for place, array in zip(given, arrays, strict=True):
                    complete[place] = array
                return function(*tf.nest.pack_sequence_as(arguments, complete))

            programs[key] = program
        return programs[key](*arrays)

    return run


def feed(batches: keras.utils.PyDataset) -> Any:
    """``batches`` ({name: ids [B, length]}, ids [B, length], weights [B]) as ``fit`` takes them, of any length.

    On TensorFlow, Keras takes the dimensions of a dataset from its first two batches: where these happen to be of one
    length, any other would be refused. So there the dimensions are said. Each replica is given the next batch in turn.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    names, _, _ = batches[0]
    ids, weights = tf.TensorSpec([None, None], "int32"), tf.TensorSpec([None], "float32")
    dataset = tf.data.Dataset.from_generator(
        lambda: map(batches.__getitem__, range(len(batches))),
        output_signature=(dict.fromkeys(names, ids), ids, weights),
    )
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return dataset
    return strategy.distribute_datasets_from_function(lambda context: dataset)


class Memory(NamedTuple):
    """Of the device that computes, in bytes."""

    used: int  # by this process, now
    peak: int  # by this process, at most
    free: int


def memory(*, anew: bool = False) -> Memory:
    """The memory of the first GPU that Keras uses, or else that of the machine; ``anew`` forgets earlier peaks.

    JAX and systems other than Linux cannot forget: a peak of before then hides a smaller one.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_logical_devices("GPU"):
            from tensorflow.python.client import device_lib  # nothing public tells what a GPU has

            if anew:
                tf.config.experimental.reset_memory_stats("GPU:0")
            used = tf.config.experimental.get_memory_info("GPU:0")
            limit = next(found.memory_limit for found in device_lib.list_local_devices() if found.device_type == "GPU")
            return Memory(used["current"], used["peak"], limit - used["current"])
    else:
        import jax

        stats = jax.local_devices()[0].memory_stats()
        if stats:
            used, limit = stats["bytes_in_use"], stats["bytes_limit"]
            return Memory(used, stats["peak_bytes_in_use"], limit - used)
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Memory(peak, peak, _free_memory())
    if anew:
        _give_back_freed_memory()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the highest resident size starts anew
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    used, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return Memory(used, peak, _free_memory())


def _free_memory() -> int:
    """Bytes that the machine, or what a container may have of it, has left."""
    free = []
    with contextlib.suppress(OSError, StopIteration):  # Linux
        lines = Path("/proc/meminfo").read_text().splitlines()
        free.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # a container
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
        free.append(limit - used + int(cached.get("inactive_file", 0)))
    return min(free, default=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is what a framework raises where memory is exhausted."""
    name = type(error).__name__
    return isinstance(error, MemoryError) or name == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)


def _threads(device: Device) -> int:
    return device.threads or os.cpu_count() or 1


def _gpus(device: Device) -> list[Any]:
    """TensorFlow's GPUs that the recipe allows."""
    import tensorflow as tf

    return tf.config.list_physical_devices("GPU") if device.kind != "cpu" else []


def _prepare_tensorflow(device: Device, training: bool) -> str:
    with quiet_unless_it_fails():
        import tensorflow as tf

    gpus = _gpus(device)
    _want_gpu(device, len(gpus))
    _share_cores(device, streams(device) if training else 1)
    try:  # to ask for what is set already is allowed at any time
        for gpu in gpus if device.memory_growth else []:
            tf.config.experimental.set_memory_growth(gpu, True)
        if training and device.strategy == "mirrored":
            _want_replicas(device, gpus)
    except RuntimeError as error:
        raise DeviceError(
            f"device.memory_growth: {device.memory_growth}, device.replicas: {device.replicas}: TensorFlow is already "
            "running in this process with other settings; start a new process"
        ) from error
    tf.config.experimental.enable_op_determinism()
    if not gpus:
        return "cpu"
    used = gpus if device.strategy == "mirrored" else gpus[:1]  # without a strategy TensorFlow uses the first alone
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in used]
    return ", ".join(map(str, names))


def _share_cores(device: Device, streams: int) -> None:
    """As many operations at once as there are threads; one operation may use those that no stream needs."""
    import tensorflow as tf

    within, between = max(1, _threads(device) // streams), _threads(device)
    threading = tf.config.threading
    if not device.threads and streams == 1:
        return
    if (threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()) == (
        within,
        between,
    ):
        return
    try:
        threading.set_intra_op_parallelism_threads(within)
        threading.set_inter_op_parallelism_threads(between)
    except RuntimeError as error:
        if device.threads and threading.get_inter_op_parallelism_threads() != between:
            raise DeviceError(
                f"device.threads: {device.threads}: TensorFlow is already running in this process with other settings; "
                "start a new process, or leave this at 0"
            ) from error


def _want_replicas(device: Device, gpus: list[Any]) -> None:
    """Refuse more replicas than GPUs; cut a CPU into as many devices as there shall be replicas."""
    import tensorflow as tf

    if gpus:
        if not 2 <= (device.replicas or len(gpus)) <= len(gpus):
            raise DeviceError(
                f"device.strategy: mirrored with device.replicas: {device.replicas}, but TensorFlow sees {len(gpus)} "
                "GPU(s), and it takes two or more; use strategy: single, or more GPUs"
            )
        return
    if device.replicas < 2:
        raise DeviceError(
            "device.strategy: mirrored found no GPU; use strategy: single, or say device.replicas: 2 to cut up the CPU"
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * device.replicas)


@contextlib.contextmanager
def quiet_unless_it_fails() -> Iterator[None]:
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


def _prepare_jax(device: Device, training: bool, process: int | None) -> str:
    if device.threads:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen={str(device.threads > 1).lower()}".strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", str(not device.memory_growth).lower())
    import jax

    if training and device.strategy == "multi_machine":
        machines.join(device, process)

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


def _give_back_freed_memory() -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
