"""Lines in, the same number of lines out; and no line hears of the others in its batch."""

import itertools
import re

import keras
import numpy as np
import pytest
import toy

from nmt import alignment, corpus, search, translation
from nmt.batches import pad_source
from nmt.constraints import Constraints
from nmt.corpus import Corpus
from nmt.engines.keras_engine import KerasEngine
from nmt.loops import loops
from nmt.paragraphs import Joiner, Paragraph
from nmt.pieces import learn
from nmt.recipe import Sample, Search
from nmt.symbols import BOS, EOS, PAD, UNK
from nmt.translation import Hypothesis, best, length_limit, score, translate

LINES, _ = toy.lines(9, seed=2)
# A model of random weights runs in circles, which the guard would see.
GREEDY = Search(beam_size=1, loop_guard=False)
BEAM = Search(beam_size=3, length_penalty=0.6, loop_guard=False)
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
        [[(said, *_)]] = best([ids], Echo(), settings)
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


# --- more than one, and of a certain form ---

LONG = BEAM.model_copy(update={"beam_size": 4, "max_length_factor": 1.0, "max_length_extra": 9, "batch_sentences": 4})


def test_the_next_best_come_behind_the_best(engine, pieces):
    found = translate(engine, pieces, [*LINES, " "], LONG, n_best=3)
    assert [one._replace(alternatives=()) for one in found] == translate(engine, pieces, [*LINES, " "], LONG)
    assert found[-1].alternatives == ()  # of a blank line there is one
    for one in found[:-1]:
        ranked = [one, *one.alternatives]
        assert 1 <= len(ranked) <= 3
        assert [other.score for other in ranked] == sorted((other.score for other in ranked), reverse=True)
        assert not any(other.alternatives for other in one.alternatives)
    assert max(len(one.alternatives) for one in found) == 2


def test_words_are_linked_by_the_attention_that_teacher_forcing_gives(engine, pieces):
    """The links of a translation, against the attention of the model that is given it as target."""
    sources = pieces[0].encode_lines(LINES)
    linked = translate(engine, pieces, LINES, LONG, align=True)
    for one, line, source, (found,) in zip(linked, LINES, sources, best(sources, engine, LONG), strict=True):
        target = [piece for piece in found.ids if piece != EOS]
        said = ["▁⁇▁" if piece == UNK else text for piece, text in zip(target, pieces[1].text_of(target), strict=True)]
        words = alignment.words(said)
        _, attention = score(engine, [source], [target])
        model = engine.models[0]
        memory = model.encode(pad_source([source]))
        state, tokens = model.initial_state(memory), np.array([BOS])
        for place, piece in enumerate(target):
            _, state, paid = model.step(tokens, state, memory)
            np.testing.assert_allclose(attention[0, place], np.asarray(paid)[0], atol=1e-5)
            tokens = np.array([piece])
        table = alignment.soft(pieces[0].text_of(source), said, attention[0])
        assert one.alignment == tuple(alignment.hard(table))
        assert [link[1] for link in one.alignment] == list(range(len(words)))
        assert {link[0] for link in one.alignment} <= set(range(len(line.split())))


