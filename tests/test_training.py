"""Training between updates: rates, validation, the best weights, stopping, the moving average, logs and curves.

The model here reads only the last piece, so that a training takes a second; what is tested is the loop around it.
Validation is scripted.
"""

import logging
import math
import os
import re
import resource
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy
from keras import ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nmt import recipe, training
from nmt.batches import BatchPlan
from nmt.evaluation import Sample, Validation
from nmt.model import TranslationModel
from nmt.run import Run, RunError, version
from nmt.score import Score
from nmt.training import DivergedError, _variables, learning_rate, train

BASE = {"clip_norm": 1.0, "patience": 0, "validate_every": 1, "weight_average": 0.5, "best": "bleu"}


class Bigram(keras.Model):
    """The next piece from the last one."""

    compute_loss = TranslationModel.compute_loss
    _costs = TranslationModel._costs
    r_drop = 0.0

    def __init__(self, dropout=0.2):
        super().__init__(name="bigram")
        self.label_smoothing = 0.1
        self.streams = 1
        self.embedding = keras.layers.Embedding(toy.V, 5, name="embedding")
        self.drop = keras.layers.Dropout(dropout, name="drop")
        self.readout = keras.layers.Dense(toy.V, name="readout")
        self.token_loss = keras.metrics.Mean(name="token_loss")

    def call(self, inputs, training=False):
        return self.readout(self.drop(self.embedding(inputs["target_in"]), training=training))


def bigram(kind=Bigram, **settings):
    keras.utils.set_random_seed(1)
    model = kind(**settings)
    model({"source": np.array([[4]]), "target_in": np.array([[2]])})
    return model


def scripted(losses=(), bleus=(), chrfs=(), at_each=lambda number: None):
    """A validation that reads its results from a script, and from its end on repeats the last; ``at_each`` is told."""
    count = 0

    def validate():
        nonlocal count
        loss = losses[min(count, len(losses) - 1)] if losses else 2.0
        bleu = bleus[min(count, len(bleus) - 1)] if bleus else 10.0
        chrf = chrfs[min(count, len(chrfs) - 1)] if chrfs else 30.0
        at_each(count)
        count += 1
        scores = (Score(name, value, None, None, "signature") for name, value in (("BLEU", bleu), ("chrF2", chrf)))
        return Validation(loss, 0.5, *scores, [Sample("ein", "one", "two")])

    return validate


def new_run(directory, **changes):
    recipe = toy.settings(**{f"training__{key}": value for key, value in {**BASE, **changes}.items()})
    run = Run.open(directory, recipe)
    run.begin()
    return run


def values_of(variables):
    return [np.array(variable.numpy()) for variable in variables]


def assert_equal(received, expected):
    for array, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def curves(run):
    events = EventAccumulator(str(run.path("tensorboard")))
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


# --- the learning rate ---


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 4, {1: 0.002, 2: 0.004, 4: 0.008, 5: 0.008, 400: 0.008}),
        ("plateau", 4, {1: 0.002, 2: 0.004, 4: 0.008, 5: 0.008, 400: 0.008}),
        ("inverse_square_root", 4, {1: 0.002, 2: 0.004, 4: 0.008, 16: 0.004, 64: 0.002, 400: 0.0008}),
        ("constant", 0, {1: 0.008, 2: 0.008}),
        ("inverse_square_root", 0, {1: 0.008, 4: 0.004, 16: 0.002}),
        ("cosine", 4, {1: 0.002, 4: 0.008, 68: 0.006, 100: 0.004, 132: 0.002, 196: 0.0}),
        ("cosine", 400, {100: 0.002, 196: 0.00392}),  # the warm-up alone
    ],
)
def test_the_learning_rate_climbs_and_follows_its_schedule(schedule, warmup, expected):
    settings = recipe.Training(schedule=schedule, warmup_updates=warmup, learning_rate=0.008, updates=196)
    for update, rate in expected.items():
        assert learning_rate(update, settings) == pytest.approx(rate, rel=1e-12)
        assert learning_rate(update, settings, rate_factor=0.25) == pytest.approx(rate / 4, rel=1e-12)


