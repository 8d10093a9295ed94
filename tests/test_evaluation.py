"""Loss, accuracy and BLEU on the development text, BLEU and chrF on the test text."""

import math

import numpy as np
import pytest
import toy

from nmt import evaluation, score
from nmt.batches import BatchPlan, fitted_lengths, pad_source
from nmt.corpus import Corpus
from nmt.engines.keras_engine import KerasEngine
from nmt.evaluation import Validation
from nmt.recipe import Evaluation, Sample, Search
from nmt.symbols import BOS, EOS
from nmt.translation import translate

SETTINGS = Evaluation(samples=3, bootstrap=100)
SEARCH = Search(loop_guard=False, beam_size=3)
TEXT = Corpus(*toy.lines(8, seed=4))


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    model = toy.pieces(tmp_path_factory.mktemp("pieces"))
    return model, model


@pytest.fixture(scope="module")
def engine(pieces):
    return KerasEngine(toy.decided_model(pieces[0].size))


def plan(pieces, lengths=None):
    source, target = pieces[0].encode_lines(TEXT.source), pieces[1].encode_lines(TEXT.target)
    return BatchPlan(source, target, 60, 1, fitted_lengths(source, target, 2) if lengths else ())


@pytest.mark.parametrize("lengths", [False, True], ids=["fitting", "few shapes"])
def test_loss_and_accuracy_are_those_of_the_sentences_one_by_one(engine, pieces, lengths):
    """Without smoothing, without dropout, the end of each sentence included, padding and fill rows not."""
    loss, right, count = 0.0, 0, 0
    for source, target in zip(pieces[0].encode_lines(TEXT.source), pieces[1].encode_lines(TEXT.target), strict=True):
        inputs = {"source": pad_source([source]), "target_in": np.array([[BOS, *target]], "int32")}
        logits = np.asarray(engine.models[0](inputs), "float64")[0]
        wanted = [*target, EOS]
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        loss -= log_probabilities[np.arange(len(wanted)), wanted].sum()
        right += (logits.argmax(axis=-1) == wanted).sum()
        count += len(wanted)
    found = evaluation.validate(engine, pieces, TEXT, plan(pieces, lengths), SEARCH, SETTINGS, tokenized=False)
    assert found.loss == pytest.approx(loss / count, rel=1e-5)
    assert found.accuracy == pytest.approx(right / count, rel=1e-6)
    assert found.perplexity == pytest.approx(math.exp(loss / count), rel=1e-4)


def test_the_perplexity_of_a_hopeless_model_is_still_a_number():
    assert math.isfinite(Validation(1e6, 0.0, None, None, []).perplexity)


@pytest.mark.parametrize(("tokenized", "lowercase"), [(False, False), (True, True)])
def test_bleu_is_that_of_greedy_translations_with_its_signature(engine, pieces, tokenized, lowercase):
    settings = SETTINGS.model_copy(update={"lowercase": lowercase})
    found = evaluation.validate(engine, pieces, TEXT, plan(pieces), SEARCH, settings, tokenized)
    greedy = [answer.text for answer in translate(engine, pieces, TEXT.source, Search(beam_size=1, loop_guard=False))]
    tokenizer = "none" if tokenized else "13a"
    expected = score.bleu(greedy, TEXT.target, tokenize=tokenizer, lowercase=lowercase, bootstrap=0)
    assert found.bleu == expected
    assert found.chrf == score.chrf(greedy, TEXT.target, lowercase=lowercase, bootstrap=0)
    assert f"tok:{tokenizer}" in found.bleu.signature
    assert f"case:{'lc' if lowercase else 'mixed'}" in found.bleu.signature


def test_greedy_translations_keep_to_the_recipes_limits_of_length(engine, pieces):
    limits = {"max_length_factor": 0.1, "max_length_extra": 2}
    search = SEARCH.model_copy(update=limits)
    found = evaluation.validate(
        engine, pieces, TEXT, plan(pieces), search, SETTINGS.model_copy(update={"samples": len(TEXT)}), tokenized=False
    )
    said = [sample.translation for sample in found.samples]
    assert said == [
        answer.text
        for answer in translate(engine, pieces, TEXT.source, Search(beam_size=1, loop_guard=False, **limits))
    ]
    assert said != [
        answer.text for answer in translate(engine, pieces, TEXT.source, Search(beam_size=1, loop_guard=False))
    ]


def test_nothing_helps_a_model_that_is_validated(engine, pieces):
    """Greedy translations, whatever search is told to do afterwards."""
    helped = SEARCH.model_copy(
        update={"sample": Sample(), "min_length": 9, "no_repeat_ngram": 1, "loop_guard": True, "coverage_penalty": 1.0}
    )
    found = [
        evaluation.validate(engine, pieces, TEXT, plan(pieces), search, SETTINGS, tokenized=False)
        for search in (SEARCH, helped)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(("samples", "shown"), [(3, [0, 2, 4]), (1, [0]), (0, []), (99, list(range(8)))])
def test_samples_are_spread_over_the_text(engine, pieces, samples, shown):
    settings = SETTINGS.model_copy(update={"samples": samples})
    found = evaluation.validate(engine, pieces, TEXT, plan(pieces), SEARCH, settings, tokenized=False).samples
    greedy = [answer.text for answer in translate(engine, pieces, TEXT.source, Search(beam_size=1, loop_guard=False))]
    assert found == [(TEXT.source[i], TEXT.target[i], greedy[i]) for i in shown]


@pytest.mark.parametrize("tokenized", [False, True])
def test_the_test_text_is_scored_by_the_recipes_search(engine, pieces, tokenized):
    settings = Search(loop_guard=False, beam_size=3, length_penalty=0.6)
    found = evaluation.test(engine, pieces, TEXT, settings, SETTINGS, tokenized)
    said = [answer.text for answer in translate(engine, pieces, TEXT.source, settings)]
    assert found.translations == said
    tokenizer = "none" if tokenized else "13a"
    assert found.scores == [
        score.bleu(said, TEXT.target, tokenize=tokenizer, bootstrap=100),
        score.chrf(said, TEXT.target, bootstrap=100),
    ]
    assert all(one.low is not None for one in found.scores)
    assert f"tok:{tokenizer}" in found.scores[0].signature
