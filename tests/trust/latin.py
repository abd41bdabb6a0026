"""Kinds of spellings in the Latin script: joined, split, accented, in another case."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.trust.kinds import SPELLED, Ask, Goals, Kind, Rate, Shelf
from tests.trust.spelled import Pair, both_ways, changed, listed, spelled

_COMPOUNDS: Goals = {Rate.FIRST: 0.8, Rate.FOUND: 0.8, Rate.WRONG: 0.05}

_NOTES = (
    "{} was what they talked about on the pier. The wind turned later, and Bo went home.",
    "Ada asked twice about {} this week.",
    "Remember {}. The rest of the list can wait until the spring. Mia has a copy of it.",
    (
        "There was rain in the morning. Then came {}, and after lunch the ferry left. Olga waved. "
        "We had bread and cheese on deck."
    ),
)
_PLACES = (
    "The train stops in {} for an hour. We had soup at the station. It rained. Bo slept.",
    "Ada spent a summer in {}.",
    "Mia sent a card from {}, with a lighthouse on it.",
)

_VERBS = ("get", "find", "load", "send", "count", "merge", "parse", "store", "close", "split")
_THINGS = ("user", "order", "crane", "cargo", "ferry", "ticket", "anchor", "winch", "harbour")
_KEYS = ("id", "name", "owner", "port", "status", "weight", "colour", "length")
_OTHER_VERBS = ("write", "build", "check", "paint", "shift")
_OTHER_THINGS = ("garden", "violin", "planet", "forest", "kettle", "lemon")


def _camel(words: Sequence[str]) -> str:
    return words[0] + "".join(word.capitalize() for word in words[1:])


_STYLES: tuple[Callable[[Sequence[str]], str], ...] = (
    _camel,
    "_".join,
    "-".join,
    lambda words: "_".join(words).upper(),
    lambda words: "".join(word.capitalize() for word in words),
)


def _identifiers(random: Random) -> Iterator[Shelf]:
    """Names in programs, each style asked for in another, or in plain words."""
    for _ in range(12):
        names = {
            (random.choice(_VERBS), random.choice(_THINGS), "by", random.choice(_KEYS))
            for _ in range(20)
        }
        stored = sorted(names)
        memories = []
        asks = []
        for number, words in enumerate(stored):
            written = random.choice(_STYLES)
            typed = random.choice((*(s for s in _STYLES if s is not written), " ".join, " ".join))
            memories.append(f"{written(words)} fails when the list is empty.")
            asks.append(Ask(typed(words), number))
        for _ in range(10):
            other = (random.choice(_OTHER_VERBS), random.choice(_OTHER_THINGS))
            asks.append(Ask(random.choice((*_STYLES, " ".join))(other), None))
        yield Shelf(memories, asks)


_MODELS = (
    "iPhone",
    "Pixel",
    "Galaxy",
    "ThinkPad",
    "Kindle",
    "Walkman",
    "Boeing",
    "Airbus",
    "Leica",
)
_CODES = ("ERR", "SYS", "NET", "DOCK", "PUMP")


def _borders(random: Random) -> Sequence[Pair]:
    """Letters and digits, joined in one way and another."""
    pairs: dict[str, str] = {}
    while len(pairs) < 40:
        name = random.choice((*_MODELS, *_CODES))
        number = random.randint(2, 99) if name in _MODELS else random.randint(1000, 9999)
        joints = ("", " ", "-") if name in _MODELS else ("", " ", "-", "_")
        one, other = random.sample(joints, 2)
        pairs.setdefault(f"{name}{one}{number}", f"{name}{other}{number}")
    numbers: dict[str, Pair] = {}
    for stored, typed in pairs.items():
        numbers.setdefault("".join(filter(str.isdigit, stored)), (stored, typed))
    return list(numbers.values())


_HYPHENED = """
    plug-in e-mail on-line check-in set-up log-in wi-fi make-up back-up start-up follow-up pre-paid
    re-open co-owner anti-rust by-pass cross-road drop-down fire-wall hand-made ice-box key-note
    life-boat main-land non-stop off-shore over-time pay-roll pop-up pre-heat re-paint sea-weed
    side-walk sub-way sun-roof tea-pot tip-off under-water up-stream water-proof web-site work-shop
    wind-mill zip-line
