"""From a recipe to a run and back: what is read, what is refused, and that the parts fit together."""

import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy

from nmt import corpus, evaluation, experiment, index, recipe
from nmt.corpus import CorpusError
from nmt.engines.keras_engine import KerasEngine
from nmt.experiment import load_model, read_text, read_texts
from nmt.formats.document import Pair
from nmt.pieces import Encoded
from nmt.recipe import Files, Filters, Sampling
from nmt.run import Checkpoint, Run, RunError, weights_by_name
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


def test_training_ends_with_the_development_text_and_what_it_tells_of_confidence(trained, tmp_path):
    """Of the best weights, by the recipe's own search: what the command would find; and again where it was lost."""
    known = trained.read_json("confidence.json")
    scores = trained.read_json("evaluation-development.json")
    assert known["weights_sha256"] == trained.weights_checksum()
    assert experiment.confidence(trained).log_probabilities == known["calibration"]["log_probabilities"]
    copy = Run.find(shutil.copytree(trained.directory, tmp_path / "run"))
    spoilt = {"weights_sha256": "of others", "calibration": None}
    for left in (None, spoilt):  # killed before it was there; of other weights
        copy.path("confidence.json").unlink()
        if left:
            copy.write_json("confidence.json", left)
        assert experiment.confidence(copy) is None
        experiment.train(copy.recipe, copy.directory)
        assert copy.read_json("confidence.json") == known
        assert copy.read_json("evaluation-development.json") == scores
    # Another search says nothing of the one that translates.
    experiment.evaluate(
        [Run.find(copy.directory, ("search.beam_size=1",))], read_text(copy, "development"), "development"
    )
    assert copy.read_json("confidence.json") == known


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


MEMORY = """<?xml version="1.0"?>
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en-GB"><seg>one <ph>x</ph>two</seg></tuv><tuv xml:lang="de"><seg>eins&#9;
zwei</seg></tuv></tu>
<tu><tuv xml:lang="en-GB"><seg>only</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>drei &lt;</seg></tuv><tuv xml:lang="en-GB"><seg>three &lt;</seg></tuv></tu>
</body></tmx>
"""


def test_documents_are_read_by_the_recipes_languages(tmp_path, monkeypatch):
    """A memory is learnt from, a table with headings beside it, a catalogue steers, and JSON Lines are scored."""
    (tmp_path / "memory.tmx").write_text(MEMORY)
    (tmp_path / "table.csv").write_text('id,Deutsch,English\n1,"vier, fünf","four, five"\n2,,six\n')
    (tmp_path / "list.po").write_text('msgid "seven\\n"\nmsgstr "sieben\\n"\n\n#, fuzzy\nmsgid "no"\nmsgstr "nein"\n')
    (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress(b'{"translation": {"en": "eight", "de": "acht"}}\n'))

    def document(name, **more):
        return {"file": str(tmp_path / name), **more}

    data = toy.settings(
        tmp_path,
        data__train=document("memory.tmx"),
        data__mix=[document("table.csv", columns=["English", "2"])],
        data__development=document("list.po"),
        data__test=document("test.jsonl.gz"),
    ).data
    texts = read_texts(data)
    assert pairs(texts.train) == [("one two", "eins zwei"), ("three <", "drei <")]
    assert [corpus.line_of(texts.train, number) for number in range(2)] == [3, 6]
    assert pairs(texts.mixes["mix 1"]) == [("four, five", "vier, fünf")]
    assert pairs(texts.development) == [("seven", "sieben")]
    assert pairs(texts.test) == [("eight", "acht")]

    origin = experiment._origin(data)
    lengths = np.array([2, 2, 3], "int32"), np.array([3, 2, 3], "int32")
    parts = {"train": texts.train, **texts.mixes}
    (tmp_path / "index.npz").write_bytes(index.Index(parts, {}, lengths).packed(origin))
    found = index.load(tmp_path / "index.npz", origin)
    assert {name: pairs(part) for name, part in found.parts.items()} == {
        name: pairs(part) for name, part in parts.items()
    }
    with monkeypatch.context() as patched:  # another version reads the very same file otherwise
        others = [Pair("one two!", "eins zwei", 3), Pair("three <", "drei <", 6)]
        patched.setattr("nmt.formats.tmx.pairs", lambda *_: iter(others))
        assert index.load(tmp_path / "index.npz", origin) is None
    other = data.model_copy(update={"mix": [data.mix[0].model_copy(update={"columns": ["3", "2"]})]})
    assert index.load(tmp_path / "index.npz", experiment._origin(other)) is None


