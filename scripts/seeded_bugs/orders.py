"""Bugs in what reports add up to, and in price, size and pace of an exit."""

from seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="fills-summed",
        careless="Adds up the cumulative quantities of messages.",
        file="core/state/order_fold.py",
        old="cumulative_quantity=max(known.cumulative_quantity, fact.cumulative_quantity),",
        new="cumulative_quantity=known.cumulative_quantity + fact.cumulative_quantity,",
        seeds="0..5",
    ),
    Bug(
        name="stale-report-takes-back-fills",
        careless="Believes the newest message, so that a stale one takes back fills.",
        file="core/state/order_fold.py",
        old="cumulative_quantity=max(known.cumulative_quantity, fact.cumulative_quantity),",
        new="cumulative_quantity=fact.cumulative_quantity,",
        tests=("tests/core/state/test_order_fold.py",),
    ),
    Bug(
        name="late-fill-after-cancel-ignored",
        careless="Ignores fills that are reported after the cancel.",
        file="core/state/order_fold.py",
        old="cumulative_quantity=max(known.cumulative_quantity, fact.cumulative_quantity),",
        new="cumulative_quantity=known.cumulative_quantity\n"
        "        if known.status.is_terminal\n"
        "        else max(known.cumulative_quantity, fact.cumulative_quantity),",
        tests=("tests/core/state/test_order_fold.py",),
    ),
    Bug(
        name="terminal-order-reopens",
        careless="Lets the newest status word win, so that TRANSIT follows TRADED.",
        file="core/state/order_fold.py",
        old="status=max(known.status, fact.status, key=_PROGRESS.index),",
        new="status=fact.status,",
        tests=("tests/core/state/test_order_fold.py",),
    ),
    Bug(
        name="filled-on-accept",
        careless="Takes HTTP 200 for a fill.",
        file="core/state/order_fold.py",
        old="record = BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None)",
        new="record = BrokerOrder(\n"
        "            fact.broker_order_id, BrokerOrderStatus.TRADED, order.order_quantity, None\n"
        "        )",
        tests=("tests/core/state/test_order_fold.py", "tests/core/exits/test_exit_protocol.py"),
    ),
    Bug(
        name="traded-word-believed",
        careless="Believes TRADED of a record that shows fewer fills than ordered.",
        file="core/exits/sightings.py",
        old="if report.cumulative_quantity >= report.order_quantity:",
        new="if report.status is BrokerOrderStatus.TRADED:",
        tests=("tests/core/state/test_order_fold.py",),
    ),
    Bug(
        name="leaves-of-one-record",
        careless="Counts one id's rest once where two orders at the broker may fill it.",
        file="core/state/tracker.py",
        old="return max(0, self.order_quantity - self.cumulative_quantity, at_broker)",
        new="return max(0, self.order_quantity - self.cumulative_quantity, 0 * at_broker)",
        tests=(
            "tests/core/state/test_tracker.py",
            "tests/core/exits/test_exit_protocol_late_orders.py",
        ),
    ),
    Bug(
        name="modify-with-remaining",
        careless="Names the remaining quantity in a modify instead of the total.",
        file="core/exits/chasing.py",
        old="order_quantity=order.order_quantity,",
        new="order_quantity=order.leaves_quantity,",
        tests=("tests/core/exits/test_chasing.py",),
    ),
    Bug(
        name="one-modification-too-many",
        careless="Modifies an order once more than the broker takes.",
        file="core/exits/chasing.py",
        old="    if order.modifications >= MODIFICATIONS_MAX:\n        _replace",
        new="    if order.modifications > MODIFICATIONS_MAX:\n        _replace",
        tests=("tests/core/exits/test_chasing.py",),
    ),
    Bug(
        name="chases-backwards",
        careless="Moves a resting exit away from the market when the price moves.",
        file="core/exits/chasing.py",
        old="if not is_more_aggressive(order.side, limit, _standing_limit(step, order)):",
        new="if limit == _standing_limit(step, order):",
        tests=("tests/core/exits/test_chasing.py",),
    ),
    Bug(
        name="freeze-off-by-one",
        careless="Lets a slice be one lot larger than the freeze quantity.",
        file="core/exits/slicing.py",
        old="limits.append(freeze // lot * lot)",
        new="limits.append((freeze // lot + 1) * lot)",
        tests=("tests/core/exits/test_slicing.py",),
    ),
    Bug(
        name="lot-ignored",
        careless="Slices by the limit alone, not in whole lots.",
        file="core/exits/slicing.py",
        old="largest = limit // lot_size * lot_size",
        new="largest = limit",
        tests=("tests/core/exits/test_slicing.py",),
    ),
    Bug(
        name="absurd-freeze-believed",
        careless="Believes a freeze quantity below one lot.",
        file="core/exits/slicing.py",
        old="if freeze is not None and lot <= freeze <= FREEZE_QUANTITY_MAX:",
        new="if freeze is not None and 0 <= freeze <= FREEZE_QUANTITY_MAX:",
        tests=("tests/core/exits/test_slicing.py",),
    ),
    Bug(
        name="tick-rounded-wrong-way",
        careless="Rounds the limit of a sell up to the tick, away from the market.",
        file="core/exits/pricing.py",
        old="        price = round_to_tick_down(reference * (1 - percent",
        new="        price = round_to_tick_up(reference * (1 - percent",
        tests=("tests/core/exits/test_pricing.py",),
    ),
    Bug(
        name="circuit-not-clipped",
        careless="Lets the limit of a sell go below the lower circuit.",
        file="core/exits/pricing.py",
        old="lowest = instrument.tick_size if floor is None or reference < floor else floor",
        new="lowest = instrument.tick_size",
        tests=("tests/core/exits/test_pricing.py",),
    ),
    Bug(
        name="wrong-side-of-the-book",
        careless="Prices a sell from the best ask.",
        file="core/exits/pricing.py",
        old="touch = view.best_bid if side is Side.SELL else view.best_ask",
        new="touch = view.best_ask if side is Side.SELL else view.best_bid",
        tests=("tests/core/exits/test_pricing.py",),
    ),
    Bug(
        name="no-slippage-bound",
        careless="Widens the limit with every chase without the configured bound.",
        file="core/exits/pricing.py",
        old="min(protection_percent(instrument, reference) * (step + 1), max_slippage_percent)",
        new="protection_percent(instrument, reference) * (step + 1)",
        tests=("tests/core/exits/test_pricing.py",),
    ),
    Bug(
        name="endless-attempts",
        careless="Never hands an exit that fails again and again to a person.",
        file="core/exits/setbacks.py",
        old="if failures >= step.policy.attempts_max:",
        new="if failures < 0:",
        tests=("tests/core/exits/test_setbacks.py",),
    ),
    Bug(
        name="permanent-rejection-hammered",
        careless="Tries a permanent rejection again as fast as a passing one, and tells nobody.",
        file="core/exits/setbacks.py",
        old="if rejection is RejectionClass.STOP:",
        new="if rejection is RejectionClass.MARKET_CLOSED:",
        tests=("tests/core/exits/test_setbacks.py",),
    ),
    Bug(
        name="rejected-resend-ends-it",
        careless="Takes the rejection of a resend for proof about the send that was lost before.",
        file="core/exits/setbacks.py",
        old="return step.policy.quarantine_seconds if was_lost else 0.0",
        new="return 0.0",
        tests=("tests/core/exits/test_setbacks.py",),
    ),
    Bug(
        name="cancelled-attempt-uncounted",
        careless="Counts no attempt whose order was cancelled, and makes it again at once.",
        file="core/exits/setbacks.py",
        old="    return order.state.is_terminal and order.state not in (OrderState.FILLED, "
        "OrderState.ABSENT)\n",
        new="    ends = (OrderState.FILLED, OrderState.ABSENT, OrderState.CANCELLED)\n"
        "    return order.state.is_terminal and order.state not in ends\n",
        tests=(
            "tests/core/exits/test_setbacks.py",
            "tests/core/exits/test_chasing.py",
        ),
    ),
    Bug(
        name="cancel-withdraws-the-exit",
        careless="Takes the cancel of an exit order for a person's wish to keep the position.",
        file="core/exits/sightings.py",
        old="    quantity = step.tracker.quantity\n    step.record(fact)\n",
        new="    quantity = step.tracker.quantity\n    step.record(fact)\n"
        "    if report.status is BrokerOrderStatus.CANCELLED and step.tracker.has_live_intent:\n"
        "        from squareoff.core.state.facts import ExitWithdrawn\n\n"
        '        step.record(ExitWithdrawn(step.tracker.tracker_id, "cancelled"))\n',
        tests=("tests/core/exits/test_exit_protocol.py", "tests/core/exits/test_setbacks.py"),
    ),
)
