"""The whole model: what padding, batching, tying, seeds, precision and saving may and may not change."""

import inspect
import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from gradients import assert_gradients_are_slopes, derived
from keras import ops

from nmt import recipe
from nmt.attention import BahdanauAttention
from nmt.decoder import Decoder, ParallelFlow, RecurrentFlow
from nmt.encoder import Encoder
from nmt.model import TranslationModel, build, expand
from nmt.symbols import BOS, EOS, PAD, UNK

V = 17
FLOWS = ["recurrent", "parallel"]
NO_DROPOUT = recipe.Dropout(**dict.fromkeys(recipe.Dropout.model_fields, 0.0))
SOURCE = np.array([[4, 9, 16, 5, EOS], [7, UNK, EOS, PAD, PAD], [EOS, PAD, PAD, PAD, PAD]])
TARGET_IN = np.array([[BOS, 6, 12, 8], [BOS, 15, PAD, PAD], [BOS, 5, 5, PAD]])
TARGET_OUT = np.array([[6, 12, 8, EOS], [15, EOS, PAD, PAD], [5, 5, EOS, PAD]])
BATCH = {"source": SOURCE, "target_in": TARGET_IN}
REAL = TARGET_OUT != PAD


def settings(**changes):
    """Two layers each side and two heads, so that nothing is left out."""
    small = {
        "flow": "recurrent",
        "embedding_units": 7,
        "encoder_units": 5,
        "encoder_layers": 2,
        "decoder_units": 11,
        "decoder_layers": 2,
        "attention_units": 6,
        "attention_heads": 2,
        "readout_units": 7,
    }
    return recipe.Model(**{**small, **changes})


def randomised(model):
    """With random weights, none of them at a convenient zero or one."""
    random = np.random.default_rng(1)
    model.set_weights([random.normal(size=weight.shape) * 0.7 for weight in model.get_weights()])
    return model


def logits_of(model, source=SOURCE, target_in=TARGET_IN):
    return ops.convert_to_numpy(model({"source": source, "target_in": target_in}))


def loss_of(model, training=False):
    logits = model(BATCH, training=training)
    return model.compute_loss(BATCH, TARGET_OUT, logits)


def loss_and_gradients(model, sample_weight=None):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(BATCH, TARGET_OUT, model(BATCH, training=True), sample_weight)
    gradients = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(loss), *(np.asarray(tf.convert_to_tensor(gradient)) for gradient in gradients)]


@pytest.fixture(params=FLOWS)
def model(request):
    return randomised(build(settings(flow=request.param), V, V))


# --- what must not change the numbers ---


def test_padding_changes_neither_logits_nor_loss_nor_gradient(model):
    wider = {"source": np.pad(SOURCE, ((0, 0), (0, 3))), "target_in": np.pad(TARGET_IN, ((0, 0), (0, 2)))}
    wider_out = np.pad(TARGET_OUT, ((0, 0), (0, 2)))

    def wide_loss():
        return model.compute_loss(wider, wider_out, model(wider))

    np.testing.assert_allclose(logits_of(model, **wider)[:, :4][REAL], logits_of(model)[REAL], atol=1e-5)
    np.testing.assert_allclose(float(wide_loss()), float(loss_of(model)), rtol=1e-6)
    variables = model.trainable_variables
    for variable, wide, plain in zip(
        variables, derived(wide_loss, variables), derived(lambda: loss_of(model), variables), strict=True
    ):
        np.testing.assert_allclose(wide, plain, atol=1e-5, err_msg=variable.path)


def smoothed(flow):
    return randomised(build(settings(flow=flow, dropout=NO_DROPOUT), V, V, label_smoothing=0.1))


