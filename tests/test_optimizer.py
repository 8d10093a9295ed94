"""Adam that remembers gradient norms: the norms by hand, the updates as Keras makes them, the average by definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nmt.optimizer import Adam


def network():
    """Two layers of a kernel [1, 1] and a bias [1] each."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, name="first"), keras.layers.Dense(1, name="second")]
    )
    model.set_weights([np.full(weight.shape, 0.5) for weight in model.get_weights()])
    return model


def gradients(*values):
    return [tf.constant([[values[0]]]), tf.constant([values[1]]), tf.constant([[values[2]]]), tf.constant([values[3]])]


def values_of(variables):
    return [np.array(variable.value.numpy()) for variable in variables]


def built(model, **settings):
    adam = Adam(learning_rate=0.1, **settings)
    adam.build(model.trainable_variables)
    return adam


@pytest.mark.parametrize("clipping", [{}, {"global_clipnorm": 1.0}])
def test_each_layer_has_the_norm_of_its_gradients_before_clipping(clipping):
    model = network()
    adam = built(model, **clipping)
    adam.apply(gradients(3.0, 4.0, 5.0, 12.0), model.trainable_variables)
    assert adam.groups == ["first", "second"]
    np.testing.assert_allclose(adam.gradient_norms, [5.0, 13.0])


def test_the_rows_of_a_piece_that_was_read_twice_are_added_up_first():
    """TensorFlow's sparse gradient, in the norm, in clipping and in Adam's squares."""
    rows = tf.IndexedSlices(tf.constant([[1.0, 0.0], [2.0, 4.0]]), tf.constant([3, 3]), tf.constant([4, 2]))
    states = []
    for gradient in (rows, tf.constant([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])):
        adam = Adam(global_clipnorm=1.0)
        adam.build([keras.Variable(np.zeros((4, 2)), name="embeddings")])
        adam.apply([gradient])
        np.testing.assert_allclose(adam.gradient_norms, [5.0])
        states.append(values_of(adam.variables))
    for received, expected in zip(*states, strict=True):
        np.testing.assert_array_equal(received, expected)


def test_updates_are_those_of_keras():
    settings = {"global_clipnorm": 2.0, "use_ema": True, "ema_momentum": 0.9}
    ours, keras_own = network(), network()
    optimizers = built(ours, **settings), keras.optimizers.Adam(learning_rate=0.1, **settings)
    random = np.random.default_rng(1)
    for _ in range(5):
        made = gradients(*random.normal(size=4).astype("float32") * 3)
        for optimizer, model in zip(optimizers, (ours, keras_own), strict=True):
            optimizer.apply(made, model.trainable_variables)
    for received, expected in zip(values_of(ours.weights), values_of(keras_own.weights), strict=True):
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("batches", [1, 3])
def test_the_average_moves_once_an_update(batches):
    """a_u = m a_{u-1} + (1 - m) w_u, where m is 0, 1/10, 2/11, 3/12, … until it reaches the 0.2 that was asked for."""
    model = network()
    adam = built(model, use_ema=True, ema_momentum=0.2, gradient_accumulation_steps=batches if batches > 1 else None)
    random = np.random.default_rng(1)
    expected = values_of(model.trainable_variables)
    for momentum in (0.0, 1 / 10, 2 / 11, 0.2, 0.2):
        for _ in range(batches):
            adam.apply(gradients(*random.normal(size=4).astype("float32")), model.trainable_variables)
        weights = values_of(model.trainable_variables)
        expected = [momentum * a + (1 - momentum) * w for a, w in zip(expected, weights, strict=True)]
        for received, wanted in zip(values_of(adam.average), expected, strict=True):
            np.testing.assert_allclose(received, wanted, rtol=1e-6)


def test_without_averaging_the_average_is_the_weights():
    model = network()
    adam = built(model)
    adam.apply(gradients(1.0, 2.0, 3.0, 4.0), model.trainable_variables)
    assert all(a is w for a, w in zip(adam.average, model.trainable_variables, strict=True))
