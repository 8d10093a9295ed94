"""The translator as people use it: paragraphs, confidence, what to look at, several processes, any bytes."""

import argparse
import getopt
import json
import optparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click.core
import click.exceptions
import click.types
import numpy as np
import pytest
import toy
from babel.messages.extract import extract_from_file
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt
from nmt import experiment, score, translation
from nmt.cli import commands
from nmt.confidence import Confidence
from nmt.processes import Processes
from nmt.symbols import EOS, PAD
from nmt.translator import Translator, TranslatorError

NMT = Path(sys.executable).with_name("nmt")
PARAGRAPH = "  one two. three four?\tfive"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    text = toy.write_text(tmp_path_factory.mktemp("text"))
    return toy.write_run(text / "run", text, seed=1, data__development=20, data__max_length=12)


@pytest.fixture(scope="module")
def directory(run, tmp_path_factory):
    """The run's compact model; it was calibrated before."""
    experiment.evaluate([run], experiment.read_text(run, "development"), "development")
    made = tmp_path_factory.mktemp("exports") / "toy"
    command = ["export", str(run.directory), str(made), "--to", "compact", "--precision", "float32"]
    result = CliRunner().invoke(commands, command)
    assert result.exit_code == 0, result.output
    return made


@pytest.fixture(scope="module")
def translator(directory):
    return nmt.load(directory)


def told(*arguments, text=b"", code=0):
    """What the command writes, within this process."""
    result = CliRunner().invoke(commands, ["translate", *map(str, arguments)], input=text)
    assert result.exit_code == code, result.output
    return result


# --- marks ---

# What a program's messages hold that a translation must too: by the rules of printf, str.format and HTML.
MARKS = re.compile(r"%prog|%default|%\(\w+\)[srd]|%%?[dsrix]|\{[^{} ]*\}|</?[a-z]+>|\w+@|https?://")


def test_every_mark_of_real_messages_survives_a_model_that_knows_none_of_them(translator):
    """The messages of programs that come with Python; the toy model was trained on ten words without a mark."""
    messages: list[str] = []
    for module in (argparse, optparse, getopt, click.core, click.exceptions, click.types):
        for _, message, _, _ in extract_from_file("python", module.__file__):
            messages += [message] if isinstance(message, str) else filter(None, message)
    messages = [line for message in messages for line in message.split("\n")]
    messages += ["<b>%s</b> of {total}: see https://example.org/a?b=1.", "Write to a.b@example.org!", "{} and {}"]
    with_marks = [message for message in messages if MARKS.search(message)]
    assert len(with_marks) > 50
    found = translator.translate_scored(messages)
    for message, one in zip(messages, found, strict=True):
        assert Counter(MARKS.findall(one.text)) == Counter(MARKS.findall(message)), (message, one.text)
        told = "marks were lost, and put where the attention tells" in one.doubts
        letters = any(map(str.isalpha, MARKS.sub("", message.replace("{choices}", ""))))
        assert told == (bool(MARKS.search(message)) and letters), message
    assert "https://example.org/a?b=1" in found[-3].text
    assert "a.b@example.org" in found[-2].text
    assert found[-3].text.index("<b>") < found[-3].text.index("</b>")


def test_a_mark_goes_with_its_word_and_links_are_those_of_the_whole(translator, monkeypatch):
    one = translation.Translation("drei eins zwei", -1.0, alignment=((2, 0), (0, 1), (1, 2)))
    other = translation.Translation("eins zwei", -2.0, alignment=((0, 0), (1, 1)))

    def translated(self, lines, *others, align, **options):
        assert [" ".join(line.split()) for line in lines if "{" not in line] in ([], ["one two three"])
        found = one._replace(alternatives=(other,))
        return [found if align else found._replace(alignment=None)] * len(lines)

    monkeypatch.setattr(Translator, "_translated", translated)
    (found,) = translator.translate_scored(["one {x} <i>two</i> three"], align=True, n_best=2)
    assert found.text == "drei eins {x} <i>zwei</i>"
    # Words of the source: one {x} <i>two</i> three; of the translation: drei eins {x} <i>zwei</i>.
    assert found.alignment == ((3, 0), (0, 1), (2, 3))
    assert found.alternatives[0].text == "eins {x} <i>zwei</i>"
    assert found.alternatives[0].alignment == ((0, 0), (2, 2))
    (found,) = translator.translate_scored(["one {x} <i>two</i> three"], n_best=2)
    assert (found.text, found.alignment) == ("drei eins {x} <i>zwei</i>", None)


