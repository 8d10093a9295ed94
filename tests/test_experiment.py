"""From a recipe to a run and back: what is read, what is refused, and that the parts fit together."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy

from nmt import corpus, evaluation, experiment, index, recipe
from nmt.corpus import CorpusError
from nmt.engines.keras_engine import KerasEngine
from nmt.experiment import load_model, read_held_out, read_texts
from nmt.recipe import Files
from nmt.run import Run, RunError, weights_by_name
from nmt.translation import translate


@pytest.fixture
def text(tmp_path):
    """60 pairs in train.en and train.de, 8 others in dev.en and dev.de."""
    toy.write_text(tmp_path)
    for language, sentences in zip(("en", "de"), toy.lines(8, seed=9), strict=True):
        (tmp_path / f"dev.{language}").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return tmp_path


def files(folder, name):
    return {"source": str(folder / f"{name}.en"), "target": str(folder / f"{name}.de")}


def pairs(text):
    return list(zip(text.source, text.target, strict=True))


ALL = list(zip(*toy.lines(60), strict=True))


# --- text ---


def test_numbers_are_held_out_of_the_training_text_always_the_same_ones(text):
    data = toy.settings(text, data__development=7, data__test=5).data
    texts = read_texts(data)
    assert (len(texts.development), len(texts.test)) == (7, 5)
    parts = [*pairs(texts.train), *pairs(texts.development), *pairs(texts.test)]
    assert sorted(parts) == sorted(ALL)  # each pair in one part
    assert read_texts(data) == texts
    assert pairs(texts.train) != ALL[:48]  # not merely the last ones


def test_files_are_read_as_they_are(text):
    texts = read_texts(toy.settings(text, data__development=files(text, "dev")).data)
    assert pairs(texts.train) == ALL
    assert pairs(texts.development) == list(zip(*toy.lines(8, seed=9), strict=True))
    assert texts.test is None


def test_files_and_a_number_go_together(text):
    texts = read_texts(toy.settings(text, data__development=files(text, "dev"), data__test=6).data)
    assert len(texts.development) == 8
    assert sorted([*pairs(texts.train), *pairs(texts.test)]) == sorted(ALL)


def test_a_table_is_read(text):
    table = text / "pairs.tsv"
    table.write_text("".join(f"{source}\t{target}\n" for source, target in ALL), encoding="utf-8")
    texts = read_texts(toy.settings(text, data__train={"tsv": str(table)}).data)
    assert sorted([*pairs(texts.train), *pairs(texts.development)]) == sorted(ALL)


def test_blank_pairs_are_told_of_and_are_in_no_part(text, caplog):
    for language in ("en", "de"):
        with (text / f"train.{language}").open("a", encoding="utf-8") as file:
            file.write("\n" if language == "en" else "leer\n")
    texts = read_texts(toy.settings(text, data__development=59).data)  # as many as can be
    assert sorted([*pairs(texts.train), *pairs(texts.development)]) == sorted(ALL)
    assert "training text: " in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data__train": {"source": "train.en", "target": "trian.de"}},
            r"trian\.de does not exist: did you mean .*train",
        ),
        ({"data__development": 60}, "cannot hold out 60"),
    ],
)
def test_text_that_cannot_be_had_is_refused(text, monkeypatch, change, message):
    monkeypatch.chdir(text)
    with pytest.raises(CorpusError, match=message):
        read_texts(toy.settings(text, **change).data)


def test_text_of_blanks_alone_leaves_nothing(text):
    (text / "train.de").write_text("\n" * 60)
    with pytest.raises(CorpusError, match="nothing is left: 0 pairs to train on, 8 to develop on"):
        read_texts(toy.settings(text, data__development=files(text, "dev")).data)


# --- a whole training ---

JOINT = {"model__encoder_layers": 1, "model__decoder_layers": 1}
APART = {
    "model__encoder_layers": 1,
    "pieces__joint": False,
    "pieces__size": 30,
    "model__flow": "parallel",
    "model__tying": "output",
}
UNTIED = {**JOINT, "pieces__joint": False, "pieces__size": 30, "model__tying": "none", "model__readout_units": 7}


@pytest.fixture(scope="module", params=[JOINT, APART, UNTIED], ids=["three_way", "output", "none"])
def trained(request, tmp_path_factory):
    """Two updates, validated at each, of recipes that between them use every kind of tying."""
    folder = toy.write_text(tmp_path_factory.mktemp("trained"))
    settings = {"training__updates": 2, "training__validate_every": 1, "training__best": "loss", "data__test": 6}
    recipe = toy.settings(folder, **settings, **request.param)
    run, progress = experiment.train(recipe, folder / "run")
    assert progress.finished == "all 2 updates are done"
    return run


def test_a_run_holds_what_later_commands_need(trained):
    found = Run.find(trained.directory)
    assert found.recipe == trained.recipe
    corpus = found.read_json("corpus.json")
    assert {name: part["pairs"] for name, part in corpus.items()} == {"train": 49, "development": 5, "test": 6}
    assert [entry["update"] for entry in found.read_json("history.json")] == [1, 2]
    assert [path.name for path in sorted(found.path("samples").iterdir())] == [f"00000000{u}.txt" for u in (1, 2)]
    source, target = found.pieces()
    assert (source is target) is trained.recipe.pieces.joint
    log = found.path("train.log").read_text()
    assert "backend=tensorflow device=cpu" in log
    assert "update=2/2" in log


def test_the_loaded_model_has_the_best_weights_and_scores_as_validation_said(trained):
    """The validation of the lowest loss, done again with the model that is loaded from the run."""
    model = load_model(trained)
    best = trained.load_best()
    loaded = weights_by_name(model.trainable_variables, [weight.numpy() for weight in model.trainable_variables])
    assert loaded.keys() == best.keys()
    assert len(best) == len(model.trainable_variables)
    for name, weight in loaded.items():
        np.testing.assert_array_equal(weight, best[name])

    texts, pieces = read_texts(trained.recipe.data), trained.pieces()
    plan = experiment._plan(trained, texts.development, *pieces, 60)
    found = evaluation.validate(
        KerasEngine(model),
        pieces,
        texts.development,
        plan,
        trained.recipe.search,
        trained.recipe.evaluation,
        tokenized=False,
    )
    history = min(trained.read_json("history.json"), key=lambda entry: entry["loss"])
    assert found.loss == pytest.approx(history["loss"], rel=1e-5)
    assert found.bleu.value == pytest.approx(history["bleu"])


def test_embeddings_are_shared_as_the_recipe_says(trained):
    embeddings = [name for name in trained.load_best() if "embedding" in name]
    assert len(embeddings) == {"three_way": 1, "output": 2, "none": 3}[trained.recipe.model.tying]


def test_the_trained_model_translates_every_line(trained):
    lines = ["one two", "", "three"]
    found = translate(KerasEngine(load_model(trained)), trained.pieces(), lines, trained.recipe.search)
    assert len(found) == 3
    assert found[1].text == ""


@pytest.mark.parametrize("part", ["train", "test"])
def test_text_that_has_changed_since_is_refused(trained, tmp_path, part):
    copy = shutil.copytree(trained.directory, tmp_path / "run")
    corpus = Run(copy, trained.recipe).read_json("corpus.json")
    corpus[part]["sha256"] = "0" * 64
    Run(copy, trained.recipe).write_json("corpus.json", corpus)
    with pytest.raises(RunError, match=f"the {part} text is no longer what .* was trained on"):
        experiment.train(trained.recipe, copy)


# --- the index of a run ---


@pytest.fixture
def begun(trained, tmp_path, monkeypatch):
    """A copy of the run beside a copy of its text, trained there; what of the text is read from now on is counted."""
    data = trained.recipe.data.model_copy(
        update={"train": Files(source=str(tmp_path / "en"), target=str(tmp_path / "de"))}
    )
    for name in ("source", "target"):
        shutil.copy(getattr(trained.recipe.data.train, name), getattr(data.train, name))
    run = Run(shutil.copytree(trained.directory, tmp_path / "run"), trained.recipe.model_copy(update={"data": data}))
    run.write("recipe.yaml", recipe.effective(run.recipe).encode())
    reading = []
    read = corpus.read_lines

    def read_lines(path):
        reading.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(corpus, "read_lines", read_lines)
    return run, reading


def go_on(run):
    return experiment.train(run.recipe, run.directory)[1].finished


def test_a_second_start_takes_the_text_from_the_index(begun, caplog):
    run, reading = begun
    first = read_texts(run.recipe.data)
    reading.clear()
    assert go_on(run) == "all 2 updates are done"
    assert reading == []
    origin = index.origin((tmp_file(run, "en"), tmp_file(run, "de")), (5, 6))
    known = index.load(run.path("index.npz"), origin)
    assert read_texts(run.recipe.data, known) == first
    again = read_texts(run.recipe.data, known).parts()
    assert [part.notes for part in again.values()] == [part.notes for part in first.parts().values()]
    for lengths, pieces, lines in zip(
        known.lengths, run.pieces(), (first.train.source, first.train.target), strict=True
    ):
        assert lengths.tolist() == list(map(len, pieces.encode_lines(lines)))
    assert read_held_out(run, "test") == first.test
    assert reading == []


def tmp_file(run, name):
    return run.directory.parent / name


def test_of_a_changed_file_nothing_is_taken_from_the_index(begun):
    run, reading = begun
    path = tmp_file(run, "de")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"eins", b"ein5"))  # as long as before
    with pytest.raises(
        RunError, match=r"the .*train.* text is no longer what .* or train into a new directory with --run"
    ):
        go_on(run)
    assert reading == ["en", "de"]
    path.write_bytes(content.replace(b"\n", b"\r\n"))  # another file of the same text
    assert go_on(run)


@pytest.mark.parametrize("damage", [None, b"", b"no archive", "half"])
def test_a_run_goes_on_without_its_index(begun, caplog, damage):
    """A version before there were indices began it, or the file is damaged; there is one afterwards."""
    run, reading = begun
    path = run.path("index.npz")
    whole = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    assert go_on(run)
    assert reading == ["en", "de"]
    assert ("index.npz is damaged" in caplog.text) == (damage is not None)
    assert go_on(run)
    assert reading == ["en", "de"]


def test_other_numbers_of_held_out_pairs_are_another_index(begun):
    run, _ = begun
    paths = tmp_file(run, "en"), tmp_file(run, "de")
    assert index.load(run.path("index.npz"), index.origin(paths, (5, 6)))
    assert index.load(run.path("index.npz"), index.origin(paths, (6, 5))) is None
    assert index.load(run.path("index.npz"), index.origin(paths[::-1], (5, 6))) is None
    assert index.load(run.path("index.npz"), index.origin(paths[:1], (5, 6))) is None


def test_an_index_of_a_table_is_read_back(text):
    table = text / "pairs.tsv"
    table.write_text("".join(f"{source}\t{target}\tby X\n\n" for source, target in ALL), encoding="utf-8")
    texts = read_texts(toy.settings(text, data__train={"tsv": str(table)}).data)
    origin = index.origin((table,), (5, 0))
    lengths = np.arange(55, dtype="int32"), np.arange(55, dtype="int32") * 2
    parts = {"train": texts.train, "development": texts.development}
    (text / "index.npz").write_bytes(index.Index(parts, {"pieces.model": "abc"}, lengths).packed(origin))
    found = index.load(text / "index.npz", origin)
    assert found.parts == parts
    assert found.parts["train"].notes == texts.train.notes == {"empty": 60}
    assert found.pieces == {"pieces.model": "abc"}
    for length, expected in zip(found.lengths, lengths, strict=True):
        np.testing.assert_array_equal(length, expected)


def test_a_missing_file_leaves_no_directory(text):
    (text / "train.de").unlink()
    with pytest.raises(CorpusError, match=r"train\.de does not exist"):
        experiment.train(toy.settings(text), text / "run")
    assert not (text / "run").exists()


def test_pieces_are_learnt_on_a_sample_of_large_text(text, monkeypatch, caplog):
    monkeypatch.setattr(experiment.pieces, "LARGEST_TEXT", 1000)
    with pytest.raises(CorpusError), caplog.at_level("INFO", "nmt"):  # far enough
        experiment.train(toy.settings(text, training__batch_tokens=9000), text / "run")
    used, of = map(int, re.search(r"training pieces on (\d+) of (\d+) sentences", caplog.text).groups())
    assert of == 110
    assert 30 < used < 70


def test_a_run_without_weights_cannot_be_loaded(text):
    with pytest.raises(RunError, match="has no trained weights yet"):
        load_model(Run.open(text / "run", toy.settings(text)))


def test_text_smaller_than_a_batch_is_refused(text):
    message = r"smaller than a batch: .* training\.batch_tokens: 9000; lower batch_tokens"
    with pytest.raises(CorpusError, match=message):
        experiment.train(toy.settings(text, training__batch_tokens=9000), text / "run")


def test_text_of_long_pairs_alone_is_refused(text):
    for language in ("en", "de"):
        path = text / f"train.{language}"
        path.write_text("".join(f"{line} {line}\n" for line in path.read_text().splitlines()))
    with pytest.raises(CorpusError, match=r"no pair has at most data\.max_length: 1 pieces on both sides; raise it"):
        experiment.train(toy.settings(text, data__max_length=1), text / "run")


def test_long_pairs_are_left_out_of_training_and_counted(text, caplog):
    with pytest.raises(CorpusError):  # far enough
        experiment.train(toy.settings(text, data__max_length=3, training__batch_tokens=9000), text / "run")
    source, target = Run.find(text / "run").pieces()
    train = read_texts(toy.settings(text).data).train
    long = sum(len(source.encode(s)) > 3 or len(target.encode(t)) > 3 for s, t in pairs(train))
    assert 0 < long < len(train)
    assert f"training text: {long} pairs over 3 pieces are left out" in caplog.text
