"""The rules of a small German and English: one clause, said in both languages.

A sentence starts as a `Clause`, which belongs to no language: who does what, to whom, when, how and where. `english`
and `german` say it. Much of what makes German hard to learn is here, and each matter has one place:

    endings     `DEFINITE`, `EIN`, `AFTER_DER`, `AFTER_EIN`, `ALONE` and `NounPhrase.german`
    verb forms  `german_present`, `german_preterite`; a verb is known by its principal parts: lesen, liest, hat gelesen
    word order  `german`: the bracket of the finite verb and what closes the clause, and the field between them
    negation    `german`: kein before an indefinite object, otherwise nicht

English has four ways to speak of time where this German has two. So that each sentence has one translation, its other
words decide: every day → present, right now (gerade) → progressive, tomorrow → will, yesterday → past. *You* is always
informal and singular (du); *them* and *their* are left out, because *her* has taken *sie* and *ihr*.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Case = Literal["nominative", "accusative", "dative"]
Gender = Literal["masculine", "feminine", "neuter", "plural"]  # the plural has one set of endings for all genders
Person = Literal["I", "you", "he", "we", "they"]  # the five ways a verb agrees, named by their pronoun
Tense = Literal["present", "now", "future", "past"]
GermanOrder = Literal["main", "inverted", "final"]

CASES: tuple[Case, ...] = ("nominative", "accusative", "dative")
GENDERS: tuple[Gender, ...] = ("masculine", "feminine", "neuter", "plural")


# --- Endings ----------------------------------------------------------------------------------------------------------


def table(text: str) -> dict[tuple[Case, Gender], str]:
    """A table as it stands in a school book: a row a case, a column a gender; ``-`` is no ending."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {
        (case, gender): form.strip("-")
        for case, row in zip(CASES, rows, strict=True)
        for gender, form in zip(GENDERS, row, strict=True)
    }


DEFINITE = table("""
    der  die  das  die
    den  die  das  die
    dem  der  dem  den
""")
EIN = table("""
    -    e    -    e
    en   e    -    e
    em   er   em   en
""")
# What an adjective ends in depends on how much the word before it has already said.
AFTER_DER = table("""
    e    e    e    en
    en   e    e    en
    en   en   en   en
""")
AFTER_EIN = table("""
    er   e    es   en
    en   e    es   en
    en   en   en   en
""")
ALONE = table("""
    er   e    es   e
    en   e    es   e
    em   er   em   en
""")
CONTRACTIONS = {"in dem": "im", "in das": "ins", "an dem": "am", "zu dem": "zum", "zu der": "zur"}


# --- Words and phrases ------------------------------------------------------------------------------------------------


class Phrase(NamedTuple):
    """Words that never change: an adjective's stem, an adverb, a time, a finished prepositional phrase."""

    english: str
    german: str


@dataclass(frozen=True)
class Noun:
    """A noun; `weak` ones (der Junge, den Jungen) take their plural form in every case but the nominative."""

    english: str
    english_plural: str  # empty for a noun that is not counted, such as bread
    german: str
    german_plural: str
    gender: Gender
    weak: bool = False


@dataclass(frozen=True)
class Determiner:
    """What stands before a noun; `kind` says which endings it has and asks for: der, ein or none."""

    english: str
    german: str
    kind: Literal["der", "ein", "alone"]


THE = Determiner("the", "der", "der")
A = Determiner("a", "ein", "ein")
NO = Determiner("any", "kein", "ein")  # English puts the "not" to the verb
BARE = Determiner("", "", "alone")


