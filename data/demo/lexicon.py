"""The words, grouped by what can be said of them.

Nouns are written ``singular, plural = article singular, plural``, verbs by their principal parts (see `grammar.verb`).
Each word has one translation, both ways, as far as these sentences use it.
"""

from collections.abc import Mapping, Sequence

from grammar import BE, HAVE, Determiner, Gender, Name, Noun, Phrase, Pronoun, Verb, verb

ARTICLES: dict[str, Gender] = {"der": "masculine", "die": "feminine", "das": "neuter"}


def nouns(text: str) -> dict[str, Noun]:
    """Nouns by their English singular; ``-`` for no plural, ``, weak`` for nouns like der Junge, den Jungen."""
    found = {}
    for line in text.strip().splitlines():
        english, german = line.strip().split(" = ")
        singular, plural = english.split(", ")
        german_singular, german_plural, *weak = german.split(", ")
        article, german_singular = german_singular.split()
        found[singular] = Noun(
            singular, plural.strip("-"), german_singular, german_plural.strip("-"), ARTICLES[article], bool(weak)
        )
    return found


def phrases(text: str) -> tuple[Phrase, ...]:
    """One ``english = german`` a line, or several between semicolons."""
    entries = text.strip().replace("\n", ";").split(";")
    return tuple(Phrase(*(side.strip() for side in entry.split("="))) for entry in entries)


# --- People and pronouns ----------------------------------------------------------------------------------------------

PRONOUNS = {
    "I": Pronoun("I", "me", "ich", "mich", "mir", "I"),
    "you": Pronoun("you", "you", "du", "dich", "dir", "you"),
    "he": Pronoun("he", "him", "er", "ihn", "ihm", "he"),
    "she": Pronoun("she", "her", "sie", "sie", "ihr", "he"),
    "it": Pronoun("it", "it", "es", "es", "ihm", "he"),
    "we": Pronoun("we", "us", "wir", "uns", "uns", "we"),
    "they": Pronoun("they", "them", "sie", "sie", "ihnen", "they"),
    "who": Pronoun("who", "who", "wer", "wen", "wem", "he"),
}
# I and you come twice: they have verb forms of their own, which no other subject practises.
SUBJECT_PRONOUNS = tuple(PRONOUNS[word] for word in ("I", "I", "you", "you", "he", "she", "we", "they"))
OBJECT_PRONOUNS = tuple(PRONOUNS[word] for word in ("I", "you", "he", "she", "we"))
NAMES = tuple(Name(name) for name in ("Anna", "Maria", "Lena", "Peter", "Paul", "Max"))
WOMEN = ("Anna", "Maria", "Lena", "woman", "actress", "mother", "grandmother", "sister", "daughter", "aunt")

MY = Determiner("my", "mein", "ein")
YOUR = Determiner("your", "dein", "ein")
HIS = Determiner("his", "sein", "ein")
HER = Determiner("her", "ihr", "ein")
OUR = Determiner("our", "unser", "ein")
POSSESSIVES = (MY, YOUR, HIS, HER, OUR)

PEOPLE = nouns("""
    man, men = der Mann, Männer
    woman, women = die Frau, Frauen
    child, children = das Kind, Kinder
    boy, boys = der Junge, Jungen, weak
    girl, girls = das Mädchen, Mädchen
    teacher, teachers = der Lehrer, Lehrer
    doctor, doctors = der Arzt, Ärzte
    student, students = der Student, Studenten, weak
    neighbour, neighbours = der Nachbar, Nachbarn, weak
    guest, guests = der Gast, Gäste
    farmer, farmers = der Bauer, Bauern, weak
    actress, actresses = die Schauspielerin, Schauspielerinnen
    waitress, waitresses = die Kellnerin, Kellnerinnen
""")
PARENTS = nouns("""
    mother, mothers = die Mutter, Mütter
    father, fathers = der Vater, Väter
    grandmother, grandmothers = die Großmutter, Großmütter
    grandfather, grandfathers = der Großvater, Großväter
""")
RELATIVES = nouns("""
    brother, brothers = der Bruder, Brüder
    sister, sisters = die Schwester, Schwestern
    son, sons = der Sohn, Söhne
    daughter, daughters = die Tochter, Töchter
    uncle, uncles = der Onkel, Onkel
    aunt, aunts = die Tante, Tanten
    friend, friends = der Freund, Freunde
    colleague, colleagues = der Kollege, Kollegen, weak
""")

