"""What was deleted or replaced is stored nowhere; what was not can be read."""

from __future__ import annotations

from pathlib import Path

from service.storage.engine import StoreOptions
from tests.backends.selection import backend_of
from tests.deletion import trial

OPERATIONS = 20_000


async def test_no_dead_text_is_stored_after_a_scrub(tmp_path: Path) -> None:
    backend = backend_of(tmp_path)
    store = await backend.open(options=StoreOptions(scrub_interval=3600))
    try:
        secret = await store.ensure_first_key()
        assert secret is not None
        principal = await store.keys.authenticate(secret)
        findings = await trial.run(backend, store, principal, OPERATIONS, seed=20_261_121)
    finally:
        await store.close()
    print(*findings.lines(), sep="\n")  # noqa: T201
    assert findings.dead > OPERATIONS
    assert findings.share_before <= trial.SHARE, findings.after_checkpoint
    assert not findings.after_scrub
    assert not findings.unreadable