@dataclass(frozen=True)
class NounPhrase:
    """``the old man`` / ``der alte Mann``, in any case, singular or plural."""

    noun: Noun
    determiner: Determiner = THE
    adjective: Phrase | None = None
    plural: bool = False

    @property
    def person(self) -> Person:
        return "they" if self.plural else "he"

    @property
    def definite(self) -> bool:
        """Whether the hearer knows which one is meant; in German such a phrase stands before the time."""
        return self.determiner.kind != "alone" and self.determiner not in (A, NO)

    def english(self, case: Case) -> str:
        del case  # English nouns have none; the pronouns do
        noun = self.noun.english_plural if self.plural else self.noun.english
        words = words_of(self.adjective.english if self.adjective else "", noun)
        article = "an" if self.determiner is A and words[0] in "aeiou" else self.determiner.english
        return words_of(article, words)

    def german(self, case: Case) -> str:
        gender = "plural" if self.plural else self.noun.gender
        kind = self.determiner.kind
        determiner = {
            "der": DEFINITE[case, gender],
            "ein": self.determiner.german + EIN[case, gender],
            "alone": self.determiner.german,
        }[kind]
        adjective = ""
        if self.adjective:
            endings = {"der": AFTER_DER, "ein": AFTER_EIN, "alone": ALONE}[kind]
            adjective = self.adjective.german.removesuffix("e") + endings[case, gender]
        return words_of(determiner, adjective, self._german_noun(case))

    def _german_noun(self, case: Case) -> str:
        if self.plural:
            plural = self.noun.german_plural
            return plural + "n" if case == "dative" and plural[-1] not in "ns" else plural
        return self.noun.german_plural if self.noun.weak and case != "nominative" else self.noun.german


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun: I and me, ich and mich and mir."""

    subject: str
    object: str
    nominative: str
    accusative: str
    dative: str
    person: Person

    def english(self, case: Case) -> str:
        return self.subject if case == "nominative" else self.object

    def german(self, case: Case) -> str:
        return {"nominative": self.nominative, "accusative": self.accusative, "dative": self.dative}[case]


@dataclass(frozen=True)
class Name:
    """A person's name, the same in both languages and all cases; it stands where a definite noun stands."""

    name: str
    person: Person = "he"
    definite: bool = True

    def english(self, case: Case) -> str:
        del case
        return self.name

    german = english


Nominal = NounPhrase | Pronoun | Name


def with_preposition(preposition: Phrase, nominal: Nominal, case: Case) -> Phrase:
    """in the garden / im Garten (where? dative); into the garden / in den Garten (where to? accusative)."""
    german = f"{preposition.german} {nominal.german(case)}"
    first_two = " ".join(german.split()[:2])
    if first_two in CONTRACTIONS:
        german = german.replace(first_two, CONTRACTIONS[first_two], 1)
    return Phrase(f"{preposition.english} {nominal.english(case)}", german)


def words_of(*parts: str) -> str:
    return " ".join(part for part in parts if part)


# --- Verbs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verb:
    """A verb by its principal parts; see `verb` for how they are written."""

    english: str
    english_past: str
    english_progressive: str
    english_particle: str  # the "up" of pick up, which lets a pronoun go first: she picks him up
    infinitive: str  # without the prefix: rufen
    prefix: str  # of a separable verb: an
    third_person: str  # without the prefix: ruft
    preterite: str  # for sein, haben and the modals, whose past is not the perfect
    auxiliary: str  # hat or ist
    participle: str  # with the prefix: angerufen


def verb(parts: str) -> Verb:
    """Reads ``pick|up, picked up, picking up = ab|holen, holt ab, hat abgeholt``.

    ``|`` marks an English particle and a German separable prefix. A verb with a German preterite gives that instead of
    the perfect: ``have, had, having = haben, hat, hatte``.
    """
    english, german = parts.split(" = ")
    base, past, progressive = english.split(", ")
    infinitive, third_person, perfect = german.split(", ")
    prefix, _, infinitive = infinitive.rpartition("|")
    auxiliary, _, participle = perfect.rpartition(" ")
    return Verb(
        english=base.replace("|", " "),
        english_past=past,
        english_progressive=progressive,
        english_particle=base.partition("|")[2],
        infinitive=infinitive,
        prefix=prefix,
        third_person=third_person.split()[0],
        preterite="" if auxiliary else participle,
        auxiliary=auxiliary,
        participle=participle if auxiliary else "",
    )


BE = verb("be, was, being = sein, ist, war")
HAVE = verb("have, had, having = haben, hat, hatte")
FORMS_OF_SEIN: dict[Person, str] = {"I": "bin", "you": "bist", "he": "ist", "we": "sind", "they": "sind"}
FORMS_OF_BE: dict[Person, str] = {"I": "am", "you": "are", "he": "is", "we": "are", "they": "are"}
ENGLISH_AUXILIARIES = ("be", "can", "should", "would")  # they need no "do" in questions and negation


def german_present(verb: Verb, person: Person) -> str:
    """The present, from infinitive and third person: lesen, liest → ich lese, du liest, er liest, wir lesen."""
    if verb is BE:
        return FORMS_OF_SEIN[person]
    if person in ("we", "they"):
        return verb.infinitive
    like_a_modal = not verb.third_person.endswith("t")  # ich kann, er kann; ich weiß, er weiß
    if person == "he" or (person == "I" and like_a_modal):
        return verb.third_person
    if person == "I":
        return verb.infinitive.removesuffix("n")
    stem = verb.third_person.removesuffix("t")
    return stem + ("t" if stem[-1] in "sßz" else "st")


