"""A recipe drafted from somebody's own text: what it decides, and what it refuses."""

import gzip
import random

import pytest

from nmt import draft, experiment, pieces, recipe
from nmt.corpus import Corpus, CorpusError

CONSONANTS, VOWELS = "bcdfghjklmnprstw", "aeiou"


def sentences(count, seed=1, script=str, end="."):
    """Different made-up sentences of 3 to 9 words."""
    generator = random.Random(seed)

    def word():
        return "".join(generator.choice(letters) for letters in (CONSONANTS, VOWELS) * generator.randint(1, 3))

    return [script(" ".join(word() for _ in range(generator.randint(3, 9)))) + end for _ in range(count)]


def cyrillic(line):
    return line.translate({ord(letter): chr(0x430 + i) for i, letter in enumerate(CONSONANTS + VOWELS)})


@pytest.fixture
def files(tmp_path):
    """Writes two aligned files and returns their names."""

    def write(source, target, names=("mine.en", "mine.de")):
        for name, lines in zip(names, (source, target), strict=True):
            (tmp_path / name).write_text("".join(line + "\n" for line in lines), "utf-8")
        return [str(tmp_path / name) for name in names]

    return write


def test_a_draft_is_a_recipe_that_reads_back(files, tmp_path):
    names = files(sentences(200, 1), sentences(200, 2))
    drafted = draft.draft(*names)
    path = tmp_path / "mine.yaml"
    path.write_text(str(drafted), "utf-8")
    assert recipe.read(path) == drafted.recipe
    data = drafted.recipe.data
    assert (data.source_language, data.target_language) == ("en", "de")
    assert (data.train.source, data.train.target) == tuple(names)
    assert (data.development, data.test) == (10, 10)  # a twentieth each
    texts = experiment.read_texts(data)
    assert {name: len(part) for name, part in texts.parts().items()} == {"train": 180, "development": 10, "test": 10}


def test_every_setting_is_written_with_its_meaning(files):
    text = str(draft.draft(*files(sentences(200, 1), sentences(200, 2))))
    for line in recipe.reference().splitlines():
        if line.lstrip().startswith("#"):
            # The three forms of the held-out texts are gone: here they are numbers.
            assert line in text or "source" in line or "target" in line or "tab-separated" in line


def test_the_reasons_stand_above_the_recipe(files):
    drafted = draft.draft(*files(sentences(200, 1), sentences(200, 2)))
    assert any("180 pairs that are left to train on" in reason for reason in drafted.reasons)
    assert any("below some 10,000" in reason for reason in drafted.reasons)
    assert str(drafted).splitlines()[: len(drafted.reasons)] == [f"# {reason}" for reason in drafted.reasons]


@pytest.mark.parametrize(
    ("pairs", "held_out"),
    [(50, 2), (9_999, 499), (10_000, 500), (99_999, 500), (100_000, 1000), (5_000_000, 1000)],
)
def test_how_many_pairs_are_held_out(pairs, held_out):
    assert draft._held_out(pairs) == held_out


def test_more_text_gets_a_larger_model_and_less_dropout(files, monkeypatch):
    small = draft.draft(*files(sentences(300, 1), sentences(300, 2)))

    def many(data):
        text = Corpus(["a b c d e f"] * 150_000, ["g h i j k l"] * 150_000)
        return experiment.Texts(text, text, text, {})

    monkeypatch.setattr(draft.experiment, "read_texts", many)
    monkeypatch.setattr(draft, "_target_pieces", lambda text, settings: 8 * len(text))
    large = draft.draft(*files(sentences(300, 1), sentences(300, 2)))
    assert (small.recipe.model.embedding_units, large.recipe.model.embedding_units) == (128, 256)
    for drafted in (small, large):
        assert drafted.recipe.model.flow == "parallel"
        assert (drafted.recipe.model.encoder_layers, drafted.recipe.model.decoder_layers) == (2, 2)
        assert any(reason.startswith("model: two layers on either side") for reason in drafted.reasons)
    assert (small.recipe.pieces.size, large.recipe.pieces.size) == (1000, 8000)
    assert small.recipe.model.dropout.readout > large.recipe.model.dropout.readout
    # 1,200,000 pieces, 30 times, in batches of 4,000
    assert large.recipe.training.batch_tokens == 4000
    assert large.recipe.training.updates == 9000
    assert not any("below some" in reason for reason in large.reasons)