def test_of_a_broken_document_what_comes_before_can_be_read(tmp_path, caplog):
    (tmp_path / "memory.tmx").write_text(MEMORY.replace("</body>", "<tu><tuv></body>"))
    document = {"file": str(tmp_path / "memory.tmx")}
    (tmp_path / "dev.en").write_text("a\n")
    (tmp_path / "dev.de").write_text("b\n")
    data = toy.settings(tmp_path, data__train=document, data__development=files(tmp_path, "dev")).data
    with pytest.raises(ValueError, match=r"memory.tmx, line 7, column \d+: no well-formed XML: mismatched tag"):
        read_texts(data)
    data = toy.settings(
        tmp_path, data__train={**document, "salvage": True}, data__development=files(tmp_path, "dev")
    ).data
    assert pairs(read_texts(data).train) == [("one two", "eins zwei"), ("three <", "drei <")]
    assert "training text: a document is broken: pairs before that place, which are read: 2" in caplog.text
    (tmp_path / "memory.tmx").write_text("<tmx><body><tu></body>")  # nothing comes before
    with pytest.raises(ValueError, match="no well-formed XML"):
        read_texts(data)


def test_where_filters_leave_nothing_they_are_told(text):
    with pytest.raises(CorpusError, match=r"nothing is left of the training text to train on: .*filters.lengths.*: 60"):
        read_texts(toy.settings(text, data__filters={"lengths": 1}).data)


def test_a_tag_stands_before_each_source_and_in_the_index(text):
    changes = {"data__train": {**files(text, "train"), "tag": "<a>"}, "pieces__symbols": ["<a>", "<b>", "<c>"]}
    changes["data__mix"] = [{**files(text, "dev"), "tag": "<b>"}, files(text, "dev")]
    data = toy.settings(text, **changes, data__development=9, data__test={**files(text, "dev"), "tag": "<c>"}).data
    texts = read_texts(data)
    for name, part in texts.parts().items():
        tag = {"train": "<a> ", "development": "<a> ", "mix 1": "<b> ", "mix 2": "", "test": "<c> "}[name]
        assert all(source.startswith(tag) and not target.startswith("<") for source, target in pairs(part)), name
        assert {source.removeprefix(tag) for source in part.source} <= {source for source, _ in ALL} | set(
            toy.lines(8, seed=9)[0]
        )
    origin = experiment._origin(data)
    lengths = np.zeros(1, "int32"), np.zeros(1, "int32")
    parts = {name: part for name, part in texts.parts().items() if name != "test"}
    (text / "index.npz").write_bytes(index.Index(parts, {}, lengths).packed(origin))
    found = index.load(text / "index.npz", origin)
    assert {name: pairs(part) for name, part in found.parts.items()} == {
        name: pairs(part) for name, part in parts.items()
    }
    other = data.model_copy(update={"train": data.train.model_copy(update={"tag": None})})
    assert index.load(text / "index.npz", experiment._origin(other)) is None
    filtered = data.model_copy(update={"filters": Filters(duplicates=True)})
    assert index.load(text / "index.npz", experiment._origin(filtered)) is None


def test_what_is_held_out_in_files_is_left_out_and_the_index_knows_them(text):
    held = {"data__development": files(text, "dev"), "data__test": files(text, "train")}
    shared = [*toy.lines(8, seed=9)[0][:2], *(source for source, _ in ALL[:3])]
    (text / "mine.en").write_text("".join(f"{line}\n" for line in [*shared, "a new one"]))
    (text / "mine.de").write_text("".join(f"neu {number}\n" for number in range(6)))
    settings = {**held, "data__train": files(text, "mine"), "data__mix": [files(text, "mine")]}
    assert len(read_texts(toy.settings(text, **settings).data).train) == 6
    data = toy.settings(text, **settings, data__filters={"held_out": True}).data
    texts = read_texts(data)
    assert pairs(texts.train) == pairs(texts.mixes["mix 1"]) == [("a new one", "neu 5")]
    assert texts.train.notes["related"] == 5
    origin = experiment._origin(data)
    parts = {"train": texts.train, **texts.mixes}
    (text / "index.npz").write_bytes(index.Index(parts, {}, (np.zeros(1, "int32"),) * 2).packed(origin))
    assert index.load(text / "index.npz", experiment._origin(data)) is not None
    (text / "dev.en").write_text((text / "dev.en").read_text().replace("one", "two"))
    assert index.load(text / "index.npz", experiment._origin(data)) is None