def test_the_rate_falls_when_the_loss_no_longer_does(tmp_path, caplog):
    """With patience 1 the second validation in a row without a lower loss halves it, and counting begins anew."""
    caplog.set_level(logging.INFO, "nmt")
    losses = [5.0, 4.0, 4.0, 4.5, 4.0, 3.0, 3.0, 3.0, 3.0]
    run = new_run(
        tmp_path,
        updates=9,
        learning_rate=0.008,
        warmup_updates=0,
        schedule="plateau",
        plateau={"factor": 0.5, "patience": 1},
    )
    progress = train(run, bigram(), toy.plan(), scripted(losses))
    full, half, quarter = 0.008, 0.004, 0.002
    rates = curves(run)["train/learning_rate"]
    assert rates == pytest.approx(dict(enumerate([full] * 4 + [half] * 4 + [quarter], start=1)))
    assert progress.rate_factor == 0.25
    assert caplog.text.count("no lower loss for 2 validations: learning rate times 0.5") == 2


# --- the end, and the best ---


def test_training_stops_when_nothing_gets_better(tmp_path):
    """Validations 2 is the best; 3 is worse and 4 no better: patience 2 is over."""
    run = new_run(tmp_path, updates=9, patience=2)
    progress = train(run, bigram(), toy.plan(), scripted(bleus=[1.0, 5.0, 4.0, 5.0, 9.0]))
    assert progress.finished == "no better bleu for 2 validations, at update 4"
    assert progress.batches == 4
    assert [entry["bleu"] for entry in run.read_json("history.json")] == [1.0, 5.0, 4.0, 5.0]
    assert run.load_checkpoint().update == 4


def test_a_finished_training_is_left_as_it_is(tmp_path):
    run = new_run(tmp_path, updates=2)
    assert train(run, bigram(), toy.plan(), scripted()).finished == "all 2 updates are done"
    before = run.path("checkpoints/000000002.npz").read_bytes()

    def never():
        raise AssertionError("a finished training validates no more")

    assert train(run, bigram(), toy.plan(), never).finished == "all 2 updates are done"
    assert run.path("checkpoints/000000002.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("best", "losses", "bleus", "chrfs", "chosen"),
    [
        ("bleu", [3.0, 2.0, 2.0, 1.0], [1.0, 7.0, 7.0, 2.0], [9.0], 1),  # the first of equals
        (
            "bleu",
            [3.0, 2.0, 1.0, 0.5],
            [0.0, 0.0, 0.0, 0.0],
            [9.0],
            3,
        ),  # while BLEU is 0, the loss tells what is learnt
        ("bleu", [3.0, math.nan], [1.0, 7.0], [1.0, 7.0], 0),
        ("chrf", [3.0, 2.0, 1.0, 0.5], [1.0, 7.0, 7.0, 9.0], [1.0, 2.0, 4.0, 3.0], 2),
        ("chrf", [3.0, 2.0, 1.0, 1.5], [1.0, 7.0, 7.0, 9.0], [4.0], 2),
        ("loss", [3.0, 2.0, 1.0, 1.5], [1.0, 7.0, 7.0, 2.0], [9.0, 8.0, 7.0, 9.5], 2),
        ("loss", [math.nan, 2.0, math.nan, 2.5], [1.0, 7.0, 7.0, 9.0], [9.0], 1),  # what is no number is never best
    ],
)
def test_the_best_weights_are_those_validated_as_best(tmp_path, best, losses, bleus, chrfs, chosen):
    model, seen = bigram(), []
    validate = scripted(losses, bleus, chrfs, lambda number: seen.append(values_of(model.trainable_variables)))
    run = new_run(tmp_path, updates=4, best=best)
    train(run, model, toy.plan(), validate)
    weights = run.load_best()
    assert list(weights) == ["embedding/embeddings", "readout/kernel", "readout/bias"]
    assert_equal(weights.values(), seen[chosen])


