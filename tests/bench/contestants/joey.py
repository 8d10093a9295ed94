"""JoeyNMT's own training, with its nearest model: recurrent, Bahdanau's energies, input feeding.

What differs: the *new* state asks attention, and the LSTM reads the previous attentional vector; that vector, as wide
as the LSTM, is the readout, so that the softmax cannot be tied to a narrower embedding. JoeyNMT has no moving average
of the weights and no dropout on the encoder's states. It does not bucket by length: it is given the text in the order
of this toolkit's batches, not shuffled.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import contest
import joeynmt.training
import torch
from importlib_metadata import version


def configuration(asked: SimpleNamespace) -> dict[str, Any]:
    model, training, text = asked.model, asked.training, asked.text
    side = {"level": "word", "voc_file": text.vocabulary, "max_length": 10**6}
    embeddings = {"embedding_dim": model.embedding_units, "scale": False, "dropout": model.dropout.embedding}
    lstm = {"type": "recurrent", "rnn_type": "lstm", "embeddings": embeddings, "dropout": model.dropout.layers}
    directory = Path(asked.workspace) / "joey"
    directory.mkdir(exist_ok=True)
    return {
        "name": "peer",
        "model_dir": str(directory),
        "use_cuda": False,
        "random_seed": training.seed,
        "data": {
            "train": text.train,
            "dev": text.development,
            "dataset_type": "plain",
            "src": {"lang": "source", **side},
            "trg": {"lang": "target", **side},
        },
        "model": {
            "tied_embeddings": True,
            "encoder": {
                **lstm,
                "hidden_size": model.encoder_units,
                "bidirectional": True,
                "num_layers": model.encoder_layers,
            },
            "decoder": {
                **lstm,
                "hidden_size": model.decoder_units,
                "num_layers": model.decoder_layers,
                "attention": "bahdanau",
                "input_feeding": True,
                "hidden_dropout": model.dropout.readout,
                "init_hidden": "bridge",
            },
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": training.learning_rate,
            "learning_rate_min": 0.0,
            "learning_rate_warmup": training.warmup_updates,
            "scheduling": "warmupinversesquareroot",
            "clip_grad_norm": training.clip_norm,
            "label_smoothing": training.label_smoothing,
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": training.batch_tokens,
            "shuffle": False,
            "epochs": 10**6,
            "updates": asked.warmup + asked.updates,
            "logging_freq": 10**9,
            "validation_freq": 10**9,
        },
        "testing": {},
    }


class Timed(joeynmt.training.TrainManager):
    """The toolkit's trainer, with a look at the clock after every update."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        Timed.trained = self.model
        self.optimizer.register_step_post_hook(lambda *_: Timed.clock.update_ended(self.tokens))

    def _train_step(self, batch: Any) -> tuple[float, int]:
        self.tokens = batch.ntokens
        return super()._train_step(batch)


def main() -> None:
    asked = contest.read()
    torch.set_num_threads(asked.threads)
    Timed.clock = contest.Clock(asked)
    joeynmt.training.TrainManager = Timed
    joeynmt.training.train(rank=0, world_size=0, cfg=configuration(asked), skip_test=True)
    shapes = {name: tuple(weight.shape) for name, weight in Timed.trained.named_parameters()}
    contest.write(
        Timed.clock.rate,
        sum(weight.numel() for weight in Timed.trained.parameters()),
        contest.multiplied(shapes, "src_embed", "trg_embed", "decoder.bridge"),
        {"JoeyNMT": version("joeynmt"), "torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
