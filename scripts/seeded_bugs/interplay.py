"""Bugs between the parts, which only the whole engine under faults shows: simulated seeds."""

from seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="master-of-the-first-day",
        careless="Loads each day's instrument master and goes on asking the first one.",
        file="adapters/broker/dhan/instrument_source.py",
        old="        self._master, self._loaded_at_ns = master, now.wall_ns",
        new="        self._loaded_at_ns = now.wall_ns",
        tests=("tests/adapters/broker/dhan/test_instrument_source.py",),
    ),
    Bug(
        name="restart-forgets-sends",
        careless="After a restart takes what was in flight for never sent.",
        file="core/exits/exit_protocol.py",
        old="    OrderOutcomeLost,\n    PositionCancelled,\n",
        new="    OrderNotSent as OrderOutcomeLost,\n    PositionCancelled,\n",
        tests=("tests/core/exits/test_exit_protocol.py",),
    ),
    Bug(
        name="own-closes-forgotten",
        careless="Forgets what was closed lately, which a lagging reading does not show yet.",
        file="services/positions/position_book.py",
        old="        if closed > 0:\n",
        new="        if closed > 1_000_000:\n",
        tests=("tests/services/orders/test_placer.py",),
    ),
    Bug(
        name="wakes-are-lost",
        careless="Loses the wake-up of a position whenever another input comes.",
        file="services/exits/exit_engine.py",
        old="self._schedule_wake(actor, decision.wake_at_ns)",
        new="self._schedule_wake(actor, decision.wake_at_ns if decision.facts else None)",
        seeds="0..9",
    ),
    Bug(
        name="orphaned-send-left-in-flight",
        careless="Leaves a send in flight for ever whose commit was not known of.",
        file="services/positions/position_book.py",
        old="            if send.outcome is SendOutcome.IN_FLIGHT\n",
        new="            if send.outcome is SendOutcome.UNKNOWN\n",
        tests=("tests/services/exits/test_exit_engine_under_failure.py",),
    ),
    Bug(
        name="token-in-the-journal",
        careless="Keeps the broker's raw answers with the access token in them.",
        file="adapters/broker/dhan/errors.py",
        old='    return text.replace(secret, "***") if secret else text\n',
        new="    return text + secret\n",
        seeds="0..5",
    ),
    Bug(
        name="no-fast-comparison",
        careless="Reads the order book on the timer only, also while an exit is on its way.",
        file="services/positions/reconciler.py",
        old="            elif self._has_in_flight():\n",
        new="            elif not self._engine:\n",
        tests=("tests/services/positions/test_reconciler.py",),
    ),
    Bug(
        name="order-stream-alone",
        careless="Believes that the order stream tells everything, and takes no order book in.",
        file="services/orders/order_update_handler.py",
        old="sum([await self.handle(report) for report in reports])",
        new="len(reports)",
        tests=("tests/services/positions/test_reconciler.py",),
    ),
    Bug(
        name="reading-told-before-it-was",
        careless="Counts a shared reading as told as soon as somebody begins to tell it.",
        file="services/orders/order_update_handler.py",
        old="            if reports is not self._told_book:\n",
        new="            if reports is not self._told_book:\n"
        "                self._told_book = reports\n",
        tests=("tests/services/orders/test_order_update_handler.py",),
    ),
    Bug(
        name="sent-cancel-ends-the-order",
        careless="Takes an order as ended once its cancel was sent.",
        file="core/state/order_fold.py",
        old="    f.OrderCancelSent: _unchanged,\n",
        new="    f.OrderCancelSent: lambda order, fact, at: replace(\n"
        "        order,\n"
        "        state=OrderState.CANCELLED,\n"
        "        broker_orders=tuple(\n"
        "            replace(record, status=BrokerOrderStatus.CANCELLED)\n"
        "            for record in order.broker_orders\n"
        "        ),\n"
        "    ),\n",
        tests=("tests/core/exits/test_withdrawal.py", "tests/core/exits/test_closing.py"),
    ),
    Bug(
        name="rules-not-armed-after-restart",
        careless="Loads positions at the start without arming their rules.",
        file="services/supervisor.py",
        old="            self._risk.on_tracker_changed(tracker)\n",
        new="",
        seeds="0..39",
    ),
    Bug(
        name="gives-up-silently",
        careless="Gives up asking for an order that is lost after a few rounds, and tells nobody.",
        file="core/exits/settling.py",
        old="        if step.is_due(step.pacing.of(order.client_order_id).next_look_up_ns):\n",
        new="        if step.pacing.of(order.client_order_id).look_ups < 3 and step.is_due(\n"
        "            step.pacing.of(order.client_order_id).next_look_up_ns\n"
        "        ):\n",
        seeds="0..19",
    ),
    Bug(
        name="time-rules-an-hour-early",
        careless="Takes a time of the day for one in another zone.",
        file="core/rules/time_rules.py",
        old="now.ist().time() >= begins",
        new="_seconds(now.ist().time()) + 3_600 >= _seconds(begins)",
        seeds="0..9",
    ),
    Bug(
        name="fixed-level-moved",
        careless="Puts a stop that was given as a price two percent away from it.",
        file="core/rules/levels.py",
        old="        return rule.price\n",
        new="        return rule.price * (1 + sign * Decimal('0.02'))\n",
        seeds="0..9",
    ),
    Bug(
        name="modify-sent-twice",
        careless="Sends every modify a second time, to be sure.",
        file="services/orders/order_router.py",
        old="            await self._gateway.modify_order(modification)\n",
        new="            await self._gateway.modify_order(modification)\n"
        "            await self._gateway.modify_order(modification)\n",
        seeds="0..19",
    ),
)
