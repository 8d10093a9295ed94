"""The map of the package, held against its imports: which room may know which, and where frameworks may come in."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "nmt"

# Each room with the rooms that it may import, in the order of the flow: a row names only rooms of rows above it, so
# there are no cycles. A new room gets a row; a new arrow is a decision, not an accident.
ROOMS = {
    "symbols": "",
    "recipe": "symbols",
    "formats": "",
    "drift": "",
    "corpus": "formats drift",
    "filters": "recipe corpus",
    "catalogue": "corpus",
    "index": "corpus formats",
    "score": "",
    "curve": "",
    "lattice": "",
    "marks": "formats",
    "masks": "marks",
    "pieces": "symbols lattice masks",
    "shortlist": "symbols pieces",
    "batches": "symbols",
    "attention": "",
    "lstm": "",
    "encoder": "lstm",
    "decoder": "attention lstm",
    "loss": "symbols",
    "search": "symbols",
    "model": "symbols recipe attention encoder decoder loss search",
    "confidence": "",
    "compact": "recipe pieces confidence",
    "machines": "recipe",
    "devices": "recipe machines",
    "optimizer": "devices",
    "run": "recipe pieces",
    "engines": "symbols search devices model",
    "alignment": "",
    "constraints": "symbols pieces",
    "explanation": "",
    "loops": "",
    "translation": "symbols recipe corpus pieces batches search engines alignment constraints explanation loops",
    "documents": "formats translation marks",
    "evaluation": "recipe corpus score pieces batches engines translation",
    "paragraphs": "corpus pieces translation",
    "forecast": "batches",
    "training": "recipe batches machines devices model optimizer curve run evaluation forecast",
    "export": "symbols recipe corpus pieces shortlist attention compact confidence search model run alignment",
    "fine_tuning": "symbols recipe corpus score pieces run",
    "experiment": "recipe formats corpus filters catalogue index score masks pieces shortlist batches model machines "
    "devices run engines confidence translation evaluation fine_tuning forecast training",
    "draft": "recipe formats corpus pieces experiment",
    "doctor": "recipe corpus drift filters pieces experiment draft",
    "translator": "recipe formats marks pieces compact confidence engines explanation translation paragraphs run "
    "experiment",
    "processes": "confidence explanation translation translator",
    "synthesis": "symbols recipe corpus run experiment translator",
    "cli": "recipe formats corpus documents doctor score export run alignment translation evaluation experiment draft "
    "translator processes synthesis",
}

# Keras is what these rooms are about; everywhere else a framework is imported where it is needed, inside a function, so
# that help, errors of recipes and scores come at once.
KERAS = {
    "attention",
    "lstm",
    "encoder",
    "decoder",
    "loss",
    "model",
    "optimizer",
    "training",
    "engines.keras_engine",
    "export.savedmodel",
    "export.signatures",
}
# Other packages that are heavy, or extras, and the modules that are about them.
ABOUT = {"keras": KERAS, "onnx": {"export.graph"}, "onnxruntime": {"engines.compact_engine"}} | {
    "babel": {"formats.po"},
    "markdown_it": {"formats.markdown"},
}
INSIDE_FUNCTIONS = {
    "onnx": set(),
    "onnxruntime": set(),
    "babel": set(),
    "markdown_it": set(),
    "py3langid": {"filters"},
    "ftfy": {"doctor"},
    "tensorflow": {"devices", "export.savedmodel", "export.signatures"},
    "tensorflow_text": {"export.savedmodel"},
    "jax": {"devices", "machines"},
    "keras": {"devices", "machines"},
    "tensorboard": {"training"},
    "matplotlib": {"curve", "explanation"},
    "sacrebleu": {"score"},
}
# What a command needs before it knows that its arguments are right; none of them may bring a framework along.
LIGHT = {
    "recipe",
    "formats",
    "drift",
    "corpus",
    "filters",
    "marks",
    "documents",
    "catalogue",
    "index",
    "score",
    "lattice",
    "pieces",
    "shortlist",
    "batches",
    "search",
    "compact",
    "run",
    "alignment",
    "constraints",
    "explanation",
    "loops",
    "translation",
    "evaluation",
    "fine_tuning",
    "experiment",
    "draft",
    "doctor",
    "translator",
    "synthesis",
    "cli",
}


class Import(NamedTuple):
    """One imported module, and whether the import runs when its own module is imported."""

    module: str
    at_once: bool


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file; those for type checkers do not run at once."""

    def walk(node: ast.AST, at_once: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written in full"
            whole_modules = node.module in ("nmt", "nmt.engines", "nmt.export")
            names = [f"{node.module}.{alias.name}" for alias in node.names] if whole_modules else [str(node.module)]
            yield from (Import(name, at_once) for name in names)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        inner = at_once and not for_types and not isinstance(node, ast.FunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return walk(ast.parse(path.read_text(encoding="utf-8")), at_once=True)


def module_name(path: Path) -> str:
    """``engines.keras_engine`` for nmt/engines/keras_engine.py, ``engines`` for its folder's __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): list(imports(path)) for path in sorted(PACKAGE.rglob("*.py"))}


def known_module(imported: str) -> str | None:
    """The module of this package that an import means; ``engines`` for nmt.engines.Engine, None for other packages."""
    if not imported.startswith("nmt."):
        return None
    name = imported.removeprefix("nmt.")
    return name if name in MODULES else name.rpartition(".")[0]


def room(module: str) -> str:
    return module.partition(".")[0]


def test_the_map_has_every_room_and_no_other():
    assert {room(module) for module in MODULES if module} == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_what_its_row_allows(name):
    allowed = {name, *ROOMS[name].split()}
    for module, found in MODULES.items():
        if room(module) == name:
            known = {room(found) for found in map(known_module, (one.module for one in found)) if found is not None}
            assert known <= allowed, f"{module} imports {known - allowed}"


@pytest.mark.parametrize("name", ROOMS)
def test_a_row_names_only_rooms_above_it(name):
    above = list(ROOMS)[: list(ROOMS).index(name)]
    assert set(ROOMS[name].split()) <= set(above)


def test_frameworks_come_in_where_they_are_needed():
    for module, found in MODULES.items():
        for name, at_once in found:
            package = name.partition(".")[0]
            if package not in INSIDE_FUNCTIONS:
                continue
            if module in ABOUT.get(package, set()):
                continue
            assert not at_once, f"{module} imports {name} at once: do it inside the function that needs it"
            assert module in INSIDE_FUNCTIONS[package], f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_a_light_room_brings_no_framework_along(module):
    reached, to_do = set(), [module]
    while to_do:
        found = to_do.pop()
        reached.add(found)
        needed = [known_module(name) for name, at_once in MODULES[found] if at_once]
        to_do += [name for name in needed if name is not None and name not in reached]
    heavy = set().union(*ABOUT.values())
    assert not reached & heavy, f"{module} reaches {reached & heavy}"


def test_no_room_is_called_after_nothing():
    nothing = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "tools", "core"}
    assert not nothing & {part for module in MODULES for part in module.split(".")}


def test_imports_are_read_as_they_run(tmp_path):
    """Of the reader itself: what runs at once is told from what waits in a function or is for type checkers only."""
    path = tmp_path / "room.py"
    path.write_text(
        "import numpy\nfrom nmt import search\nfrom nmt.engines import Engine\nfrom nmt.recipe import Data\n"
        "if TYPE_CHECKING:\n    import keras\n"
        "class Room:\n    import json\n    def open(self):\n        import jax.numpy\n"
        "try:\n    import tensorflow\nexcept ImportError:\n    pass\n"
    )
    assert [(one.module, one.at_once) for one in imports(path)] == [
        ("numpy", True),
        ("nmt.search", True),
        ("nmt.engines.Engine", True),
        ("nmt.recipe", True),
        ("keras", False),
        ("json", True),
        ("jax.numpy", False),
        ("tensorflow", True),
    ]
    assert known_module("nmt.engines.Engine") == "engines"
    assert known_module("numpy") is None
