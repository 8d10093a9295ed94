"""The translation model: embeddings, encoder, decoder and softmax put together.

Shape letters: B batch, S source length, T target length, E embedding, R readout, V pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nmt import loss, recipe
from nmt.attention import Memory
from nmt.decoder import Decoder, DecoderState
from nmt.encoder import Encoder
from nmt.search import Candidates
from nmt.symbols import BOS, EOS, PAD, UNK


@keras.saving.register_keras_serializable("nmt")
class TranslationModel(keras.Model):
    """Pieces of a source sentence in, logits over target pieces out.

        P(y_i | y_<i, x) = softmax(E_out readout_i + b)              (arXiv:1409.0473, equation 4)

    ``call`` runs a known target (training); ``encode``, ``initial_state`` and ``step`` run an unknown one (search).
    Both give the same numbers, which a test holds.
    """

    def __init__(
        self,
        settings: recipe.Model | dict[str, Any],
        source_size: int,
        target_size: int,
        label_smoothing: float = 0.0,
        r_drop: float = 0.0,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(settings, dict):
            settings = recipe.Model.model_validate(settings)
        if settings.tying == "three_way" and source_size != target_size:
            raise ValueError(
                "tying: three_way needs one piece model for both languages; "
                f"received {source_size} source pieces and {target_size} target pieces"
            )
        self.settings = settings
        self.sizes = (source_size, target_size)
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop
        self.use_cudnn = use_cudnn
        policy = self.dtype_policy

        def embedding(size: int, units: int, name: str) -> keras.layers.Embedding:
            initial = keras.initializers.RandomNormal(stddev=units**-0.5)
            return keras.layers.Embedding(size, units, initial, name=name, dtype=policy)

        self.target_embedding = embedding(target_size, settings.embedding_units, "target_embedding")
        self.source_embedding = (
            self.target_embedding
            if settings.tying == "three_way"
            else embedding(source_size, settings.embedding_units, "source_embedding")
        )
        self.output_embedding = (
            self.target_embedding
            if settings.tying != "none"
            else embedding(target_size, settings.readout_units, "output_embedding")
        )
        dropout = settings.dropout
        self.drop = keras.layers.Dropout(dropout.embedding, name="embedding_drop", dtype=policy)
        self.source_drop, self.target_drop = (  # whole pieces
            keras.layers.Dropout(rate, noise_shape=(None, None, 1), name=f"{side}_drop", dtype=policy)
            for side, rate in (("source", dropout.source_words), ("target", dropout.target_words))
        )
        self.encoder_drop = keras.layers.Dropout(dropout.encoder_output, name="encoder_drop", dtype=policy)
        self.encoder = Encoder(
            settings.encoder_units,
            settings.encoder_layers,
            dropout.layers,
            dropout.recurrent_weights,
            use_cudnn=use_cudnn,
            name="encoder",
            dtype=policy,
        )
        self.decoder = Decoder(
            settings.decoder_units,
            settings.attention_units,
            settings.readout_units,
            flow=settings.flow,
            num_layers=settings.decoder_layers,
            attention_heads=settings.attention_heads,
            layer_dropout=dropout.layers,
            readout_dropout=dropout.readout,
            attention_dropout=dropout.attention,
            weight_drop=dropout.recurrent_weights,
            use_cudnn=use_cudnn,
            name="decoder",
            dtype=policy,
        )
        self.token_loss = keras.metrics.Mean(name="token_loss")
        self.streams = 1  # parts of a training batch that are computed side by side; see devices.streams

    def build(self, input_shape: Any = None) -> None:
        embedded = (None, None, self.settings.embedding_units)
        states = (None, None, 2 * self.settings.encoder_units)
        for layer in {id(layer): layer for layer in (self.source_embedding, self.target_embedding)}.values():
            layer.build((None, None))
        if not self.output_embedding.built:
            self.output_embedding.build((None, None))
        self.encoder.build(embedded)
        self.decoder.build(embedded, states)
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.sizes[1],), initializer="zeros", autocast=False
        )  # added in float32, so not rounded to a smaller compute type before
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits [B, T, V] for ``inputs`` {"source": [B, S], "target_in": [B, T]}.

        In training with several ``streams`` (B must be as many at least) a list of them, for the parts of the batch: no
        part waits for another, so a backend may compute them at the same time, each on a core of its own. In training
        with ``r_drop`` each part is computed twice at once, [2B, T, V]: every row, and the same row once more below it.
        ``compute_loss`` takes either.
        """
        source, target_in = inputs["source"], inputs["target_in"]
        if training and self.streams > 1:
            parts = zip(_cut(source, self.streams), _cut(target_in, self.streams), strict=True)
            return [self._run(*part, training) for part in parts]
        return self._run(source, target_in, training)

    def _run(self, source: Any, target_in: Any, training: bool) -> Any:
        if training and self.r_drop:
            source, target_in = _twice(source), _twice(target_in)
        memory = self.encode(source, training)
        embedded = self._embed(self.target_embedding, target_in, self.target_drop, training)  # [B, T, E]
        return self._logits(self.decoder(embedded, memory, training=training))

    def encode(self, source: Any, training: bool = False) -> Memory:
        """Read the pieces ``source`` [B, S], padded on the right."""
        mask = ops.not_equal(source, PAD)  # [B, S]
        embedded = self._embed(self.source_embedding, source, self.source_drop, training)  # [B, S, E]
        states, backward = self.encoder(embedded, mask, training=training)  # [B, S, 2H], [B, H]
        return self.decoder.memory(self.encoder_drop(states, training=training), mask, backward, training)

    def initial_state(self, memory: Memory) -> DecoderState:
        """The decoder's state before the first piece."""
        return self.decoder.initial_state(memory)

    def step(self, tokens: Any, state: DecoderState, memory: Memory) -> tuple[Any, DecoderState, Any]:
        """Logits [R, V] of the piece that follows ``tokens`` [R], the new state, and the attention paid [R, S].

        R is B, or a multiple of it: so many rows for each sentence of ``memory``, one after the other.
        """
        readout, state, attention = self.decoder.step(self.target_embedding(tokens), state, memory)
        return self._logits(readout), state, attention

    def tally(self, source: Any, target_in: Any, target_out: Any) -> loss.Tally:
        """What validation adds up over batches."""
        return loss.tally(self({"source": source, "target_in": target_in}), target_out)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The smoothed cross-entropy a target piece, a mean over the batch; ``fit`` minimises it.

        With ``r_drop`` alpha it is half of R-Drop's (arXiv:2106.14448, equation 4), which has the sum of both
        cross-entropies: their mean plus alpha / 2 times the disagreement of both predictions.

        ``sample_weight`` [B], 1 / target pieces of the whole batch, is given where x and y may be one device's part of
        it: the sum over the devices is then the mean over the batch.
        """
        tokens = loss.token_count(y)
        parts = y_pred if isinstance(y_pred, list) else [y_pred]
        targets = _cut(y, len(parts))
        losses = [self._costs(*part, training) for part in zip(parts, targets, strict=True)]  # [B, T]
        losses = ops.concatenate(losses, axis=0) if len(losses) > 1 else losses[0]
        mean = loss.token_mean(losses, y)
        self.token_loss.update_state(mean, tokens)
        return mean if sample_weight is None else ops.sum(losses * ops.expand_dims(sample_weight, -1))

    def _embed(self, embedding: keras.layers.Embedding, pieces: Any, words_drop: Any, training: bool) -> Any:
        return self.drop(words_drop(embedding(pieces), training=training), training=training)

    def _costs(self, logits: Any, target: Any, training: bool) -> Any:
        """What each position of ``target`` [B, T] costs, [B, T]."""
        if not (training and self.r_drop):
            return loss.cross_entropy(logits, target, self.label_smoothing)
        both = _pairs(loss.cross_entropy(logits, _twice(target), self.label_smoothing))  # [B, 2, T]
        logits = _pairs(logits)  # [B, 2, T, V]
        apart = loss.disagreement(logits[:, 0], logits[:, 1], target)  # [B, T]
        return (both[:, 0] + both[:, 1] + self.r_drop * apart) / 2

    def _logits(self, readout: Any) -> Any:
        kernel = ops.cast(self.output_embedding.embeddings, self.compute_dtype)  # [V, R]
        logits = ops.matmul(readout, ops.transpose(kernel))
        precision = keras.backend.result_type(self.compute_dtype, "float32")  # float32 or better
        return ops.cast(logits, precision) + ops.cast(self.output_bias, precision)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "settings": self.settings.model_dump(),
            "source_size": self.sizes[0],
            "target_size": self.sizes[1],
            "label_smoothing": self.label_smoothing,
            "r_drop": self.r_drop,
            "use_cudnn": self.use_cudnn,
        }


def expand(
    models: Sequence[TranslationModel],
    tokens: Any,
    states: Sequence[DecoderState],
    memories: Sequence[Memory],
    candidates: Any,
    bias: Any = None,
) -> tuple[Candidates, tuple[DecoderState, ...]]:
    """What search asks for: the best next pieces after ``tokens`` [R], best first, in the eyes of M models together.

        log P(y_i | y_<i, x) = 1/M Σ_m log P_m(y_i | y_<i, x)

    This is the geometric mean of the models' probabilities, which is not normalised again: it sums up to less than 1
    where they disagree. OpenNMT-py does the same; Marian sums instead, which ranks alike; fairseq takes the arithmetic
    mean of the probabilities. (Ensembles in translation: Sutskever et al. 2014, arXiv:1409.3215.)

    Args:
        models: one or several, over the same target pieces V.
        states, memories: of each model, as its own ``initial_state`` and ``encode`` give them.
        candidates: how many; where it is a scalar of a TensorFlow graph, V at most.
        bias: [R, V], added to the log-probabilities before the best are chosen; None is none.

    Returns:
        The candidates, [R, candidates], -inf for PAD and BOS and for what fills up a vocabulary smaller than that, with
        the mean of the models' attention; and the new states.
    """
    steps = [model.step(tokens, state, memory) for model, state, memory in zip(models, states, memories, strict=True)]
    first, *others = [ops.log_softmax(logits) for logits, _, _ in steps]
    total = sum(others, first)  # [R, V], in the order of the mean
    if bias is not None:
        total = total + len(models) * bias
    size = models[0].sizes[1]
    impossible = np.isin(np.arange(size), (PAD, BOS))
    total = ops.where(impossible, -float("inf"), total)
    missing = max(0, candidates - size) if isinstance(candidates, int) else 0
    total = ops.pad(total, ((0, 0), (0, missing)), constant_values=-float("inf"))
    best, ids = ops.top_k(total, candidates)
    ids = ops.where(ids < size, ops.cast(ids, "int32"), PAD)
    attention = sum(ops.cast(weights, "float32") for _, _, weights in steps) / len(models)
    return Candidates(best / len(models), ids, attention), tuple(state for _, state, _ in steps)


def _cut(rows: Any, parts: int) -> list[Any]:
    """``rows`` [B, ...] in ``parts`` that differ by a row at most, none of them empty if B >= parts."""
    count = ops.shape(rows)[0]
    return [rows[part * count // parts : (part + 1) * count // parts] for part in range(parts)]


def _twice(rows: Any) -> Any:
    """``rows`` [B, ...], each with itself once more below it, [2B, ...]: so both lie on one device."""
    return ops.repeat(rows, 2, axis=0)


def _pairs(rows: Any) -> Any:
    """``rows`` of ``_twice`` [2B, ...] as [B, 2, ...]."""
    return ops.reshape(rows, (-1, 2, *ops.shape(rows)[1:]))


def build(
    settings: recipe.Model,
    source_size: int,
    target_size: int,
    *,
    label_smoothing: float = 0.0,
    r_drop: float = 0.0,
    seed: int = 1,
    use_cudnn: bool | str = "auto",
) -> TranslationModel:
    """A model with its weights, drawn from ``seed``."""
    keras.utils.set_random_seed(seed)
    model = TranslationModel(
        settings, source_size, target_size, label_smoothing, r_drop, use_cudnn, name="translation_model"
    )
    model.build()
    model({"source": np.array([[UNK, EOS]], "int32"), "target_in": np.array([[BOS]], "int32")})
    return model
