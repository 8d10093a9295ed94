"""A translation and where each of its words comes from, to be looked at: in the terminal, as a picture, as a page."""

from __future__ import annotations

import html
import json
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

_SHADES = " ░▒▓█"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 20px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1rem }}
body {{ color: #222; background: #fff }}
h2 {{ font-size: 14px; font-weight: normal; color: #666; margin: 2rem 0 0 }}
p {{ margin: 0 }}
span {{ padding: .15em .2em; border-radius: .2em; cursor: default }}
small {{ color: #666 }}
</style>
<h2>source</h2><p id="source"></p>
<h2>translation</h2><p id="target"></p>
<p><br><small>Point at a word: the darker another one, the more it had to do with it. Words that the model was unsure
of are underlined.</small></p>
<script>
const told = {data};
const spans = side => told[side].map(word => {{
  const span = document.createElement("span");
  span.textContent = word;
  document.getElementById(side).append(span, " ");
  return span;
}});
const source = spans("source"), target = spans("target");
const show = (here, there, weight) => here.forEach((one, i) => {{
  one.addEventListener("mouseenter", () => {{
    one.style.background = "#cde";
    const most = Math.max(...there.map((_, j) => weight(i, j)), 1e-9);
    there.forEach((other, j) => other.style.background = `rgba(240, 150, 0, ${{weight(i, j) / most}})`);
  }});
  one.addEventListener("mouseleave", () => [...source, ...target].forEach(any => any.style.background = ""));
}});
show(target, source, (i, j) => told.attention[i][j]);
show(source, target, (j, i) => told.attention[i][j]);
target.forEach((one, i) => {{
  one.title = `probability ${{told.probabilities[i].toFixed(2)}}`;
  if (told.probabilities[i] < 0.5) one.style.textDecoration = "underline dotted";
}});
</script>
"""


class Explanation(NamedTuple):
    """Of one sentence: S source words, T words of its translation."""

    source: list[str]  # [S]
    target: list[str]  # [T]
    attention: np.ndarray  # [T, S], each row sums to 1
    probabilities: np.ndarray  # [T], the geometric mean of the probabilities of a word's pieces

    def __str__(self) -> str:
        """A table for the terminal: a row a word of the translation, a column a source word, darker where it looked."""
        width = max(map(_width, self.target), default=0)
        columns = "".join(f"{number:^4}" for number in range(1, len(self.source) + 1))
        lines = [f"{'':{width}}  {columns.rstrip()}"]
        for word, row, probability in zip(self.target, self.attention, self.probabilities, strict=True):
            cells = "".join(f"{_shade(weight) * 3} " for weight in row)
            lines.append(f"{word}{' ' * (width - _width(word))}  {cells} {probability:.2f}")
        names = "  ".join(f"{number} {word}" for number, word in enumerate(self.source, 1))
        return "\n".join([*lines, "", names])

    def page(self) -> str:
        """A page in HTML that needs nothing else: where one points at a word, those that it goes with turn dark."""
        told = {
            "source": self.source,
            "target": self.target,
            "attention": np.round(self.attention, 4).tolist(),
            "probabilities": np.round(self.probabilities, 4).tolist(),
        }
        data = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")  # no tag can begin within the script
        return _PAGE.format(title=html.escape(" ".join(self.target)), data=data)

    def draw(self, path: Path) -> None:
        """A picture of the attention, its form by the ending of ``path``: .png, .svg, .pdf.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.5 + 0.5 * len(self.source), 1.2 + 0.4 * len(self.target)), layout="constrained")
        axes = figure.subplots()
        axes.imshow(self.attention, cmap="Oranges", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(self.source)), self.source, rotation=60, ha="left")
        axes.set_yticks(range(len(self.target)), self.target)
        axes.xaxis.tick_top()
        figure.savefig(path, dpi=150)


def _shade(weight: float) -> str:
    return _SHADES[min(len(_SHADES) - 1, round(float(weight) * (len(_SHADES) - 1)))]


def _width(word: str) -> int:
    """The columns that a word takes in a terminal: two for each wide letter, none for marks upon letters."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in word
    )
