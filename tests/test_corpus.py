import bz2
import errno
import gzip
import lzma
import os
import random
import re
import tempfile
import threading
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmt import corpus as room
from nmt.corpus import (
    LONG_CHARACTERS,
    LONG_WORDS,
    Corpus,
    CorpusError,
    clean,
    describe,
    drop_empty,
    drop_related,
    hold_out,
    read_lines,
    read_parallel,
    read_tsv,
    sample,
)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- read_lines


@pytest.mark.parametrize(
    ("ending", "compress"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_lines_are_read_plain_and_compressed(tmp_path, ending, compress):
    path = write(tmp_path / f"train.de{ending}", compress("Grüße\n\nzwei\n".encode()))
    assert read_lines(path) == ["Grüße", "", "zwei"]
    assert read_lines(str(path)) == ["Grüße", "", "zwei"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a\nb", ["a", "b"]),  # no newline at the end
        ("a\r\nb\r\n", ["a", "b"]),
        ("\ufeffa\nb\n", ["a", "b"]),  # byte-order mark
        ("a\n\ufeffb\n", ["a", "\ufeffb"]),  # only at the start is it a mark
        ("\n", [""]),
        ("a\u2028b\x85c\x0bd\x0ce\rf\x1cg\u2029h\n", ["a\u2028b\x85c\x0bd\x0ce\rf\x1cg\u2029h"]),
    ],
)
def test_a_line_ends_at_newline_only(tmp_path, content, lines):
    assert read_lines(write(tmp_path / "text", content)) == lines


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "text is empty"),
        (b"one\ntwo\nGr\xfc\xdfe\nfour\n", "text, line 3: byte 0xfc is not valid UTF-8"),
        ("one\n".encode("utf-16"), "text, line 1: byte 0xff"),
        (b"a\n\xed\xa0\x80\n", "line 2"),  # a surrogate written as UTF-8
        (b"a\n\xe2\x82", "line 2: byte 0xe2"),  # cut inside the last character
    ],
)
def test_what_is_not_text_is_refused(tmp_path, content, fragment):
    with pytest.raises(CorpusError, match=fragment):
        read_lines(write(tmp_path / "text", content))