@pytest.mark.parametrize("script", [str, cyrillic], ids=["joint", "apart"])
def test_the_text_is_seen_as_often_as_is_said(files, tmp_path, caplog, script):
    """Held against what training does: pieces of all the text, and the length of its batch plan."""
    drafted = draft.draft(*files(sentences(700, 1), sentences(700, 2, script)))
    text, settings = experiment.read_texts(drafted.recipe.data).train, drafted.recipe.pieces
    assert settings.joint == (script is str)
    assert "pieces, not the" not in caplog.text  # that is training's to tell
    trained = pieces.train(
        [*text.source, *text.target] if settings.joint else text.target,
        tmp_path / "pieces.model",
        size=settings.size,
        character_coverage=settings.character_coverage,
        byte_fallback=settings.byte_fallback,
    )
    in_all = sum(len(ids) + 1 for ids in trained.encode_lines(text.target))
    training = drafted.recipe.training
    epochs = training.updates * training.batch_tokens / in_all
    assert 60 <= epochs < 60 + 100 * training.batch_tokens / in_all  # updates are rounded up to hundreds
    assert any(f"about {epochs:.0f} times through the text" in reason for reason in drafted.reasons)


def test_of_much_text_a_sample_is_measured(files, monkeypatch):
    generator = random.Random(1)
    words = " ".join(sentences(80, end="")).split()
    lines = [" ".join(generator.choices(words, k=generator.randint(3, 9))) for _ in range(6000)]
    text = Corpus(lines[:3000], lines[3000:])
    settings = recipe.Pieces(size=1000)
    in_all = draft._target_pieces(text, settings)
    monkeypatch.setattr(draft, "SAMPLE_PAIRS", 700)
    learn, given = pieces.learn, []

    def spied(sentences, **options):
        given.extend(sentences)
        return learn(sentences, **options)

    monkeypatch.setattr(pieces, "learn", spied)
    assert draft._target_pieces(text, settings) == pytest.approx(in_all, rel=0.05)
    assert len(given) == 2 * 700
    assert given[:2] == [text.source[0], text.source[4]]  # from the whole of it


def test_text_that_needs_fewer_pieces_than_drafted_warns_of_nothing(files, caplog):
    draft.draft(*files(sentences(60, 1), sentences(60, 2)))
    assert caplog.text == ""


def test_the_sizes_grow_with_the_text():
    limits = [size.pairs for size in draft._SIZES]
    assert limits == sorted(limits)
    for smaller, larger in zip(draft._SIZES, draft._SIZES[1:], strict=False):
        assert smaller.pieces <= larger.pieces
        assert smaller.units <= larger.units
        assert smaller.batch_tokens <= larger.batch_tokens
        assert smaller.readout_dropout >= larger.readout_dropout


def test_tiny_text_still_fills_batches(files):
    drafted = draft.draft(*files(sentences(60, 1), sentences(60, 2)))
    text = experiment.read_texts(drafted.recipe.data).train
    assert 20 * drafted.recipe.training.batch_tokens <= draft._target_pieces(text, drafted.recipe.pieces)


def test_languages_that_share_letters_share_pieces(files):
    alike = draft.draft(*files(sentences(100, 1), sentences(100, 2))).recipe
    assert alike.pieces.joint
    assert alike.model.tying == "three_way"
    other = draft.draft(*files(sentences(100, 1), sentences(100, 2, cyrillic), ("a.en", "a.ru"))).recipe
    assert not other.pieces.joint
    assert other.model.tying == "output"


def test_a_script_without_blanks_and_with_many_characters(files):
    generator = random.Random(3)
    target = ["".join(chr(0x4E00 + generator.randrange(900)) for _ in range(20)) + "。" for _ in range(400)]
    drafted = draft.draft(*files(sentences(400, 1), target, ("a.en", "a.ja"))).recipe
    assert drafted.pieces.character_coverage == 0.9995
    assert drafted.pieces.size >= 2 * len(set("".join(target)))  # so that pieces of several characters find room


def test_tokenized_text_is_said_to_be(files):
    tokenized = draft.draft(*files(sentences(100, 1, end=" ."), sentences(100, 2, end=" .")))
    assert tokenized.recipe.data.tokenized
    assert any("tok:none" in reason for reason in tokenized.reasons)
    assert not draft.draft(*files(sentences(100, 1), sentences(100, 2))).recipe.data.tokenized


@pytest.mark.parametrize(
    ("names", "languages"),
    [
        (("corpus.en", "corpus.de"), ("en", "de")),
        (("train.tok.en.gz", "train.tok.de.gz"), ("en", "de")),
        (("news_en.txt", "news_deu.txt"), ("en", "deu")),
        (("europarl.de-en.en", "europarl.de-en.de"), ("en", "de")),
    ],
)
def test_languages_are_guessed_from_two_names(names, languages):
    assert draft._languages(*names, None, None) == languages


