"""The recipe's own model in bare PyTorch: no toolkit, only a model and the loop that one would write.

The model is nmt/model.py's, equation by equation, in both flows. ``lstm`` says how its LSTMs are run:

    fused  nn.LSTM wherever it can do the work: the encoder, and in the parallel flow the decoder too
    cells  nn.LSTMCell, position by position, everywhere

In the recurrent flow the context enters the decoder's LSTM, so that its decoder is a loop of cells in any case.
Shape letters: B batch, S source length, T target length, C context, H decoder units.
"""

from __future__ import annotations

from types import SimpleNamespace

import contest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class FusedEncoder(nn.Module):
    """Two LSTMs, one over every sentence turned round: twice as fast here as one bidirectional LSTM over packed input,
    for which PyTorch has no oneDNN kernel."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(inputs, units, batch_first=True)
        self.backward_lstm = nn.LSTM(inputs, units, batch_first=True)

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, S, C] and the backward state at the first piece [B, C / 2]."""
        positions = torch.arange(mask.shape[1])[None]
        turned = torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)[..., None]  # [B, S, 1]
        there, _ = self.forward_lstm(embedded)
        back, _ = self.backward_lstm(embedded.gather(1, turned.expand_as(embedded)))
        back = back.gather(1, turned.expand_as(back))
        return torch.cat([there, back], -1), back[:, 0]


class CellEncoder(nn.Module):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.forward_cell, self.backward_cell = nn.LSTMCell(inputs, units), nn.LSTMCell(inputs, units)

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        positions = range(embedded.shape[1])
        there = self._run(self.forward_cell, embedded, mask, positions)
        back = self._run(self.backward_cell, embedded, mask, reversed(positions))[::-1]
        return torch.cat([torch.stack(there, 1), torch.stack(back, 1)], -1), back[0]

    def _run(self, cell: nn.LSTMCell, embedded: Tensor, mask: Tensor, positions: range) -> list[Tensor]:
        hidden = memory = embedded.new_zeros(embedded.shape[0], cell.hidden_size)
        states = []
        for position in positions:
            new_hidden, new_memory = cell(embedded[:, position], (hidden, memory))
            here = mask[:, position, None]
            hidden, memory = torch.where(here, new_hidden, hidden), torch.where(here, new_memory, memory)
            states.append(hidden)
        return states