"""


def _unhyphened(_: Random, word: str) -> Pair:
    return word, word.replace("-", "")


FRENCH_NOUNS = """
    l'eau:eau l'école:école l'église:église l'avion:avion l'hôtel:hôtel l'horloge:horloge
    l'usine:usine l'ascenseur:ascenseur l'orage:orage l'île:île l'hiver:hiver l'automne:automne
    l'escalier:escalier l'assiette:assiette l'oreiller:oreiller l'armoire:armoire l'étoile:étoile
    l'encre:encre l'aiguille:aiguille l'abeille:abeille l'oignon:oignon l'ail:ail l'olive:olive
    l'orange:orange l'huile:huile l'épaule:épaule l'oreille:oreille l'œuf:œuf|oeuf l'ours:ours
    l'oiseau:oiseau l'arbre:arbre l'herbe:herbe l'ombre:ombre l'échelle:échelle l'épingle:épingle
    d'argent:argent d'acier:acier d'or:or d'ivoire:ivoire d'aspirine:aspirine d'essence:essence
    d'amandes:amandes d'abricots:abricots d'ananas:ananas d'avoine:avoine d'anguilles:anguilles
    l’éponge:éponge l’enclume:enclume l’évier:évier l’auberge:auberge
"""
FRENCH = (
    (
        "Hier nous avons beaucoup parlé de {}. Ma tante n'était pas contente. Il faisait froid. "
        "Nous sommes rentrés tard."
    ),
    (
        "Il ne reste plus rien à côté de {}. Bo a cherché partout. Personne ne sait pourquoi. "
        "Nous verrons lundi."
    ),
    (
        "Mia a écrit un long texte à propos de {}. Elle le lira ce soir. Tout le monde viendra. "
        "Il y aura du pain."
    ),
)

_APOSTROPHES = """
    O'Brien:OBrien|Brien|O’Brien O'Neill:ONeill|Neill|O’Neill O'Connor:OConnor|Connor
    O'Hara:OHara|Hara O'Leary:OLeary|Leary O'Sullivan:OSullivan|Sullivan O'Malley:OMalley|Malley
    O'Keefe:OKeefe|Keefe O'Rourke:ORourke|Rourke O'Donnell:ODonnell|Donnell O'Shea:OShea|Shea
    D'Angelo:DAngelo|Angelo D'Amico:DAmico|Amico D'Souza:DSouza|Souza D'Arcy:DArcy|Arcy
    L'Oréal:LOréal|LOreal|Oréal M'Bappé:MBappé|Bappé T'Pol:TPol|Pol Ba'ath:Baath
    İstanbul'da:İstanbul|istanbul Ankara'ya:Ankara İzmir'den:İzmir|izmir Bursa'nın:Bursa
    Antalya'da:Antalya Ayşe'nin:Ayşe|Ayse Mehmet'e:Mehmet Konya'dan:Konya
    dell'acqua:acqua all'aeroporto:aeroporto un'amica:amica nell'armadio:armadio
    sull'isola:isola quest'orologio:orologio dall'ufficio:ufficio l'edera:edera
    Nanna's:Nanna Fergus's:Fergus|Fergus’s rock'n'roll:rock
