"""Lines in, the same number of lines out; and no line hears of the others in its batch."""

import keras
import numpy as np
import pytest
import toy

from nmt import corpus, search
from nmt.batches import pad_source
from nmt.corpus import Corpus
from nmt.engines.keras_engine import KerasEngine
from nmt.recipe import Search
from nmt.symbols import BOS, EOS, PAD
from nmt.translation import best, length_limit, translate

LINES, _ = toy.lines(9, seed=2)
GREEDY, BEAM = Search(beam_size=1), Search(beam_size=3, length_penalty=0.6)
BLANKS = ["", "   ", "\t", "\u00a0\u200b"]


class Echo:
    """An engine that says the source again, and remembers the shapes it was asked to read."""

    def __init__(self):
        self.shapes = []

    def start(self, source, beam_size, candidates):
        self.shapes.append(source.shape)

        def expand(tokens, parents, bias, state, source):
            rows, (place,) = len(tokens), set(state[parents].tolist())
            source = np.repeat(source, beam_size, axis=0)
            said = source[:, place] if place < source.shape[1] else np.full(rows, EOS)
            others = [np.full(rows, 30 + number) for number in range(2 * beam_size - 1)]
            scores = np.tile(-0.1 - 9.0 * np.arange(2 * beam_size), (rows, 1))
            attention = np.ones((rows, 1), "float32")
            return search.Candidates(scores, np.stack([said, *others], axis=1), attention), state[parents] + 1

        return expand, np.zeros(len(source) * beam_size, int), source


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    model = toy.pieces(tmp_path_factory.mktemp("pieces"))
    return model, model


@pytest.fixture(scope="module", params=["recurrent", "parallel"])
def engine(request, pieces):
    return KerasEngine(toy.decided_model(pieces[0].size, model__flow=request.param))


# --- lines ---


@pytest.mark.parametrize("settings", [GREEDY, BEAM])
def test_every_line_comes_back_in_its_place(pieces, settings):
    lines = [BLANKS[0], *LINES[:4], *BLANKS[1:], *LINES[4:], LINES[0], ""]
    found = translate(Echo(), pieces, lines, settings.model_copy(update={"batch_sentences": 4}))
    assert [answer.text for answer in found] == [line if line.strip("\u200b \t\u00a0") else "" for line in lines]
    assert [answer.score == 0 for answer in found] == [not answer.text for answer in found]


def test_control_characters_are_blanks_as_in_training(pieces):
    """Pieces alone would drop most of them, and so join words."""
    first, second = LINES[0].split()[:2]
    separated = [f"{first}{control}{second}" for control in "\0\x01\t\x1f\x7f\x85\x9f\u2028\u2029"]
    assert corpus.clean(Corpus(separated, separated)).source == [f"{first} {second}"] * len(separated)
    assert {answer.text for answer in translate(Echo(), pieces, separated, GREEDY)} == {f"{first} {second}"}


@pytest.mark.parametrize("lines", [[], BLANKS])
def test_where_there_is_nothing_to_translate_the_engine_is_not_asked(pieces, lines):
    engine = Echo()
    assert [answer.text for answer in translate(engine, pieces, lines, GREEDY)] == [""] * len(lines)
    assert engine.shapes == []


def test_batches_are_of_alike_lengths_and_cut_by_count_and_by_size(pieces):
    """At most 3 sentences, at most 3 x 100 pieces: of 150 pieces only two fit, of 301 one (and its end)."""
    piece = pieces[0].encode("one two three four five six seven eight nine ten")
    assert len(pieces[0].encode("one")) < len(piece)
    lines, sizes = [], []
    for words in (1, 150, 301, 150, 150, 2, 1, 1):
        lines.append(" ".join(["one"] * words))
        sizes.append(len(pieces[0].encode(lines[-1])))
    a_word = sizes[0]
    assert sizes == [a_word * words for words in (1, 150, 301, 150, 150, 2, 1, 1)]
    settings = GREEDY.model_copy(update={"batch_sentences": 3 * a_word, "max_length_factor": 0.01})
    engine, done = Echo(), []
    translate(engine, pieces, ["", *lines], settings, done.append)
    limit = 3 * a_word * 100
    assert all(rows == 1 or rows * (width - 1) <= limit for rows, width in engine.shapes)
    assert engine.shapes[0][0] == 1  # the longest alone
    assert [width for _, width in engine.shapes] == sorted((width for _, width in engine.shapes), reverse=True)
    assert done == [1, *(rows for rows, _ in engine.shapes)]
    assert sum(done) == 9


