"""Piece models: what is trained, and that text comes back from ids."""

import io
import json
import logging
import math
import re
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.pieces import Encoded, Pieces, PiecesError, Sampled, learn, train
from nmt.symbols import BOS, EOS, PAD, UNK

SENTENCES = [
    "the cat sits on the mat",
    "a dog runs in the park",
    "we eat bread and drink milk",
    "she reads a book",
    "he writes a letter to his mother",
]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    return train(
        SENTENCES,
        tmp_path_factory.mktemp("bytes") / "text.model",
        size=290,
        character_coverage=1.0,
        byte_fallback=True,
    )


@pytest.fixture(scope="module")
def closed_pieces(tmp_path_factory):
    """Without bytes: other characters are unknown."""
    return train(
        SENTENCES,
        tmp_path_factory.mktemp("closed") / "text.model",
        size=30,
        character_coverage=1.0,
        byte_fallback=False,
    )


def trained(path, sentences=SENTENCES, size=290, character_coverage=1.0, byte_fallback=True):
    return train(sentences, path, size=size, character_coverage=character_coverage, byte_fallback=byte_fallback)


def foreign_model(sentences=SENTENCES, **arguments):
    """A model straight from SentencePiece."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, minloglevel=2, **arguments
    )
    return model.getvalue()


def test_special_symbols_have_the_ids_of_the_toolkit(tmp_path):
    trained(tmp_path / "text.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "text.model"))
    assert [processor.id_to_piece(i) for i in (0, 1, 2, 3)] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert [processor.is_control(i) for i in range(5)] == [True, False, True, True, False]
    assert processor.is_unknown(1)


def test_same_text_gives_the_same_bytes_and_no_half_files_stay(tmp_path):
    once = trained(tmp_path / "once.model")
    again = trained(tmp_path / "again.model", iter(SENTENCES))
    assert once.serialized == again.serialized == (tmp_path / "once.model").read_bytes()
    assert (tmp_path / "once.vocab").read_bytes() == (tmp_path / "again.vocab").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.model",
        "again.vocab",
        "once.model",
        "once.vocab",
    ]


def test_vocab_lists_every_piece_with_its_log_probability(tmp_path):
    pieces = trained(tmp_path / "text.model")
    rows = [line.split("\t") for line in (tmp_path / "text.vocab").read_text("utf-8").splitlines()]
    assert [piece for piece, _ in rows] == pieces.text_of(range(pieces.size))
    assert all(float(score) < 0 for _, score in rows[4 + 256 :])


def test_size_is_met_without_a_word_where_the_text_holds_enough(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "nmt"):
        assert trained(tmp_path / "text.model", size=290).size == 290
    assert not caplog.records


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_size_is_chosen_down_to_the_largest_the_text_gives_and_said(tmp_path, caplog, byte_fallback):
    with pytest.raises(RuntimeError, match="too high") as refusal:
        foreign_model(vocab_size=8000, byte_fallback=byte_fallback, pad_id=0, unk_id=1, bos_id=2, eos_id=3)
    largest = int(re.search(r"<= (\d+)", str(refusal.value))[1])
    with caplog.at_level(logging.INFO, "nmt"):
        pieces = trained(tmp_path / "text.model", size=8000, byte_fallback=byte_fallback)
    assert pieces.size == largest
    assert f"gives {largest} pieces, not the 8000 asked for" in caplog.text


@pytest.mark.parametrize(("byte_fallback", "needed"), [(False, 4 + 3), (True, 4 + 256 + 3)])
def test_size_below_the_characters_is_refused(tmp_path, byte_fallback, needed):
    sentences = ["ab ba", "b a"]  # the characters ▁, a, b
    with pytest.raises(PiecesError, match=f"size {needed - 1} is too small: .* need {needed} pieces; raise size"):
        trained(tmp_path / "text.model", sentences, size=needed - 1, byte_fallback=byte_fallback)
    assert not list(tmp_path.iterdir())
    assert trained(tmp_path / "text.model", sentences, size=needed, byte_fallback=byte_fallback).size == needed


@pytest.mark.parametrize("sentences", [[], ["", "  ", "\t"]])
def test_no_text_is_refused(tmp_path, sentences):
    with pytest.raises(PiecesError, match="no text to train pieces from"):
        trained(tmp_path / "text.model", sentences)


def test_other_refusals_of_sentencepiece_are_passed_on(tmp_path):
    with pytest.raises(PiecesError, match=r"cannot train 290 pieces from 5 sentences.*character_coverage"):
        trained(tmp_path / "text.model", character_coverage=1.5)


def test_name_must_end_in_model(tmp_path):
    with pytest.raises(PiecesError, match=r"ends in \.model, as in text\.model"):
        trained(tmp_path / "text.spm")


def test_error_while_reading_the_text_stays_itself(tmp_path):
    def reading():
        yield "one line"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        trained(tmp_path / "text.model", reading())


def test_long_lines_are_not_lost(tmp_path):
    pieces = trained(tmp_path / "text.model", [*SENTENCES, "word " * 10_000 + "☃"], size=300)
    assert "☃" in pieces.text_of(range(pieces.size))


def test_load_gives_the_trained_model(tmp_path):
    pieces = trained(tmp_path / "text.model")
    loaded = Pieces.load(tmp_path / "text.model")
    assert loaded.serialized == pieces.serialized
    assert loaded.size == pieces.size
    assert loaded.encode("the cat reads") == pieces.encode("the cat reads")


@pytest.mark.parametrize("kept", [slice(0), slice(1000), slice(-1)])
def test_load_refuses_a_file_that_is_empty_or_cut_short(tmp_path, pieces, kept):
    (tmp_path / "text.model").write_bytes(pieces.serialized[kept])
    with pytest.raises(PiecesError, match=r"text\.model: not a SentencePiece model \(\d+ bytes\)"):
        Pieces.load(tmp_path / "text.model")


def test_load_refuses_a_missing_file(tmp_path):
    with pytest.raises(PiecesError, match=r"none\.model: cannot read the piece model: No such file"):
        Pieces.load(tmp_path / "none.model")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, r"begins with <unk> <s> </s> \S+ \(ids: pad -1, unk 0, bos 1, eos 2"),
        ({"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "pad_piece": "[PAD]"}, r"begins with \[PAD\] <unk> <s>"),
    ],
    ids=["SentencePiece's own ids", "another name"],
)
def test_load_refuses_other_special_symbols(tmp_path, arguments, found):
    (tmp_path / "text.model").write_bytes(foreign_model(vocab_size=30, **arguments))
    with pytest.raises(PiecesError, match=found) as refusal:
        Pieces.load(tmp_path / "text.model")
    assert "expected <pad> <unk> <s> </s>" in str(refusal.value)
    assert "--pad_id=0 --unk_id=1 --bos_id=2 --eos_id=3" in str(refusal.value)


def test_encode_adds_no_symbols_and_lines_equal_one_by_one(pieces):
    lines = [*SENTENCES, "", "☃ and 😀"]
    rows = pieces.encode_lines(lines)
    assert rows == [pieces.encode(line) for line in lines]
    assert rows[5] == []
    assert all(EOS < i < pieces.size for row in rows for i in row)
    assert pieces.decode_lines(rows) == lines
    assert pieces.encode_lines([]) == pieces.decode_lines([]) == []


def test_encoded_lines_are_encoded_when_they_are_asked_for(pieces, monkeypatch):
    lines = [*SENTENCES, "", "☃ and 😀"]
    rows = pieces.encode_lines(lines)
    monkeypatch.setattr("nmt.pieces._COUNTED_AT_ONCE", 3)
    encoded = Encoded(pieces, lines)
    assert encoded.lengths.tolist() == list(map(len, rows))
    assert encoded.lengths.dtype == "int32"
    assert len(encoded) == 7
    assert list(encoded) == rows
    assert encoded[2:4] == rows[2:4]
    assert encoded.take(np.array([6, 0, 0])) == [rows[6], rows[0], rows[0]]
    known = Encoded(pieces, lines, np.array([9] * 7))  # they are not counted again
    assert known.lengths.tolist() == [9] * 7


def test_symbols_written_in_the_text_are_text(pieces):
    line = "<s> the </s> cat <pad> <unk>"
    ids = pieces.encode(line)
    assert min(ids) > EOS
    assert pieces.decode(ids) == line


def test_decode_stops_at_eos_and_passes_over_pad_and_bos(pieces):
    the_cat, dog = pieces.encode("the cat"), pieces.encode("dog")
    assert pieces.decode([BOS, *the_cat, EOS, *dog, EOS, PAD]) == "the cat"
    assert pieces.decode([*the_cat, PAD, PAD]) == "the cat"
    assert pieces.decode([EOS, *dog]) == pieces.decode([PAD]) == pieces.decode([]) == ""
    assert pieces.decode_lines([[*dog, EOS, *dog], [*the_cat, PAD]]) == ["dog", "the cat"]


def test_decode_gives_one_line_whatever_the_ids(pieces):
    everything = [i for i in range(pieces.size) if i != EOS]
    assert "\n" not in pieces.decode(everything)
    assert "\r" not in pieces.decode(everything)
    newline = pieces.text_of(range(pieces.size)).index("<0x0A>")
    assert pieces.decode([*pieces.encode("a dog"), newline, *pieces.encode("runs")]) == "a dog  runs"


def test_text_of_names_every_id(pieces):
    shown = pieces.text_of([BOS, *pieces.encode("the cat ☃"), EOS, PAD, UNK])
    assert shown[0] == "<s>"
    assert shown[-3:] == ["</s>", "<pad>", "<unk>"]
    assert "".join(shown[1:-3]) == "▁the▁cat▁<0xE2><0x98><0x83>"  # ☃ is E2 98 83 in UTF-8


def test_unknown_characters_survive_as_bytes_or_are_unknown(pieces, closed_pieces):
    assert UNK not in pieces.encode("the ☃")
    assert pieces.decode(pieces.encode("the ☃")) == "the ☃"
    assert UNK in closed_pieces.encode("the ☃")
    assert closed_pieces.decode(closed_pieces.encode("the ☃")) == "the  ⁇ "


@pytest.mark.parametrize(
    ("line", "normalised"),
    [
        ("  two   blanks ", "two blanks"),
        ("a\tb\nc\r\nd\u2028e\u2029f\u00a0g\u3000h", "a b c d e f g h"),
        ("zero\u200bwidth \u200c\ufeff", "zero width"),
        ("con\x07trol", "control"),
        ("a\0b", "a\0b"),
        ("ﬁve ２ m²", "five 2 m2"),
        ("e\u0301", "é"),
        ("▁a", "a"),
        ("bad \ud800 half", "bad ? half"),
    ],
)
def test_text_comes_back_normalised(pieces, line, normalised):
    assert pieces.decode(pieces.encode(line)) == normalised


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_any_text_comes_back_normalised(pieces, line):
    normaliser = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
    expected = normaliser.normalize(line).replace("▁", " ").removeprefix(" ")
    assert pieces.decode(pieces.encode(line)) == expected


# --- sampled segmentations ---


def segmentations(text, scores):
    """Every way to write ``text`` in pieces, by hand: a first piece, and every way to write the rest."""
    if not text:
        return [()]
    firsts = [piece for piece in scores if text.startswith(piece)]
    return [(first, *rest) for first in firsts for rest in segmentations(text[len(first) :], scores)]


@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0])
def test_a_segmentation_comes_as_often_as_its_probability_to_the_power_alpha(closed_pieces, alpha):
    names = closed_pieces.text_of(range(4, closed_pieces.size))
    processor = sentencepiece.SentencePieceProcessor(model_proto=closed_pieces.serialized)
    scores = {name: processor.get_score(processor.piece_to_id(name)) for name in names}
    all_of_them = segmentations("▁the▁mat", scores)
    assert len(all_of_them) >= 8
    weights = [math.exp(alpha * sum(scores[piece] for piece in found)) for found in all_of_them]

    draws, sampler = 20_000, closed_pieces.sampler(alpha)
    plain = closed_pieces.encode("the mat")
    found = Counter(tuple(closed_pieces.text_of(sampler.sample(plain, seed))) for seed in range(draws))
    assert set(found) <= set(all_of_them)
    expected = [draws * weight / sum(weights) for weight in weights]
    # What is expected fewer than five times counts together, as chi-square wants it.
    observed = [found[one] for one in all_of_them]
    common = [number for number, count in enumerate(expected) if count >= 5]
    rare = draws - sum(expected[number] for number in common), draws - sum(observed[number] for number in common)
    chi_square = sum((observed[n] - expected[n]) ** 2 / expected[n] for n in common)
    chi_square += (rare[1] - rare[0]) ** 2 / rare[0] if rare[0] > 1 else 0
    degrees = len(common)
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees)  # mean and deviation; four of them is one in 10,000 or so


def test_draws_are_like_those_of_sentencepiece(pieces):
    """Of a whole sentence, with bytes: how often each piece is drawn."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces.serialized)
    line, draws = "she reads a ☃ book to his mother", 5000
    sampler, plain = pieces.sampler(0.3), pieces.encode(line)
    ours = sum((Counter(sampler.sample(plain, seed)) for seed in range(draws)), Counter())
    theirs = sum((Counter(processor.sample_encode_as_ids(line, -1, 0.3)) for _ in range(draws)), Counter())
    for piece in {*ours, *theirs}:
        assert ours[piece] / draws == pytest.approx(theirs[piece] / draws, abs=0.06)  # 5 deviations of a difference