def test_what_a_model_says_itself_is_left_alone(translator, monkeypatch):
    said = {"one {x}": "eins {x}", "one 12": "eins", "one 1,200": "eins 1.200", "one 7": "sieben", "<2de> one": "eins"}
    asked = []

    def translated(self, lines, *others, **options):
        asked.extend(lines)
        return [translation.Translation(said[line], -1.0) for line in lines]

    monkeypatch.setattr(Translator, "_translated", translated)
    monkeypatch.setattr(translator, "_symbols", re.compile("(?:<2de>) ?"))
    found = translator.translate_scored(list(said))
    assert [one.text for one in found] == list(said.values())
    assert [one.doubts for one in found] == [(), ("a number is missing",), (), (), ()]
    assert asked == list(said)


def test_of_several_the_first_stays_first_and_those_that_lack_a_mark_go(translator, monkeypatch):
    """What search has put behind another, for a mark or a circle, stays there though its score is higher."""
    alternatives = tuple(translation.Translation(text, score) for text, score in (("zwei", -1.0), ("zwei {x}", -3.0)))
    first = translation.Translation("eins {x}", -2.0, alternatives=alternatives)
    monkeypatch.setattr(translation, "translate", lambda engine, pieces, lines, *_, **__: [first] * len(lines))
    (found,) = translator.translate_scored(["one {x}"], n_best=3)
    assert (found.text, found.doubts) == ("eins {x}", ())
    assert [one.text for one in found.alternatives] == ["zwei {x}"]


def test_a_symbol_of_the_recipe_is_no_mark(run):
    recipe = run.recipe.model_copy(
        update={"pieces": run.recipe.pieces.model_copy(update={"symbols": ["<2de>", "a|b"]})}
    )
    symbols = Translator(None, run.pieces(), recipe)._symbols
    assert [bool(symbols.fullmatch(text)) for text in ("<2de>", "a|b", "a", "<b>")] == [True, True, False, False]


def test_with_a_prefix_a_lost_mark_is_not_put_back_but_told(translator):
    (found,) = translator.translate_scored(["one {x} two"], prefixes=[""])
    assert "{x}" not in found.text
    assert "marks were lost" in found.doubts


def test_marks_are_not_explained(translator):
    found = translator.explain("one <b>two</b> {x} three")
    assert found.source == ["one", "two", "three"]
    assert not {"<b>", "{x}"} & {word.strip() for word in found.target}


def test_a_line_of_marks_alone_stays_as_it_is(translator):
    lines = ["%s", " <b>{name}</b> ", "{x}, {y}"]
    assert [(one.text, one.doubts) for one in translator.translate_scored(lines)] == [(line, ()) for line in lines]


def test_a_tag_stands_before_every_sentence(run, translator, directory):
    recipe = run.recipe.model_copy(update={"pieces": run.recipe.pieces.model_copy(update={"symbols": ["<a>"]})})
    asked = []

    class Engine:
        size = run.pieces()[1].size

        def start(self, source, *sizes):
            asked.extend(source.tolist())
            return translator._engine.start(source, *sizes)

    tagged = Translator(Engine(), run.pieces(), recipe)
    tagged.translate_scored(["one two. three", ""], tag="<a>")
    sentences = run.pieces()[0].encode_lines(["<a> one two.", "<a> three"])
    assert sorted([piece for piece in row if piece not in (PAD, EOS)] for row in asked) == sorted(sentences)
    with pytest.raises(TranslatorError, match="knows no tag '<b>'; it has learnt <a>"):
        tagged.translate_scored(["one"], tag="<b>")
    result = told(directory, "--tag", "<b>", text=b"one", code=2)
    assert "the model knows no tag '<b>'; it has learnt none (pieces.symbols)" in result.output


# --- paragraphs ---


