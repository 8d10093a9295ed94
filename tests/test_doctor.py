"""A text with one fault of each kind, which the doctor must find in its very line."""

import csv
import gzip
import json
import re
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest
import toy
from click.testing import CliRunner

from nmt import cli, doctor, filters
from nmt.drift import Drift
from nmt.filters import FilterError

NAMES = ["Anna", "Bernd", "Clara", "Dieter", "Emma", "Fritz", "Greta", "Hans", "Ida", "Jakob", "Klara", "Ludwig"]
PLACES = ["Berlin", "Hamburg", "Munich", "Cologne", "Bremen", "Leipzig", "Dresden", "Bonn", "Essen", "Ulm", "Trier"]
ORTE = ["Berlin", "Hamburg", "München", "Köln", "Bremen", "Leipzig", "Dresden", "Bonn", "Essen", "Ulm", "Trier"]
TIMES = [("yesterday evening", "gestern Abend"), ("every summer", "jeden Sommer"), ("once more", "noch einmal")]

# By the line that each replaces.
PLANTED = {
    11: ("empty", "", "Nichts."),
    22: ("lengths", "long " * 300, "lang " * 300),
    33: ("ratio", "Yes.", "Ja, aber nur dann, wenn es wirklich niemanden stört und alle es wollen, die davon wissen."),
    44: ("identical", "Copyright by the authors", "Copyright by the authors"),
    55: ("alphabet", "Это написано по-русски, а не по-английски.", "Das ist auf Russisch geschrieben, nicht anders."),
    66: ("language", "Nous avons acheté une maison à la campagne.", "Wir haben ein Haus auf dem Land gekauft."),
    77: ("control", "A line\x0bwith a tabulator in it.", "Eine Zeile mit einem Tabulator darin."),
    88: ("mojibake", "They greet each other kindly.", "Sie grÃ¼ÃŸen einander freundlich."),
    99: ("mixed scripts", "The c\u0430t is on the mat.", "Die Katze ist auf der Matte."),
    111: ("held_out", "This is a sentence of the test.", "Das ist ein Satz, der geprüft wird."),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("faulty")
    pairs = [
        (f"{name} went to {place} with a friend {english}.", f"{name} ging mit einem Freund {german} nach {ort}.")
        for name in NAMES
        for place, ort in zip(PLACES, ORTE, strict=True)
        for english, german in TIMES
    ]
    for line, (_, source, target) in PLANTED.items():
        pairs[line - 1] = source, target
    pairs[199] = pairs[149]  # lines 150 and 200
    pairs[298] = "Room 12 is on floor 3.", "Zimmer 12 ist im 3. Stock."
    pairs[299] = "Room 47 is on floor 5.", "Zimmer 47 ist im 5. Stock."
    write(path / "train", pairs)
    write(
        path / "test",
        [("this is a sentence of the test", "etwas anderes"), ("And one more of them.", "Noch einer davon.")],
    )
    return path


def write(stem, pairs):
    for language, side in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        stem.with_suffix(f".{language}").write_text("\n".join(side) + "\n", encoding="utf-8", newline="")


def recipe_for(folder, **more):
    def named(stem):
        return {"source": str(folder / f"{stem}.en"), "target": str(folder / f"{stem}.de")}

    changes = {"pieces__size": 120, "data__train": named("train"), "data__development": named("test"), **more}
    return toy.settings(folder, **changes)


@pytest.fixture(scope="module")
def report(folder):
    return doctor.examine(recipe_for(folder))


def test_every_planted_fault_is_found_in_its_line_and_nothing_else(report):
    found = {fault.name: [number + 1 for number in fault.pairs.tolist()] for fault in report.texts[0].faults}
    planted = {name: [line] for line, (name, _, _) in PLANTED.items()}
    assert found == planted | {"duplicates": [200], "near duplicates": [300]}
    assert report.texts[0].drifts == []
    assert [fault.name for fault in report.texts[1].faults] == []


def test_the_terminal_shows_each_with_its_number_and_both_sides(report):
    told = str(report)
    assert "training text: 396 pairs, numbered by line" in told
    assert re.search(r"en: [\d,]+ characters, \d+ in the median line, 1,500 in the longest; en 9\d\.\d%", told)
    for line, (name, _, target) in PLANTED.items():
        row = re.search(rf"^  {name} +1 +0.25%  .*\n +{line:,}  (.*)$", told, re.MULTILINE)
        assert row, name
        assert re.split(r"\W", target)[0] in row[1]
    assert "\x0b" not in told
    assert "x0bwith" in told
    assert "development text: 2 pairs" in told
    (advice,) = re.findall(r"data.filters: \{(.*)\}  # leaves out (\d+) pairs", told)
    assert advice[0] == (
        "lengths: 1000, ratio: 3.0, identical: true, duplicates: true, alphabet: true, language: true, held_out: true"
    )
    assert advice[1] == "7"
    assert re.search(r"training will take about .* min on this processor", told)


def test_the_page_has_it_too_and_needs_nothing_else(report):
    page = report.page()
    assert page.count("<tr class=example>") >= len(PLANTED) + 2
    assert "<th>mojibake</th><td>1</td>" in page
    assert not re.search(r"src=|href=|@import", page)


def test_on_the_page_a_text_is_no_markup(tmp_path):
    line = "<b>Not</b> & never translated"
    write(tmp_path / "train", [(line, line), ("Another one.", "Etwas anderes.")])
    write(tmp_path / "test", [("a", "b")])
    page = doctor.examine(recipe_for(tmp_path)).page()
    assert page.count("&lt;b&gt;Not&lt;/b&gt; &amp; never") == 2
    assert "<b>" not in page


def test_what_moves_the_cursor_or_turns_the_line_is_shown_as_a_number():
    assert doctor._short("a\x1b[1mb") == r"'a\x1b[1mb'"
    assert doctor._short("a\u202eb\u2028c\u2029") == r"'a\x202eb\x2028c\x2029'"
    assert doctor._short("x" * 48) == f"'{'x' * 48}'"
    assert doctor._short("x" * 49) == f"'{'x' * 47}…'"


def test_what_is_held_out_is_found_on_either_side_and_an_empty_line_tells_nothing(tmp_path):
    write(
        tmp_path / "train",
        [
            ("One of the test.", "Nur hier."),
            ("Only here.", "Einer des Tests!"),
            ("", "Nichts in Satz 12."),
            ("", "Nichts in Satz 13."),
            ("Room 1", "Zimmer 1"),
        ],
    )
    write(tmp_path / "test", [("one of the test", "noch etwas"), ("more", "Einer des Tests."), ("", "leer")])
    train, test = doctor.examine(recipe_for(tmp_path)).texts
    assert {fault.name: fault.pairs.tolist() for fault in train.faults} == {"held_out": [0, 1], "empty": [2, 3]}
    assert {fault.name: fault.pairs.tolist() for fault in test.faults} == {"empty": [2]}


def test_of_what_is_too_little_without_its_faults_no_sizes_are_told(tmp_path):
    source, target = toy.lines(30)
    write(tmp_path / "train", list(zip(source, target, strict=True)) * 4)
    write(tmp_path / "test", [("a", "b")])
    (advice,) = doctor.examine(recipe_for(tmp_path)).advice
    assert advice == "data.filters: {duplicates: true}  # leaves out 90 pairs"


def test_of_many_drifts_the_first_are_told(report):
    drifts = [Drift(100 * number, number, number + 1) for number in range(7)]
    told = doctor._drifts(replace(report.texts[0], drifts=drifts))[0]
    assert told.count("near line") == 5
    assert told.endswith(", and 2 further places")
    assert "further" not in doctor._drifts(replace(report.texts[0], drifts=drifts[:5]))[0]


def test_how_long_a_training_takes_is_as_long_as_what_it_does(monkeypatch):
    monkeypatch.setattr(doctor, "_speed", lambda: 1e9)

    def seconds(pieces=10.0, **changes):
        return doctor._training_seconds(toy.settings(training__batch_tokens=600, **changes), pieces, pieces)

    once = seconds(training__updates=100)
    assert seconds(training__updates=300) == pytest.approx(3 * once)
    assert seconds(training__updates=100, training__gradient_accumulation=4) == pytest.approx(4 * once)
    assert seconds(training__updates=100, training__r_drop=0.5) == pytest.approx(2 * once)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(1, "1 min"), (3540, "59 min"), (3590, "1 h 00 min"), (3660, "1 h 01 min"), (9e4, "25 h 00 min")],
)
def test_times(seconds, told):
    assert doctor._time(seconds) == told


