"""The demo corpus and the reverse task: correct by hand, remade byte for byte, without leaks."""

import hashlib
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA / "demo"))  # the grammar is no package: its files find each other beside them
grammar = importlib.import_module("grammar")
lexicon = importlib.import_module("lexicon")
patterns = importlib.import_module("patterns")
sys.path.pop(0)

A, BARE, BE, HAVE, THE = grammar.A, grammar.BARE, grammar.BE, grammar.HAVE, grammar.THE
Clause, NounPhrase, Phrase = grammar.Clause, grammar.NounPhrase, grammar.Phrase
VERBS = lexicon.VERBS
ME, YOU, HE, SHE, WE, THEY = (lexicon.PRONOUNS[word] for word in ("I", "you", "he", "she", "we", "they"))
ANNA = lexicon.NAMES[0]
YESTERDAY, TOMORROW, EVERY_DAY = lexicon.GONE[0], lexicon.COMING[0], lexicon.REPEATED[0]
SMALL, NEW, TIRED = Phrase("small", "klein"), Phrase("new", "neu"), Phrase("tired", "müde")

CORPORA = {"demo": ("en", "de"), "reverse": ("source", "target")}
SPLITS = ("train", "development", "test")


def noun(word, determiner=THE, adjective=None, plural=False):
    return NounPhrase(lexicon.EVERY_NOUN[word], determiner, adjective, plural)


def lines(corpus, split, side):
    text = (DATA / corpus / f"{split}.{side}").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


# --- The language, by hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phrase", "nominative", "accusative", "dative"),
    [
        (noun("table"), "der Tisch", "den Tisch", "dem Tisch"),
        (noun("lamp"), "die Lampe", "die Lampe", "der Lampe"),
        (noun("house"), "das Haus", "das Haus", "dem Haus"),
        (noun("house", plural=True), "die Häuser", "die Häuser", "den Häusern"),
        (noun("table", A), "ein Tisch", "einen Tisch", "einem Tisch"),
        (noun("lamp", A), "eine Lampe", "eine Lampe", "einer Lampe"),
        (noun("house", A), "ein Haus", "ein Haus", "einem Haus"),
        (noun("table", THE, NEW), "der neue Tisch", "den neuen Tisch", "dem neuen Tisch"),
        (noun("lamp", THE, NEW), "die neue Lampe", "die neue Lampe", "der neuen Lampe"),
        (noun("house", THE, NEW), "das neue Haus", "das neue Haus", "dem neuen Haus"),
        (noun("lamp", THE, NEW, True), "die neuen Lampen", "die neuen Lampen", "den neuen Lampen"),
        (noun("table", A, NEW), "ein neuer Tisch", "einen neuen Tisch", "einem neuen Tisch"),
        (noun("lamp", A, NEW), "eine neue Lampe", "eine neue Lampe", "einer neuen Lampe"),
        (noun("house", A, NEW), "ein neues Haus", "ein neues Haus", "einem neuen Haus"),
        (noun("table", lexicon.OUR, NEW, True), "unsere neuen Tische", "unsere neuen Tische", "unseren neuen Tischen"),
        (noun("table", BARE, NEW, True), "neue Tische", "neue Tische", "neuen Tischen"),
        (noun("juice", BARE, SMALL), "kleiner Saft", "kleinen Saft", "kleinem Saft"),
        (noun("soup", BARE, SMALL), "kleine Suppe", "kleine Suppe", "kleiner Suppe"),
        (noun("bread", BARE, SMALL), "kleines Brot", "kleines Brot", "kleinem Brot"),
        (noun("boy"), "der Junge", "den Jungen", "dem Jungen"),
        (noun("neighbour", lexicon.MY), "mein Nachbar", "meinen Nachbarn", "meinem Nachbarn"),
        (noun("car", plural=True), "die Autos", "die Autos", "den Autos"),
        (noun("boy", THE, TIRED, True), "die müden Jungen", "die müden Jungen", "den müden Jungen"),
    ],
)
def test_noun_phrase_in_every_case(phrase, nominative, accusative, dative):
    assert [phrase.german(case) for case in grammar.CASES] == [nominative, accusative, dative]


