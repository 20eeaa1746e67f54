"""Routes of single positions: take under watch, enter, look, set rules, exit."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from squareoff.domain.ids import TrackerId
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rule_parsing import parse_rules
from squareoff.domain.states import FINAL_STATUSES, PositionStatus
from squareoff.services.desk.desk import Desk
from squareoff.services.desk.desk_requests import UnknownTracker
from squareoff.services.desk.views import TrackerView
from squareoff.web.answers import EntryOut, ExitResultOut, ItemList, TrackerOut
from squareoff.web.commands import CommandRoute
from squareoff.web.context import NamedTracker, TheCaller, TheContext, TheDesk
from squareoff.web.error_shape import ApiError
from squareoff.web.facts_as_json import entry_out
from squareoff.web.lists import in_turns
from squareoff.web.preview_tickets import open_positions
from squareoff.web.requests import (
    EntryIn,
    ExitIn,
    JournalQuery,
    PersonIn,
    PositionIn,
    RulesPatch,
    TrackersQuery,
    UntrackIn,
    WithdrawIn,
)
from squareoff.web.roles import Role

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)


def _fixed_id(request: Request) -> TrackerId | None:
    """Return the id of what this call makes, where its idempotency key fixes one."""
    fixed: str | None = request.state.fixed_id
    return None if fixed is None else TrackerId(f"trk-{fixed}")


FixedId = Annotated[TrackerId | None, Depends(_fixed_id)]

_STATUS_OF_RESULT = {
    ExitCode.BEING_SETTLED: 202,
    ExitCode.BLOCKED: 202,
    ExitCode.NEEDS_HUMAN: 202,
    ExitCode.WITHDRAWN: 202,
    ExitCode.INVALID_TRACKER: 404,
    ExitCode.INVALID_REASON: 422,
    ExitCode.NOT_ACTIVE: 409,
    ExitCode.HALTED: 409,
    ExitCode.INVALID_ROUTER: 503,
    ExitCode.STORE_UNAVAILABLE: 503,
}
"""202: latched, and going on by itself or in a person's hands; or taken back by a person meanwhile,
which is no refusal, for a repeat under the same key must not ask anew. 4xx, 5xx: nothing done."""

_FIELD_OF_RESULT = {ExitCode.INVALID_TRACKER: "tracker_id", ExitCode.INVALID_REASON: "reason"}


@router.post("/trackers", status_code=201)
async def track(body: PositionIn, desk: TheDesk, fixed_id: FixedId) -> TrackerOut:
    """Take a position under watch. With `entry_order_id` it waits for that order's fills."""
    asked = body.as_asked()
    view = await _known(desk, fixed_id) or await desk.track(asked, fixed_id)
    return TrackerOut.model_validate(view)


@router.post("/entries", status_code=201)
async def enter(body: EntryIn, desk: TheDesk, fixed_id: FixedId) -> TrackerOut:
    """Place an entry order together with its tracker."""
    asked = body.as_asked()
    view = await _known(desk, fixed_id) or await desk.enter(asked, fixed_id)
    return TrackerOut.model_validate(view)


async def _known(desk: Desk, tracker_id: TrackerId | None) -> TrackerView | None:
    """Return what an earlier call with this key made before its answer could be stored."""
    if tracker_id is None:
        return None
    await desk.past.recall(tracker_id)
    try:
        return desk.tracker(tracker_id)
    except UnknownTracker:
        return None


@router.get("/trackers")
async def list_trackers(
    desk: TheDesk, query: Annotated[TrackersQuery, Query()]
) -> ItemList[TrackerOut]:
    """List positions, oldest first: what has not ended, and what ended within a week."""
    past = await desk.past.resting(query.status or FINAL_STATUSES) if query.past else ()
    views = desk.each_tracker(query.status or None, past)
    return ItemList(items=await in_turns(TrackerOut.model_validate, views))


@router.get("/trackers/{tracker_id}")
async def get_tracker(tracker_id: NamedTracker, desk: TheDesk) -> TrackerOut:
    """Show one position."""
    return TrackerOut.model_validate(desk.tracker(tracker_id))


