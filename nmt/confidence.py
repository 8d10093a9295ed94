"""How far a translation can be trusted, told by how sure the model was of it.

What is known of a translation without a reference is the mean log-probability of its pieces (TP of Fomicheva et al.,
"Unsupervised Quality Estimation for Neural Machine Translation", TACL 2020, arXiv:2005.10608, equation 2). It is made
into a number that says something: the chrF, from 0 to 1, that translations had on the development text of which the
model was as sure. Calibrated by isotonic regression (Zadrozny and Elkan, KDD 2002) over tenths of that text, with
straight lines between their means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Sequence[float] | np.ndarray

# Parts of the development text, and how many sentences of it each must have at least.
_PARTS, _A_PART = 10, 5
# This share of the development text, the least sure of it, is what a person should look at.
_DOUBTFUL = 0.1


@dataclass(frozen=True)
class Confidence:
    """From the mean log-probability of a translation's pieces to the chrF to be expected of it."""

    log_probabilities: list[float]  # of each part, rising
    chrf: list[float]  # 0 to 1, of the same parts, nowhere falling
    doubtful: float  # a lower log-probability than this asks for a person

    @classmethod
    def learn(cls, log_probabilities: Values, chrf: Values) -> Confidence | None:
        """Calibrate with translations of known quality, one number of either a sentence; None if there are too few.

        Args:
            log_probabilities: the mean of each translation's pieces.
            chrf: of each sentence, from 0 to 100.
        """
        means, scores = np.asarray(log_probabilities, float), np.asarray(chrf, float) / 100
        count = min(_PARTS, len(means) // _A_PART)
        if not count:
            return None
        parts = np.array_split(np.argsort(means, kind="stable"), count)
        pools: list[np.ndarray] = []
        for part in parts:  # what is surer is never trusted less: neighbours of which it is not so are pooled
            pools.append(part)
            while len(pools) > 1 and scores[pools[-2]].mean() >= scores[pools[-1]].mean():
                pools[-2:] = [np.concatenate(pools[-2:])]
        return cls(
            [float(means[pool].mean()) for pool in pools],
            [float(scores[pool].mean()) for pool in pools],
            float(np.quantile(means, _DOUBTFUL)),
        )

    @classmethod
    def parse(cls, content: Any) -> Confidence:
        """What ``dataclasses.asdict`` gave, read from JSON again."""
        return cls(**content)

    def __call__(self, log_probability: float) -> float:
        """0 to 1."""
        return float(np.interp(log_probability, self.log_probabilities, self.chrf))