@pytest.mark.parametrize(
    ("phrase", "english"),
    [
        (noun("apple", A), "an apple"),
        (noun("apple", A, SMALL), "a small apple"),
        (noun("cup", A, Phrase("old", "alt")), "an old cup"),
        (noun("knife", lexicon.HER, plural=True), "her knives"),
    ],
)
def test_english_noun_phrase(phrase, english):
    assert phrase.english("accusative") == english


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        (VERBS["read"], "lese liest liest lesen lesen"),
        (VERBS["travel"], "fahre fährst fährt fahren fahren"),
        (VERBS["work"], "arbeite arbeitest arbeitet arbeiten arbeiten"),
        (VERBS["open"], "öffne öffnest öffnet öffnen öffnen"),
        (VERBS["close"], "schließe schließt schließt schließen schließen"),
        (VERBS["wash"], "wasche wäschst wäscht waschen waschen"),
        (VERBS["eat"], "esse isst isst essen essen"),
        (VERBS["invite"], "lade lädst lädt laden laden"),
        (VERBS["like"], "mag magst mag mögen mögen"),
        (HAVE, "habe hast hat haben haben"),
        (BE, "bin bist ist sind sind"),
        (lexicon.KNOW_THAT, "weiß weißt weiß wissen wissen"),
        (lexicon.HAVE_TO, "muss musst muss müssen müssen"),
        (lexicon.WOULD_LIKE_TO, "möchte möchtest möchte möchten möchten"),
    ],
)
def test_german_present(verb, forms):
    assert [grammar.german_present(verb, person) for person in ("I", "you", "he", "we", "they")] == forms.split()


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        (BE, "war warst war waren waren"),
        (HAVE, "hatte hattest hatte hatten hatten"),
        (lexicon.CAN, "konnte konntest konnte konnten konnten"),
    ],
)
def test_german_preterite(verb, forms):
    assert [grammar.german_preterite(verb, person) for person in ("I", "you", "he", "we", "they")] == forms.split()


def test_english_verb_forms():
    third = {name: grammar.english_present(VERBS[name], "he") for name in ("tidy", "buy", "wash", "go", "have", "be")}
    assert third == {"tidy": "tidies", "buy": "buys", "wash": "washes", "go": "goes", "have": "has", "be": "is"}
    assert grammar.english_past(VERBS["wash"], "they") == "washed"
    assert grammar.english_past(lexicon.ALLOWED_TO, "they") == "were allowed to"


BREAD = noun("bread")
GARDEN = noun("garden")
HOME = lexicon.HOME
MOTHER = noun("mother", lexicon.HER)
CALLS_MOTHER = Clause(SHE, VERBS["call"], accusative=MOTHER, time=EVERY_DAY)
IN_THE_GARDEN = grammar.with_preposition(lexicon.IN, GARDEN, "dative")
INTO_THE_GARDEN = grammar.with_preposition(lexicon.INTO, GARDEN, "accusative")