@router.patch("/trackers/{tracker_id}")
async def set_rules(
    tracker_id: NamedTracker, body: RulesPatch, desk: TheDesk, caller: TheCaller
) -> TrackerOut:
    """Replace the rules of a position; the role `operate` may only tighten them."""
    may_loosen = caller.role.covers(Role.ADMIN)
    view = await desk.set_rules(tracker_id, parse_rules(body.rules), may_loosen=may_loosen)
    return TrackerOut.model_validate(view)


@router.post(
    "/trackers/{tracker_id}/exit",
    response_model=ExitResultOut,
    responses={202: {"model": ExitResultOut, "description": "Latched, not done; or taken back"}},
)
async def exit_tracker(tracker_id: NamedTracker, body: ExitIn, desk: TheDesk) -> Response:
    """Close one position; repeating the call closes it no second time."""
    reason = body.reason or ""
    result = await desk.exit(tracker_id, reason, body.wait, body.wait_seconds)
    return exit_answer(result)


@router.post(
    "/trackers/{tracker_id}/withdraw",
    response_model=TrackerOut,
    responses={202: {"model": TrackerOut, "description": "Its orders have not all ended yet"}},
)
async def withdraw(tracker_id: NamedTracker, body: WithdrawIn, desk: TheDesk) -> Response:
    """Take an exit back: its orders are cancelled first, and only then is the position kept."""
    view = await desk.withdraw(tracker_id, body.reason, body.actor, body.wait_seconds)
    shown = TrackerOut.model_validate(view).model_dump(mode="json")
    is_under_way = view.status is PositionStatus.EXITING
    return JSONResponse(shown, status_code=202 if is_under_way else 200)


@router.post("/trackers/{tracker_id}/untrack")
async def untrack(
    tracker_id: NamedTracker, body: UntrackIn, context: TheContext, caller: TheCaller
) -> TrackerOut:
    """Let a position go without any order; whatever is held stays held."""
    desk = context.desk
    now = open_positions([desk.tracker(tracker_id)])
    context.tickets.take(body.ticket, tracker_id, caller, now)
    view = await desk.untrack(tracker_id, body.reason, body.actor)
    return TrackerOut.model_validate(view)


@router.post("/trackers/{tracker_id}/resolve-over-exit")
async def resolve_over_exit(tracker_id: NamedTracker, body: PersonIn, desk: TheDesk) -> TrackerOut:
    """Say that an over-exit has been dealt with, so that the position can end."""
    view = await desk.resolve_over_exit(tracker_id, body.reason, body.actor)
    return TrackerOut.model_validate(view)


@router.get("/trackers/{tracker_id}/journal")
async def tracker_journal(
    tracker_id: NamedTracker, desk: TheDesk, query: Annotated[JournalQuery, Query()]
) -> ItemList[EntryOut]:
    """Read the journal of one position, oldest first."""
    entries = await desk.journal(after_seq=query.after, tracker_id=tracker_id, limit=query.limit)
    is_full = len(entries) == query.limit
    items = [entry_out(entry) for entry in entries]
    return ItemList(items=items, next=entries[-1].seq if is_full else None)


def exit_answer(result: ExitResult) -> Response:
    """Return an exit's result, as an error in the one shape where nothing was done.

    Raises:
        ApiError: the exit was refused; `details` holds the whole result.
    """
    status = _STATUS_OF_RESULT.get(result.code, 200)
    shown = exit_result_json(result)
    if status < 400:
        return JSONResponse(shown, status_code=status)
    details: dict[str, Any] = {"result": shown}
    if result.code in _FIELD_OF_RESULT:
        details["field"] = _FIELD_OF_RESULT[result.code]
    raise ApiError(status, result.code.value, result.error or result.code.value, details)


def exit_result_json(result: ExitResult) -> dict[str, Any]:
    """Return an exit's result as JSON values."""
    return ExitResultOut.model_validate(result).model_dump(mode="json")
