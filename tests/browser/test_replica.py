"""The page's own fold of the journal is the engine's: whole journals, fact by fact."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser

from api_rig import ApiRig
from rare_journals import STORIES, journal_of_story
from seed_journals import Journal, journal_of_seed
from squareoff.core.evolve import evolve
from squareoff.core.facts import FACT_TYPES, TrackerFact
from squareoff.core.tracker import PositionTracker
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


@pytest.fixture(scope="module")
def page(browser: Browser) -> Any:
    """Give a page of the dashboard's own origin."""
    with ApiRig() as rig:
        opened = browser.new_page()
        opened.goto(f"http://127.0.0.1:{rig.port}/")
        yield opened
        opened.close()


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
