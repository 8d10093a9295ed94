"""Several models that say each piece together: the mean of their log-probabilities, and nothing else, is new."""

import itertools
import json
import math
import shutil

import numpy as np
import pytest
import toy
from click.testing import CliRunner

import nmt
from nmt import cli, corpus, experiment, score
from nmt.batches import pad_source
from nmt.engines.keras_engine import KerasEngine
from nmt.recipe import Search
from nmt.run import RunError
from nmt.symbols import BOS, EOS, PAD
from nmt.translation import best

LINES, _ = toy.lines(9, seed=2)


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return toy.write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def runs(text):
    """Two runs of the same pieces; flow, sizes and seeds are others."""
    return [
        toy.write_run(text / "first", text, data__test=6),
        toy.write_run(text / "second", text, seed=4, model__flow="parallel", model__decoder_units=11, data__test=6),
    ]


@pytest.fixture(scope="module")
def models(runs):
    return experiment.load_models(runs)


# --- the step ---


def test_a_step_gives_the_mean_of_the_models_log_probabilities(runs, models):
    """Along a made-up target, against the models run over it at once; and the best first."""
    size = models[0].sizes[1]
    source = pad_source(runs[0].pieces()[0].encode_lines(LINES[:3]))
    target_in = np.array([[BOS, 7, 9, 5], [BOS, 11, 4, 4], [BOS, 8, 8, 20]], "int32")
    each = [log_softmax(model({"source": source, "target_in": target_in})) for model in models]
    assert np.abs(each[0] - each[1]).max() > 1  # they disagree
    mean = (each[0] + each[1]) / 2  # [B, T, V]
    assert (np.exp(mean).sum(axis=-1) < 0.999).all()  # the docstring says that nothing is normalised again

    beam_size = size // 2
    expand, state, memory = KerasEngine(*models).start(source, beam_size, size)
    parents = np.arange(3 * beam_size, dtype="int32")
    rows = np.arange(3) * beam_size  # the first of each sentence
    for place in range(target_in.shape[1]):
        tokens = np.repeat(target_in[:, place], beam_size)
        (log_probabilities, ids, _), state = expand(tokens, parents, None, state, memory)
        for row, expected in zip(rows, mean[:, place], strict=True):
            possible = [piece for piece in np.argsort(-expected) if piece not in (PAD, BOS)]
            assert ids[row][: size - 2].tolist() == possible[: len(ids[row])]
            np.testing.assert_allclose(log_probabilities[row][: size - 2], expected[possible], atol=1e-4)
            assert np.isneginf(log_probabilities[row][size - 2 :]).all()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_that_holds_everything_finds_what_enumeration_finds(models, alpha):
    """Of all targets of up to two pieces, the one with the best sum of means, by teacher forcing."""
    sources = [[5, 9, 4], [12]]
    size = models[0].sizes[1]
    pieces = [piece for piece in range(size) if piece not in (PAD, BOS, EOS)]
    settings = Search(beam_size=len(pieces) ** 2, length_penalty=alpha, max_length_factor=0.01, max_length_extra=3)
    bodies = [body for length in (0, 1, 2) for body in itertools.product(pieces, repeat=length)]
    for source, [(found, found_score, _)] in zip(sources, best(sources, KerasEngine(*models), settings), strict=True):
        scored = []
        for length, group in itertools.groupby(bodies, key=len):
            targets = np.array([[BOS, *body] for body in group], "int32")
            inputs = {"source": np.repeat(pad_source([source]), len(targets), axis=0), "target_in": targets}
            mean = sum(log_softmax(model(inputs)) for model in models) / 2
            wanted = np.concatenate([targets[:, 1:], np.full((len(targets), 1), EOS)], axis=1)
            totals = np.take_along_axis(mean, wanted[..., None], axis=-1).sum(axis=(1, 2))
            place = int(totals.argmax())
            scored.append((totals[place] / math.pow((5 + length + 1) / 6, alpha), wanted[place].tolist()))
        expected_score, expected = max(scored)
        assert [piece for piece in found if piece != PAD] == expected
        assert found_score == pytest.approx(expected_score, rel=1e-4)


# --- translators ---