def test_the_sentences_of_a_line_are_translated_as_if_they_stood_alone(translator):
    alone = translator.translate(["one two.", "three four?", "five"])
    (together,) = translator.translate_scored([PARAGRAPH], align=True, attention=True, n_best=2)
    assert together.text == "  {} {}\t{}".format(*alone)
    scores = [found.score for found in translator.translate_scored(["one two.", "three four?", "five"])]
    assert together.score == pytest.approx(sum(scores), rel=1e-5)
    words = together.text.split()
    assert [target for _, target in together.alignment] == list(range(len(words)))
    table = np.array(together.attention)
    assert table.shape == (len(words), 5)
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    assert [row.argmax() for row in table] == [source for source, _ in together.alignment]
    first = len(alone[0].split())
    assert (table[:first, 2:] == 0).all()  # no sentence looks at another
    assert len(together.alternatives) == 1
    assert together.alternatives[0].score <= together.score

    assert [one.text for one in together.sentences] == alone


def test_some_lines_are_translated_as_they_are(translator, monkeypatch):
    """With split False, with a prefix, and where the model reads tokenised text."""
    asked = []
    translate = translation.translate

    def asking(engine, pieces, lines, *others, **named):
        asked.append(list(lines))
        return translate(engine, pieces, lines, *others, **named)

    monkeypatch.setattr(translation, "translate", asking)
    line = " one. two."
    translator.translate([line])
    translator.translate_scored([line], split=False)
    translator.translate_scored([line, line], prefixes=["zw", ""])
    monkeypatch.setattr(translator, "_data", translator._data.model_copy(update={"tokenized": True}))
    translator.translate([line])
    assert asked == [["one.", "two."], [line], [line, "one.", "two."], ["one. two."]]


def test_a_sentence_that_is_too_long_is_cut_and_that_is_told(translator, directory, caplog):
    """The model has learnt from 12 pieces; the words of these numbers have two pieces or more."""
    long = " ".join(["seven eight nine ten"] * 4)
    found, short = translator.translate_scored([long, "one two"])
    assert (found.cut, short.cut) == (True, False)
    assert "too long, translated in parts" in found.doubts
    assert "too long, translated in parts" not in short.doubts
    row = json.loads(told(directory, "--json", text=f"{long}\n".encode()).stdout)
    assert row["cut"] is True
    done = subprocess.run([NMT, "translate", directory], input=f"{long}\n", capture_output=True, text=True)
    assert "too long, translated in parts: 1" in done.stderr
    assert "--review FILE lists them" in done.stderr


# --- confidence ---


def test_evaluating_the_development_text_calibrates(run, directory):
    """Against what sacreBLEU says of each kept translation, and what the model of its pieces."""
    rows = [row.split("\t") for row in run.path("translations-development.tsv").read_text().splitlines()]
    said = nmt.load(run.directory).translate_scored([row[0] for row in rows], split=False)
    assert [one.text for one in said] == [row[2] for row in rows]
    chrf = score.sentence_chrf([row[2] for row in rows], [row[1] for row in rows])
    pieces = run.pieces()[1]
    penalties = [((5 + len(pieces.encode(one.text)) + one.finished) / 6) ** 1.0 for one in said]
    means = [
        one.score * penalty / (len(pieces.encode(one.text)) + one.finished)
        for one, penalty in zip(said, penalties, strict=True)
    ]
    known = experiment.confidence(run)
    assert known.log_probabilities == pytest.approx(Confidence.learn(means, chrf).log_probabilities, rel=0.05)
    assert json.loads((directory / "compact.json").read_text())["confidence"] == asdict(known)
    assert nmt.load(directory).confidence == known == nmt.load(run.directory).confidence


def test_each_translation_says_how_far_it_can_be_trusted(translator, directory):
    lines = [*[line for line in toy.lines(60, seed=4)[0] if len(line.split()) < 4], ""]
    found = translator.translate_scored(lines)
    alone = translator.translate_scored(lines[:-1], split=False)
    assert found[:-1] == alone  # each is one sentence
    assert all(0 <= one.confidence <= 1 for one in found[:-1])
    assert len({one.confidence for one in found[:-1]}) > 5
    assert found[-1].confidence is None
    doubtful = [one.log_probability < translator.confidence.doubtful for one in alone]
    assert any(doubtful)
    assert [("low confidence" in one.doubts) for one in found[:-1]] == doubtful
    rows = [
        json.loads(row) for row in told(directory, "--json", text="\n".join([*lines, ""]).encode()).stdout.splitlines()
    ]
    assert [row.get("confidence") for row in rows] == [
        None if one.confidence is None else round(one.confidence, 4) for one in found
    ]
    assert [tuple(row.get("doubts", ())) for row in rows] == [one.doubts for one in found]


