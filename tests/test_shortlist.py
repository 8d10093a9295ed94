"""The lexical shortlist: how it is learnt, and what a compact model says with it and without."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import test_compact
import toy

import nmt
from nmt import compact, experiment, translation
from nmt.batches import pad_source
from nmt.engines import compact_engine
from nmt.engines.compact_engine import CompactEngine
from nmt.export import compact as exported
from nmt.export.graph import Graph
from nmt.shortlist import Shortlist
from nmt.symbols import BOS, EOS, PAD, UNK

NMT = Path(sys.executable).with_name("nmt")
SIZE, SOURCES = test_compact.SIZE, test_compact.SOURCES
# Of each source piece two partners, and its own; never PAD or BOS.
PIECES = np.arange(SIZE)
PARTNERS = np.stack([4 + PIECES * 7 % (SIZE - 4), 4 + PIECES * 3 % (SIZE - 4), np.maximum(PIECES, EOS)], axis=1)
FEW = Shortlist(PARTNERS.astype("int32"), np.array([UNK, EOS, 4, 5], "int32"))
ALL = Shortlist(FEW.partners, np.array([piece for piece in range(SIZE) if piece not in (PAD, BOS)], "int32"))


def write(model, directory, int8, shortlist):
    directory.mkdir()
    (directory / "encoder.onnx").write_bytes(exported.encoder(model, Graph(int8), shortlist))
    (directory / "step.onnx").write_bytes(exported.step(model, Graph(int8), shortlist))
    return CompactEngine(directory, threads=1)


def among(by_piece, ids):
    """Log-probabilities [..., V] normalised over ``ids`` alone, nan elsewhere."""
    found = np.full_like(by_piece, np.nan)
    found[..., ids] = by_piece[..., ids] - np.logaddexp.reduce(by_piece[..., ids], axis=-1, keepdims=True)
    return found


def followed_everywhere(engine, beam_size, sources):
    """As ``test_compact.followed``, of all pieces along the same way."""

    class Whole:
        def start(self, source, beam, candidates):
            return engine.start(source, beam, SIZE)

    return test_compact.followed(Whole(), beam_size, sources)


@pytest.fixture
def any_share(monkeypatch):
    """A shortlist is used however large it is."""
    monkeypatch.setattr(compact_engine, "_WORTH_CHOOSING", 1.0)


# --- learning ---


def test_pieces_are_linked_by_attention(tmp_path):
    pieces = toy.pieces(tmp_path)
    a, b, c, d, e = range(10, 15)
    source = np.array([[a, b, EOS], [a, EOS, PAD]])
    target = np.array([[c, d, c, EOS], [e, EOS, PAD, PAD]])
    attention = np.array(
        [
            [[0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.4, 0.6, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [0.05, 0.95, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],  # padding looks, and is looked at
        ]
    )
    # a: c 1.3, e 1.0, d 0.3; b: d 0.7, c 0.6; the end: itself
    found = Shortlist.learn([(source, target, attention)], (pieces, pieces), 2)
    assert found.partners[[a, b, EOS, c, PAD]].tolist() == [
        [c, e, a],
        [d, c, b],
        [EOS, EOS, EOS],
        [EOS, EOS, c],  # which was never read
        [EOS, EOS, EOS],
    ]
    assert found.common.tolist() == [UNK, EOS, c, d, e]
    assert not np.isin(found.partners, [PAD, BOS]).any()
    one_by_one = [(source[:1], target[:1], attention[:1]), (source[1:], target[1:], attention[1:])]
    for ours, theirs in zip(found, Shortlist.learn(one_by_one, (pieces, pieces), 2), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_candidates_are_a_union():
    assert FEW.of(np.array([[7, EOS, PAD]])).tolist() == sorted({UNK, EOS, 4, 5, *PARTNERS[7], *PARTNERS[EOS]})


def test_the_graph_finds_the_same_union(tmp_path):
    model = test_compact.decided(model__decoder_layers=1)
    write(model, tmp_path / "compact", True, FEW)
    session = onnxruntime.InferenceSession(tmp_path / "compact" / "encoder.onnx")
    for sources in (SOURCES, SOURCES[1:2]):
        source = pad_source(sources)
        lengths = (source != PAD).sum(axis=1).astype("int32")
        (ids,) = session.run(["shortlist"], {"source": source, "lengths": lengths})
        np.testing.assert_array_equal(ids, FEW.of(source))


# --- what a model says with it ---


@pytest.mark.parametrize(("int8", "overflows"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("flavour", ["one layer", "stacks", "parallel", "untied", "tied output"])
def test_with_all_pieces_it_says_what_the_full_softmax_says(flavour, int8, overflows, any_share, tmp_path, monkeypatch):
    monkeypatch.setattr(compact_engine, "overflows", lambda: overflows)
    model = test_compact.decided(**test_compact.FLAVOURS[flavour])
    full, engine = write(model, tmp_path / "full", int8, None), write(model, tmp_path / "all", int8, ALL)
    beam_size = len(ALL.common) // 2  # all of them are candidates
    for sources in (SOURCES, SOURCES[1:2]):
        expected = among(followed_everywhere(full, beam_size, sources), ALL.common)
        np.testing.assert_allclose(test_compact.followed(engine, beam_size, sources), expected, atol=2e-4)


@pytest.mark.parametrize("int8", [False, True])
def test_a_step_chooses_among_the_candidates_of_its_sources(int8, any_share, tmp_path):
    model = test_compact.decided(model__decoder_layers=1)
    full, engine = write(model, tmp_path / "full", int8, None), write(model, tmp_path / "few", int8, FEW)
    for sources in (SOURCES, SOURCES[1:2]):
        ids = FEW.of(pad_source(sources))
        assert 6 < len(ids) < SIZE - 2
        found = test_compact.followed(engine, 3, sources)
        expected = among(followed_everywhere(full, 3, sources), ids)
        chosen = ~np.isnan(found)
        assert (chosen.sum(axis=-1) == 6).all()
        np.testing.assert_allclose(found[chosen], expected[chosen], atol=2e-4)
        better = np.nanmin(found, axis=-1, keepdims=True) + 1e-3
        assert (chosen | ~(np.nan_to_num(expected, nan=-np.inf) > better)).all()  # the best ones, and no others


def test_a_bias_brings_all_pieces_back(any_share, tmp_path):
    model = test_compact.decided(model__decoder_layers=1)
    full, engine = write(model, tmp_path / "full", True, None), write(model, tmp_path / "few", True, FEW)
    said = []
    for one in (full, engine):
        expand, state, memory = one.start(pad_source(SOURCES), 1, 6)
        rows = np.arange(len(SOURCES), dtype="int32")
        bias = np.zeros((len(SOURCES), SIZE), "float32")
        bias[:, 9:] = -np.inf
        (best, ids, _), _ = expand(np.full(len(SOURCES), BOS, "int32"), rows, bias, state, memory)
        said.append((best, ids))
    np.testing.assert_array_equal(said[0][1], said[1][1])
    np.testing.assert_allclose(said[0][0], said[1][0], atol=1e-6)
    targets = [[30, 31], [12], [38, 4, 39], [8]]  # scoring forces each piece by a bias
    for ours, theirs in zip(
        *(translation.score(one, [source[:-1] for source in SOURCES], targets) for one in (full, engine)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_shortlist_that_saves_nothing_is_not_used(tmp_path, monkeypatch):
    model = test_compact.decided(model__decoder_layers=1)
    full, engine = write(model, tmp_path / "full", False, None), write(model, tmp_path / "all", False, ALL)
    np.testing.assert_array_equal(test_compact.followed(full, 3), test_compact.followed(engine, 3))
    monkeypatch.setattr(compact_engine, "_WORTH_CHOOSING", 1.0)
    few = write(model, tmp_path / "few", False, FEW)
    many = len(FEW.of(pad_source(SOURCES))) // 2 + 1  # more candidates than it has
    np.testing.assert_array_equal(test_compact.followed(full, many), test_compact.followed(few, many))


# --- the directory ---


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    text = toy.write_text(tmp_path_factory.mktemp("text"))
    return toy.write_run(text / "run", text, data__test=6)


@pytest.fixture(scope="module", params=["int8", "float32"])
def directory(run, request, tmp_path_factory):
    made = tmp_path_factory.mktemp("exports") / request.param
    command = ["export", run.directory, made, "--to", "compact", "--precision", request.param, "--shortlist", "1"]
    done = subprocess.run([NMT, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


def test_the_command_learns_it_from_the_training_text(run, directory, monkeypatch):
    model = experiment.load_model(run)
    shortlist = experiment.shortlist(run, model, 1)
    source, target = run.pieces()
    assert shortlist.partners.shape == (source.size, 2)
    text = experiment.read_text(run, "train")
    said = {piece for line in text.target for piece in target.encode(line)}
    assert set(shortlist.partners[:, 0].tolist()) <= said | {EOS}
    assert shortlist.common.tolist() == sorted(said | {EOS, UNK})  # so few that all of them are common
    monkeypatch.setattr(compact_engine, "_WORTH_CHOOSING", 1.0)
    translator = nmt.load(directory)
    found = translator.translate_scored(test_compact.LINES, n_best=2, align=True)
    ids = {piece for one in found for piece in target.encode(one.text)}
    assert ids <= set(shortlist.of(np.arange(source.size)).tolist())
    assert nmt.load(directory).translate([test_compact.LINES[0]])[0]


def test_constraints_are_obeyed(directory, monkeypatch):
    monkeypatch.setattr(compact_engine, "_WORTH_CHOOSING", 1.0)
    for settings in ((), ("search.no_repeat_ngram=2",), ("search.min_length=5", "search.beam_size=1")):
        translator = nmt.load(directory, settings=settings)
        found = translator.translate_scored(["one two", "nine"], prefixes=["one acht", "zw"])
        assert found[0].text.startswith("one acht")  # whatever the sources may call for
        assert found[1].text.startswith("zw")


def test_a_damaged_one_is_refused(directory, tmp_path):
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    (copy / "encoder.onnx").write_bytes((copy / "encoder.onnx").read_bytes()[:-1])
    with pytest.raises(compact.CompactError, match=r"encoder.onnx is not the file that was exported"):
        nmt.load(copy)


def test_encoder_and_step_belong_together(directory, run, tmp_path):
    """One of a directory with a shortlist, the other of one without."""
    other = tmp_path / "other"
    precision = json.loads((directory / "compact.json").read_text())["precision"]
    command = [NMT, "export", run.directory, other, "--to", "compact", "--precision", precision]
    subprocess.run(command, check=True, capture_output=True)
    before = nmt.load(other).translate(test_compact.LINES)
    shutil.copy(directory / "step.onnx", other)
    card = json.loads((other / "compact.json").read_text())
    card["files"]["step.onnx"] = hashlib.sha256((other / "step.onnx").read_bytes()).hexdigest()
    (other / "compact.json").write_text(json.dumps(card))
    assert nmt.load(other).translate(test_compact.LINES) == before  # a step that is given no shortlist takes them all


def test_of_another_form_it_is_refused(run, tmp_path):
    command = [NMT, "export", run.directory, tmp_path / "new", "--to", "savedmodel", "--shortlist", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--precision, --licence and --shortlist are of --to compact" in done.stderr


def test_without_vnni_products_are_added_up_with_care(monkeypatch):
    for machine, flags, expected in (
        ("x86_64", "flags : fpu avx2 avx512_vnni", False),
        ("AMD64", "flags : fpu avx2 avx_vnni", False),
        ("x86_64", "flags : fpu avx2", True),
        ("x86_64", OSError(), True),
        ("aarch64", "Features : fp asimd", False),
    ):

        def read_text(path, flags=flags):
            if isinstance(flags, OSError):
                raise flags
            return flags

        monkeypatch.setattr(compact_engine.platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(compact_engine.Path, "read_text", read_text)
        assert compact_engine.overflows.__wrapped__() is expected
