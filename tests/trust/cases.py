"""Single inputs that search once failed, each with the right answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.trust.codes import invoice
from tests.trust.kinds import SURE, Ask, Shelf
from tests.trust.languages import languages
from tests.trust.latin import FRENCH, FRENCH_NOUNS, GERMAN_NAMES
from tests.trust.library import Found, Library, Stored, taken
from tests.trust.scripts import KOREAN, KOREAN_TEXTS, particle
from tests.trust.spelled import listed

CERTAIN = 0.9


class Want(Enum):
    """What is right."""

    FIRST = "the answer comes first"
    ALONE = "the answer comes first, and it alone scores above 0.9"
    FOUND = "the answer scores 0.5 or more"
    CERTAIN = "the answer scores 0.9 or more"
    AMONG_TEN = "the answer is among the first ten"
    SHARED = "there is one hit, which says that two share its text"
    BELOW = "nothing scores 0.5 or more"
    KEPT = "forgetting takes nothing, whatever the lowest score"

    def holds(self, hits: Sequence[Found], answer: int | None) -> bool:
        """Whether it does for the hits of a query."""
        first = hits[0].number if hits else None
        score = next((hit.score for hit in hits if hit.number == answer), 0.0)
        match self:
            case Want.FIRST:
                return first == answer
            case Want.ALONE:
                return [hit.number for hit in hits if hit.score > CERTAIN] == [answer] == [first]
            case Want.FOUND:
                return score >= SURE
            case Want.CERTAIN:
                return score >= CERTAIN
            case Want.AMONG_TEN:
                return answer in [hit.number for hit in hits[:10]]
            case Want.SHARED:
                return [hit.sharing for hit in hits] == [2]
            case Want.BELOW:
                return all(hit.score < SURE for hit in hits)
            case Want.KEPT:
                return not taken(hits, SURE)


@dataclass(frozen=True, slots=True)
class Case:
    """Texts, what is asked of them, and what is right."""

    name: str
    want: Want
    shelves: Sequence[Shelf]
    may_fail: int = 0
    """So many queries may be answered otherwise."""

    def failures(self) -> list[str]:
        """The queries that are answered otherwise."""
        return [text for shelf in self.shelves for text in self._failures(shelf)]

    def _failures(self, shelf: Shelf) -> Iterator[str]:
        library = Library(shelf.stored)
        for query, answer in shelf.asks:
            hits = library.search(query, 12, distinct=self.want is not Want.KEPT)
            if not self.want.holds(hits, answer):
                found = [(round(hit.score, 3), shelf.stored[hit.number]) for hit in hits[:2]]
                yield f"{query!r}: {found}"


def _shelf(stored: Sequence[Stored | str], *asks: tuple[str, int | None]) -> Shelf:
    return Shelf(stored, [Ask(*ask) for ask in asks])


def _each(text: str, words: Sequence[str], query: str = "{}") -> Shelf:
    """A memory of each word, and a query for each."""
    memories = [text.format(word) for word in words]
    return _shelf(memories, *((query.format(word), i) for i, word in enumerate(words)))


def _alone(*pairs: tuple[str, str]) -> list[Shelf]:
    """Each memory by itself, with a query that it answers."""
    return [_shelf([memory], (query, 0)) for memory, query in pairs]


def _unrelated(*pairs: tuple[str, str]) -> list[Shelf]:
    """Each memory by itself, with a query that it has nothing to do with."""
    return [_shelf([memory], (query, None)) for memory, query in pairs]


_VERSIONS = [
    f"{major}.{minor}.{patch}" for major in range(6) for minor in range(6) for patch in range(6)
]
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATES = [
    f"2026-{month:02}-{day + 1:02}" for month, days in enumerate(_DAYS, 1) for day in range(days)
]
_TIMES = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(0, 60, 6)]

_NUMBERS = Random(48213).sample(
    [
        f"{book}/{page}/{line}"
        for book in range(1, 9)
        for page in range(1, 11)
        for line in range(20)
    ],
    300,
)
_INVOICES = [invoice(Random(number), number) for number in _NUMBERS[:200]]

_ORDER = (
    Case("decimals", Want.ALONE, [_shelf(["1.2", "2.1"], ("2.1", 1))]),
    Case("versions", Want.FIRST, [_each("Release {} fixed the harbour lights.", _VERSIONS)]),
    Case("dates", Want.FIRST, [_each("On {} the pump was checked.", _DATES)]),
    Case("times", Want.FIRST, [_each("The boat left at {}.", _TIMES)]),
    Case(
        "codes",
        Want.FIRST,
        [
            _shelf(
                ["A-17/b is the locker of the night shift, behind the second door", "17-A/b"],
                ("A-17/b", 0),
            )
        ],
    ),
    Case(
        "addresses",
        Want.FIRST,
        [
            _shelf(
                ["ada@plum.harbour.example", "ada.plum@harbour.example"],
                ("ada.plum@harbour.example", 1),
            )
        ],
    ),
    Case(
        "invoices",
        Want.FIRST,
        [
            _shelf(
                _INVOICES,
                *(
                    (f"has invoice {number} been paid in cash?", i)
                    for i, number in enumerate(_NUMBERS[:200])
                ),
            )
        ],
        may_fail=5,
    ),
)

_COMMIT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
_OTHER_COMMIT = "60303ae22b998861bce3b28f33eec1be758a213c86c93c07"
_ABSENT = [
    _shelf(["Invoice 48213"], ("Invoice 31284", None)),
    _shelf(["Call Bo at 555-0142"], ("Call Bo at 555-0199", None)),
    _shelf(["The PIN is 7315"], ("PIN 5137", None)),
    _shelf(["ERR_4032 means the pump is dry"], ("ERR_3024", None)),
    _shelf([f"The lights were mended in {_COMMIT}"], (_OTHER_COMMIT, None)),
]
_ABSENT_INVOICES = [
    _shelf(_INVOICES, *((f"Invoice {number} was paid", None) for number in _NUMBERS[200:]))
]
_NOT_THERE = (
    Case("absent numbers", Want.BELOW, _ABSENT),
    Case("forgetting by absent numbers", Want.KEPT, _ABSENT),
    Case("absent invoices", Want.BELOW, _ABSENT_INVOICES),
    Case("forgetting by absent invoices", Want.KEPT, _ABSENT_INVOICES),
)

_ARABIC = (
    "أعمل في مكتب صغير قرب الميناء",
    "اشتريت خبزا طازجا هذا الصباح",
    "أخي يسكن في الطابق الرابع",
    "موعد الطبيب يوم الأحد",
    "زرعنا شجرة ليمون خلف البيت",
    "القطار إلى الجنوب تأخر ساعتين",
)


def _strangers() -> Iterator[Shelf]:
    """One memory, one word that has nothing to do with it."""
    for language in languages():
        if language.name in ("Greek", "Hindi", "Georgian", "Amharic", "Punjabi"):
            for number, memory in enumerate(language.memories):
                word = language.words[number % len(language.words)]
                yield _shelf([memory], (word, None))


def _korean() -> Shelf:
    random = Random(50)
    stored = [particle(random, noun) for noun in KOREAN.split()[:50]]
    return _shelf(
        [random.choice(KOREAN_TEXTS).format(written) for written, _ in stored],
        *((noun, number) for number, (_, noun) in enumerate(stored)),
    )


_UMLAUTS = (
    *("Müller:Mueller", "Köhler:Koehler", "Jäger:Jaeger", "König:Koenig", "Krüger:Krueger"),
    *("Böhm:Boehm", "Günther:Guenther", "Schröder:Schroeder", "Möller:Moeller", "Bäcker:Baecker"),
    *("Kühn:Kuehn", "Höfer:Hoefer", "Dürer:Duerer", "Händel:Haendel", "Göbel:Goebel"),
    *("Käthe:Kaethe", "Jörg:Joerg", "Lüders:Lueders", "Schäfer:Schaefer", "Förster:Foerster"),
)
_COMPOUNDS = (
    ("Haftpflichtversicherung im Juli gekündigt", "Versicherung"),
    ("Der Wohnungsschlüssel liegt bei den Nachbarn", "Schlüssel"),
    ("Die Waschmaschine schleudert nicht mehr", "Maschine"),
    ("Neue Winterreifen stehen im Keller", "Reifen"),
    ("Der Mietvertrag endet im Herbst", "Vertrag"),
    ("Die Stromrechnung ist zu hoch", "Rechnung"),
    ("Der Zahnarzttermin wurde verschoben", "Termin"),
    ("Ein Geburtstagsgeschenk für Ida fehlt noch", "Geschenk"),
    ("Das Bücherregal ist zu schmal", "Regal"),
    ("Mein Regenschirm blieb im Zug", "Schirm"),
)
_TURKISH = (
    ("DİYARBAKIR", "Diyarbakır"),
    ("IŞIK", "ışık"),
    ("İZMİR", "izmir"),
    ("ISPARTA", "Isparta"),
    ("KIRMIZI BALIK", "kırmızı balık"),
    ("ÇIKIŞ", "çıkış"),
    ("SINIF", "sınıf"),
    ("BİLGİ", "bilgi"),
    ("YILDIZ", "yıldız"),
    ("İSKELE", "iskele"),
)
_DEVANAGARI_NUMBER = "कमरा ४५६ खाली है"

_LANGUAGES = (
    Case("office and dog", Want.BELOW, _unrelated(("مكتب", "كلب"))),
    Case("forgetting an office by a dog", Want.KEPT, _unrelated(("مكتب", "كلب"))),
    Case(
        "unrelated Arabic words",
        Want.BELOW,
        [_shelf(_ARABIC, *((word, None) for word in ("فيل", "موسيقى", "جليد", "ملعقة", "حرب")))],
    ),
    Case("unrelated words in five scripts", Want.BELOW, list(_strangers())),
    Case(
        "Arabic signs and letters",
        Want.FOUND,
        _alone(("كِتاب", "كتاب"), ("آسفي", "اسفي"), ("علی", "علي")),
    ),
    Case("Hebrew points", Want.FOUND, _alone(("שָׁלוֹם", "שלום"))),
    Case("Korean particles, first", Want.FIRST, [_korean()]),
    Case("Korean particles, found", Want.FOUND, [_korean()], may_fail=5),
    Case(
        "folded letters",
        Want.FOUND,
        _alone(
            ("Łódź", "Lodz"), ("Øresund", "Oresund"), ("Đà Nẵng", "Da Nang"), ("Æther", "Aether")
        ),
    ),
    Case(
        "umlauts",
        Want.FOUND,
        [
            _shelf(
                [
                    GERMAN_NAMES[number % len(GERMAN_NAMES)].format(pair.split(":")[0])
                    for number, pair in enumerate(_UMLAUTS)
                ],
                *((pair.split(":")[1], number) for number, pair in enumerate(_UMLAUTS)),
            )
        ],
        may_fail=2,
    ),
    Case("German compounds", Want.FOUND, _alone(*_COMPOUNDS), may_fail=2),
    Case("Turkish capitals", Want.FOUND, _alone(*_TURKISH), may_fail=1),
    Case("water", Want.FOUND, _alone(("L'eau est froide", "eau"))),
    Case(
        "French nouns",
        Want.FOUND,
        [
            _shelf(
                [
                    FRENCH[number % len(FRENCH)].format(stored)
                    for number, (stored, _) in enumerate(listed(FRENCH_NOUNS)(Random(1))[:30])
                ],
                *(
                    (noun, number)
                    for number, (_, noun) in enumerate(listed(FRENCH_NOUNS)(Random(1))[:30])
                ),
            )
        ],
    ),
    Case(
        "apostrophes",
        Want.FOUND,
        _alone(("İstanbul'da", "İstanbul"), ("O'Brien", "OBrien"), ("O'Brien", "Brien")),
    ),
    Case(
        "digits of other scripts",
        Want.FOUND,
        _alone(("room ٣٤٥", "345"), (_DEVANAGARI_NUMBER, "456"), ("४५६", "456")),
    ),
    Case("Devanagari nasals", Want.FOUND, _alone(("हिन्दी", "हिंदी"))),
    Case(
        "soft hyphens",
        Want.CERTAIN,
        _alone(("Donau\u00addampf\u00adschiff", "Donaudampfschiff")),
    ),
)

_ENGLISH = (
    "The lamp on the pier is out again.",
    "We are to be at the harbour before six.",
    "Bread and cheese are in the galley.",
)
_CONVERSATION = (
    Stored("I bought two tickets for the concert.", "Ada", document="chat"),
    Stored("Nice! I bought tickets for the ferry.", "Will", document="chat"),
    Stored("The weather will be fine.", "Ada", document="chat"),
)
_NAMES = (
    Case(
        "a speaker named Will",
        Want.FIRST,
        [_shelf(_CONVERSATION, ("What tickets did Will buy?", 1))],
    ),
    Case(
        "names in programs",
        Want.FOUND,
        _alone(
            ("getUserById", "user by id"),
            ("getUserById", "get_user_by_id"),
            ("MAX_RETRY_COUNT", "maxRetryCount"),
        ),
    ),
    Case(
        "joined words",
        Want.FOUND,
        _alone(
            ("plug-in", "plugin"),
            ("e-mail", "email"),
            ("on-line", "online"),
            ("iPhone15", "iPhone 15"),
            ("utf8mb4", "utf8"),
            ("ERR_4032", "ERR4032"),
        ),
    ),
    Case(
        "the day of a message",
        Want.FOUND,
        [
            _shelf(
                [Stored("The pump is dry.", "Ada", "2026-03-01T23:30:00-05:00", "chat")],
                ("2026-03-01", 0),
            )
        ],
    ),
    Case(
        "stop words alone",
        Want.FOUND,
        [_shelf(["to be or not to be", *_ENGLISH], ("to be or not to be", 0))],
    ),
)

_ASKED = (
    Stored("Where is the spare key?", "Bo", document="chat"),
    Stored("It hangs behind the door of the shed.", "Mia", document="chat"),
    Stored("Thank you, I see it.", "Bo", document="chat"),
)
_TWICE = "The spare key hangs behind the door of the shed."
_TWINS = (
    Case(
        "a memory and a chunk of one text",
        Want.FIRST,
        [_shelf([Stored(_TWICE, "Mia", document="chat"), _TWICE], ("spare key", 1))],
    ),
    Case("two memories of one text", Want.SHARED, [_shelf([_TWICE, _TWICE], ("spare key", None))]),
    Case("a stored question", Want.FIRST, [_shelf(_ASKED, ("Where is the spare key?", 1))]),
)

CASES: Sequence[Case] = (*_ORDER, *_NOT_THERE, *_LANGUAGES, *_NAMES, *_TWINS)


def cases(names: Iterable[str] = ("",)) -> Sequence[Case]:
    """Those whose name begins with one of these."""
    beginnings = tuple(name.lower() for name in names)
    return [case for case in CASES if case.name.lower().startswith(beginnings)]