# --- Things and places ------------------------------------------------------------------------------------------------

ANIMALS = nouns("""
    dog, dogs = der Hund, Hunde
    cat, cats = die Katze, Katzen
    horse, horses = das Pferd, Pferde
    bird, birds = der Vogel, Vögel
""")
TEXTS = nouns("""
    book, books = das Buch, Bücher
    letter, letters = der Brief, Briefe
    newspaper, newspapers = die Zeitung, Zeitungen
    message, messages = die Nachricht, Nachrichten
    story, stories = die Geschichte, Geschichten
""")
FOOD = nouns("""
    apple, apples = der Apfel, Äpfel
    egg, eggs = das Ei, Eier
    banana, bananas = die Banane, Bananen
    orange, oranges = die Orange, Orangen
    potato, potatoes = die Kartoffel, Kartoffeln
    cake, cakes = der Kuchen, Kuchen
""")
GROCERIES = nouns("""
    bread, - = das Brot, -
    cheese, - = der Käse, -
    meat, - = das Fleisch, -
    rice, - = der Reis, -
    soup, - = die Suppe, -
""")
DRINKS = nouns("""
    coffee, - = der Kaffee, -
    tea, - = der Tee, -
    water, - = das Wasser, -
    milk, - = die Milch, -
    juice, - = der Saft, -
    lemonade, - = die Limonade, -
""")
THINGS = nouns("""
    bag, bags = die Tasche, Taschen
    key, keys = der Schlüssel, Schlüssel
    picture, pictures = das Bild, Bilder
    cup, cups = die Tasse, Tassen
    umbrella, umbrellas = der Regenschirm, Regenschirme
    phone, phones = das Telefon, Telefone
    camera, cameras = die Kamera, Kameras
    knife, knives = das Messer, Messer
    ball, balls = der Ball, Bälle
    gift, gifts = das Geschenk, Geschenke
    ticket, tickets = die Fahrkarte, Fahrkarten
""")
DEVICES = nouns("""
    lamp, lamps = die Lampe, Lampen
    radio, radios = das Radio, Radios
    computer, computers = der Computer, Computer
    television, televisions = der Fernseher, Fernseher
""")
VEHICLES = nouns("""
    car, cars = das Auto, Autos
    bicycle, bicycles = das Fahrrad, Fahrräder
    boat, boats = das Boot, Boote
""")
TRANSPORT = nouns("""
    train, trains = der Zug, Züge
    bus, buses = der Bus, Busse
    ship, ships = das Schiff, Schiffe
""")
CLOTHES = nouns("""
    coat, coats = der Mantel, Mäntel
    jacket, jackets = die Jacke, Jacken
    shirt, shirts = das Hemd, Hemden
    dress, dresses = das Kleid, Kleider
    hat, hats = der Hut, Hüte
    skirt, skirts = der Rock, Röcke
""")
OPENINGS = nouns("""
    door, doors = die Tür, Türen
    window, windows = das Fenster, Fenster
    suitcase, suitcases = der Koffer, Koffer
    box, boxes = die Kiste, Kisten
""")
FURNITURE = nouns("""
    table, tables = der Tisch, Tische
    chair, chairs = der Stuhl, Stühle
    bed, beds = das Bett, Betten
    sofa, sofas = das Sofa, Sofas
    cupboard, cupboards = der Schrank, Schränke
""")
ROOMS = nouns("""
    room, rooms = das Zimmer, Zimmer
    kitchen, kitchens = die Küche, Küchen
    office, offices = das Büro, Büros
    garden, gardens = der Garten, Gärten
    house, houses = das Haus, Häuser
""")
BUILDINGS = nouns("""
    school, schools = die Schule, Schulen
    church, churches = die Kirche, Kirchen
    library, libraries = die Bibliothek, Bibliotheken
    museum, museums = das Museum, Museen
    hospital, hospitals = das Krankenhaus, Krankenhäuser
    hotel, hotels = das Hotel, Hotels
    restaurant, restaurants = das Restaurant, Restaurants
    bakery, bakeries = die Bäckerei, Bäckereien
    bridge, bridges = die Brücke, Brücken
""")
SETTLEMENTS = nouns("""
    city, cities = die Stadt, Städte
    village, villages = das Dorf, Dörfer
    park, parks = der Park, Parks
    forest, forests = der Wald, Wälder
""")
LANDMARKS = nouns("""
    station, stations = der Bahnhof, Bahnhöfe
    airport, airports = der Flughafen, Flughäfen
    bus stop, bus stops = die Haltestelle, Haltestellen
    lake, lakes = der See, Seen
    river, rivers = der Fluss, Flüsse
""")
EVENTS = nouns("""
    film, films = der Film, Filme
    concert, concerts = das Konzert, Konzerte
    party, parties = die Party, Partys
    lesson, - = der Unterricht, -
""")
OTHER = nouns("""
    time, - = die Zeit, -
    money, - = das Geld, -
    sun, - = die Sonne, -
    euro, euros = der Euro, Euro
    year, years = das Jahr, Jahre
    week, weeks = die Woche, Wochen
    day, days = der Tag, Tage
""")
CITIES = phrases("Berlin = Berlin; Hamburg = Hamburg; Munich = München; Vienna = Wien; Cologne = Köln")

