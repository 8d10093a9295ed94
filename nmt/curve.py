"""The course of a training as a picture."""

from __future__ import annotations

import io
from typing import Any


def draw(history: list[dict[str, Any]], title: str) -> bytes:
    """Perplexity and BLEU on the development text over the updates of ``history``, as a PNG."""
    from matplotlib.figure import Figure

    history = [entry for entry in history if "mean_of" not in entry]  # a mean of weights is no point of the course
    updates = [entry["update"] for entry in history]
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    left.set_title(title)
    left.set_xlabel("updates")
    left.set_ylabel("perplexity (development)", color="tab:blue")
    left.set_yscale("log")
    left.plot(updates, [entry["perplexity"] for entry in history], "o-", color="tab:blue", markersize=3)
    left.grid(alpha=0.3)
    right = left.twinx()
    right.set_ylabel("BLEU of greedy translations (development)", color="tab:orange")
    right.plot(updates, [entry["bleu"] for entry in history], "s-", color="tab:orange", markersize=3)
    picture = io.BytesIO()
    # Without the time of drawing the same history gives the same bytes.
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
