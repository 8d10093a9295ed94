"""SavedModels against the toolkit itself: exported here, loaded in fresh processes that cannot import the toolkit."""

import errno
import json
import random
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from nmt import model as models
from nmt import pieces, recipe, translation
from nmt.batches import pad_source
from nmt.engines.keras_engine import KerasEngine
from nmt.export import savedmodel
from nmt.export.savedmodel import ExportError, export
from nmt.symbols import BOS, EOS, PAD

SMALL = {"embedding_units": 8, "encoder_units": 6, "decoder_units": 7, "attention_units": 6, "readout_units": 8}
FLOWS = {
    "recurrent": recipe.Model(**SMALL, flow="recurrent", tying="output"),
    "parallel": recipe.Model(
        **SMALL, flow="parallel", encoder_layers=2, decoder_layers=2, attention_heads=2, tying="none"
    ),
}
# An odd number of pieces makes half a piece of the limit, which must be rounded down.
BEAM = recipe.Search(
    loop_guard=False, beam_size=4, length_penalty=0.8, max_length_factor=1.5, max_length_extra=3, coverage_penalty=0.2
)
GREEDY = BEAM.model_copy(update={"beam_size": 1})
CASES = [
    pytest.param(("recurrent", BEAM), id="recurrent"),
    pytest.param(("recurrent", GREEDY), id="recurrent-greedy", marks=pytest.mark.slow),
    pytest.param(("parallel", BEAM), id="parallel", marks=pytest.mark.slow),
]

# What a tokenizer may stumble over; the last two are not UTF-8.
HARD_LINES = [
    "",
    "   ",
    "\u200b",
    "\0",
    "ka\0lo",
    "ka\u2028lo",
    "😀 tu",
    "  ka   lo ",
    "日本語 ½ ﬁ",
    "e\u0301",
    "</s> <s>",
]
HARD_LINES += [f"ka{control}lo" for control in "\x01\t\x1f\x7f\x80\x85\x9f\u2029"]  # as \0 and U+2028: blanks
HARD_LINES += ["\ufeffmi", b"ka \xff\xfe lo", b"mi\xe2\x82 tu"]

CLIENT = """
import json, os, sys
for missing in {missing}:
    sys.modules[missing] = None  # importing it fails
os.chdir({directory!r})
{readme}
answers = []
for batch in json.load(sys.stdin):
    if "{name}" == "text":
        tensor = tf.constant([bytes.fromhex(line) for line in batch], tf.string)
    else:
        tensor = tf.reshape(tf.constant(batch, tf.int32), (len(batch), -1 if batch else 0))
    answers.append({{key: value.numpy().tolist() for key, value in translate({name}=tensor).items()}})
json.dump(answers, open({answers!r}, "w"), default=bytes.decode)
"""