"""

_UMLAUTS = """
    Müller:Mueller|Muller Köhler:Koehler|Kohler Schäfer:Schaefer|Schafer Jäger:Jaeger|Jager
    König:Koenig|Konig Krüger:Krueger|Kruger Böhm:Boehm|Bohm Förster:Foerster|Forster
    Günther:Guenther|Gunther Schröder:Schroeder|Schroder Größe:Groesse|Grosse Vögel:Voegel|Vogel
    Lüders:Lueders|Luders Möller:Moeller|Moller Bäcker:Baecker|Backer Kühn:Kuehn|Kuhn
    Höfer:Hoefer|Hofer Löwe:Loewe|Lowe Dürer:Duerer|Durer Händel:Haendel|Handel
    Göbel:Goebel|Gobel Düsseldorf:Duesseldorf|Dusseldorf Köln:Koeln|Koln München:Muenchen|Munchen
    Nürnberg:Nuernberg|Nurnberg Lübeck:Luebeck|Lubeck Würzburg:Wuerzburg|Wurzburg
    Göttingen:Goettingen|Gottingen Münster:Muenster|Munster Tübingen:Tuebingen|Tubingen
    Zürich:Zuerich|Zurich Osnabrück:Osnabrueck|Osnabruck Jörg:Joerg|Jorg Jürgen:Juergen|Jurgen
    Björn:Bjoern|Bjorn Käthe:Kaethe|Kathe Süßmilch:Suessmilch|Sussmilch Weiß:Weiss
    Gößmann:Goessmann|Gossmann Fünfkirchen:Fuenfkirchen|Funfkirchen
"""
GERMAN_NAMES = (
    (
        "Der Brief an {} kam am Montag zurück. Auf dem Umschlag fehlte die Marke. Bo hat ihn noch "
        "einmal abgeschickt. Nun warten wir."
    ),
    "Am Abend ging es um {}. Das Essen war kalt. Alle blieben trotzdem sitzen. Mia ging zuerst.",
    "Über {} weiß Olga am meisten. Sie schreibt es auf. Das dauert noch. Im Herbst ist es fertig.",
)

_FOLDED = """
    Łódź:Lodz Wrocław:Wroclaw Białystok:Bialystok Wałęsa:Walesa Stanisław:Stanislaw
    Michał:Michal Łukasz:Lukasz Małgorzata:Malgorzata Chełm:Chelm Słupsk:Slupsk
    Øresund:Oresund Tromsø:Tromso Bodø:Bodo Sørensen:Sorensen Jørgen:Jorgen København:Kobenhavn
    Søren:Soren Helsingør:Helsingor Đà_Nẵng:Da_Nang Đồng_Nai:Dong_Nai Nguyễn_Đức:Nguyen_Duc
    Đorđe:Dorde Đurđevac:Durdevac Æther:Aether Færøerne:Faeroerne Ægir:Aegir
    Encyclopædia:Encyclopaedia Ærø:Aero Œuvre:Oeuvre Phœnix:Phoenix Cœur:Coeur
    Þórður:Thordur Þingvellir:Thingvellir
    Sigurður:Sigurdur Hafnarfjörður:Hafnarfjordur Guðrún:Gudrun Ħamrun:Hamrun Għargħur:Gharghur
    Diyarbakır:Diyarbakir Ağrı:Agri Kırşehir:Kirsehir Balıkesir:Balikesir Ålesund:Alesund
    Straße:Strasse
"""

_ACCENTED = """
    café:cafe naïve:naive São_Paulo:Sao_Paulo Bogotá:Bogota Córdoba:Cordoba Málaga:Malaga
    León:Leon Tōkyō:Tokyo Kōbe:Kobe Perú:Peru Québec:Quebec Besançon:Besancon Orléans:Orleans
    Nîmes:Nimes Genève:Geneve Plzeň:Plzen Děčín:Decin Žilina:Zilina Košice:Kosice Győr:Gyor
    Pécs:Pecs Brașov:Brasov Timișoara:Timisoara Iași:Iasi Šibenik:Sibenik Čakovec:Cakovec
    Rīga:Riga Jūrmala:Jurmala Huế:Hue Pärnu:Parnu Hällefors:Hallefors Göteborg:Goteborg
    Malmö:Malmo Växjö:Vaxjo Jyväskylä:Jyvaskyla Ñuñoa:Nunoa Évora:Evora Setúbal:Setubal
