"""Kinds of what is asked of conversations: who said it, on which day, and what the answer was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from tests.trust.kinds import EXACT, Ask, Goals, Kind, Rate, Shelf
from tests.trust.library import Stored

_FIRST: Goals = {Rate.FIRST: 0.9, Rate.FOUND: 0.85}

_NAMES = ("Will", "May", "Can", "An", "My", "Do")
"""Names that are written as words that say nothing."""

_OTHERS = ("Ada", "Bo", "Mia", "Olga", "Tim", "Ida")
_GOODS = (
    *("tickets", "boots", "flowers", "lamps", "ropes", "plates", "candles", "maps", "paint"),
    *("umbrellas", "books", "chairs"),
)
_PLACES = ("for the ferry", "at the market", "near the pier", "for the party", "in the old town")


def _names(random: Random) -> Iterator[Shelf]:
    """Two speakers who do alike, and a question about the one with a name that is a word."""
    for name in _NAMES:
        for goods in _GOODS:
            for _ in range(3):
                other = random.choice(_OTHERS)
                one, two = random.sample(_PLACES, 2)
                said = [(name, one), (other, two)]
                random.shuffle(said)
                things = random.sample([thing for thing in _GOODS if thing != goods], 3)
                stored = [
                    *(Stored(f"I bought {goods} {place}.", speaker) for speaker, place in said),
                    *(Stored(f"We sold {thing} by the harbour.", other) for thing in things),
                ]
                right = next(i for i, item in enumerate(stored) if item.speaker == name)
                yield Shelf(stored, [Ask(f"What {goods} did {name} buy?", right)])


_SAID = (
    *("The crane is repaired.", "I found the blue rope.", "The tide is low.", "Nets are dry."),
    *("We need more paint.", "The lamp is out again.", "Bread is in the galley.", "Fog all day."),
)


def _dates(random: Random) -> Iterator[Shelf]:
    """Messages close to midnight: their day is that of where they were written."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    days = random.sample(range(720), 400)
    stored = []
    asks = []
    for number, day in enumerate(days):
        zone = timezone(timedelta(hours=random.choice((-8, -5, -3, 1, 2, 5, 9))))
        hour = random.choice((0, 1, 12, 22, 23))
        time = (first + timedelta(days=day)).replace(hour=hour, minute=30, tzinfo=zone)
        query = f"{time:%Y-%m-%d}"
        if number < len(days) // 2:
            stored.append(Stored(random.choice(_SAID), time=time.isoformat()))
            asks.append(Ask(query, number))
        else:
            asks.append(Ask(query, None))
    yield Shelf(stored, asks)


_ANSWERED = (
    ("Where is the spare key?", "It hangs behind the door of the shed, the spare key."),
    ("When does the last ferry leave?", "The last ferry leaves at a quarter past nine."),
    ("Who feeds the cat on Sunday?", "On Sunday Ida feeds the cat, she promised."),
    ("What did the doctor say?", "The doctor said that the knee needs six weeks of rest."),
    ("How do I reset the boiler?", "You reset the boiler with the red button below the gauge."),
    ("Which paint did we use for the hull?", "For the hull we used the grey paint from Bergen."),
    ("How much was the new anchor?", "The new anchor was four hundred crowns, with the chain."),
    ("Where did Tim park the van?", "Tim parked the van behind the church, near the well."),
    ("What is the name of the plumber?", "The name of the plumber is Stone, he lives uphill."),
    ("Can we bring the dog into the museum?", "The museum lets a dog in on a short lead."),
    ("Why is the lighthouse closed?", "The lighthouse is closed because the stairs are rotten."),
    ("When is the rent due?", "The rent is due on the third working day of the month."),
    ("Who has the drill?", "Olga has the drill, she is putting up shelves with it."),
    ("What time does the bakery open?", "The bakery opens at six, on holidays at seven."),
    ("Where are the life jackets stored?", "The life jackets are stored below the front bench."),
    ("How long does the glue take to dry?", "The glue takes a whole night to dry properly."),
    ("Which bus goes to the beach?", "The green bus goes to the beach, from the town hall."),
    ("What should I cook for the guests?", "For the guests cook the fish soup, all like it."),
    ("Is the bridge open for trucks?", "The bridge is open for trucks again since Monday."),
    ("Did the package from Oslo arrive?", "The package from Oslo arrived, it is on the desk."),
)
_OPENINGS = ("", "Tell me: ", "Mia, ", "Once more: ", "Hello, ", "By the way, ", "Sorry, ")


def _questions(random: Random) -> Iterator[Shelf]:
    """The turns of a chat; a question that was asked in it is asked again."""
    for _ in range(12):
        turns: list[Stored] = []
        asks: list[Ask] = []
        for question, answer in random.sample(_ANSWERED, len(_ANSWERED)):
            asked = random.choice(_OPENINGS) + question
            asks.append(Ask(random.choice((asked, question)), len(turns) + 1))
            turns += [
                Stored(asked, "Bo", document="chat"),
                Stored(answer, "Mia", document="chat"),
            ]
        yield Shelf(turns, asks)


TALK = (
    Kind("names that are stop words", _FIRST, _names),
    Kind("days of messages", EXACT, _dates),
    Kind("questions asked before", _FIRST, _questions),
)