@pytest.mark.parametrize(("bleu_of_mean", "chosen"), [(8.0, "mean"), (7.0, "third")])
def test_the_mean_of_the_last_validated_weights_is_kept_where_it_is_best(tmp_path, bleu_of_mean, chosen):
    """Of five validations the last three: of the weights themselves, not of their moving average."""
    model, seen = bigram(), []
    run = new_run(tmp_path, updates=5, average_last=3)
    bleus = [1.0, 1.0, 7.0, 2.0, 2.0, bleu_of_mean]
    train(
        run,
        model,
        toy.plan(),
        scripted([2.0], bleus, at_each=lambda _: seen.append(values_of(model.trainable_variables))),
    )
    kept = run.load_validated(update=5)
    for weights, update in zip(kept, (3, 4, 5), strict=True):
        shorter, alone = new_run(tmp_path / str(update), updates=update), bigram()
        train(shorter, alone, toy.plan(), scripted())
        arrays = shorter.load_checkpoint().arrays
        trained = [array for array, variable in zip(arrays, _variables(alone), strict=True) if variable.trainable]
        assert_equal(weights.values(), trained[:3])
    mean = [np.mean(arrays, axis=0) for arrays in zip(*(weights.values() for weights in kept), strict=True)]
    assert_equal(seen[5], mean)
    assert_equal(run.load_best().values(), mean if chosen == "mean" else seen[2])


def test_the_mean_is_taken_where_training_stops_early_and_only_then(tmp_path):
    model, count = bigram(), []
    run = new_run(tmp_path, updates=9, average_last=4, patience=2)
    train(run, model, toy.plan(), scripted([2.0], [5.0], at_each=count.append))
    assert len(count) == 4  # three validations until it stops, and that of the mean
    assert len(run.load_validated(update=3)) == 3
    assert [entry.get("mean_of") for entry in run.read_json("history.json")] == [None, None, None, 3]


def test_damaged_weights_of_a_validation_are_left_out_of_the_mean(tmp_path, caplog):
    def damage(number):
        if number == 2:
            run.path("validated/000000001.npz").write_bytes(b"")

    run = new_run(tmp_path, updates=3, average_last=3)
    train(run, bigram(), toy.plan(), scripted([2.0], [1.0, 1.0, 1.0, 9.0], at_each=damage))
    assert "validated/000000001.npz is damaged" in caplog.text
    second, third = run.load_validated(update=3)
    mean = [np.mean(arrays, axis=0) for arrays in zip(second.values(), third.values(), strict=True)]
    assert_equal(run.load_best().values(), mean)
    assert [entry.get("mean_of") for entry in run.read_json("history.json")] == [None, None, None, 2]


def test_each_validation_is_kept_for_a_reader(tmp_path):
    run = new_run(tmp_path, updates=4, validate_every=3)
    train(run, bigram(), toy.plan(), scripted(losses=[2.0], bleus=[10.0, 20.0], chrfs=[40.0]))
    first, last = run.read_json("history.json")
    assert (first["update"], last["update"]) == (3, 4)  # the last update is validated, whatever its number
    assert first["loss"] == 2.0
    assert first["perplexity"] == pytest.approx(math.e**2)
    assert (first["accuracy"], first["bleu"], first["chrf"], first["signature"]) == (0.5, 10.0, 40.0, "signature")
    assert run.path("samples/000000003.txt").read_text().splitlines() == [
        "source     ein",
        "reference  one",
        "model      two",
    ]
    assert run.path("curve.png").read_bytes().startswith(b"\x89PNG")


# --- what an update is ---


def gradients_of(model, batch):
    inputs = {"source": batch.source, "target_in": batch.target_in}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, batch.target_out, model(inputs, training=True))
    return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("batches", [1, 2])
