"""The run directory: found, refused, written whole or not at all, and read again when a part of it is damaged."""

import errno
import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from nmt import recipe
from nmt.pieces import train as train_pieces
from nmt.run import CHECKPOINT_FORMAT, Checkpoint, Run, RunError, assign_weights, version, weights_by_name

RECIPE = recipe.parse(
    {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": {"tsv": "pairs.tsv"},
            "development": 5,
        },
        "training": {"updates": 30},
    },
    "a test",
)
ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3), np.array(7, "int64"), np.array([True, False])]


def changed(**training):
    return RECIPE.model_copy(update={"training": RECIPE.training.model_copy(update=training)})


def checkpoint(update):
    return Checkpoint(update, [array + update for array in ARRAYS[:2]] + ARRAYS[2:], {"batches": update, "note": "ä"})


@pytest.fixture
def run(tmp_path):
    run = Run.open(tmp_path / "run", RECIPE)
    run.begin()
    return run


def names(run, folder="."):
    return sorted(path.name for path in run.path(folder).iterdir())


# --- open and find ---


def test_a_new_run_holds_its_effective_recipe_and_is_found_again(run):
    assert Run.find(run.directory).recipe == RECIPE
    assert Run.open(run.directory, RECIPE).recipe == RECIPE
    assert "label_smoothing: 0.1" in run.path("recipe.yaml").read_text()  # a default, written out


def test_another_recipe_is_refused_with_what_changed(run):
    run.save_checkpoint(checkpoint(1))
    with pytest.raises(RunError) as caught:
        Run.open(run.directory, changed(updates=60, seed=3))
    message = str(caught.value)
    assert "is a run of another recipe; what changed:" in message
    assert "training.updates: 30 → 60" in message
    assert "training.seed: 1 → 3" in message
    assert "learning_rate" not in message


def test_a_recipe_may_be_mended_until_something_is_learnt_by_it(run):
    run.write("pieces.model", b"of the recipe that was refused")
    run.write_json("corpus.json", {})
    mended = changed(updates=60)
    again = Run.open(run.directory, mended)
    again.begin()
    assert Run.find(run.directory).recipe == mended
    assert names(run) == ["recipe.yaml"]


def test_a_run_with_checkpoints_is_not_begun_again(run):
    run.save_checkpoint(checkpoint(1))
    run.write_json("corpus.json", {"kept": 1})
    run.begin()
    assert run.read_json("corpus.json") == {"kept": 1}


def test_pieces_of_another_run_are_refused_though_their_size_fits(run):
    sentences = ["one two three", "four five six", "seven eight nine"]
    train_pieces(sentences, run.path("pieces.model"), size=30, character_coverage=1.0, byte_fallback=False)
    run.pin_pieces()
    assert run.pieces()[0].size
    train_pieces(
        [*sentences[::-1], "ten"], run.path("pieces.model"), size=30, character_coverage=1.0, byte_fallback=False
    )
    with pytest.raises(RunError, match=r"pieces.model is not the piece model that this run was trained with"):
        run.pieces()


def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"exists and is no run \(no recipe.yaml\); choose another"):
        Run.open(tmp_path, RECIPE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_directory_or_one_whose_first_writing_was_cut_short_is_new(tmp_path):
    (tmp_path / ".recipe.yaml.part").write_text("data:")
    (tmp_path / "lock").touch()
    Run.open(tmp_path, RECIPE).begin()
    assert Run.find(tmp_path).recipe == RECIPE


def test_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(RunError, match=r"is no directory; expected the directory of a training"):
        Run.find(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"holds no recipe\.yaml, so it is no run"):
        Run.find(tmp_path)


def test_a_recipe_that_only_a_newer_version_understands_is_said_to_be_one(run):
    text = run.path("recipe.yaml").read_text()
    run.path("recipe.yaml").write_text(text.replace("training:", "training:\n  quantum_steps: 3"))
    with pytest.raises(RunError) as caught:
        Run.find(run.directory, ("search.beam_size=2",))
    message = str(caught.value)
    assert "unknown key training.quantum_steps" in message
    assert (
        f"nmt {version()} cannot read it; if a newer nmt wrote it, use that one (pip install --upgrade nmt)" in message
    )


# --- files ---


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(run):
    run.write("samples/3.txt", b"first")
    run.write("samples/3.txt", b"second")
    assert run.path("samples/3.txt").read_bytes() == b"second"
    assert names(run, "samples") == ["3.txt"]


def test_a_full_disk_leaves_what_was_there(run, monkeypatch):
    run.write("samples/3.txt", b"first")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError) as caught:
        run.write("samples/3.txt", b"x" * 4_000_001)
    assert re.fullmatch(
        r"cannot write .*3\.txt \(5 MB\): No space left on device\. What was there before is untouched; "
        r"make 5 MB free on the disk of /.* \(\d+ MB are free\), and run the same command again",
        str(caught.value),
    )
    assert run.path("samples/3.txt").read_bytes() == b"first"
    assert names(run, "samples") == ["3.txt"]


