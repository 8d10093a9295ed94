"""Synthetic corpora: which line stands where, what is dropped, and that a killed synthesis ends as if undisturbed."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy
from click.testing import CliRunner

import nmt
from nmt import cli, corpus, experiment, recipe, synthesis
from nmt.recipe import RecipeError
from nmt.run import Run, RunError, locked, version
from nmt.synthesis import SynthesisError, synthesize
from nmt.translation import Translation

LINES = [f"line number {number}" for number in range(11)]


class Shouting:
    """A translator that shouts; it has nothing to say to "mute", and never comes to an end of "long"."""

    @classmethod
    def of_runs(cls, *runs):
        return cls()

    def translate_scored(self, lines, advance, split):
        advance(len(lines))
        said = {"": "", "mute": " "}
        return [Translation(said.get(line.strip(), line.upper()), -1.0, finished=line != "long") for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run en → de, a recipe of its languages and one back, and text."""
    folder = toy.write_text(tmp_path_factory.mktemp("synthesis"))
    toy.write_run(folder / "run", folder)
    own = toy.settings(folder)
    (folder / "same.yaml").write_text(recipe.effective(own))
    back = own.model_copy(
        update={"data": own.data.model_copy(update={"source_language": "de", "target_language": "en"})}
    )
    (folder / "back.yaml").write_text(recipe.effective(back))
    (folder / "text").write_text("".join(line + "\n" for line in LINES))
    return folder


@pytest.fixture
def run(folder):
    return Run.find(folder / "run")


@pytest.fixture
def shouting(monkeypatch):
    monkeypatch.setattr(synthesis, "Translator", Shouting)
    monkeypatch.setattr(synthesis, "CHUNK_LINES", 4)


