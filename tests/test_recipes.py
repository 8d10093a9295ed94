"""The recipe language by its errors, and the shipped recipes: each parses and takes one update."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nmt import recipe
from nmt.recipe import Files, Recipe, RecipeError

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))

MINIMAL = """\
data:
  source_language: en
  target_language: de
  train: {source: a.en, target: a.de}
  development: 100
"""


@pytest.fixture
def read(tmp_path):
    """Read a recipe of this text."""

    def read(text: str = MINIMAL, *settings: str) -> Recipe:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return recipe.read(path, settings)

    return read


def test_what_is_not_said_has_its_default(read):
    found = read()
    assert found.data.train == Files(source="a.en", target="a.de")
    assert (found.data.development, found.data.test) == (100, None)
    assert (found.model.decoder_units, found.training.updates, found.search.beam_size) == (512, 10000, 5)


def test_a_text_is_two_files_or_a_tsv_or_a_number_held_out(read):
    found = read(MINIMAL, "data.development={tsv: dev.tsv}", "data.test={source: t.en, target: t.de}")
    assert found.data.development == Files(tsv="dev.tsv")
    assert found.data.test == Files(source="t.en", target="t.de")


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        # unknown keys, with the nearest known one
        (["trainig.updates=5"], ["unknown key trainig", "did you mean training?"]),
        (
            ["training.lerning_rate=0.1"],
            ["unknown key training.lerning_rate (received 0.1)", "training.learning_rate?"],
        ),
        (["model.dropout.encoder=0.1"], ["unknown key model.dropout.encoder", "model.dropout.encoder_output?"]),
        (["search.zzz=1"], ["unknown key search.zzz", "known here: beam_size, length_penalty"]),
        (["data.test.corpus=x"], ["unknown key data.test.corpus"]),
        # wrong types
        (["training.updates=many"], ["training.updates: received 'many', expected a valid integer"]),
        (["training.updates='5'"], ["training.updates: received '5', expected a valid integer"]),
        (["training.updates=2.5"], ["training.updates: received 2.5, expected a valid integer"]),
        (["pieces.joint=1"], ["pieces.joint: received 1, expected a valid boolean"]),
        (["model=5"], ["model: received 5, expected"]),
        (["training.learning_rate=1e-3"], ["received '1e-3'", "YAML reads 1e-3 as text: write 0.001 or 1.0e-3"]),
        # impossible values
        (["training.updates=0"], ["training.updates: received 0, expected greater than or equal to 1"]),
        (["model.dropout.layers=1.0"], ["model.dropout.layers: received 1.0, expected less than 1"]),
        (["pieces.character_coverage=0.5"], ["pieces.character_coverage: received 0.5, expected greater than 0.9"]),
        (["training.learning_rate=.inf"], ["training.learning_rate: received inf, expected a finite number"]),
        (["search.length_penalty=.nan"], ["search.length_penalty: received nan, expected a finite number"]),
        (["model.flow=sideways"], ["model.flow: received 'sideways', expected 'recurrent' or 'parallel'"]),
        (["pieces.sampling.source=-0.1"], ["pieces.sampling.source: received -0.1, expected greater than or equal"]),
        (["pieces.sampling.both=0.1"], ["unknown key pieces.sampling.both", "known here: source, target"]),
        (["pieces.symbols=['<a b>']"], ["pieces.symbols: '<a b>' cannot be a symbol", "change it or leave it out"]),
        (["pieces.symbols=<BT>"], ["pieces.symbols: received '<BT>', expected a valid list"]),
        # text mixed in
        (["data.mix={tsv: a.tsv}"], ["data.mix: received {'tsv': 'a.tsv'}, expected a valid list"]),
        (["data.mix=[{tsv: a, source: b}]"], ["data.mix.0: give either both `source` and `target`, or `tsv` alone"]),
        (["data.train={file: a.tmx, tsv: b}"], ["data.train: give either", "or `file` alone"]),
        (["data.mix=[{tsv: a, tag: <x>}]"], ["data: the tag <x> must be one piece; write pieces.symbols: ['<x>']"]),
        (["data.train={tsv: a, salvage: true}"], ["data.train: `salvage` is of a `file`"]),
        (["data.train={tsv: a, columns: [en, de]}"], ["data.train: `columns` are of a `file`"]),
        (["data.train={file: a.csv, columns: [en]}"], ["data.train.columns: received ['en'], expected"]),
        (["data.mix=[{tsv: a}, {tsv: b, weight: 0}]"], ["data.mix.1.weight: received 0, expected greater than 0"]),
        (["data.mix=[{tsv: a, wait: 2}]"], ["unknown key data.mix.0.wait", "did you mean data.mix.0.weight?"]),
        # a text is files or a number
        (["data.development=0"], ["data.development: received 0, expected greater than or equal to 1"]),
        (["data.development=dev.en"], ["data.development: received 'dev.en'"]),
        (["data.test={source: t.en}"], ["data.test", "give either both `source` and `target`, or `tsv` alone"]),
        (["data.train={source: a, target: b, tsv: c}"], ["data.train", "or `tsv` alone"]),
        (["data.train=500"], ["data.train: received 500"]),
        # settings that do not go together
        (["model.flow=parallel"], ["decoder_layers of 2 or more", "received decoder_layers: 1"]),
        (["pieces.joint=false"], ["model.tying: three_way", "needs pieces.joint: true", "model.tying: output"]),
        (["model.readout_units=100"], ["readout_units must equal embedding_units; received 100 and 256"]),
        (["model.attention_heads=3"], ["attention_heads must divide", "received 3 heads for 512 and 512"]),
        (["search.beam_size=9", "pieces.size=16"], ["at most half of pieces.size; received 9 and 16"]),
        (["training.batch_tokens=5"], ["training.batch_tokens: received 5, expected greater than or equal to 16"]),
        (["training.batch_tokens=many"], ["training.batch_tokens: received 'many', expected a valid integer"]),
        (["device.strategy=multi_machine"], ["strategy: multi_machine needs backend: jax; received", "tensorflow"]),
        (["device.strategy=mirrored", "device.backend=jax"], ["mirrored needs backend: tensorflow; received", "jax"]),
        (["device.strategy=mirrored", "device.kind=cpu"], ["mirrored on a CPU needs replicas: 2 or more; received 0"]),
        (["device.replicas=2"], ["replicas: 2 is for strategy: mirrored; received single"]),
        (
            ["device.strategy=mirrored", "device.replicas=2", "training.gradient_accumulation=3"],
            ["gradient_accumulation does not work with device.strategy: mirrored", "received 3", "more batch_tokens"],
        ),
        (["device.processes=2"], ["give both coordinator and processes", "received None and 2"]),
        (
            ["device.processes=2", "device.coordinator=host:1"],
            ["coordinator and processes are for strategy: multi_machine; received single"],
        ),
        # --set itself
        (["training.seed"], ["--set training.seed: expected section.key=value, for example training.seed=2"]),
        (["=2"], ["--set =2: expected section.key=value"]),
        (["training.seed=[2"], ["--set training.seed=[2: the value is not valid YAML"]),
    ],
)
def test_a_faulty_setting_is_refused_and_explained(read, settings, fragments):
    with pytest.raises(RecipeError) as caught:
        read(MINIMAL, *settings)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_every_fault_is_told_at_once_with_the_file(read):
    with pytest.raises(RecipeError) as caught:
        read(MINIMAL, "training.updates=0", "model.flow=sideways")
    first, second = str(caught.value).splitlines()
    assert "mine.yaml: model.flow" in first
    assert "mine.yaml: training.updates" in second


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("data: {source_language: en}\n", "data.target_language is missing; expected: language code of the target"),
        ("training: {}\n", "data is missing"),
        ("- data\n", "a recipe is a mapping of sections (data, pieces, model, training, search, evaluation, device)"),
        ("", "a recipe is a mapping of sections"),
        ("data: [\n", "not valid YAML"),
        (MINIMAL + "search: {beam_size: 2, beam_size: 3}\n", "the key beam_size stands twice"),
        (MINIMAL + "search: {}\nsearch: {}\n", "the key search stands twice"),
    ],
)
def test_a_faulty_file_is_refused_and_explained(read, text, fragment):
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert fragment in str(caught.value)


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    (tmp_path / "multi30k.yaml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        recipe.read(tmp_path / "mutli30k.yaml")
    assert "mutli30k.yaml: no such recipe; did you mean" in str(caught.value)
    assert "multi30k.yaml?" in str(caught.value)
    with pytest.raises(RecipeError, match=r"far\.yaml: no such recipe$"):
        recipe.read(tmp_path / "far.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"binary\.yaml: cannot be read"):
        recipe.read(tmp_path / "binary.yaml")


def test_settings_are_yaml_and_reach_any_depth(read):
    found = read(
        MINIMAL,
        "training.seed=2",
        "model.dropout.readout=0.5",  # a section that the file does not have
        "training.clip_norm=null",
        "pieces.byte_fallback=false",
        "search={beam_size: 2, length_penalty: 0.6}",
        "search.beam_size=3",  # a later one wins
        "data.train.source=b.en",
    )
    assert found.training.seed == 2
    assert found.model.dropout.readout == 0.5
    assert found.training.clip_norm is None
    assert found.pieces.byte_fallback is False
    assert (found.search.beam_size, found.search.length_penalty) == (3, 0.6)
    assert found.data.train == Files(source="b.en", target="a.de")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_effective_recipe_is_the_same_recipe(path):
    found = recipe.read(path)
    assert recipe.parse(yaml.safe_load(recipe.effective(found)), "effective") == found


def test_the_effective_recipe_says_what_the_file_left_out(read):
    content = yaml.safe_load(recipe.effective(read()))
    assert content["training"]["learning_rate"] == 0.001
    assert content["data"]["train"] == {
        "source": "a.en",
        "target": "a.de",
        "tsv": None,
        "file": None,
        "columns": None,
        "salvage": False,
        "tag": None,
    }


def test_what_changed_between_two_recipes_is_listed_key_by_key(read):
    old = read()
    new = read(MINIMAL, "training.seed=2", "model.dropout.layers=0.3", "data.development={tsv: d.tsv}")
    assert recipe.changed_keys(old, old) == []
    changed = recipe.changed_keys(old, new)
    assert "training.seed: 1 → 2" in changed
    assert "model.dropout.layers: 0.2 → 0.3" in changed
    assert "data.development.tsv: None → d.tsv" in changed
    assert all(line.startswith(("training.seed:", "model.dropout.layers:", "data.development")) for line in changed)


def test_the_reference_is_yaml_that_names_every_field_with_its_default():
    text = recipe.reference()
    content = yaml.safe_load(text)

    def compare(found, section):
        assert list(found) == list(section.model_fields)
        for name, field in section.model_fields.items():
            if isinstance(field.default, recipe.Section):
                compare(found[name], type(field.default))
            elif not field.is_required():
                assert found[name] == field.default, name

    assert list(content) == list(Recipe.model_fields)
    for name in list(content)[1:]:
        compare(content[name], type(Recipe.model_fields[name].default))
    assert list(content["data"]) == list(recipe.Data.model_fields)
    assert "# of initial weights, dropout and the order of batches" in text
    assert "source_language:  # required" in text


def test_a_list_of_sections_is_explained_and_read_back(read):
    assert "#   # times that an epoch reads each pair" in recipe.reference()
    found = read(
        MINIMAL, "data.mix=[{tsv: a.tsv, weight: 2}, {source: b, target: c, corpus: d}]", "pieces.symbols=[<B>]"
    )
    assert [(files.tsv, files.source, files.corpus, files.weight) for files in found.data.mix] == [
        ("a.tsv", None, None, 2.0),
        (None, "b", "d", 1.0),
    ]
    for text in (recipe.reference(found), recipe.effective(found)):
        assert recipe.parse(yaml.safe_load(text), "again") == found


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_reference_of_a_recipe_is_the_same_recipe(path):
    found = recipe.read(path)
    assert recipe.parse(yaml.safe_load(recipe.reference(found)), "reference") == found


def test_a_recipe_is_refused_without_a_heavy_import():
    heavy = "{'keras', 'tensorflow', 'jax', 'numpy'}"
    program = f"import sys, nmt.recipe; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr


# Sizes that make a step quick; depth, flow, heads, tying and dropout stay what the recipe says.
SMALL = (
    "training.updates=1",
    "training.batch_tokens=200",
    "pieces.size=300",
    "model.embedding_units=8",
    "model.readout_units=8",
    "model.encoder_units=8",
    "model.decoder_units=8",
    "model.attention_units=8",
    "search.beam_size=1",
    "evaluation.bootstrap=100",
)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Settings that put a hundred pairs of random words in place of any corpus."""
    directory = tmp_path_factory.mktemp("corpus")
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 6))) for _ in range(60)]
    settings = ["data.corpus=null"]
    for name, pairs in (("train", 100), ("development", 4), ("test", 4)):
        files = {}
        for side in ("source", "target"):
            path = directory / f"{name}.{side}"
            lines = [" ".join(draw.choices(words, k=draw.randint(2, 8))) for _ in range(pairs)]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            files[side] = str(path)
        settings.append(f"data.{name}={yaml.safe_dump(files, default_flow_style=True, width=10**6)}")
    return settings


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's variables with numpy 2
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_takes_one_update(path, stand_in, tmp_path):
    from nmt import experiment

    run, progress = experiment.train(recipe.read(path, (*SMALL, *stand_in)), tmp_path / "run")
    assert progress.finished == "all 1 updates are done"
    assert progress.history[0]["update"] == 1
    assert run.load_best()
