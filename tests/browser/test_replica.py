"""The page's own fold of the journal is the engine's: whole journals, fact by fact."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from exit_story.values import ACCOUNT
from rare_journals import ALARMS_RAISED_AGAIN, STORIES, journal_of_story
from seed_journals import Journal, journal_of_seed
from service_world.store import memory_store
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import FACT_TYPES, AccountFact, TrackerFact
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.time import iso_from_ns
from squareoff.ports import Alarm
from squareoff.web.facts_as_json import as_json, entry_out

SEEDS, CHUNK = 40, 10

_NEW_REPLICA = """
  const { Replica } = await import("/dashboard/replica.js");
  const replica = new Replica({
    seq: 0, account_id: "a", mode: "paper", stale_after_seconds: 5, budget_limits: {},
    kill_switch: { active: false, level: "new", reason: "" }, exit_all: null,
    trackers: [], alarms: [],
  });
"""
_ACCOUNT = f"""async (steps) => {{ {_NEW_REPLICA}
  for (const {{ fact }} of steps) replica.apply(fact);
  const {{ killSwitch, exitAll, alarms }} = replica;
  return {{ killSwitch, exitAll, alarms: [...alarms.values()] }};
}}"""
_NIGHT = """async (days) => {
  const { Session } = await import("/dashboard/session.js");
  let begun = 0;
  const told = [];
  const start = {
    seq: 0, account_id: "a", mode: "paper", stale_after_seconds: 5, budget_limits: {},
    kill_switch: { active: false, level: "new", reason: "" }, exit_all: null,
    trackers: [], alarms: [],
  };
  const model = {
    replica: null,
    begin(replica) { this.replica = replica; begun += 1; },
    takeFact() {}, setConnection() {},
    takeLive(live) { told.push(live.status.account.day); },
  };
  let left = [...days];
  const done = new Promise((resolve) => {
    const api = {
      get: async () => start,
      events: async () => {
        if (!left.length) { resolve(); return new Promise(() => {}); }
        const day = left.shift();
        const live = { head: 0, status: { account_id: "a", account: { day } } };
        return new Response(`event: live\\ndata: ${JSON.stringify(live)}\\n\\n`);
      },
    };
    new Session(api, model, () => {}).start();
  });
  await done;
  return { begun, told };
}"""
_FOLD = (
    "async (steps) => {"
    + _NEW_REPLICA
    + """
  const sorted = (value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : Array.isArray(value) ? value.map(sorted) : value;
  for (const { fact, expected } of steps) {
    const outcome = replica.apply(fact);
    if (outcome !== "applied") return { seq: fact.seq, kind: fact.kind, outcome };
    if (expected === null) continue;
    const found = replica.trackers.get(fact.tracker_id);
    const [ours, theirs] = [sorted(found), sorted(expected)].map((each) => JSON.stringify(each));
    if (ours !== theirs) return { seq: fact.seq, kind: fact.kind, ours, theirs };
  }
  return null;
}"""
)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_page_folds_as_the_engine_does(first: int, page: Any) -> None:
    """After every fact of simulated runs with faults and crashes the page holds the same state."""
    journals = {seed: _journal(seed) for seed in range(first, first + CHUNK)}
    found = {seed: page.evaluate(_FOLD, _steps(whole)) for seed, whole in journals.items()}

    assert {seed: fault for seed, fault in found.items() if fault is not None} == {}
    assert all(journals.values())


@pytest.mark.parametrize("name", STORIES)
def test_the_page_folds_rare_facts(name: str, page: Any) -> None:
    """What simulated runs seldom have is folded alike, too."""
    assert page.evaluate(_FOLD, _steps(journal_of_story(name))) is None


def test_the_page_knows_every_kind_of_fact(page: Any) -> None:
    """Simulated runs and the rare stories together hold every kind that there is."""
    stories = [entry.kind for name in STORIES for entry in journal_of_story(name)]
    seeds = [entry.kind for seed in range(SEEDS) for entry in _journal(seed)]

    assert sorted(FACT_TYPES.keys() - {*stories, *seeds}) == []


def test_the_account_is_folded(page: Any) -> None:
    """Alarm, kill switch and the wish to close everything stand as their facts left them."""
    found = page.evaluate(_ACCOUNT, _steps(journal_of_story("the account")))
    alarm = found["alarms"][0]

    assert (alarm["id"], alarm["repeats"], alarm["severity"]) == (3, 2, "critical")
    assert alarm["raised_at"] < alarm["last_raised_at"] < alarm["cleared_at"]
    assert alarm["acknowledged_at"] > alarm["cleared_at"]
    assert found["killSwitch"] == {"active": True, "level": "new", "reason": "test"}
    wish = found["exitAll"]
    assert (wish["outcome"], wish["lock_outcome"]) == ("closed", "refused")
    assert wish["note"] == "nothing is open"


def test_alarms_raised_again_are_counted_as_the_engine_counts_them(page: Any) -> None:
    """One that stands unseen is one row; what is over or was seen is raised as another."""
    journal = journal_of_story(ALARMS_RAISED_AGAIN)
    found = page.evaluate(_ACCOUNT, _steps(journal))["alarms"]
    with ThreadPoolExecutor(1) as thread:
        stored = thread.submit(asyncio.run, _alarms_stored(journal)).result()

    assert [
        (each["id"], each["severity"], each["message"], each["repeats"], each["cleared_at"] is None,
         each["acknowledged_at"] is None, each["last_raised_at"])
        for each in found
    ] == [
        (each.seq, each.severity.value, each.message, each.repeats, each.cleared_at_ns is None,
         each.acknowledged_at_ns is None,
         None if each.last_raised_at_ns is None else iso_from_ns(each.last_raised_at_ns))
        for each in stored
    ]  # fmt: skip
    assert len(found) == 5


async def _alarms_stored(journal: Journal) -> tuple[Alarm, ...]:
    """Return what the engine's own database makes of the facts."""
    store = await memory_store(ACCOUNT)
    for entry in journal:
        await store.record((cast("AccountFact", entry.fact),), entry.time_ns)
    return await store.alarms()