def test_a_translation_may_be_so_many_times_as_long_as_its_source_and_some_more(pieces):
    settings = Search(beam_size=1, max_length_factor=1.5, max_length_extra=4)
    assert [length_limit(pieces, settings) for pieces in (1, 2, 3, 10)] == [5, 7, 8, 19]

    line = LINES[0]
    ids = pieces[0].encode(line)
    short = Search(beam_size=1, max_length_factor=0.5, max_length_extra=1)
    limit = length_limit(len(ids), short)
    assert limit < len(ids)
    for settings in (short, short.model_copy(update={"beam_size": 2})):
        ((said, _),) = best([ids], Echo(), settings)
        assert said == ids[:limit]
        assert [answer.finished for answer in translate(Echo(), pieces, [line, ""], settings)] == [False, True]
    assert translate(Echo(), pieces, [line], GREEDY)[0].finished


# --- a line hears of no other ---


@pytest.mark.parametrize("settings", [GREEDY, BEAM])
def test_a_batch_says_what_each_line_alone_would(engine, pieces, settings):
    together = translate(engine, pieces, LINES, settings)
    assert len({answer.text for answer in together}) > 4
    for line, answer in zip(LINES, together, strict=True):
        (alone,) = translate(engine, pieces, [line], settings)
        assert alone.text == answer.text
        assert alone.score == pytest.approx(answer.score, rel=1e-4)
    others = translate(engine, pieces, LINES[::-1], settings.model_copy(update={"batch_sentences": 4}))
    assert [answer.text for answer in others[::-1]] == [answer.text for answer in together]


def test_padding_changes_nothing(engine, pieces):
    sources = pieces[0].encode_lines(LINES[:3])
    limits = np.array([9, 9, 9])
    plain, wide = pad_source(sources), pad_source(sources, length=29)
    found = [search.greedy(*engine.start(source, 1, 2), limits) for source in (plain, wide)]
    np.testing.assert_array_equal(found[0].ids, found[1].ids)
    np.testing.assert_allclose(found[0].scores, found[1].scores, rtol=1e-4)


# --- scores ---


def test_greedy_is_a_beam_of_one_without_a_length_penalty(engine, pieces):
    sources = pieces[0].encode_lines(LINES)
    limits = np.array([length_limit(len(ids), GREEDY) for ids in sources])
    beam = search.beam(*engine.start(pad_source(sources), 1, 2), 1, limits, 0.0)
    for (ids, score), row, other in zip(best(sources, engine, GREEDY), beam.ids[:, 0], beam.scores[:, 0], strict=True):
        assert ids == row.tolist()
        assert score == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("settings", [GREEDY, BEAM])
def test_the_score_is_that_of_the_translation_given_as_target(engine, pieces, settings):
    """The sum of log-softmax over the pieces said, the end included, by the penalty ((5 + length) / 6) ** alpha."""
    sources = pieces[0].encode_lines(LINES)
    ended = 0
    for source, (padded, score) in zip(sources, best(sources, engine, settings), strict=True):
        ids = [piece for piece in padded if piece != PAD]
        inputs = {"source": pad_source([source]), "target_in": np.array([[BOS, *ids[:-1]]], "int32")}
        logits = np.asarray(engine.models[0](inputs), "float64")[0]
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        total = log_probabilities[np.arange(len(ids)), ids].sum()
        penalty = 1.0 if settings is GREEDY else ((5 + len(ids)) / 6) ** 0.6
        assert score == pytest.approx(total / penalty, rel=1e-4)
        ended += ids[-1] == EOS
    assert ended  # the end is among what is scored


def test_an_engine_follows_the_weights_of_its_model(engine, pieces):
    """As validation needs it, which asks the same engine before and after an update."""
    before = translate(engine, pieces, LINES, GREEDY)
    kept = [variable.numpy() for variable in engine.models[0].trainable_variables]
    keras.tree.map_structure(lambda variable: variable.assign(-variable.numpy()), engine.models[0].trainable_variables)
    assert [answer.score for answer in translate(engine, pieces, LINES, GREEDY)] != [answer.score for answer in before]
    for variable, value in zip(engine.models[0].trainable_variables, kept, strict=True):
        variable.assign(value)
    assert translate(engine, pieces, LINES, GREEDY) == before