@pytest.mark.parametrize("streams", [2, 3])
@pytest.mark.parametrize("flow", FLOWS)
def test_streams_change_neither_loss_nor_gradient(flow, streams):
    """Three rows, in two parts and in three."""
    model = smoothed(flow)
    expected = loss_and_gradients(model)
    model.streams = streams
    for received, wanted in zip(loss_and_gradients(model), expected, strict=True):
        np.testing.assert_allclose(received, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("flow", FLOWS)
def test_weights_make_the_loss_a_share_of_a_larger_batch(flow):
    """Two devices with these rows each, and a batch of all: the sum of their losses is its mean."""
    model = smoothed(flow)
    weights = np.full(len(SOURCE), 1 / (2 * REAL.sum()), "float32")
    for share, whole in zip(loss_and_gradients(model, weights), loss_and_gradients(model), strict=True):
        np.testing.assert_allclose(2 * share, whole, rtol=1e-5, atol=1e-7)


def test_a_row_of_a_batch_is_the_sentence_alone(model):
    logits = logits_of(model)
    for row in range(len(SOURCE)):
        source, target_in = SOURCE[row : row + 1], TARGET_IN[row : row + 1]
        alone = logits_of(model, source[source != PAD][None], target_in[target_in != PAD][None])
        np.testing.assert_allclose(alone[0], logits[row][REAL[row]], atol=1e-5)


def test_the_order_of_the_sentences_in_a_batch_does_not_matter(model):
    order = [2, 0, 1]
    np.testing.assert_allclose(logits_of(model, SOURCE[order], TARGET_IN[order]), logits_of(model)[order], atol=1e-5)


def test_teacher_forcing_equals_steps(model):
    forced = logits_of(model)
    memory = model.encode(SOURCE)
    state = model.initial_state(memory)
    for position in range(TARGET_IN.shape[1]):
        logits, state, _ = model.step(TARGET_IN[:, position], state, memory)
        np.testing.assert_allclose(logits, forced[:, position], atol=1e-5)


def test_expansion_gives_the_best_pieces_first_and_never_padding_or_begin(model):
    memory = model.encode(SOURCE)
    state = model.initial_state(memory)
    logits, stepped, attention = model.step(TARGET_IN[:, 0], state, memory)
    (scores, ids, attended), (expanded,) = expand([model], TARGET_IN[:, 0], [state], [memory], candidates=V + 2)
    np.testing.assert_allclose(attended, attention, rtol=1e-6)

    logits = np.array(logits, "float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    for row in range(len(SOURCE)):
        expected = [piece for piece in np.argsort(-log_probabilities[row]) if piece not in (PAD, BOS)]
        assert ids[row, : V - 2].numpy().tolist() == expected
        np.testing.assert_allclose(scores[row, : V - 2], log_probabilities[row, expected], atol=1e-5)
        assert np.isneginf(scores[row, V - 2 :]).all()
    for received, wanted in zip(keras.tree.flatten(expanded), keras.tree.flatten(stepped), strict=True):
        np.testing.assert_array_equal(received, wanted)


# --- gradients ---


@pytest.mark.parametrize("flow", FLOWS)
def test_gradients_are_slopes_for_every_weight(set_dtype_policy, flow):
    """Compiled, as in training; label smoothing and padding included."""
    set_dtype_policy("float64")
    model = randomised(build(settings(flow=flow), V, V, label_smoothing=0.1))
    compiled = tf.function(lambda: loss_of(model))
    assert compiled().dtype == "float64"
    assert_gradients_are_slopes(compiled, model.trainable_variables, np.random.default_rng(2))


def test_one_update_of_train_on_batch_is_a_step_down_the_gradient(model):
    model = build(settings(flow=model.settings.flow, dropout=NO_DROPOUT), V, V, label_smoothing=0.1)
    gradients = derived(lambda: loss_of(model, training=True), model.trainable_variables)
    expected = [
        weight.numpy() - 0.5 * gradient for weight, gradient in zip(model.trainable_variables, gradients, strict=True)
    ]
    model.compile(optimizer=keras.optimizers.SGD(0.5), run_eagerly=True)
    model.train_on_batch(BATCH, TARGET_OUT)
    for weight, wanted in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, atol=1e-6, err_msg=weight.path)


def test_the_loss_is_the_smoothed_cross_entropy_of_the_real_pieces_and_token_loss_its_mean_over_batches():
    model = randomised(build(settings(), V, V, label_smoothing=0.1))

    def by_hand(row):
        logits = logits_of(model)[row][REAL[row]].astype("float64")  # [pieces, V]
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        wanted = np.full(logits.shape, 0.1 / V)
        wanted[np.arange(len(logits)), TARGET_OUT[row][REAL[row]]] += 0.9
        return -(wanted * log_probabilities).sum()

    costs = [by_hand(row) for row in range(3)]  # of 4, 2 and 3 pieces
    np.testing.assert_allclose(float(loss_of(model)), sum(costs) / 9, rtol=1e-5)
    np.testing.assert_allclose(float(model.token_loss.result()), sum(costs) / 9, rtol=1e-5)

    model.token_loss.reset_state()
    for rows in ([0], [1, 2]):  # the metric weighs batches by their pieces, not each the same
        batch = {name: array[rows] for name, array in BATCH.items()}
        model.compute_loss(batch, TARGET_OUT[rows], model(batch))
    np.testing.assert_allclose(float(model.token_loss.result()), sum(costs) / 9, rtol=1e-5)
    assert model.token_loss in model.metrics  # so that fit logs and resets it


def test_the_tally_adds_up_what_the_logits_say(model):
    logits = logits_of(model)
    received = model.tally(SOURCE, TARGET_IN, TARGET_OUT)
    assert float(received.tokens) == 9
    assert float(received.correct) == (logits.argmax(axis=-1) == TARGET_OUT)[REAL].sum()
    likelihoods = np.log(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))[REAL]
    expected = -likelihoods[np.arange(9), TARGET_OUT[REAL]].sum()
    np.testing.assert_allclose(float(received.negative_log_likelihood), expected, rtol=1e-5)


