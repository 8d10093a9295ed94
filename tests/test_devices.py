"""What the device section means: what is refused, what is set, and that compiling changes no number."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import toy

from nmt import devices, model
from nmt.devices import DeviceError, prepare
from nmt.recipe import Device
from nmt.symbols import BOS, EOS, PAD


def run(program, **environment):
    """The standard output of ``program`` in a process of its own, or what it died of."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "JAX_PLATFORMS")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**inherited, "PYTHONPATH": "tests", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# --- refusals ---


def test_a_backend_that_is_not_installed_is_answered_with_its_install_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"jax is not installed; run: pip install 'nmt\[jax\]'"):
        prepare(Device(backend="jax"))


def test_another_backend_than_the_one_that_runs_is_refused():
    assert keras.backend.backend() == "tensorflow"
    with pytest.raises(DeviceError, match="jax was asked for, but this process already runs Keras on tensorflow"):
        prepare(Device(backend="jax"))
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(
        DeviceError, match=r"gpu was asked for, but tensorflow sees none; use device\.kind: auto or cpu"
    ):
        prepare(Device(kind="gpu"))


# --- what is set ---


def test_a_fresh_process_gets_what_the_recipe_says():
    """Threads, precision, quiet and determinism; and, once TensorFlow runs, other threads are refused."""
    printed = run(
        """
        from nmt.devices import DeviceError, prepare
        from nmt.recipe import Device

        print(prepare(Device(kind="cpu", threads=1, precision="bfloat16")))
        import keras
        import tensorflow as tf

        print(tf.config.threading.get_intra_op_parallelism_threads(), keras.config.dtype_policy().name)
        tf.zeros([1])
        print(prepare(Device(kind="cpu", threads=1)))  # the same again is no matter
        print(keras.config.dtype_policy().name)
        try:
            prepare(Device(threads=3))
        except DeviceError as error:
            print(error)
        """
    )
    *set_up, refused = printed.splitlines()
    assert set_up == [
        "backend=tensorflow device=cpu threads=1 precision=bfloat16",
        "1 mixed_bfloat16",
        "backend=tensorflow device=cpu threads=1 precision=float32",
        "float32",
    ]
    assert refused.startswith("device.threads: 3")
    assert "TensorFlow is already running in this process with other settings; start a new process" in refused


@pytest.mark.slow
def test_jax_without_tensorflow():
    printed = run(
        """
        import sys
        from nmt.devices import DeviceError, prepare
        from nmt.recipe import Device

        print(prepare(Device(backend="jax", kind="cpu", threads=1, precision="float16")))
        import keras

        print(keras.backend.backend(), keras.config.dtype_policy().name)
        try:
            prepare(Device(backend="jax", kind="gpu"))
        except DeviceError as error:
            print(error)
        """
    )
    first, second, third = printed.splitlines()
    assert first == "backend=jax device=cpu threads=1 precision=float16"
    assert second == "jax mixed_float16"
    assert "gpu was asked for, but jax sees none" in third


# --- compiled ---


def compiled_gives_the_same(**settings):
    """A compiled step and tally equal the eager ones, and follow the weights when these change."""
    settings = {f"model__{name}": value for name, value in settings.items()}
    translator, other = (model.build(toy.settings(**settings).model, toy.V, toy.V, seed=seed) for seed in (1, 2))
    both = [translator, other]
    source = np.array([[4, 5, 6, EOS], [7, EOS, PAD, PAD]], "int32")
    target_in = np.array([[BOS, 8, 9], [BOS, 10, PAD]], "int32")
    target_out = np.array([[8, 9, EOS], [10, EOS, PAD]], "int32")

    def answers(tally, expand):
        memories = [each.encode(source) for each in both]
        states = [each.initial_state(memory) for each, memory in zip(both, memories, strict=True)]
        found = expand(target_in[:, 0], states, memories)
        return keras.tree.map_structure(np.asarray, (tally(source, target_in, target_out), found))

    def expand(tokens, states, memories):
        return model.expand(both, tokens, states, memories, 4)

    programs = devices.compiled([translator], translator.tally), devices.compiled(both, expand)
    losses = []
    for scale in (1.0, 3.0):
        for variable in [*translator.trainable_variables, *other.trainable_variables]:
            variable.assign(scale * variable.numpy())
        eager, compiled = answers(translator.tally, expand), answers(*programs)
        keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), eager, compiled)
        losses.append(float(compiled[0].negative_log_likelihood))
    assert abs(losses[0] - losses[1]) > 0.01


@pytest.mark.parametrize("flow", ["recurrent", "parallel"])
def test_compiling_changes_no_number(flow):
    compiled_gives_the_same(flow=flow)


@pytest.mark.slow
def test_compiling_changes_no_number_on_jax():
    printed = run(
        """
        from nmt.devices import prepare
        from nmt.recipe import Device

        prepare(Device(backend="jax", kind="cpu"))
        import test_devices

        test_devices.compiled_gives_the_same(encoder_layers=1, decoder_layers=1)
        print("the same")
        """,
        KERAS_BACKEND="jax",
    )
    assert printed == "the same\n"