@pytest.mark.parametrize(
    ("pair", "english", "german"),
    [
        (  # separable verb: the prefix closes the main clause …
            grammar.statement(CALLS_MOTHER),
            "She calls her mother every day.",
            "Sie ruft ihre Mutter jeden Tag an.",
        ),
        (  # … and joins the verb at the end of the subordinate one
            grammar.main_then_subordinate(Clause(ME, lexicon.KNOW_THAT), lexicon.THAT, CALLS_MOTHER),
            "I know that she calls her mother every day.",
            "Ich weiß, dass sie ihre Mutter jeden Tag anruft.",
        ),
        (
            grammar.statement(Clause(SHE, VERBS["pick up"], accusative=HE, tense="now")),
            "She is picking him up right now.",
            "Sie holt ihn gerade ab.",
        ),
        (  # verb second
            grammar.time_first(Clause(WE, VERBS["buy"], accusative=BREAD, tense="past", time=YESTERDAY)),
            "Yesterday we bought the bread.",
            "Gestern haben wir das Brot gekauft.",
        ),
        (  # perfect with sein
            grammar.statement(Clause(ANNA, VERBS["go"], tense="past", place=HOME, time=YESTERDAY)),
            "Anna went home yesterday.",
            "Anna ist gestern nach Hause gegangen.",
        ),
        (  # an indefinite object follows the time, a definite one does not
            grammar.statement(Clause(HE, VERBS["buy"], accusative=noun("cake", A), tense="future", time=TOMORROW)),
            "He will buy a cake tomorrow.",
            "Er kauft morgen einen Kuchen.",
        ),
        (  # nicht after the definite object and the time
            grammar.statement(
                Clause(HE, VERBS["buy"], accusative=BREAD, tense="past", time=YESTERDAY, negated=True),
            ),
            "He did not buy the bread yesterday.",
            "Er hat das Brot gestern nicht gekauft.",
        ),
        (  # nicht before the place
            grammar.statement(Clause(THEY, VERBS["sleep"], tense="past", place=IN_THE_GARDEN, negated=True)),
            "They did not sleep in the garden.",
            "Sie haben nicht im Garten geschlafen.",
        ),
        (  # kein
            grammar.statement(Clause(SHE, HAVE, accusative=noun("brother", A), negated=True)),
            "She does not have a brother.",
            "Sie hat keinen Bruder.",
        ),
        (
            grammar.statement(Clause(WE, HAVE, accusative=noun("time", BARE), tense="past", negated=True)),
            "We did not have any time.",
            "Wir hatten keine Zeit.",
        ),
        (  # two-way preposition: where to?
            grammar.statement(Clause(noun("cat"), VERBS["run"], "future", place=INTO_THE_GARDEN, time=TOMORROW)),
            "The cat will run into the garden tomorrow.",
            "Die Katze läuft morgen in den Garten.",
        ),
        (  # modal
            grammar.statement(Clause(YOU, VERBS["tidy"], modal=lexicon.HAVE_TO, accusative=noun("room", lexicon.YOUR))),
            "You have to tidy your room.",
            "Du musst dein Zimmer aufräumen.",
        ),
        (
            grammar.statement(Clause(ME, VERBS["help"], modal=lexicon.CAN, dative=noun("child"), negated=True)),
            "I cannot help the child.",
            "Ich kann dem Kind nicht helfen.",
        ),
        (
            grammar.question(Clause(HE, VERBS["stay"], "past", lexicon.ALLOWED_TO, place=lexicon.AT_HOME)),
            "Was he allowed to stay at home?",
            "Durfte er zu Hause bleiben?",
        ),
        (  # the dative before the accusative …
            grammar.statement(
                Clause(HE, VERBS["give"], "past", accusative=noun("apple", A), dative=noun("girl"), time=YESTERDAY),
            ),
            "He gave the girl an apple yesterday.",
            "Er hat dem Mädchen gestern einen Apfel gegeben.",
        ),
        (  # questions
            grammar.question(Clause(YOU, VERBS["buy"], "past", accusative=BREAD, time=YESTERDAY)),
            "Did you buy the bread yesterday?",
            "Hast du das Brot gestern gekauft?",
        ),
        (
            grammar.question(Clause(noun("brother", lexicon.YOUR), VERBS["live"]), lexicon.WHERE),
            "Where does your brother live?",
            "Wo wohnt dein Bruder?",
        ),
        (
            grammar.subject_question(Clause(lexicon.PRONOUNS["who"], VERBS["invite"], "past", accusative=YOU)),
            "Who invited you?",
            "Wer hat dich eingeladen?",
        ),
        (
            grammar.question(Clause(YOU, VERBS["meet"], "past"), lexicon.WHOM),
            "Who did you meet?",
            "Wen hast du getroffen?",
        ),
        (  # subordinate clauses
            grammar.main_then_subordinate(
                Clause(ANNA, VERBS["stay"], "past", place=lexicon.AT_HOME),
                lexicon.BECAUSE,
                Clause(SHE, VERBS["work"], "past", lexicon.HAVE_TO),
            ),
            "Anna stayed at home because she had to work.",
            "Anna ist zu Hause geblieben, weil sie arbeiten musste.",
        ),
        (
            grammar.subordinate_then_main(
                lexicon.WHEN,
                Clause(lexicon.PRONOUNS["it"], VERBS["rain"]),
                Clause(WE, VERBS["drink"], accusative=noun("tea", BARE)),
            ),
            "When it rains, we drink tea.",
            "Wenn es regnet, trinken wir Tee.",
        ),
        (  # often before the object, predicate last
            grammar.statement(Clause(ME, VERBS["read"], accusative=noun("newspaper"), adverb=lexicon.OFTEN[0])),
            "I often read the newspaper.",
            "Ich lese oft die Zeitung.",
        ),
        (
            grammar.statement(Clause(ME, BE, "past", predicate=TIRED, time=YESTERDAY, negated=True)),
            "I was not tired yesterday.",
            "Ich war gestern nicht müde.",
        ),
    ],
)
def test_sentence(pair, english, german):
    assert pair == (english, german)


