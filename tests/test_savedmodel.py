"""SavedModels against the toolkit itself: exported here, loaded in fresh processes that cannot import the toolkit."""

import errno
import json
import random
import re
import resource
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from nmt import alignment, pieces, recipe, translation
from nmt import model as models
from nmt.batches import pad_source
from nmt.corpus import without_control
from nmt.engines.keras_engine import KerasEngine
from nmt.export import savedmodel, signatures
from nmt.export.savedmodel import ExportError, export
from nmt.symbols import BOS, EOS, PAD, UNK

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

# Settings that `search` is given; with a factor of 32 bits, seven tenths of ten pieces would be six.
SOUGHT = [
    {"beam_size": 6, "length_penalty": 0.0, "coverage_penalty": 0.0, "max_length_factor": 0.7, "max_length_extra": 4},
    {"beam_size": 2, "length_penalty": 1.5, "coverage_penalty": 0.6, "max_length_factor": 2.0, "max_length_extra": 1},
    {"beam_size": 1, "length_penalty": 0.8, "coverage_penalty": 0.2, "max_length_factor": 1.5, "max_length_extra": 3},
]
WRONG = {
    "beam_size must be from 1 to 100; received] [0]": {"beam_size": 0},
    "beam_size must be from 1 to 100; received] [101]": {"beam_size": 101},
    "length_penalty must be from 0 to 10; received] [-0.5]": {"length_penalty": -0.5},
    "coverage_penalty must be from 0 to 10; received] [nan]": {"coverage_penalty": float("nan")},
    "max_length_factor must be from 0 to 100; received] [inf]": {"max_length_factor": float("inf")},
    "max_length_extra must be from 1 to 1000; received] [0]": {"max_length_extra": 0},
}