def test_an_update_is_a_step_of_adam_along_the_gradient_of_all_its_pieces(tmp_path, batches):
    """By Keras's own Adam, a batch counting as many times as it has target pieces.

    Equal to a millionth, since a compiled step adds up in another order.
    """
    plan, model = toy.plan(), bigram(dropout=0.0)
    run = new_run(tmp_path, updates=3, gradient_accumulation=batches, warmup_updates=2, schedule="constant")
    oracle = bigram(dropout=0.0)
    adam = keras.optimizers.Adam(global_clipnorm=1.0)
    for update in range(3):
        numbers = range(update * batches, (update + 1) * batches)
        found = [plan.batch(plan.locate(number)) for number in numbers]
        tokens = [np.count_nonzero(batch.target_out) for batch in found]
        found = [
            [gradient * count / sum(tokens) for gradient in gradients_of(oracle, batch)]
            for batch, count in zip(found, tokens, strict=True)
        ]
        adam.learning_rate = (0.005, 0.01, 0.01)[update]
        adam.apply_gradients([(sum(parts), w) for *parts, w in zip(*found, oracle.trainable_variables, strict=True)])
    train(run, model, plan, scripted())
    arrays = run.load_checkpoint().arrays[: len(oracle.trainable_variables)]
    for received, expected in zip(arrays, values_of(oracle.trainable_variables), strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-6)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_half_precision_learns_nearly_the_same(tmp_path, set_dtype_policy, policy, tolerance):
    """After six updates the weights stand as far from float32's as ``tolerance`` of the way that they have gone.

    A gradient is rounded to 2^-8 (bfloat16) or 2^-11 (float16) a few times over, and Adam divides it by its own size.
    float16 scales the loss, by 2^15 at first, without which its small gradients would be zero.
    """
    ends = []
    for name in ("float32", policy):
        set_dtype_policy(name)
        model = bigram(dropout=0.0)
        start = np.concatenate([value.ravel() for value in values_of(model.trainable_variables)])
        run = new_run(tmp_path / name, updates=6, warmup_updates=0, schedule="constant", weight_average=0.0)
        train(run, model, toy.plan(), scripted())
        arrays = run.load_checkpoint().arrays[: len(model.trainable_variables)]
        ends.append(np.concatenate([array.ravel() for array in arrays]))
        assert ("loss_scale" in type(model.optimizer).__module__) == (name == "mixed_float16")
        norms = curves(run)["gradient_norm/embedding"]
        assert all(0 < norm < 10 for norm in norms.values())  # not scaled
    assert 0 < np.linalg.norm(ends[1] - ends[0]) < tolerance * np.linalg.norm(ends[0] - start)


def test_validation_sees_the_moving_average_and_training_goes_on_with_the_weights(tmp_path, monkeypatch):
    """a_u = m a_{u-1} + (1 - m) w_u, with m = 0, 1/10, 2/11, … The weights w_u are read where update u + 1 begins."""
    model, weights, averages = bigram(), [], []

    def rate(update, *arguments):
        weights.append(values_of(model.trainable_variables))
        return learning_rate(update, *arguments)

    monkeypatch.setattr(training, "learning_rate", rate)
    validate = scripted(at_each=lambda number: averages.append(values_of(model.trainable_variables)))
    train(new_run(tmp_path / "each", updates=5), model, toy.plan(), validate)
    expected = weights[1]  # weights[0] is how it began
    for update in range(1, 5):
        momentum = (update - 1) / (update + 8)
        expected = [momentum * a + (1 - momentum) * w for a, w in zip(expected, weights[update], strict=True)]
        for received, wanted in zip(averages[update - 1], expected, strict=True):
            np.testing.assert_allclose(received, wanted, rtol=1e-6, atol=1e-7)
    assert not np.array_equal(averages[2][0], weights[3][0])

    # Validation leaves no trace in what is trained.
    train(new_run(tmp_path / "end", updates=5, validate_every=5), bigram(), toy.plan(), scripted())
    ends = [Run.find(tmp_path / name).load_checkpoint().arrays for name in ("each", "end")]
    assert_equal(*ends)