def test_pieces_that_go_on_beyond_a_blank_are_drawn_too():
    """A model of another maker, whose pieces hold whole phrases."""
    words = ["the cat sits"] * 20 + ["the dog sits"] * 20 + SENTENCES
    found = Pieces(
        foreign_model(sentences=words, vocab_size=38, split_by_whitespace=False, pad_id=0, unk_id=1, bos_id=2, eos_id=3)
    )
    plain = found.encode("the cat sits")
    drawn = {tuple(found.text_of(found.sampler(0.2).sample(plain, seed))) for seed in range(200)}
    assert {"".join(one) for one in drawn} == {"▁the▁cat▁sits"}
    assert any("▁" in piece[1:] for one in drawn for piece in one)
    assert any(not any("▁" in piece[1:] for piece in one) for one in drawn)


@given(st.text(max_size=40), st.sampled_from([0.01, 0.1, 0.5]), st.integers(0, 2**63))
@settings(deadline=None, max_examples=200)
def test_any_sampled_text_comes_back_as_the_plain_one(pieces, line, alpha, seed):
    plain = pieces.encode(line)
    assert pieces.decode(pieces.sampler(alpha).sample(plain, seed)) == pieces.decode(plain)


def sampled(pieces, alpha=0.1, seed=(7, 0), longest=1000):
    return Sampled(Encoded(pieces, SENTENCES * 8), alpha, seed, longest)