"""

_GERMAN_COMPOUNDS = """
    Haftpflichtversicherung:Versicherung Hausratversicherung:Versicherung
    Mietvertrag:Vertrag Arbeitsvertrag:Vertrag Kaufvertrag:Vertrag
    Geburtstagsgeschenk:Geschenk Abschiedsgeschenk:Geschenk
    Kellerfenster:Fenster Schlafzimmerfenster:Fenster Schaufenster:Fenster
    Wohnungsschlüssel:Schlüssel Autoschlüssel:Schlüssel Kellerschlüssel:Schlüssel
    Zahnarzttermin:Termin Besichtigungstermin:Termin Abgabetermin:Termin
    Fahrradschloss:Schloss Vorhängeschloss:Schloss
    Winterreifen:Reifen Ersatzreifen:Reifen Sommerreifen:Reifen
    Kaffeemaschine:Maschine Waschmaschine:Maschine Spülmaschine:Maschine
    Wandregal:Regal Schuhregal:Regal Schreibtischlampe:Lampe Stehlampe:Lampe
    Krankenkassenkarte:Karte Eintrittskarte:Karte Fahrkarte:Karte Landkarte:Karte
    Stromrechnung:Rechnung Handwerkerrechnung:Rechnung Telefonrechnung:Rechnung
    Wasserschlauch:Schlauch Feuerwehrschlauch:Schlauch Kirschkuchen:Kuchen Apfelkuchen:Kuchen
    Bergwanderung:Wanderung Nachtwanderung:Wanderung Segelboot:Boot Ruderboot:Boot
    Steuererklärung:Erklärung Bedienungsanleitung:Anleitung Bauanleitung:Anleitung
    Hundeleine:Leine Wäscheleine:Leine Regenschirm:Schirm Sonnenschirm:Schirm
    Kinderzimmer:Zimmer Badezimmer:Zimmer Wartezimmer:Zimmer Gästezimmer:Zimmer
    Hängebrücke:Brücke Eisenbahnbrücke:Brücke Gemüsegarten:Garten Biergarten:Garten
    Blumentopf:Topf Suppentopf:Topf Regenjacke:Jacke Lederjacke:Jacke Handtasche:Tasche
    Einkaufstasche:Tasche Sonnenbrille:Brille Lesebrille:Brille Zwiebelsuppe:Suppe Fischsuppe:Suppe
    Schwimmkurs:Kurs Sprachkurs:Kurs Kochbuch:Buch Tagebuch:Buch Backofen:Ofen Kachelofen:Ofen
"""
_GERMAN = (
    "{} ist seit gestern das Thema.",
    "Ohne {} geht es nicht, sagt Bo.",
    "Mia hat ein Bild davon: {} vor dem alten Haus am Hafen.",
    "Olga fragte dreimal nach {}. Eine Antwort bekam sie nicht.",
)


def _compounds(random: Random) -> Sequence[Pair]:
    """One compound of each noun."""
    pairs = list(listed(_GERMAN_COMPOUNDS)(random))
    random.shuffle(pairs)
    return list({typed: (stored, typed) for stored, typed in pairs}.values())


_TURKISH = """
    diyarbakır ışık isparta ırmak izmir istanbul kırmızı balık kayısı çıkış giriş bilgi sınıf
    ıspanak sigorta ilaç inşaat yıldız ızgara iplik tarih yağmurluk kıyı ısıtıcı şiir dilekçe
    sıcaklık hızlı iskele kılavuz pil fırtına bisiklet fırın altın iğne ıhlamur iskender vişne
    kirpi
