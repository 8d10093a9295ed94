"""How far a translation can be trusted, told by how sure the model was of it.

What is known of a translation without a reference is the mean log-probability of its pieces (TP of Fomicheva et al.,
"Unsupervised Quality Estimation for Neural Machine Translation", TACL 2020, arXiv:2005.10608, equation 2). It is made
into a number that says something: the chrF, from 0 to 1, that translations had on the development text of which the
model was as sure (calibration by bins: Zadrozny and Elkan, ICML 2001; here with straight lines between their means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Values = Sequence[float] | np.ndarray

# Bins of the development text, and how many sentences of it each must have at least.
_BINS, _A_BIN = 10, 5
# This share of the development text, the least sure of it, is what a person should look at.
_DOUBTFUL = 0.1


@dataclass(frozen=True)
class Confidence:
    """From the mean log-probability of a translation's pieces to the chrF to be expected of it."""

    log_probabilities: list[float]  # of each bin, rising
    chrf: list[float]  # 0 to 1, of the same bins, nowhere falling
    doubtful: float  # a lower confidence than this asks for a person

    @classmethod
    def learn(cls, log_probabilities: Values, chrf: Values) -> Confidence | None:
        """Calibrate with translations of known quality, one number of either a sentence; None if there are too few.

        Args:
            log_probabilities: the mean of each translation's pieces.
            chrf: of each sentence, from 0 to 100.
        """
        means, scores = np.asarray(log_probabilities, float), np.asarray(chrf, float) / 100
        bins = min(_BINS, len(means) // _A_BIN)
        if not bins:
            return None
        parts = np.array_split(np.argsort(means, kind="stable"), bins)
        expected = np.maximum.accumulate([scores[part].mean() for part in parts])  # what is surer is never trusted less
        found = cls([float(means[part].mean()) for part in parts], expected.tolist(), 0.0)
        return replace(found, doubtful=float(np.quantile([found(mean) for mean in means], _DOUBTFUL)))

    @classmethod
    def parse(cls, content: Any) -> Confidence:
        """What ``dataclasses.asdict`` gave, read from JSON again."""
        return cls(**content)

    def __call__(self, log_probability: float) -> float:
        """0 to 1."""
        return float(np.interp(log_probability, self.log_probabilities, self.chrf))