def test_twice_the_same_run_translates_as_it_does_alone(runs):
    alone = nmt.load(runs[0].directory).translate_scored(LINES)
    twice = nmt.load(runs[0].directory, runs[0].directory).translate_scored(LINES)
    assert [found.text for found in twice] == [found.text for found in alone]
    assert [found.score for found in twice] == pytest.approx([found.score for found in alone], rel=1e-6)


def test_two_runs_say_something_else_than_either_and_the_first_says_how_to_search(runs):
    paths = [run.directory for run in runs]
    together = nmt.load(*paths).translate_scored(LINES)
    assert all(nmt.load(path).translate_scored(LINES) != together for path in paths)
    turned = nmt.load(*paths[::-1]).translate_scored(LINES)
    assert [found.text for found in turned] == [found.text for found in together]
    greedy = nmt.load(*paths, settings=("search.beam_size=1",)).translate_scored(LINES)
    assert [found.score for found in greedy] != pytest.approx([found.score for found in together])


def test_runs_that_cannot_speak_together_are_refused_with_what_differs(runs, text, tmp_path):
    first = runs[0].directory
    other = toy.write_run(tmp_path / "pieces", text, pieces__size=41).directory
    with pytest.raises(
        RunError,
        match=rf"{other} has other source pieces than {first} \(\d+ and \d+ of them.*train its members from one text",
    ):
        nmt.load(first, other)
    turned = shutil.copytree(first, tmp_path / "turned")
    recipe = (turned / "recipe.yaml").read_text()
    (turned / "recipe.yaml").write_text(recipe.replace("target_language: de", "target_language: fr"))
    with pytest.raises(RunError, match=rf"{turned} translates en → fr, but {first} en → de; an ensemble is of"):
        nmt.load(first, turned)
    (turned / "best.npz").unlink()
    with pytest.raises(RunError, match=f"{turned} has no trained weights yet"):
        nmt.load(first, turned)
    with pytest.raises(RunError, match="is no directory; expected the directory of a training"):
        nmt.load(first, tmp_path / "none")


# --- commands ---


def command(*arguments, **options):
    result = CliRunner().invoke(cli.commands, [str(argument) for argument in arguments], **options)
    assert result.exit_code == 0, result.stderr
    return result


def test_the_command_translates_with_an_ensemble(runs, tmp_path):
    paths = [run.directory for run in runs]
    expected = "".join(line + "\n" for line in nmt.load(*paths).translate(LINES))
    given = "".join(line + "\n" for line in LINES)
    (tmp_path / "text.en").write_text(given)
    assert command("translate", *paths, tmp_path / "text.en").stdout == expected
    assert command("translate", *paths, input=given).stdout == expected
    assert command("translate", *paths, "-", input=given).stdout == expected


def test_an_ensembles_scores_are_kept_in_the_first_run_and_never_take_the_place_of_its_own(runs, tmp_path):
    first, second = (shutil.copytree(run.directory, tmp_path / run.directory.name) for run in runs)
    alone = command("evaluate", first)
    before = (first / "evaluation.json").read_bytes()
    together = command("evaluate", first, second)
    (kept,) = first.glob("evaluation-ensemble-2-????????.json")
    translations = first / kept.name.replace("evaluation", "translations").replace("json", "tsv")
    assert f"scores are kept in {kept}, translations in {translations}" in together.stderr
    assert (first / "evaluation.json").read_bytes() == before
    assert not list(second.glob("evaluation*"))

    rows = [line.split("\t", 2) for line in corpus.read_lines(translations)]
    source, reference, said = map(list, zip(*rows, strict=True))
    assert said == nmt.load(first, second).translate(source)
    assert together.stdout == f"{score.bleu(said, reference)}\n{score.chrf(said, reference)}\n"
    assert together.stdout != alone.stdout
    assert [member["run"] for member in json.loads(kept.read_text())["members"]] == [str(first), str(second)]
    assert "members" not in json.loads(before)

    command("evaluate", first, second, "--beam", "1")  # the same members, as with one run: the newest is kept
    command("evaluate", first, first)
    command("evaluate", first, second, "--development", "--beam", "1")
    names = sorted(path.name.removeprefix("evaluation-ensemble-2-") for path in first.glob("evaluation-*"))
    assert sorted(map(len, names)) == sorted(map(len, ["12345678.json"] * 2 + ["12345678-development.json"]))