# --- Adjectives: their stems ------------------------------------------------------------------------------------------

ABOUT_PEOPLE = phrases("young = jung; old = alt; friendly = freundlich; clever = klug; famous = berühmt; rich = reich")
ABOUT_CHILDREN = phrases("friendly = freundlich; clever = klug; famous = berühmt")
ABOUT_THINGS = phrases("new = neu; old = alt; big = groß; small = klein; beautiful = schön; cheap = billig")
ABOUT_TEXTS = phrases("new = neu; old = alt; long = lang; short = kurz; interesting = interessant")
ABOUT_FOOD = phrases("fresh = frisch; big = groß; small = klein; sweet = süß")
ABOUT_DRINKS = phrases("cold = kalt; warm = warm; fresh = frisch")
ABOUT_CLOTHES = phrases("red = rot; blue = blau; green = grün; white = weiß; black = schwarz; new = neu")
ABOUT_PLACES = phrases("big = groß; small = klein; old = alt; new = neu; beautiful = schön; quiet = ruhig")
MOODS = phrases("""
    tired = müde; ill = krank; sad = traurig; happy = glücklich; hungry = hungrig; thirsty = durstig; angry = wütend
""")
STATES = phrases("open = offen; closed = geschlossen; clean = sauber; dirty = schmutzig; empty = leer; full = voll")
TEMPERATURES = phrases("cold = kalt; warm = warm")

# --- Time, number, place ----------------------------------------------------------------------------------------------