def test_batches_may_have_any_length_whatever_the_first_two_have(tmp_path):
    """Keras takes the dimensions of a dataset from its first two batches."""
    plan = BatchPlan([[5, 6]] * 4 + [[5]] * 8, [[5, 6]] * 4 + [[5]] * 8, 6, seed=next(seeds_that_begin_alike()))
    assert plan.batch(plan.locate(0)).source.shape == plan.batch(plan.locate(1)).source.shape
    assert len({plan.batch(plan.locate(number)).source.shape[1] for number in range(4)}) > 1
    assert train(new_run(tmp_path, updates=4), bigram(), plan, scripted()).batches == 4


def seeds_that_begin_alike():
    for seed in range(100):
        plan = BatchPlan([[5, 6]] * 4 + [[5]] * 8, [[5, 6]] * 4 + [[5]] * 8, 6, seed)
        widths = [plan.batch(plan.locate(number)).source.shape[1] for number in range(4)]
        if widths[0] == widths[1] and len(set(widths)) > 1:
            yield seed


# --- when the numbers leave the numbers ---


def test_a_loss_that_is_no_number_stops_training_and_names_its_batch(tmp_path, monkeypatch):
    model, plan = bigram(), toy.plan()

    def spoil(update, *arguments):
        if update == 4:
            model.readout.bias.assign(np.full(toy.V, np.nan))
        return learning_rate(update, *arguments)

    monkeypatch.setattr(training, "learning_rate", spoil)
    run = new_run(tmp_path, updates=9, gradient_accumulation=2, validate_every=2)
    with pytest.raises(DivergedError) as caught:
        train(run, model, plan, scripted())
    position = plan.locate(6)  # three updates of two batches are behind
    message = str(caught.value)
    assert f"the loss became nan at update 4, batch {position.number} of epoch {position.epoch};" in message
    pairs = plan.epoch(position.epoch)[position.number][:5] + 1
    numbers = ", ".join(map(str, pairs))
    assert f"left out (those of data.train, then those of data.mix): {numbers}, …" in message
    assert "(--run) with a lower training.learning_rate" in message
    checkpoint = run.load_checkpoint()
    assert checkpoint.update == 2
    assert all(np.isfinite(array).all() for array in checkpoint.arrays)


class Cliff(Bigram):
    """A finite loss with a gradient that is no number."""

    def compute_loss(self, *arguments, **keywords):
        return super().compute_loss(*arguments, **keywords) + ops.sum(ops.sqrt(0 * self.readout.bias))


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    run = new_run(tmp_path, updates=2)
    with pytest.raises(DivergedError, match="the weights became nan at update 1, batch 0 of epoch 0"):
        train(run, bigram(Cliff), toy.plan(), scripted())
    assert run.load_checkpoint() is None
    assert not run.path("best.npz").exists()


# --- what is said ---


def test_curves_can_be_read_back(tmp_path):
    run = new_run(tmp_path, updates=4, validate_every=2, log_every=2, warmup_updates=4)
    train(run, bigram(), toy.plan(), scripted(losses=[3.0, 2.0], bleus=[10.0, 20.0]))
    found = curves(run)
    assert sorted(found) == [
        "development/accuracy",
        "development/bleu",
        "development/chrf",
        "development/loss",
        "development/perplexity",
        "gradient_norm/embedding",
        "gradient_norm/readout",
        "train/learning_rate",
        "train/loss",
        "train/tokens_per_second",
    ]
    assert {tuple(curve) for curve in found.values()} == {(2, 4)}
    assert found["development/bleu"] == {2: 10.0, 4: 20.0}
    assert found["development/loss"] == {2: 3.0, 4: 2.0}
    assert found["train/learning_rate"] == pytest.approx({2: 0.005, 4: 0.01})
    assert found["train/loss"][2] == pytest.approx(math.log(toy.V), abs=0.1)  # nothing is known yet
    assert all(
        value > 0 for value in (*found["gradient_norm/readout"].values(), *found["train/tokens_per_second"].values())
    )


