"""All kinds, in the order of the table; measured by name, since names go to other processes."""

from __future__ import annotations

from collections.abc import Sequence

from tests.trust.cases import CASES
from tests.trust.codes import CODES
from tests.trust.kinds import Kind, Measured
from tests.trust.languages import ABROAD, LANGUAGES
from tests.trust.latin import LATIN
from tests.trust.scripts import SCRIPTS
from tests.trust.talk import TALK

KINDS: Sequence[Kind] = (*CODES, *LATIN, *SCRIPTS, *TALK, ABROAD, *LANGUAGES)

BY_NAME = {kind.name: kind for kind in KINDS}


def measure(name: str) -> Measured:
    """The rates of a kind."""
    return BY_NAME[name].measure()


def failures_of(name: str) -> list[str]:
    """The queries of a case that are not answered rightly."""
    return next(case for case in CASES if case.name == name).failures()