OFTEN = phrases("often = oft; always = immer; sometimes = manchmal; rarely = selten; never = nie")
NEVER = OFTEN[-1]
REPEATED = phrases("""
    every day = jeden Tag; every morning = jeden Morgen; every evening = jeden Abend
    every week = jede Woche; every Sunday = jeden Sonntag
""")
COMING = phrases("""
    tomorrow = morgen; tomorrow evening = morgen Abend; this evening = heute Abend
    next week = nächste Woche; next year = nächstes Jahr; soon = bald
""")
COMING_DAYS = COMING[:3]
GONE = phrases("""
    yesterday = gestern; yesterday evening = gestern Abend; this morning = heute Morgen
    last week = letzte Woche; last year = letztes Jahr; last summer = letzten Sommer
""")
GONE_DAYS = GONE[:3]
WEEKDAYS = phrases("""
    on Monday = am Montag; on Tuesday = am Dienstag; on Wednesday = am Mittwoch; on Thursday = am Donnerstag
    on Friday = am Freitag; on Saturday = am Samstag
""")
MONTHS = phrases("""
    in January = im Januar; in March = im März; in May = im Mai; in July = im Juli; in October = im Oktober
    in summer = im Sommer; in winter = im Winter
""")
NUMBERS = phrases("""
    one = eins; two = zwei; three = drei; four = vier; five = fünf; six = sechs; seven = sieben; eight = acht
    nine = neun; ten = zehn; eleven = elf; twelve = zwölf
""")
PRICES = phrases("twenty = zwanzig; thirty = dreißig; fifty = fünfzig; a hundred = hundert")

AT_HOME = Phrase("at home", "zu Hause")
HOME = Phrase("home", "nach Hause")
IN, INTO, ON, UNDER = phrases("in = in; into = in; on = auf; under = unter")
NEXT_TO, BEHIND, IN_FRONT_OF = phrases("next to = neben; behind = hinter; in front of = vor")
AT, TO, WITH = phrases("at = an; to = zu; with = mit")
BY = phrases("by train = mit dem Zug; by bus = mit dem Bus; by car = mit dem Auto; by ship = mit dem Schiff")

WHERE, WHEN_ASKED, WHAT, WHOM = phrases("where = wo; when = wann; what = was; who = wen")
BECAUSE, THAT, WHEN, WHETHER = phrases("because = weil; that = dass; when = wenn; whether = ob")

# --- Verbs ------------------------------------------------------------------------------------------------------------


def verbs(text: str) -> dict[str, Verb]:
    """Verbs by their English base form."""
    found = [verb(line.strip()) for line in text.strip().splitlines()]
    return {entry.english: entry for entry in found}