# --- tying ---

PIECE = 13  # stands in no sentence above


def moved(tying, matrix):
    """What row ``PIECE`` of ``matrix`` has a hand in: reading the source, reading the target, the logits."""
    model = randomised(build(settings(tying=tying), V, V))
    source, target_in = SOURCE.copy(), TARGET_IN.copy()
    source[0, 0] = target_in[0, 1] = PIECE
    others = np.arange(V) != PIECE
    looks = {
        "source": lambda: logits_of(model, source=source)[..., others],
        "target": lambda: logits_of(model, target_in=target_in)[..., others],
        "output": lambda: logits_of(model)[..., PIECE],
    }
    before = {name: look() for name, look in looks.items()}
    embeddings = getattr(model, matrix).embeddings
    changed = embeddings.numpy()
    changed[PIECE] += 1
    embeddings.assign(changed)
    return {name for name, look in looks.items() if not np.allclose(look(), before[name], atol=1e-6)}


@pytest.mark.parametrize(
    ("tying", "matrix", "uses"),
    [
        ("three_way", "source_embedding", {"source", "target", "output"}),
        ("three_way", "target_embedding", {"source", "target", "output"}),
        ("three_way", "output_embedding", {"source", "target", "output"}),
        ("output", "source_embedding", {"source"}),
        ("output", "target_embedding", {"target", "output"}),
        ("output", "output_embedding", {"target", "output"}),
        ("none", "source_embedding", {"source"}),
        ("none", "target_embedding", {"target"}),
        ("none", "output_embedding", {"output"}),
    ],
)
def test_a_tied_matrix_is_one_matrix(tying, matrix, uses):
    assert moved(tying, matrix) == uses


@pytest.mark.parametrize(
    ("tying", "shapes"),
    [("three_way", [(V, 7)]), ("output", [(V, 7), (V, 7)]), ("none", [(V, 7), (V, 7), (V, 7)])],
)
def test_tying_saves_matrices(tying, shapes):
    model = build(settings(tying=tying), V, V)
    assert [weight.shape for weight in model.trainable_variables if "embeddings" in weight.path] == shapes


def test_languages_of_different_size_and_a_readout_of_its_own_width():
    model = build(settings(tying="none", readout_units=3), 19, 23)
    shapes = {name: getattr(model, f"{name}_embedding").embeddings.shape for name in ("source", "target", "output")}
    assert shapes == {"source": (19, 7), "target": (23, 7), "output": (23, 3)}
    assert logits_of(model).shape == (3, 4, 23)


def test_three_way_tying_of_different_sizes_is_refused():
    with pytest.raises(ValueError, match=r"three_way needs one piece model .* received 19 source pieces and 23 target"):
        TranslationModel(settings(tying="three_way"), 19, 23)