def test_clock_counts_german_half_hours_to_the_next():
    times = dict({patterns.clock(Random(seed)) for seed in range(400)})
    assert len(times) == 48
    assert times["half past three"] == "halb vier"
    assert times["half past twelve"] == "halb eins"
    assert times["one o'clock"] == "ein Uhr"
    assert times["a quarter to seven"] == "Viertel vor sieben"


def test_time_first_needs_a_time():
    with pytest.raises(ValueError, match=r"needs a clause with a time; 'I go home' has none"):
        grammar.time_first(Clause(ME, VERBS["go"], place=HOME))


def test_each_sentence_has_one_translation():
    draw = Random(7)
    pairs = {patterns.draw_pair(draw) for _ in range(20_000)}
    for side in zip(*pairs, strict=True):
        assert [sentence for sentence, count in Counter(side).items() if count > 1] == []


# --- The committed files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", CORPORA)
def test_generator_gives_the_committed_bytes_and_the_readme_their_checksums(corpus, tmp_path):
    subprocess.run([sys.executable, "-B", DATA / corpus / "generate.py", "--out", tmp_path], check=True)
    readme = (DATA / corpus / "README.md").read_text(encoding="utf-8")
    names = {f"{split}.{side}" for split in SPLITS for side in CORPORA[corpus]}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in sorted(names):
        committed = (DATA / corpus / name).read_bytes()
        assert (tmp_path / name).read_bytes() == committed, f"data/{corpus}/{name}: run data/{corpus}/generate.py"
        assert f"{hashlib.sha256(committed).hexdigest()}  {name}\n" in readme, f"data/{corpus}/README.md: {name}"
        assert len(committed) < 700_000


@pytest.mark.parametrize(("corpus", "sizes"), [("demo", (12_000, 400, 400)), ("reverse", (10_000, 200, 200))])
def test_no_sentence_comes_twice_on_either_side(corpus, sizes):
    for side in CORPORA[corpus]:
        splits = [lines(corpus, split, side) for split in SPLITS]
        assert tuple(len(split) for split in splits) == sizes
        assert len(set().union(*splits)) == sum(sizes)


def test_demo_lines_are_sentences_of_words_seen_in_train():
    for side in CORPORA["demo"]:
        seen = Counter(word for line in lines("demo", "train", side) for word in line.split())
        for split in SPLITS:
            for line in lines("demo", split, side):
                assert line[0].isupper(), line
                assert line[-1] in ".?", line
                assert 4 <= len(line.split()) <= 14, line
                assert split == "train" or min(seen[word] for word in line.split()) >= 3, line


def test_every_noun_and_verb_is_practised():
    train = Counter(" ".join(lines("demo", "train", "en")).lower().replace(".", " ").replace("?", " ").split())
    for entry in lexicon.EVERY_NOUN.values():
        forms = {entry.english.split()[-1], entry.english_plural.split(" ")[-1]}
        assert sum(train[form] for form in forms) >= 10, entry
    for entry in VERBS.values():
        forms = {entry.english, entry.english_past, entry.english_progressive, grammar.english_present(entry, "he")}
        assert sum(train[form] for form in {form.split()[0] for form in forms}) >= 10, entry


def test_reverse_targets_are_sources_backwards():
    for split in SPLITS:
        for source, target in zip(lines("reverse", split, "source"), lines("reverse", split, "target"), strict=True):
            letters = source.split(" ")
            assert 4 <= len(letters) <= 10
            assert set(letters) <= set("abcdefghij")
            assert target.split(" ") == letters[::-1]
