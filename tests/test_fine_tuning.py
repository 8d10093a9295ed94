"""Fine-tuning: what fits, what it begins with, what it does to old and new domain, and how that is told."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy
import yaml
from click.testing import CliRunner

from nmt import cli, experiment, fine_tuning, recipe, training
from nmt.corpus import CorpusError
from nmt.fine_tuning import Change, FineTuningError
from nmt.run import Run
from nmt.score import Score

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

# Small, and without what keeps a large model from learning by heart: 500 updates learn the numbers.
SMALL = {
    "model__encoder_layers": 1,
    "model__decoder_layers": 1,
    "model__embedding_units": 16,
    "model__readout_units": 16,
    "model__encoder_units": 16,
    "model__decoder_units": 16,
    "model__dropout": {"embedding": 0, "layers": 0, "encoder_output": 0, "readout": 0, "attention": 0},
    "pieces__size": 60,
    "search__beam_size": 1,
    "training__best": "loss",
    "training__batch_tokens": 200,
    "training__weight_average": 0.9,
    "training__label_smoothing": 0.0,
    "training__seed": 2,
}


def write_domain(folder, target_word=str):
    """240 pairs of the toy said forwards, the target in other words: train.en, train.de."""
    source, target = toy.lines(240, seed=2)
    forwards = [" ".join(map(target_word, reversed(line.split()))) for line in target]
    for language, lines in (("en", source), ("de", forwards)):
        (folder / f"train.{language}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A run that has learnt to say the numbers it hears: its score can fall."""
    folder = write_domain(tmp_path_factory.mktemp("old"))
    changes = {"training__updates": 500, "training__validate_every": 100, "training__learning_rate": 0.02}
    run, progress = experiment.train(toy.settings(folder, **{**SMALL, **changes, "data__test": 8}), folder / "old_run")
    assert progress.finished
    return run


@pytest.fixture
def new(old, tmp_path):
    """Make a recipe that begins with ``old`` in a domain in which every number is called otherwise."""
    shifted = dict(zip(toy.GERMAN, [*toy.GERMAN[1:], toy.GERMAN[0]], strict=True))
    write_domain(tmp_path, shifted.get)

    def settings(**changes):
        return toy.settings(tmp_path, **{**SMALL, "training__init_from": str(old.directory), **changes})

    return settings


# --- what fits ---


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model__decoder_units": 24}, ["model.decoder_units: 16 there, 24 here"]),
        ({"model__tying": "output"}, ["model.tying: three_way there, output here"]),
        (
            {"pieces__size": 50, "pieces__character_coverage": 0.99},
            ["pieces.size: 60 there, 50 here", "pieces.character_coverage: 1.0 there, 0.99 here"],
        ),
        ({"pieces__byte_fallback": True}, ["pieces.byte_fallback: False there, True here"]),
        ({"pieces__joint": False, "model__tying": "output"}, ["pieces.joint: True there, False here"]),
        ({"data__source_language": "fr"}, ["data.source_language: en there, fr here"]),
        ({"data__target_language": "nl"}, ["data.target_language: de there, nl here"]),
        ({"data__tokenized": True}, ["data.tokenized: False there, True here"]),
    ],
)
def test_weights_that_do_not_fit_are_refused_key_by_key_and_nothing_is_made(old, new, tmp_path, change, told):
    with pytest.raises(FineTuningError) as caught:
        experiment.train(new(**change), tmp_path / "run")
    assert f"training.init_from: {old.directory} do not fit this recipe" in str(caught.value)
    for line in told:
        assert f"\n  {line}\n" in str(caught.value)
    assert f"nmt recipe {old.path('recipe.yaml')}" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_does_not_touch_the_weights_may_differ(old, new):
    dropout = {"model__dropout": {"embedding": 0.5, "readout": 0.3}}
    other = new(**dropout, search__beam_size=5, training__label_smoothing=0.0, training__seed=7)
    assert fine_tuning.differences(old.recipe, other) == []