# --- weights ---


def test_the_weights_are_those_of_the_equations():
    """Their names and shapes are what checkpoints and the compact export rely on."""
    embedding, units, context, hidden, attention, readout = 7, 5, 2 * 5, 11, 6, 7
    lstm = {"bias": (4 * units,), "recurrent_kernel": (units, 4 * units)}
    sides = ("forward", "backward")
    expected = {
        "output_bias": (V,),
        "target_embedding/embeddings": (V, embedding),
        **{f"encoder/bilstm_1/{side}_lstm_1/lstm_cell/{name}": shape for side in sides for name, shape in lstm.items()},
        **{f"encoder/bilstm_2/{side}_lstm_2/lstm_cell/{name}": shape for side in sides for name, shape in lstm.items()},
        **{f"encoder/bilstm_1/{side}_lstm_1/lstm_cell/kernel": (embedding, 4 * units) for side in sides},
        **{f"encoder/bilstm_2/{side}_lstm_2/lstm_cell/kernel": (context, 4 * units) for side in sides},
        **{f"encoder/norm_2/{name}": (context,) for name in ("gamma", "beta")},
        "decoder/initial_1/kernel": (units, hidden),
        "decoder/initial_2/kernel": (units, hidden),
        "decoder/flow/attention/query_projection/kernel": (hidden, attention),
        "decoder/flow/attention/key_projection/kernel": (context, attention),
        "decoder/flow/attention/energy": (attention,),
        "decoder/flow/kernel": (embedding, 4 * hidden),
        "decoder/flow/recurrent_kernel": (context + hidden, 4 * hidden),
        "decoder/flow/bias": (4 * hidden,),
        "decoder/lstm_2/lstm_cell/kernel": (hidden + context, 4 * hidden),
        "decoder/lstm_2/lstm_cell/recurrent_kernel": (hidden, 4 * hidden),
        "decoder/lstm_2/lstm_cell/bias": (4 * hidden,),
        **{f"decoder/norm_2/{name}": (hidden,) for name in ("gamma", "beta")},
        "decoder/readout/kernel": (hidden + embedding + context, readout),
        "decoder/readout/bias": (readout,),
    }
    weights = build(settings(), V, V).trainable_variables
    assert {weight.path.removeprefix("translation_model/"): tuple(weight.shape) for weight in weights} == expected
    assert len(weights) == len(expected)