def test_curves_of_a_process_that_was_killed_are_not_shown_beside_those_of_the_next(tmp_path, monkeypatch):
    """Killed in update 5, behind the checkpoint of update 2: updates 3 and 4 are made twice, and shown once."""

    class Killed(BaseException):
        pass

    def killed(update, *arguments):
        if update == 5:
            raise Killed
        return learning_rate(update, *arguments)

    run = new_run(tmp_path, updates=6, validate_every=2)
    monkeypatch.setattr(training, "learning_rate", killed)
    monkeypatch.setattr(Run, "save_checkpoint", saving_at(2))
    with pytest.raises(Killed):
        train(run, bigram(), toy.plan(), scripted(losses=[9.0, 9.0]))
    monkeypatch.undo()
    train(run, bigram(), toy.plan(), scripted(losses=[3.0, 2.0]))
    events = EventAccumulator(str(run.path("tensorboard")), purge_orphaned_data=True)
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    shown = [(event.step, event.value) for event in events.Scalars("development/loss")]
    assert shown == [(2, 9.0), (4, 3.0), (6, 2.0)]


def saving_at(update):
    """``Run.save_checkpoint`` that keeps no checkpoint but that of ``update``."""
    save = Run.save_checkpoint
    return lambda run, checkpoint: save(run, checkpoint) if checkpoint.update == update else None


def test_a_log_line_is_keys_and_values(tmp_path, caplog):
    caplog.set_level(logging.INFO, "nmt")
    run = new_run(tmp_path, updates=4, validate_every=4, log_every=2, warmup_updates=4)
    train(run, bigram(), toy.plan(), scripted(losses=[2.0], bleus=[10.0]))
    lines = [line.split(" ", 1)[0] for line in caplog.messages]
    assert lines.count("update=2/4") == lines.count("update=4/4") == 1
    line = next(line for line in caplog.messages if line.startswith("update=2/4"))
    values = dict(item.split("=") for item in line.split())
    assert list(values) == [
        "update", "epoch", "loss", "learning_rate", "gradient_norm", "tokens_per_second", "eta",
    ]  # fmt: skip
    assert (values["epoch"], values["learning_rate"]) == ("0", "0.005")
    assert re.fullmatch(r"\d+:[0-5]\d:[0-5]\d", values["eta"])
    validation = next(line for line in caplog.messages if " validation " in line)
    assert "update=4 validation loss=2.0000 perplexity=7.39 accuracy=0.5000" in validation
    assert validation.endswith("greedy chrF 30.00, BLEU 10.00 signature (best so far)")
    assert "sample\nsource     ein\nreference  one\nmodel      two\n" in caplog.messages


def test_time_left_counts_days_as_hours(tmp_path, caplog, monkeypatch):
    """Two of four updates took 26 hours, so the other two will."""
    caplog.set_level(logging.INFO, "nmt")
    monkeypatch.setattr(training._Loop, "_seconds", lambda loop: 93_600.0 * loop._update() / 2)
    train(new_run(tmp_path, updates=4, log_every=2), bigram(), toy.plan(), scripted())
    assert any(line.startswith("update=2/4") and line.endswith("eta=26:00:00") for line in caplog.messages)


# --- stopped, and going on ---


def interrupted(at, times=1):
    """``learning_rate`` that presses Ctrl-C as update ``at`` begins."""

    def rate(update, *arguments):
        if update == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return learning_rate(update, *arguments)

    return rate


def test_time_left_is_foretold_by_this_process_alone(tmp_path, caplog, monkeypatch):
    """The first two of six updates took ten hours each; since the restart one takes ten seconds."""
    caplog.set_level(logging.INFO, "nmt")
    run = new_run(tmp_path, updates=6, log_every=2)
    monkeypatch.setattr(training._Loop, "_seconds", lambda loop: 36_000.0 * loop._update())
    monkeypatch.setattr(training, "learning_rate", interrupted(2))
    assert train(run, bigram(), toy.plan(), scripted()).seconds == 72_000
    caplog.clear()
    monkeypatch.setattr(training, "learning_rate", learning_rate)
    monkeypatch.setattr(training._Loop, "_seconds", lambda loop: 72_000.0 + 10 * (loop._update() - 2))
    train(run, bigram(), toy.plan(), scripted())
    assert any(line.startswith("update=4/6") and line.endswith("eta=0:00:20") for line in caplog.messages)


