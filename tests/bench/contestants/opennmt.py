"""OpenNMT-py's own training, with its nearest model: brnn encoder, input feeding, mlp attention.

What differs: the decoder's LSTM reads the previous attentional vector (Luong's input feeding) in place of a context
asked by the previous state; that vector, as wide as the LSTM, is the readout, so that the softmax cannot be tied to a
narrower embedding; there is one rate of dropout. Keys are projected again at every target position; this repeated work
is not counted in the operations that the model needs. The moving average is OpenNMT-py's own ``average_decay``.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import contest
import onmt
import onmt.trainer
import torch
from onmt.bin.train import _get_parser
from onmt.train_single import main as train
from onmt.utils.parse import ArgumentParser


def arguments(asked: SimpleNamespace) -> list[str]:
    model, training, text = asked.model, asked.training, asked.text
    workspace = Path(asked.workspace)
    data = workspace / "opennmt.yaml"
    data.write_text(f"data:\n  corpus_1:\n    path_src: {text.train}.source\n    path_tgt: {text.train}.target\n")
    settings = {
        "config": data,
        "src_vocab": text.vocabulary,
        "share_vocab": None,
        "share_embeddings": None,
        "save_model": workspace / "model",
        "save_checkpoint_steps": 10**9,
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "enc_layers": model.encoder_layers,
        "dec_layers": model.decoder_layers,
        "word_vec_size": model.embedding_units,
        "enc_hid_size": 2 * model.encoder_units,  # of both directions together
        "dec_hid_size": model.decoder_units,
        "global_attention": "mlp",
        "input_feed": 1,
        "dropout": model.dropout.embedding,
        "label_smoothing": training.label_smoothing,
        "optim": "adam",
        "learning_rate": training.learning_rate,
        "max_grad_norm": training.clip_norm,
        "average_decay": 1 - training.weight_average,  # the share of the new weights
        "batch_type": "tokens",
        "batch_size": training.batch_tokens,
        "bucket_size": 2**15,  # sorted at once; the default reads a small text many times before it begins
        "normalization": "tokens",
        "train_steps": asked.warmup + asked.updates,
        "valid_steps": 10**9,
        "num_workers": 0,
        "seed": training.seed,
    }
    return [part for key, value in settings.items() for part in (f"--{key}", str(value)) if part != "None"]


class Timed(onmt.trainer.Trainer):
    """The toolkit's trainer, with a look at the clock after every update."""

    def __init__(self, model: Any, *others: Any, **settings: Any) -> None:
        super().__init__(model, *others, **settings)
        Timed.trained = model

    def _gradient_accumulation(self, true_batches: list[dict[str, Any]], *others: Any) -> None:
        super()._gradient_accumulation(true_batches, *others)
        padding = self.train_loss.padding_idx
        Timed.clock.update_ended(sum(int((batch["tgt"][:, 1:, 0] != padding).sum()) for batch in true_batches))


def options(asked: SimpleNamespace) -> Namespace:
    found, _ = _get_parser().parse_known_args(arguments(asked))
    ArgumentParser.validate_train_opts(found)
    ArgumentParser.update_model_opts(found)
    ArgumentParser.validate_model_opts(found)
    return found


def main() -> None:
    asked = contest.read()
    torch.set_num_threads(asked.threads)
    Timed.clock = contest.Clock(asked)
    onmt.trainer.Trainer = Timed
    train(options(asked), device_id=-1)
    shapes = {name: tuple(weight.shape) for name, weight in Timed.trained.named_parameters()}
    contest.write(
        Timed.clock.rate,
        sum(weight.numel() for weight in Timed.trained.parameters()),
        contest.multiplied(shapes, "encoder.embeddings", "decoder.embeddings"),
        {"OpenNMT-py": onmt.__version__, "torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
