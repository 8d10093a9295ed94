"""Gradients of a scalar function of Keras variables: as TensorFlow derives them, and by central differences."""

import numpy as np
import tensorflow as tf


def derived(function, variables):
    """The gradient by every variable, as numpy arrays."""
    with tf.GradientTape() as tape:
        value = function()
    gradients = tape.gradient(value, [variable.value for variable in variables])
    return [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def slope(function, variable, direction, step=1e-6):
    """(f(v + step d) - f(v - step d)) / 2 step: how fast the value grows as ``variable`` moves along ``direction``."""
    here = variable.numpy()
    values = []
    for sign in (1, -1):
        variable.assign(here + sign * step * direction)
        values.append(float(function()))
    variable.assign(here)
    return (values[0] - values[1]) / (2 * step)


def assert_gradients_are_slopes(function, variables, random):
    """Along one random direction through all weights of each variable; wants float64 variables."""
    for variable, gradient in zip(variables, derived(function, variables), strict=True):
        direction = random.normal(size=variable.shape)
        expected = slope(function, variable, direction)
        assert abs(expected) > 1e-6, f"{variable.path} changes nothing, so its gradient would not be tested"
        np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-5, atol=1e-9, err_msg=variable.path)