class Attention(nn.Module):
    """v' tanh(W s + U h), as nmt/attention.py."""

    def __init__(self, query: int, states: int, units: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(query, units, bias=False), nn.Linear(states, units, bias=False)
        self.energy = nn.Linear(units, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """The contexts [B, T, C] of queries [B, T, H], all at once."""
        hidden = torch.tanh(self.query(query)[:, :, None] + keys[:, None])  # [B, T, S, A]
        energies = self.energy(hidden).squeeze(-1).masked_fill(~mask[:, None], -1e9)  # [B, T, S]
        return torch.bmm(energies.softmax(-1), states)


class Translator(nn.Module):
    def __init__(self, settings: SimpleNamespace, pieces: int, lstm: str) -> None:
        super().__init__()
        embedding, context, units = settings.embedding_units, 2 * settings.encoder_units, settings.decoder_units
        dropout, self.flow, self.lstm = settings.dropout, settings.flow, lstm
        self.embedding = nn.Embedding(pieces, embedding, padding_idx=contest.PAD)
        self.tied = settings.tying == "three_way"
        if not self.tied:
            self.target_embedding = nn.Embedding(pieces, embedding, padding_idx=contest.PAD)
            self.output = nn.Linear(settings.readout_units, pieces, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(pieces))
        self.encoder = (FusedEncoder if lstm == "fused" else CellEncoder)(embedding, settings.encoder_units)
        self.attention = Attention(units, context, settings.attention_units)
        below = embedding + (context if self.flow == "recurrent" else 0)
        widths = [below] + [units + context] * (settings.decoder_layers - 1)
        in_one = lstm == "fused" and self.flow == "parallel"
        self.layers = nn.ModuleList(
            nn.LSTM(width, units, batch_first=True) if in_one else nn.LSTMCell(width, units) for width in widths
        )
        self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in widths[1:])
        self.initial = nn.ModuleList(nn.Linear(context // 2, units, bias=False) for _ in widths)
        self.readout = nn.Linear(units + embedding + context, settings.readout_units)
        self.embedding_drop, self.encoder_drop = nn.Dropout(dropout.embedding), nn.Dropout(dropout.encoder_output)
        self.layer_drop, self.readout_drop = nn.Dropout(dropout.layers), nn.Dropout(dropout.readout)

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Logits [B, T, V]."""
        mask = source != contest.PAD  # [B, S]
        states, backward = self.encoder(self.embedding_drop(self.embedding(source)), mask)
        states = self.encoder_drop(states)
        keys = self.attention.key(states)
        embedded = self.embedding_drop((self.embedding if self.tied else self.target_embedding)(target_in))
        first = [torch.tanh(initial(backward)) for initial in self.initial]
        run = self._recurrent if self.flow == "recurrent" else self._parallel
        below, contexts = run(embedded, first[0], keys, states, mask)
        for layer, norm, hidden in zip(self.layers[1:], self.norms, first[1:], strict=True):
            above = self._run(layer, torch.cat([self.layer_drop(below), contexts], -1), hidden)
            below = norm(below + self.layer_drop(above))
        readout = torch.tanh(self.readout(torch.cat([below, embedded, contexts], -1)))
        kernel = self.embedding.weight if self.tied else self.output.weight
        return functional.linear(self.readout_drop(readout), kernel, self.output_bias)

    def _recurrent(self, embedded: Tensor, hidden: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        cell = torch.zeros_like(hidden)
        hiddens, contexts = [], []
        for piece in embedded.unbind(1):
            context = self.attention(hidden[:, None], *memory).squeeze(1)
            hidden, cell = self.layers[0](torch.cat([piece, context], -1), (hidden, cell))
            hiddens.append(hidden)
            contexts.append(context)
        return torch.stack(hiddens, 1), torch.stack(contexts, 1)

    def _parallel(self, embedded: Tensor, hidden: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        hiddens = self._run(self.layers[0], embedded, hidden)
        return hiddens, self.attention(hiddens, *memory)

    def _run(self, layer: nn.Module, inputs: Tensor, hidden: Tensor) -> Tensor:
        cell = torch.zeros_like(hidden)
        if isinstance(layer, nn.LSTM):
            return layer(inputs, (hidden[None], cell[None]))[0]
        states = []
        for here in inputs.unbind(1):
            hidden, cell = layer(here, (hidden, cell))
            states.append(hidden)
        return torch.stack(states, 1)


def main() -> None:
    asked = contest.read()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.training.seed)
    model = Translator(asked.model, asked.text.pieces, asked.options.lstm)
    optimizer = torch.optim.Adam(model.parameters(), lr=asked.training.learning_rate, fused=True)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(asked.training.weight_average))
    clock = contest.Clock(asked)
    for _, batch in zip(range(asked.warmup + asked.updates), contest.batches(asked), strict=False):
        source, target_in, target_out = (torch.from_numpy(ids) for ids in batch)
        logits = model(source, target_in)
        loss = functional.cross_entropy(
            logits.flatten(0, 1),
            target_out.flatten(),
            ignore_index=contest.PAD,
            label_smoothing=asked.training.label_smoothing,
        )
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), asked.training.clip_norm)
        optimizer.step()
        average.update_parameters(model)
        clock.update_ended(batch.tokens)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    looked_up = ("target_embedding",) if model.tied else ("embedding", "target_embedding")
    contest.write(
        clock.rate,
        sum(weight.numel() for weight in model.parameters()),
        contest.multiplied(shapes, "initial", *looked_up),
        {"torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
