"""The long form of the races: `python -m tests.races --rounds 50`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.races.rounds import PROCESSING, RACES, race_server
from tests.tally import Tally, conclude

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.races", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how often each race is run")
    parser.add_argument("--only", choices=RACES, action="append", help="a race; may be repeated")
    options = parser.parse_args()
    tally = Tally("races", progress=True)
    chosen = options.only or list(RACES)
    with tempfile.TemporaryDirectory(prefix="palimpsest-races-") as folder:
        for workers in (0, 2):
            names = [name for name in chosen if (name in PROCESSING) == bool(workers)]
            if names:
                with race_server(Path(folder) / f"data{workers}", workers=workers) as made:
                    made.run(names, options.rounds, tally)
                    made.check(tally)
    sys.exit(conclude(tally))
