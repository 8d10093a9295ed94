"""``nmt.load``: a run as a Python object."""

import subprocess
import sys

import pytest

import nmt
from nmt import pieces, recipe
from nmt.run import Run, RunError, weights_by_name

TEXT = ["a b c d", "d c b a", "b d a c", "c a d b"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has pieces and (initial) weights, which is all that translating needs."""
    from nmt import devices, model

    content = {
        "data": {"source_language": "en", "target_language": "de", "train": {"tsv": "none"}, "development": 1},
        "pieces": {"size": 16, "byte_fallback": False},
        "model": {"embedding_units": 5, "encoder_units": 3, "decoder_units": 7, "attention_units": 4}
        | {"readout_units": 5},
        "search": {"beam_size": 3},
    }
    run = Run.open(tmp_path_factory.mktemp("runs") / "tiny", recipe.parse(content, "test"))
    run.begin()
    pieces.train(TEXT, run.piece_paths()[0], size=16, character_coverage=1.0, byte_fallback=False)
    devices.prepare(run.recipe.device)
    size = run.pieces()[0].size
    variables = model.build(run.recipe.model, size, size, seed=3).trainable_variables
    run.save_best(weights_by_name(variables, [variable.numpy() * 3 for variable in variables]))
    return run


@pytest.fixture(scope="module")
def translator(run):
    return nmt.load(run.directory)


def test_as_many_lines_come_back_and_blank_ones_stay_blank(translator):
    lines = [*TEXT, "", " \t", "a\u2028b", "d d d d d d d d d", "?"]
    translations = translator.translate(lines)
    assert len(translations) == len(lines)
    assert translations[4:6] == ["", ""]
    assert any(translations)
    assert not any("\n" in line for line in translations)
    assert translator.translate([]) == []


def test_lines_do_not_depend_on_their_neighbours(translator):
    alone = [translator.translate([line])[0] for line in TEXT]
    assert translator.translate(TEXT) == alone


def test_scores_are_log_probabilities_and_text_is_the_same(translator):
    done = []
    scored = translator.translate_scored([*TEXT, ""], done.append)
    assert [found.text for found in scored] == translator.translate([*TEXT, ""])
    assert all(found.score < 0 for found in scored[:4])
    assert scored[4].score == 0
    assert sum(done) == 5


def test_settings_change_the_search(run, translator):
    shortest = nmt.load(run.directory, settings=("search.max_length_factor=0.1", "search.max_length_extra=1"))
    assert max(len(line.split()) for line in shortest.translate(TEXT)) <= 1  # one piece each, at most
    assert max(len(line.split()) for line in translator.translate(TEXT)) > 1


def test_one_string_is_refused(translator):
    with pytest.raises(ValueError, match=r"received one string; write \['a b c'\]"):
        translator.translate("a b c")


def test_what_cannot_be_loaded_says_why(run, tmp_path):
    with pytest.raises(RunError, match="is no directory; expected the directory of a training"):
        nmt.load(tmp_path / "none")
    with pytest.raises(RunError, match=r"holds no recipe.yaml"):
        nmt.load(tmp_path)
    with pytest.raises(RunError, match=r"--set training.seed=2: of a trained run only search, evaluation and device"):
        nmt.load(run.directory, settings=("training.seed=2",))
    with pytest.raises(ValueError, match=r"unknown key search.beam.*search.beam_size"):
        nmt.load(run.directory, settings=("search.beam=2",))
    Run.open(tmp_path / "new", run.recipe).begin()
    with pytest.raises(RunError, match="has no trained weights yet"):
        nmt.load(tmp_path / "new")


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, nmt; print(*sorted({'keras', 'tensorflow', 'jax', 'pydantic', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