def test_every_epoch_and_every_seed_segments_anew_and_lines_alike_are_not_segmented_alike(pieces):
    numbers = np.arange(40)
    first = sampled(pieces).epoch(0).take(numbers)
    assert len({tuple(row) for row in first[::5]}) > 4  # the same sentence eight times
    for other in (
        sampled(pieces).epoch(1),
        sampled(pieces, seed=(8, 0)).epoch(0),
        sampled(pieces, seed=(7, 1)).epoch(0),
    ):
        assert sum(one != another for one, another in zip(first, other.take(numbers), strict=True)) > 30


def test_the_smaller_alpha_the_longer_is_the_text(pieces):
    lengths = [sampled(pieces, alpha).epoch(0).lengths.sum() for alpha in (0.02, 0.1, 0.5)]
    plain = Encoded(pieces, SENTENCES * 8).lengths.sum()
    assert lengths[0] > lengths[1] > lengths[2] > plain


def test_lengths_are_those_of_what_is_taken(pieces, monkeypatch):
    monkeypatch.setattr("nmt.pieces._COUNTED_AT_ONCE", 7)
    drawn = sampled(pieces).epoch(3)
    assert drawn.lengths.dtype == np.dtype("int32")
    assert drawn.lengths.tolist() == list(map(len, drawn.take(np.arange(40))))


