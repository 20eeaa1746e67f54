"""Routes that the dashboard reads beside the journal: replica, chart, preview of an exit."""

from typing import Annotated

from fastapi import APIRouter, Query

from squareoff.domain.ids import TrackerId
from squareoff.domain.states import OPEN_STATUSES, PositionStatus
from squareoff.services.orders.rate_budget import HORIZONS
from squareoff.web.answers import AlarmOut, KillSwitchOut, TrackerOut
from squareoff.web.commands import CommandRoute
from squareoff.web.context import NamedTracker, TheCaller, TheContext, TheDesk
from squareoff.web.facts_as_json import as_json
from squareoff.web.preview_tickets import EXIT_ALL, RESUME, let_out_by_resume, open_positions
from squareoff.web.requests import ExitPreviewQuery
from squareoff.web.screen_answers import (
    ChartOut,
    ExitPreviewListOut,
    ExitPreviewOut,
    ReplicaOut,
    ResumePreviewOut,
)

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)
PreviewQuery = Annotated[ExitPreviewQuery, Query()]


@router.get("/replica")
async def replica(context: TheContext) -> ReplicaOut:
    """Show the account as of one sequence number, to be led on by the stream of events."""
    desk = context.desk
    start, status, screen = await desk.screen.replica_start(), desk.status(), desk.screen
    limits = (limit for _, limit in screen.budget.windows())
    return ReplicaOut(
        seq=start.seq,
        account_id=status.account_id,
        mode=status.mode,
        broker=context.broker,
        stale_after_seconds=screen.stale_after_seconds,
        budget_limits=dict(zip(HORIZONS, limits, strict=True)),
        kill_switch=KillSwitchOut.model_validate(start.kill_switch),
        exit_all=as_json(start.exit_all),
        trackers=[as_json(tracker) for tracker in start.trackers],
        alarms=[AlarmOut.model_validate(alarm) for alarm in start.alarms],
    )


@router.get("/trackers/{tracker_id}/chart")
async def chart(tracker_id: NamedTracker, desk: TheDesk) -> ChartOut:
    """Show the prices of one position with its entry, the path of its levels, and its fills."""
    return ChartOut.of(await desk.screen.chart(tracker_id))


@router.get("/exit-preview")
async def exit_preview(
    context: TheContext, caller: TheCaller, query: PreviewQuery
) -> ExitPreviewListOut:
    """Show exactly what an exit would send now, of one position or all; sends nothing."""
    desk = context.desk
    asked = None if query.tracker_id is None else TrackerId(query.tracker_id)
    if asked is not None:
        await desk.past.recall(asked)
    views = desk.trackers(OPEN_STATUSES) if asked is None else (desk.tracker(asked),)
    shown = open_positions(views)  # as of before the preview: what comes meanwhile was not shown
    previews = await desk.screen.exit_previews(asked)
    return ExitPreviewListOut(
        items=[ExitPreviewOut.of(preview) for preview in previews],
        ticket=context.tickets.give(asked or EXIT_ALL, caller, shown),
    )


@router.get("/resume-preview")
async def resume_preview(context: TheContext, caller: TheCaller) -> ResumePreviewOut:
    """Show what lifting the kill switch would let out: the exits that wait for it."""
    switch, views = await context.desk.kill_switch(), context.desk.trackers(OPEN_STATUSES)
    waiting = [view for view in views if view.status is PositionStatus.EXITING]
    return ResumePreviewOut(
        kill_switch=KillSwitchOut.model_validate(switch),
        items=[TrackerOut.model_validate(view) for view in waiting],
        ticket=context.tickets.give(RESUME, caller, let_out_by_resume(switch, views)),
    )
