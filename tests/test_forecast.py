"""What a forecast makes of the steps that were tried, by hand; and that trying them leaves no trace."""

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy

from nmt import experiment, forecast, training
from nmt.batches import BatchPlan, Share
from nmt.forecast import Forecast, Trial

# 40 pairs of three source and five target pieces (ends included), 10 of one of each: 210 target pieces an epoch.
PLAN = BatchPlan([[4, 5]] * 40 + [[]] * 10, [[4, 5, 6, 7]] * 40 + [[]] * 10, 50, seed=1)


def tried(trial, memory, seconds):
    for step in range(len(trial.steps)):
        assert not trial.finished
        trial.record(seconds[min(step, len(seconds) - 1)], memory[min(step, len(memory) - 1)])
    assert trial.finished
    return trial


def test_the_largest_batch_is_tried_first_and_a_middling_one_is_timed():
    trial = Trial(PLAN, auto=False)
    assert trial.steps[0].source.shape == (10, 3)
    assert trial.steps[0].target_in.shape == (10, 5)
    assert {step.source.shape for step in trial.steps[1:]} == {(10, 3)}  # four of five batches are like that


def test_the_time_is_that_of_a_target_piece_times_all_of_them():
    """2 s a batch of 50 positions; an epoch's batches have 50, 50, 50, 50 and 10, a mean of 42; 100 updates of two."""
    trial = tried(Trial(PLAN, auto=False), [800], [9.0, 9.0, 1.0, 2.0, 5.0])
    found = trial.forecast(PLAN, weights=7, updates=100, batches_an_update=2, free=5000)
    assert found.seconds == pytest.approx(2 / 50 * 42 * 200)
    assert found.epochs == pytest.approx(200 / 5)
    assert (found.weights, found.batch_tokens, found.step_memory, found.free_memory) == (7, 50, 800, 5000)


def test_a_forecast_in_words():
    found = Forecast(5_204_000, 1500, 2_910_000_000, 20_000_000_000, 9000, 27.31, 3 * 3600 + 61)
    assert str(found) == (
        "forecast: 5,204,000 weights; 2.91 GB for the largest step, 20.00 GB are free; 9,000 updates of up to 1,500 "
        "target pieces (27.3 epochs) in about 3 h 01 min, validations aside"
    )
    assert "in about 1 min" in str(found._replace(seconds=2.0))


def long_text(pairs=20_000):
    return BatchPlan([[4] * 9] * pairs, [[4] * 9] * pairs, 1000, seed=1)


def test_auto_takes_what_memory_allows_by_the_growth_from_one_size_to_the_next():
    """1,000 pieces take 300 bytes, 2,000 take 500: 0.2 a piece and 100 at rest; 70 % of 4,000 bytes hold 13,500."""
    trial = tried(Trial(long_text(pairs=200_000), auto=True), [300, 500], [1.0])
    assert [step.target_in.size for step in trial.steps[:2]] == [1000, 2000]
    assert trial.fitting_tokens(free=4000) == (0.7 * 4000 - 100) / 0.2
    assert trial.fitting_tokens(free=10**9) == forecast.LARGEST


def test_auto_leaves_an_epoch_enough_batches():
    """200,000 target pieces are 50 batches of 4,000."""
    trial = tried(Trial(long_text(), auto=True), [300, 500], [1.0])
    assert trial.fitting_tokens(free=10**9) == 4000


def test_auto_counts_the_pieces_of_an_epoch_as_it_reads_them():
    """200,000 target pieces, of which an epoch reads a quarter: 50 batches of 1,000 are less than what fits."""
    read = dataclasses.replace(long_text(), shares=(Share(20_000, 0.25),))
    trial = tried(Trial(read, auto=True), [300, 500], [1.0])
    assert trial.fitting_tokens(free=10**9) == 1000


def test_the_size_is_known_before_the_last_steps_so_that_batches_may_be_fetched_ahead():
    trial = Trial(long_text(), auto=True)
    trial.record(1.0, 300)
    assert not trial.tells_size
    trial.record(1.0, 500)
    assert trial.tells_size
    assert len(trial.steps) - 2 > 2  # Keras fetches two


# --- within a training ---


def trained(folder, monkeypatch, steps=None, **changes):
    """The arrays of the last checkpoint, with the trial cut to ``steps``; and the run."""
    folder.mkdir()
    with monkeypatch.context() as patch:
        if steps is not None:
            patch.setattr(training, "Trial", steps)
        run, _ = experiment.train(toy.settings(toy.write_text(folder), **changes), folder / "run")
    return run.load_checkpoint().arrays, run


def test_a_trial_leaves_no_trace(tmp_path, monkeypatch):
    """Dropout, accumulation and moving average go on as if the steps before the first update had never been."""
    changes = {"training__gradient_accumulation": 2}
    plain, _ = trained(tmp_path / "plain", monkeypatch, lambda *arguments, **keywords: None, **changes)
    tried, run = trained(tmp_path / "tried", monkeypatch, **changes)
    for received, expected in zip(tried, plain, strict=True):
        np.testing.assert_array_equal(received, expected)
    found = run.read_json("forecast.json")
    assert (found["batch_tokens"], found["updates"]) == (60, 4)
    assert 0 < found["step_memory"] < found["free_memory"]
    assert found["weights"] == sum(array.size for array in run.load_best().values())
    assert "forecast: " in run.path("train.log").read_text()


def test_auto_is_found_once_and_kept(tmp_path, monkeypatch):
    """55 pairs to train on are far fewer than fifty batches of anything: the least that is allowed."""
    _, run = trained(tmp_path / "auto", monkeypatch, training__batch_tokens="auto", training__updates=2)
    assert run.read_json("forecast.json")["batch_tokens"] == 16
    assert run.recipe.training.batch_tokens == "auto"
    seen = []

    def train(run, model, plan, *rest):
        seen.append(plan.batch_tokens)
        return SimpleNamespace(finished="")

    monkeypatch.setattr(training, "train", train)
    experiment.train(run.recipe, run.directory)
    assert seen == [16]


def test_too_little_memory_says_what_to_halve(tmp_path):
    """A real limit: the process may have a few gigabytes of addresses, and a step wants more."""
    program = f"""
    import resource
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from pathlib import Path
    import toy
    from nmt import cli, experiment

    folder = Path({str(tmp_path)!r})
    # One step of attention alone, 400,000 numbers for each source piece of some 700 sentences, does not fit.
    recipe = toy.settings(toy.write_text(folder, 1024), training__batch_tokens=5_000, model__attention_units=400_000)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    try:
        experiment.train(recipe, folder / "run")
    except ValueError as error:
        print(type(error).__name__, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=1800
    )
    assert "OutOfMemoryError out of memory. Set training.batch_tokens to 2500 (half of 5000)" in done.stdout, (
        done.stdout + done.stderr[-2000:]
    )
    assert "training.gradient_accumulation to 2" in done.stdout