def test_a_writing_that_fails_leaves_what_was_there(report, tmp_path, monkeypatch):
    report.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(line):
        raise OSError("no space left")

    monkeypatch.setattr(doctor.corpus, "without_control", fail)
    with pytest.raises(OSError, match="no space left"):
        report.write(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_what_is_kept_and_what_is_not_is_written(report, folder, tmp_path):
    report.write(tmp_path / "cleaned")
    assert sorted(path.name for path in (tmp_path / "cleaned").iterdir()) == [
        "training.faults.tsv", "training.kept.de", "training.kept.en",
    ]  # fmt: skip
    sides = [(tmp_path / "cleaned" / f"training.kept.{language}").read_text().splitlines() for language in ("en", "de")]
    assert [len(side) for side in sides] == [388, 388]
    with (tmp_path / "cleaned" / "training.faults.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [tuple(row[:3]) for row in rows] == sorted(
        [
            (str(line), "left out" if name in ("empty", "held_out", *filters.REASONS) else "kept", name)
            for line, (name, _, _) in PLANTED.items()
        ]
        + [("200", "left out", "duplicates"), ("300", "kept", "near duplicates")],
        key=lambda row: int(row[0]),
    )
    assert rows[3][3:] == ["Copyright by the authors"] * 2


def test_with_the_filters_that_it_advises_training_leaves_out_the_same(folder, caplog):
    from nmt.experiment import read_texts

    wanted = recipe_for(folder, data__filters=doctor._SUSPICIOUS.model_dump())
    texts = read_texts(wanted.data)
    assert len(texts.train) == 388
    for name in filters.REASONS:
        assert f"(data.filters.{name}), dropped: 1" in caplog.text or f"data.filters.{name}, dropped: 1" in caplog.text
    assert "pairs that share a sentence with a held-out pair, dropped: 1" in caplog.text
    assert len(texts.development) == 2
    advice = doctor.examine(wanted).advice
    assert not any("data.filters" in line for line in advice)


def test_training_tells_at_a_glance(folder, caplog, tmp_path):
    from nmt.experiment import read_texts

    read_texts(recipe_for(folder).data)
    assert "look wrong" not in caplog.text  # three of 395
    lines = [
        (folder / f"train.{language}").read_text(encoding="utf-8").split("\n")[120:180] for language in ("en", "de")
    ]
    pairs = [*zip(*lines, strict=True), ("Not translated", "Not translated")]
    write(tmp_path / "train", pairs)
    write(tmp_path / "test", [("a", "b")])
    read_texts(recipe_for(tmp_path).data)
    assert "some pairs of the training text look wrong (identical 1.6%): nmt doctor shows them" in caplog.text


def test_files_that_drift_apart(folder, tmp_path):
    source, target = (
        (folder / f"train.{language}").read_text(encoding="utf-8").split("\n") for language in ("en", "de")
    )
    lines = [f"{number} {line}" for number, line in enumerate(source[112:190])] * 9
    others = [f"{number} {line}" for number, line in enumerate(target[112:190])] * 9
    write(tmp_path / "train", list(zip(lines, [*others[:300], *others[302:], "x", "y"], strict=True)))
    write(tmp_path / "test", [("a", "b")])
    told = str(doctor.examine(recipe_for(tmp_path)))
    line = re.search(r"THE FILES DRIFT APART: near line (\d+) 2 lines are missing in the target", told)
    assert abs(int(line[1]) - 301) <= 25
    rows = zip(*((tmp_path / f"train.{language}").read_text().splitlines() for language in ("en", "de")), strict=True)
    (tmp_path / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows))
    one_file = doctor.examine(recipe_for(tmp_path, data__train={"tsv": str(tmp_path / "train.tsv")}))
    assert "DRIFT" not in str(one_file)  # both sides of a row cannot