def test_a_segmentation_that_is_too_long_gives_way_to_the_plain_one(pieces):
    plain, free = Encoded(pieces, SENTENCES * 8), sampled(pieces, 0.01).epoch(0)
    longest = int(plain.lengths.max())
    drawn = sampled(pieces, 0.01, longest=longest).epoch(0)
    for number, row in enumerate(free.take(np.arange(40))):
        assert drawn.take([number]) == [row if len(row) <= longest else plain[number]]
    assert drawn.lengths.max() <= longest
    assert 0 < (drawn.lengths != free.lengths).sum() < 40


PROGRAM = """
import json, sys
from nmt.pieces import Encoded, Pieces, Sampled
pieces, lines = Pieces(bytes.fromhex(sys.stdin.readline())), json.loads(sys.stdin.readline())
drawn = Sampled(Encoded(pieces, lines), 0.1, (7, 0), 1000).epoch(2)
print(json.dumps([drawn.take([number])[0] for number in reversed(range(40))][::-1]))
"""


def test_a_segmentation_is_the_same_in_any_order_thread_and_process(pieces):
    numbers = np.arange(40)
    expected = sampled(pieces).epoch(2).take(numbers)

    # In other orders, from one text in two threads, while a third one draws other epochs of it.
    found, stop, text = {}, threading.Event(), sampled(pieces)

    def disturb():
        while not stop.is_set():
            text.epoch(3)
            text.epoch(4)

    def draw(name, order):
        for _ in range(20):
            drawn = text.epoch(2)
            found.setdefault(name, []).append([row for _, row in sorted(zip(order, drawn.take(order), strict=True))])

    orders = {"backwards": numbers[::-1], "shuffled": np.random.default_rng(1).permutation(40)}
    threads = [threading.Thread(target=draw, args=item) for item in orders.items()]
    disturbing = threading.Thread(target=disturb)
    for thread in (disturbing, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    disturbing.join()
    assert found == {name: [expected] * 20 for name in orders}

    told = f"{pieces.serialized.hex()}\n{json.dumps(SENTENCES * 8)}\n"
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=told, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


# --- symbols ---


@pytest.fixture(scope="module", params=[SENTENCES, [*SENTENCES, "< > B T BT x<y <B"]], ids=["foreign", "known"])
def tagged(request):
    """Pieces with two symbols, whose characters are foreign to the text or pieces of their own."""
    return learn(request.param, size=310, character_coverage=1.0, byte_fallback=True, symbols=["<BT>", "#2"])


def test_symbols_are_one_piece_at_the_start_of_a_line_and_anywhere(tagged):
    plain = tagged.encode("the cat runs")
    shown = tagged.text_of(tagged.encode("<BT> the cat runs"))
    assert shown[:2] == ["▁", "<BT>"]  # SentencePiece's blank
    assert shown[2:] == tagged.text_of(plain)
    assert tagged.text_of(tagged.encode("the<BT>#2cat")).count("<BT>") == 1
    assert tagged.decode(tagged.encode("<BT> the cat #2")) == "<BT> the cat #2"


def test_the_tokenizer_of_the_export_knows_symbols(tagged):
    tensorflow_text = pytest.importorskip("tensorflow_text")
    lines = ["<BT> the cat runs", "the<BT>#2cat", "#2"]
    found = tensorflow_text.SentencepieceTokenizer(model=tagged.serialized).tokenize(lines).to_list()
    assert found == tagged.encode_lines(lines)


@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_symbols_are_never_split_by_chance_either(tagged, alpha):
    sampler, plain = tagged.sampler(alpha), tagged.encode("<BT> the cat<BT> runs #2")
    rows = [sampler.sample(plain, seed) for seed in range(500)]
    assert len(set(map(tuple, rows))) > 5
    for row in rows:
        shown = tagged.text_of(row)
        assert shown[:2] == ["▁", "<BT>"]
        assert (shown.count("<BT>"), shown.count("#2")) == (2, 1)
        assert tagged.decode(row) == "<BT> the cat<BT> runs #2"


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ([""], "'' cannot be a symbol: a symbol is one word without white space"),
        (["<a>", "<b c>"], "'<b c>' cannot be a symbol: a symbol is one word without white space"),
        (["\u3000"], "cannot be a symbol: a symbol is one word without white space"),
        (["</s>"], "'</s>' cannot be a symbol: <pad>, <unk>, <s>, </s> are symbols already"),
        (["<a>", "<b>", "<a>"], "'<a>' cannot be a symbol: it is there twice; received .*; change it or leave it out"),
    ],
)
def test_what_cannot_be_a_symbol_is_refused(symbols, message):
    with pytest.raises(ValueError, match=message):
        learn(SENTENCES, size=290, character_coverage=1.0, byte_fallback=True, symbols=symbols)