@pytest.fixture
def file_size_limit():
    """A setter of the largest size that a file may have, which the kernel then enforces; undone after the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_the_system_cuts_short_is_not_put_in_place(run, file_size_limit):
    run.save_checkpoint(checkpoint(1))
    file_size_limit(1000)
    with pytest.raises(RunError, match=r"000000002\.npz \(1 MB\): File too large\. .* untouched; mend that, and run"):
        run.save_checkpoint(checkpoint(2))
    assert names(run, "checkpoints") == ["000000001.npz"]
    assert run.load_checkpoint().update == 1


def test_a_log_that_cannot_be_written_is_told_of_once_and_everything_goes_on(run, file_size_limit, capsys):
    with run.logged():
        file_size_limit(1000)
        for number in range(30):
            logging.getLogger("nmt").info("line %d of some forty characters, of thirty lines", number)
        message = f"cannot write {run.path('train.log')}: File too large; training goes on without it\n"
        assert capsys.readouterr().err == message
    assert (
        run.path("train.log").read_text().splitlines()[0].endswith("line 0 of some forty characters, of thirty lines")
    )


def test_a_log_that_cannot_be_begun_is_an_error(run):
    run.path("train.log").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*train\.log: Is a directory; mend that"), run.logged():
        pass


def test_json_comes_back_and_a_missing_file_is_none(run):
    run.write_json("history.json", [{"bleu": 1.5, "text": "für"}])
    assert run.read_json("history.json") == [{"bleu": 1.5, "text": "für"}]
    assert "für" in run.path("history.json").read_text(encoding="utf-8")
    assert run.read_json("evaluation.json") is None


@pytest.mark.parametrize(("joint", "files"), [(True, 1), (False, 2)])
def test_pieces_are_one_model_or_two(tmp_path, joint, files):
    pieces = recipe.Pieces(joint=joint)
    run = Run.open(tmp_path / "run", RECIPE.model_copy(update={"pieces": pieces}))
    run.begin()
    paths = run.piece_paths()
    assert len(set(paths)) == files
    for path, text in zip(paths, ("one two three", "eins zwei drei"), strict=True):
        train_pieces([text], path, size=40, character_coverage=1.0, byte_fallback=False)
    source, target = run.pieces()
    assert (source is target) is joint
    assert target.decode(target.encode("eins")) == "eins"


# --- one process at a time ---


def test_a_run_that_another_process_holds_is_refused_until_it_lets_go(run):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
            "print('held', flush=True); sys.stdin.read()",
            str(run.path("lock")),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process is training in"), run.lock():
            pass
        holder.kill()  # as a power cut would: no lock outlives its process
    with run.lock():
        pass


# --- checkpoints ---


def test_a_checkpoint_comes_back_as_it_was(run):
    assert run.load_checkpoint() is None
    run.save_checkpoint(checkpoint(10))
    loaded = run.load_checkpoint()
    assert (loaded.update, loaded.progress) == (10, {"batches": 10, "note": "ä"})
    for found, array in zip(loaded.arrays, checkpoint(10).arrays, strict=True):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_many_arrays_keep_their_order(run):
    run.save_checkpoint(Checkpoint(1, [np.array(number) for number in range(120)], {}))
    assert [int(array) for array in run.load_checkpoint().arrays] == list(range(120))


def test_two_generations_are_kept_and_the_newest_is_read(run):
    for update in (9, 10, 100, 1000):
        run.save_checkpoint(checkpoint(update))
    assert names(run, "checkpoints") == ["000000100.npz", "000001000.npz"]
    assert run.load_checkpoint().update == 1000


def test_a_checkpoint_cut_short_is_told_of_and_the_one_before_is_used(run, caplog):
    run.save_checkpoint(checkpoint(10))
    run.save_checkpoint(checkpoint(20))
    newest = run.path("checkpoints/000000020.npz")
    newest.write_bytes(newest.read_bytes()[:-100])
    run.path("checkpoints/.000000030.npz.part").write_bytes(b"PK")  # left by a process that was killed
    assert run.load_checkpoint().update == 10
    assert "000000020.npz is damaged" in caplog.text
    assert "trying the one before it" in caplog.text


def test_no_single_wrong_byte_is_taken_for_a_number(run, caplog):
    """Every byte spoilt in turn: the checkpoint before is used, or nothing but the zip's own notes has changed."""
    caplog.set_level("ERROR")
    run.save_checkpoint(checkpoint(10))
    run.save_checkpoint(checkpoint(20))
    newest = run.path("checkpoints/000000020.npz")
    whole = newest.read_bytes()
    refused = 0
    for place in range(len(whole)):
        newest.write_bytes(whole[:place] + bytes([whole[place] ^ 0b1001]) + whole[place + 1 :])
        loaded = run.load_checkpoint()
        refused += loaded.update == 10
        expected = checkpoint(loaded.update)
        assert loaded.progress == expected.progress
        for found, array in zip(loaded.arrays, expected.arrays, strict=True):
            np.testing.assert_array_equal(found, array)
    assert refused > len(whole) / 2


