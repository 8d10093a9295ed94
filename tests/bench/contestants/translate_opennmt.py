"""OpenNMT-py translates: ``infer_list`` of its inference engine, as ``onmt_translate`` and its server do.

The model is that of opennmt.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import contest
import onmt
import torch
import translation
from onmt.bin.translate import _get_parser
from onmt.inference_engine import InferenceEnginePY
from onmt.utils.parse import ArgumentParser

# Its checkpoints hold more than weights, which a new torch reads only if it is told to.
TRUSTED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def make(asked: SimpleNamespace) -> translation.Made:
    import opennmt  # brings the trainer, which the job that is measured does without
    from onmt.constants import ModelTask
    from onmt.inputters.inputter import build_vocab, vocabs_to_dict
    from onmt.model_builder import build_model

    options = opennmt.options(asked)
    options.data_task = ModelTask.SEQ2SEQ  # else found in the training text
    vocabularies = build_vocab(options, {"src": [], "tgt": []})
    torch.manual_seed(asked.training.seed)
    model = build_model(options, options, vocabularies, None, -1)
    weights = {name: weight for name, weight in model.state_dict().items() if not name.startswith("generator.")}
    file = Path(asked.workspace) / "opennmt.pt"
    content = {"model": weights, "generator": model.generator.state_dict(), "vocab": vocabs_to_dict(vocabularies)}
    torch.save({**content, "opt": options, "optim": None}, file)
    alone = asked.searches[0].lengths[0]
    return translation.Made(
        model=str(file),
        weights=sum(weight.numel() for weight in model.parameters()),
        command=["env", f"{TRUSTED}=1", sys.executable, "-m", "onmt.bin.translate", *_arguments(file, 1, alone)],
        versions={"OpenNMT-py": onmt.__version__, "torch": torch.__version__},
    )


def _arguments(model: Path, beam: int, length: int) -> list[str]:
    settings = {
        "model": model,
        "src": "/dev/stdin",
        "output": model.with_suffix(".txt"),
        "beam_size": beam,
        "batch_size": 64,
        "min_length": length,
        "max_length": length,
        "max_length_ratio": 0,  # no other limit
    }
    return [part for key, value in settings.items() for part in (f"--{key}", str(value))]


def load(asked: SimpleNamespace, beam: int) -> translation.Translate:
    torch.set_num_threads(asked.threads)
    os.environ[TRUSTED] = "1"
    options = _get_parser().parse_args(_arguments(Path(asked.workspace) / "opennmt.pt", beam, 1))
    ArgumentParser.validate_translate_opts(options)
    ArgumentParser._get_all_transform_translate(options)
    ArgumentParser._validate_transforms_opts(options)
    ArgumentParser.validate_translate_opts_dynamic(options)
    engine = InferenceEnginePY(options)

    def translate(batch: translation.Batch) -> list[list[str]]:
        engine.translator.min_length = engine.translator.max_length = batch.length
        _, said = engine.infer_list([" ".join(source) for source in batch.sources])
        return [best.split(" ") for best, *_ in said]

    return translate


if __name__ == "__main__":
    translation.run(contest.read(), make, load)