def german_preterite(verb: Verb, person: Person) -> str:
    """The simple past of sein, haben and the modals: war, warst, waren; hatte, hattest, hatten."""
    ending = {"you": "st", "we": "en", "they": "en"}.get(person, "")
    return verb.preterite.removesuffix("e") + ending if ending == "en" else verb.preterite + ending


def english_present(verb: Verb, person: Person) -> str:
    first, _, rest = verb.english.partition(" ")
    if first == "be":
        first = FORMS_OF_BE[person]
    elif person == "he" and first == "have":
        first = "has"
    elif person == "he" and first not in ENGLISH_AUXILIARIES:
        if first.endswith(("s", "sh", "ch", "x", "o")):
            first += "es"
        elif first.endswith("y") and first[-2] not in "aeiou":
            first = first[:-1] + "ies"
        else:
            first += "s"
    return words_of(first, rest)


def english_past(verb: Verb, person: Person) -> str:
    first, _, rest = verb.english_past.partition(" ")
    return words_of("were" if first == "was" and person in ("you", "we", "they") else first, rest)


# --- Clauses ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clause:
    """Who does what, to whom, when, how and where."""

    subject: Nominal
    verb: Verb
    tense: Tense = "present"
    modal: Verb | None = None
    accusative: Nominal | None = None
    dative: Nominal | None = None
    adverb: Phrase | None = None  # how often
    time: Phrase | None = None
    manner: Phrase | None = None
    place: Phrase | None = None
    predicate: Phrase | None = None  # of be: tired, twelve years old
    negated: bool = False


def german(clause: Clause, order: GermanOrder = "main") -> str:
    """The clause in German.

    Two places hold a German clause together: that of the finite verb, and the end (prefix, participle, infinitive).

        main      Der Lehrer **ruft** seine Mutter heute nicht **an**
        inverted  **ruft** der Lehrer seine Mutter heute nicht **an**   (questions; when not the subject is first)
        final     der Lehrer seine Mutter heute nicht **anruft**        (subordinate clauses)

    Between them stand: pronouns, how often, the first object if it is definite, time, other objects, nicht, manner,
    place, predicate. The dative goes before the accusative, unless the accusative is a pronoun.
    """
    finite, closing = _german_verb(clause)
    subject = clause.subject.german("nominative")
    middle = _middle_field(clause)
    if order == "main":
        return words_of(subject, finite, middle, closing)
    if order == "inverted":
        return words_of(finite, subject, middle, closing)
    end = closing + finite if closing == clause.verb.prefix else f"{closing} {finite}"
    return words_of(subject, middle, end)


def _german_verb(clause: Clause) -> tuple[str, str]:
    """The finite verb and what closes the clause: ("ruft", "an"), ("hat", "angerufen"), ("muss", "anrufen")."""
    person, verb, past = clause.subject.person, clause.verb, clause.tense == "past"
    finite = german_preterite if past else german_present
    if clause.modal:
        return finite(clause.modal, person), verb.prefix + verb.infinitive
    if past and not verb.preterite:
        return german_present(BE if verb.auxiliary == "ist" else HAVE, person), verb.participle
    return finite(verb, person), verb.prefix


def _middle_field(clause: Clause) -> str:
    """What stands between the finite verb and the end, but for the subject."""
    accusative, negation = clause.accusative, "nicht" if clause.negated else ""
    if clause.negated and isinstance(accusative, NounPhrase) and not accusative.definite:
        accusative, negation = replace(accusative, determiner=NO), ""
    objects: list[tuple[Nominal | None, Case]] = [(clause.dative, "dative"), (accusative, "accusative")]
    pronouns = [phrase.german(case) for phrase, case in reversed(objects) if isinstance(phrase, Pronoun)]
    nouns = [(phrase, phrase.german(case)) for phrase, case in objects if isinstance(phrase, NounPhrase | Name)]
    known_first = bool(nouns) and not pronouns and nouns[0][0].definite
    texts = [text for _, text in nouns]
    return words_of(
        *pronouns,
        "gerade" if clause.tense == "now" else "",
        clause.adverb.german if clause.adverb else "",
        *texts[:known_first],
        clause.time.german if clause.time else "",
        *texts[known_first:],
        negation,
        *[phrase.german for phrase in (clause.manner, clause.place, clause.predicate) if phrase],
    )