def test_a_run_that_cannot_begin_another_is_refused(old, new, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    begun = tmp_path / "begun"
    shutil.copytree(old.directory, begun)
    (begun / "best.npz").unlink()
    damaged = tmp_path / "damaged"
    shutil.copytree(old.directory, damaged)
    (damaged / "best.npz").write_bytes(b"no weights")
    other_pieces = tmp_path / "other_pieces"
    shutil.copytree(old.directory, other_pieces)
    toy.pieces(other_pieces)
    for directory, message in [
        (tmp_path / "nowhere", r"training\.init_from: .*nowhere is no directory; expected the directory of a training"),
        (empty, r"training\.init_from: .*empty holds no recipe\.yaml, so it is no run"),
        (begun, r"training\.init_from: .*begun has no trained weights yet"),
        (damaged, r"training\.init_from: .*best\.npz is damaged"),
        (other_pieces, r"training\.init_from: .*is not the piece model that this run was trained with"),
        (tmp_path / "run", r"training\.init_from: .*run is the directory to train in; train into another one"),
    ]:
        with pytest.raises(FineTuningError, match=message):
            experiment.train(new(training__init_from=str(directory)), tmp_path / "run")


def test_several_machines_are_refused_by_the_recipe(new):
    with pytest.raises(
        recipe.RecipeError, match=r"training\.init_from does not work with .*multi_machine.*: single or"
    ):
        new(device__strategy="multi_machine", device__backend="jax")


def test_the_command_refuses_before_any_framework_is_loaded(new, tmp_path):
    """In a process of its own, since this one has loaded them."""
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(new(model__decoder_units=24).model_dump()))
    program = """
import sys
from nmt import cli
try:
    cli.commands(["train", "new.yaml"], standalone_mode=False)
except Exception as error:
    print(error.exit_code, error.message)
print({"tensorflow", "keras", "jax"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 the weights of training.init_from")
    assert done.stdout.splitlines()[-1] == "set()"


# --- what it begins with ---


def test_it_begins_with_the_best_weights_and_the_pieces_of_the_old_run(old, new, tmp_path, monkeypatch):
    begun = {}

    def watched(run, model, *arguments):
        begun.update({variable.path.split("/", 1)[-1]: variable.numpy() for variable in model.trainable_variables})
        return train(run, model, *arguments)

    train = training.train
    monkeypatch.setattr(training, "train", watched)
    # A rate at which nothing moves: so the moving average, too, is still what was taken.
    run, _ = experiment.train(new(training__updates=1, training__learning_rate=1e-12), tmp_path / "run")
    taken, kept = old.load_best(), run.load_best()
    assert begun.keys() == taken.keys() == kept.keys()
    for name, weights in taken.items():
        np.testing.assert_array_equal(begun[name], weights)
        np.testing.assert_allclose(kept[name], weights, atol=1e-9)
    for name in ("pieces.model", "pieces.vocab", "pieces.json"):
        assert run.path(name).read_bytes() == old.path(name).read_bytes()


def test_separate_pieces_come_along_too(tmp_path):
    apart = {**SMALL, "pieces__joint": False, "pieces__size": 30, "model__tying": "output", "training__updates": 1}
    write_domain(tmp_path)
    first, _ = experiment.train(toy.settings(tmp_path, **apart), tmp_path / "first")
    path = tmp_path / "train.en"
    path.write_text(path.read_text().replace("one", "once"))  # of this text other pieces would be learnt
    changes = {"training__init_from": str(first.directory), "training__batch_tokens": 9000}
    with pytest.raises(CorpusError, match="smaller than a batch"):  # far enough
        experiment.train(toy.settings(tmp_path, **{**apart, **changes}), tmp_path / "second")
    second = Run.find(tmp_path / "second")
    for name in ("source.model", "source.vocab", "target.model", "target.vocab"):
        assert second.path(name).read_bytes() == first.path(name).read_bytes()


def test_characters_that_the_old_pieces_do_not_know_are_counted(old, new, tmp_path, caplog):
    wanted = new(training__batch_tokens=9000)
    (tmp_path / "train.en").write_text((tmp_path / "train.en").read_text().replace("one", "日"), encoding="utf-8")
    with pytest.raises(CorpusError, match="smaller than a batch"):  # far enough
        experiment.train(wanted, tmp_path / "run")
    text = experiment.read_texts(wanted.data).train.source
    ones = sum(line.split().count("日") for line in text)  # each is one unknown piece after the blank's
    told = r"(\d+) of \d+ pieces in (\d+) lines of the (\w+) of the training text hold characters"
    found = re.findall(told, caplog.text)
    assert found == [(str(ones), str(len(text)), "source")]


# --- before and after ---


@pytest.fixture(scope="module")
def tuned(old, tmp_path_factory):
    """A recipe for numbers that are called otherwise, its run, and what was told of it."""
    folder = tmp_path_factory.mktemp("tuned")
    shifted = dict(zip(toy.GERMAN, [*toy.GERMAN[1:], toy.GERMAN[0]], strict=True))
    write_domain(folder, shifted.get)
    changes = {"training__updates": 200, "training__validate_every": 100, "training__learning_rate": 0.02}
    changes |= {"training__init_from": str(old.directory), "data__test": 9}
    content = toy.settings(folder, **{**SMALL, **changes}).model_dump()
    (folder / "tuned.yaml").write_text(yaml.safe_dump(content))
    return folder, train_by_command(folder)


def train_by_command(folder):
    result = CliRunner().invoke(
        cli.commands, ["train", str(folder / "tuned.yaml"), "--run", str(folder / "run")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    return result.stderr


def story(told):
    """The lines of ``told`` from the table on, without the hours."""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in told.splitlines()]
    return lines[lines.index("before and after fine-tuning:") :]


def test_what_fine_tuning_does_to_both_domains_is_told(tuned, old):
    folder, told = tuned
    record = json.loads((folder / "run" / "fine_tuning.json").read_text())
    assert record["init_from"] == str(old.directory)
    assert record["sha256"] == old.weights_checksum()
    domains = record["domains"]
    assert {name: found["text"] for name, found in domains.items()} == {"old": "old_run test", "new": "run test"}
    assert (domains["old"]["pairs"], domains["new"]["pairs"]) == (8, 9)
    before = {name: found["before"][0]["value"] for name, found in domains.items()}
    after = {name: found["after"][0]["value"] for name, found in domains.items()}
    assert before["old"] > 30 > 20 > before["new"]  # it could say the old names, and never heard the new
    assert after["old"] < 20 < 30 < after["new"]
    assert (
        f"before: old domain (old_run test) BLEU {before['old']:.1f}, new domain (run test) BLEU {before['new']:.1f}"
        in told
    )
    table = "\n".join(story(told))
    assert f"{before['old']:.2f} → {after['old']:.2f}" in table
    assert f"{before['new']:.2f} → {after['new']:.2f}" in table
    assert f"the old domain got worse: BLEU {before['old']:.1f} → {after['old']:.1f} (p = 0.0" in table
    assert "To keep it, mix old text in: data.mix" in table
    assert domains["old"]["after"][0]["signature"] in table
    log = (folder / "run" / "train.log").read_text()
    assert "the old domain got worse" in log


def test_before_is_what_the_old_run_scores_on_its_own_test_text(tuned, old):
    folder, _ = tuned
    record = json.loads((folder / "run" / "fine_tuning.json").read_text())
    scores = experiment.evaluate([old], experiment.read_text(old, "test")).scores
    assert [Score(**one) for one in record["domains"]["old"]["before"]] == scores
    own = experiment.evaluate([Run.find(folder / "run")], experiment.read_text(Run.find(folder / "run"), "test"))
    assert [Score(**one) for one in record["domains"]["new"]["after"]] == own.scores


def test_it_is_told_where_old_text_is_mixed_in_with_what_the_old_run_held_out(tmp_path, old, new, caplog):
    """All of the old run's text, as a user has it in a file: eight pairs of it are what the old domain is scored on."""
    caplog.set_level("INFO", "nmt")
    mix = [old.recipe.data.train.model_dump(exclude_none=True)]
    settings = new(training__updates=1, data__development=1, data__mix=mix)
    run, _ = experiment.train(settings, tmp_path / "run")
    held_out = experiment.read_text(old, "test")
    texts = experiment.read_texts(run.recipe.data)
    learnt = {*zip(texts.train.source, texts.train.target, strict=True)}
    learnt |= {*zip(texts.mixes["mix 1"].source, texts.mixes["mix 1"].target, strict=True)}
    assert learnt & {*zip(held_out.source, held_out.target, strict=True)}
    count = run.read_json("fine_tuning.json")["domains"]["old"]["learnt"]
    assert count > 0
    assert f"{count} pairs to train on share a sentence with the text that the old domain is scored on" in caplog.text
    assert f"though {count} pairs that were trained on share a sentence with its text" in caplog.text