@pytest.mark.parametrize(
    ("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_broken_compression_is_refused(tmp_path, ending, compress):
    whole = compress(b"one\ntwo\n" * 100)
    damaged = whole[:12] + b"\xff" * 8 + whole[20:]
    for content in (whole[: len(whole) // 2], damaged, b"plain text\n"):
        with pytest.raises(CorpusError, match=f"text{ending} cannot be read"):
            read_lines(write(tmp_path / f"text{ending}", content))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="cannot be read"):
        read_lines(tmp_path)


def test_a_missing_file_names_the_nearest(tmp_path):
    write(tmp_path / "train.en.gz", b"x")
    write(tmp_path / "val.en", b"x")
    with pytest.raises(CorpusError, match=r"trian.en does not exist: did you mean .*/train\.en\.gz\?"):
        read_lines(tmp_path / "trian.en")
    with pytest.raises(CorpusError, match=r"there is no folder .*nowhere"):
        read_lines(tmp_path / "nowhere" / "train.en")
    with pytest.raises(CorpusError, match=r"qqqq does not exist$"):
        read_lines(tmp_path / "qqqq")


# --- Lines: text that stays on disk


def python_lines(content):
    """What the lines of a file are, said in the simplest way, for text that fits into memory."""
    text = content.decode().removeprefix("\ufeff")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


@pytest.fixture(params=[1, 3, 40, 1 << 22])
def chunks(request, monkeypatch):
    """However many bytes are read at a time."""
    monkeypatch.setattr(room, "_CHUNK", request.param)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab\n\r\t\x00\x0b\x85\u2028\ufeffü€😀"), min_size=1, max_size=30),
    st.sampled_from([("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]),
)
def test_lines_are_those_that_python_reads(tmp_path, chunks, text, packing):
    ending, compress = packing
    expected = python_lines(text.encode())
    lines = read_lines(write(tmp_path / f"text{ending}", compress(text.encode())))
    assert list(lines) == expected
    assert [lines[number] for number in range(len(lines))] == expected
    assert [lines[number - len(lines)] for number in range(len(lines))] == expected
    cleaned = clean(Corpus(lines, lines))
    assert list(cleaned.source) == [re.sub(room.CONTROL, " ", line) for line in expected]
    assert cleaned.notes == clean(Corpus(expected, expected)).notes
    assert Corpus(lines, lines).checksum() == Corpus(expected, expected).checksum()


@pytest.mark.parametrize("bad", [b"\xfc", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_the_bad_line_is_named_wherever_the_chunks_end(tmp_path, chunks, bad):
    with pytest.raises(CorpusError, match=f"text, line 3: byte 0x{bad[0]:02x} is not valid UTF-8"):
        read_lines(write(tmp_path / "text", "ü\n€\n".encode() + bad + b"\nfour\n"))


def test_lines_are_picked_like_those_of_a_list(tmp_path, chunks):
    listed = [f"line {i} " + "x" * (i % 7) for i in range(50)]
    lines = read_lines(write(tmp_path / "text", "\n".join(listed)))
    assert lines == listed
    assert listed == lines
    assert lines != listed[:-1]
    assert lines != [*listed[:-1], "x"]
    assert lines[3:40:4] == listed[3:40:4]
    for numbers in ([], [0, 49], [49, 0, 7, 7], list(range(0, 50, 9))):
        assert lines.pick(np.array(numbers, "int64")) == [listed[number] for number in numbers]
    assert (lines.starts.dtype, lines.sizes.dtype) == ("int64", "int32")
    with pytest.raises(IndexError):
        lines[50]


def test_what_is_read_once_only_is_copied(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo\n",))
    writing.start()
    lines = read_lines(pipe)
    writing.join()
    assert list(lines) == list(lines) == ["one", "two"]


def test_a_file_that_is_cut_short_meanwhile_is_told_of(tmp_path):
    path = write(tmp_path / "text", "one\ntwo\nthree\n")
    lines = read_lines(path)
    path.write_text("one\n")
    assert lines[0] == "one"
    with pytest.raises(CorpusError, match=r"text has been cut short since it was opened: restore it"):
        lines[2]


def test_no_room_to_decompress_says_where_it_was_looked_for(tmp_path, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(CorpusError, match=r"No space left on device; its text does not fit into .*TMPDIR"):
        read_lines(write(tmp_path / "text.gz", gzip.compress(b"one\n")))


def test_text_is_never_in_memory(tmp_path, monkeypatch):
    """16 MB, looked through by everything that looks through all of a text, never take a quarter of it."""
    lines = [f"{i} {'word ' * 800}" for i in range(2000)]
    paths = (
        write(tmp_path / "text", "\n".join(lines)),
        write(tmp_path / "text.gz", gzip.compress("\n".join(lines).encode())),
    )
    table = write(tmp_path / "text.tsv", "\n".join(f"{line}\t{line}" for line in lines))
    assert table.stat().st_size > 16e6
    del lines
    monkeypatch.setattr(room, "_CHUNK", 1 << 18)
    tracemalloc.start()
    try:
        for corpus in (read_parallel(*paths), read_tsv(table)):
            for part in hold_out(drop_empty(clean(corpus)), 5, 5, seed=1):
                part.checksum()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4e6


def test_a_sample_is_evenly_spaced_and_of_about_the_size_that_is_asked_for(tmp_path):
    listed = [f"{i:04}" for i in range(1000)]
    lines = read_lines(write(tmp_path / "text", "\n".join(listed)))
    for text in (listed, lines):
        assert sample([text, ["a", "b"]], 4002) == [*listed, "a", "b"]  # all, where that is no more
        assert sample([text], 400) == listed[::10]
        both = sample([text, text], 2000)
        assert both == [*listed[::4], *listed[::4]]
        assert sample([text], 1) == ["0000"]


# --- read_parallel, read_tsv


def test_parallel_files_become_pairs(tmp_path):
    corpus = read_parallel(write(tmp_path / "en", "one\ntwo\n"), write(tmp_path / "de", "eins\r\nzwei"))
    assert (corpus.source, corpus.target, len(corpus)) == (["one", "two"], ["eins", "zwei"], 2)


def sentences(count):
    """Lines whose translation is a fifth longer, give or take a little, as in real text."""
    rng = random.Random(7)
    lengths = [rng.randint(10, 120) for _ in range(count)]
    source = [f"{i} " + "s" * length for i, length in enumerate(lengths, start=1)]
    return source, [f"{i} " + "t" * int(n * rng.gauss(1.2, 0.1)) for i, n in enumerate(lengths, start=1)]


def refused(tmp_path, source, target):
    """The message with which two files of these lines are refused."""
    paths = write(tmp_path / "en", "\n".join(source)), write(tmp_path / "de", "\n".join(target))
    with pytest.raises(CorpusError, match="line i of one must translate line i") as caught:
        read_parallel(*paths)
    return str(caught.value)


def line_named(message):
    return int(re.search(r"Near line ([\d,]+) \d+ lines? (is|are) missing", message)[1].replace(",", ""))


@pytest.mark.parametrize("gone", [1, 12_345, 40_000, 79_000])
@pytest.mark.parametrize("side", ["source", "target"])
def test_one_missing_line_of_80_000_is_found(tmp_path, gone, side):
    source, target = sentences(80_000)
    del (source if side == "source" else target)[gone - 1]
    message = refused(tmp_path, source, target)
    assert "80,000" in message
    assert "79,999" in message
    assert abs(line_named(message) - gone) <= 40


def test_the_first_of_several_missing_lines_is_found(tmp_path):
    source, target = sentences(20_000)
    del target[15_000], target[9_000], source[4_000]  # from 9,000 to 15,000 the files happen to be aligned again
    message = refused(tmp_path, source, target)
    assert abs(line_named(message) - 4_000) <= 40
    assert re.findall(r"(\d+) lines? (?:is|are) missing in the (\w+)", message) == [
        ("1", "source"), ("1", "target"), ("1", "target")
    ]  # fmt: skip


def test_a_cut_end_is_told_from_a_hole(tmp_path):
    source, target = sentences(3_000)
    message = refused(tmp_path, source, target[:2_500])
    assert "lines agree to the end of the shorter file, after line 2,500" in message
    assert "2,501  '2501 " in message
    assert "(no line)" in message
    message = refused(tmp_path, ["same"] * 9, ["same"] * 8)  # lengths that say nothing accuse nothing
    assert "after line 8:" in message


def test_a_drift_shows_both_sides_shortened(tmp_path):
    message = refused(tmp_path, ["a" * 99, "b", "c"], ["A" * 99, "B"])
    assert f"1  '{'a' * 50}…'  |  '{'A' * 50}…'" in message
    assert "3  'c'  |  (no line)" in message


def test_tsv_uses_the_first_two_columns(tmp_path):
    corpus = read_tsv(write(tmp_path / "pairs.tsv", "one\teins\nHi.\tHallo!\tCC-BY\n\tleer\n"))
    assert (corpus.source, corpus.target) == (["one", "Hi.", ""], ["eins", "Hallo!", "leer"])


def test_a_blank_tsv_row_is_a_pair_of_empty_sides(tmp_path):
    corpus = read_tsv(write(tmp_path / "pairs.tsv", "one\teins\n\ntwo\tzwei\n \r\n\n\t\n\n"))
    assert list(zip(corpus.source, corpus.target, strict=True)) == [
        ("one", "eins"), ("", ""), ("two", "zwei"), ("", ""), ("", ""), ("", ""), ("", ""),
    ]  # fmt: skip
    kept = drop_empty(clean(corpus))
    assert (kept.source, kept.target) == (["one", "two"], ["eins", "zwei"])
    assert kept.notes == Counter(empty=5)
    assert len(read_tsv(write(tmp_path / "pairs.tsv", "one\teins\n\n"))) == 2


def test_a_tsv_row_of_one_column_is_refused(tmp_path):
    path = write(tmp_path / "pairs.tsv", "one\teins\ntwo zwei\n")
    with pytest.raises(CorpusError, match=r"pairs.tsv, line 2: .*received one column: 'two zwei'"):
        read_tsv(path)


# --- Corpus, clean, drop_empty


def test_sides_of_different_length_are_refused():
    with pytest.raises(CorpusError, match="2 source lines and 1 target lines"):
        Corpus(["a", "b"], ["A"])


def test_the_checksum_is_of_the_lines_in_order():
    # printf 'a\nb\nA\nB\n' | sha256sum
    assert Corpus(["a", "b"], ["A", "B"]).checksum().startswith("a5664a687ad6f7ba")
    different = [Corpus(["a", "b"], ["A", "B"]), Corpus(["b", "a"], ["A", "B"]), Corpus(["a"], ["b"]), Corpus([], [])]
    assert len({corpus.checksum() for corpus in different}) == 4
    assert Corpus(["a"], ["b"], Counter(empty=3)).checksum() == Corpus(["a"], ["b"]).checksum()


def test_clean_keeps_every_pair():
    raw = Corpus(["a\x00b", "c\u2028d\x85e", "", "fine"], ["A\tB", "C", "D", "F\u00a0!"])
    cleaned = clean(raw)
    assert cleaned.source == ["a b", "c d e", "", "fine"]
    assert cleaned.target == ["A B", "C", "D", "F\u00a0!"]  # a no-break space is no control character
    assert cleaned.notes == Counter(control=3)


@pytest.mark.parametrize(
    ("line", "long"),
    [
        ("w " * LONG_WORDS, 0),
        ("w " * LONG_WORDS + "w", 1),
        ("x" * LONG_CHARACTERS, 0),
        ("x" * LONG_CHARACTERS + "x", 1),
    ],
)
def test_long_lines_are_kept_and_counted_once_a_pair(line, long):
    assert clean(Corpus([line], [line])).notes["long"] == long
    assert clean(Corpus(["short"], [line])).source == ["short"]


def test_pairs_with_an_empty_side_are_dropped():
    corpus = drop_empty(clean(Corpus(["a", "", "c", "\x00", "e"], ["A", "B", " \u00a0", "D", "E"])))
    assert (corpus.source, corpus.target) == (["a", "e"], ["A", "E"])
    assert corpus.notes == Counter(control=1, empty=3)


def test_notes_are_put_into_words():
    assert describe(Counter()) == []
    lines = describe(Counter(empty=1234, control=1, long=2, related=3))
    assert len(lines) == 4
    assert "pairs with an empty side, dropped: 1,234" in lines


# --- hold_out


def test_held_out_pairs_share_no_sentence_with_train():
    #            0 ─ 1 by source, 1 ─ 2 by target: one component of three; 3, 4, 5 stand alone
    source = ["Hello!", "hello", "Good day.", "Cat", "Dog", "?"]
    target = ["Hallo", "Guten Tag!", "guten tag", "Katze", "Hund", "!"]
    train, development, test = hold_out(Corpus(source, target, Counter(empty=2)), 2, 1, seed=3)
    assert train.source == ["Hello!", "hello", "Good day."]
    assert sorted(development.target + test.target) == ["!", "Hund", "Katze"]
    assert train.notes == Counter(empty=2)


def test_what_is_linked_to_a_held_out_pair_is_dropped():
    train, development, test = hold_out(Corpus(["a", "A!", "b", "b", "b"], ["1", "2", "3", "4", "5"]), 0, 1, seed=0)
    assert train.source == ["b", "b", "b"]
    assert (len(development), len(test)) == (0, 1)
    assert test.source in (["a"], ["A!"])
    assert train.notes == Counter(related=1)


def test_nothing_left_to_train_on_is_refused():
    corpus = Corpus(["a", "a", "b", "c"], ["1", "2", "3", "4"])
    with pytest.raises(
        CorpusError, match=r"hold out 2 \+ 1 pairs: the corpus has 4 pairs in 3 groups .* Hold out fewer"
    ):
        hold_out(corpus, 2, 1, seed=0)
    assert [len(part) for part in hold_out(corpus, 1, 1, seed=0)] == [2, 1, 1]
    with pytest.raises(CorpusError, match="sizes start at 0"):
        hold_out(corpus, -1, 1, seed=0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Straße!", "STRASSE", True),
        ("ﬁne", "fi ne", True),
        ("e\u0301t\u00e9", "ÉTÉ…", True),
        ("東京。", "東京", True),
        ("a_b", "ab", True),
        ("?!", "!?", False),
        ("", " ", False),
        ("1", "２", False),
        ("ab", "ba", False),
    ],
)
def test_sentences_are_told_apart_by_letters_and_digits_alone(one, other, same):
    assert (room.key(one) == room.key(other)) == same


def test_the_pairs_that_are_held_out_are_the_same_for_ever():
    """Of a text of these 200 pairs; a run of an earlier version goes on only with the same ones."""
    source = [f"s{i * i % 151}" for i in range(200)]
    _, development, test = hold_out(Corpus(source, [f"t{i}" for i in range(200)]), 3, 2, seed=1)
    assert (development.target, test.target) == (["t56", "t85", "t93"], ["t65", "t87"])


def test_the_seed_decides():
    corpus = Corpus([f"s{i}" for i in range(100)], [f"t{i}" for i in range(100)])
    assert hold_out(corpus, 5, 5, seed=1) == hold_out(corpus, 5, 5, seed=1)
    assert hold_out(corpus, 5, 5, seed=1)[1] != hold_out(corpus, 5, 5, seed=2)[1]


def plain(line):
    """The test's own folding, for the alphabet that the property test draws from."""
    return line.lower().replace(".", "").replace(" ", "") or line


def split_by_lists(pairs, development, test, seed):
    """Which pairs are held out, by their numbers, and which are dropped, with lists and sets of whole sentences."""
    groups = []
    for number, (source, target) in enumerate(pairs):
        joined = ({number}, {("source", plain(source)), ("target", plain(target))})
        apart = [group for group in groups if not group[1] & joined[1]]
        touched = [group for group in groups if group[1] & joined[1]]
        groups = [*apart, tuple(mine.union(*(group[k] for group in touched)) for k, mine in enumerate(joined))]
    components = sorted(sorted(numbers) for numbers, _ in groups)
    generator = random.Random(seed)
    generator.shuffle(components)
    components.sort(key=len)
    chosen = [generator.choice(component) for component in components[: development + test]]
    kept = sorted(number for component in components[development + test :] for number in component)
    return kept, sorted(chosen[:development]), sorted(chosen[development:])


def count_components(pairs):
    """Independent of union-find: merge sets of (side, sentence) until nothing overlaps."""
    merged = []
    for source, target in pairs:
        joined = {("source", plain(source)), ("target", plain(target))}
        apart = [other for other in merged if not other & joined]
        merged = [*apart, joined.union(*(other for other in merged if other & joined))]
    return len(merged)


sides = st.text("aAbcde. ", max_size=2)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(sides, sides), max_size=30), st.integers(0, 4), st.integers(0, 4), st.integers(0, 9))
def test_hold_out_never_leaks(pairs, development, test, seed):
    corpus = Corpus([source for source, _ in pairs], [target for _, target in pairs])
    if development + test >= count_components(pairs):
        with pytest.raises(CorpusError, match="cannot hold out"):
            hold_out(corpus, development, test, seed)
        return
    parts = hold_out(corpus, development, test, seed)
    assert [len(parts[1]), len(parts[2])] == [development, test]
    assert len(parts[0]) > 0
    assert sum(map(len, parts)) + parts[0].notes["related"] == len(pairs)
    for part, numbers in zip(parts, split_by_lists(pairs, development, test, seed), strict=True):
        assert list(zip(part.source, part.target, strict=True)) == [pairs[number] for number in numbers]
    for part in parts:
        rest = iter(pairs)
        assert all(pair in rest for pair in zip(part.source, part.target, strict=True))  # a subsequence
    for side in ("source", "target"):
        folded = [{plain(line) for line in getattr(part, side)} for part in parts]
        assert not folded[0] & folded[1]
        assert not folded[0] & folded[2]
        assert not folded[1] & folded[2]
        assert len(folded[1]) == development  # nor do two held-out pairs share a sentence


def test_joined_texts_are_one():
    texts = [["a", "b"], [], ["c"], ["d", "e", "f"]]
    joined, flat = room.Joined(texts), list("abcdef")
    assert list(joined) == [joined[i] for i in range(6)] == flat
    assert (len(joined), joined[-1], joined[-6], joined[1:5:2]) == (6, "f", "a", ["b", "d"])
    with pytest.raises(IndexError):
        joined[6]


def test_what_is_related_to_held_out_text_is_dropped_whatever_tag_it_has():
    mixed = Corpus(["<BT> A man sleeps.", "<BT> two dogs", "a cat", "<b>bold", "sleeps"], ["1", "2", "3", "4", "5"])
    kept = drop_related(mixed, [Corpus(["a man sleeps", "b bold"], ["x", "5!"])])
    assert list(kept.source) == ["<BT> two dogs", "a cat"]
    assert kept.notes["related"] == 3