VERBS = {"be": BE, "have": HAVE} | verbs("""
    read, read, reading = lesen, liest, hat gelesen
    write, wrote, writing = schreiben, schreibt, hat geschrieben
    draw, drew, drawing = zeichnen, zeichnet, hat gezeichnet
    buy, bought, buying = kaufen, kauft, hat gekauft
    sell, sold, selling = verkaufen, verkauft, hat verkauft
    order, ordered, ordering = bestellen, bestellt, hat bestellt
    look for, looked for, looking for = suchen, sucht, hat gesucht
    find, found, finding = finden, findet, hat gefunden
    lose, lost, losing = verlieren, verliert, hat verloren
    forget, forgot, forgetting = vergessen, vergisst, hat vergessen
    take, took, taking = nehmen, nimmt, hat genommen
    see, saw, seeing = sehen, sieht, hat gesehen
    hear, heard, hearing = hören, hört, hat gehört
    visit, visited, visiting = besuchen, besucht, hat besucht
    meet, met, meeting = treffen, trifft, hat getroffen
    ask, asked, asking = fragen, fragt, hat gefragt
    understand, understood, understanding = verstehen, versteht, hat verstanden
    know, knew, knowing = kennen, kennt, hat gekannt
    love, loved, loving = lieben, liebt, hat geliebt
    like, liked, liking = mögen, mag, mochte
    need, needed, needing = brauchen, braucht, hat gebraucht
    eat, ate, eating = essen, isst, hat gegessen
    drink, drank, drinking = trinken, trinkt, hat getrunken
    cook, cooked, cooking = kochen, kocht, hat gekocht
    bake, baked, baking = backen, backt, hat gebacken
    open, opened, opening = öffnen, öffnet, hat geöffnet
    close, closed, closing = schließen, schließt, hat geschlossen
    clean, cleaned, cleaning = putzen, putzt, hat geputzt
    wash, washed, washing = waschen, wäscht, hat gewaschen
    repair, repaired, repairing = reparieren, repariert, hat repariert
    build, built, building = bauen, baut, hat gebaut
    wear, wore, wearing = tragen, trägt, hat getragen
    pick|up, picked up, picking up = ab|holen, holt ab, hat abgeholt
    call, called, calling = an|rufen, ruft an, hat angerufen
    invite, invited, inviting = ein|laden, lädt ein, hat eingeladen
    tidy, tidied, tidying = auf|räumen, räumt auf, hat aufgeräumt
    put|on, put on, putting on = an|ziehen, zieht an, hat angezogen
    try|on, tried on, trying on = an|probieren, probiert an, hat anprobiert
    turn|on, turned on, turning on = an|machen, macht an, hat angemacht
    turn|off, turned off, turning off = aus|machen, macht aus, hat ausgemacht
    give, gave, giving = geben, gibt, hat gegeben
    show, showed, showing = zeigen, zeigt, hat gezeigt
    send, sent, sending = schicken, schickt, hat geschickt
    bring, brought, bringing = bringen, bringt, hat gebracht
    lend, lent, lending = leihen, leiht, hat geliehen
    tell, told, telling = erzählen, erzählt, hat erzählt
    help, helped, helping = helfen, hilft, hat geholfen
    thank, thanked, thanking = danken, dankt, hat gedankt
    answer, answered, answering = antworten, antwortet, hat geantwortet
    follow, followed, following = folgen, folgt, ist gefolgt
    listen to, listened to, listening to = zu|hören, hört zu, hat zugehört
    belong to, belonged to, belonging to = gehören, gehört, hat gehört
    sleep, slept, sleeping = schlafen, schläft, hat geschlafen
    work, worked, working = arbeiten, arbeitet, hat gearbeitet
    play, played, playing = spielen, spielt, hat gespielt
    sing, sang, singing = singen, singt, hat gesungen
    dance, danced, dancing = tanzen, tanzt, hat getanzt
    laugh, laughed, laughing = lachen, lacht, hat gelacht
    cry, cried, crying = weinen, weint, hat geweint
    wait, waited, waiting = warten, wartet, hat gewartet
    speak, spoke, speaking = sprechen, spricht, hat gesprochen
    think, thought, thinking = denken, denkt, hat gedacht
    live, lived, living = wohnen, wohnt, hat gewohnt
    swim, swam, swimming = schwimmen, schwimmt, ist geschwommen
    run, ran, running = laufen, läuft, ist gelaufen
    go, went, going = gehen, geht, ist gegangen
    stay, stayed, staying = bleiben, bleibt, ist geblieben
    come, came, coming = kommen, kommt, ist gekommen
    travel, travelled, travelling = fahren, fährt, ist gefahren
    fly, flew, flying = fliegen, fliegt, ist geflogen
    come back, came back, coming back = zurück|kommen, kommt zurück, ist zurückgekommen
    get up, got up, getting up = auf|stehen, steht auf, ist aufgestanden
    go out, went out, going out = aus|gehen, geht aus, ist ausgegangen
    fall asleep, fell asleep, falling asleep = ein|schlafen, schläft ein, ist eingeschlafen
    watch television, watched television, watching television = fern|sehen, sieht fern, hat ferngesehen
    go shopping, went shopping, going shopping = ein|kaufen, kauft ein, hat eingekauft
    arrive, arrived, arriving = an|kommen, kommt an, ist angekommen
    leave, left, leaving = ab|fahren, fährt ab, ist abgefahren
    begin, began, beginning = an|fangen, fängt an, hat angefangen
    end, ended, ending = enden, endet, hat geendet
    lie, lay, lying = liegen, liegt, lag
    stand, stood, standing = stehen, steht, stand
    sit, sat, sitting = sitzen, sitzt, hat gesessen
    put, put, putting = legen, legt, hat gelegt
    cost, cost, costing = kosten, kostet, hat gekostet
    rain, rained, raining = regnen, regnet, hat geregnet
    snow, snowed, snowing = schneien, schneit, hat geschneit
    shine, shone, shining = scheinen, scheint, hat geschienen
    say, said, saying = sagen, sagt, hat gesagt
    hope, hoped, hoping = hoffen, hofft, hat gehofft
    believe, believed, believing = glauben, glaubt, hat geglaubt
""")
KNOW_THAT = verb("know, knew, knowing = wissen, weiß, wusste")  # to know a fact; kennen is to know a person or a thing