def test_given_translations_are_scored_as_the_model_scores_them(engine, pieces):
    sources = [pieces[0].encode(line) for line in ("one two", "seven seven nine", "ten")]
    targets = [pieces[1].encode(line) for line in ("zwei eins", "neun", "")]
    log_probabilities, attention = score(engine, sources, targets)
    inputs = {
        "source": pad_source(sources),
        "target_in": np.array([[BOS, *ids] for ids in pad_source(targets)[:, :-1].tolist()]),
    }
    logits = np.asarray(engine.models[0](inputs), "float64")
    expected = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    for row, ids in enumerate(targets):
        wanted = [*ids, EOS]
        np.testing.assert_allclose(
            log_probabilities[row, : len(wanted)], expected[row, np.arange(len(wanted)), wanted], atol=1e-4
        )
        assert not log_probabilities[row, len(wanted) :].any()
        np.testing.assert_allclose(attention[row, : len(wanted)].sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_translation_begins_as_it_is_told(engine, pieces, beam_size):
    prefixes = ["", "zwei dr", "eins ", "acht", "drei zehn "]
    lines = LINES[: len(prefixes)]
    settings = LONG.model_copy(update={"beam_size": beam_size})
    found = translate(engine, pieces, lines, settings, prefixes=prefixes)
    for one, prefix in zip(found, prefixes, strict=True):
        assert f"{one.text} ".startswith(prefix)
        assert prefix.endswith(" ") <= (len(one.text) >= len(prefix) or not one.finished or one.text == prefix.strip())
    assert found[0].text == translate(engine, pieces, lines[:1], settings)[0].text


def test_samples_depend_on_the_seed_and_on_nothing_else(engine, pieces):
    def samples(seed, lines=LINES, batch=4):
        drawn = LONG.model_copy(update={"sample": Sample(temperature=1.5, seed=seed), "batch_sentences": batch})
        found = translate(engine, pieces, lines, drawn, n_best=3)
        return [[one.text, *(other.text for other in one.alternatives)] for one in found]

    first = samples(1)
    assert samples(1, LINES[::-1], batch=3)[::-1] == first
    assert samples(2) != first
    assert all(len(set(texts)) > 1 for texts in first if len(texts[0]) > 12)
    best_piece = LONG.model_copy(update={"sample": Sample(top_k=1)})
    assert [one.text for one in translate(engine, pieces, LINES, best_piece)] == [
        one.text for one in translate(engine, pieces, LINES, LONG.model_copy(update={"beam_size": 1}))
    ]


def test_lengths_and_repetitions_are_as_the_settings_say(engine, pieces):
    sources = pieces[0].encode_lines(LINES)
    plain = [found[0].ids for found in translation_of(engine, sources, pieces, LONG)]
    longer = LONG.model_copy(update={"min_length": 6})
    assert min(map(len, plain)) < 6
    assert min(len(found[0].ids) for found in translation_of(engine, sources, pieces, longer)) >= 6
    once = LONG.model_copy(update={"no_repeat_ngram": 2})

    def repeats(rows):
        pairs = [list(itertools.pairwise([piece for piece in ids if piece not in (EOS, PAD)])) for ids in rows]
        return sum(len(found) - len(set(found)) for found in pairs)

    assert repeats(plain) > 0
    assert repeats(found[0].ids for found in translation_of(engine, sources, pieces, once)) == 0


def translation_of(engine, sources, pieces, settings):
    rules = Constraints(pieces[1], [""] * len(sources), settings.min_length, settings.no_repeat_ngram)
    return best(sources, engine, settings, rules)


def test_what_cannot_be_asked_is_told(engine, pieces):
    with pytest.raises(ValueError, match="the 5 best translations need a beam of as many; received a beam of 4"):
        translate(engine, pieces, LINES, LONG, n_best=5)
    with pytest.raises(ValueError, match="expected a prefix for each of 1 lines, received 2"):
        translate(engine, pieces, ["one"], LONG, prefixes=["a", "b"])
    with pytest.raises(
        ValueError, match=r"the prefix 'eins ß€' cannot be spelt with the model's pieces, which lack ß €; "
    ):
        translate(engine, pieces, ["one"], LONG, prefixes=["eins ß€"])


# --- scores ---


def test_greedy_is_a_beam_of_one_without_a_length_penalty(engine, pieces):
    sources = pieces[0].encode_lines(LINES)
    limits = np.array([length_limit(len(ids), GREEDY) for ids in sources])
    beam = search.beam(*engine.start(pad_source(sources), 1, 2), 1, limits, 0.0)
    for [(ids, found, _)], row, other in zip(
        best(sources, engine, GREEDY), beam.ids[:, 0], beam.scores[:, 0], strict=True
    ):
        assert ids == [piece for piece in row.tolist() if piece != PAD]
        assert found == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("settings", [GREEDY, BEAM])
def test_the_score_is_that_of_the_translation_given_as_target(engine, pieces, settings):
    """The sum of log-softmax over the pieces said, the end included, by the penalty ((5 + length) / 6) ** alpha."""
    sources = pieces[0].encode_lines(LINES)
    ended = 0
    for source, [(padded, found, log_probability)] in zip(sources, best(sources, engine, settings), strict=True):
        ids = [piece for piece in padded if piece != PAD]
        inputs = {"source": pad_source([source]), "target_in": np.array([[BOS, *ids[:-1]]], "int32")}
        logits = np.asarray(engine.models[0](inputs), "float64")[0]
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        total = log_probabilities[np.arange(len(ids)), ids].sum()
        penalty = 1.0 if settings is GREEDY else ((5 + len(ids)) / 6) ** 0.6
        assert found == pytest.approx(total / penalty, rel=1e-4)
        assert log_probability == pytest.approx(total, rel=1e-4)
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


# --- masks and tags ---


@pytest.fixture(scope="module")
def masked():
    """Pieces with masks and a tag."""
    source, target = toy.lines(60)
    symbols = ["<BT>", "⟦mark1⟧", "⟦mark2⟧", "⟦number1⟧"]
    text = [*source, *target, "< > { } ="]
    model = learn(text, size=60, character_coverage=1.0, byte_fallback=False, symbols=symbols)
    return model, model


@pytest.fixture(scope="module", params=["recurrent", "parallel"])
def masked_engine(request, masked):
    return KerasEngine(toy.decided_model(masked[0].size, model__flow=request.param))


@pytest.mark.parametrize("settings", [GREEDY, BEAM])
def test_what_a_mask_stands_for_comes_back(masked, settings):
    lines = ["one %s two", "{b} three {a}", "", "https://a.example/?x=1 and 1984!", "{{ user name }} one"]
    echo = Echo()
    found = translate(echo, masked, lines, settings)
    assert [one.text for one in found[:3]] == lines[:3]
    assert found[3].text.startswith("https://a.example/?x=1 ")
    assert " 1984" in found[3].text
    assert found[4].text == lines[4]
    assert max(width for _, width in echo.shapes) < 20  # an address is one piece


def test_of_a_beam_that_is_best_which_keeps_the_masks(masked):
    """The engine likes best what lacks the mask, and then what has it twice."""
    word, mask = masked[1].encode("eins")[-1], masked[1].encode("⟦mark1⟧")[-1]
    assert masked[1].text_of([mask]) == ["⟦mark1⟧"]
    paths = {(word, EOS): -1.0, (mask, mask, EOS): -2.0, (mask, EOS): -3.0, (word, word, EOS): -4.0}

    class Told:
        size = masked[1].size

        def start(self, source, beam_size, candidates):
            def expand(tokens, parents, bias, state, memory):
                said = [
                    (*state[parent], token) if token != BOS else ()
                    for parent, token in zip(parents, tokens, strict=True)
                ]
                scores = np.full((len(tokens), self.size), -50.0)
                for row, begun in enumerate(said):
                    for path, sure in paths.items():
                        if path[: len(begun)] == begun and len(path) > len(begun):
                            after = path[len(begun)]
                            scores[row, after] = max(scores[row, after], 0.0 if begun else sure)
                order = np.argsort(-scores, axis=1, kind="stable")[:, :candidates]
                taken = np.take_along_axis(scores, order, axis=1)
                return search.Candidates(taken, order, np.ones((len(tokens), 1), "float32")), said

            return expand, [()] * (len(source) * beam_size), None

    settings = Search(beam_size=4, loop_guard=False, length_penalty=0.0)
    (one, other) = translate(Told(), masked, ["two {x}", "two"], settings, n_best=4)
    assert one.text == "{x}"
    assert other.text == "eins"
    (greedy,) = translate(Told(), masked, ["two {x}"], GREEDY)
    assert greedy.text == "eins"  # the translator puts it back


def test_a_translation_that_begins_with_marks_begins_as_it_is_told(masked, masked_engine):
    prefixes = ["{b} zw", "{b} und {a}"]
    lines = ["one {a} two {b}", "three {a} four {b}"]
    for one, prefix in zip(translate(masked_engine, masked, lines, LONG, prefixes=prefixes), prefixes, strict=True):
        assert one.text.startswith(prefix)


@pytest.mark.parametrize(
    ("line", "said", "text", "words"),
    [
        # Each word of the translation, and that of what is said which it comes from.
        ("one %s two", "⟦mark1⟧ eins", "%s eins", [0, 1]),
        ("one {{ a b }} two", "eins ⟦mark1⟧ zwei", "eins {{ a b }} zwei", [0, 1, 1, 1, 1, 2]),
        ("one two", "eins ⟦number1⟧ zwei", "eins zwei", [0, 2]),  # of nothing in the source
        ("one %s two", "eins ⟦mark1⟧ ⟦mark2⟧ zwei", "eins %s zwei", [0, 1, 3]),
        (
            "one {{ x }} two",
            "eins ⟦mark2⟧ zwei ⟦mark2⟧",
            "eins {{ x }} zwei",
            [0, 1, 1, 1, 2],
        ),  # the one that is lacking
    ],
)
def test_alignments_count_the_words_of_what_masks_stand_for(masked, monkeypatch, line, said, text, words):
    ids = masked[1].encode(said)
    hypothesis = Hypothesis([*ids, EOS], -1.0, -1.0)
    monkeypatch.setattr(translation, "best", lambda sources, *_: [[hypothesis] for _ in sources])
    spoken = alignment.words(masked[1].text_of(ids))
    source = alignment.words(masked[0].text_of(masked[0].encode(masked[0].masks.masked(line).line)))
    paid = np.random.default_rng(1).dirichlet(np.ones(len(source)), len(spoken))
    monkeypatch.setattr(alignment, "soft", lambda *_: paid)
    monkeypatch.setattr(translation, "score", lambda engine, sources, targets: (None, [None] * len(sources)))
    (found,) = translate(None, masked, [line], GREEDY, align=True, attention=True)
    assert found.text == text
    assert len(words) == len(text.split())
    parts = [len(word.split()) for word in re.findall(r"\{\{.*?\}\}|\S+", line)]
    expected = [np.repeat(paid[word] / parts, parts) for word in words]
    np.testing.assert_allclose(found.attention, expected, atol=1e-9)
    assert [other for _, other in found.alignment] == list(range(len(words)))
    # Put together with another sentence, it is as wide and as high as they are.
    paragraph = Paragraph([line, line], ["", " ", ""], False)
    together = Joiner(masked[0], "en", "de").joined(paragraph, [found, found], 1, False)
    assert np.shape(together.attention) == (2 * len(words), 2 * sum(parts))


def test_given_translations_are_masked_as_their_sources(masked, masked_engine):
    """A number that is not in the source is spelt, and is not the one that is."""
    sources = ["one 1984 two 2001", "one 1984"]
    targets = ["eins 2001", "eins 1984"]
    found = translation.score_pairs(masked_engine, masked, sources, targets, LONG)
    by_hand = [("one ⟦number1⟧ two 2001", "eins 2001"), ("one ⟦number1⟧", "eins ⟦number1⟧")]
    for (total, _), (source, target) in zip(found, by_hand, strict=True):
        log_probabilities, _ = score(masked_engine, [masked[0].encode(source)], [masked[1].encode(target)])
        assert total == pytest.approx(log_probabilities.sum(), rel=1e-5)
    explained = translation.explain(masked_engine, masked, "one 1984 two", "zwei 1984 1985")
    assert (explained.source, explained.target[:2]) == (["one", "1984", "two"], ["zwei", "1984"])


def test_attention_is_that_of_what_masks_stand_for(masked, masked_engine):
    """A mask is one word, what it stands for is four here: each has a fourth of what was paid to the mask."""
    wide, narrow = "one {{ a b }} two", "one {x} two"
    (one,), (other,) = (
        translate(masked_engine, masked, [line], LONG, align=True, attention=True) for line in (wide, narrow)
    )
    for found, line in ((one, wide), (other, narrow)):
        assert np.shape(found.attention) == (len(found.text.split()), len(line.split()))
        np.testing.assert_allclose(np.sum(found.attention, axis=1), 1, atol=1e-6)
    rows = [
        row
        for row, word in zip(other.attention, other.text.split(), strict=True)
        for _ in range(4 if "{x}" in word else 1)
    ]
    assert len(rows) == len(one.attention)
    for row, expected in zip(one.attention, rows, strict=True):
        first, mask, last = expected
        np.testing.assert_allclose(row, [first, *[mask / 4] * 4, last], atol=1e-6)


def test_a_tag_is_read_and_counts_as_no_word(masked, masked_engine):
    lines = ["one two", "", "three %s"]
    told = translate(Echo(), masked, lines, GREEDY, tag="<BT>")
    assert [one.text for one in told] == ["<BT> one two", "", "<BT> three %s"]
    found = translate(masked_engine, masked, lines, LONG, align=True, attention=True, tag="<BT>")
    by_hand = translate(
        masked_engine, masked, [f"<BT> {line}" * bool(line) for line in lines], LONG, align=True, attention=True
    )
    for one, other, line in zip(found, by_hand, lines, strict=True):
        assert (one.text, one.score) == (other.text, other.score)
        if line:
            rest = np.array(other.attention)[:, 1:]
            np.testing.assert_allclose(one.attention, rest / rest.sum(axis=1, keepdims=True), atol=1e-6)
            assert {link[0] for link in one.alignment} <= set(range(len(line.split())))
    assert found[0].text != translate(masked_engine, masked, lines, LONG)[0].text


# --- circles ---


class Circling:
    """An engine that says A B A B … whatever the source, unless that is forbidden, and then C and the end."""

    size = 40

    def start(self, source, beam_size, candidates):
        first, second, other = 10, 11, 12

        def expand(tokens, parents, bias, state, memory):
            scores = np.full((len(tokens), self.size), -20.0)
            scores[:, EOS], scores[:, other] = -3.0, -2.0
            for row, token in enumerate(tokens):
                scores[row, second if token == first else first] = -0.1
                if token == other:
                    scores[row, EOS] = -0.05
            scores += 0 if bias is None else bias
            order = np.argsort(-scores, axis=1, kind="stable")[:, :candidates]
            attention = np.ones((len(tokens), 1), "float32")
            return search.Candidates(np.take_along_axis(scores, order, axis=1), order, attention), state

        return expand, None, None


def test_a_circle_gives_way_to_what_does_not_run_in_one(pieces):
    guarded = Search(beam_size=1, max_length_factor=1.0, max_length_extra=8)
    lines = ["one two", "three"]
    (plain, _), (found, _) = (
        translate(Circling(), pieces, lines, settings)
        for settings in (guarded.model_copy(update={"loop_guard": False}), guarded)
    )
    first, second = pieces[1].text_of([10, 11])
    assert plain.text.count((first + second).replace("▁", " ").strip()) >= 3
    assert not plain.looped
    assert found.looped
    assert found.finished
    assert len(found.text) < len(plain.text)

    # A beam has others at hand, which come first; what circles stays behind them.
    (one, _) = translate(Circling(), pieces, lines, guarded.model_copy(update={"beam_size": 4}), n_best=4)
    assert not loops(pieces[0].encode("one two"), pieces[1].encode(one.text))


def test_the_guard_changes_nothing_where_nothing_circles(engine, pieces):
    guarded = LONG.model_copy(update={"loop_guard": True})
    plain = translate(engine, pieces, LINES, LONG)
    found = translate(engine, pieces, LINES, guarded)
    sources = pieces[0].encode_lines(LINES)
    straight = [
        place
        for place, (source, (one, *_)) in enumerate(zip(sources, best(sources, engine, LONG), strict=True))
        if not loops(source, one.ids)
    ]
    assert [found[place].text for place in straight] == [plain[place].text for place in straight]
    assert [place for place, one in enumerate(found) if not one.looped] == straight
