"""A plain Keras 3 translator as tutorials write it: layers of Keras, ``compile``, ``fit``, batches from tf.data.

Two things are the tutorials' way and not the recipe's: attention is asked after the decoder's LSTM, for all positions
at once, so that its context never enters an LSTM; and softmax and embeddings share no matrix. It has no label
smoothing, which Keras gives to one-hot targets only; Adam, clipping, moving average and dropout are the recipe's.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import contest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers, ops


class Translator(keras.Model):
    def __init__(self, settings: SimpleNamespace, pieces: int) -> None:
        super().__init__()
        self.source_embedding = layers.Embedding(pieces, settings.embedding_units, name="source_embedding")
        self.target_embedding = layers.Embedding(pieces, settings.embedding_units, name="target_embedding")
        self.encoder = layers.Bidirectional(layers.LSTM(settings.encoder_units, return_sequences=True))
        self.decoder = layers.LSTM(settings.decoder_units, return_sequences=True)
        self.query, self.key = (layers.Dense(settings.attention_units, use_bias=False) for _ in range(2))
        self.attention = layers.AdditiveAttention()
        self.readout = layers.Dense(settings.readout_units, "tanh")
        self.output_layer = layers.Dense(pieces)
        self.embedding_drop = layers.Dropout(settings.dropout.embedding)
        self.encoder_drop = layers.Dropout(settings.dropout.encoder_output)
        self.readout_drop = layers.Dropout(settings.dropout.readout)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        source, target = inputs
        mask = ops.not_equal(source, contest.PAD)
        states = self.encoder_drop(self.encoder(self.embedding_drop(self.source_embedding(source)), mask=mask))
        embedded = self.embedding_drop(self.target_embedding(target))
        hiddens = self.decoder(embedded)
        context = self.attention(
            [self.query(hiddens), states, self.key(states)], mask=[ops.not_equal(target, contest.PAD), mask]
        )
        readout = self.readout(ops.concatenate([hiddens, embedded, context], axis=-1))
        return self.output_layer(self.readout_drop(readout))


def masked_loss(target: Any, logits: Any) -> Any:
    losses = ops.sparse_categorical_crossentropy(target, logits, from_logits=True)
    mask = ops.cast(ops.not_equal(target, contest.PAD), losses.dtype)
    return ops.sum(losses * mask) / ops.sum(mask)


class Timed(keras.callbacks.Callback):
    def __init__(self, asked: SimpleNamespace) -> None:
        super().__init__()
        self.clock, self.batches = contest.Clock(asked), contest.batches(asked)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float(logs["loss"])  # waits for the update
        self.clock.update_ended(next(self.batches).tokens)


def main() -> None:
    asked = contest.read()
    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    keras.utils.set_random_seed(asked.training.seed)
    ids = tf.TensorSpec([None, None], "int32")
    dataset = tf.data.Dataset.from_generator(
        lambda: (((batch.source, batch.target_in), batch.target_out) for batch in contest.batches(asked)),
        output_signature=((ids, ids), ids),
    ).prefetch(tf.data.AUTOTUNE)
    model = Translator(asked.model, asked.text.pieces)
    optimizer = keras.optimizers.Adam(
        asked.training.learning_rate,
        global_clipnorm=asked.training.clip_norm,
        use_ema=True,
        ema_momentum=asked.training.weight_average,
    )
    # "auto" would compile a program with XLA for every shape of a batch
    model.compile(optimizer=optimizer, loss=masked_loss, jit_compile=False)
    timed = Timed(asked)
    model.fit(dataset, steps_per_epoch=asked.warmup + asked.updates, epochs=1, verbose=0, callbacks=[timed])
    shapes = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in model.trainable_variables}
    contest.write(
        timed.clock.rate,
        model.count_params(),
        contest.multiplied(shapes, "source_embedding", "target_embedding"),
        {"keras": keras.__version__, "tensorflow": tf.__version__},
    )


if __name__ == "__main__":
    main()
