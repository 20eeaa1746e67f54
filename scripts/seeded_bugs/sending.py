"""Bugs on the way out: what leaves, when, how often, and under which id."""

from seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="act-before-commit",
        careless="Lets the commands of a decision out before it is committed.",
        file="services/exits/exit_engine.py",
        old="""        decision = self._decide(actor, event, now)
        if decision.facts or decision.alarms:
""",
        new="""        decision = self._decide(actor, event, now)
        if self._carry_out is not None:
            self._carry_out(actor, decision)
        if decision.facts or decision.alarms:
""",
        seeds="0..5",
    ),
    Bug(
        name="unknown-commit-is-failed",
        careless="Takes a commit whose outcome is unknown for one that failed, and goes on.",
        file="services/exits/exit_engine.py",
        old="except (LostUpdate, CommitOutcomeUnknown):",
        new="except LostUpdate:",
        tests=("tests/services/exits/test_exit_engine_under_failure.py",),
    ),
    Bug(
        name="retry-unknown-write",
        careless="Tries a write again whose outcome is unknown, for it probably did not arrive.",
        file="services/orders/order_router.py",
        old="if result.outcome is not RouterOutcome.NOT_SENT or attempt == ATTEMPTS_MAX:",
        new="if result.outcome in (RouterOutcome.ACCEPTED, RouterOutcome.REFUSED) or attempt > 2:",
        seeds="0..9",
    ),
    Bug(
        name="unforeseen-error-is-unsent",
        careless="Takes an exception that nobody foresaw for proof that nothing left.",
        file="services/orders/order_router.py",
        old="raise BrokerOutcomeUnknown(text) from error",
        new="raise BrokerRateLimited(text) from error",
        tests=("tests/services/orders/test_order_router.py",),
    ),
    Bug(
        name="kill-switch-not-asked-at-send",
        careless="Asks the kill switch for a permit only, and not again before the first byte.",
        file="services/orders/order_router.py",
        old="if write.kind is not WriteKind.CANCEL and self._is_stopped(write.urgency):",
        new="if write.kind is WriteKind.MODIFY and self._is_stopped(write.urgency):",
        tests=("tests/services/orders/test_order_router.py",),
    ),
    Bug(
        name="kill-switch-stops-cancels",
        careless="Lets the kill switch stop cancels too, so that what rests can fill.",
        file="services/orders/order_router.py",
        old="if write.kind is not WriteKind.CANCEL and self._is_stopped(write.urgency):",
        new="if self._is_stopped(write.urgency):",
        tests=("tests/services/orders/test_order_router.py",),
    ),
    Bug(
        name="budget-forgotten-at-restart",
        careless="Starts every process with an empty rate budget.",
        file="services/orders/order_router.py",
        old="self.queue.seed(stamps_of(times, now))",
        new="stamps_of(times, now)",
        tests=("tests/services/test_mass_exit_restart.py",),
    ),
    Bug(
        name="gate-only-logs",
        careless="Lets an exit pass the last gate that fills have overtaken since its decision.",
        file="services/orders/order_gate.py",
        old="        if most <= tracker.quantity:\n            return None\n",
        new="        if most <= tracker.quantity or tracker.version != decided_version:\n"
        "            return None\n",
        tests=("tests/services/orders/test_order_gate.py",),
    ),
    Bug(
        name="gate-counts-one-send",
        careless="Counts an order once at the gate, however many of its sends may be alive.",
        file="services/orders/order_gate.py",
        old="total += order.order_quantity * max(1, unknown)",
        new="total += order.order_quantity * min(1, 1 + unknown)",
        tests=("tests/services/orders/test_order_gate.py",),
    ),
    Bug(
        name="library-may-resend",
        careless="Lets the HTTP library send a request again over a new connection.",
        file="adapters/broker/dhan/aiohttp_transport.py",
        old="            middlewares=(attempt.middleware,),\n",
        new="",
        tests=("tests/adapters/broker/dhan/test_aiohttp_transport.py",),
    ),
    Bug(
        name="no-check-at-first-byte",
        careless="Checks lease and deadline when the call begins and not at its first byte.",
        file="adapters/broker/dhan/aiohttp_transport.py",
        old="self.forbidden = self._request.forbidden()",
        new="self.forbidden = None",
        tests=("tests/adapters/broker/dhan/test_aiohttp_transport.py",),
    ),
    Bug(
        name="answerless-is-unsent",
        careless="Takes a connection that broke after the request for one that never stood.",
        file="adapters/broker/dhan/aiohttp_transport.py",
        old="        raise NoAnswer(what) if attempt.handed_over else NotSent(what)\n",
        new='        raise NotSent(what) if "timed out" not in failure else NoAnswer(what)\n',
        tests=("tests/adapters/broker/dhan/test_aiohttp_transport.py",),
    ),
    Bug(
        name="old-plan-is-sent",
        careless="Sends a planned exit however long it waited for its turn.",
        file="core/exits/sending.py",
        old="    return age_ns > seconds_to_ns(longest)",
        new="    return age_ns > 1_000 * seconds_to_ns(longest)",
        tests=("tests/core/exits/test_sending.py", "tests/core/exits/test_exit_protocol.py"),
    ),
    Bug(
        name="answer-to-the-newest-send",
        careless="Credits an answer to the newest send, not to the one that it answers.",
        file="core/exits/sending.py",
        old="send = next((s for s in before.sends if s.number == event.send_number), None)",
        new="send = before.sends[-1] if before.sends else None",
        tests=(
            "tests/core/exits/test_sending.py",
            "tests/core/exits/test_exit_protocol_late_orders.py",
        ),
    ),
    Bug(
        name="late-acceptance-ignored",
        careless="Ignores the acceptance of a send that was given up as absent.",
        file="core/exits/sending.py",
        old="return isinstance(answer, SendAccepted)",
        new="return isinstance(answer, SendLost)",
        tests=(
            "tests/core/exits/test_sending.py",
            "tests/core/exits/test_exit_protocol_late_orders.py",
        ),
    ),
    Bug(
        name="sends-before-reconciliation",
        careless="Lets orders out before the books were compared after a start.",
        file="services/supervisor.py",
        old='        self._checkpoints.reach("recovery_told")\n',
        new='        self._checkpoints.reach("recovery_told"); self._terms.may_send.set()\n',
        tests=("tests/services/test_supervisor.py",),
    ),
    Bug(
        name="in-flight-forgotten-at-restart",
        careless="After a restart nobody asks what became of the sends that were in flight.",
        file="core/exits/exit_protocol.py",
        old="if send.outcome is SendOutcome.IN_FLIGHT:",
        new="if send.outcome is SendOutcome.NOT_SENT:",
        tests=("tests/core/exits/test_exit_protocol.py",),
    ),
    Bug(
        name="sell-always-closes",
        careless="Closes every position by selling, shorts too.",
        file="domain/orders.py",
        old="return self.entry_order_side.opposite",
        new="return Side.SELL",
        tests=("tests/core/exits/test_sizing.py", "tests/core/exits/test_exit_protocol.py"),
    ),
    Bug(
        name="attempts-share-an-id",
        careless="Leaves the attempt out of the order id, so that two orders share one.",
        file="core/exits/client_order_ids.py",
        old='-{_base36(attempt, _ATTEMPT_DIGITS)}"',
        new='-{_base36(1, _ATTEMPT_DIGITS)}"',
        tests=("tests/core/exits/test_client_order_ids.py",),
    ),
    Bug(
        name="odd-slices-pass",
        careless="Lets every slice of an attempt be a part of a lot.",
        file="services/orders/order_gate.py",
        old="if each.attempt == order.attempt and each.order_quantity % lot\n",
        new="if each.client_order_id == order.client_order_id and each.order_quantity % lot\n",
        tests=("tests/services/orders/test_order_gate.py",),
    ),
)