def test_one_bad_sentence_among_good_ones_is_doubted(translator):
    lines = [f"{line}." for line in toy.lines(60, seed=4)[0] if len(line.split()) < 4]
    alone = translator.translate_scored(lines)
    assert not any(one.cut or one.sentences for one in alone)
    good = [one for one in alone if "low confidence" not in one.doubts]
    (together,) = translator.translate_scored([" ".join(lines)])
    assert 0 < len(good) < len(alone)
    assert "low confidence" in together.doubts
    assert [one.confidence for one in together.sentences] == pytest.approx([one.confidence for one in alone])


def test_what_a_person_should_look_at_is_listed(translator, directory, tmp_path):
    lines = [*toy.lines(30, seed=4)[0], "\tone\ttwo"]
    review = tmp_path / "look.tsv"
    told(directory, "--review", review, text="\n".join(lines).encode())
    expected = []
    for number, (line, one) in enumerate(zip(lines, translator.translate_scored(lines), strict=True), 1):
        if one.doubts:
            row = [str(number), f"{one.confidence:.2f}", ", ".join(one.doubts), line, one.text]
            expected.append("\t".join(column.replace("\t", " ") for column in row))
    assert expected
    assert review.read_text().splitlines() == expected
    text = tmp_path / "text.en"
    text.write_text("one two\n" * 3000)
    for other in (text, tmp_path / "." / "text.en"):
        assert (
            f"--review {other} is also what is read or written"
            in told(directory, text, "--review", other, code=2).stderr
        )
    out = tmp_path / "out.de"
    assert "is also what is" in told(directory, text, "-o", out, "--review", out, code=2).stderr
    assert text.read_text() == "one two\n" * 3000
    # A reader that goes away is no fault of the list, which has what was done by then.
    script = f"{NMT} translate {directory} {text} --batch 2 --review {review} --force | head -n 1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=1800)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "was not written" not in done.stderr
    assert review.is_file()


def test_attention_is_a_table_of_json(translator, directory):
    (found,) = translator.translate_scored(["one two three"], attention=True)
    row = json.loads(told(directory, "--json", "--attention", text=b"one two three\n").stdout)
    np.testing.assert_allclose(row["attention"], found.attention, atol=1e-4)
    done = subprocess.run([NMT, "translate", directory, "--attention"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--attention is a table, which no line of text holds; give --json too" in done.stderr


# --- several processes ---


def test_several_processes_say_what_one_says(translator, directory, tmp_path):
    lines = [*toy.lines(40, seed=6)[0], "", PARAGRAPH]
    done = []
    with Processes(2, directory) as together:
        found = together.translate_scored(lines, done.append, n_best=2, align=True)
        assert found == translator.translate_scored(lines, n_best=2, align=True)
        alone = []
        translator.translate_scored(lines, alone.append)
        assert sum(done) == sum(alone) > len(lines)  # sentences
        prefixes = ["zw", *[""] * (len(lines) - 1)]
        begun = together.translate_scored(lines, prefixes=prefixes)
        assert [one.text for one in begun] == [
            one.text for one in translator.translate_scored(lines, prefixes=prefixes)
        ]
        assert together.translate([]) == []
        assert together.score(["one", ""], ["eins", "x"])[0] == pytest.approx(translator.score(["one"], ["eins"])[0])
        assert together.explain("one two").target == translator.explain("one two").target
        with pytest.raises(TranslatorError, match=r"received one string; write \['one'\]"):
            together.translate("one")
        with pytest.raises(TranslatorError, match="need a beam of as many"):
            together.translate_scored(["one"], n_best=50)
        assert together.confidence == translator.confidence
        assert together.translate(["one"]) == translator.translate(["one"])  # it goes on
    text = "".join(f"{line}\n" for line in lines)
    command = [NMT, "translate", directory, "--processes", "2"]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:-1] == translator.translate(lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "{}"), "expected at least 1 process, received 0"),
        ((2, "nowhere"), "nowhere is no directory; expected the directory of a training"),
    ],
)
def test_processes_that_cannot_be_are_refused(directory, arguments, message):
    count, place = arguments
    with pytest.raises(ValueError, match=message):
        nmt.load(place.format(directory), processes=count)