CLIENT = """
import json, os, sys
for missing in {missing}:
    sys.modules[missing] = None  # importing it fails
os.chdir({directory!r})
{readme}
signatures = tf.saved_model.load("{name}").signatures
answers = []
for name, inputs in json.load(sys.stdin):
    batch = inputs["{name}"]
    if "{name}" == "text":
        inputs["text"] = tf.constant([bytes.fromhex(line) for line in batch], tf.string)
    else:
        inputs["ids"] = tf.reshape(tf.constant(batch, tf.int32), (len(batch), -1 if batch else 0))
    asked = translate if name == "serving_default" else signatures[name]
    try:
        answers.append({{key: value.numpy().tolist() for key, value in asked(**inputs).items()}})
    except tf.errors.InvalidArgumentError as error:
        answers.append(str(error))
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


def call(directory, name, requests, missing):
    """The answers of the SavedModel ``name`` to ``requests``, from a new process that starts as the README says.

    A request is the name of a signature and its inputs; an answer its outputs, or the error that it raised.
    """
    section = (directory / "README.md").read_text(encoding="utf-8").split(f"## `{name}/`")[1]
    readme = section.split("\n\n")[1].replace("    ", "")
    answers = directory.parent / f"{name}.json"
    client = CLIENT.format(name=name, missing=missing, directory=str(directory), readme=readme, answers=str(answers))
    command = [sys.executable, "-I", "-c", client]
    done = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(answers.read_text(encoding="utf-8"))


def batched(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def together(answers, name):
    return [row for answer in answers for row in answer[name]]


def padded(scores, count):
    """The scores of one sentence, filled up as a SavedModel does."""
    return [*scores, *[signatures.NONE] * (count - len(scores))]


RAW = [line if isinstance(line, bytes) else line.encode() for line in (*generated_lines(79, seed=2), *HARD_LINES)]
READABLE = [line.decode(errors="replace") for line in RAW]


@pytest.fixture(scope="module")
def text_answers(case):
    """What ``text/`` answers in one new process, by what it is asked."""
    _, _, directory = case
    coded = [line.hex() for line in RAW]
    asked = {"default": [("serving_default", {"text": batch}) for batch in [*batched(coded, 7), *batched(coded, 1)]]}
    asked["align"] = [("align", {"text": batch}) for batch in batched(coded, 9)]
    for number, settings in enumerate(SOUGHT):
        asked[f"search {number}"] = [("search", {"text": batch, **settings}) for batch in batched(coded, 25)]
    for message, wrong in WRONG.items():
        asked[message] = [("search", {"text": coded[:2], **SOUGHT[0], **wrong})]
    for size in (0, 2):  # 2 blank ones
        asked[f"nothing {size}"] = [
            (name, {"text": [""] * size, **(SOUGHT[0] if name == "search" else {})})
            for name in ("serving_default", "align", "search")
        ]
    asked["readme"] = list(map(in_columns, re.findall("curl -d '(.*)'", (directory / "README.md").read_text("utf-8"))))
    requests = [request for one in asked.values() for request in one]
    answers = iter(call(directory, "text", requests, missing=("nmt", "sentencepiece")))
    return {name: [next(answers) for _ in one] for name, one in asked.items()}


def in_columns(body):
    """The request that TensorFlow Serving makes of JSON."""
    body = json.loads(body)
    inputs = body["inputs"] if "inputs" in body else {"text": body["instances"]}
    text = [line.encode().hex() for line in inputs["text"]]
    return body.get("signature_name", "serving_default"), {**inputs, "text": text}


def test_the_requests_of_the_readme_are_answered(text_answers):
    translated, aligned, sought = text_answers["readme"]
    assert len(translated["translation"]) == 2
    assert aligned["alignment"] != [""]
    assert sought["translations"] == aligned["translations"]


def check_translations(answers, expected, count):
    """The n best of ``text/`` against those of the toolkit."""
    found = [[one, *one.alternatives] for one in expected]
    assert together(answers, "translation") == [one.text for one in expected]
    np.testing.assert_allclose(together(answers, "score"), [one.score for one in expected], rtol=0, atol=1e-4)
    assert together(answers, "count") == [len(some) for some in found]
    texts = [[one.text for one in some] + [""] * (count - len(some)) for some in found]
    assert together(answers, "translations") == texts
    scores = [padded([one.score for one in some], count) for some in found]
    np.testing.assert_allclose(together(answers, "scores"), scores, rtol=0, atol=1e-4)


def test_text_in_a_fresh_process_translates_as_the_toolkit(case, text_answers, both_pieces):
    model, search, _ = case
    expected = translation.translate(KerasEngine(model), both_pieces, READABLE, search, n_best=search.beam_size)
    assert len({found.text for found in expected}) > 60  # the model does tell sentences apart
    check_translations(text_answers["default"], 2 * expected, search.beam_size)
    if search.beam_size > 1:
        assert len({len(found.alternatives) for found in expected}) > 2  # some have fewer than others

    blank = [number for number, line in enumerate(READABLE) if not both_pieces[0].encode(line)]
    assert len(blank) >= 3
    assert {expected[number] for number in blank} == {translation.Translation("", 0.0)}


def test_a_beam_with_given_settings_translates_as_the_toolkit(case, text_answers, both_pieces):
    model, _, _ = case
    engine = KerasEngine(model)
    for number, settings in enumerate(SOUGHT):
        # Greedy search knows no penalties: a beam of 1 must not either.
        search, count = recipe.Search(loop_guard=False, **settings), settings["beam_size"]
        expected = translation.translate(engine, both_pieces, READABLE, search, n_best=count)
        check_translations(text_answers[f"search {number}"], expected, count)


def test_words_are_linked_as_by_the_toolkit(case, text_answers, both_pieces):
    model, search, _ = case
    answers = text_answers["align"]
    expected = translation.translate(KerasEngine(model), both_pieces, READABLE, search, align=True)
    assert together(answers, "translation") == [one.text for one in expected]
    assert together(answers, "alignment") == [alignment.pharaoh(one.alignment) for one in expected]
    assert len(set(together(answers, "alignment"))) > 8


@pytest.mark.parametrize("seed", range(3))
def test_words_in_the_graph_are_those_of_alignment(seed):
    chance = np.random.default_rng(seed)
    pieces_of_both = [
        [
            [*chance.choice(["▁", "▁▁", "a", "▁a", "a▁", "▁a▁", "b▁c", "<0xE2>", "é"], size)]
            for size in (0, 1, *range(9))
        ]
        for _ in range(2)
    ]
    chance.shuffle(pieces_of_both[0])
    source, target = (
        tf.ragged.constant(some, dtype=tf.string, ragged_rank=1).to_tensor("", shape=[None, width])
        for some, width in zip(pieces_of_both, (11, 9), strict=True)
    )
    attention = chance.dirichlet(np.full(11, 0.1), size=(len(source), 9)).astype("float32")
    found = signatures.links(signatures.words(source), signatures.words(target), attention).numpy()
    expected = [
        alignment.pharaoh(alignment.hard(alignment.soft(*pair)))
        for pair in zip(*pieces_of_both, attention, strict=True)
    ]
    assert [one.decode() for one in found] == expected
    assert len(set(expected)) > 5


def test_half_the_vocabulary_bounds_the_beam():
    assert signatures.bounds(SimpleNamespace(sizes=(300, 40)))["beam_size"] == ("int32", 1, 20)
    assert signatures.bounds(SimpleNamespace(sizes=(40, 300)))["beam_size"] == ("int32", 1, 100)


def test_attention_is_that_of_the_translation_as_the_toolkit_scores_it(case, text_answers, both_pieces):
    model, search, _ = case
    sources = both_pieces[0].encode_lines(map(without_control, READABLE))
    found = translation.best([ids for ids in sources if ids], KerasEngine(model), search)
    targets = [[piece for piece in hypotheses[0].ids if piece != EOS] for hypotheses in found]
    _, expected = translation.score(KerasEngine(model), [ids for ids in sources if ids], targets)
    rows = zip(
        *(together(text_answers["align"], name) for name in ("source_pieces", "target_pieces", "attention")),
        strict=True,
    )
    expected = iter(zip(targets, expected, strict=True))
    for ids, (read, said, attention) in zip(sources, rows, strict=True):
        attention = np.array(attention)
        read, said = [piece for piece in read if piece], [piece for piece in said if piece]
        assert read == [*both_pieces[0].text_of(ids), "</s>"]
        assert not attention[len(said) :].any()
        assert not attention[:, len(read) :].any()
        if not ids:
            assert said == []
            continue
        target, paid = next(expected)
        spelt = [
            "▁⁇▁" if piece == UNK else text for piece, text in zip(target, both_pieces[1].text_of(target), strict=True)
        ]
        assert said in (spelt, [*spelt, "</s>"])
        attention = attention[: len(said), : len(read)]
        np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(attention, paid[: len(said), : len(read)], atol=1e-5)


def test_nothing_to_translate_is_answered_by_every_signature(text_answers):
    for answer in text_answers["nothing 0"]:
        assert all(value == [] for value in answer.values())
    for answer in text_answers["nothing 2"]:
        assert answer["translation"] == ["", ""]
        assert answer["score"] == [0, 0]
        assert answer["count"] == [1, 1]
        assert [len(row) for row in answer["translations"]] == [len(row) for row in answer["scores"]]
        assert all(row == padded([0], len(row)) for row in answer["scores"])
    _, aligned, _ = text_answers["nothing 2"]
    assert aligned["alignment"] == ["", ""]
    assert aligned["source_pieces"] == [["</s>"], ["</s>"]]
    assert aligned["target_pieces"] == aligned["attention"] == [[], []]


def test_settings_out_of_bounds_are_refused_with_the_bounds(text_answers):
    for message in WRONG:
        (answer,) = text_answers[message]
        assert message in answer


@pytest.fixture(scope="module")
def sources(both_pieces):
    return [ids for ids in both_pieces[0].encode_lines(generated_lines(30, seed=3)) if ids]


@pytest.fixture(scope="module")
def ids_answers(case, sources):
    """What ``ids/`` answers in one new process, by what it is asked; the last two batches are blank ones and no row."""
    _, search, directory = case
    several = [pad_source(batch).tolist() for batch in batched(sources, 7)]
    single = [pad_source([ids]).tolist() for ids in sources]
    special = [[[17, 42, EOS], [EOS, PAD, PAD], [PAD, PAD, PAD]], []]
    given = {name: getattr(search, name) for name in SOUGHT[0]}
    asked = {
        "default": [("serving_default", {"ids": batch}) for batch in [*several, *single, *special]],
        "align": [("align", {"ids": batch}) for batch in [*several, *special]],
        "search": [("search", {"ids": batch, **given}) for batch in [*several, *special]],
        "wrong": [("search", {"ids": several[0], **given, "beam_size": 1000})],
    }
    requests = [request for one in asked.values() for request in one]
    answers = iter(call(directory, "ids", requests, missing=("nmt", "sentencepiece", "tensorflow_text")))
    return {name: [next(answers) for _ in one] for name, one in asked.items()}


def test_ids_in_a_fresh_process_are_those_of_the_toolkit(case, sources, ids_answers):
    model, search, _ = case
    found = translation.best(sources, KerasEngine(model), search, n_best=search.beam_size)
    expected = [some[0].ids for some in found]
    assert {ids[-1] == EOS for ids in expected} == {True, False}  # some end by themselves, some at their limit

    *answers, beside_blank, empty = ids_answers["default"]
    for answer in answers:
        assert len(answer["ids"][0]) == max(map(unpadded_length, answer["ids"]))  # as wide as the longest needs
    translations = together(answers, "ids")
    assert [ids[: unpadded_length(ids)] for ids in translations] == 2 * expected
    assert not any({PAD, BOS} & set(ids[: unpadded_length(ids)]) for ids in translations)
    # Another batch, another order of sums in float32: on a processor with AVX2 one of sixty is 9e-6 of itself off.
    near = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose(together(answers, "score"), 2 * [some[0].score for some in found], **near)
    hypotheses = [
        [ids[: unpadded_length(ids)] for ids in some[:count]]
        for some, count in zip(together(answers, "hypotheses"), together(answers, "count"), strict=True)
    ]
    assert hypotheses == 2 * [[one.ids for one in some] for some in found]
    scores = [padded([one.score for one in some], search.beam_size) for some in found]
    np.testing.assert_allclose(together(answers, "scores"), 2 * scores, **near)

    assert beside_blank["score"][0] < 0
    assert beside_blank["score"][1:] == [0, 0]
    assert beside_blank["count"][1:] == [1, 1]
    assert set(beside_blank["ids"][1] + beside_blank["ids"][2]) == {PAD}
    assert all(value == [] for value in empty.values())


def test_other_signatures_give_the_same_ids(sources, ids_answers):
    default, aligned, sought = (ids_answers[name] for name in ("default", "align", "search"))
    default = [*default[: len(aligned) - 2], *default[-2:]]
    for plain, with_attention, by_beam in zip(default, aligned, sought, strict=True):
        for other in (with_attention, by_beam):
            assert {name: other[name] for name in ("ids", "hypotheses", "count")}.items() <= plain.items()
            np.testing.assert_allclose(other["scores"], plain["scores"], rtol=0, atol=1e-4)
    for answer, batch in zip(aligned, batched(sources, 7), strict=False):
        attention = np.array(answer["attention"])  # [B, T, S]
        real = pad_source(batch) != PAD
        assert attention.shape == (*np.shape(answer["ids"]), real.shape[1])
        assert not attention[~np.broadcast_to(real[:, None], attention.shape)].any()
        np.testing.assert_allclose(attention.sum(axis=2), np.array(answer["ids"]) != PAD, atol=1e-5)
    (refusal,) = ids_answers["wrong"]
    assert "beam_size must be from 1 to 100; received] [1000]" in refusal


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
    assert "## Masks" not in (directory / "README.md").read_text("utf-8")
    assert list(directory.parent.glob(".*")) == []


def test_the_readme_tells_of_masks(both_pieces):
    readme = savedmodel._readme("2.21", GREEDY, build("recurrent", both_pieces), ["⟦mark1⟧", "⟦number1⟧"])
    assert "has read symbols instead:\n`⟦mark1⟧`, `⟦number1⟧`. The graphs take text as it is" in readme
    assert "masks = Masks(['⟦mark1⟧', '⟦number1⟧'])" in readme


@pytest.mark.slow
def test_a_model_of_mixed_precision_is_exported_in_float32(both_pieces, tmp_path, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    export(build("parallel", both_pieces), *both_pieces, BEAM, tmp_path / "new")
    saved = SavedModel.FromString((tmp_path / "new" / "ids" / "saved_model.pb").read_bytes())
    types = {value.type for node in nodes(saved.meta_graphs[0].graph_def) for value in node.attr.values()}
    assert tf.float32.as_datatype_enum in types
    assert tf.bfloat16.as_datatype_enum not in types


# Refusals


@pytest.fixture
def quick(monkeypatch):
    """An export without graphs, for what is about writing alone."""
    monkeypatch.setattr(signatures, "of_ids", lambda *_: {})
    monkeypatch.setattr(signatures, "of_text", lambda *_: {})


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


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
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
