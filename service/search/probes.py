"""Calibration of an unknown embedder, measured on probe texts.

Embedders differ: for two unrelated texts one gives 0.0, another
0.75. Questions and statements on sixteen different subjects, embedded once, show
where an embedder's noise floor lies.
"""

from __future__ import annotations

import numpy as np

from service.search.columns import Floats
from service.search.weights import TRANSFORMER, Calibration

QUESTIONS = (
    "What does she do for a living?",
    "Which instrument is he learning?",
    "Where did they go on holiday?",
    "How do I reset my password?",
    "What is the cat called?",
    "When does the shop close?",
    "Why was the flight delayed?",
    "What kind of music do you like?",
    "How much does the subscription cost?",
    "Is he allergic to anything?",
    "What are we having for dinner?",
    "Which database does the service use?",
    "What did the doctor say?",
    "How did the match end?",
    "What is the deadline of the project?",
    "Who teaches the course?",
)
"""To be embedded as queries."""

STATEMENTS = (
    "She works as a nurse at the county hospital.",
    "He has been taking violin lessons since March.",
    "They spent two weeks camping by a lake in Finland.",
    "Open the settings, choose Account, and follow the link to set a new password.",
    "Our grey kitten is named Pepper.",
    "The store is open from nine until six on weekdays.",
    "Our plane left three hours late because of a snowstorm.",
    "I mostly listen to jazz and old soul records.",
    "The plan is twelve dollars a month, billed yearly.",
    "Peanuts make him ill, so he always carries an injector.",
    "I am cooking mushroom soup tonight, with fresh bread.",
    "All records are kept in PostgreSQL, with one replica.",
    "The physician told her to rest and to drink more water.",
    "We lost two to one after a late penalty.",
    "The report has to be finished by the end of April.",
    "Professor Kim gives the lectures on statistics.",
)
"""To be embedded as documents; each answers the question in its place."""

_DEVIATIONS = 5
"""The best of some hundreds of unrelated texts lies about so many standard deviations above
their mean: 4.5 for MiniLM, 5.5 for WordLlama, whose own figures were measured at length."""

_STEP = 0.2
"""From the noise floor to certainty, as a share of the way from unrelated to equal texts."""


def calibrate(questions: Floats, statements: Floats) -> Calibration:
    """The calibration of an embedder, given its vectors of `QUESTIONS` and `STATEMENTS`.

    Args:
        questions: (16, dimension) of unit length.
        statements: (16, dimension) of unit length.
    """
    unrelated = (questions @ statements.T)[~np.eye(len(questions), dtype=np.bool_)]
    mean = float(unrelated.mean())
    noise_floor = min(mean + _DEVIATIONS * float(unrelated.std()), 0.99)
    return Calibration(
        neighbourhood=TRANSFORMER.neighbourhood,
        noise_floor=noise_floor,
        certain=noise_floor + max(_STEP * (1 - mean), 0.01),
    )
