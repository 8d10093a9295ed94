"""The compact model against the Keras model that it is made from, and what becomes of a damaged one."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import toy

import nmt
from nmt import compact, experiment, search
from nmt.batches import pad_source
from nmt.cli import CHUNK
from nmt.engines.compact_engine import CompactEngine, session
from nmt.engines.keras_engine import KerasEngine
from nmt.export import compact as exported
from nmt.export.graph import Graph, quantized
from nmt.run import Run
from nmt.symbols import BOS, EOS, PAD

NMT = Path(sys.executable).with_name("nmt")
SIZE = 40
SOURCES = [[9, 5, 30, 8, 12, EOS], [7, EOS], [20, 21, 22, EOS], [4, 4, 11, 31, EOS]]
FLAVOURS = {
    "one layer": {"model__encoder_layers": 1, "model__decoder_layers": 1, "model__attention_heads": 1},
    "heads": {"model__encoder_layers": 1, "model__decoder_layers": 1, "model__attention_units": 12},
    "stacks": {"model__encoder_layers": 3, "model__decoder_layers": 3},
    "deep encoder": {"model__decoder_layers": 1},
    "parallel": {"model__flow": "parallel"},
    "parallel, one encoder layer": {"model__flow": "parallel", "model__encoder_layers": 1},
    "untied": {"model__tying": "none", "model__embedding_units": 7},
    "tied output": {"model__tying": "output"},
}


def write(model, directory, int8):
    directory.mkdir()
    (directory / "encoder.onnx").write_bytes(exported.encoder(model, Graph(int8)))
    (directory / "step.onnx").write_bytes(exported.step(model, Graph(int8)))
    return CompactEngine(directory, threads=1)


def decided(**changes):
    model = toy.decided_model(SIZE, **changes)
    for variable in model.trainable_variables:  # the gains and shifts of normalisation among them
        variable.assign(np.asarray(variable) / 1.8)
    return model


def followed(engine, beam_size, sources=SOURCES, steps=5):
    """Log-probabilities [steps, R, V] of all pieces along a made-up way through the beam."""
    expand, state, memory = engine.start(pad_source(sources), beam_size, 2 * beam_size)
    rows = len(sources) * beam_size
    tokens, parents = np.full(rows, BOS, "int32"), np.arange(rows, dtype="int32")
    random = np.random.default_rng(1)
    found = []
    for _ in range(steps):
        (best, ids, _), state = expand(tokens, parents, None, state, memory)
        by_piece = np.full((rows, SIZE), np.nan, "float32")
        np.put_along_axis(by_piece, np.asarray(ids, "int64"), best, axis=1)
        found.append(by_piece)
        tokens = random.integers(4, SIZE, rows).astype("int32")
        within = random.integers(0, beam_size, rows)  # parents of the same sentence, in any order
        parents = (np.arange(rows) // beam_size * beam_size + within).astype("int32")
    return np.stack(found)


@pytest.fixture(scope="module", params=FLAVOURS)
def model(request):
    return decided(**FLAVOURS[request.param])


@pytest.mark.parametrize("beam_size", [1, SIZE // 2])
def test_float32_says_what_keras_says(model, beam_size, tmp_path):
    expected = followed(KerasEngine(model), beam_size)
    found = followed(write(model, tmp_path / "compact", int8=False), beam_size)
    if beam_size > 1:  # all pieces are candidates
        assert np.isneginf(found[..., [PAD, BOS]]).all()
        assert np.ptp(expected[np.isfinite(expected)]) > 3  # it is decided
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_int8_says_nearly_what_keras_says(model, tmp_path):
    expected = followed(KerasEngine(model), SIZE // 2)
    found = followed(write(model, tmp_path / "compact", int8=True), SIZE // 2)
    possible = np.isfinite(expected)
    apart = np.abs(found[possible] - expected[possible]) / np.ptp(expected[possible])
    assert (
        1e-6 < apart.mean() < 0.02
    )  # every product is a sum of few roundings, so they do not cancel as in a large one
    assert apart.max() < 0.1


def test_in_int8_a_sentence_hears_little_of_its_batch(model, tmp_path):
    engine = write(model, tmp_path / "compact", int8=True)
    together = followed(engine, 1, steps=1)
    for number, source in enumerate(SOURCES):
        alone = followed(engine, 1, [source], steps=1)
        both = np.isfinite(alone[0, 0]) & np.isfinite(together[0, number])
        assert np.abs(alone[0, 0][both] - together[0, number][both]).max(initial=0) < 0.5


def test_a_sentence_is_translated_alike_in_every_batch(model, tmp_path):
    engine = write(model, tmp_path / "compact", int8=False)
    together = search.beam(*engine.start(pad_source(SOURCES), 3, 6), 3, [9] * len(SOURCES), 1.0)
    for number, source in enumerate(SOURCES):
        alone = search.beam(*engine.start(pad_source([source], length=11), 3, 6), 3, [9], 1.0)
        np.testing.assert_array_equal(alone.ids[0], together.ids[number])
        np.testing.assert_allclose(alone.scores[0], together.scores[number], atol=1e-4)


def test_the_step_tells_where_it_looks(tmp_path):
    """Attention weights: of each row over its source, their sum 1 and none on padding; against the Keras layer."""
    model = decided(model__decoder_layers=1)
    write(model, tmp_path / "compact", int8=False)
    sessions = [onnxruntime.InferenceSession(tmp_path / "compact" / f"{name}.onnx") for name in ("encoder", "step")]
    source = pad_source(SOURCES)
    lengths = (source != PAD).sum(axis=1).astype("int32")
    values, keys, mask, hidden = sessions[0].run(None, {"source": source, "lengths": lengths})
    inputs = {"values": values, "keys": keys, "mask": mask, "hidden_1": hidden, "cell_1": np.zeros_like(hidden)}
    rows = np.arange(len(source), dtype="int32")
    inputs |= {"tokens": np.full(len(source), BOS, "int32"), "parents": rows, "candidates": np.array([2])}
    (weights,) = sessions[1].run(["attention"], inputs)
    memory = model.encode(source)
    state = model.initial_state(memory)
    _, expected = model.decoder.flow.attention(keras.ops.expand_dims(state.hidden[0], 1), memory)  # [B, 1, N, S]
    np.testing.assert_allclose(weights, np.asarray(expected)[:, 0].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert (weights[source == PAD] == 0).all()


def test_a_product_of_integers_is_what_numpy_says(tmp_path):
    random = np.random.default_rng(2)
    x, kernel = np.tanh(random.normal(size=(5, 7))).astype("float32"), random.normal(size=(7, 4)).astype("float32")
    bias = random.normal(size=4).astype("float32")
    graph = Graph(int8=True)
    product = graph.product(graph.input("x", "float32", ["B", 7]), kernel, bias)
    graph.output("y", product, "float32", ["B", 4])
    (tmp_path / "product.onnx").write_bytes(graph.serialized("product"))
    (found,) = session(tmp_path / "product.onnx", threads=1).run(None, {"x": x})
    scales = np.abs(kernel).max(axis=0) / 127
    integers = np.rint(x * 127).astype("int64") @ np.rint(kernel / scales).astype("int64")
    np.testing.assert_allclose(found, integers * scales / 127 + bias, atol=1e-5)
    np.testing.assert_allclose(found, x @ kernel + bias, atol=0.1)


def test_integers_and_scales_give_the_array_back():
    array = np.random.default_rng(1).normal(size=(30, 20)).astype("float32")
    array[:, 3] = 0
    array[:, 4] *= 1000
    integers, scales = quantized(array, axis=0)
    assert integers.dtype == np.int8
    assert (np.abs(integers).max(axis=0) == [0 if column == 3 else 127 for column in range(20)]).all()
    assert (np.abs(integers * scales - array) <= scales / 2 + 1e-6).all()


# --- the directory ---


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    text = toy.write_text(tmp_path_factory.mktemp("text"))
    return toy.write_run(text / "run", text, data__test=6)


@pytest.fixture(scope="module")
def directory(run, tmp_path_factory):
    """What the command makes of the run."""
    experiment.evaluate([run], experiment.read_text(run, "test"))
    made = tmp_path_factory.mktemp("exports") / "toy"
    command = ["export", run.directory, made, "--to", "compact", "--precision", "float32", "--licence", "MIT"]
    done = subprocess.run([NMT, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"nmt translate {made} < text.en" in done.stderr
    return made


LINES = ["one two three", "", "nine", "four four four seven", "ten ten", "eight one five two two"]


def test_it_translates_as_the_run_does(run, directory):
    for settings in (("search.beam_size=1",), ("search.beam_size=3", "search.length_penalty=0.4")):
        expected = nmt.load(run.directory, settings=settings).translate_scored(LINES)
        found = nmt.load(directory, settings=settings).translate_scored(LINES)
        assert [one.text for one in found] == [one.text for one in expected]
        np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=1e-4)
        assert [one.finished for one in found] == [one.finished for one in expected]


def test_the_command_translates_without_a_framework(directory, run, tmp_path):
    (tmp_path / "text.en").write_text("\n".join(LINES) + "\n")
    program = (
        "import sys; sys.argv[0] = 'nmt'\n"
        "from nmt.cli import commands\n"
        "commands(standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'onnx', 'sacrebleu', 'matplotlib'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "translate", directory, tmp_path / "text.en"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == nmt.load(run.directory).translate(LINES)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_card_tells_what_it_is(directory, run):
    card = json.loads((directory / "compact.json").read_text())
    assert card["languages"] == ["en", "de"]
    assert card["precision"] == "float32"
    assert card["licence"] == "MIT"
    assert card["data"]["train"]["pairs"] == len(experiment.read_text(run, "train"))
    assert card["scores"][0]["name"] == "BLEU"
    assert set(card["files"]) == {path.name for path in directory.iterdir()} - {"compact.json"}
    page = (directory / "README.md").read_text()
    weights = sum(variable.size for variable in run.load_best().values())
    for told in ("en → de", "MIT", f"BLEU {card['scores'][0]['value']:.2f}", f"{weights:,} weights in float32"):
        assert told in page


def test_int8_is_what_is_exported_where_nothing_is_said(run, tmp_path):
    command = [NMT, "export", run.directory, tmp_path / "new", "--to", "compact"]
    subprocess.run(command, check=True, capture_output=True)
    assert json.loads((tmp_path / "new" / "compact.json").read_text())["precision"] == "int8"
    assert all(nmt.load(tmp_path / "new").translate(["one two", "seven"]))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "exists already; export into a new directory, or remove this one first" in done.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "step.onnx").unlink(), "step.onnx is missing; copy the whole directory again"),
        (
            lambda path: (path / "step.onnx").write_bytes((path / "step.onnx").read_bytes()[:-100]),
            r"step.onnx is not the file that was exported \([\d,]+ bytes\): it is damaged, cut off or changed",
        ),
        (
            lambda path: (path / "compact.json").write_text('{"format": 1'),
            "compact.json cannot be read: .*copy it again",
        ),
        (lambda path: (path / "compact.json").write_text("[]"), "compact.json cannot be read"),
        (
            lambda path: (path / "compact.json").write_text('{"format": "1", "files": {}, "nmt": "x"}'),
            "not as nmt writes",
        ),
        (
            lambda path: (path / "compact.json").write_text('{"format": 9, "files": {}, "nmt": "3.0"}'),
            r"by a newer nmt \(3.0, format 9; this one reads format 1\); upgrade nmt",
        ),
        (
            lambda path: (path / "compact.json").write_text('{"format": 0, "files": {}, "nmt": "0.0"}'),
            r"by an older nmt \(0.0, format 0; .*export the run once more",
        ),
    ],
)
def test_a_damaged_directory_is_refused(spoil, message, directory, tmp_path):
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(compact.CompactError, match=message):
        nmt.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("step.onnx"), r"names no step.onnx among its files"),
        (lambda files: files.pop("pieces.model"), r"names no pieces.model among its files"),
        (lambda files: files.update({"../../x": "0"}), r"names '../../x' among its files"),
    ],
)
def test_a_card_of_other_files_is_refused(change, message, directory, tmp_path):
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    card = json.loads((copy / "compact.json").read_text())
    change(card["files"])
    (copy / "compact.json").write_text(json.dumps(card))
    with pytest.raises(compact.CompactError, match=message):
        nmt.load(copy)


def test_a_recipe_of_a_newer_version_is_told_of(directory, tmp_path):
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    content = (copy / "trained-by.yaml").read_bytes() + b"later: 1\n"
    (copy / "trained-by.yaml").write_bytes(content)
    card = json.loads((copy / "compact.json").read_text())
    card["files"]["trained-by.yaml"] = hashlib.sha256(content).hexdigest()
    (copy / "compact.json").write_text(json.dumps(card))
    with pytest.raises(compact.CompactError, match=r"whose recipes this one cannot read; upgrade nmt(.|\n)*later"):
        nmt.load(copy)


def test_no_training_takes_it_for_a_run(directory, run):
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(ValueError, match="is a compact model, which `nmt translate`"):
        Run.find(directory)
    with pytest.raises(ValueError, match="exists and is no run"):
        Run.open(directory, run.recipe)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_what_cannot_be_changed_or_put_together_is_refused(directory, run):
    with pytest.raises(ValueError, match=r"device.kind=gpu: of a compact model only search and device.threads"):
        nmt.load(directory, settings=("device.kind=gpu",))
    with pytest.raises(ValueError, match="is a compact model, and those do not translate together"):
        nmt.load(directory, run.directory)
    with pytest.raises(ValueError, match="is a compact model, and those do not translate together"):
        nmt.load(run.directory, directory)
    with pytest.raises(ValueError, match=r"search.beam_size: received 0"):
        nmt.load(directory, settings=("search.beam_size=0",))


def test_graphs_that_the_runtime_does_not_know_are_told_of(directory, tmp_path):
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    (copy / "encoder.onnx").write_bytes(b"no graph")
    card = json.loads((copy / "compact.json").read_text())
    card["files"]["encoder.onnx"] = hashlib.sha256(b"no graph").hexdigest()
    (copy / "compact.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=rf"{re.escape(str(copy))} cannot be run: ONNX Runtime [\d.]+ says: "):
        nmt.load(copy)


def test_options_of_another_form_are_refused(run, tmp_path):
    command = [NMT, "export", run.directory, tmp_path / "new", "--to", "savedmodel"]
    done = subprocess.run([*command, "--precision", "int8"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--precision, --licence and --shortlist are of --to compact" in done.stderr


# --- what the command says ---


def told(directory, *options):
    command = [NMT, "translate", directory, *options]
    text = "".join(f"{line}\n" for line in LINES)
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=1800)


def test_the_command_gives_as_much_as_is_asked_for(directory, tmp_path):
    translator = nmt.load(directory)
    expected = translator.translate_scored(LINES, n_best=2, align=True)
    done = told(directory, "--n-best", "2", "--alignments", "--scores", "--batch", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    for row, one in zip(done.stdout.split("\n"), expected, strict=False):
        columns = []
        for found in (one, *one.alternatives):
            links = " ".join(f"{source}-{target}" for source, target in found.alignment or ())
            columns += [f"{found.score:.4f}", found.text] + ([] if found.alignment is None else [links])
        assert row.split("\t") == columns
    assert done.stdout.count("\n") == len(LINES)

    rows = [json.loads(row) for row in told(directory, "--n-best", "2", "--json").stdout.splitlines()]
    assert [row["translation"] for row in rows] == [one.text for one in expected]
    assert [row["score"] for row in rows] == pytest.approx([one.score for one in expected], abs=1e-4)
    assert [row.get("alternatives", [{}])[0].get("translation") for row in rows] == [
        one.alternatives[0].text if one.alternatives else None for one in expected
    ]
    assert [row["finished"] for row in rows] == [one.finished for one in expected]


def test_closed_streams_are_told_of(directory):
    closed_in = ["sh", "-c", '"$@" <&-', "sh"]  # the shell alone can start a program without a stream
    done = subprocess.run([*closed_in, NMT, "translate", directory], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: standard input is closed; expected text" in done.stderr
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", NMT, "--version"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(directory, tmp_path):
    (tmp_path / "text.en").write_text("one two\n" * 5000)
    command = [
        "sh",
        "-c",
        '"$1" translate "$2" --batch 2 < "$3" | head -n 1',
        "sh",
        NMT,
        directory,
        tmp_path / "text.en",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_it_waits_for_a_line(directory):
    command = [NMT, "translate", directory]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        one.stdin.write("one two\n")
        one.stdin.flush()
        assert one.stdout.readline()
        one.send_signal(signal.SIGINT)
        assert one.wait(timeout=300) == 130
        assert "Traceback" not in one.stderr.read()


def test_prefixes_go_line_by_line(directory, tmp_path):
    prefixes = tmp_path / "begun.de"
    prefixes.write_text("zw\n\n\nneun \n\nacht\n")
    rows = told(directory, "--prefixes", prefixes).stdout.splitlines()
    assert len(rows) == len(LINES)
    assert rows[0].startswith("zw")
    assert f"{rows[3]} ".startswith("neun ")
    assert rows[5].startswith("acht")
    done = told(directory, "--prefixes", "-")
    assert done.returncode == 2
    assert "both the text and --prefixes are -; expected two files" in done.stderr
    for text, many in (("zw\n", "fewer"), ("\n" * 9, "more")):
        prefixes.write_text(text)
        done = told(directory, "--prefixes", prefixes)
        assert done.returncode == 2
        assert f"{prefixes} has {many} lines than -; line i is for line i" in done.stderr


def test_what_comes_in_by_and_by_goes_out_by_and_by(directory):
    """The first translation is there before the second line is written."""
    command = [NMT, "translate", directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        said = []
        for line in ("one two", "", "seven"):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            said.append(process.stdout.readline())

        # A stream that never pauses: its first line is answered long before there are as many as are taken at once.
        answered, written = threading.Event(), []

        def go_on():
            while not answered.is_set() and len(written) < CHUNK:
                process.stdin.write("nine\n")
                process.stdin.flush()
                written.append("nine")
                time.sleep(0.02)
            process.stdin.close()

        writer = threading.Thread(target=go_on)
        writer.start()
        process.stdout.readline()
        answered.set()
        writer.join()
        assert len(written) < CHUNK
        assert len([process.stdout.readline() for _ in written[1:]]) == len(written) - 1
        assert process.stdout.read() == ""
        assert process.wait(timeout=300) == 0
    assert [line.rstrip("\n") for line in said] == nmt.load(directory).translate(["one two", "", "seven"])


def test_pairs_are_scored_as_the_keras_model_scores_them(directory, run, tmp_path):
    """The command with the compact model, against the run's model that is given the translations as targets."""
    source, target = toy.lines(12, seed=5)
    (tmp_path / "text.en").write_text("".join(f"{line}\n" for line in [*source, "", "one"]))
    (tmp_path / "text.de").write_text("".join(f"{line}\n" for line in [*target, "eins", ""]))
    command = [
        NMT,
        "score-pairs",
        directory,
        tmp_path / "text.en",
        tmp_path / "text.de",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [tuple(map(float, row.split("\t"))) for row in done.stdout.splitlines()]
    assert np.isnan(rows[12:]).all()  # they have a blank side
    model, (pieces, _) = experiment.load_model(run), run.pieces()
    for (total, mean), english, german in zip(rows, source, target, strict=False):
        ids = [*pieces.encode(german), EOS]
        logits = model({"source": pad_source([pieces.encode(english)]), "target_in": np.array([[BOS, *ids[:-1]]])})
        expected = np.asarray(keras.ops.log_softmax(logits))[0, np.arange(len(ids)), ids]
        assert total == pytest.approx(expected.sum(), abs=1e-3)
        assert mean == pytest.approx(expected.mean(), abs=1e-3)


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe one\n\x00two\nthree", b"", b"\n\n\n", "𝕠𝕟𝕖 \u202e\u200b\n".encode(), b"a" * 5000 + b"\n"]
)
def test_any_bytes_give_as_many_lines(directory, raw):
    command = [NMT, "translate", directory]
    done = subprocess.run(command, input=raw, capture_output=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == raw.count(b"\n") + bool(raw and not raw.endswith(b"\n"))


def test_a_translation_is_explained(directory, tmp_path):
    page, picture = tmp_path / "page.html", tmp_path / "picture.png"
    command = [NMT, "explain", directory, "one two three"]
    done = subprocess.run([*command, "--html", page, "--png", picture], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (said,) = nmt.load(directory).translate(["one two three"])
    found = nmt.load(directory).explain("one two three")
    assert done.stdout.splitlines()[0] == "one two three"
    assert done.stdout.splitlines()[3:] == str(found).splitlines()
    assert found.source == ["one", "two", "three"]
    assert len(found.target) == len(said.split()) or "⁇" in said
    np.testing.assert_allclose(found.attention.sum(axis=1), 1, atol=1e-5)
    assert '"source": ["one", "two", "three"]' in page.read_text()
    assert picture.read_bytes()[:4] == b"\x89PNG"
    given = nmt.load(directory).explain("one two three", "drei zwei eins")
    assert given.target == ["drei", "zwei", "eins"]

    for option, message in (
        (("--translation", " "), "nothing to explain"),
        (("--png", "x.doc"), "x.doc cannot be drawn"),
    ):
        done = subprocess.run([*command, *option], capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
