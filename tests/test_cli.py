"""The command line: what each command prints, writes and refuses, and how a process ends."""

import bz2
import errno
import gzip
import io
import json
import logging
import lzma
import os
import pty
import random
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tqdm import tqdm

import nmt
from nmt import cli, corpus, devices, experiment, recipe, score, translator
from nmt.run import Run
from nmt.translation import Translation

NMT = Path(sys.executable).with_name("nmt")
# Keras's variables, read as numpy arrays, do not know numpy's newest argument yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

EXPECTED = "expected the directory of a training, for example runs/demo"
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d \S")


def command(*arguments, code=0, **options):
    """What ``nmt`` with these arguments writes, in this process; a bug keeps its traceback."""
    result = CliRunner().invoke(cli.commands, [str(argument) for argument in arguments], **options)
    if isinstance(result.exception, Exception):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result


def refused(*arguments, **options):
    """The message with which ``nmt`` refuses these arguments."""
    result = command(*arguments, code=2, **options)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (message,) = re.findall(r"^error: (.*)", result.stderr, re.DOTALL | re.MULTILINE)
    return message


# A tiny training: letters, and the same backwards.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two aligned files and a recipe for them."""
    folder = tmp_path_factory.mktemp("letters")
    generator = random.Random(1)
    source = [" ".join(generator.choices("abcdefghij", k=generator.randint(3, 9))) for _ in range(200)]
    (folder / "letters.en").write_text("".join(line + "\n" for line in source))
    (folder / "letters.de").write_text("".join(line[::-1] + "\n" for line in source))
    content = {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": {"source": str(folder / "letters.en"), "target": str(folder / "letters.de")},
            "development": 10,
            "test": 10,
        },
        "pieces": {"size": 300},
        "model": {"embedding_units": 8, "encoder_units": 8, "decoder_units": 8, "attention_units": 8}
        | {"readout_units": 8},
        "training": {"updates": 4, "batch_tokens": 200, "validate_every": 2, "log_every": 1, "learning_rate": 0.01}
        | {"warmup_updates": 1},
        "search": {"beam_size": 2},
        "device": {"kind": "cpu"},
    }
    (folder / "letters.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="module")
def training(folder):
    """How the training was told of."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return command("train", "letters.yaml")
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def run(folder, training):
    """The trained run, where it goes by default."""
    return folder / "runs" / "letters"


@pytest.fixture(scope="module")
def evaluated(run):
    """How the evaluation was told of."""
    return command("evaluate", run)


def test_training_tells_its_story_on_standard_error_and_in_the_log(run, training):
    assert training.stdout == ""
    first, *_ = lines = training.stderr.splitlines()
    assert LOG_LINE.match(first)
    log = (run / "train.log").read_text("utf-8")
    for part in ("backend=tensorflow device=cpu", "update=1/4 ", "update=4 validation ", "nrefs:1|"):
        assert part in training.stderr
        assert part in log
    assert lines[-2].endswith("next: nmt evaluate runs/letters")
    assert lines[-1].endswith("or: nmt translate runs/letters < text.en")


def test_a_finished_training_says_so(folder, run):
    again = command("train", folder / "letters.yaml", "--run", run)
    assert f"{run} is finished: all 4 updates are done" in again.stderr
    assert "update=1/4" not in again.stderr


def test_an_interrupted_training_ends_with_130(folder, monkeypatch):
    interrupted = types.SimpleNamespace(finished="")
    monkeypatch.setattr(experiment, "train", lambda *arguments: (None, interrupted))
    assert "the same command goes on from here" in command("train", folder / "letters.yaml", code=130).stderr


def test_another_recipe_in_the_same_run_is_refused_key_by_key(folder, run):
    changes = ("--set", "model.encoder_units=9", "--set", "training.seed=2")
    message = refused("train", folder / "letters.yaml", "--run", run, *changes)
    assert "is a run of another recipe" in message
    assert re.findall(r"^  (.*)", message, re.MULTILINE) == ["model.encoder_units: 8 → 9", "training.seed: 1 → 2"]


def test_a_second_process_in_a_run_is_refused(folder, run):
    with Run.find(run).lock():
        assert "another process is training in" in refused("train", folder / "letters.yaml", "--run", run)


def test_a_full_disk_while_pieces_are_trained_is_told_with_what_to_do(folder, tmp_path):
    (tmp_path / "recipe.yaml").write_text((folder / "letters.yaml").read_text())
    (tmp_path / "pieces.vocab.partial").symlink_to("/dev/full")
    message = refused("train", folder / "letters.yaml", "--run", tmp_path)
    expected = f"{tmp_path}/pieces.vocab: No space left on device; free some space and run the same command again\n"
    assert message == expected
    assert not list(tmp_path.glob("pieces*"))


def test_a_directory_of_something_else_is_refused(folder):
    assert "exists and is no run" in refused("train", folder / "letters.yaml", "--run", folder)


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(folder, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    message = refused("train", folder / "letters.yaml", "--set", "device.kind=gpu", "--run", folder / "other")
    assert "device.kind: gpu was asked for, but tensorflow sees none" in message
    assert not (folder / "other").exists()


def test_mistakes_in_a_recipe_are_answered_with_what_is_meant(folder):
    path = folder / "letters.yaml"
    assert "did you mean training.updates?" in refused("train", path, "--set", "training.update=3")
    assert "expected section.key=value" in refused("train", path, "--set", "training.updates")
    assert f"did you mean {path}?" in refused("train", folder / "leters.yaml")


# Evaluation and comparison


def test_evaluation_prints_scores_and_keeps_what_was_scored(run, evaluated):
    rows = [line.split("\t", 2) for line in corpus.read_lines(run / "translations.tsv")]
    source, reference, translations = map(list, zip(*rows, strict=True))
    test = experiment.read_texts(Run.find(run).recipe.data).test
    assert (source, reference) == (test.source, test.target)
    expected = [score.bleu(translations, reference), score.chrf(translations, reference)]
    assert evaluated.stdout == f"{expected[0]}\n{expected[1]}\n"
    kept = json.loads((run / "evaluation.json").read_text("utf-8"))
    assert kept["text"] == {"name": "test", "pairs": 10, "sha256": test.checksum()}
    assert kept["search"]["beam_size"] == 2
    assert [(found["name"], found["value"], found["signature"]) for found in kept["scores"]] == [
        (found.name, found.value, found.signature) for found in expected
    ]
    assert f"reference  {reference[0]}" in evaluated.stderr
    assert evaluated.stderr.count("sample") == 3


def test_other_text_is_kept_beside_that_of_the_test(folder, run, evaluated, tmp_path):
    before = (run / "evaluation.json").read_bytes()
    command("evaluate", run, "--development", "--beam", "1")
    kept = json.loads((run / "evaluation-development.json").read_text("utf-8"))
    assert (kept["text"]["name"], kept["search"]["beam_size"]) == ("development", 1)
    names = [folder / "letters.en", folder / "letters.de"]
    command("evaluate", run, "--source", names[0], "--reference", names[1], "--set", "search.length_penalty=0.5")
    name = f"text-letters-{corpus.read_parallel(*names).checksum()[:8]}"
    kept = json.loads((run / f"evaluation-{name}.json").read_text("utf-8"))
    assert kept["text"]["name"] == name
    assert (kept["text"]["pairs"], kept["search"]["length_penalty"]) == (200, 0.5)
    assert len(corpus.read_lines(run / f"translations-{name}.tsv")) == 200
    for language in ("en", "de"):  # files called test are still not the run's own test text
        (tmp_path / f"test.{language}").write_text("a b c\n")
    command("evaluate", run, "--source", tmp_path / "test.en", "--reference", tmp_path / "test.de", "--beam", "1")
    (kept,) = run.glob("evaluation-text-test-*.json")
    assert json.loads(kept.read_text("utf-8"))["text"]["pairs"] == 1
    assert (run / "evaluation.json").read_bytes() == before


def test_texts_of_one_name_are_kept_apart_and_where_is_told(run, evaluated, tmp_path):
    told = f"scores are kept in {run}/evaluation.json, translations in {run}/translations.tsv"
    assert told in evaluated.stderr
    for day, line in (("monday", "a b c"), ("tuesday", "d e f")):
        (tmp_path / day).mkdir()
        for language in ("en", "de"):
            (tmp_path / day / f"news.{language}").write_text(line + "\n")
        files = (tmp_path / day / "news.en", tmp_path / day / "news.de")
        result = command("evaluate", run, "--source", files[0], "--reference", files[1], "--beam", "1")
        ending = f"text-news-{corpus.read_parallel(*files).checksum()[:8]}"
        told = f"scores are kept in {run}/evaluation-{ending}.json, translations in {run}/translations-{ending}.tsv"
        assert told in result.stderr
        assert (run / f"translations-{ending}.tsv").read_text("utf-8").startswith(f"{line}\t{line}\t")
    assert (
        len(list(run.glob("evaluation-text-news-*.json"))) == len(list(run.glob("translations-text-news-*.tsv"))) == 2
    )


def test_evaluations_that_cannot_be_made_are_refused(folder, run, tmp_path):
    assert "both --source and --reference" in command("evaluate", run, "--source", "x.en", code=2).stderr
    assert "of a trained run only search, evaluation and device" in refused("evaluate", run, "--set", "training.seed=2")
    assert "search.beam_size: received 0" in refused("evaluate", run, "--beam", "0")
    assert "is no directory; expected the directory of a training" in refused("evaluate", tmp_path / "none")
    assert "holds no recipe.yaml" in refused("evaluate", folder)

    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "recipe.yaml").write_text((copy / "recipe.yaml").read_text().replace("test: 10", "test: null"))
    assert "has no test text (data.test)" in refused("evaluate", copy)
    (copy / "recipe.yaml").write_text((copy / "recipe.yaml").read_text().replace("test: null", "test: 9"))
    assert "the test text is no longer what" in refused("evaluate", copy)
    (copy / "best.npz").unlink()
    assert "has no trained weights yet" in refused("evaluate", copy, "--development")


def test_runs_are_compared_by_their_kept_translations(run, evaluated, tmp_path):
    better = Path(shutil.copytree(run, tmp_path / "better"))
    rows = [line.split("\t", 2) for line in corpus.read_lines(run / "translations.tsv")]
    (better / "translations.tsv").write_text("".join(f"{row[0]}\t{row[1]}\t{row[1]}\n" for row in rows), "utf-8")
    twin = shutil.copytree(run, tmp_path / "twin")
    printed = command("compare", run, better, twin).stdout.splitlines()
    cells = [line.split() for line in printed]  # a score is three cells: value, [low, high]
    assert [row[0] for row in cells] == ["run", str(run), str(better), str(twin), "BLEU", "chrF2"]
    assert len(cells[1]) == 1 + 3 + 3  # the baseline has no p
    assert cells[2][1:4] == ["100.00", "[100.00,", "100.00]"]  # the references themselves
    assert float(cells[2][4]) < 0.05
    assert cells[3][1:4] == cells[1][1:4]
    assert cells[3][4] == cells[3][8] == "1.0000"
    assert "bs:1000" in printed[4]


def test_comparisons_that_would_mislead_are_refused(run, evaluated, tmp_path):
    assert "a comparison needs a baseline and another system" in refused("compare", run)
    assert "Missing argument 'RUN RUN...'" in command("compare", code=2).stderr
    other = Path(shutil.copytree(run, tmp_path / "other"))
    rows = (run / "translations.tsv").read_text("utf-8").splitlines(keepends=True)
    (other / "translations.tsv").write_text("".join(rows[:-1]), "utf-8")
    assert "translated different test texts (10 and 9 pairs)" in refused("compare", run, other)
    (other / "translations.tsv").write_text("".join(rows), "utf-8")
    (other / "recipe.yaml").write_text((run / "recipe.yaml").read_text().replace("tokenized: false", "tokenized: true"))
    assert "are scored by different rules" in refused("compare", run, other)
    (other / "translations.tsv").unlink()
    assert f"first run: nmt evaluate {other}" in refused("compare", run, other)


# Translation. What lines become is tested with a translator that shouts, how it is made with the trained run.


@pytest.fixture
def shouting(monkeypatch):
    """Replaces the translator; holds the chunks that it was given."""
    chunks = []

    class Shouting:
        languages = "en", "de"

        @classmethod
        def of_runs(cls, *runs):
            return cls()

        def translate_scored(self, lines, advance, **options):
            chunks.append(lines)
            advance(len(lines))
            return [Translation(line.upper(), -0.25) for line in lines]

    monkeypatch.setattr(translator, "Translator", Shouting)
    return chunks


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\n\n  \ntwo\n", ["ONE", "", "  ", "TWO"]),
        (b"no newline at the end", ["NO NEWLINE AT THE END"]),
        (b"windows\r\nlines\r\n", ["WINDOWS", "LINES"]),
        (b"\xef\xbb\xbfa mark\n\xef\xbb\xbfb\n", ["A MARK", "\ufeffB"]),
        ("a\u2028b\u0085c\x0bd\x0ce\rf\x1cg\n".encode(), ["A\u2028B\u0085C\x0bD\x0cE\rF\x1cG"]),
        (b"caf\xe9 \xff\xfe\n\xe2\x82\n", ["CAF\ufffd \ufffd\ufffd", "\ufffd"]),
        (b"nul\x00in it\n", ["NUL\x00IN IT"]),
    ],
)
def test_one_line_in_one_line_out(run, shouting, tmp_path, given, lines):
    expected = "".join(line + "\n" for line in lines).encode()
    assert command("translate", run, input=given).stdout_bytes == expected
    (tmp_path / "in").write_bytes(given)
    printed = command("translate", run, tmp_path / "in", "-o", tmp_path / "out").stdout
    assert printed == ""
    assert (tmp_path / "out").read_bytes() == expected


def test_bytes_that_are_no_text_are_counted(run, shouting):
    result = command("translate", run, input=b"good\nbad \xff\xff\nbad \xff\n\xef\xbf\xbd is text\n")
    assert "warning: lines with bytes that are no UTF-8, each replaced by U+FFFD: 2" in result.stderr
    assert "warning" not in command("translate", run, input=b"good\n").stderr


def test_a_stream_is_read_in_chunks(run, shouting, monkeypatch):
    monkeypatch.setattr(cli, "CHUNK", 2)
    assert command("translate", run, input=b"a\nb\nc\n").stdout == "A\nB\nC\n"
    assert shouting == [["a", "b"], ["c"]]


def test_scores_stand_before_a_tab(run, shouting):
    assert command("translate", run, "--scores", input=b"a\n").stdout == "-0.2500\tA\n"


def test_compressed_text_is_read(run, shouting, tmp_path):
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"a\nb\n"))
    assert command("translate", run, tmp_path / "in.gz").stdout == "A\nB\n"


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("damage", ["cut short", "changed", "not compressed"])
def test_broken_compressed_text_is_refused_and_nothing_written(run, shouting, tmp_path, ending, damage):
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending]
    data = compress("".join(f"line {number}\n" for number in range(99)).encode())
    middle = len(data) // 2
    broken = {
        "cut short": data[:middle],
        "changed": data[:middle] + bytes(byte ^ 255 for byte in data[middle : middle + 8]) + data[middle + 8 :],
        "not compressed": b"line\n",
    }
    (tmp_path / f"text.{ending}").write_bytes(broken[damage])
    message = refused("translate", run, tmp_path / f"text.{ending}", "-o", tmp_path / "out")
    assert message.startswith(f"{tmp_path}/text.{ending} cannot be read: ")
    assert os.listdir(tmp_path) == [f"text.{ending}"]


def test_an_output_that_is_no_regular_file_is_written_to_and_stays_what_it_is(run, shouting, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    command("translate", run, "-o", tmp_path / "pipe", input=b"a\nb\n")
    assert os.read(reader, 99) == b"A\nB\n"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "nothing").symlink_to(os.devnull)
    command("translate", run, "-o", tmp_path / "nothing", input=b"a\n")
    assert (tmp_path / "nothing").is_char_device()
    assert sorted(os.listdir(tmp_path)) == ["nothing", "pipe"]


def test_an_input_may_be_a_named_pipe(run, shouting, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["sh", "-c", f"echo a > {tmp_path}/pipe"]) as writer:
        assert command("translate", run, tmp_path / "pipe").stdout == "A\n"
    assert writer.returncode == 0


PO = """msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "one"
msgstr ""

msgid "two"
msgstr "zwei"
"""


def test_a_document_comes_back_with_its_translations(run, shouting, tmp_path):
    (tmp_path / "list.po").write_text(PO)
    command("translate", run, tmp_path / "list.po", "-o", tmp_path / "out.po")
    assert (tmp_path / "out.po").read_text() == PO.replace(
        'msgid "one"\nmsgstr ""', '#, fuzzy\nmsgid "one"\nmsgstr "ONE"'
    )
    assert command("translate", run, "--format", "po", "--again", input=PO.encode()).stdout.endswith(
        '#, fuzzy\nmsgid "two"\nmsgstr "TWO"\n'
    )
    assert command("translate", run, "--format", "text", tmp_path / "list.po").stdout == PO.upper()
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(b"a,b,c\n"))
    assert command("translate", run, tmp_path / "table.csv.gz", "--columns", "3,2").stdout == "a,b,c\n"
    assert command("translate", run, tmp_path / "table.csv.gz", "--columns", "3,2", "--again").stdout == "a,C,c\n"


def test_what_no_document_can_hold_is_refused(run, shouting, tmp_path):
    (tmp_path / "list.po").write_text(PO)
    for option in (["--n-best", "2"], ["--json"], ["--scores"], ["--alignments"], ["--prefixes", tmp_path / "list.po"]):
        message = command("translate", run, tmp_path / "list.po", *option, code=2).stderr
        assert "list.po is a document, in which a translation stands as it is; --format text reads it as" in message
    assert "--columns and --again are of documents" in command("translate", run, "--again", code=2).stderr
    message = command("translate", run, tmp_path / "list.po", "--columns", "en", code=2).stderr
    assert "--columns en: expected two names or numbers, with a comma between them" in message
    message = command("translate", run, tmp_path / "list.po", "--format", "doc", code=2).stderr
    assert "--format doc: expected text or one of tmx, po, pot, xlf" in message
    (tmp_path / "broken.po").write_text('msgid "one"\ntwo\n')
    message = refused("translate", run, tmp_path / "broken.po", "-o", tmp_path / "out.po")
    assert "broken.po, line 2: 'two' is not what a PO file is made of" in message
    (tmp_path / "cut.po.gz").write_bytes(gzip.compress(PO.encode() * 99)[:-20])
    assert "cut.po.gz cannot be read: " in refused("translate", run, tmp_path / "cut.po.gz", "-o", tmp_path / "out.po")
    assert sorted(os.listdir(tmp_path)) == ["broken.po", "cut.po.gz", "list.po"]


def test_an_output_that_exists_is_replaced_by_force_alone(run, shouting, tmp_path):
    (tmp_path / "out").write_text("before")
    assert refused("translate", run, "-o", tmp_path / "out") == f"{tmp_path / 'out'} exists; --force replaces it\n"
    assert (tmp_path / "out").read_text() == "before"
    command("translate", run, "-o", tmp_path / "out", "--force", input=b"a\n")
    assert (tmp_path / "out").read_text() == "A\n"


def test_what_somebody_has_open_is_not_written_and_what_changes_is_not_read(run, shouting, tmp_path, monkeypatch):
    out, document = tmp_path / "out.po", tmp_path / "list.po"
    out.write_text("before")
    document.write_text(PO.replace("zwei", ""))
    lock = tmp_path / ".~lock.out.po#"
    lock.touch()
    message = refused("translate", run, document, "-o", out, "--force")
    assert message.startswith(
        f"{out} is open in LibreOffice, which would write over it; close it there (or remove {lock}"
    )
    lock.unlink()
    said = translator.Translator.translate_scored
    monkeypatch.setattr(cli, "CHUNK", 1)  # so that there is something left to read

    def meanwhile(self, *arguments, **options):
        document.write_text(PO * 2)
        return said(self, *arguments, **options)

    monkeypatch.setattr(translator.Translator, "translate_scored", meanwhile)
    message = refused("translate", run, document, "-o", out, "--force")
    assert message.startswith(
        f"{document} has been changed while it was read; expected it to stay: run the command again"
    )
    assert out.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["list.po", "out.po"]


def test_an_output_is_written_whole_or_not_at_all(run, shouting, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.write_text("before")

    def fails(self, lines, advance, **options):
        raise RuntimeError("in the midst of it")

    monkeypatch.setattr(translator.Translator, "translate_scored", fails)
    with pytest.raises(RuntimeError, match="in the midst"):
        command("translate", run, "-o", out, "--force", input=b"a\n")
    assert out.read_text() == "before"
    assert os.listdir(tmp_path) == ["out"]


def test_files_that_cannot_be_read_or_written_are_refused_before_the_model_is_loaded(run, tmp_path, monkeypatch):
    monkeypatch.delattr(translator, "Translator")
    (tmp_path / "text.en").write_text("a\n")
    assert f"did you mean {tmp_path / 'text.en'}?" in refused("translate", run, tmp_path / "text.eng")
    message = refused("translate", run, tmp_path / "text.en", "-o", tmp_path / "none" / "out")
    assert "out was not written: " in message
    assert "No such file or directory" in message
    assert "is a directory" in refused("translate", run, tmp_path / "text.en", "-o", tmp_path)
    message = refused("translate", run, tmp_path)
    assert message == f"{tmp_path} holds no recipe.yaml, so it is no run; {EXPECTED}\n"
    # What was meant to be another run, or a file, cannot be known.
    message = refused("translate", run, tmp_path / "typo")
    assert message == f"{tmp_path}/typo does not exist; expected another run (a directory) or a text file\n"
    message = refused("translate", tmp_path / "typo", tmp_path / "text.en")
    assert message == f"{tmp_path}/typo is no directory; {EXPECTED}\n"
    message = refused("translate", tmp_path / "text.en", run)
    assert message == f"{tmp_path}/text.en is no directory; {EXPECTED}\n"


def test_the_command_translates_as_the_python_object_does(folder, run, tmp_path):
    lines = list(corpus.read_lines(folder / "letters.en")[:20])
    lines[3] = ""
    text = "".join(line + "\n" for line in lines).encode()
    translated = command("translate", run, input=text).stdout_bytes.decode().split("\n")
    assert translated == [*nmt.load(run).translate(lines), ""]
    assert translated[3] == ""
    greedy = command("translate", run, "--beam", "1", "--length-penalty", "0", "--scores", input=text).stdout_bytes
    scored = nmt.load(run, settings=("search.beam_size=1", "search.length_penalty=0")).translate_scored(lines)
    assert greedy.decode() == "".join(f"{found.score:.4f}\t{found.text}\n" for found in scored)


@pytest.mark.slow
def test_who_types_is_answered_line_by_line(run):
    ours, theirs = pty.openpty()
    with subprocess.Popen([NMT, "translate", run], stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            os.write(ours, b"a b c\n")
            assert process.stdout.readline().endswith("\n")
        os.write(ours, b"\x04")
        assert process.wait(30) == 0
    os.close(ours)
    os.close(theirs)


# Export, scores, recipes


def test_an_export_is_told_with_its_client(run, tmp_path):
    client = command("export", run, "--to", "savedmodel", tmp_path / "out").stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"text", "ids", "README.md"}
    assert f'tf.saved_model.load("{tmp_path}/out/text")' in client
    assert len(client.splitlines()) == 3
    compile(client, "client", "exec")
    assert "exists already" in refused("export", run, "--to", "savedmodel", tmp_path / "out")
    assert "'savedmodel'" in command("export", run, "--to", "tflite", tmp_path / "out", code=2).stderr


def test_scores_of_files(tmp_path):
    (tmp_path / "hypotheses").write_text("the Cat sat on the mat\nyes\n")
    (tmp_path / "reference").write_text("the cat sat on the red mat\nyes\n")
    files = (tmp_path / "hypotheses", tmp_path / "reference")
    lines = [corpus.read_lines(file) for file in files]
    assert command("score", *files).stdout == f"{score.bleu(*lines)}\n{score.chrf(*lines)}\n"
    lower = command("score", *files, "--lowercase", "--tokenize", "none").stdout
    assert lower == f"{score.bleu(*lines, tokenize='none', lowercase=True)}\n{score.chrf(*lines, lowercase=True)}\n"

    assert "unknown tokenizer '13b'" in refused("score", *files, "--tokenize", "13b")
    (tmp_path / "reference").write_text("yes\n")
    assert "hypotheses: 2 lines, references: 1 lines" in refused("score", *files)
    assert "does not exist" in refused("score", tmp_path / "none", files[1])


def test_a_recipe_is_printed_with_every_default(folder, tmp_path):
    path = tmp_path / "effective.yaml"
    path.write_bytes(command("recipe", folder / "letters.yaml").stdout_bytes)
    assert recipe.read(path) == recipe.read(folder / "letters.yaml")
    assert "clip_norm: 1.0" in path.read_text()
    assert command("recipe").stdout_bytes.decode() == recipe.reference() + "\n"


def test_a_new_recipe_goes_to_standard_output_and_its_reasons_to_standard_error(folder, tmp_path):
    drafted = command("new", folder / "letters.en", folder / "letters.de")
    path = tmp_path / "mine.yaml"
    path.write_bytes(drafted.stdout_bytes)
    assert recipe.read(path).data.train.source == str(folder / "letters.en")
    assert "200 pairs in" in drafted.stderr
    assert all(LOG_LINE.match(line) for line in drafted.stderr.splitlines())
    assert "--source-language" in refused("new", folder / "letters.yaml", folder / "letters.de")
    sides = [(folder / f"letters.{language}").read_text().splitlines() for language in ("en", "de")]
    table = tmp_path / "table.en-de.csv"
    table.write_text("".join(f"{number},{a},{b}\n" for number, (a, b) in enumerate(zip(*sides, strict=True))))
    drafted = command("new", table, "--columns", "2,3")
    path.write_bytes(drafted.stdout_bytes)
    assert recipe.read(path).data.train.columns == [2, 3]
    assert "table.en-de.csv: its first row ('0, " in drafted.stderr
    assert "--columns 2: expected two names or numbers" in command("new", table, "--columns", "2", code=2).stderr
    assert "expected one table or JSON Lines file" in refused(
        "new", folder / "letters.en", folder / "letters.de", "--columns", "2,3"
    )


# How it ends, and what it costs


def test_without_a_command_help_is_printed():
    printed = command().stdout
    names = ["new", "doctor", "train", "evaluate", "translate", "synthesize", "explain", "score-pairs", "score"]
    names += ["compare", "export", "recipe"]
    assert re.findall(r"^  ([a-z-]+)  ", printed.partition("Commands:")[2], re.MULTILINE) == names
    assert printed == command("--help").stdout
    for name in names:
        assert f"\n  nmt {name}" in command(name, "--help").stdout, "help teaches by an example"


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a\n")
    monkeypatch.setattr(score, "bleu", lambda *arguments, **options: json.loads("no JSON"))
    with pytest.raises(json.JSONDecodeError):
        command("score", tmp_path / "a", tmp_path / "a")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EDQUOT, "Quota", "a"), "a: Quota; free some space and run the same command again"),
        (OSError(errno.ENOSPC, "Full"), "Full; free some space and run the same command again"),
        (OSError(errno.EROFS, "Read-only", "a", None, "b"), "a → b: Read-only"),
    ],
)
def test_what_the_system_refuses_is_told_in_one_line(tmp_path, monkeypatch, error, message):
    def fails(*arguments, **options):
        raise error

    (tmp_path / "a").write_text("a\n")
    monkeypatch.setattr(score, "bleu", fails)
    assert refused("score", tmp_path / "a", tmp_path / "a") == message + "\n"


def test_a_librarys_error_without_a_number_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a\n")
    monkeypatch.setattr(score, "bleu", lambda *arguments, **options: io.BytesIO().fileno())
    with pytest.raises(io.UnsupportedOperation):
        command("score", tmp_path / "a", tmp_path / "a")


def test_ctrl_c_ends_quietly(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    (tmp_path / "a").write_text("a\n")
    monkeypatch.setattr(score, "bleu", interrupted)
    result = command("score", tmp_path / "a", tmp_path / "a", code=130)
    assert (result.stdout, result.stderr) == ("", "")


def test_logging_is_left_as_it_was(folder):
    logger = logging.getLogger("nmt")
    before = logger.level, logger.propagate, list(logger.handlers)
    command("recipe", folder / "letters.yaml")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_log_lines_stand_above_the_progress_bar(capsys):
    with cli._logging(), tqdm(total=3, file=sys.stderr) as bar:
        bar.update()
        logging.getLogger("nmt").info("news")
        logging.getLogger("nmt").warning("bad news")
    lines = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d news", line) for line in lines)
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d warning: bad news", line) for line in lines)


def test_noise_of_libraries_is_held_back_unless_they_fail(capfd):
    with devices.quiet_unless_it_fails():
        os.write(2, b"noise\n")

    def fail():
        with devices.quiet_unless_it_fails():
            os.write(2, b"the reason\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "the reason\nafter\n"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "none.yaml"], ["translate", "none"], ["score", "a", "b"]])
def test_what_needs_no_framework_loads_none(arguments):
    heavy = {"tensorflow", "keras", "jax", "matplotlib"}
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('LOADED', *sorted({heavy} & set(sys.modules))))\n"
        "from nmt.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_a_mistake_ends_a_process_with_2_and_one_line(tmp_path):
    done = subprocess.run([NMT, "train", "none.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: none.yaml: no such recipe\n"


def test_a_reader_that_went_away_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([NMT, "recipe"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode != 0
    assert done.stderr == ""


def test_a_process_translates_and_says_nothing_but_its_own_log(run):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [NMT, "translate", run], input=b"a b c\n\nb c", capture_output=True, env=environment, check=True
    )
    assert done.stdout.count(b"\n") == 3
    assert done.stdout.split(b"\n")[1] == b""
    assert [line for line in done.stderr.decode().splitlines() if not LOG_LINE.match(line)] == []