CAN = verb("can, could, - = können, kann, konnte")
HAVE_TO = verb("have to, had to, - = müssen, muss, musste")
WANT_TO = verb("want to, wanted to, - = wollen, will, wollte")
ALLOWED_TO = verb("be allowed to, was allowed to, - = dürfen, darf, durfte")
SHOULD = verb("should, -, - = sollten, sollte, -")  # no past is used
WOULD_LIKE_TO = verb("would like to, -, - = möchten, möchte, -")
MODALS = (CAN, HAVE_TO, WANT_TO, ALLOWED_TO, SHOULD, WOULD_LIKE_TO)
MODALS_WITH_PAST = (CAN, HAVE_TO, WANT_TO, ALLOWED_TO)

EVERY_NOUN = (
    PEOPLE | PARENTS | RELATIVES | ANIMALS | TEXTS | FOOD | GROCERIES | DRINKS | THINGS | DEVICES | VEHICLES | TRANSPORT
) | (CLOTHES | OPENINGS | FURNITURE | ROOMS | BUILDINGS | SETTLEMENTS | LANDMARKS | EVENTS | OTHER)


def named(words: str) -> dict[str, Noun]:
    """The nouns of these names: ``named("window, car")``."""
    return {word: EVERY_NOUN[word] for word in words.split(", ")}


ADJECTIVES: dict[Noun, Sequence[Phrase]] = {
    noun: adjectives
    for group, adjectives in (
        (PEOPLE | RELATIVES, ABOUT_PEOPLE),
        (named("child, boy, girl"), ABOUT_CHILDREN),  # the later group wins
        (ANIMALS | THINGS | DEVICES | VEHICLES | FURNITURE | OPENINGS, ABOUT_THINGS),
        (TEXTS, ABOUT_TEXTS),
        (FOOD, ABOUT_FOOD),
        (DRINKS, ABOUT_DRINKS),
        (CLOTHES, ABOUT_CLOTHES),
        (ROOMS | BUILDINGS | SETTLEMENTS, ABOUT_PLACES),
    )
    for noun in group.values()
}
KIN = PARENTS | RELATIVES


# --- What can be done to what -----------------------------------------------------------------------------------------

