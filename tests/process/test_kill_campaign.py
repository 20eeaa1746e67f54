"""A slice of the kill campaign: real engines killed twice and frozen, judged by the ledger (C6)."""

from pathlib import Path

from async_body import run_async
from squareoff.adapters.system import SystemClock
from squareoff.simulator.rehearsal.kill_campaign import Campaign, CampaignSize
from squareoff.simulator.rehearsal.lanes import play_all
from squareoff.simulator.rehearsal.live_stories import LIVE_STORIES
from squareoff.simulator.rehearsal.rehearse import Outcome, Pause, Rehearsal

PLAY_SECONDS_MAX = 400.0

SLICE = (
    Rehearsal(LIVE_STORIES["chased"], ("before_modify:1", "recovery_told:1")),
    Rehearsal(LIVE_STORIES["two positions on one key"], ("after_commit_order_sent:2",)),
    Rehearsal(LIVE_STORIES["long"], pause=Pause(6.0, at_point="before_first_byte:1")),
    Rehearsal(LIVE_STORIES["answer lost"], pause=Pause(5.0, after_seconds=0.3)),
)


def test_killed_and_frozen_engines_end_once_and_right(tmp_path: Path) -> None:
    """Every blow falls, nothing is doubled or lost, and the journal rebuilds the rows."""
    outcomes: list[Outcome] = []
    playing = play_all(SLICE, tmp_path, lanes=2, clock=SystemClock(), hear=outcomes.append)

    run_async(playing, PLAY_SECONDS_MAX)

    campaign = Campaign(CampaignSize(), outcomes, planned=len(SLICE))
    assert campaign.violations == []
    assert [one.rehearsal.label for one in outcomes if not one.went_as_planned] == []
    assert (len(campaign.kill_points), len(campaign.pauses)) == (2, 2)
