"""Routes of the whole account: exit all, kill switch, orders, alarms, reconciliation, status."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query

from squareoff.domain.results import ExitCode
from squareoff.domain.states import OPEN_STATUSES
from squareoff.services.positions.reconciler import UNREADABLE
from squareoff.web.answers import (
    AlarmOut,
    ExitAllOut,
    ItemList,
    KillSwitchOut,
    OrderOut,
    ReconcileOut,
    StatusOut,
)
from squareoff.web.commands import CommandRoute
from squareoff.web.context import TheCaller, TheContext, TheDesk
from squareoff.web.error_shape import ApiError
from squareoff.web.lists import in_turns
from squareoff.web.preview_tickets import EXIT_ALL, RESUME, let_out_by_resume, open_positions
from squareoff.web.requests import ExitAllIn, ExitAllQuery, KillSwitchIn, NothingIn
from squareoff.web.roles import Role

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)

Nothing = Annotated[NothingIn | None, Body()]
"""What takes no fields refuses those that it is sent."""


@router.post("/exit-all")
async def exit_all(body: ExitAllIn, context: TheContext, caller: TheCaller) -> ExitAllOut:
    """Close every position, shorts first: stops entries, ends resting ones, tells what remains."""
    reason = (body.reason or "").strip()
    if not reason:
        raise ApiError(
            422, ExitCode.INVALID_REASON.value, "the reason is blank", {"field": "reason"}
        )
    desk = context.desk
    shown = open_positions(desk.trackers(OPEN_STATUSES))
    context.tickets.take(body.ticket, EXIT_ALL, caller, shown)
    report = await desk.exit_all(
        reason, lock_account=body.lock_account, wait_seconds=body.wait_seconds
    )
    return ExitAllOut.of(report)


@router.get("/exit-all")
async def exit_all_progress(desk: TheDesk, query: Annotated[ExitAllQuery, Query()]) -> ExitAllOut:
    """Show how the newest wish to close everything stands, and what remains."""
    return ExitAllOut.of(await desk.exit_all_report(query.wait_seconds))


@router.get("/kill-switch")
async def get_kill_switch(desk: TheDesk) -> KillSwitchOut:
    """Show the kill switch."""
    return KillSwitchOut.model_validate(await desk.kill_switch())


@router.post("/kill-switch")
async def set_kill_switch(
    body: KillSwitchIn, context: TheContext, caller: TheCaller
) -> KillSwitchOut:
    """Set the kill switch, durably: `new` lets only exits through, `all` nothing.

    The role `operate` may only hold back more.
    """
    desk = context.desk
    stands = await desk.kill_switch()
    if not body.active:
        context.tickets.take(
            body.ticket, RESUME, caller, let_out_by_resume(stands, desk.trackers(OPEN_STATUSES))
        )
    keeps_level = body.active and stands.active
    state = await desk.set_kill_switch(
        active=body.active,
        level=body.level or (stands.level if keeps_level else "new"),
        reason=body.reason,
        may_loosen=caller.role.covers(Role.ADMIN),
    )
    return KillSwitchOut.model_validate(state)


@router.get("/orders")
async def list_orders(desk: TheDesk) -> ItemList[OrderOut]:
    """List our orders of the positions that `GET /trackers` lists, oldest position first."""
    return ItemList(items=await in_turns(OrderOut.model_validate, desk.orders()))


@router.get("/alarms")
async def list_alarms(desk: TheDesk) -> ItemList[AlarmOut]:
    """List all alarms, oldest first."""
    return ItemList(items=await in_turns(AlarmOut.model_validate, await desk.alarms()))


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge_alarm(
    alarm_id: Annotated[int, Path(ge=0, le=2**53)], desk: TheDesk, _body: Nothing = None
) -> AlarmOut:
    """Say that a person has seen the alarm."""
    return AlarmOut.model_validate(await desk.acknowledge_alarm(alarm_id))


@router.post("/reconcile")
async def reconcile(desk: TheDesk, _body: Nothing = None) -> ReconcileOut:
    """Compare with the broker's books now."""
    differences = list(await desk.reconcile())
    if UNREADABLE in differences:
        raise ApiError(502, "broker_unavailable", f"{UNREADABLE}; nothing was compared, ask again")
    return ReconcileOut(differences=differences)


@router.get("/status")
async def status(desk: TheDesk) -> StatusOut:
    """Show how the engine is doing."""
    return StatusOut.model_validate(desk.status())
