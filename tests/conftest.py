"""What must be settled before anything imports Keras: its backend, a quiet TensorFlow, and no GPU."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

# As the toy recipe has it. TensorFlow is asked and made to start here, so that no test, whichever comes first in
# this process, can leave it with other settings than those that all the others expect.
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.constant(0)

# A machine may be slow, or busy: no test fails for that.
settings.register_profile("any machine", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("any machine")


@pytest.fixture
def set_dtype_policy():
    """Keras's ``set_dtype_policy``, undone after the test."""
    import keras

    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