def test_a_second_start_tells_it_again_without_the_old_run_and_without_translating(tuned, old, monkeypatch):
    folder, told = tuned
    old_directory = old.directory.rename(old.directory.with_name("elsewhere"))
    monkeypatch.setattr(experiment.evaluation, "test", None)  # nothing is translated
    try:
        assert story(train_by_command(folder)) == story(told)
    finally:
        old_directory.rename(old.directory)


def test_killed_between_the_end_and_the_table_it_scores_what_is_missing(tuned, tmp_path):
    folder, _ = tuned
    copy = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    record = json.loads((copy / "fine_tuning.json").read_text())
    del record["domains"]["new"]["after"], record["domains"]["new"]["p_values"]
    (copy / "fine_tuning.json").write_text(json.dumps(record))
    experiment.train(recipe.read(copy / "recipe.yaml"), copy)
    assert json.loads((copy / "fine_tuning.json").read_text()) == json.loads(
        (folder / "run" / "fine_tuning.json").read_text()
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "fine_tuning.json").unlink(), "fine_tuning.json is gone: what was before fine-tuning is"),
        (lambda run: (run / "translations-old-before.tsv").unlink(), "what became of the old domain is not known: "),
        (
            lambda run: (run / "translations-old-before.tsv").write_text("one\n"),
            "expected three columns in every row, source, reference and translation",
        ),
    ],
)
def test_what_is_gone_after_the_training_does_not_make_it_fail(tuned, tmp_path, caplog, damage, message):
    copy = Path(shutil.copytree(tuned[0] / "run", tmp_path / "run"))
    record = json.loads((copy / "fine_tuning.json").read_text())
    del record["domains"]["old"]["after"]
    (copy / "fine_tuning.json").write_text(json.dumps(record))
    damage(copy)
    with caplog.at_level("INFO", "nmt"):
        _, progress = experiment.train(recipe.read(copy / "recipe.yaml"), copy)
    assert progress.finished
    assert message in caplog.text
    assert "the old domain got" not in caplog.text


