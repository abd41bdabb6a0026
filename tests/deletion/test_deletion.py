"""What was deleted or replaced is in no file; what was not can be read."""

from __future__ import annotations

from pathlib import Path

from service.storage.sqlite.store import StoreOptions, open_store
from tests.deletion import trial

OPERATIONS = 20_000


async def test_no_dead_text_is_in_any_file_after_a_scrub(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "palimpsest.db", StoreOptions(scrub_interval=3600))
    try:
        secret = await store.ensure_first_key()
        assert secret is not None
        principal = await store.keys.authenticate(secret)
        findings = await trial.run(store, principal, OPERATIONS, seed=20_261_121)
    finally:
        await store.close()
    print(*findings.lines(), sep="\n")  # noqa: T201
    assert findings.dead > OPERATIONS
    assert findings.share_before <= trial.SHARE, findings.after_checkpoint
    assert not findings.after_scrub
    assert not findings.unreadable
