"""Routes that the dashboard reads beside the journal: replica, chart, preview of an exit."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from squareoff.domain.ids import TrackerId
from squareoff.services.supervisor import HORIZONS
from squareoff.web.answers import AlarmOut, ItemList, KillSwitchOut
from squareoff.web.commands import CommandRoute
from squareoff.web.context import TheDesk
from squareoff.web.facts_as_json import as_json
from squareoff.web.requests import ExitPreviewQuery
from squareoff.web.screen_answers import ChartOut, ExitPreviewOut, ReplicaOut

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)
PreviewQuery = Annotated[ExitPreviewQuery, Query()]


@router.get("/replica")
async def replica(desk: TheDesk) -> ReplicaOut:
    """Show the account as of one sequence number, to be led on by the stream of events."""
    start, status, screen = await desk.screen.replica_start(), desk.status(), desk.screen
    limits = (limit for _, limit in screen.budget.windows())
    return ReplicaOut(
        seq=start.seq,
        account_id=status.account_id,
        mode=status.mode,
        stale_after_seconds=screen.stale_after_seconds,
        budget_limits=dict(zip(HORIZONS, limits, strict=True)),
        kill_switch=KillSwitchOut.model_validate(start.kill_switch),
        exit_all=as_json(start.exit_all),
        trackers=[as_json(tracker) for tracker in start.trackers],
        alarms=[AlarmOut.model_validate(alarm) for alarm in start.alarms],
    )


@router.get("/trackers/{tracker_id}/chart")
async def chart(tracker_id: Annotated[str, Path(max_length=64)], desk: TheDesk) -> ChartOut:
    """Show the prices of one position with its entry, the path of its levels, and its fills."""
    return ChartOut.of(await desk.screen.chart(TrackerId(tracker_id)))


@router.get("/exit-preview")
async def exit_preview(desk: TheDesk, query: PreviewQuery) -> ItemList[ExitPreviewOut]:
    """Show exactly what an exit would send now, of one position or all; sends nothing."""
    asked = None if query.tracker_id is None else TrackerId(query.tracker_id)
    previews = await desk.screen.exit_previews(asked)
    return ItemList(items=[ExitPreviewOut.of(preview) for preview in previews])
