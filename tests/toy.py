"""A training small enough for a test: numbers in words, English to German, said backwards.

``python tests/toy.py FOLDER`` trains it in a process of its own, which says on standard output what moment has come:
``update`` before an update, ``validation`` and ``checkpoint`` as one begins, and the name of a file of the run (of the
folder, where there are many) that is written and not yet in its place. With a moment as second argument, as in
``update=7``, it kills itself, as ``kill -9`` would, when that has come for the seventh time.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmt import recipe
from nmt.batches import BatchPlan
from nmt.pieces import Pieces
from nmt.pieces import train as train_pieces
from nmt.recipe import Dropout, Recipe
from nmt.symbols import EOS

ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
GERMAN = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
V = 23  # pieces of the plan and the model below


def lines(count: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """``count`` different pairs of one to six words."""
    random = np.random.default_rng(seed)
    numbers: dict[tuple[int, ...], None] = {}
    while len(numbers) < count:
        numbers[tuple(random.integers(0, 10, random.integers(1, 7)).tolist())] = None
    source = [" ".join(ENGLISH[number] for number in sentence) for sentence in numbers]
    target = [" ".join(GERMAN[number] for number in reversed(sentence)) for sentence in numbers]
    return source, target


def marked_lines(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Pairs of two to six words said one by one and, first of all in the target, a mark that no other pair has."""
    random = np.random.default_rng(seed)
    source, target = [], []
    for number in range(count):
        numbers = random.integers(0, 10, random.integers(2, 7)).tolist()
        name = "".join(random.choice([*"abcdefghijklmnopqrstuvwxyz_"], random.integers(3, 9))) + str(number)
        mark = ["{%s}", "%%(x%s)s", "https://x%s.example/", "<x%s/>"][random.integers(4)] % name
        words = [ENGLISH[number] for number in numbers]
        words.insert(random.integers(len(words) + 1), mark)
        source.append(" ".join(words))
        target.append(" ".join([mark, *(GERMAN[number] for number in numbers)]))
    return source, target


def write_text(directory: Path, count: int = 60) -> Path:
    """Two aligned files, train.en and train.de, in ``directory``."""
    for language, text in zip(("en", "de"), lines(count), strict=True):
        (directory / f"train.{language}").write_text("\n".join(text) + "\n", encoding="utf-8")
    return directory


def settings(text: Path = Path("text"), **changes: object) -> Recipe:
    """A recipe with dropout wherever there is dropout; ``changes`` has keys like ``training__updates``."""
    drop = dict.fromkeys(Dropout.model_fields, 0.1)
    content: dict[str, dict[str, object]] = {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": {"source": str(text / "train.en"), "target": str(text / "train.de")},
            "development": 5,
        },
        "pieces": {"size": 40, "byte_fallback": False},
        "model": {
            "embedding_units": 6, "encoder_units": 5, "encoder_layers": 2, "decoder_units": 8, "decoder_layers": 2,
            "attention_units": 6, "attention_heads": 2, "readout_units": 6, "dropout": drop,
        },
        "training": {
            "updates": 4, "batch_tokens": 60, "learning_rate": 0.01, "warmup_updates": 3, "schedule": "constant",
            "weight_average": 0.5, "validate_every": 2, "log_every": 1,
        },
        "search": {"beam_size": 2, "loop_guard": False},  # random models run in circles all the time
        "evaluation": {"samples": 1},
        # With one thread a batch is computed in one stream: half of what TensorFlow has to trace.
        "device": {"backend": os.environ.get("KERAS_BACKEND", "tensorflow"), "threads": 1},
    }  # fmt: skip
    for key, value in changes.items():
        section, name = key.split("__")
        content[section][name] = value
    return recipe.parse(content, "the toy recipe")