"""
_TURKISH_TEXTS = (
    "Dün uzun uzun {} konusunu konuştuk. Hava soğuktu. Sonra eve döndük. Bo geç kaldı.",
    "Herkes {} için geldi.",
    "Ayla bize {} hakkında bir mektup yazdı. Mektup masada duruyor.",
)


def _turkish_cases(random: Random, word: str) -> Pair:
    upper = word.replace("i", "İ").replace("ı", "I").upper()
    title = upper[0] + word[1:]
    return random.choice(((upper, word), (word, upper), (title, upper), (upper, title)))


_LONG_WORDS = """
    Donaudampfschiff Hafenmeister lighthouse boathouse Geburtstagskuchen mountaineering
    Versammlungsort waterfront bibliothèque champignon constitution Wassermelone windscreen
    thunderstorm Zahnbürste marmalade grasshopper Straßenbahn chandelier dragonfly
    Taschenmesser gooseberry strawberry Kartoffelsalat blackboard university Schneeballschlacht
    parliament Gewitterwolke wheelbarrow caterpillar toothbrush Sonnenblume photograph
"""


def _invisible(random: Random, word: str) -> Pair:
    """Soft hyphens or characters without width, as copied from web pages."""
    sign = random.choice("\u00ad\u00ad\u200b\u2060\ufeff")
    places = sorted(random.sample(range(2, len(word) - 1), random.randint(1, 2)), reverse=True)
    stored = word
    for place in places:
        stored = stored[:place] + sign + stored[place:]
    return stored, word


def _compatible(random: Random, word: str) -> Pair:
    """Other code points for the same letters."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)
    ligature = word.replace("ffi", "ﬃ").replace("fi", "ﬁ").replace("fl", "ﬂ").replace("ff", "ﬀ")
    apart = unicodedata.normalize("NFD", word)
    forms = [form for form in (wide, ligature, apart, word.upper()) if form != word]
    return random.choice(((random.choice(forms), word), (word, random.choice(forms))))


_COMPATIBLE = """
    office coffee waffle flower flour finger figure fiddle raffle baffle affluent confident
    Söder Århus München Gävle Zoë Noël façade jalapeño crème brûlée piñata voilà señora über
    Åland Ängelholm Kraków Gdańsk Poznań Šumava Přerov Łomża Ústí Bülach Aéroport fjällräv gâteau
"""

_QUOTES = """
    about after all also and any are because before both but can could did does for from had has
    have how into its just more most not now off once only other our out over same should some
    such than that the their them then there these they this those through too until was were what
    when where which while who whose why will with would you your to be or if it is as at by do so
"""


def _stop_words(random: Random) -> Iterator[Shelf]:
    """Memories of words that say nothing by themselves, as titles and verses are."""
    words = _QUOTES.split()
    for _ in range(12):
        quotes = [" ".join(random.sample(words, random.randint(4, 6))) for _ in range(20)]
        others = [text.format("the anchor") for text in _NOTES]
        yield Shelf([*quotes, *others], [Ask(quote, i) for i, quote in enumerate(quotes)])


LATIN = (
    Kind("names in programs", SPELLED, _identifiers),
    spelled("letters and digits", _borders, _NOTES),
    spelled("hyphens", both_ways(changed(_HYPHENED, _unhyphened)), _NOTES),
    spelled(
        "French nouns behind l' and d'",
        listed(FRENCH_NOUNS),
        FRENCH,
        goals={**SPELLED, Rate.FOUND: 0.99},
    ),
    spelled("apostrophes", listed(_APOSTROPHES), _NOTES),
    spelled("umlauts", both_ways(listed(_UMLAUTS)), GERMAN_NAMES),
    spelled("letters such as ł ø đ æ", both_ways(listed(_FOLDED)), _PLACES),
    spelled("accents", both_ways(listed(_ACCENTED)), _PLACES),
    spelled("German compounds", _compounds, _GERMAN, goals=_COMPOUNDS),
    spelled("Turkish i and ı", changed(_TURKISH, _turkish_cases), _TURKISH_TEXTS),
    spelled("invisible characters", changed(_LONG_WORDS, _invisible), _NOTES),
    spelled("compatible forms", changed(_COMPATIBLE, _compatible), _NOTES),
    Kind("stop words alone", {Rate.FIRST: 0.9, Rate.FOUND: 0.9}, _stop_words),
)
