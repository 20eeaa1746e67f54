"""What a kill campaign plays: distinct points, within their bounds, the same for one seed."""

from squareoff.simulator.rehearsal import kill_plan
from squareoff.simulator.rehearsal.live_stories import LIVE_STORIES
from squareoff.simulator.rehearsal.rehearse import Outcome, Rehearsal

POINTS = {name: [f"before_first_byte:{n}" for n in range(1, 9)] for name in LIVE_STORIES}


def _recovery() -> Outcome:
    outcome = Outcome(Rehearsal(LIVE_STORIES["long"], ("before_first_byte:1",)))
    outcome.points = [["before_first_byte:1"], [f"recovery_told:{n}" for n in range(1, 41)]]
    return outcome


def test_every_kill_is_another_one() -> None:
    """So many kills, no two alike, a part of them in the recovery."""
    kills = kill_plan.kills(POINTS, [_recovery()], 80, seed=1)

    assert len({one.label for one in kills}) == len(kills) == 80
    assert sum(len(one.kills) == 2 for one in kills) == 20


def test_recoveries_are_recorded_where_an_order_is_out() -> None:
    """The first deaths stand where a recovery has most to find out."""
    deaths = kill_plan.first_deaths(POINTS)

    assert {one.story.name for one in deaths} == set(kill_plan.RECOVERED_STORIES)
    assert {one.kills for one in deaths} == {("before_first_byte:1",)}


def test_pauses_are_of_5_to_60_seconds_at_points_and_instants() -> None:
    """Both kinds are there, and the same seed draws the same."""
    pauses = [one.pause for one in kill_plan.pauses(POINTS, 100, seed=1) if one.pause]

    assert len(pauses) == 100
    assert all(5 <= pause.seconds <= 60 for pause in pauses)
    assert sum(bool(pause.at_point) for pause in pauses) == 60
    assert pauses == [one.pause for one in kill_plan.pauses(POINTS, 100, seed=1)]


def test_instants_lie_in_the_life_of_an_exit() -> None:
    """Drawn instants take the stories in turn."""
    instants = kill_plan.instants(34, seed=1)

    assert {one.story.name for one in instants} == set(LIVE_STORIES)
    assert all(0 <= (one.kill_after or 0) <= kill_plan.INSTANT_SECONDS_MAX for one in instants)
