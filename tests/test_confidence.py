"""Confidence: by hand for few numbers, and what must hold of it for any."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from nmt.confidence import Confidence


def test_it_is_the_mean_quality_of_what_was_as_sure():
    """Two bins of five: means -3 and -1, chrF 30 and 70; between them a straight line, outside the nearest."""
    sure = [-1.5, -3.5, -0.5, -2.5, -1, -3, -0.8, -3.2, -1.2, -2.8]
    chrf = [60, 20, 80, 40, 70, 30, 75, 35, 65, 25]
    found = Confidence.learn(sure, chrf)
    assert found.log_probabilities == pytest.approx([-3, -1])
    assert found.chrf == pytest.approx([0.3, 0.7])
    assert [found(mean) for mean in (-9, -3, -2, -1.5, -1, 0)] == pytest.approx([0.3, 0.3, 0.5, 0.6, 0.7, 0.7])
    assert Confidence.parse(json.loads(json.dumps(asdict(found)))) == found


def test_what_is_surer_is_never_trusted_less():
    random = np.random.default_rng(1)
    found = Confidence.learn(random.normal(size=200), random.uniform(0, 100, 200))  # quality has nothing to do with it
    said = [found(mean) for mean in np.linspace(-4, 4, 50)]
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1


def test_neighbours_that_contradict_each_other_are_pooled():
    """Isotonic regression by hand: of 50, 45, 60, 80 the first two become 47.5, and the mean of all stays."""
    sure = np.repeat([-4.0, -3.0, -2.0, -1.0], 5)
    found = Confidence.learn(sure, np.repeat([50, 45, 60, 80], 5))
    assert found.log_probabilities == pytest.approx([-3.5, -2, -1])
    assert found.chrf == pytest.approx([0.475, 0.6, 0.8])
    assert np.average(found.chrf, weights=[10, 5, 5]) == pytest.approx(np.mean([0.5, 0.45, 0.6, 0.8]))
    falling = Confidence.learn(sure, np.repeat([80, 60, 45, 50], 5))
    assert falling.chrf == pytest.approx([0.5875])
    assert falling(-9) == falling(0) == pytest.approx(0.5875)


@pytest.mark.parametrize("quality", [lambda means: 100 * np.exp(means), lambda means: 50 + 0 * means])
def test_a_tenth_of_the_development_text_is_doubtful(quality):
    means = -np.arange(1, 101) / 50
    found = Confidence.learn(means, quality(means))
    assert [mean for mean in means if mean < found.doubtful] == means[-10:].tolist()  # the least sure


@pytest.mark.parametrize("count", [0, 4])
def test_of_too_few_sentences_nothing_is_learnt(count):
    assert Confidence.learn([-1.0] * count, [50.0] * count) is None
