"""Bugs in who may write when: rate budget, breaker, token, exit-all."""

from seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="entries-starve-exits",
        careless="Keeps no part of the rate budget for exits.",
        file="services/orders/rate_budget.py",
        old="return max(1, limit - reserve)",
        new="return limit",
        tests=(
            "tests/services/orders/test_rate_budget.py",
            "tests/services/orders/test_permit_queue.py",
        ),
    ),
    Bug(
        name="writes-under-way-not-counted",
        careless="Counts a write when it is answered, not while it is under way.",
        file="services/orders/rate_budget.py",
        old="return len(self._held) + len(self._flights)",
        new="return len(self._held)",
        tests=("tests/services/orders/test_rate_budget.py",),
    ),
    Bug(
        name="too-many-requests-ignored",
        careless='Goes on at its own count after the broker said "too many requests".',
        file="services/orders/rate_budget.py",
        old="self._full_until_ns = now_ns + seconds_to_ns(RATE_LIMITED_HOLDS_SECONDS[step])",
        new="self._full_until_ns = now_ns + 0 * step",
        tests=("tests/services/orders/test_rate_budget.py",),
    ),
    Bug(
        name="largest-risk-last",
        careless="Lets the smallest value at stake go first.",
        file="services/orders/permit_queue.py",
        old="rank = (urgency.value, kind.value, -risk, self._asked_count)",
        new="rank = (urgency.value, kind.value, risk, self._asked_count)",
        tests=("tests/services/orders/test_permit_queue.py",),
    ),
    Bug(
        name="first-come-first-served",
        careless="Grants permits in the order of asking, whatever their urgency.",
        file="services/orders/permit_queue.py",
        old="rank = (urgency.value, kind.value, -risk, self._asked_count)",
        new="rank = (0, 0, Decimal(0), self._asked_count)",
        tests=(
            "tests/services/orders/test_permit_queue.py",
            "tests/services/orders/test_order_router.py",
        ),
    ),
    Bug(
        name="cancelled-waiter-keeps-its-permit",
        careless="Loses the permit of a caller who was cancelled while it was granted.",
        file="services/orders/permit_queue.py",
        old="if future.done() and not future.cancelled():",
        new="if future.cancelled():",
        tests=(
            "tests/services/orders/test_permit_queue.py",
            "tests/services/orders/test_order_router.py",
        ),
    ),
    Bug(
        name="open-breaker-refuses",
        careless="Refuses an exit while the breaker is open, instead of letting it wait.",
        file="services/orders/permit_queue.py",
        old="        asked_ns = self._now_ns()\n        future:",
        new="        asked_ns = self._now_ns()\n"
        "        if self.breaker_state(endpoint_of(kind)) is BreakerState.OPEN:\n"
        '            raise TimeoutError("the breaker is open")\n'
        "        future:",
        tests=(
            "tests/services/orders/test_permit_queue.py",
            "tests/services/orders/test_order_router.py",
        ),
    ),
    Bug(
        name="many-probes",
        careless="Lets everybody through while the breaker is half open.",
        file="services/orders/circuit_breaker.py",
        old="if opening.probe_since_ns is not None:",
        new="if opening.probe_since_ns == 0:",
        tests=("tests/services/orders/test_circuit_breaker.py",),
    ),
    Bug(
        name="old-answer-closes-the-breaker",
        careless="Lets the answer to a call that began before the breaker opened close it.",
        file="services/orders/circuit_breaker.py",
        old="        if began != self._opened_count:\n            return\n"
        "        if self._opening is not None:\n            self._close",
        new="        if self._opening is not None:\n            self._close",
        tests=("tests/services/orders/test_circuit_breaker.py",),
    ),
    Bug(
        name="token-refresh-loop",
        careless="Logs in as often as the broker refuses the token.",
        file="services/session/token_recovery.py",
        old="if now_ns < self._next_login_ns:",
        new="if now_ns < 0:",
        tests=("tests/services/session/test_token_recovery.py",),
    ),
    Bug(
        name="login-on-suspicion",
        careless="Makes a new token before the broker confirmed that the old one is dead.",
        file="services/session/token_recovery.py",
        old="if not self._is_confirmed or not self._session.state.is_refused:",
        new="if not self._session.state.is_refused:",
        tests=("tests/services/session/test_token_recovery.py",),
    ),
    Bug(
        name="longs-before-shorts",
        careless="Closes longs first at exit-all, so that hedges fall before what they hedge.",
        file="services/exits/exit_all.py",
        old="for side in (PositionSide.SHORT, PositionSide.LONG):",
        new="for side in (PositionSide.LONG, PositionSide.SHORT):",
        tests=("tests/services/exits/test_exit_all.py",),
    ),
    Bug(
        name="exit-all-lets-entries-in",
        careless="Closes everything and leaves the door open for new entries.",
        file="services/exits/exit_all.py",
        old="                active=True,\n                level=switch.level",
        new="                active=switch.active,\n                level=switch.level",
        tests=("tests/services/exits/test_exit_all.py",),
    ),
    Bug(
        name="kill-switch-not-asked-for-a-permit",
        careless="Lets exits wait for permits and be committed under the kill switch.",
        file="services/orders/send_terms.py",
        old="if self._kill_switch.blocks_exits:",
        new="if not self._kill_switch:",
        tests=("tests/services/orders/test_placer.py", "tests/services/exits/test_exit_engine.py"),
    ),
    Bug(
        name="holiday-forgotten",
        careless="Takes every weekday for a trading day.",
        file="adapters/calendar.py",
        old="return () if is_named or holiday_name(exchange, day) else (hours,)",
        new="return () if is_named else (hours,)",
        tests=("tests/adapters/test_calendar.py",),
    ),
    Bug(
        name="old-permit-is-a-turn",
        careless="Writes by a permit of before a standstill, beside those granted since.",
        file="services/orders/order_router.py",
        old="if not self.queue.is_any_held():",
        new="if self.queue is None:",
        tests=("tests/services/orders/test_order_router.py",),
    ),
)
