"""JoeyNMT translates: ``predict`` over its own stream of lines, as ``python -m joeynmt translate`` does.

The model is that of joey.py.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import SimpleNamespace

import contest
import torch
import translation
import yaml
from joeynmt import prediction
from joeynmt.config import load_config, parse_global_args
from joeynmt.data import load_data
from joeynmt.model import build_model
from joeynmt.search import search


def make(asked: SimpleNamespace) -> translation.Made:
    import joey  # brings the trainer, which the job that is measured does without

    settings = joey.configuration(asked)
    directory = Path(settings["model_dir"])
    weights, file = directory / "weights.ckpt", directory / "translate.yaml"
    # one line is what the command translates, the first
    settings["testing"] = {"load_model": str(weights), "max_output_length": asked.searches[0].lengths[0]}
    file.write_text(yaml.safe_dump(settings))
    arguments = parse_global_args(settings, rank=0, mode="train")  # "translate" wants the weights
    torch.manual_seed(asked.training.seed)
    model = build_model(arguments.model, *load_data(arguments.data, ["stream"])[:2])
    torch.save({"model_state": model.state_dict()}, weights)
    return translation.Made(
        model=str(weights),
        weights=sum(weight.numel() for weight in model.parameters()),
        command=[sys.executable, "-m", "joeynmt", "translate", str(file)],
        versions={"JoeyNMT": joey.version("joeynmt"), "torch": torch.__version__},
    )


def load(asked: SimpleNamespace, beam: int) -> translation.Translate:
    torch.set_num_threads(asked.threads)
    settings = load_config(Path(asked.workspace) / "joey" / "translate.yaml")
    arguments = parse_global_args(settings, rank=0, mode="translate")
    model, _, _, stream = prediction.prepare(arguments, rank=0, mode="translate")

    def translate(batch: translation.Batch) -> list[list[str]]:
        # predict knows the setting of a least length but does not hand it on
        prediction.search = functools.partial(search, min_output_length=batch.length)
        stream.reset_cache()
        for source in batch.sources:
            stream.set_item(" ".join(source))
        asked_for = arguments.test._replace(
            beam_size=beam, max_output_length=batch.length, batch_type="sentence", batch_size=len(batch.sources)
        )
        return prediction.predict(
            model, stream, arguments.device, arguments.n_gpu, args=asked_for, autocast=arguments.autocast
        )[3]

    return translate


if __name__ == "__main__":
    translation.run(contest.read(), make, load)
