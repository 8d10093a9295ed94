"""The Makefile's flow, with stand-ins for Python and nmt that note how they were called and leave what is expected."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PYTHON = """#!/bin/sh
echo "python $*" >> calls
case "$*" in
    --version) echo "Python 3.11.9" ;;
    "-m venv .venv") mkdir -p .venv/bin && cp stand-ins/* .venv/bin ;;
esac
"""

OLD_PYTHON = """#!/bin/sh
case "$1" in
    --version) echo "Python 3.9.2" ;;
    *) exit 1 ;;
esac
"""

NMT = """#!/bin/sh
echo "nmt $*" >> calls
test ! -e "fail-$1" || exit 2
case "$1" in
    new) echo "data: {train: {source: $2, target: $3}}" ;;
    train) mkdir -p "$4" ;;
    evaluate) echo "the scores" ;;
    translate) echo "the translation" > "$5" ;;
    export) mkdir -p "$5" && touch "$5/README.md" ;;
esac
"""


class Clone:
    """A directory with the Makefile and what it needs, as a fresh clone has them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "recipes").mkdir()
        (directory / "stand-ins").mkdir()
        for name in ("Makefile", "pyproject.toml", "recipes/demo.yaml"):
            shutil.copy(ROOT / name, directory / name)
        for name, script in (("python", PYTHON), ("nmt", NMT), ("old", OLD_PYTHON)):
            self.write(f"stand-ins/{name}", script).chmod(0o755)
        self.write("a.en", "A house.\n")
        self.write("a.de", "Ein Haus.\n")

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            ["make", "PYTHON=stand-ins/python", *arguments],
            cwd=self.directory,
            env=environment | {"OUT": "/nowhere", "SOURCE": "/nowhere"},  # a stranger's environment changes nothing
            capture_output=True,
            text=True,
            timeout=1800,
        )

    def calls(self, *arguments: str) -> list[str]:
        """How nmt was called by a ``make`` that succeeds."""
        self.write("calls", "")
        done = self.make(*arguments)
        assert done.returncode == 0, done.stderr
        return [line for line in self._called() if line.startswith("nmt ")]

    def installations(self, *arguments: str) -> list[str]:
        """What a ``make`` that succeeds asked pip for."""
        self.write("calls", "")
        assert self.make(*arguments).returncode == 0
        return [line.rpartition(" ")[2] for line in self._called() if " pip install " in line]

    def _called(self) -> list[str]:
        return (self.directory / "calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


@pytest.fixture
def lines(clone):
    """The targets that ``make help`` lists."""
    return [line.split(maxsplit=1) for line in clone.make("help").stdout.splitlines()[1:]]


def test_help_is_the_default_and_lists_each_target_with_its_meaning(clone, lines):
    assert clone.make().stdout == clone.make("help").stdout
    wanted = "help demo train evaluate translate export test test-slow test-kill check clean"
    assert [target for target, _ in lines] == wanted.split()
    assert all(meaning for _, meaning in lines)


def test_python_is_installed_into_once_and_again_when_the_packages_change(clone):
    assert clone.installations("evaluate", "RECIPE=recipes/demo.yaml") == [".[tensorflow,onnx,formats,doctor]"]
    assert clone.installations("evaluate", "RECIPE=recipes/demo.yaml") == []
    clone.write("pyproject.toml", "[project]\n")
    os.utime(clone.directory / "pyproject.toml", (2e9, 2e9))
    assert clone.installations("evaluate", "RECIPE=recipes/demo.yaml") == [".[tensorflow,onnx,formats,doctor]"]


def test_an_old_python_is_refused_with_its_version_and_the_way_out(clone):
    done = clone.make("demo", "PYTHON=stand-ins/old")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer; stand-ins/old is: Python 3.9.2" in done.stderr
    assert "PYTHON=python3.12" in done.stderr
    assert not (clone.directory / ".venv").exists()


def test_the_demo_trains_scores_and_exports_once_and_translates_every_time(clone):
    (clone.directory / "data/demo").mkdir(parents=True)
    clone.write("data/demo/test.en", "One.\n")
    assert clone.calls("demo") == [
        "nmt train recipes/demo.yaml --run runs/demo",
        "nmt evaluate runs/demo",
        "nmt export runs/demo --to savedmodel exports/demo",
    ]
    assert clone.calls("demo") == []
    assert clone.make("demo").stdout.splitlines()[0] == "the scores", "they are shown again, not computed again"
    called = (clone.directory / "calls").read_text(encoding="utf-8")
    assert "tf.saved_model.load" in called
    assert "exports/demo/text" in called
    assert clone.calls("demo", "UPDATES=7")[0] == (
        "nmt train recipes/demo.yaml --run runs/demo-7 --set training.updates=7"
    )


def test_the_two_forms_of_an_export_lie_side_by_side(clone):
    assert clone.calls("export", "RECIPE=recipes/demo.yaml")[-1] == "nmt export runs/demo --to savedmodel exports/demo"
    compact = clone.calls("export", "RECIPE=recipes/demo.yaml", "TO=compact")
    assert compact == ["nmt export runs/demo --to compact exports/demo-compact"]


def test_a_failed_evaluation_leaves_no_scores(clone):
    clone.write("fail-evaluate", "")
    assert clone.make("evaluate", "RECIPE=recipes/demo.yaml").returncode != 0
    (clone.directory / "fail-evaluate").unlink()
    assert clone.calls("evaluate", "RECIPE=recipes/demo.yaml") == ["nmt evaluate runs/demo"]


def test_an_interrupted_training_goes_on_at_the_next_command(clone):
    clone.write("fail-train", "")
    assert clone.make("evaluate", "RECIPE=recipes/demo.yaml").returncode != 0
    (clone.directory / "fail-train").unlink()
    assert clone.calls("evaluate", "RECIPE=recipes/demo.yaml") == [
        "nmt train recipes/demo.yaml --run runs/demo",
        "nmt evaluate runs/demo",
    ]


def test_training_what_is_trained_says_so_and_does_nothing(clone):
    clone.calls("train", "RECIPE=recipes/demo.yaml")
    assert clone.calls("train", "RECIPE=recipes/demo.yaml") == []
    assert "runs/demo is trained" in clone.make("train", "RECIPE=recipes/demo.yaml").stdout


def test_a_changed_recipe_goes_to_nmt_which_knows_whether_it_is_another_one(clone):
    clone.calls("train", "RECIPE=recipes/demo.yaml")
    os.utime(clone.directory / "recipes/demo.yaml", (2e9, 2e9))
    assert clone.calls("train", "RECIPE=recipes/demo.yaml") == ["nmt train recipes/demo.yaml --run runs/demo"]


def test_settings_and_directory_of_a_run_can_be_given(clone):
    arguments = ("RECIPE=recipes/demo.yaml", "RUN=runs/second", "SET=training.seed=2 search.beam_size=1")
    assert clone.calls("train", *arguments) == [
        "nmt train recipes/demo.yaml --run runs/second --set training.seed=2 --set search.beam_size=1"
    ]


def test_a_file_is_translated_once_and_again_when_it_changes(clone):
    arguments = ("translate", "RECIPE=recipes/demo.yaml", "IN=a.en", "OUT=out.de")
    assert clone.calls(*arguments)[-1] == "nmt translate runs/demo a.en -o out.de --force"
    assert clone.calls(*arguments) == []
    os.utime(clone.directory / "a.en", (2e9, 2e9))
    assert clone.calls(*arguments) == ["nmt translate runs/demo a.en -o out.de --force"]


def test_two_files_become_a_recipe_and_a_run(clone):
    assert clone.calls("train", "SOURCE=a.en", "TARGET=a.de") == [
        "nmt new a.en a.de",
        "nmt train recipes/a-en-de.yaml --run runs/a-en-de",
    ]
    assert "source: a.en" in (clone.directory / "recipes/a-en-de.yaml").read_text(encoding="utf-8")


def test_a_drafted_recipe_may_be_edited_and_is_not_drafted_again(clone):
    clone.calls("train", "SOURCE=a.en", "TARGET=a.de")
    edited = clone.write("recipes/a-en-de.yaml", "# mine\ndata: {train: {source: a.en, target: a.de}}\n")
    os.utime(clone.directory / "a.en", (2e9, 2e9))
    assert "nmt new a.en a.de" not in clone.calls("train", "SOURCE=a.en", "TARGET=a.de")
    assert edited.read_text(encoding="utf-8").startswith("# mine")


def test_other_files_of_the_same_names_do_not_get_the_first_ones_translator(clone):
    clone.calls("train", "SOURCE=a.en", "TARGET=a.de")
    (clone.directory / "other").mkdir()
    done = clone.make("train", "SOURCE=other/a.en", "TARGET=other/a.de")
    assert done.returncode != 0
    assert "recipes/a-en-de.yaml is there already and not about other/a.en" in done.stderr
    arguments = ("SOURCE=other/a.en", "TARGET=other/a.de", "RECIPE=recipes/other.yaml")
    assert clone.calls("train", *arguments)[-1] == "nmt train recipes/other.yaml --run runs/other"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("other/a.en", "other/a.de"), ("a.en", "a.de")),
        (("a.en", "other/a.de"), ("a.en", "a.de")),
        (("a.en", "a.de"), ("a.en", "other/a.de")),
        (("a.en", "a.de"), ("a.en.gz", "a.de")),
        (("aXen", "a.de"), ("aXen", "aXde")),
    ],
)
def test_a_recipe_is_about_its_files_and_no_others(clone, first, second):
    """Both whole names count, whichever contains the other."""
    arguments = [
        [f"SOURCE={source}", f"TARGET={target}", "RECIPE=recipes/x.yaml"] for source, target in (first, second)
    ]
    clone.calls("train", *arguments[0])
    assert clone.calls("train", *arguments[0]) == []
    done = clone.make("train", *arguments[1])
    assert done.returncode != 0
    assert f"recipes/x.yaml is there already and not about {second[0]} and {second[1]}" in done.stderr


@pytest.mark.parametrize(
    "block",
    ["    source: a.en\n    target: a.de\n", "    source: 'a.en'  # mine\n    target: \"a.de\"\n    tsv: null\n"],
)
def test_the_files_of_a_recipe_are_known_however_yaml_writes_them(clone, block):
    clone.write("recipes/a-en-de.yaml", "data:\n  train:\n" + block)
    assert clone.calls("train", "SOURCE=a.en", "TARGET=a.de") == ["nmt train recipes/a-en-de.yaml --run runs/a-en-de"]


def test_the_languages_of_compressed_files_are_in_the_name_of_their_recipe(clone):
    named = [
        (("c.en.gz", "c.de.gz"), "c-en-de"),
        (("c.en.gz", "c.fr.gz"), "c-en-fr"),
        (("d.en.txt.xz", "d.de.bz2"), "d-en-de"),
        (("folder.gz/e.en", "e.de"), "e-en-de"),
    ]
    for (source, target), name in named:
        assert clone.calls("train", f"SOURCE={source}", f"TARGET={target}") == [
            f"nmt new {source} {target}",
            f"nmt train recipes/{name}.yaml --run runs/{name}",
        ]


def test_a_refused_draft_leaves_no_recipe(clone):
    clone.write("fail-new", "")
    assert clone.make("train", "SOURCE=a.en", "TARGET=a.de").returncode != 0
    assert not (clone.directory / "recipes/a-en-de.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Say which recipe: make train RECIPE=recipes/NAME.yaml (there are: recipes/demo.yaml)"),
        (["evaluate", "RECIPE=recipes/dmeo.yaml"], "recipes/dmeo.yaml: no such recipe; there are: recipes/demo.yaml"),
        (["train", "SOURCE=a.en"], "Give both files: make train SOURCE=corpus.en TARGET=corpus.de"),
        (["translate", "RECIPE=recipes/demo.yaml", "IN=a.en"], "IN=text.en OUT=text.de (received IN=a.en OUT=)"),
    ],
)
def test_what_is_missing_is_said(clone, arguments, message):
    done = clone.make(*arguments)
    assert done.returncode != 0
    assert message in done.stderr


def test_cleaning_keeps_runs_exports_and_downloads(clone):
    for name in ("runs/demo", "exports/demo", "data/.cache/corpus", "nmt/__pycache__", "tests", ".ruff_cache"):
        (clone.directory / name).mkdir(parents=True)
    assert clone.make("clean").returncode == 0
    kept = ("runs/demo", "exports/demo", "data/.cache/corpus")
    assert all((clone.directory / name).is_dir() for name in kept)
    assert not (clone.directory / "nmt/__pycache__").exists()
    assert not (clone.directory / ".ruff_cache").exists()


def test_continuous_integration_runs_the_targets_that_a_developer_runs(lines):
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    steps = re.findall(r"^step .*?make (\S+)", script, re.MULTILINE)
    assert steps == ["test", "check", "demo", "test-slow"]
    assert set(steps) <= {target for target, _ in lines}
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize(
    ("slow", "code", "said"),
    [("true", 0, False), ("exit 7", 2, False), ("sleep 600", 0, True)],
    ids=["passed", "failed", "not done in time"],
)
def test_continuous_integration_fails_for_a_slow_test_that_fails_and_tells_of_those_not_done(
    tmp_path, slow, code, said
):
    (tmp_path / ".ci").mkdir()
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "LIMIT - 60 ? LIMIT - SECONDS : 60" in script
    script = script.replace("LIMIT=4500", "LIMIT=2").replace("LIMIT - 60 ? LIMIT - SECONDS : 60", "0 ? 0 : 5")
    (tmp_path / ".ci/run").write_text(script, encoding="utf-8")
    (tmp_path / "Makefile").write_text(f"test check demo:\n\t@true\ntest-slow:\n\t@{slow}\n", encoding="utf-8")
    done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == code, done.stderr
    assert ("NOT ALL slow tests ran" in done.stdout) is said


def test_continuous_integration_ends_with_the_first_step_that_fails(tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_bytes((ROOT / ".ci/run").read_bytes())
    (tmp_path / "Makefile").write_text(
        "test:\n\t@true\ncheck:\n\t@false\ndemo test-slow:\n\t@echo $@\n", encoding="utf-8"
    )
    done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 2
    assert "=== make demo" not in done.stdout