def write_run(directory: Path, text: Path, seed: int = 3, **changes: object):
    """A run that can translate and be scored, and was never trained: pieces of the ``text``, random weights."""
    from nmt import devices, experiment, model
    from nmt.run import Run, weights_by_name

    run = Run.open(directory, settings(text, **changes))
    run.begin()
    piece_settings = run.recipe.pieces.model_dump(exclude={"joint", "sampling", "masks"})
    train_pieces([*lines(60)[0], *lines(60)[1]], run.piece_paths()[0], **piece_settings)
    run.pin_pieces()
    experiment._check_corpus(run, experiment.read_texts(run.recipe.data))
    devices.prepare(run.recipe.device)
    size = run.pieces()[0].size
    variables = model.build(run.recipe.model, size, size).trainable_variables
    random = np.random.default_rng(seed)
    run.save_best(weights_by_name(variables, [random.normal(size=each.shape) * 1.5 for each in variables]))
    return run


def plan(seed: int = 1, batch_tokens: int = 60, count: int = 60) -> BatchPlan:
    """Random pieces, 1 to 9 of them, and the same backwards without every third: about five batches an epoch."""
    random = np.random.default_rng(5)
    source = [random.integers(4, V, random.integers(1, 10)).tolist() for _ in range(count)]
    target = [[piece for place, piece in enumerate(ids[::-1]) if place % 3 != 2] for ids in source]
    return BatchPlan(source, target, batch_tokens, seed)


def pieces(directory: Path) -> Pieces:
    """One piece model for both languages."""
    source, target = lines(60)
    path = directory / "pieces.model"
    return train_pieces([*source, *target], path, size=40, character_coverage=1.0, byte_fallback=False)


def decided_model(size: int, **changes: object):
    """A model of random weights so large that it is sure of what it says, without having learnt anything."""
    from nmt import model

    translator = model.build(settings(**changes).model, size, size)
    random = np.random.default_rng(3)
    for variable in translator.trainable_variables:
        variable.assign(random.normal(size=variable.shape) * 1.8)
    bias = random.normal(size=size) * 0.3
    bias[EOS] += 1  # so that some translations end before their limit
    translator.output_bias.assign(bias)
    return translator


def write_logits(path: str, backend: str, *folders: str) -> None:
    """What the runs in ``folders`` answer on ``backend``, by the names of the folders, into the archive ``path``."""
    from nmt import experiment
    from nmt.run import Run

    batch = plan().batch(plan().locate(0))
    answers = {}
    for folder in map(Path, folders):
        # One process has one number of threads, whatever its runs were trained with.
        run = Run.find(folder / "run", (f"device.backend={backend}", "device.threads=1"))
        translator = experiment.load_model(run)
        answers[folder.name] = np.asarray(translator({"source": batch.source, "target_in": batch.target_in}))
    np.savez(path, **answers)


def _tell(moment_has_come: Callable[[str], None]) -> None:
    """Arrange for ``moment_has_come`` to be called with the name of each moment."""
    from nmt import evaluation, run, training

    def telling(function, name):
        def wrapped(*arguments, **keywords):
            moment_has_come(name(*arguments))
            return function(*arguments, **keywords)

        return wrapped

    def file_or_folder(beside, place):
        path = Path(place)
        return path.parent.name if path.parent.name in ("checkpoints", "samples") else path.name

    training.learning_rate = telling(training.learning_rate, lambda *_: "update")
    evaluation.validate = telling(evaluation.validate, lambda *_: "validation")
    run.Run.save_checkpoint = telling(run.Run.save_checkpoint, lambda *_: "checkpoint")
    os.rename = telling(os.rename, file_or_folder)
    os.replace = telling(os.replace, file_or_folder)


def main() -> None:
    directory, event = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    last, _, number = event.partition("=")
    toy = recipe.parse(json.loads((directory / "toy.json").read_text()), "toy.json")
    os.environ["KERAS_BACKEND"] = toy.device.backend
    seen: Counter[str] = Counter()

    def moment_has_come(name):
        print(name, flush=True)
        seen[name] += 1
        if name == last and seen[name] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    from nmt import experiment

    _tell(moment_has_come)
    experiment.train(toy, directory / "run")


if __name__ == "__main__":
    main()