UNITS = {
    "memory.tmx": (
        "<tmx version='1.4'>\n<body>\n",
        "<tu>\n <note>\n </note>\n <tuv xml:lang='en'><seg>{}</seg></tuv>\n"
        "<tuv xml:lang='de'><seg>{}</seg></tuv></tu>\n",
        "</body></tmx>",
        escape,
    ),
    "job.xlf": (
        "<xliff version='1.2'>\n<file source-language='en' target-language='de'><body>\n",
        "\n<trans-unit id='1'>\n<source>{}</source>\n<target>{}</target>\n</trans-unit>\n",
        "</body></file></xliff>",
        escape,
    ),
    "job.xliff": (
        "<xliff version='2.0' srcLang='en' trgLang='de'><file id='f'>\n<unit id='1'>\n",
        "<segment>\n<source>{}</source>\n<target>{}</target>\n</segment>\n",
        "</unit></file></xliff>",
        escape,
    ),
    "messages.po": ("", "# a comment\n\nmsgid {}\nmsgstr {}\n", "", lambda text: f'"{text}"'),
    "table.csv": ("en,de\n\n", "{},{}\n", "", lambda text: f'"{text}\n"'),
    "lines.jsonl": ("\n", '{{"en": {},  "de": {}}}\n\n', "", json.dumps),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", UNITS)
def test_pairs_of_a_document_are_told_by_its_lines(folder, tmp_path, name, ending):
    """Where the unit begins, however many lines each has."""
    head, unit, foot, written = UNITS[name]
    sides = [
        (folder / f"train.{language}").read_text(encoding="utf-8").split("\n")[112:190] for language in ("en", "de")
    ]
    pairs = [*zip(*sides, strict=True)]
    pairs[37] = "Copyright by the authors", "Copyright by the authors"
    pairs[-1] = "They greet each other kindly.", "Sie grÃ¼ÃŸen einander freundlich."
    units = [unit.format(*map(written, pair)) for pair in pairs]
    content = head + "".join(units) + foot
    path = tmp_path / (name + ending)
    path.write_bytes(gzip.compress(content.encode()) if ending else content.encode())
    report = doctor.examine(recipe_for(folder, data__train={"file": str(path)}))
    lead = {"memory.tmx": "<tu>", "job.xlf": "<trans-unit", "job.xliff": "<segment", "messages.po": "msgid"}.get(name)

    def line(number):
        before = head + "".join(units[:number])
        return (before + units[number].partition(lead)[0] if lead else before).count("\n") + 1

    (copied,) = [fault for fault in report.texts[0].faults if fault.name == "identical"]
    assert [example[0] for example in copied.examples] == [line(37)]
    report.write(tmp_path / "cleaned")
    rows = [row.split("\t") for row in (tmp_path / "cleaned" / "training.faults.tsv").read_text().splitlines()]
    assert [row[:3] for row in rows] == [
        [str(line(37)), "left out", "identical"],
        [str(line(77)), "kept", "mojibake"],
    ]


def test_without_its_libraries_it_says_what_it_cannot_tell(folder, monkeypatch):
    def missing():
        raise FilterError("data.filters.language needs py3langid; run: pip install 'nmt[doctor]'")

    monkeypatch.setattr(filters, "_identifier", missing)
    report = doctor.examine(recipe_for(folder))
    assert "languages were not looked at: data.filters.language needs py3langid" in str(report)
    assert "language" not in [fault.name for fault in report.texts[0].faults]


def test_too_few_pieces_are_advised_against(folder):
    report = doctor.examine(recipe_for(folder, pieces__size=40))
    assert any(line.startswith("# size 40 is too small: ") for line in report.advice)


def test_the_command(folder, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "data:\n  source_language: en\n  target_language: de\n"
        f"  train: {{source: {folder}/train.en, target: {folder}/train.de}}\n  development: 20\n"
        "pieces: {size: 400}\nmodel: {tying: output}\n"
    )
    arguments = ["doctor", str(path), "--html", str(tmp_path / "report.html"), "--write", str(tmp_path / "cleaned")]
    done = CliRunner().invoke(cli.commands, arguments)
    assert done.exit_code == 0, done.output
    assert "training text: 396 pairs" in done.stdout
    assert "<h1>What the doctor found</h1>" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "cleaned" / "training.kept.en").is_file()
    again = CliRunner().invoke(cli.commands, arguments)
    assert (again.exit_code, "report.html exists; --force replaces it" in again.stderr) == (2, True)
    again = CliRunner().invoke(cli.commands, [*arguments[:2], *arguments[4:]])
    assert (again.exit_code, "cleaned is not empty; --force replaces" in again.stderr) == (2, True)
    assert CliRunner().invoke(cli.commands, [*arguments, "--force"]).exit_code == 0
    same = [*arguments[:2], "--set", "data.target_language=en", "--write", str(tmp_path / "same")]
    assert CliRunner().invoke(cli.commands, same).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "same").iterdir()) == [
        "training.faults.tsv", "training.kept.source", "training.kept.target",
    ]  # fmt: skip
    missing = CliRunner().invoke(
        cli.commands, ["doctor", str(path), "--set", "data.train={source: no.en, target: no.de}"]
    )
    assert (missing.exit_code, "no.en does not exist" in missing.stderr) == (2, True)