def test_languages_are_guessed_from_a_tsv_or_said():
    assert draft._languages("data/tatoeba.en-de.tsv", None, None, None) == ("en", "de")
    assert draft._languages("pairs.tsv", None, "en", "de") == ("en", "de")
    assert draft._languages("a.en", "a.de", None, "gsw") == ("en", "gsw")


def test_languages_that_no_name_tells_are_asked_for():
    with pytest.raises(CorpusError, match=r"left.txt does not tell the source language; say it: --source-language xx"):
        draft._languages("left.txt", "right.de", None, None)
    with pytest.raises(CorpusError, match=r"pairs.tsv does not tell the target language.*--target-language"):
        draft._languages("pairs.tsv", None, "en", None)


def test_one_tsv_file_compressed(tmp_path):
    path = tmp_path / "pairs.en-de.tsv.gz"
    rows = zip(sentences(100, 1), sentences(100, 2), strict=True)
    path.write_bytes(gzip.compress("".join(f"{a}\t{b}\n" for a, b in rows).encode()))
    drafted = draft.draft(str(path)).recipe
    assert drafted.data.train.tsv == str(path)
    assert len(experiment.read_texts(drafted.data).train) == 90


def test_a_document_of_two_languages(tmp_path):
    path = tmp_path / "memory.en-de.csv"
    rows = zip(sentences(100, 1), sentences(100, 2), strict=True)
    path.write_text("en;de\n" + "".join(f"{a};{b}\n" for a, b in rows))
    drafted = draft.draft(str(path)).recipe
    assert (drafted.data.train.file, drafted.data.source_language, drafted.data.target_language) == (
        str(path),
        "en",
        "de",
    )
    assert len(experiment.read_texts(drafted.data).train) == 90


@pytest.mark.parametrize(
    ("name", "rows", "columns", "written"),
    [
        ("mine.csv", ("n,Text,Übersetzung", "1,{},{}"), ("text", "Übersetzung"), ["text", "Übersetzung"]),
        ("mine.csv.gz", ("n,Text,Übersetzung", "1,{},{}"), ("Text", "3"), ["Text", 3]),
        ("mine.tsv", ("1\tsource\ttarget", "1\t{}\t{}"), ("2", "3"), [2, 3]),
        ("mine.jsonl", (None, '{{"t": {{"a": "{}"}}, "b": "{}"}}'), ("t.a", "b"), ["t.a", "b"]),
    ],
)
def test_columns_are_named(tmp_path, name, rows, columns, written):
    path = tmp_path / name
    head, row = rows
    pairs = [*zip(sentences(100, 1), sentences(100, 2), strict=True)]
    content = "".join(f"{line}\n" for line in [*([head] if head else []), *(row.format(*pair) for pair in pairs)])
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    drafted = draft.draft(str(path), None, "en", "de", columns)
    assert (drafted.recipe.data.train.file, drafted.recipe.data.train.columns) == (str(path), written)
    (tmp_path / "mine.yaml").write_text(str(drafted), "utf-8")
    texts = experiment.read_texts(recipe.read(tmp_path / "mine.yaml").data)
    found = {pair for part in texts.parts().values() for pair in zip(part.source, part.target, strict=True)}
    assert found == set(pairs)


@pytest.mark.parametrize("names", [("a.en", "a.de"), ("a.tmx", None), ("a.en-de", None), ("a.csv", "b.csv")])
def test_columns_are_of_a_table(names):
    with pytest.raises(
        CorpusError, match=r"columns 1 and 2 of a\..*: expected one table or JSON Lines file .*leave out"
    ):
        draft.draft(*names, "en", "de", ("1", "2"))


def test_what_training_refuses_is_refused(files, tmp_path):
    with pytest.raises(CorpusError, match=r"mine.en has 100 lines and .*mine.de has 99"):
        draft.draft(*files(sentences(100, 1), sentences(99, 2)))
    with pytest.raises(CorpusError, match=r"mine.en has 49 pairs: too few .* 50 are the least"):
        draft.draft(*files(sentences(49, 1), sentences(49, 2)))
    files(sentences(100, 1), sentences(100, 2))
    with pytest.raises(CorpusError, match=r"mine.dee does not exist: did you mean .*mine.de\?"):
        draft.draft(str(tmp_path / "mine.en"), str(tmp_path / "mine.dee"), "en", "de")
    names = files(sentences(100, 1), sentences(100, 2))
    with open(names[1], "ab") as file:
        file.write(b"caf\xe9\n")
    with pytest.raises(CorpusError, match="line 101: byte 0xe9 is not valid UTF-8"):
        draft.draft(*names)
    with pytest.raises(CorpusError, match=r"cannot hold out 5 \+ 5 pairs"):
        draft.draft(*files(["one sentence"] * 100, sentences(100, 2)))