def test_ctrl_c_saves_after_the_update_and_the_same_command_goes_on(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "nmt")
    settings = {"updates": 7, "validate_every": 4, "gradient_accumulation": 2}
    train(new_run(tmp_path / "whole", **settings), bigram(), toy.plan(), scripted())

    handler = signal.getsignal(signal.SIGINT)
    run = new_run(tmp_path / "parts", **settings)
    monkeypatch.setattr(training, "learning_rate", interrupted(3))
    progress = train(run, bigram(), toy.plan(), scripted())
    assert signal.getsignal(signal.SIGINT) is handler
    assert (progress.batches, progress.finished, run.load_checkpoint().update) == (6, "", 3)
    assert "stopping after this update" in caplog.text

    monkeypatch.setattr(training, "learning_rate", learning_rate)
    progress = train(run, bigram(), toy.plan(), scripted())
    assert progress.finished == "all 7 updates are done"
    assert "resuming after update 3" in caplog.text
    whole = Run.find(tmp_path / "whole")
    assert_equal(run.load_checkpoint().arrays, whole.load_checkpoint().arrays)
    assert_equal(run.load_best().values(), whole.load_best().values())


def test_a_full_disk_leaves_the_last_checkpoint_from_which_it_goes_on(tmp_path, monkeypatch):
    """The kernel cuts the checkpoint of update 4 short (a file may have 9000 bytes); room is made after that."""
    settings = {"updates": 6, "validate_every": 2, "gradient_accumulation": 2}
    train(new_run(tmp_path / "whole", **settings), bigram(), toy.plan(), scripted())

    save, (soft, hard) = Run.save_checkpoint, resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(run, checkpoint):
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000 if checkpoint.update == 4 else soft, hard))
        try:
            save(run, checkpoint)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    run = new_run(tmp_path / "parts", **settings)
    monkeypatch.setattr(Run, "save_checkpoint", full)
    with pytest.raises(RunError, match=r"cannot write .*000000004\.npz .* What was there before is untouched"):
        train(run, bigram(), toy.plan(), scripted())
    assert [path.name for path in run.path("checkpoints").iterdir()] == ["000000002.npz"]

    monkeypatch.undo()
    assert train(run, bigram(), toy.plan(), scripted()).finished == "all 6 updates are done"
    whole = Run.find(tmp_path / "whole")
    assert_equal(run.load_checkpoint().arrays, whole.load_checkpoint().arrays)
    assert_equal(run.load_best().values(), whole.load_best().values())
    steps = [entry["update"] for entry in run.read_json("history.json")]
    assert steps == [2, 4, 6]


def test_ctrl_c_twice_stops_at_once(tmp_path, monkeypatch):
    run = new_run(tmp_path, updates=4)
    monkeypatch.setattr(training, "learning_rate", interrupted(3, times=2))
    with pytest.raises(KeyboardInterrupt):
        train(run, bigram(), toy.plan(), scripted())
    assert run.load_checkpoint().update == 2


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    run = new_run(tmp_path, updates=4, validate_every=4)
    checkpoint_run = new_run(tmp_path / "other", updates=4)
    train(checkpoint_run, bigram(), toy.plan(), scripted())
    checkpoint = checkpoint_run.load_checkpoint()
    run.save_checkpoint(checkpoint._replace(arrays=checkpoint.arrays[1:]))
    with pytest.raises(RunError, match=r"checkpoint of update 4 .* does not fit the model of its recipe"):
        train(run, bigram(), toy.plan(), scripted())


def test_other_library_versions_are_told_of(tmp_path, monkeypatch, caplog):
    run = new_run(tmp_path, updates=4)
    monkeypatch.setattr(training, "learning_rate", interrupted(2))
    train(run, bigram(), toy.plan(), scripted())
    monkeypatch.setattr(keras, "__version__", "9.9")
    train(run, bigram(), toy.plan(), scripted())
    assert "resuming with other library versions" in caplog.text
    assert f"'nmt': '{version()}'" in caplog.text
    assert "'keras': '9.9'" in caplog.text