def english(clause: Clause, inverted: bool = False) -> str:
    """The clause in English; `inverted` for questions: ``does the teacher often call his mother``."""
    auxiliary, rest = _english_verb(clause, inverted)
    subject = clause.subject.english("nominative")
    negation = "not" if clause.negated else ""
    objects = [clause.dative.english("dative")] if clause.dative else []
    if clause.accusative:
        objects.append(clause.accusative.english("accusative"))
    if clause.negated and isinstance(clause.accusative, NounPhrase) and clause.accusative.determiner is BARE:
        objects[-1] = f"any {objects[-1]}"
    if clause.verb.english_particle and isinstance(clause.accusative, Pronoun):
        rest = rest.removesuffix(clause.verb.english_particle).strip()
        objects.append(clause.verb.english_particle)
    text = words_of(
        *((auxiliary, subject) if inverted else (subject, auxiliary)),
        negation,
        clause.adverb.english if clause.adverb else "",
        rest,
        *objects,
        *[phrase.english for phrase in (clause.predicate, clause.place, clause.manner, clause.time) if phrase],
        "right now" if clause.tense == "now" else "",
    )
    return text.replace("can not", "cannot")


def _english_verb(clause: Clause, inverted: bool) -> tuple[str, str]:
    """The auxiliary, if any, and the rest of the verb: ("does", "read"), ("", "reads"), ("is", "allowed to read")."""
    person, main = clause.subject.person, clause.verb
    if clause.tense == "now":
        return FORMS_OF_BE[person], main.english_progressive
    if clause.tense == "future":
        return "will", main.english
    past = clause.tense == "past"
    head = clause.modal or main
    after_modal = main.english if clause.modal else ""
    finite = english_past(head, person) if past else english_present(head, person)
    if head.english.split()[0] in ENGLISH_AUXILIARIES:
        auxiliary, _, rest = finite.partition(" ")
        return auxiliary, words_of(rest, after_modal)
    if inverted or clause.negated:
        do = "did" if past else "does" if person == "he" else "do"
        return do, words_of(head.english, after_modal)
    return "", words_of(finite, after_modal)


# --- Sentences --------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A sentence and its translation."""

    english: str
    german: str


def sentence(english: str, german: str, mark: str = ".") -> Pair:
    return Pair(*(text[0].upper() + text[1:] + mark for text in (english, german)))


def statement(clause: Clause) -> Pair:
    """``I bought the bread yesterday.`` / ``Ich habe das Brot gestern gekauft.``"""
    return sentence(english(clause), german(clause))


def time_first(clause: Clause) -> Pair:
    """``Yesterday I bought the bread.`` / ``Gestern habe ich das Brot gekauft.`` The German verb stays second."""
    if clause.time is None:
        raise ValueError(f"time_first needs a clause with a time; {english(clause)!r} has none")
    rest = replace(clause, time=None)
    return sentence(f"{clause.time.english} {english(rest)}", f"{clause.time.german} {german(rest, 'inverted')}")


def question(clause: Clause, word: Phrase | None = None) -> Pair:
    """``Do you have to work?`` / ``Musst du arbeiten?``; with a word: ``Where do you work?`` / ``Wo arbeitest du?``

    The clause leaves out what is asked for. Who asks for the subject; its question is a `statement` with ``wer``.
    """
    front = word or Phrase("", "")
    return sentence(
        words_of(front.english, english(clause, inverted=True)), words_of(front.german, german(clause, "inverted")), "?"
    )


def subject_question(clause: Clause) -> Pair:
    """``Who bought the bread?`` / ``Wer hat das Brot gekauft?``"""
    return sentence(english(clause), german(clause), "?")


def main_then_subordinate(main: Clause, conjunction: Phrase, subordinate: Clause, asked: bool = False) -> Pair:
    """``She stayed at home because she was ill.`` / ``Sie ist zu Hause geblieben, weil sie krank war.``"""
    return sentence(
        f"{english(main, inverted=asked)} {conjunction.english} {english(subordinate)}",
        f"{german(main, 'inverted' if asked else 'main')}, {conjunction.german} {german(subordinate, 'final')}",
        "?" if asked else ".",
    )


def subordinate_then_main(conjunction: Phrase, subordinate: Clause, main: Clause) -> Pair:
    """``When it rains, I read.`` / ``Wenn es regnet, lese ich.`` The whole first clause holds the first place."""
    return sentence(
        f"{conjunction.english} {english(subordinate)}, {english(main)}",
        f"{conjunction.german} {german(subordinate, 'final')}, {german(main, 'inverted')}",
    )