def test_what_the_user_can_mend_is_told_alike(directory):
    command = [NMT, "translate", directory, "--n-best", "50"]
    for processes in ("1", "2"):
        done = subprocess.run([*command, "--processes", processes], input="one\n", capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: the 50 best translations need a beam of as many")
        assert "Traceback" not in done.stderr


def test_a_process_that_is_killed_is_told_and_another_takes_its_place(translator, directory):
    with Processes(2, directory) as together:
        assert together.translate(["one"]) == translator.translate(["one"])
        os.kill(next(iter(children(os.getpid()))), signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(TranslatorError, match="one of 2 processes that translate has ended: it was killed, there"):
            together.translate(["one", "two"])
        assert together.translate(["one"]) == translator.translate(["one"])


def children(pid):
    """The processes that translate for process ``pid``."""
    found = []
    for path in list(Path("/proc").glob("[0-9]*/stat")):
        try:
            number, parent = path.parent.name, path.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid and b"spawn_main" in (path.parent / "cmdline").read_bytes():
                found.append(int(number))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux which processes there are")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_however_it_ends_no_process_stays_behind(directory, how):
    """In the middle of much text, of which something is out already."""
    command = [NMT, "translate", directory, "--processes", "2", "--batch", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        one.stdin.write("one two\n")
        one.stdin.flush()
        assert one.stdout.readline()
        one.stdin.write("one two three four five\n" * 4000)
        one.stdin.flush()
        time.sleep(0.2)
        workers = children(one.pid)
        assert len(workers) == 2
        one.send_signal(how)
        one.stdin.close()
        assert one.wait(timeout=300) == (130 if how == signal.SIGINT else -how)
        assert "Traceback" not in one.stderr.read()
    for _ in range(2400):
        if not any(map(alive, workers)):
            break
        time.sleep(0.05)
    assert not any(map(alive, workers))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lines": "one"}, r"expected a list of lines, received one string; write \['one'\]"),
        ({"lines": [b"one"]}, "expected a list of strings as lines, received"),
        ({"lines": (line for line in ["one"])}, "expected a list of strings as lines, received <generator"),
        ({"lines": ["a", "b"], "prefixes": "zw"}, "expected a list of prefixes, received one string"),
        ({"lines": ["a", "b"], "prefixes": ["zw"]}, "expected a prefix for each of 2 lines, received 1"),
        ({"lines": ["a"], "n_best": 0}, "expected 1 or more translations of each line, received n_best=0"),
    ],
)
def test_what_cannot_be_meant_is_refused(translator, arguments, message):
    with pytest.raises(ValueError, match=message):
        translator.translate_scored(**arguments)


# --- any bytes ---

LINE = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from(["one", "two.", "three?", "\t", "。", "\u2028", "\r", "\0", "\x01", "\x0b", "\x1c", "x" * 40]),
        max_size=12,
    ).map(lambda words: " ".join(words).encode()),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(LINE, max_size=6),
    st.booleans(),
    st.sampled_from(
        [
            (),
            ("--json", "--attention", "--alignments"),
            ("--no-split", "--scores"),
            ("--n-best", "2", "--alignments"),
            ("--beam", "1"),
        ]
    ),
)
def test_any_bytes_give_as_many_lines(directory, lines, ended, options):
    raw = b"\n".join(lines) + b"\n" * ended
    count = raw.count(b"\n") + bool(raw and not raw.endswith(b"\n"))
    said = told(directory, *options, text=raw).stdout_bytes
    assert said.count(b"\n") == count
    assert said.endswith(b"\n") or not count
    rows = said.decode().split("\n")[:-1]
    if options[:1] == ("--json",):
        for row in map(json.loads, rows):
            assert isinstance(row["translation"], str)
            assert {target for _, target in row["alignment"]} == set(range(len(row["attention"])))
            assert all(0 <= source < len(paid) for source, _ in row["alignment"] for paid in row["attention"])