def rewritten(run, update, change):
    """The checkpoint of ``update`` with its arrays and its progress changed in place by ``change``, as valid as any."""
    path = run.path(f"checkpoints/{update:09d}.npz")
    with np.load(path) as archive:
        content = dict(archive)
    progress = json.loads(content["progress"].tobytes())
    change(content, progress)
    content["progress"] = np.frombuffer(json.dumps(progress).encode(), "uint8")
    np.savez(path, **content)


@pytest.mark.parametrize("number", [0, 2])
def test_a_checkpoint_that_misses_an_array_is_damaged(run, caplog, number):
    for update in (10, 20):
        run.save_checkpoint(checkpoint(update))
    rewritten(run, 20, lambda content, progress: content.pop(f"variable_000{number}"))
    assert run.load_checkpoint().update == 10
    assert f"000000020.npz is damaged ('variable_000{number}' is missing); trying the one before it" in caplog.text


def test_a_checkpoint_of_a_newer_format_is_refused_though_an_older_one_is_there(run):
    for update in (10, 20):
        run.save_checkpoint(checkpoint(update))

    def newer(content, progress):
        progress["checkpoint"] = {"format": CHECKPOINT_FORMAT + 1, "nmt": "7.5"}
        content["moments"] = content.pop("variable_0000")

    rewritten(run, 20, newer)
    with pytest.raises(RunError) as caught:
        run.load_checkpoint()
    message = str(caught.value)
    assert f"000000020.npz was written by nmt 7.5 in format {CHECKPOINT_FORMAT + 1}; this is nmt {version()}" in message
    assert f"knows formats up to {CHECKPOINT_FORMAT}. Go on with that version or a newer one" in message
    assert "or train into a new directory with --run" in message


def test_a_checkpoint_from_before_formats_had_numbers_is_read(run):
    run.save_checkpoint(checkpoint(10))
    rewritten(run, 10, lambda content, progress: progress.pop("checkpoint"))
    loaded = run.load_checkpoint()
    assert loaded.progress == checkpoint(10).progress
    for found, array in zip(loaded.arrays, checkpoint(10).arrays, strict=True):
        np.testing.assert_array_equal(found, array)


def test_where_every_checkpoint_is_damaged_training_does_not_begin_anew(run):
    for update in (10, 20):
        run.save_checkpoint(checkpoint(update))
        run.path(f"checkpoints/{update:09d}.npz").write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint in .* can be read \(2 tried\)"):
        run.load_checkpoint()


# --- the weights that translate ---


class Variable:
    """As much of a Keras variable as weights need."""

    def __init__(self, path, shape):
        self.path, self.shape, self.value = path, shape, None

    def assign(self, value):
        self.value = value


def test_the_best_weights_come_back_by_name_into_a_model_of_another_name(run):
    values = [np.ones((2, 3), "float32"), np.zeros(4, "float32")]
    run.save_best(weights_by_name([Variable("model/a/kernel", (2, 3)), Variable("model/bias", (4,))], values))
    other = [Variable("model_1/bias", (4,)), Variable("model_1/a/kernel", (2, 3))]  # another order, too
    assign_weights(other, run.load_best(), run.path("best.npz"))
    np.testing.assert_array_equal(other[0].value, values[1])
    np.testing.assert_array_equal(other[1].value, values[0])


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (Variable("model/bias", (5,)), r"bias has the shape \(4,\), expected \(5,\); were pieces or recipe"),
        (Variable("model/b/kernel", (4,)), r"b/kernel is missing, expected \(4,\)"),
    ],
)
def test_weights_of_another_model_are_refused(run, variable, message):
    with pytest.raises(RunError, match=message):
        assign_weights([variable], {"bias": np.zeros(4)}, run.path("best.npz"))
    assert variable.value is None


def test_weights_that_are_not_there_or_damaged_are_refused(run):
    with pytest.raises(RunError, match="has no trained weights yet"):
        run.load_best()
    run.save_best({"bias": np.zeros(4)})
    best = run.path("best.npz")
    best.write_bytes(best.read_bytes()[:-9])
    with pytest.raises(RunError, match=r"best\.npz is damaged"):
        run.load_best()