def test_an_old_test_text_that_is_gone_is_told_of_and_the_new_one_scored(old, new, tmp_path, caplog):
    copy = Path(shutil.copytree(old.directory, tmp_path / "copy"))
    content = yaml.safe_load((copy / "recipe.yaml").read_text())
    content["data"]["test"] = {"source": str(tmp_path / "gone.en"), "target": str(tmp_path / "gone.de")}
    (copy / "recipe.yaml").write_text(yaml.safe_dump(content))
    with caplog.at_level("INFO", "nmt"):
        run, progress = experiment.train(new(training__init_from=str(copy), training__updates=1), tmp_path / "run")
    assert progress.finished
    assert re.search(r"what becomes of the old domain will not be known: .*gone\.en does not exist", caplog.text)
    assert list(run.read_json("fine_tuning.json")["domains"]) == ["new"]
    assert "before: new domain (run development) BLEU" in caplog.text
    assert "old domain (" not in caplog.text


def test_one_text_of_both_domains_is_scored_once(old, tmp_path, caplog):
    """The same recipe once more: the same pairs are held out."""
    again = old.recipe.model_copy(
        update={
            "training": old.recipe.training.model_copy(update={"init_from": str(old.directory), "updates": 1}),
        }
    )
    with caplog.at_level("INFO", "nmt"):
        run, _ = experiment.train(again, tmp_path / "run")
    assert list(run.read_json("fine_tuning.json")["domains"]) == ["old"]
    assert "old and new domain have one and the same test text" in caplog.text