def test_a_new_day_begins_anew(page: Any) -> None:
    """A page that stays open overnight asks for the new day's start: what ended yesterday is no
    part of today's figures."""
    found = page.evaluate(_NIGHT, ["2026-09-15", "2026-09-15", "2026-09-16", "2026-09-16"])

    assert found == {"begun": 2, "told": ["2026-09-15", "2026-09-15", "2026-09-16"]}


def test_a_wrong_fold_is_found(page: Any) -> None:
    """A state that differs in one field is told with the fact that it followed."""
    steps = _steps(_journal(1))
    spoiled = next(step for step in steps if step["expected"] is not None)
    spoiled["expected"]["quantity"] += 1

    assert page.evaluate(_FOLD, steps)["seq"] == spoiled["fact"]["seq"]


@pytest.mark.parametrize("change", ["gap", "kind", "stranger"])
def test_what_cannot_be_folded_is_said(change: str, page: Any) -> None:
    """A gap, a kind that a newer engine added, and a position never heard of: begin anew."""
    steps = _steps(_journal(1))[:3]
    step = {"fact": dict(steps[-1]["fact"]), "expected": None}
    changes = {
        "gap": {"seq": step["fact"]["seq"] + 1},
        "kind": {"kind": "moon_landed"},
        "stranger": {"kind": "stop_moved", "tracker_id": "nobody"},
    }
    step["fact"] |= changes[change]

    assert page.evaluate(_FOLD, [*steps[:-1], step])["outcome"] == "lost"


def _journal(seed: int) -> Journal:
    """Run a seed in a thread of its own: the browser's loop counts as running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(journal_of_seed, seed).result()


def _steps(journal: Journal) -> list[dict[str, Any]]:
    """Return every fact with the position that the engine's own fold makes of it."""
    trackers: dict[str, PositionTracker | None] = {}
    steps = []
    for entry in journal:
        fact, expected = entry.fact, None
        if isinstance(fact, TrackerFact):
            after = evolve(trackers.get(fact.tracker_id), fact, entry.time_ns)
            trackers[fact.tracker_id] = after
            expected = as_json(after)
        steps.append({"fact": entry_out(entry).model_dump(mode="json"), "expected": expected})
    return steps
