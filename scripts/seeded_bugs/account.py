"""Bugs in the rules of the account: what counts, what is known, what is latched, what is closed."""

from seeded_bugs.bug import Bug

_GUARD = ("tests/services/account/test_account_guard.py",)
_REFERENCE = ("tests/core/test_account_rules_by_reference.py",)

BUGS = (
    Bug(
        name="account-judges-a-part",
        careless="Takes the known part of the P&L for all of it while a price is missing.",
        file="core/account/account_watch.py",
        old="or not (self.is_judging and pnl.is_known)",
        new="or not self.is_judging",
        tests=_REFERENCE,
    ),
    Bug(
        name="account-judges-before-the-books-agree",
        careless="Judges positions that somebody may have closed while no engine ran.",
        file="core/account/account_watch.py",
        old="or not (self.is_judging and pnl.is_known)",
        new="or not pnl.is_known",
        tests=_GUARD,
    ),
    Bug(
        name="account-believes-a-lost-connection",
        careless="Goes on to count prices of a connection that ended.",
        file="services/account/account_guard.py",
        old="is_lost and hours.is_in_session(name.exchange_segment, now_ns)",
        new="False",
        tests=_GUARD,
    ),
    Bug(
        name="account-hears-no-quiet-price",
        careless="Lets the feed keep prices that concern no position from the account's sum.",
        file="assembly/engine.py",
        old="if settings.account_rules.judges_prices:",
        new="if settings.account_rules.square_off_at:",
        tests=_GUARD,
    ),
    Bug(
        name="account-peak-falls",
        careless="Lets the trailing follow the P&L down.",
        file="core/account/account_limits.py",
        old="pnl if self.peak is None else max(self.peak, pnl)",
        new="pnl",
        tests=("tests/core/account/test_account_limits.py",),
    ),
    Bug(
        name="account-loss-sees-no-hedge",
        careless="Counts a hedge whose price is missing for nothing, though it had a gain.",
        file="core/account/account_pnl.py",
        old="return self.total + sum(max(0, value) for value in rest)",
        new="return self.total",
        tests=_REFERENCE,
    ),
    Bug(
        name="account-counts-yesterday",
        careless="Counts what a carried position realised on earlier days.",
        file="services/account/account_book.py",
        old="today = share.realized - self._realized_before.get(tracker_id, 0)",
        new="today = share.realized",
        tests=_GUARD,
    ),
    Bug(
        name="account-forgets-what-fired",
        careless="Fires again after a restart what a person had lifted.",
        file="services/account/account_guard.py",
        old="self._limits.begin_day(peak, stored.spent)",
        new="self._limits.begin_day(peak)",
        tests=_GUARD,
    ),
    Bug(
        name="account-forgets-its-peak",
        careless="Begins the trailing anew after a restart, further away.",
        file="services/account/account_guard.py",
        old="self._limits.begin_day(peak, stored.spent)",
        new="self._limits.begin_day(None, stored.spent)",
        tests=_GUARD,
    ),
    Bug(
        name="account-latch-apart-from-its-wish",
        careless="Writes what fired after the wish that closes everything, not with it.",
        file="services/account/account_guard.py",
        old="facts=(fact,),\n                in_place_of=self._stored.reason,\n            )",
        new="in_place_of=self._stored.reason,\n            )\n"
        "            await parts.store.record((fact,), 0)",
        tests=_GUARD,
    ),
    Bug(
        name="account-gives-up-with-the-database",
        careless="Drops a rule that fired when it could not be stored at once.",
        file="services/account/account_guard.py",
        old="                await self._parts.clock.sleep(LATCH_RETRY_SECONDS)",
        new="                return",
        tests=_GUARD,
    ),
    Bug(
        name="account-square-off-sells-what-is-carried",
        careless="Closes delivery and margin positions at the intraday square-off.",
        file="services/account/account_guard.py",
        old="intraday_only=_is_narrow(fact)",
        new="intraday_only=False",
        tests=_GUARD,
    ),
    Bug(
        name="account-day-ends-with-the-clock",
        careless="Begins a new day when the clock is set back, and lifts what fired.",
        file="services/account/account_guard.py",
        old="if today <= self._day:",
        new="if today == self._day:",
        tests=_GUARD,
    ),
    Bug(
        name="account-lifts-a-persons-switch",
        careless="Lets entries go on a new day though a person had stopped them.",
        file="services/account/account_guard.py",
        old="switch.asked.active and switch.asked.reason == switch_reason(self._to_lift)",
        new="switch.asked.active",
        tests=_GUARD,
    ),
)
