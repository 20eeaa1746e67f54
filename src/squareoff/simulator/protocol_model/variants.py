"""Engines and brokers that are broken on purpose: the model must catch every one.

Each names one shortcut that a reasonable programmer might take. `budget` is the smallest world in
which it does harm.
"""

from dataclasses import dataclass
from enum import Enum

from squareoff.simulator.protocol_model.budgets import Budget


class Shortcut(str, Enum):
    """What a broken engine does otherwise. SOUND is the protocol itself."""

    SOUND = "sound"
    POST_BEFORE_JOURNAL = "post_before_journal"
    RESEND_AT_ONCE = "resend_at_once"
    NEW_ATTEMPT_AT_ONCE = "new_attempt_at_once"
    RESIDUAL_AT_CANCEL = "residual_at_cancel"
    READ_THEN_WRITE_CLAIM = "read_then_write_claim"
    NO_LEASE_RECHECK = "no_lease_recheck"
    HASTY_TAKEOVER = "hasty_takeover"
    TRUST_DEDUPE = "trust_dedupe"
    CREDIT_LATE_REJECT = "credit_late_reject"
    TRUST_NOT_FOUND = "trust_not_found"
    SUM_FILLS = "sum_fills"
    NEW_ID_ON_RESEND = "new_id_on_resend"
    EXITED_ON_ACCEPT = "exited_on_accept"
    IGNORE_NET = "ignore_net"
    IGNORE_KILL_AT_SEND = "ignore_kill_at_send"
    MODIFY_WITH_REMAINING = "modify_with_remaining"
    FORGET_OTHER_ORDERS = "forget_other_orders"
    CANCEL_IS_FINAL = "cancel_is_final"
    RESTART_FORGETS_SENDS = "restart_forgets_sends"
    TRUST_LAGGING_READING = "trust_lagging_reading"
    FORGET_LAST_READING = "forget_last_reading"
    GIVE_UP_SILENTLY = "give_up_silently"
    EXITED_ON_ANY_END = "exited_on_any_end"


@dataclass(frozen=True, slots=True)
class Variant:
    """One shortcut, what it is in a sentence, and the budget that shows its harm."""

    shortcut: Shortcut
    sentence: str
    budget: Budget


_VARIANTS = (
    Variant(
        Shortcut.POST_BEFORE_JOURNAL,
        "The order leaves before its send is committed.",
        Budget(),
    ),
    Variant(
        Shortcut.RESEND_AT_ONCE,
        "An order without an answer is sent again at once, under the same id.",
        Budget(delay=1, drop=1),
    ),
    Variant(
        Shortcut.NEW_ATTEMPT_AT_ONCE,
        "An order without an answer counts as dead, and a new one is made.",
        Budget(delay=1, drop=1),
    ),
    Variant(
        Shortcut.RESIDUAL_AT_CANCEL,
        "What a cancelled order leaves open is counted when the cancel goes out.",
        Budget(orders=2, modifications=1, rest=1),
    ),
    Variant(
        Shortcut.READ_THEN_WRITE_CLAIM,
        "A claim reads the row and writes it later, without a lock or a version.",
        Budget(),
    ),
    Variant(
        Shortcut.NO_LEASE_RECHECK,
        "Lease and deadline are not looked at again before the first byte.",
        Budget(pause=1, drop=1),
    ),
    Variant(
        Shortcut.HASTY_TAKEOVER,
        "A standby takes over while the lease of a paused owner still runs.",
        Budget(pause=1, drop=1),
    ),
    Variant(
        Shortcut.TRUST_DEDUPE,
        "The broker drops repeated ids, so an unanswered order is sent again, and the rejection "
        "of the second send is taken for both.",
        Budget(delay=1, drop=1, reject=1),
    ),
    Variant(
        Shortcut.CREDIT_LATE_REJECT,
        "A rejection that comes late is credited to the newest send under its id.",
        Budget(reject=1, drop=1, delay=1),
    ),
    Variant(
        Shortcut.TRUST_NOT_FOUND,
        "One look-up that finds nothing proves that the order is not there.",
        Budget(delay=1, drop=1),
    ),
    Variant(
        Shortcut.SUM_FILLS,
        "Quantities of repeated reports are added up.",
        Budget(),
    ),
    Variant(
        Shortcut.NEW_ID_ON_RESEND,
        "An absent order is sent under a new id, and the old id is watched no more.",
        Budget(delay=1, drop=1, outlaw=1),
    ),
    Variant(
        Shortcut.EXITED_ON_ACCEPT,
        "The position is exited when the broker accepts the order.",
        Budget(),
    ),
    Variant(
        Shortcut.IGNORE_NET,
        "The exit closes what the tracker holds, whatever the broker shows.",
        Budget(external=1),
    ),
    Variant(
        Shortcut.IGNORE_KILL_AT_SEND,
        "The kill switch is asked before the commit and not again before the first byte.",
        Budget(kill=1),
    ),
    Variant(
        Shortcut.MODIFY_WITH_REMAINING,
        "A modify names the remaining quantity instead of the total.",
        Budget(modifications=1, rest=1),
    ),
    Variant(
        Shortcut.FORGET_OTHER_ORDERS,
        "Sizing counts only the newest order as live, not the other slices and ids.",
        Budget(freeze_quantity=1, orders=3),
    ),
    Variant(
        Shortcut.CANCEL_IS_FINAL,
        "A taken cancel ends the order with the fills known so far.",
        Budget(modifications=1, rest=1),
    ),
    Variant(
        Shortcut.RESTART_FORGETS_SENDS,
        "After a restart what was in flight counts as never sent.",
        Budget(crash=1),
    ),
    Variant(
        Shortcut.TRUST_LAGGING_READING,
        "A reading that may lack our newest fills is believed when it shows enough.",
        Budget(cancel=1, external=1),
    ),
    Variant(
        Shortcut.FORGET_LAST_READING,
        "Where positions cannot be read, what the last reading showed is forgotten.",
        Budget(external=1, drop=1),
    ),
    Variant(
        Shortcut.GIVE_UP_SILENTLY,
        "An order without an answer is left alone: never sent again, nobody called.",
        Budget(drop=1),
    ),
    Variant(
        Shortcut.EXITED_ON_ANY_END,
        "The position is exited when its orders are at their end, whatever they filled.",
        Budget(cancel=1),
    ),
)

VARIANTS: dict[str, Variant] = {variant.shortcut.value: variant for variant in _VARIANTS}
