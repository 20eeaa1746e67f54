"""Journals that simulated runs have written: one whole journal per seed."""

from functools import cache

import pytest

from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.facts import JournalEntry
from squareoff.simulator.virtual import final_audit
from squareoff.simulator.virtual import run_seed as running
from squareoff.simulator.virtual.auditor import Auditor

Journal = tuple[JournalEntry, ...]


@cache
def journal_of_seed(seed: int) -> Journal:
    """Run one seed and return every entry of its journal, in order."""
    kept: list[JournalEntry] = []
    honest = final_audit.audit_replay

    async def keep_and_audit(auditor: Auditor, store: SqlStore) -> None:
        while batch := await store.entries(after_seq=len(kept)):
            kept.extend(batch)
        await honest(auditor, store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "audit_replay", keep_and_audit)
        running.run_seed(seed)
    return tuple(kept)