# --- stopped, killed, resumed ---


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_it_begins_again_and_then_goes_on_without_the_old_run(
    old, new, tmp_path, monkeypatch
):
    dropout = {"embedding": 0.1, "layers": 0.1, "encoder_output": 0.1, "readout": 0.1, "attention": 0.1}
    source = Path(shutil.copytree(old.directory, tmp_path / "source"))
    settings = new(
        training__init_from=str(source), training__updates=6, model__dropout=dropout, training__validate_every=2
    )
    whole, _ = experiment.train(settings, tmp_path / "a" / "run")

    class KilledError(Exception):
        pass

    def kill(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", kill)
        with pytest.raises(KilledError):
            experiment.train(settings, tmp_path / "b" / "run")

    def interrupt(update, *arguments):
        if update == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return rate(update, *arguments)

    rate = training.learning_rate
    with monkeypatch.context() as patch:
        patch.setattr(training, "learning_rate", interrupt)
        _, progress = experiment.train(settings, tmp_path / "b" / "run")
    assert (progress.batches, progress.finished) == (3, "")
    assert "after" not in Run.find(tmp_path / "b" / "run").read_json("fine_tuning.json")["domains"]["old"]
    shutil.rmtree(source)
    resumed, progress = experiment.train(settings, tmp_path / "b" / "run")
    assert progress.finished

    first, second = whole.load_checkpoint(), resumed.load_checkpoint()
    assert first.update == second.update == 6
    for array, expected in zip(second.arrays, first.arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    for name, weights in whole.load_best().items():
        np.testing.assert_array_equal(resumed.load_best()[name], weights)
    assert resumed.read_json("fine_tuning.json") == whole.read_json("fine_tuning.json")
    kept = [f"translations-{domain}-{when}.tsv" for domain in ("old", "new") for when in ("before", "after")]
    assert [resumed.path(name).read_bytes() for name in kept] == [whole.path(name).read_bytes() for name in kept]


def test_other_weights_than_at_a_start_that_saved_nothing_are_told_of(old, new, tmp_path, caplog):
    source = Run(shutil.copytree(old.directory, tmp_path / "source"), old.recipe)
    settings = new(training__init_from=str(source.directory), training__updates=1)
    run = Run.open(tmp_path / "run", settings)
    run.begin()
    run.write_json("fine_tuning.json", {"init_from": str(source.directory), "sha256": source.weights_checksum()})
    fine_tuning.start(run)
    assert "has other weights" not in caplog.text
    weights = source.load_best()
    source.save_best({name: array + 1 for name, array in weights.items()})
    begun = fine_tuning.start(run)
    assert "has other weights than at the last start, which saved no checkpoint: training begins anew" in caplog.text
    for name, array in weights.items():
        np.testing.assert_array_equal(begun.weights[name], array + 1)


def test_a_start_that_was_refused_leaves_no_word_of_fine_tuning_in_an_ordinary_run(new, tmp_path):
    run = Run.open(tmp_path / "run", new())
    run.begin()
    run.write_json("fine_tuning.json", {})
    run.begin()
    assert not run.path("fine_tuning.json").exists()


# --- how it is told ---


def change(domain, before, after, p_value):
    """A change of BLEU, with chrF 10 more."""

    def scores(value):
        return [
            Score("BLEU", value, None, None, "tok:13a"),
            Score("chrF2", value + 10, None, None, "nc:6"),
        ]

    return Change(domain, f"{domain} test", scores(before), scores(after), [p_value, 0.5])


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            change("old", 38.3, 35.1, 0.001),
            "the old domain got worse: BLEU 38.3 → 35.1 (p = 0.001). To keep it, mix old text in: data.mix",
        ),
        (
            change("new", 21.0, 18.0, 0.002),
            "the new domain got worse: BLEU 21.0 → 18.0 (p = 0.002). A lower training.learning_rate, or more text like "
            "it, may help",
        ),
        (change("new", 21.0, 27.4, 0.001), "the new domain got better: BLEU 21.0 → 27.4 (p = 0.001)"),
        (change("old", 38.3, 38.9, 0.04), "the old domain got better: BLEU 38.3 → 38.9 (p = 0.040)"),
        (
            change("old", 38.3, 38.1, 0.3),
            "the old domain changed no more than by chance: BLEU 38.3 → 38.1 (p = 0.300)",
        ),
        (
            change("old", 0.0, 0.0, 1.0),
            "the old domain changed no more than by chance: BLEU 0.0 → 0.0 (p = 1.000)",
        ),
        (
            change("old", 38.3, 39.9, 0.01)._replace(learnt=1200),
            "the old domain got better: BLEU 38.3 → 39.9 (p = 0.010), though 1,200 pairs that were trained on share a "
            "sentence with its text",
        ),
    ],
)
def test_a_change_in_a_sentence(found, sentence):
    assert str(found) == sentence


def test_changes_in_a_table():
    changes = [change("old", 38.3, 35.1, 0.001), change("new", 21.0, 127.25, 0.0004)]
    assert fine_tuning.table(changes).splitlines() == [
        "                       BLEU before → after       p       chrF2 before → after      p",
        "old domain (old test)  38.30 → 35.10 (-3.20)     0.0010  48.30 → 45.10 (-3.20)     0.5000",
        "new domain (new test)  21.00 → 127.25 (+106.25)  0.0004  31.00 → 137.25 (+106.25)  0.5000",
        "BLEU tok:13a",
        "chrF2 nc:6",
    ]