def test_a_document_of_other_languages_says_which_it_has(tmp_path):
    (tmp_path / "memory.tmx").write_text(MEMORY)
    data = toy.settings(tmp_path, data__train={"file": str(tmp_path / "memory.tmx")}).data
    for language, hint in (("fr", "de, en-GB$"), ("en-US", "did you mean en-GB")):
        with pytest.raises(ValueError, match=f"memory.tmx has no text of the language {language}, but of .*{hint}"):
            read_texts(data.model_copy(update={"source_language": language}))
    (tmp_path / "notes.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    data = data.model_copy(update={"train": Files(file=str(tmp_path / "notes.srt"))})
    with pytest.raises(ValueError, match=r"notes\.srt holds one language, not two; expected one of \.tmx, \.po"):
        read_texts(data)


def test_files_of_as_many_lines_that_drift_apart_are_told_of(tmp_path, text, caplog):
    """A line of the target is missing in the middle, and there is one too many at its end."""
    words = [" ".join(["word"] * (1 + number * 7 % 23)) + "?" * (number % 5 == 0) for number in range(2000)]
    (tmp_path / "mine.en").write_text("\n".join(words))
    (tmp_path / "mine.de").write_text("\n".join([*words[:1000], *words[1001:], "and more"]))
    data = toy.settings(tmp_path, data__train=files(tmp_path, "mine"), data__development=files(text, "dev")).data
    read_texts(data)
    (warning,) = [record.getMessage() for record in caplog.records if "as many lines" in record.getMessage()]
    assert "mine.en and " in warning
    line = int(re.search("near line ([0-9,]+) 1 line is missing in the target", warning)[1].replace(",", ""))
    assert abs(line - 1001) <= 25
    assert f"{line:,}  'word" in warning
    caplog.clear()
    (tmp_path / "mine.de").write_text("\n".join(words))
    read_texts(data)
    assert "as many lines" not in caplog.text


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
    assert read_text(run, "test") == first.test
    assert read_text(run, "train") == first.train
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


def test_an_index_of_another_version_is_another(begun, monkeypatch):
    run, _ = begun
    monkeypatch.setattr(index, "VERSION", index.VERSION + 1)
    assert index.load(run.path("index.npz"), index.origin((tmp_file(run, "en"), tmp_file(run, "de")), (5, 6))) is None


def test_of_what_can_be_read_only_once_no_index_holds(tmp_path):
    """Nobody can tell whether it is the same."""
    once, path = Path("/dev/null"), tmp_path / "index.npz"
    (tmp_path / "file").write_text("a\n")
    for origin in (
        index.origin((once, once), (0, 0)),
        index.origin((tmp_path / "file",) * 2, (0, 0), {"mix 1": (once, once)}),
    ):
        path.write_bytes(index.Index({}, {}, (np.zeros(0, "int32"),) * 2).packed(origin))
        assert index.load(path, origin) is None


def test_of_a_broken_document_there_is_an_index_only_if_that_is_wanted(tmp_path):
    (tmp_path / "memory.tmx").write_text(MEMORY)
    document = {"file": str(tmp_path / "memory.tmx")}
    origins = [
        experiment._origin(toy.settings(tmp_path, data__train={**document, "salvage": salvage}).data)
        for salvage in (True, False)
    ]
    path = tmp_path / "index.npz"
    path.write_bytes(index.Index({}, {}, (np.zeros(0, "int32"),) * 2).packed(origins[0]))
    assert index.load(path, origins[0]) is not None
    assert index.load(path, origins[1]) is None


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


# --- text mixed in ---


@pytest.fixture
def mixed(text):
    """The recipe of 60 pairs and two texts mixed in: 20 pairs that count half, beside two blank ones, and 8 twice."""
    source, target = toy.lines(20, seed=4)
    rows = "".join(f"{a}\t{b}\n" for a, b in zip(source, target, strict=True))
    (text / "more.tsv").write_text(rows + "\tleer\n\n", encoding="utf-8")
    mix = [{"tsv": str(text / "more.tsv"), "weight": 0.5}, {**files(text, "dev"), "weight": 2}]
    return toy.settings(text, data__development=files(text, "dev"), data__mix=mix)


def planned(recipe, directory):
    """The plan that a training of ``recipe`` begins with; the recipe asks for batches that the text does not fill."""
    with pytest.raises(CorpusError, match="smaller than a batch"):  # far enough
        experiment.train(recipe, directory)
    run, texts = Run.find(directory), read_texts(recipe.data)
    known = index.load(run.path("index.npz"), experiment._origin(recipe.data))
    return experiment._training_plan(run, texts, run.pieces(), known.lengths)


def with_large_batches(recipe, **changes):
    training = recipe.training.model_copy(update={"batch_tokens": 9000})
    return recipe.model_copy(update={"training": training, **changes})


def test_texts_are_mixed_in_after_the_training_text_with_their_weights(mixed, text, caplog):
    with caplog.at_level("INFO", "nmt"):
        plan = planned(with_large_batches(mixed), text / "run")
    assert plan.shares == ((60, 1.0), (20, 0.5), (8, 2.0))
    assert "60 + 20 x 0.5 + 8 x 2 pairs to train on, 8 to develop on" in caplog.text
    assert "mix 1 text: pairs with an empty side, dropped: 2" in caplog.text
    run = Run.find(text / "run")
    more, twice = list(zip(*toy.lines(20, seed=4), strict=True)), list(zip(*toy.lines(8, seed=9), strict=True))
    source, target = run.pieces()
    everything = [*ALL, *more, *twice]
    assert [source.decode(ids) for ids in plan.source] == [pair[0] for pair in everything]
    assert [target.decode(ids) for ids in plan.target] == [pair[1] for pair in everything]
    assert len(plan.pairs(0)) == 60 + 10 + 16
    assert {name: part["pairs"] for name, part in run.read_json("corpus.json").items()} == {
        "train": 60,
        "development": 8,
        "mix 1": 20,
        "mix 2": 8,
    }


def test_what_is_held_out_is_read_without_what_was_mixed_in(text):
    (text / "tagged.tsv").write_text("<BT> one\teins\n")
    mix = [{"tsv": str(text / "tagged.tsv")}]
    run = toy.write_run(text / "run", text, data__test=4, data__mix=mix)
    before = read_text(run, "test")
    assert len(before) == 4
    (text / "tagged.tsv").unlink()
    assert read_text(run, "test") == before


def test_pieces_are_learnt_from_all_text(mixed, text):
    (text / "more.tsv").write_text("quick\tÿ\n" * 30, encoding="utf-8")
    planned(with_large_batches(mixed), text / "run")
    pieces, _ = Run.find(text / "run").pieces()
    assert {"q", "ÿ"} <= set("".join(pieces.text_of(range(pieces.size))))


def test_long_pairs_are_left_out_of_what_is_mixed_in(mixed, text, caplog):
    data = mixed.data.model_copy(update={"max_length": 8})
    recipe = with_large_batches(mixed, data=data)
    plan = planned(recipe, text / "run")
    texts, pieces = read_texts(data), Run.find(text / "run").pieces()
    for share, (name, part) in zip(plan.shares, {"training": texts.train, **texts.mixes}.items(), strict=True):
        short = [len(pieces[0].encode(s)) <= 8 and len(pieces[1].encode(t)) <= 8 for s, t in pairs(part)]
        assert 0 < share.pairs == sum(short) < len(part)
        assert f"{name} text: {len(part) - sum(short)} pairs over 8 pieces are left out" in caplog.text


def test_the_index_knows_the_texts_mixed_in_and_a_changed_one_is_refused(mixed, text, monkeypatch):
    recipe = with_large_batches(mixed)
    planned(recipe, text / "run")
    first = read_texts(recipe.data)
    run = Run.find(text / "run")
    run.save_checkpoint(Checkpoint(1, [], {}))
    known = index.load(run.path("index.npz"), experiment._origin(recipe.data))
    with monkeypatch.context() as patch:
        reading = []
        patch.setattr(corpus, "read_tsv", lambda path: reading.append(path))
        again = read_texts(recipe.data, known)
        assert again.mixes == first.mixes
        assert again.train == first.train
    assert reading == []
    assert [len(lengths) for lengths in known.lengths] == [88, 88]
    encoded = run.pieces()[1].encode_lines(first.mixes["mix 1"].target)
    assert known.lengths[1][60:80].tolist() == list(map(len, encoded))

    path = text / "more.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("eins", "ein5", 1), encoding="utf-8")
    assert index.load(run.path("index.npz"), experiment._origin(recipe.data)) is None
    with pytest.raises(RunError, match=r"the mix 1 text is no longer what .* was trained on"):
        experiment.train(recipe, text / "run")


def test_an_index_of_before_there_were_mixes_is_read(begun):
    run, _ = begun
    path = run.path("index.npz")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(arrays["about"].tobytes())
    del about["mixes"]
    np.savez(path, **arrays | {"about": np.frombuffer(json.dumps(about).encode(), "uint8")})
    files = tmp_file(run, "en"), tmp_file(run, "de")
    assert len(index.load(path, index.origin(files, (5, 6))).parts["train"]) == 49
    assert index.load(path, index.origin(files, (5, 6), {"mix 1": files})) is None


def test_held_out_sentences_are_not_mixed_in_again(text):
    """Pairs are held out of the training text alone; a text mixed in may hold the same sentences, on either side."""
    _, target = toy.lines(60)
    (text / "back.tsv").write_text("".join(f"noise {i}\t{b}\n" for i, b in enumerate(target)), encoding="utf-8")
    data = toy.settings(text, data__development=7, data__test=5, data__mix=[{"tsv": str(text / "back.tsv")}]).data
    plain = read_texts(data.model_copy(update={"mix": []}))
    texts = read_texts(data)
    assert (texts.train, texts.development, texts.test) == (plain.train, plain.development, plain.test)
    held_out = {*texts.development.target, *texts.test.target}
    assert list(texts.mixes["mix 1"].target) == [line for line in target if line not in held_out]
    assert texts.mixes["mix 1"].notes["related"] == 12


def test_a_text_of_blanks_mixed_in_is_refused(mixed, text):
    (text / "more.tsv").write_text("\n\n")
    with pytest.raises(CorpusError, match=r"nothing is left of the mix 1 text, of data\.mix: .* leave it out"):
        read_texts(mixed.data)


def test_a_text_mixed_in_may_be_of_a_known_corpus(text, monkeypatch):
    asked = []

    def locate(corpus, name):
        asked.append((corpus, name))
        return Path(name)

    monkeypatch.setattr(experiment.catalogue, "locate", locate)
    mix = [{**files(text, "dev"), "corpus": "multi30k"}, files(text, "train")]
    texts = read_texts(toy.settings(text, data__mix=mix).data)
    assert [len(mix) for mix in texts.mixes.values()] == [8, 55]
    assert asked == [("multi30k", str(text / "dev.en")), ("multi30k", str(text / "dev.de"))]


def test_processes_that_train_together_must_agree_in_what_is_mixed_in_but_not_where_it_lies(mixed, text):
    found = experiment._common(mixed, read_texts(mixed.data))
    elsewhere = text / "elsewhere.tsv"
    shutil.copy(text / "more.tsv", elsewhere)

    def changed(**changes):
        mix = [mixed.data.mix[0].model_copy(update=changes), mixed.data.mix[1]]
        recipe = mixed.model_copy(update={"data": mixed.data.model_copy(update={"mix": mix})})
        return experiment._common(recipe, read_texts(recipe.data))

    assert changed(tsv=str(elsewhere)) == found
    different = changed(weight=0.25)
    assert [name for name in found if different[name] != found[name]] == ["recipe"]
    elsewhere.write_text("one\teins\n")
    different = changed(tsv=str(elsewhere))
    assert [name for name in found if different[name] != found[name]] == ["mix 1 text"]


# --- sampled segmentations ---


def test_sampling_is_of_the_side_and_the_text_that_the_recipe_says(mixed, text):
    pieces = mixed.pieces.model_copy(update={"sampling": Sampling(target=0.1)})
    plan = planned(with_large_batches(mixed, pieces=pieces), text / "run")
    plain = planned(with_large_batches(mixed), text / "plain")
    np.testing.assert_array_equal(plan.source_lengths(1), plain.source_lengths(1))
    assert plan.target_lengths(0).sum() > 1.2 * plain.target_lengths(0).sum()
    assert (plan.target_lengths(0) != plan.target_lengths(1)).any()
    decode = Run.find(text / "run").pieces()[1].decode
    assert [decode(ids) for ids in plan.target.epoch(1).take(np.arange(88))] == [decode(ids) for ids in plain.target]

    run = Run.find(text / "run")
    development = experiment._plan(run, read_texts(mixed.data).development, *run.pieces(), 60)
    assert isinstance(development.target, Encoded)


def test_both_sides_of_a_joint_model_are_sampled_each_for_itself(text):
    """Where both sides are the same text, as in a training to copy."""
    files = {"source": str(text / "train.en"), "target": str(text / "train.en")}
    settings = {"data__train": files, "pieces__sampling": {"source": 0.1, "target": 0.1}}
    plan = planned(toy.settings(text, **settings, training__batch_tokens=9000), text / "run")
    sides = [side.epoch(0).take(np.arange(55)) for side in (plan.source, plan.target)]
    assert sum(a != b for a, b in zip(*sides, strict=True)) > 20


@pytest.mark.parametrize("sampling", [{}, {"source": 0.05}])
def test_fixed_lengths_reach_what_any_epoch_may_bring(text, monkeypatch, sampling):
    recipe = toy.settings(text, data__max_length=30, pieces__sampling=sampling, training__batch_tokens=9000)
    planned(recipe, text / "run")
    run, texts = Run.find(text / "run"), read_texts(recipe.data)
    jax = recipe.model_copy(update={"device": recipe.device.model_copy(update={"backend": "jax"})})
    known = index.load(run.path("index.npz"), experiment._origin(recipe.data))
    plan = experiment._training_plan(Run(run.directory, jax), texts, run.pieces(), known.lengths)
    first = int(np.maximum(plan.source_lengths(0), plan.target_lengths(0)).max())
    assert plan.lengths[-1] == (31 if sampling else first)
    assert first in plan.lengths


def test_symbols_of_the_recipe_are_pieces(text):
    (text / "train.en").write_text("".join(f"<BT> {line}\n" for line in toy.lines(60)[0]), encoding="utf-8")
    recipe = toy.settings(text, pieces__symbols=["<BT>"], training__batch_tokens=9000)
    planned(recipe, text / "run")
    pieces, _ = Run.find(text / "run").pieces()
    assert pieces.text_of(pieces.encode("<BT> one"))[:2] == ["▁", "<BT>"]


@pytest.mark.parametrize(("joint", "masks"), [(True, True), (False, True), (True, False)])
def test_masks_are_learnt_where_the_text_has_enough_marks(text, joint, masks):
    for number, language in enumerate(("en", "de")):
        lines = [f"{{name{i}}} {line}" for i, line in enumerate(toy.lines(60)[number])]
        (text / f"train.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    recipe = toy.settings(
        text,
        pieces__joint=joint,
        pieces__masks=masks,
        training__batch_tokens=9000,
        model__tying="three_way" if joint else "output",
    )
    plan = planned(recipe, text / "run")
    for side, sentences in zip(Run.find(text / "run").pieces(), (plan.source, plan.target), strict=True):
        assert side.masks.known == ({"⟦mark1⟧"} if masks else set())
        assert ("{" in "".join(side.text_of(range(side.size)))) != masks
        rows = sentences.take(range(len(sentences)))
        assert [side.text_of(row).count("⟦mark1⟧") for row in rows] == [int(masks)] * len(rows)
