import bz2
import gzip
import lzma
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.corpus import (
    LONG_CHARACTERS,
    LONG_WORDS,
    Corpus,
    CorpusError,
    clean,
    describe,
    drop_empty,
    hold_out,
    read_lines,
    read_parallel,
    read_tsv,
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
    return int(re.search(r"stop agreeing near line ([\d,]+)", message)[1].replace(",", ""))


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
    assert abs(line_named(refused(tmp_path, source, target)) - 4_001) <= 40


def test_a_cut_end_is_told_from_a_hole(tmp_path):
    source, target = sentences(3_000)
    message = refused(tmp_path, source, target[:2_500])
    assert "agree to the end of the shorter file, after line 2,500" in message
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


def test_the_seed_decides():
    corpus = Corpus([f"s{i}" for i in range(100)], [f"t{i}" for i in range(100)])
    assert hold_out(corpus, 5, 5, seed=1) == hold_out(corpus, 5, 5, seed=1)
    assert hold_out(corpus, 5, 5, seed=1)[1] != hold_out(corpus, 5, 5, seed=2)[1]


def plain(line):
    """The test's own folding, for the alphabet that the property test draws from."""
    return line.lower().replace(".", "").replace(" ", "") or line


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
    for part in parts:
        rest = iter(pairs)
        assert all(pair in rest for pair in zip(part.source, part.target, strict=True))  # a subsequence
    for side in ("source", "target"):
        folded = [{plain(line) for line in getattr(part, side)} for part in parts]
        assert not folded[0] & folded[1]
        assert not folded[0] & folded[2]
        assert not folded[1] & folded[2]
        assert len(folded[1]) == development  # nor do two held-out pairs share a sentence
