"""Kinds of numbers and codes: what is written in one way, and means another in another order.

Each library has codes and, for each, another of the same parts in another order. Asked for
are those, and more of that sort that it does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.trust.kinds import EXACT, Ask, Kind, Shelf

Code = Callable[[Random], str]
Twist = Callable[[Random, str], str]

_PAIRS = 100
_ABSENT = 150
_TRIES = 200

_AROUND = ("({})", "[{}]", "{},", "{};", "«{}»", "<{}>", "*{}*", "`{}`", "'{}'", "{}:", "{}!")
_WRAPPED = 0.2
"""So often a code stands in punctuation."""

_SITUATIONS = (
    *("Bo noticed it first.", "Ada wrote it on the board.", "The harbour master was told."),
    *("It rained all that day.", "Nobody has complained since.", "We talk about it on Monday."),
    *("Mia keeps the papers.", "The old ferry was late again.", "It took an hour altogether."),
)


def _digits(least: int, most: int) -> Code:
    def code(random: Random) -> str:
        first = random.choice("123456789")
        return first + "".join(random.choices("0123456789", k=random.randint(least, most) - 1))

    return code


def _swapped(random: Random, code: str) -> str:
    """Two characters, both digits or both letters, change places."""
    letters = list(code)
    same = str.isdigit if random.random() < 0.8 or not re.search("[a-zA-Z]", code) else str.isalpha
    places = [i for i, letter in enumerate(letters) if same(letter)]
    one, other = random.sample(places, 2) if len(places) > 1 else (0, 0)
    letters[one], letters[other] = letters[other], letters[one]
    return "".join(letters)


def _reordered(separators: str) -> Twist:
    """The parts between separators, which stay, in another order."""

    def twist(random: Random, code: str) -> str:
        pieces = re.split(f"([{re.escape(separators)}])", code)
        parts = pieces[::2]
        random.shuffle(parts)
        pieces[::2] = parts
        return "".join(pieces)

    return twist


def _date(random: Random) -> str:
    return f"20{random.randint(20, 29)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _other_date(random: Random, code: str) -> str:
    year, month, day = code.split("-")
    if int(day) <= 12 and random.random() < 0.7:
        return f"{year}-{day}-{month}"
    return f"{year}-{random.randint(1, 12):02}-{day}"


def _time(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}"


def _other_time(random: Random, code: str) -> str:
    hour, minute = code.split(":")
    if int(minute) < 24 and random.random() < 0.7:
        return f"{minute}:{hour}"
    return f"{random.randint(0, 23):02}:{minute}"


def _version(random: Random) -> str:
    return ".".join(str(random.randint(0, 12)) for _ in range(3))


def _decimal(random: Random) -> str:
    return f"{random.randint(1, 99)}.{random.randint(1, 99)}"


def _address(random: Random) -> str:
    return ".".join(str(random.choice((10, 172, 192, random.randint(1, 254)))) for _ in range(4))


def _slashed(random: Random) -> str:
    return f"{random.choice('ABCDEF')}-{random.randint(1, 99)}/{random.choice('abcdef')}"


def _unslashed(random: Random, code: str) -> str:
    letter, number, last = re.split("[-/]", code)
    return random.choice(
        (f"{number}-{letter}/{last}", f"{last.upper()}-{number}/{letter.lower()}", _slashed(random))
    )


def _error(random: Random) -> str:
    return f"{random.choice(('ERR', 'WARN', 'SYS', 'NET', 'DB'))}_{random.randint(1000, 9999)}"


def _ticket(random: Random) -> str:
    return f"{random.choice(('PUMP', 'DOCK', 'BOAT', 'SAIL'))}-{random.randint(100, 9999)}"


def _hash_number(random: Random) -> str:
    return f"#{random.randint(100, 99999)}"


def _phone(random: Random) -> str:
    if random.random() < 0.5:
        return f"555-{random.randint(0, 9999):04}"
    return f"0{random.randint(20, 99)}-{random.randint(1000, 9999)}-{random.randint(0, 9999):04}"


def _pin(random: Random) -> str:
    return f"{random.randint(0, 9999):04}"


def _commit(random: Random) -> str:
    size = random.choice((8, 10, 12, 40))
    return "".join(random.choices("0123456789abcdef", k=size - 2)) + f"{random.randint(10, 99)}"


def _part_number(random: Random) -> str:
    letters = "".join(random.choices("ABCDEFGHKLMNPRSTX", k=2))
    return f"{letters}{random.randint(100, 9999)}{random.choice(('', 'A', 'B'))}"


def _identifier(random: Random) -> str:
    digits = "".join(random.choices("0123456789abcdef", k=32))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _endpoint(random: Random) -> str:
    return f"10.{random.randint(0, 9)}.{random.randint(0, 9)}.{random.randint(1, 254)}:" + str(
        random.choice((80, 443, 5432, 8080, 8443, 9090))
    )


def _file(random: Random) -> str:
    name = random.choice(("report", "tariff", "ledger", "roster"))
    return (
        f"{name}_20{random.randint(20, 29)}-{random.randint(1, 12):02}_{random.randint(1, 9)}.pdf"
    )


_NAMES = ("ada", "bo", "mia", "olga", "tim", "plum", "stone", "harbour", "quay", "ferry")


def _mail(random: Random) -> str:
    one, two, three = random.sample(_NAMES, 3)
    return f"{one}.{two}@{three}.example"


def _isbn(random: Random) -> str:
    return f"978-{random.randint(0, 9)}-{random.randint(10, 99)}-" + "-".join(
        (f"{random.randint(0, 999999):06}", str(random.randint(0, 9)))
    )


def _dotted_date(random: Random) -> str:
    year, month, day = _date(random).split("-")
    return f"{day}.{month}.{year}"


def _other_dotted_date(random: Random, code: str) -> str:
    return ".".join(reversed(_other_date(random, "-".join(reversed(code.split(".")))).split("-")))


def _handle(random: Random) -> str:
    one, two = random.sample(_NAMES, 2)
    return f"@{one}_{two}{random.randint(1, 999)}"


def _link(random: Random) -> str:
    one, two = random.sample(_NAMES, 2)
    return f"https://{one}.example/{two}/{random.randint(1, 40)}/{random.randint(1, 99)}"


def _other_link(random: Random, code: str) -> str:
    scheme, place = code.split("://")
    return f"{scheme}://{_swapped(random, place)}"


def _candidate(random: Random) -> str:
    suffix = random.choice(("rc", "beta", "alpha"))
    return f"v{_version(random)}-{suffix}.{random.randint(1, 9)}"


def _grouped(random: Random) -> str:
    return " ".join(
        (
            f"0{random.randint(20, 99)}",
            str(random.randint(1000, 9999)),
            f"{random.randint(0, 99):02}",
        )
    )


def _flight(random: Random) -> str:
    """Of one line, whatever the order of its digits."""
    number = random.randint(100, 9999)
    return f"{('LH', 'SK', 'KL', 'BA', 'AF')[sum(map(int, str(number))) % 5]} {number}"


def _other_flight(random: Random, code: str) -> str:
    line, number = code.split()
    return f"{line} {_swapped(random, number)}"


def _ratio(random: Random) -> str:
    return f"{random.randint(1, 40)}/{random.randint(1, 40)}"


def _pairs(random: Random, code: Code, twist: Twist) -> tuple[list[str], list[str]]:
    """Codes each with another of its sort, and codes of that sort that are not among them."""
    stored: dict[str, None] = {}
    for _ in range(_TRIES * _PAIRS):
        one = code(random)
        other = twist(random, one)
        if one != other and one not in stored and other not in stored:
            stored |= {one: None, other: None}
        if len(stored) == 2 * _PAIRS:
            break
    absent: dict[str, None] = {}
    kept = list(stored)
    for _ in range(_TRIES * _ABSENT):
        other = twist(random, random.choice(kept)) if random.random() < 0.7 else code(random)
        if other not in stored:
            absent[other] = None
        if len(absent) == _ABSENT:
            break
    return kept, list(absent)


def exact(
    name: str,
    code: Code,
    twist: Twist,
    texts: Sequence[str],
    queries: Sequence[str],
) -> Kind:
    """A kind of codes.

    Args:
        name: Of the kind.
        code: Makes one.
        twist: Makes one that is easily taken for a given one.
        texts: What is stored, with {} where the code is.
        queries: How it is asked for.
    """

    def make(random: Random) -> Iterator[Shelf]:
        stored, absent = _pairs(random, code, twist)
        random.shuffle(stored)

        def put(forms: Sequence[str], one: str) -> str:
            around = random.choice(_AROUND) if random.random() < _WRAPPED else "{}"
            return random.choice(forms).format(around.format(one))

        memories = [put(texts, one) for one in stored]
        asks = [Ask(put(queries, one), number) for number, one in enumerate(stored)]
        asks += [Ask(put(queries, one), None) for one in absent]
        yield Shelf(memories, asks)

    return Kind(name, EXACT, make)


def _numbered(random: Random) -> str:
    return f"{random.randint(1, 9)}/{random.randint(1, 12)}/{random.randint(1, 30)}"


_PAID = ("in cash at the counter", "by card", "with a cheque", "by transfer in the evening")
_PAYERS = ("Bo", "Ada", "Mia", "The harbour master")
_RECEIPTS = (
    "The receipt is in the blue folder.",
    "Olga keeps the receipt.",
    "No receipt was given.",
)


def invoice(random: Random, number: str) -> str:
    """Four sentences, and the number in one of them."""
    return (
        f"Invoice {number} came from the ropery. {random.choice(_PAYERS)} paid it "
        f"{random.choice(_PAID)}. {random.choice(_SITUATIONS)} {random.choice(_RECEIPTS)}"
    )


def _invoices(random: Random) -> Iterator[Shelf]:
    for number, twist in ((_digits(5, 5), _swapped), (_numbered, _reordered("/"))):
        stored, absent = _pairs(random, number, twist)
        queries = ("has invoice {} been paid in cash?", "Invoice {} was paid", "invoice {}")
        asks = [Ask(random.choice(queries).format(one), i) for i, one in enumerate(stored)]
        asks += [Ask(random.choice(queries).format(one), None) for one in absent]
        yield Shelf([invoice(random, one) for one in stored], asks)


def _in_digits(digits: str) -> Callable[[str], str]:
    table = str.maketrans("0123456789", digits)
    return lambda code: code.translate(table)


_DIGITS = (
    *("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "০১২৩৪৫৬৭৮৯", "๐๑๒๓๔๕๖๗๘๙"),
    *("௦௧௨௩௪௫௬௭௮௯", "０１２３４５６７８９", "੦੧੨੩੪੫੬੭੮੯"),
)


def _foreign_digits(random: Random) -> Iterator[Shelf]:
    """Numbers in the digits of one script, asked for in those of another."""
    for digits in _DIGITS:
        stored, absent = _pairs(random, _digits(3, 4), _swapped)
        stored, absent = stored[:30], absent[:30]
        foreign = _in_digits(digits)
        texts = ("The key of room {} is lost.", "Room {} has a view of the sea.", "room {}")
        queries = ("{}", "room {}", "who sleeps in room {}?")
        write, type_ = (foreign, str) if random.random() < 0.6 else (str, foreign)
        memories = [random.choice(texts).format(write(number)) for number in stored]
        asks = [Ask(random.choice(queries).format(type_(n)), i) for i, n in enumerate(stored)]
        asks += [Ask(random.choice(queries).format(type_(n)), None) for n in absent]
        yield Shelf(memories, asks)


CODES = (
    exact(
        "numbers",
        _digits(4, 6),
        _swapped,
        ("Order {} went out on the early boat.", "The crate with number {} is in the shed."),
        ("{}", "order {}", "where is crate {}", "Has number {} been sent?"),
    ),
    exact(
        "decimals",
        _decimal,
        _reordered("."),
        ("The rope weighs {} kilos.", "{} is what the scale in the shed shows.", "{}"),
        ("{}", "which rope weighs {} kilos?", "scale {}"),
    ),
    exact(
        "versions",
        _version,
        _reordered("."),
        ("Release {} fixed the harbour lights.", "We went back to {} after the outage."),
        ("{}", "release {}", "What did version {} fix?"),
    ),
    exact(
        "ISO dates",
        _date,
        _other_date,
        ("The pump was checked on {}.", "{}: the boats stayed in because of fog."),
        ("{}", "what happened on {}?", "boats {}"),
    ),
    exact(
        "times of day",
        _time,
        _other_time,
        ("The bus to the ferry leaves at {}.", "At {} the lamp on the pier goes on."),
        ("{}", "bus at {}", "what leaves at {}?"),
    ),
    exact(
        "addresses of machines",
        _address,
        _reordered("."),
        ("The printer answers at {}.", "{} is the camera on the pier."),
        ("{}", "which machine is {}?", "printer {}"),
    ),
    exact(
        "addresses with a port",
        _endpoint,
        _swapped,
        ("The lamp control listens on {}.", "Backups go to {} each night."),
        ("{}", "what listens on {}", "backups {}"),
    ),
    exact(
        "codes such as A-17/b",
        _slashed,
        _unslashed,
        ("Locker {} belongs to the night shift.", "The valve {} drips a little."),
        ("{}", "locker {}", "who has {}?", "valve {} drips"),
    ),
    exact(
        "codes such as ERR_4032",
        _error,
        _swapped,
        ("{} means the pump is dry.", "The panel showed {} during the storm."),
        ("{}", "what does {} mean?", "pump shows {}"),
    ),
    exact(
        "codes such as DOCK-1042",
        _ticket,
        _swapped,
        ("{} is about the broken crane.", "Mia has closed {} this week."),
        ("{}", "who closed {}?", "state of {}"),
    ),
    exact(
        "codes such as #1042",
        _hash_number,
        _swapped,
        ("Request {} asks for longer opening hours.", "{} was merged by Olga."),
        ("{}", "who merged {}", "request {}"),
    ),
    exact(
        "part numbers",
        _part_number,
        _swapped,
        ("The seal is part {}.", "We ordered two {} for the winch."),
        ("{}", "part {}", "how many {} did we order?"),
    ),
    exact(
        "e-mail addresses",
        _mail,
        _reordered(".@"),
        ("Write to {} about the keys.", "{} has asked for the tide tables."),
        ("{}", "who is {}?", "tide tables {}"),
    ),
    exact(
        "phone numbers",
        _phone,
        _swapped,
        ("Call Bo at {} before noon.", "The tow truck has the number {}."),
        ("{}", "Call Bo at {}", "whose number is {}?"),
    ),
    exact(
        "PINs",
        _pin,
        _swapped,
        ("The PIN is {}.", "The door of the boathouse opens with {}."),
        ("{}", "PIN {}", "which door opens with {}?"),
    ),
    exact(
        "commit ids",
        _commit,
        _swapped,
        ("Commit {} broke the night build.", "The lights were mended in {}."),
        ("{}", "commit {}", "What was changed in {}?"),
    ),
    exact(
        "identifiers",
        _identifier,
        _swapped,
        ("The session {} ended early.", "Device {} reports the water level."),
        ("{}", "device {}", "when did session {} end?"),
    ),
    exact(
        "names of files",
        _file,
        _swapped,
        ("The figures are in {}.", "{} has to be signed by Tim."),
        ("{}", "who signs {}?", "figures {}"),
    ),
    exact(
        "fractions and house numbers",
        _ratio,
        _reordered("/"),
        ("The old net shop is at Quay Road {}.", "The hinge needs a screw of {}."),
        ("{}", "Quay Road {}", "what is at {}?"),
    ),
    exact(
        "ISBNs",
        _isbn,
        _swapped,
        ("The tide book has the number {}.", "{} is out of print."),
        ("{}", "which book is {}?", "ISBN {}"),
    ),
    exact(
        "dates with dots",
        _dotted_date,
        _other_dotted_date,
        ("Der Vertrag vom {} liegt im Ordner.", "Am {} war das Wasser hoch."),
        ("{}", "Vertrag vom {}", "Was war am {}?"),
    ),
    exact(
        "handles",
        _handle,
        _swapped,
        ("The photos are by {}.", "{} has asked about the boat."),
        ("{}", "photos by {}", "who is {}?"),
    ),
    exact(
        "links",
        _link,
        _other_link,
        ("The tide table is at {}", "See {} for the price of ropes."),
        ("{}", "tide table {}", "what is at {}"),
    ),
    exact(
        "versions with a suffix",
        _candidate,
        _swapped,
        ("We tested {} over night.", "{} breaks the horn."),
        ("{}", "who tested {}?", "release {}"),
    ),
    exact(
        "numbers in groups",
        _grouped,
        _swapped,
        ("The plumber answers at {} all day.", "Call {} when the pump stops."),
        ("{}", "who answers at {}?", "call {}"),
    ),
    exact(
        "flights",
        _flight,
        _other_flight,
        ("Ida arrives with {} in the evening.", "{} was cancelled because of fog."),
        ("{}", "flight {}", "was {} cancelled?"),
    ),
    Kind("invoices in four sentences", EXACT, _invoices),
    Kind("digits of other scripts", EXACT, _foreign_digits),
)