OBJECTS: dict[str, Mapping[str, Noun]] = {
    "read": TEXTS,
    "write": named("book, letter, message, story"),
    "draw": ANIMALS | named("house, bridge, church, boat"),
    "buy": THINGS | FOOD | GROCERIES | DRINKS | CLOTHES | DEVICES | VEHICLES | FURNITURE | named("book, newspaper"),
    "sell": THINGS | CLOTHES | DEVICES | VEHICLES | FURNITURE | named("house, horse"),
    "order": FOOD | GROCERIES | DRINKS | named("book"),
    "look for": THINGS | CLOTHES | TEXTS | ANIMALS,
    "find": THINGS | CLOTHES | TEXTS | ANIMALS,
    "lose": THINGS | named("jacket, hat, letter"),
    "forget": THINGS | CLOTHES | named("book, letter"),
    "take": THINGS | FOOD | CLOTHES | named("book, suitcase, box"),
    "see": ANIMALS | TRANSPORT | VEHICLES,
    "hear": ANIMALS | named("train, story"),
    "visit": named("museum, city, village, church, library"),
    "eat": FOOD | GROCERIES,
    "drink": DRINKS,
    "cook": named("egg, potato, soup, rice, meat"),
    "bake": named("cake, bread"),
    "open": OPENINGS | named("letter, bag"),
    "close": OPENINGS,
    "clean": ROOMS | named("window, table, car, bicycle"),
    "wash": CLOTHES | VEHICLES | named("cup, apple, dog"),
    "repair": DEVICES | VEHICLES | named("umbrella, camera, door, window, chair, phone"),
    "build": named("house, boat, bridge, table, cupboard"),
    "wear": CLOTHES,
    "tidy": named("room, kitchen, office, cupboard, house"),
    "put on": CLOTHES,
    "try on": CLOTHES,
    "turn on": DEVICES,
    "turn off": DEVICES,
}
TO_PEOPLE = ("visit", "meet", "ask", "see", "pick up", "call", "invite", "look for")
DATIVE_VERBS = ("help", "thank", "answer", "follow", "listen to")
GIFTS: dict[str, Mapping[str, Noun]] = {
    "give": THINGS | FOOD | TEXTS | CLOTHES,
    "show": TEXTS | VEHICLES | ROOMS | named("picture, camera, phone, ticket, gift, dog, cat, horse"),
    "send": named("letter, message, gift, picture, ticket, book, camera"),
    "bring": THINGS | FOOD | DRINKS | GROCERIES | named("book, newspaper, letter, chair, coat"),
    "lend": VEHICLES | CLOTHES | named("book, umbrella, camera, phone, bag, ball, suitcase"),
    "tell": named("story"),
    "write": named("letter, message, story"),
}
LASTING = (
    *("read", "write", "draw", "buy", "order", "look for", "eat", "drink", "cook", "bake", "open", "close", "clean"),
    *("wash", "repair", "tidy", "put on", "turn on", "turn off"),
)
USUAL = ("read", "write", "draw", "eat", "drink", "cook", "bake", "clean", "tidy")
HABITS = (*LASTING, "lose", "forget", "see", "hear", "wear", "visit")

INSIDE = ROOMS | BUILDINGS | SETTLEMENTS
WHERE_DONE: dict[str, tuple[Phrase, Mapping[str, Noun]]] = {
    "work": (IN, BUILDINGS | SETTLEMENTS | named("office, garden, kitchen")),
    "sleep": (IN, named("room, garden, house, hotel, office")),
    "play": (IN, SETTLEMENTS | ROOMS | named("school")),
    "sing": (IN, named("church, kitchen, garden, restaurant, park, school")),
    "dance": (IN, named("kitchen, garden, hotel, restaurant, park, room")),
    "swim": (IN, named("lake, river")),
    "wait": (AT, LANDMARKS | named("door, bridge, window")),
    "laugh": (IN, ROOMS | named("restaurant, school, park")),
    "cry": (IN, ROOMS | named("school, hospital, church")),
    "run": (IN, SETTLEMENTS | named("garden")),
    "stay": (IN, SETTLEMENTS | ROOMS | named("hotel, hospital")),
    "watch television": (IN, named("room, kitchen, hotel, hospital")),
    "go shopping": (IN, named("city, village")),
}
PLACELESS = ("get up", "fall asleep", "go out", "come back")
SOCIABLE = ("work", "play", "sing", "dance", "swim", "laugh", "go shopping", "go out", "watch television")
TARGETS = LANDMARKS | BUILDINGS | named("doctor")
LYING = THINGS | TEXTS | named("shirt, jacket, dress, hat")
SMALL = DEVICES | named("cup, box, suitcase")
BIG = FURNITURE | named("bicycle")
CONTAINERS = named("bag, box, suitcase, cupboard")
SPOTS = FURNITURE | named("door, window")