def test_the_seed_decides_the_weights():
    first, same, other = (build(settings(), V, V, seed=seed) for seed in (3, 3, 4))
    for weight, equal, different in zip(
        first.trainable_variables, same.trainable_variables, other.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(weight, equal)
        drawn = not weight.path.endswith(("bias", "gamma", "beta"))  # biases and norms start as constants
        assert (not np.isclose(weight, different).all()) == drawn, weight.path


# --- two predictions of every batch ---


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("flow", FLOWS)
def test_r_drop_is_both_cross_entropies_and_both_divergences(flow, streams):
    """Half of equation 4 of arXiv:2106.14448, written out over the pieces that are no padding."""
    model = randomised(build(settings(flow=flow), V, V, label_smoothing=0.1, r_drop=3.0))
    model.streams = streams
    logits = model(BATCH, training=True)
    cuts = [0, 3] if streams == 1 else [0, 1, 3]
    total = 0.0
    for part, (start, stop) in zip(logits if streams > 1 else [logits], itertools.pairwise(cuts), strict=True):
        both = log_softmax(np.array(part, "float64"))
        first, second = both[::2], both[1::2]
        assert not np.allclose(first, second)  # each has its own dropout
        p, q = np.exp(first), np.exp(second)
        wanted = 0.1 / V + 0.9 * np.eye(V)[TARGET_OUT[start:stop]]
        likelihoods = -(wanted * first).sum(-1) - (wanted * second).sum(-1)
        divergence = ((p * (first - second)).sum(-1) + (q * (second - first)).sum(-1)) / 2
        total += ((likelihoods + 3.0 * divergence) / 2)[REAL[start:stop]].sum()
    np.testing.assert_allclose(float(model.compute_loss(BATCH, TARGET_OUT, logits)), total / REAL.sum(), rtol=1e-5)


def test_r_drop_computes_a_batch_twice_in_training_alone():
    model = randomised(build(settings(dropout=NO_DROPOUT), V, V, r_drop=3.0))
    twice = model(BATCH, training=True)
    np.testing.assert_allclose(twice[::2], twice[1::2], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(twice[::2], logits_of(model), rtol=1e-4, atol=1e-5)
    plain = model.compute_loss(BATCH, TARGET_OUT, model(BATCH), training=False)
    np.testing.assert_allclose(plain, model.compute_loss(BATCH, TARGET_OUT, twice), rtol=1e-4, atol=1e-5)


# --- dropout, precision, saving ---


@pytest.mark.parametrize("side", ["source", "target"])
def test_word_dropout_takes_whole_pieces_and_scales_the_others(side, monkeypatch):
    rate = 0.4
    model = build(settings(dropout=NO_DROPOUT.model_copy(update={f"{side}_words": rate})), V, V)
    room = model.encoder if side == "source" else model.decoder
    seen = []
    monkeypatch.setattr(room, "call", lambda embedded, *args, **kwargs: seen.append(np.array(embedded)) or 1 / 0)
    pieces = np.random.default_rng(1).integers(4, V, (50, 20))
    for training in (True, False):
        with pytest.raises(ZeroDivisionError):
            model({"source": pieces, "target_in": pieces}, training=training)
    thinned, whole = seen
    gone = (thinned == 0).all(axis=-1)
    assert gone.mean() == pytest.approx(rate, abs=0.08)  # of 1,000; further off once in a million draws
    assert gone.any(axis=0).all()  # at the beginning of a sentence as at its end
    np.testing.assert_allclose(thinned[~gone], whole[~gone] / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", recipe.Dropout.model_fields)
def test_each_dropout_rate_acts_in_training_only(rate):
    dropout = NO_DROPOUT.model_copy(update={rate: 0.5})
    model = randomised(build(settings(dropout=dropout), V, V))
    plain = randomised(build(settings(dropout=NO_DROPOUT), V, V))
    np.testing.assert_array_equal(logits_of(model), logits_of(plain))
    trained = [ops.convert_to_numpy(model(BATCH, training=True)) for _ in range(2)]
    assert not np.allclose(trained[0], trained[1])
    np.testing.assert_array_equal(plain(BATCH, training=True), logits_of(plain))


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.006)])
def test_half_precision_computes_nearly_the_same_and_gives_float32_logits(set_dtype_policy, flow, policy, tolerance):
    """A relative rounding of 2^-8 (bfloat16) or 2^-11 (float16), a dozen times over, on logits of order one."""
    exact = logits_of(build(settings(flow=flow), V, V))
    set_dtype_policy(policy)
    model = build(settings(flow=flow), V, V)  # the same seed

    logits = logits_of(model)
    assert logits.dtype == "float32"
    assert {weight.dtype for weight in model.weights} - {"uint32"} == {"float32"}
    assert model.encode(SOURCE).states.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(logits, exact, atol=tolerance)
    assert not np.array_equal(logits, exact)  # else the policy was not heard

    memory = model.encode(SOURCE)
    stepped, _, _ = model.step(TARGET_IN[:, 0], model.initial_state(memory), memory)
    assert stepped.dtype == "float32"
    np.testing.assert_allclose(stepped, exact[:, 0], atol=tolerance)
    gradients = derived(lambda: loss_of(model), model.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_the_output_bias_is_not_rounded_in_half_precision(set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    model = build(settings(), V, V)
    without = logits_of(model)
    model.output_bias.assign(np.full(V, 1000.5, "float32"))  # bfloat16 would make it 1000
    np.testing.assert_allclose(logits_of(model) - without, 1000.5, atol=1e-3)


def test_a_model_made_from_its_configuration_is_equal(model):
    copy = TranslationModel.from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(logits_of(copy), logits_of(model))
    assert copy.get_config() == model.get_config()


def test_the_configuration_remembers_every_setting():
    changed = settings(flow="parallel", decoder_layers=3, tying="output", dropout=NO_DROPOUT)
    model = TranslationModel(
        changed, 19, 23, label_smoothing=0.2, r_drop=3.0, use_cudnn=False, dtype="mixed_bfloat16", name="other"
    )
    copy = TranslationModel.from_config(model.get_config())
    assert copy.settings == changed
    assert copy.sizes == (19, 23)
    assert (copy.label_smoothing, copy.r_drop, copy.use_cudnn, copy.name) == (0.2, 3.0, False, "other")
    assert copy.dtype_policy.name == copy.decoder.flow.attention.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("use_cudnn", [False, "auto"])
@pytest.mark.parametrize("flow", FLOWS)
def test_every_lstm_hears_whether_to_use_cudnn(flow, use_cudnn):
    """An exported graph must hold none of cuDNN's operations: they run on a GPU only."""
    model = build(settings(flow=flow), V, V, use_cudnn=use_cudnn)
    lstms = [lstm for layer in model.encoder.layers for lstm in (layer.forward_layer, layer.backward_layer)]
    lstms += [*model.decoder.layers, *([model.decoder.flow.lstm] if flow == "parallel" else [])]
    assert [lstm.use_cudnn for lstm in lstms] == [use_cudnn] * (5 if flow == "recurrent" else 6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's variables with numpy 2
def test_a_saved_model_loads_as_it_was(tmp_path, model):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits_of(loaded), logits_of(model))


FLOW = {"units": 11, "attention_units": 6, "heads": 2, "attention_dropout": 0.1, "weight_drop": 0.2}
LAYERS = [
    (BahdanauAttention, {"units": 6, "heads": 2, "dropout": 0.1}),
    (Encoder, {"units": 5, "num_layers": 3, "dropout": 0.1, "weight_drop": 0.2, "use_cudnn": False}),
    (RecurrentFlow, FLOW),
    (ParallelFlow, {**FLOW, "use_cudnn": False}),
    (
        Decoder,
        {
            "units": 11,
            "attention_units": 6,
            "readout_units": 13,
            "flow": "parallel",
            "num_layers": 3,
            "attention_heads": 2,
            "layer_dropout": 0.1,
            "readout_dropout": 0.2,
            "attention_dropout": 0.3,
            "weight_drop": 0.4,
            "use_cudnn": False,
        },
    ),
]


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_every_layer_is_serialised_whole(kind, arguments):
    assert set(arguments) == set(inspect.signature(kind).parameters) - {"kwargs"}  # none is left at its default
    layer = kind(**arguments, name="other", dtype="mixed_bfloat16")
    layer.build(*([(None, None, 10)] if kind is Encoder else [(None, None, 7), (None, None, 10)]))

    written = keras.saving.serialize_keras_object(layer)
    assert written["registered_name"] == f"nmt>{kind.__name__}"
    copy = keras.saving.deserialize_keras_object(written)

    assert type(copy) is kind
    assert (copy.name, copy.dtype_policy.name) == ("other", "mixed_bfloat16")
    assert {name: copy.get_config()[name] for name in arguments} == arguments
    assert [(weight.path, weight.shape) for weight in copy.weights] == [
        (weight.path, weight.shape) for weight in layer.weights
    ]


# --- backends ---

OTHER_BACKEND = """
import sys
import numpy as np
from nmt import model, recipe

folder = sys.argv[1]
settings = recipe.Model.model_validate_json(open(f"{folder}/settings.json").read())
translator = model.build(settings, int(sys.argv[2]), int(sys.argv[2]))
arrays = np.load(f"{folder}/arrays.npz")
translator.set_weights([arrays[f"weight_{number}"] for number in range(len(translator.get_weights()))])
logits = translator({"source": arrays["source"], "target_in": arrays["target_in"]})
np.save(f"{folder}/logits.npy", np.asarray(logits))
"""


@pytest.mark.slow
def test_jax_gives_the_logits_of_tensorflow(tmp_path, model):
    weights = {f"weight_{number}": weight for number, weight in enumerate(model.get_weights())}
    np.savez(tmp_path / "arrays.npz", source=SOURCE, target_in=TARGET_IN, **weights)
    (tmp_path / "settings.json").write_text(model.settings.model_dump_json())
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", OTHER_BACKEND, str(tmp_path), str(V)], env=environment, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits_of(model), atol=1e-5)