def lines_of(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


# --- what comes of it ---


def test_distillation_with_an_ensemble_from_the_command_line(folder, run, tmp_path):
    """Of the training text without what is held out of it, as the two runs translate it together."""
    other = toy.write_run(tmp_path / "other", folder, seed=4).directory
    out = tmp_path / "out"
    arguments = ["synthesize", run.directory, other, "--as", "target", "-o", out, "--beam", "1"]
    result = CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"next: nmt train {out}/recipe.yaml --run runs/out" in result.stderr

    train = experiment.read_texts(run.recipe.data).train
    assert len(train) == 55
    said = nmt.load(run.directory, other, settings=("search.beam_size=1",)).translate_scored(train.source)
    kept = [(line, found.text) for line, found in zip(train.source, said, strict=True) if found.finished and found.text]
    assert 0 < len(kept) < 55
    assert list(zip(lines_of(out / "source.en.gz"), lines_of(out / "target.de.gz"), strict=True)) == kept
    assert len(corpus.read_parallel(out / "source.en.gz", out / "target.de.gz")) == len(kept)
    assert names(out) == ["README.md", "provenance.json", "recipe.yaml", "source.en.gz", "target.de.gz"]

    student = recipe.read(out / "recipe.yaml")
    mix = recipe.MixedFiles(source=f"{out}/source.en.gz", target=f"{out}/target.de.gz")
    data = run.recipe.data.model_copy(update={"mix": [mix]})
    assert student == run.recipe.model_copy(update={"data": data})  # with its own beam of 2
    trained, _ = experiment.train(recipe.read(out / "recipe.yaml", ("training.updates=1",)), tmp_path / "student")
    assert trained.read_json("corpus.json")["mix 1"]["pairs"] <= len(kept)  # less what is held out of the text

    told = json.loads((out / "provenance.json").read_text())
    assert told["runs"] == [str(run.directory), str(other)]
    assert told["weights_sha256"] == [corpus.file_checksum(path / "best.npz") for path in (run.directory, other)]
    assert told["search"]["beam_size"] == 1
    assert (told["as"], told["tag"], told["nmt"]) == ("target", "", version())
    assert told["lines"]["read"] == 55
    assert told["lines"]["kept"] == len(kept) == 55 - sum(told["lines"]["dropped"].values())
    readme = (out / "README.md").read_text()
    assert f"{len(kept)} pairs" in readme
    assert f"`target.de.gz` was written by a machine: {run.directory}, {other}." in readme


@pytest.mark.parametrize(("tag", "prefix"), [(None, "<BT> "), ("<2019>", "<2019> "), ("", "")])
def test_back_translations_are_tagged_sources_and_the_text_is_the_target(folder, run, shouting, tmp_path, tag, prefix):
    """The run reads English, so English is the target of the recipe that learns from it."""
    out = tmp_path / "out"
    about = synthesize([run], out, "source", folder / "text", folder / "back.yaml", tag)
    assert lines_of(out / "target.en.gz") == LINES
    assert lines_of(out / "source.de.gz") == [prefix + line.upper() for line in LINES]
    assert about["lines"] == {"read": 11, "kept": 11, "dropped": {}}
    student = recipe.read(out / "recipe.yaml")
    assert student.data.mix == [recipe.MixedFiles(source=f"{out}/source.de.gz", target=f"{out}/target.en.gz")]
    assert student.pieces.symbols == ([prefix.strip()] if prefix else [])
    rest = {
        "data": student.data.model_copy(update={"mix": []}),
        "pieces": student.pieces.model_copy(update={"symbols": []}),
    }
    assert student.model_copy(update=rest) == recipe.read(folder / "back.yaml")
    assert "`source.de.gz` was written by a machine" in (out / "README.md").read_text()


def test_a_recipe_keeps_the_texts_and_symbols_that_it_has():
    content = toy.settings().model_dump()
    content["data"]["mix"] = [{"source": "a", "target": "b", "weight": 2.0}]
    content["pieces"]["symbols"] = ["<BT>"]
    content["training"]["init_from"] = "runs/old"
    known = recipe.parse(content, "a recipe")
    content = synthesis.with_synthetic(known, Path("/c"), Path("/d"), "<BT>")
    assert [mix["source"] for mix in content["data"]["mix"]] == ["a", "/c"]
    assert content["pieces"]["symbols"] == ["<BT>"]
    assert content["training"]["init_from"] is None  # those weights have other pieces, or other sizes
    assert synthesis.with_synthetic(known, Path("/c"), Path("/d"), "<KD>")["pieces"]["symbols"] == ["<BT>", "<KD>"]


def test_what_is_blank_or_cut_off_is_dropped_on_both_sides_and_counted(run, shouting, tmp_path):
    text = ["first", "", "mute", "long", " \t", "long", "a\u2028b", "mute", "long", "last"]
    with gzip.open(tmp_path / "text.gz", "wb") as file:
        file.write("".join(line + "\n" for line in text).encode())
    out = tmp_path / "out"
    about = synthesize([run], out, "target", tmp_path / "text.gz")
    assert lines_of(out / "source.en.gz") == ["first", "a b", "last"]  # control characters are blanks, as in training
    assert lines_of(out / "target.de.gz") == ["FIRST", "A B", "LAST"]
    dropped = {"blank line": 2, "blank translation": 2, "translation cut off at its limit of length": 3}
    assert about["lines"] == {"read": 10, "kept": 3, "dropped": dropped}
    assert "Dropped: blank line: 2, blank translation: 2, translation cut off" in (out / "README.md").read_text()


def test_a_corpus_of_nothing_is_refused(run, shouting, tmp_path):
    (tmp_path / "text").write_text("long\n\nlong\n")
    with pytest.raises(SynthesisError, match=r"no translation of the 3 lines can be kept .*length: 2.*blank line: 1"):
        synthesize([run], tmp_path / "out", "target", tmp_path / "text")
    assert names(tmp_path / "out") == ["unfinished"]


# --- stopped and killed ---


class Stop(BaseException):
    pass


def content_of(directory):
    """Every file, without the date of the provenance."""
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    provenance = json.loads(files.pop("provenance.json"))
    del provenance["date"]
    return files, provenance


def test_stopped_at_any_moment_the_same_command_ends_with_the_same_files(folder, run, shouting, tmp_path, monkeypatch):
    out, rename = tmp_path / "out", os.rename
    moments = []

    def counted(beside, place):
        moments.append(Path(place).name)
        if len(moments) == last:
            raise Stop
        rename(beside, place)

    monkeypatch.setattr(os, "rename", counted)
    last = None
    synthesize([run], out, "target", folder / "text")
    undisturbed = content_of(out)
    chunks = ["000000000000.json", "000000000004.json", "000000000008.json"]
    final = ["source.en.gz", "target.de.gz", "recipe.yaml", "README.md", "provenance.json"]
    assert moments == ["provenance.json", *chunks, *final]
    asked = []
    translate = Shouting.translate_scored
    monkeypatch.setattr(
        Shouting, "translate_scored", lambda *given, **named: asked.append(1) or translate(*given, **named)
    )
    for stop in range(1, 10):
        shutil.rmtree(out)
        moments.clear()
        asked.clear()
        last = stop
        with pytest.raises(Stop):
            synthesize([run], out, "target", folder / "text")
        assert not (out / "provenance.json").exists()
        last = None
        synthesize([run], out, "target", folder / "text")
        assert content_of(out) == undisturbed
        assert len(asked) == (4 if stop in (2, 3, 4) else 3)  # only the chunk at hand is done again


def test_killed_processes_leave_what_the_next_one_goes_on_from(folder, run, shouting, tmp_path):
    out = tmp_path / "out"
    synthesize([run], out, "target", folder / "text")
    undisturbed = content_of(out)
    shutil.rmtree(out)
    program = """
import os, signal, sys
sys.path.insert(0, "tests")
from test_synthesis import Shouting
from nmt import synthesis
from nmt.run import Run

synthesis.Translator, synthesis.CHUNK_LINES = Shouting, 4
rename = os.rename

def killed(beside, place):
    if str(place).endswith(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(beside, place)

os.rename = killed
synthesis.synthesize([Run.find(sys.argv[1])], sys.argv[2], "target", sys.argv[3])
"""
    for moment in ("4.json", "target.de.gz"):
        arguments = [sys.executable, "-c", program, run.directory, out, folder / "text", moment]
        done = subprocess.run(arguments, cwd=Path(__file__).parent.parent, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert ".target.de.gz.part" in names(out)
    synthesize([run], out, "target", folder / "text")
    assert content_of(out) == undisturbed


def test_a_finished_one_stays_as_it_is(folder, run, shouting, tmp_path, caplog):
    out = tmp_path / "out"
    synthesize([run], out, "target", folder / "text")
    before = content_of(out)
    (out / "unfinished").mkdir()  # killed while it was being removed
    caplog.set_level("INFO", "nmt")
    about = synthesize([run], out, "target", folder / "text")
    assert "is finished already" in caplog.text
    assert about["lines"]["kept"] == 11
    assert content_of(out) == before
    with pytest.raises(SynthesisError, match=r"made, or begun, otherwise; what differs:\n  tag:  → <KD>\nUndo"):
        synthesize([run], out, "target", folder / "text", tag="<KD>")


def test_another_synthesis_in_an_unfinished_directory_is_refused_with_what_differs(
    folder, run, shouting, tmp_path, monkeypatch
):
    out = tmp_path / "out"

    def stop(*arguments):
        raise Stop

    with monkeypatch.context() as context:
        context.setattr(synthesis, "_finish", stop)
        with pytest.raises(Stop):
            synthesize([run], out, "target", folder / "text")

    def differs(*lines, runs=(run,), side="target", text="text", **options):
        with pytest.raises(SynthesisError, match="was made, or begun, otherwise; what differs") as refused:
            synthesize(runs, out, side, folder / text, **options)
        _, *told, _ = str(refused.value).splitlines()
        assert [line.split(":")[0].strip() for line in told] == list(lines)

    differs("tag", tag="<KD>")
    differs("search.beam_size", runs=[Run.find(run.directory, ("search.beam_size=4",))])
    differs("text_lines", "text_sha256", text="train.en")
    other = Path(shutil.copytree(run.directory, tmp_path / "other"))
    differs("weights_sha256", runs=[run, run])
    differs("as", "tag", "recipe_sha256", side="source", recipe=folder / "back.yaml")
    # where the run and the text lie is another matter
    (tmp_path / "moved").write_bytes((folder / "text").read_bytes())
    synthesize([Run.find(other)], out, "target", tmp_path / "moved")
    assert "provenance.json" in names(out)


def test_two_processes_in_one_directory_are_refused(folder, run, shouting, tmp_path):
    with (
        locked(tmp_path / "out" / "unfinished", "synthesizing"),
        pytest.raises(RunError, match=r"another process is synthesizing in .*out/unfinished; wait for it or stop it"),
    ):
        synthesize([run], tmp_path / "out", "target", folder / "text")


# --- refusals ---


def test_a_directory_of_something_else_is_refused(folder, run, shouting, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(SynthesisError, match=r"exists and holds no synthesis \(provenance.json\); choose another"):
            synthesize([run], out, "target", folder / "text")
    assert names(tmp_path) == ["thesis.tex"]


def test_what_does_not_fit_is_refused_and_leaves_no_directory(folder, run, shouting, tmp_path, monkeypatch):
    out = tmp_path / "out"
    text, same, back = folder / "text", folder / "same.yaml", folder / "back.yaml"
    for arguments, received in (
        ((None, None), "--text none and --for none"),
        ((text, None), f"--text {text} and --for"),
    ):
        with pytest.raises(SynthesisError, match=rf"needs --text, .* and --for, .*; received {received}"):
            synthesize([run], out, "source", *arguments)
    with pytest.raises(
        SynthesisError,
        match=rf"{same} is for en → de, and {run.directory} translates en → de; --as source needs .* oppo",
    ):
        synthesize([run], out, "source", text, same)
    with pytest.raises(
        SynthesisError,
        match=rf"{back} is for de → en, and {run.directory} translates en → de; --as target needs .* same",
    ):
        synthesize([run], out, "target", text, back)
    for tag in ("<B T>", " ", "<BT> ", "<s>"):
        with pytest.raises(
            SynthesisError, match=f"one word in front of each source, for example <BT>: '{tag}' cannot be a symbol"
        ):
            synthesize([run], out, "target", text, tag=tag)
    formed = recipe.read(same, ("data.tokenized=true",))
    (tmp_path / "formed.yaml").write_text(recipe.effective(formed))
    with pytest.raises(SynthesisError, match=r"data\.tokenized is True in .*formed\.yaml and False in .*run: its"):
        synthesize([run], out, "target", text, tmp_path / "formed.yaml")
    with pytest.raises(corpus.CorpusError, match=r"texd does not exist: did you mean .*text"):
        synthesize([run], out, "target", folder / "texd")
    with pytest.raises(RecipeError, match="no such recipe"):
        synthesize([run], out, "target", text, folder / "none.yaml")

    class Failing:
        def of_runs(*runs):
            raise RunError("cannot translate together")

    monkeypatch.setattr(synthesis, "Translator", Failing)
    with pytest.raises(RunError, match="cannot translate together"):
        synthesize([run], out, "target", text)
    assert not out.exists()


def test_training_text_that_has_changed_since_is_not_distilled(run, shouting, tmp_path):
    copy = Run.find(shutil.copytree(run.directory, tmp_path / "run"))
    known = copy.read_json("corpus.json")
    known["train"]["sha256"] = "0" * 64
    copy.write_json("corpus.json", known)
    with pytest.raises(RunError, match=r"the train text is no longer what .*, or name text of your own"):
        synthesize([copy], tmp_path / "out", "target")


def test_ctrl_c_says_that_the_same_command_goes_on(folder, run, monkeypatch, tmp_path):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "synthesize", interrupted)
    arguments = ["synthesize", str(run.directory), "--as", "target", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.commands, arguments)
    assert result.exit_code == 130
    assert "stopped; the same command goes on from here" in result.stderr
    assert "--as" in CliRunner().invoke(cli.commands, ["synthesize", "run", "-o", "out"]).stderr
