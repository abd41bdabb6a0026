"""All kinds, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.trust.codes import CODES
from tests.trust.kinds import Kind
from tests.trust.languages import ABROAD, LANGUAGES
from tests.trust.latin import LATIN
from tests.trust.scripts import SCRIPTS
from tests.trust.talk import TALK

KINDS: Sequence[Kind] = (*CODES, *LATIN, *SCRIPTS, *TALK, ABROAD, *LANGUAGES)
