"""What is said: a few dozen patterns, each of which draws its words at random and gives a sentence in both languages.

A pattern takes the random generator and returns a `Pair`; `PATTERNS` says how often each is used. Most begin with an
`activity`, a clause without a time, and put it into a tense.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from grammar import (
    BARE,
    BE,
    HAVE,
    THE,
    A,
    Clause,
    Determiner,
    Nominal,
    Noun,
    NounPhrase,
    Pair,
    Phrase,
    Pronoun,
    Tense,
    main_then_subordinate,
    question,
    sentence,
    statement,
    subject_question,
    subordinate_then_main,
    time_first,
    with_preposition,
)
from lexicon import (
    ABOUT_PEOPLE,
    ABOUT_TEXTS,
    ABOUT_THINGS,
    ADJECTIVES,
    ANIMALS,
    AT_HOME,
    BECAUSE,
    BEHIND,
    BIG,
    BUILDINGS,
    BY,
    CAN,
    CITIES,
    CLOTHES,
    COMING,
    COMING_DAYS,
    CONTAINERS,
    DATIVE_VERBS,
    DEVICES,
    DRINKS,
    EVENTS,
    FOOD,
    FURNITURE,
    GIFTS,
    GONE,
    GONE_DAYS,
    GROCERIES,
    HABITS,
    HAVE_TO,
    HOME,
    IN,
    IN_FRONT_OF,
    INTO,
    KIN,
    KNOW_THAT,
    LASTING,
    LYING,
    MODALS,
    MODALS_WITH_PAST,
    MONTHS,
    MOODS,
    NAMES,
    NEXT_TO,
    NUMBERS,
    OBJECT_PRONOUNS,
    OBJECTS,
    OFTEN,
    ON,
    OPENINGS,
    OTHER,
    PARENTS,
    PEOPLE,
    PLACELESS,
    POSSESSIVES,
    PRICES,
    PRONOUNS,
    RELATIVES,
    REPEATED,
    ROOMS,
    SETTLEMENTS,
    SMALL,
    SOCIABLE,
    SPOTS,
    STATES,
    SUBJECT_PRONOUNS,
    TARGETS,
    TEMPERATURES,
    TEXTS,
    THAT,
    THINGS,
    TO,
    TO_PEOPLE,
    TRANSPORT,
    UNDER,
    USUAL,
    VEHICLES,
    VERBS,
    WANT_TO,
    WEEKDAYS,
    WHAT,
    WHEN,
    WHEN_ASKED,
    WHERE,
    WHERE_DONE,
    WHETHER,
    WHOM,
    WITH,
    WOMEN,
    named,
)

# --- Drawing phrases --------------------------------------------------------------------------------------------------


def noun_phrase(draw: Random, nouns: Mapping[str, Noun], *, definite: bool = False, counted: bool = True) -> NounPhrase:
    """A phrase about one of these nouns; `definite` for the, my … only; not `counted` for no numbers."""
    noun = draw.choice(list(nouns.values()))
    adjective = draw.choice(ADJECTIVES[noun]) if noun in ADJECTIVES and draw.random() < 0.35 else None
    if not noun.english_plural:
        return NounPhrase(noun, THE if definite or draw.random() < 0.4 else BARE, adjective)
    kind = draw.random()
    plural = draw.random() < 0.2 and noun not in PARENTS.values()
    if definite or kind < 0.55:
        owned = noun in KIN.values() or draw.random() < 0.4
        return NounPhrase(noun, draw.choice(POSSESSIVES) if owned else THE, adjective, plural)
    if kind < 0.85 or noun in PARENTS.values():
        return NounPhrase(noun, A, adjective)
    number = draw.choice(NUMBERS[1:])
    with_number = counted and kind < 0.93
    return NounPhrase(noun, Determiner(*number, "alone") if with_number else BARE, adjective, plural=True)


def known(draw: Random, nouns: Mapping[str, Noun]) -> NounPhrase:
    """A definite phrase without adjective, for places: the garden."""
    return NounPhrase(draw.choice(list(nouns.values())))


def relative(draw: Random) -> NounPhrase:
    return noun_phrase(draw, PARENTS if draw.random() < 0.3 else RELATIVES, definite=True)


def person(draw: Random) -> Nominal:
    """A subject: half of them pronouns."""
    kind = draw.random()
    if kind < 0.45:
        return draw.choice(SUBJECT_PRONOUNS)
    if kind < 0.6:
        return draw.choice(NAMES)
    if kind < 0.78:
        return relative(draw)
    if kind < 0.96:
        return replace(noun_phrase(draw, PEOPLE, definite=True), determiner=THE)
    return NounPhrase(draw.choice(list(PEOPLE.values())), A, draw.choice(ABOUT_PEOPLE))


def asked_person(draw: Random) -> Nominal:
    """The subject of a question: nobody asks what he does himself."""
    while (subject := person(draw)) in (PRONOUNS["I"], PRONOUNS["we"]):
        pass
    return PRONOUNS["you"] if draw.random() < 0.3 else subject


def resumable(draw: Random) -> tuple[Nominal, Pronoun]:
    """A subject and the pronoun that takes it up again: Anna, she."""
    if draw.random() < 0.5:
        pronoun = draw.choice(SUBJECT_PRONOUNS)
        return pronoun, pronoun
    if draw.random() < 0.4:
        named_person = draw.choice(NAMES)
        return named_person, PRONOUNS["she" if named_person.name in WOMEN else "he"]
    adults = named("man, woman, teacher, farmer, actress, doctor")
    phrase = relative(draw) if draw.random() < 0.6 else known(draw, adults)
    return phrase, PRONOUNS["they" if phrase.plural else "she" if phrase.noun.english in WOMEN else "he"]


def other_person(draw: Random, subject: Nominal) -> Nominal:
    """An object that is not the subject: no *I call me*, no *we call me*."""
    while True:
        kind = draw.random()
        if kind < 0.35:
            other: Nominal = draw.choice(OBJECT_PRONOUNS)
        elif kind < 0.5:
            other = draw.choice(NAMES)
        elif kind < 0.75:
            other = relative(draw)
        else:
            other = replace(noun_phrase(draw, PEOPLE, definite=True), determiner=THE)
        first_person = {subject.person, other.person} <= {"I", "we"}
        same_you = subject.person == other.person == "you"
        same_noun = isinstance(subject, NounPhrase) and isinstance(other, NounPhrase) and subject.noun == other.noun
        if not (first_person or same_you or same_noun or subject == other):
            return other


def somewhere(draw: Random, prepositions: Sequence[Phrase]) -> Phrase:
    """Where something is, with the dative: on the table, behind the door."""
    preposition = draw.choice(prepositions)
    nouns = FURNITURE if preposition in (ON, UNDER) else SPOTS
    return with_preposition(preposition, known(draw, nouns), "dative")


def clock(draw: Random) -> Phrase:
    """A time of day. German counts the half hours towards the next: half past three, halb vier."""
    hour = draw.randrange(12)
    english, german = NUMBERS[hour]
    next_english, next_german = NUMBERS[(hour + 1) % 12]
    return draw.choice(
        (
            Phrase(f"{english} o'clock", f"{german.removesuffix('s') if hour == 0 else german} Uhr"),
            Phrase(f"half past {english}", f"halb {next_german}"),
            Phrase(f"a quarter past {english}", f"Viertel nach {german}"),
            Phrase(f"a quarter to {next_english}", f"Viertel vor {next_german}"),
        )
    )


def at_clock(draw: Random, day: Phrase | None = None) -> Phrase:
    time = clock(draw)
    english, german = f"at {time.english}", f"um {time.german}"
    return Phrase(f"{day.english} {english}", f"{day.german} {german}") if day else Phrase(english, german)


def ago(draw: Random) -> Phrase:
    number = draw.choice(NUMBERS[1:6])
    unit = NounPhrase(OTHER[draw.choice(("day", "week", "year"))], Determiner(*number, "alone"), plural=True)
    return Phrase(f"{unit.english('dative')} ago", f"vor {unit.german('dative')}")


def coming_time(draw: Random) -> Phrase:
    kind = draw.random()
    if kind < 0.25:
        return at_clock(draw, draw.choice((COMING_DAYS[0], *WEEKDAYS)))
    return draw.choice(COMING if kind < 0.7 else WEEKDAYS if kind < 0.9 else MONTHS)


def gone_time(draw: Random) -> Phrase:
    kind = draw.random()
    if kind < 0.15:
        return at_clock(draw, draw.choice((GONE_DAYS[0], *WEEKDAYS)))
    if kind < 0.3:
        return ago(draw)
    return draw.choice(GONE if kind < 0.75 else WEEKDAYS if kind < 0.92 else MONTHS)


# --- Activities: clauses without a time -------------------------------------------------------------------------------


def transitive(draw: Random, subject: Nominal, verbs: Sequence[str] = tuple(OBJECTS), negated: bool = False) -> Clause:
    name = draw.choice(verbs)
    phrase = noun_phrase(draw, OBJECTS[name], counted=not negated)
    return Clause(subject, VERBS[name], accusative=phrase, negated=negated)


def with_someone(draw: Random, subject: Nominal, verbs: Sequence[str] = TO_PEOPLE) -> Clause:
    return Clause(subject, VERBS[draw.choice(verbs)], accusative=other_person(draw, subject))


def to_someone(draw: Random, subject: Nominal) -> Clause:
    return Clause(subject, VERBS[draw.choice(DATIVE_VERBS)], dative=other_person(draw, subject))


def giving(draw: Random, subject: Nominal, negated: bool = False) -> Clause:
    name = draw.choice(list(GIFTS))
    gift = noun_phrase(draw, GIFTS[name], counted=not negated)
    return Clause(subject, VERBS[name], dative=other_person(draw, subject), accusative=gift, negated=negated)


def intransitive(draw: Random, subject: Nominal) -> Clause:
    if draw.random() < 0.25:
        name = draw.choice(PLACELESS)
        clause = Clause(subject, VERBS[name])
    else:
        name = draw.choice(list(WHERE_DONE))
        preposition, nouns = WHERE_DONE[name]
        place = with_preposition(preposition, known(draw, nouns), "dative")
        clause = Clause(
            subject, VERBS[name], place=AT_HOME if name in ("stay", "work") and draw.random() < 0.3 else place
        )
    if name in SOCIABLE and draw.random() < 0.4:
        return replace(clause, manner=with_preposition(WITH, other_person(draw, subject), "dative"), place=None)
    return clause


def movement(draw: Random, subject: Nominal) -> Clause:
    """Where to: nach for home and cities, zu for goals, in with the accusative for going inside."""
    kind = draw.random()
    if kind < 0.35:
        city = draw.choice(CITIES)
        to_city = Phrase(f"to {city.english}", f"nach {city.german}")
        if draw.random() < 0.3:
            return Clause(subject, VERBS["fly"], place=to_city)
        companion = with_preposition(WITH, other_person(draw, subject), "dative")
        return Clause(subject, VERBS["travel"], place=to_city, manner=draw.choice((*BY, companion)))
    verb = VERBS[draw.choice(("go", "go", "come", "run"))]
    if kind < 0.5:
        return Clause(subject, verb, place=HOME)
    if kind < 0.8:
        return Clause(subject, verb, place=with_preposition(TO, known(draw, TARGETS), "dative"))
    return Clause(subject, verb, place=with_preposition(INTO, known(draw, ROOMS | SETTLEMENTS), "accusative"))


def putting(draw: Random, subject: Nominal) -> Clause:
    """Two-way prepositions with the accusative: where to?"""
    preposition = draw.choice((ON, ON, UNDER, NEXT_TO, BEHIND, INTO))
    nouns = CONTAINERS if preposition is INTO else FURNITURE
    thing = replace(noun_phrase(draw, LYING, definite=True), adjective=None)
    return Clause(
        subject, VERBS["put"], accusative=thing, place=with_preposition(preposition, known(draw, nouns), "accusative")
    )


def concerning(draw: Random, subject: Nominal) -> Clause:
    """Verbs with a preposition: auf and an with the accusative, mit with the dative."""
    other = other_person(draw, subject)
    return draw.choice(
        (
            Clause(
                subject,
                VERBS["wait"],
                place=with_preposition(
                    Phrase("for", "auf"), draw.choice((other, known(draw, TRANSPORT))), "accusative"
                ),
            ),
            Clause(subject, VERBS["think"], place=with_preposition(Phrase("of", "an"), other, "accusative")),
            Clause(subject, VERBS["speak"], place=with_preposition(WITH, other, "dative")),
        )
    )


def activity(draw: Random, subject: Nominal, negated: bool = False) -> Clause:
    """Any activity, as it may happen once: tomorrow or yesterday."""
    kind = draw.random()
    if kind < 0.34:
        return transitive(draw, subject, negated=negated)
    if kind < 0.48:
        return replace(with_someone(draw, subject), negated=negated)
    if kind < 0.56:
        return replace(to_someone(draw, subject), negated=negated)
    if kind < 0.66:
        return giving(draw, subject, negated)
    one = draw.choice((intransitive, intransitive, movement, movement, putting, concerning))
    return replace(one(draw, subject), negated=negated)


def in_past(draw: Random, clause: Clause, timed: float = 1.0) -> Clause:
    time = gone_time(draw) if draw.random() < timed else None
    return replace(clause, tense="past", time=time)


def in_future(draw: Random, clause: Clause) -> Clause:
    time = coming_time(draw)
    if clause.negated and time == COMING[-1]:  # soon is not negated
        time = COMING[0]
    return replace(clause, tense="future", time=time)


def in_either(draw: Random, clause: Clause) -> Clause:
    return in_past(draw, clause, 0.8) if draw.random() < 0.6 else in_future(draw, clause)


def with_modal(draw: Random, clause: Clause) -> Clause:
    if draw.random() < 0.3:
        return replace(clause, modal=draw.choice(MODALS_WITH_PAST), tense="past", time=gone_time(draw))
    time = draw.choice((None, *COMING[:4], *WEEKDAYS[:2]))
    return replace(clause, modal=draw.choice(MODALS), time=time)


def habitual(draw: Random) -> Clause:
    """What somebody does often, or every day."""
    subject = person(draw)
    kind = draw.random()
    if kind < 0.4:
        clause = transitive(draw, subject, HABITS)
    elif kind < 0.6:
        clause = with_someone(draw, subject, ("visit", "call", "pick up", "meet", "ask"))
    elif kind < 0.7:
        clause = to_someone(draw, subject)
    else:
        clause = draw.choice((intransitive, intransitive, concerning, movement))(draw, subject)
    if draw.random() < 0.5:
        return replace(clause, adverb=draw.choice(OFTEN))
    return replace(clause, time=at_clock(draw, REPEATED[0]) if draw.random() < 0.2 else draw.choice(REPEATED))


# --- States -----------------------------------------------------------------------------------------------------------


def feeling(draw: Random, subject: Nominal, tense: Tense = "present") -> Clause:
    return Clause(subject, BE, tense, predicate=draw.choice(MOODS))


def having(draw: Random, subject: Nominal, negated: bool) -> Clause:
    """Have, need, like, know, love, understand: in the present, without a time."""
    name = draw.choice(("have", "have", "need", "need", "like", "know", "love", "understand"))
    if name in ("know", "love", "understand"):
        return Clause(subject, VERBS[name], accusative=other_person(draw, subject), negated=negated)
    nouns = {
        "have": RELATIVES | ANIMALS | THINGS | DEVICES | VEHICLES | CLOTHES | named("time, money, house, garden"),
        "need": THINGS | FOOD | GROCERIES | DEVICES | VEHICLES | FURNITURE | CLOTHES | named("time, money, doctor"),
        "like": ANIMALS | TEXTS | CLOTHES | BUILDINGS | DRINKS | GROCERIES | named("film, city, picture, room"),
    }[name]
    phrase = noun_phrase(draw, nouns, counted=not negated, definite=name == "like")
    if name == "have":  # one has a brother, not my brother
        determiner = BARE if phrase.plural or not phrase.noun.english_plural else A
        phrase = replace(phrase, determiner=determiner) if phrase.definite else phrase
    return Clause(subject, VERBS[name], accusative=phrase, negated=negated)


def being_somewhere(draw: Random) -> Clause:
    """Two-way prepositions with the dative: where?"""
    name, things, place = draw.choice(
        (
            ("lie", LYING, somewhere(draw, (ON, ON, UNDER, NEXT_TO, BEHIND))),
            ("lie", LYING, with_preposition(IN, known(draw, CONTAINERS), "dative")),
            ("stand", SMALL, somewhere(draw, (ON, UNDER, NEXT_TO))),
            ("stand", BIG, somewhere(draw, (NEXT_TO, BEHIND, IN_FRONT_OF))),
        )
    )
    thing = replace(noun_phrase(draw, things, definite=True), adjective=None)
    tense: Tense = "past" if draw.random() < 0.3 else "present"
    return Clause(thing, VERBS[name], tense, place=place)


def quality(draw: Random) -> Clause:
    nouns, predicates = draw.choice(
        (
            (OPENINGS | named("church, library, museum, bakery, restaurant, school"), STATES[:2]),
            (CLOTHES | ROOMS | named("cup, window, car, bicycle, table"), STATES[2:4]),
            (named("bag, suitcase, box, cup, cupboard, bus, train, church, restaurant"), STATES[4:]),
            (DRINKS | named("soup, meat, rice, room, river, lake"), TEMPERATURES),
            (TEXTS, ABOUT_TEXTS[2:]),
            (THINGS | DEVICES | VEHICLES | FURNITURE, ABOUT_THINGS),
        )
    )
    subject = noun_phrase(draw, nouns, definite=True)
    return Clause(replace(subject, adjective=None), BE, predicate=draw.choice(predicates))


def weather(draw: Random, tense: Tense = "present") -> Clause:
    it, sun = PRONOUNS["it"], NounPhrase(OTHER["sun"])
    clause = draw.choice(
        (
            Clause(it, VERBS["rain"]),
            Clause(it, VERBS["snow"]),
            Clause(sun, VERBS["shine"]),
            Clause(it, BE, predicate=draw.choice(TEMPERATURES)),
        )
    )
    return replace(clause, tense=tense)


def timetable(draw: Random) -> Clause:
    """What trains and films do at a time of day, said in the present in both languages."""
    if draw.random() < 0.6:
        subject, names = known(draw, TRANSPORT), ("arrive", "leave")
    else:
        subject, names = known(draw, EVENTS), ("begin", "end")
    clause = Clause(subject, VERBS[draw.choice(names)], time=at_clock(draw))
    if draw.random() < 0.35:
        return replace(clause, tense="past", time=at_clock(draw, draw.choice((GONE_DAYS[0], *WEEKDAYS))))
    if draw.random() < 0.35:
        return replace(clause, tense="future", time=at_clock(draw, COMING_DAYS[0]))
    return clause


# --- Patterns ---------------------------------------------------------------------------------------------------------


def habit(draw: Random) -> Pair:
    return either_order(draw, habitual(draw))


def either_order(draw: Random, clause: Clause) -> Pair:
    return time_first(clause) if clause.time and draw.random() < 0.35 else statement(clause)


def going_on(draw: Random) -> Pair:
    subject = person(draw)
    kind = draw.random()
    if kind < 0.5:
        clause = transitive(draw, subject, LASTING)
    elif kind < 0.6:
        clause = with_someone(draw, subject, ("visit", "call", "pick up", "look for"))
    else:
        clause = draw.choice((intransitive, intransitive, to_someone, movement, concerning))(draw, subject)
    clause = replace(clause, tense="now")
    return question(clause) if draw.random() < 0.12 and subject.person not in ("I", "we") else statement(clause)


def future(draw: Random) -> Pair:
    return either_order(draw, in_future(draw, activity(draw, person(draw))))


def past(draw: Random) -> Pair:
    return either_order(draw, in_past(draw, activity(draw, person(draw)), timed=0.8))


def negation(draw: Random) -> Pair:
    return either_order(draw, in_either(draw, activity(draw, person(draw), negated=True)))


def modal(draw: Random) -> Pair:
    return either_order(draw, with_modal(draw, activity(draw, person(draw), negated=draw.random() < 0.25)))


def modal_question(draw: Random) -> Pair:
    return question(with_modal(draw, activity(draw, asked_person(draw))))


def yes_or_no(draw: Random) -> Pair:
    if draw.random() < 0.2:
        return question(replace(usual(draw, asked_person(draw)), adverb=draw.choice(OFTEN[:3])))
    return question(in_either(draw, activity(draw, asked_person(draw))))


def state(draw: Random) -> Pair:
    if draw.random() < 0.25:
        return question(having(draw, asked_person(draw), negated=False))
    return statement(having(draw, person(draw), negated=draw.random() < 0.35))


def place_of_things(draw: Random) -> Pair:
    clause = being_somewhere(draw)
    if draw.random() < 0.2:
        return question(replace(clause, place=None), WHERE)
    return statement(clause)


def someone_sits(draw: Random) -> Pair:
    if draw.random() < 0.5:
        subject = noun_phrase(draw, ANIMALS, definite=True)
        verb = VERBS[draw.choice(("sit", "sleep", "play", "lie", "run"))]
        return statement(Clause(subject, verb, "now", place=somewhere(draw, (ON, UNDER, BEHIND, IN_FRONT_OF))))
    subject = noun_phrase(draw, PEOPLE | KIN, definite=True)
    if draw.random() < 0.4:
        seat = with_preposition(ON, known(draw, named("chair, sofa, bed")), "dative")
        return statement(Clause(subject, VERBS["sit"], "now", place=seat))
    verb = VERBS[draw.choice(("stand", "wait", "play"))]
    return statement(Clause(subject, verb, "now", place=somewhere(draw, (NEXT_TO, BEHIND, IN_FRONT_OF))))


def mood(draw: Random) -> Pair:
    clause = feeling(draw, person(draw))
    kind = draw.random()
    if kind < 0.35:
        return statement(replace(clause, adverb=draw.choice(OFTEN)))
    if kind < 0.7:
        return either_order(draw, replace(clause, tense="past", time=gone_time(draw), negated=draw.random() < 0.3))
    if kind < 0.85:
        return statement(replace(clause, negated=draw.random() < 0.5))
    return question(replace(feeling(draw, asked_person(draw)), tense="past", time=draw.choice(GONE)))


def looks(draw: Random) -> Pair:
    clause = replace(quality(draw), negated=draw.random() < 0.25)
    kind = draw.random()
    if kind < 0.15:
        return question(replace(clause, negated=False))
    if kind < 0.35:
        return statement(replace(clause, tense="past", time=draw.choice((*GONE, *WEEKDAYS))))
    if kind < 0.5 and not clause.negated:
        return statement(replace(clause, adverb=draw.choice(OFTEN)))
    return statement(clause)


def there_is(draw: Random) -> Pair:
    places, found = draw.choice(
        (
            (named("city, village"), BUILDINGS | named("lake, river, park, station, airport")),
            (named("park, forest"), named("lake, river, bridge, restaurant, house, church")),
        )
    )
    phrase = noun_phrase(draw, found)
    if phrase.definite:
        phrase = replace(phrase, determiner=BARE if phrase.plural else A)
    place = with_preposition(IN, known(draw, places), "dative")
    be = "are" if phrase.plural else "is"
    return sentence(
        f"there {be} {phrase.english('nominative')} {place.english}",
        f"{place.german} gibt es {phrase.german('accusative')}",
    )


def price(draw: Random) -> Pair:
    thing = noun_phrase(
        draw, THINGS | CLOTHES | FOOD | DEVICES | FURNITURE | named("book, newspaper, bicycle"), definite=True
    )
    thing = replace(thing, determiner=THE)
    amount = Determiner(*draw.choice((*NUMBERS[1:], *PRICES)), "alone")
    return statement(Clause(thing, VERBS["cost"], accusative=NounPhrase(OTHER["euro"], amount, plural=True)))


def age(draw: Random) -> Pair:
    sibling = noun_phrase(draw, named("brother, sister, son, daughter, friend"), definite=True)
    subject = draw.choice((replace(sibling, adjective=None), draw.choice(NAMES), draw.choice(SUBJECT_PRONOUNS)))
    number = draw.choice((*NUMBERS[1:], *PRICES[:3]))
    years = Phrase(f"{number.english} years old", f"{number.german} Jahre alt")
    return statement(Clause(subject, BE, predicate=years))


def departure(draw: Random) -> Pair:
    clause = timetable(draw)
    return question(clause) if draw.random() < 0.15 else either_order(draw, clause)


def time_of_day(draw: Random) -> Pair:
    return statement(Clause(PRONOUNS["it"], BE, predicate=clock(draw)))


def belonging(draw: Random) -> Pair:
    thing = noun_phrase(draw, THINGS | VEHICLES | CLOTHES | ANIMALS | named("house, garden, book"), definite=True)
    thing = replace(thing, determiner=THE)
    clause = Clause(thing, VERBS["belong to"], dative=other_person(draw, thing), negated=draw.random() < 0.3)
    return question(replace(clause, negated=False)) if draw.random() < 0.15 else statement(clause)


def residence(draw: Random) -> Pair:
    subject = person(draw)
    city = draw.choice(CITIES)
    place = Phrase(f"in {city.english}", f"in {city.german}")
    kind = draw.random()
    if kind < 0.3:
        clause = Clause(asked_person(draw), VERBS[draw.choice(("live", "work"))])
        return question(in_past(draw, clause) if draw.random() < 0.7 else clause, WHERE)
    clause = Clause(subject, VERBS[draw.choice(("live", "live", "work"))], place=place)
    if kind < 0.6:
        return either_order(draw, replace(clause, tense="past", time=draw.choice((*GONE[3:], ago(draw)))))
    return statement(replace(clause, negated=draw.random() < 0.3))


def where_or_when(draw: Random) -> Pair:
    subject = asked_person(draw)
    if draw.random() < 0.45:
        clause = transitive(draw, subject, ("buy", "find", "lose", "look for", "forget"))
        return question(in_past(draw, clause, timed=0.4), WHERE)
    tense: Tense = "past" if draw.random() < 0.6 else "future"
    return question(replace(activity(draw, subject), tense=tense), WHEN_ASKED)


def what(draw: Random) -> Pair:
    verbs = ("buy", "read", "eat", "drink", "find", "forget", "cook", "draw", "write", "lose", "see", "order", "sell")
    clause = Clause(asked_person(draw), VERBS[draw.choice(verbs)])
    return question(with_modal(draw, clause) if draw.random() < 0.3 else in_either(draw, clause), WHAT)


def who(draw: Random) -> Pair:
    if draw.random() < 0.6:
        clause = activity(draw, PRONOUNS["who"])
        return subject_question(in_past(draw, clause, timed=0.6))
    verbs = ("visit", "meet", "ask", "see", "pick up", "call", "invite", "look for")
    return question(in_either(draw, Clause(asked_person(draw), VERBS[draw.choice(verbs)])), WHOM)


def how_many(draw: Random) -> Pair:
    name = draw.choice(("buy", "sell", "order", "eat", "find", "draw", "write", "read", "repair"))
    noun = draw.choice([noun for noun in OBJECTS[name].values() if noun.english_plural])
    asked = Phrase(f"how many {noun.english_plural}", f"wie viele {noun.german_plural}")
    return question(in_past(draw, Clause(asked_person(draw), VERBS[name]), timed=0.5), asked)


def because(draw: Random) -> Pair:
    """What somebody did not do, or where he went, and why."""
    subject, pronoun = resumable(draw)
    tense: Tense = "past" if draw.random() < 0.65 else "present"
    outing = draw.choice((movement, intransitive))(draw, subject)
    refusal = activity(draw, subject, negated=True)
    lacking = Clause(pronoun, HAVE, accusative=NounPhrase(OTHER[draw.choice(("time", "money"))], BARE), negated=True)
    duty = replace(activity(draw, pronoun), modal=draw.choice((HAVE_TO, WANT_TO)))
    main, reason, modals = draw.choice(
        (
            (outing, weather(draw), (HAVE_TO,)),
            (draw.choice((outing, refusal)), feeling(draw, pronoun), MODALS_WITH_PAST),
            (refusal, lacking, (CAN,)),
            (draw.choice((outing, refusal)), duty, MODALS_WITH_PAST),
        )
    )
    modal = draw.choice(modals) if tense == "present" or draw.random() < 0.2 else None
    return main_then_subordinate(replace(main, modal=modal, tense=tense), BECAUSE, replace(reason, tense=tense))


def fact(draw: Random) -> Clause:
    """What can be known, hoped and said, in any tense."""
    kind = draw.random()
    if kind < 0.2:
        return in_past(draw, activity(draw, person(draw), negated=draw.random() < 0.15), timed=0.7)
    if kind < 0.4:
        return in_future(draw, activity(draw, person(draw), negated=draw.random() < 0.15))
    if kind < 0.65:
        return habitual(draw)
    if kind < 0.8:
        return with_modal(draw, activity(draw, person(draw)))
    return draw.choice((timetable, quality, being_somewhere))(draw)


def that(draw: Random) -> Pair:
    subject = draw.choice((*SUBJECT_PRONOUNS, person(draw)))
    verb = draw.choice((VERBS["believe"], VERBS["hope"], VERBS["say"], KNOW_THAT))
    return main_then_subordinate(Clause(subject, verb), THAT, fact(draw))


def whether(draw: Random) -> Pair:
    if draw.random() < 0.5:
        return main_then_subordinate(Clause(asked_person(draw), KNOW_THAT), WHETHER, fact(draw), asked=True)
    return main_then_subordinate(Clause(person(draw), KNOW_THAT, negated=True), WHETHER, fact(draw))


def usual(draw: Random, subject: Nominal, verbs: Sequence[str] = USUAL) -> Clause:
    """What somebody usually does on an occasion."""
    kind = draw.random()
    if kind < 0.55 or verbs != USUAL:
        return transitive(draw, subject, verbs)
    if kind < 0.7:
        return with_someone(draw, subject, ("visit", "call"))
    return draw.choice((intransitive, movement))(draw, subject)


def when(draw: Random) -> Pair:
    subject, pronoun = resumable(draw)
    kind = draw.random()
    if kind < 0.4:
        return subordinate_then_main(WHEN, weather(draw), usual(draw, subject))
    if kind < 0.6:
        plenty = draw.choice(("time", "money"))
        occasion = Clause(subject, HAVE, accusative=NounPhrase(OTHER[plenty], BARE))
        return subordinate_then_main(
            WHEN, occasion, usual(draw, pronoun, ("buy", "order") if plenty == "money" else USUAL)
        )
    occasion = feeling(draw, subject)
    need = occasion.predicate.english if occasion.predicate else ""
    remedies = {"hungry": ("eat", "cook", "order", "bake"), "thirsty": ("drink",)}
    return subordinate_then_main(WHEN, occasion, usual(draw, pronoun, remedies.get(need, USUAL)))


PATTERNS: dict[Callable[[Random], Pair], int] = {
    habit: 13,
    going_on: 10,
    future: 12,
    past: 14,
    negation: 9,
    modal: 10,
    modal_question: 4,
    yes_or_no: 6,
    state: 8,
    place_of_things: 4,
    someone_sits: 3,
    mood: 4,
    looks: 4,
    there_is: 3,
    price: 3,
    age: 2,
    departure: 4,
    time_of_day: 1,
    belonging: 3,
    residence: 3,
    where_or_when: 4,
    what: 2,
    who: 4,
    how_many: 2,
    because: 9,
    that: 10,
    whether: 5,
    when: 7,
}


def draw_pair(draw: Random) -> Pair:
    """One sentence of a pattern drawn by weight."""
    (pattern,) = draw.choices(list(PATTERNS), weights=list(PATTERNS.values()))
    return pattern(draw)
