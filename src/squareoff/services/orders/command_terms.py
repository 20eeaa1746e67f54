"""What every command is carried out under: its key, its deadline, and how its answer is told."""

from dataclasses import replace

from squareoff.core.session.lease import SEND_DEADLINE_SECONDS
from squareoff.core.state import commands as c
from squareoff.core.state import inputs as i
from squareoff.domain.states import BlockReason
from squareoff.domain.time import seconds_to_ns
from squareoff.services.orders.order_router import RouterOutcome, RouterResult
from squareoff.services.positions.position_book import CommandKey, transmit_key


def with_deadline(command: c.Command, decided_at_ns: int) -> c.Command:
    """Let an order leave soon after the decision that was committed for it, or not at all."""
    send_before_ns = decided_at_ns + seconds_to_ns(SEND_DEADLINE_SECONDS)
    match command:
        case c.TransmitOrder(_, request):
            return replace(command, request=replace(request, send_before_ns=send_before_ns))
        case c.TransmitModify(modification):
            dated = replace(modification, send_before_ns=send_before_ns)
            return replace(command, modification=dated)
        case _:
            return command


def key_of(command: c.Command) -> CommandKey:
    """Return what names a command while it is under way: one of a kind for each order."""
    name = type(command).__name__
    match command:
        case c.TransmitOrder(send_number, request):
            return transmit_key(request.client_order_id, send_number)
        case c.TransmitModify(modification):
            return name, modification.client_order_id, modification.broker_order_id
        case c.TransmitCancel(client_order_id, broker_order_id):
            return name, client_order_id, broker_order_id
        case c.LookUpOrder(client_order_id) | c.RequestPermit(client_order_id):
            return name, client_order_id, ""
        case c.RequestReprice(client_order_id):
            return name, client_order_id, ""
        case _:
            return name, "", ""


def send_answer(result: RouterResult) -> i.SendAnswer:
    """Return what the router found out about a send, in the words of the core."""
    match result.outcome:
        case RouterOutcome.ACCEPTED:
            return i.SendAccepted(result.broker_order_id)
        case RouterOutcome.REFUSED:
            return i.SendRefused(result.code, result.text)
        case RouterOutcome.NOT_SENT:
            reason = result.block_reason or BlockReason.BROKER_UNREACHABLE
            return i.SendNotMade(reason, result.text)
        case RouterOutcome.UNKNOWN:
            return i.SendLost(result.text)