def generated_lines(count, seed):
    """Words of random syllables."""
    chance = random.Random(seed)
    syllables = ("ka", "lo", "mi", "tu", "re", "sün", "ße", "pf", "äh", "nu")

    def word():
        return "".join(chance.choices(syllables, k=chance.randint(1, 4)))

    return [" ".join(word() for _ in range(chance.randint(1, 9))) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def both_pieces(tmp_path_factory):
    """Piece models of source and target, which differ in size and in pieces."""
    directory = tmp_path_factory.mktemp("pieces")
    lines = generated_lines(60, seed=1)
    settings = {"character_coverage": 1.0, "byte_fallback": True}
    return (
        pieces.train(lines, directory / "source.model", size=310, **settings),
        pieces.train([line.upper() for line in lines], directory / "target.model", size=300, **settings),
    )


def build(flow, both_pieces):
    """A model with random weights, large enough for most sentences to get a translation of their own."""
    model = models.build(FLOWS[flow], both_pieces[0].size, both_pieces[1].size)
    model.set_weights([3 * weight for weight in model.get_weights()])
    bias = np.zeros(both_pieces[1].size)
    bias[EOS] = {"recurrent": 2, "parallel": 4}[flow]  # so that some translations end before their limit
    model.output_bias.assign(bias)
    return model


@pytest.fixture(scope="module", params=CASES)
def case(request, both_pieces, tmp_path_factory):
    """A model, how it searches, and the directory it was exported to, as if the machine had a GPU."""
    flow, search = request.param
    model = build(flow, both_pieces)
    directory = tmp_path_factory.mktemp("exports") / "new" / "directory"
    with pytest.MonkeyPatch.context() as patch:
        pretend_gpu(patch)
        export(model, *both_pieces, search, directory)
    return model, search, directory


def pretend_gpu(patch):
    """Let Keras see a GPU, so that it takes cuDNN wherever it may."""
    devices = tf.config.list_logical_devices
    patch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"] if kind == "GPU" else devices(kind))


def call(directory, name, batches, missing):
    """The answers of the SavedModel ``name`` to ``batches``, from a new process that starts as the README says."""
    section = (directory / "README.md").read_text(encoding="utf-8").split(f"## `{name}/`")[1]
    readme = section.split("\n\n")[1].replace("    ", "")
    answers = directory.parent / f"{name}.json"
    client = CLIENT.format(name=name, missing=missing, directory=str(directory), readme=readme, answers=str(answers))
    command = [sys.executable, "-I", "-c", client]
    done = subprocess.run(command, input=json.dumps(batches), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(answers.read_text(encoding="utf-8"))


def batched(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def together(answers, name):
    return [row for answer in answers for row in answer[name]]


def test_text_in_a_fresh_process_translates_as_the_toolkit(case, both_pieces):
    model, search, directory = case
    lines = [*generated_lines(100 - len(HARD_LINES), seed=2), *HARD_LINES]
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    readable = [line.decode(errors="replace") for line in raw]
    expected = translation.translate(KerasEngine(model), both_pieces, readable, search)
    assert len({found.text for found in expected}) > 60  # the model does tell sentences apart

    coded = [line.hex() for line in raw]
    batches = [*batched(coded, 7), *batched(coded, 1), []]
    *answers, empty = call(directory, "text", batches, missing=("nmt", "sentencepiece"))
    assert together(answers, "translation") == 2 * [found.text for found in expected]
    np.testing.assert_allclose(together(answers, "score"), 2 * [found.score for found in expected], rtol=0, atol=1e-4)
    assert empty == {"translation": [], "score": []}

    blank = [number for number, line in enumerate(readable) if not both_pieces[0].encode(line)]
    assert len(blank) >= 3
    assert {expected[number] for number in blank} == {translation.Translation("", 0.0)}


def test_ids_in_a_fresh_process_are_those_of_the_toolkit(case, both_pieces):
    model, search, directory = case
    sources = [ids for ids in both_pieces[0].encode_lines(generated_lines(30, seed=3)) if ids]
    best = [found[0] for found in translation.best(sources, KerasEngine(model), search)]
    expected = [[piece for piece in one.ids if piece != PAD] for one in best]
    assert {ids[-1] == EOS for ids in expected} == {True, False}  # some end by themselves, some at their limit

    batches = [pad_source(batch).tolist() for size in (7, 1) for batch in batched(sources, size)]
    blank = [[17, 42, EOS], [EOS, PAD, PAD], [PAD, PAD, PAD]]
    missing = ("nmt", "sentencepiece", "tensorflow_text")
    *answers, beside_blank, empty = call(directory, "ids", [*batches, blank, []], missing)
    for answer in answers:
        assert len(answer["ids"][0]) == max(map(unpadded_length, answer["ids"]))  # as wide as the longest needs
    translations = together(answers, "ids")
    assert [ids[: unpadded_length(ids)] for ids in translations] == 2 * expected
    assert not any({PAD, BOS} & set(ids[: unpadded_length(ids)]) for ids in translations)
    np.testing.assert_allclose(together(answers, "score"), 2 * [one.score for one in best], rtol=0, atol=1e-4)

    assert beside_blank["score"][0] < 0
    assert beside_blank["score"][1:] == [0, 0]
    assert set(beside_blank["ids"][1] + beside_blank["ids"][2]) == {PAD}
    assert empty == {"ids": [], "score": []}


def unpadded_length(ids):
    return len(ids) - next((number for number, piece in enumerate(reversed(ids)) if piece != PAD), len(ids))


def nodes(graph):
    """Every operation of a graph, those of its functions too."""
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


def test_no_graph_needs_a_gpu_or_names_a_device(case, monkeypatch):
    model, _, directory = case
    pretend_gpu(monkeypatch)
    source = tf.TensorSpec([None, None], tf.int32)
    trained = tf.function(model.encode, input_signature=[source], autograph=False).get_concrete_function()
    # What an export of the model as it is would hold.
    assert "CudnnRNNV3" in {node.op for node in nodes(trained.graph.as_graph_def())}

    for name in ("text", "ids"):
        saved = SavedModel.FromString((directory / name / "saved_model.pb").read_bytes())
        found = nodes(saved.meta_graphs[0].graph_def)
        assert not {node.op for node in found if "Cudnn" in node.op}
        assert {node.device for node in found if node.op == "MatMul"} == {""}


def test_the_piece_models_lie_beside_the_ids(case, both_pieces):
    _, _, directory = case
    extra = directory / "ids" / "assets.extra"
    assert pieces.Pieces.load(extra / "source.model").serialized == both_pieces[0].serialized
    assert pieces.Pieces.load(extra / "target.model").serialized == both_pieces[1].serialized
    assert sorted(path.name for path in directory.iterdir()) == ["README.md", "ids", "text"]
    assert list(directory.parent.glob(".*")) == []


@pytest.mark.slow
def test_a_model_of_mixed_precision_is_exported_in_float32(both_pieces, tmp_path, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    export(build("parallel", both_pieces), *both_pieces, BEAM, tmp_path / "new")
    saved = SavedModel.FromString((tmp_path / "new" / "ids" / "saved_model.pb").read_bytes())
    types = {value.type for node in nodes(saved.meta_graphs[0].graph_def) for value in node.attr.values()}
    assert tf.float32.as_datatype_enum in types
    assert tf.bfloat16.as_datatype_enum not in types


# Refusals


@pytest.fixture(scope="module")
def model(both_pieces):
    return build("recurrent", both_pieces)


def test_a_directory_with_content_is_left_alone(model, both_pieces, tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ExportError, match=r"exists already; export into a new directory, or remove"):
        export(model, *both_pieces, BEAM, tmp_path)
    with pytest.raises(ExportError, match=r"mine exists already"):
        export(model, *both_pieces, BEAM, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine").read_text() == "precious"


def test_what_no_graph_has_is_refused(model, both_pieces, tmp_path):
    search = BEAM.model_copy(update={"min_length": 3, "sample": recipe.Sample()})
    with pytest.raises(
        ExportError, match=r"has no search.min_length, search.sample; export with --set search.min_length=0 "
    ):
        export(model, *both_pieces, search, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_failure_half_way_leaves_nothing(model, both_pieces, tmp_path, monkeypatch):
    written = []

    def save(signature, kept, path):
        if path.name == "text":
            raise OSError(errno.ENOSPC, "No space left on device")
        path.mkdir(parents=True)
        written.append(path)

    monkeypatch.setattr(savedmodel, "_save", save)
    with pytest.raises(ExportError, match=r"cannot write .*/new: No space left on device\. .* free some space"):
        export(model, *both_pieces, BEAM, tmp_path / "new")
    assert [path.name for path in written] == ["ids"]
    assert list(tmp_path.iterdir()) == []


def test_what_tensorflow_cannot_write_is_refused_with_the_reason_and_leaves_nothing(model, both_pieces, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ExportError) as refusal:
            export(model, *both_pieces, BEAM, tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(refusal.value.__cause__, tf.errors.OpError)
    assert str(refusal.value).startswith(f"cannot write {tmp_path}/new: File too large. Nothing of it is kept")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(model, both_pieces, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ExportError, match=r"cannot write .*/file/new: (File exists|Not a directory)\."):
        export(model, *both_pieces, BEAM, tmp_path / "file" / "new")


def test_another_backend_is_refused(model, both_pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ExportError, match=r"Keras on jax; start a new one with device\.backend: tensorflow"):
        export(model, *both_pieces, BEAM, tmp_path / "new")


def test_a_missing_package_is_named_with_its_installation(model, both_pieces, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ExportError, match=r"needs tensorflow_text; run: pip install 'nmt\[tensorflow\]'"):
        export(model, *both_pieces, BEAM, tmp_path / "new")


def test_pieces_of_another_model_are_refused(model, both_pieces, tmp_path):
    source, target = both_pieces
    with pytest.raises(ExportError, match=rf"models of {target.size} and {source.size}; .* the source's first"):
        export(model, target, source, BEAM, tmp_path / "new")
