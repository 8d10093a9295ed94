"""This toolkit: ``nmt train`` itself, timed by the ``loop`` of tests/bench/train.py."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import contest

from nmt import devices, recipe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    asked = contest.read()
    backend = asked.options.backend
    settings = recipe.read(asked.recipe, tuple(asked.set))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", asked.compiled)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    devices.prepare(settings.device, training=True)
    from train import loop, products

    from nmt import model

    rate, _, _, pieces = loop(settings, asked.updates, asked.warmup)
    weights = model.build(settings.model, pieces, pieces).count_params()
    once = sum(inner * columns * times for _, inner, columns, times in products(settings.model, pieces, 1, 1, 1))
    contest.write(rate, weights, once, {"keras": version("keras"), backend: version(backend)})


if __name__ == "__main__":
    main()
