"""Names of the faults that are not rules of the broker's fault plan, each with its meaning.

`NETWORK_CLASSES` and `STORE_CLASSES` have a rate, `EVENT_CLASSES` happen so often in a run.
"""

from collections.abc import Mapping

NETWORK_CLASSES: Mapping[str, str] = {
    "early_reset": "a connection breaks while the request is still on its way",
    "dark_socket": "a socket carries nothing more in either direction, and does not end",
    "feed_off_tick": "the market's last price lies off the grid, by less than half a step",
}

STORE_CLASSES: Mapping[str, str] = {
    "store_busy": "a call of the database is refused at once",
    "store_commit_unknown": "the connection breaks in COMMIT: kept or not",
    "store_io_error": "a write fails and nothing is kept",
    "store_slow": "a write takes up to five seconds",
    "owner_busy": "a look at the owner's row, or its renewal, is refused at once",
    "owner_commit_unknown": "the connection breaks in the COMMIT of a renewal or a taking",
    "owner_slow": "a look at the owner's row, or its renewal, takes up to five seconds",
}
OWNER_PREFIX = "owner_"
"""Classes of `STORE_CLASSES` that need an account with two engines."""

WRITE_REFUSALS: Mapping[str, str] = {
    "store_disk_full": "database or disk is full",
    "store_read_only": "attempt to write a readonly database",
}
"""Faults that last for some seconds: reads work and every write is refused with this text."""

OUTLAW_EVENTS: Mapping[str, str] = {
    "outlaw_rival": "another engine, on a database of its own, closes a position of the account",
    "outlaw_bust": "the exchange takes back a fill of an exit that is not yet confirmed",
}
"""Beyond what one engine can prevent or undo: a person must be told."""

EVENT_CLASSES: Mapping[str, str] = {
    # People and other programs on the account.
    "close_by_hand": "a person closes some or all of a position in the broker's app",
    "add_by_hand": "a person adds to a position in the broker's app",
    "cancel_by_others": "an order of ours is cancelled by somebody else, three times in the run",
    "exit_withdrawn": "a person takes an exit back",
    "kill_new": "the kill switch is thrown at level new for some seconds",
    "kill_all": "the kill switch is thrown at level all for some seconds",
    "ip_refusal": "orders are refused for the address they come from, while reads work",
    # Broker and exchange.
    "market_closed": "the exchange takes no orders for some seconds, and nobody knew beforehand",
    "freeze_lowered": "the exchange takes a third of the freeze quantity that the master names",
    "day_rollover": "the session ends, and the next day finds an engine that slept or died over it",
    "halt": "trading stands still for some seconds",
    "empty_book": "nobody bids or offers for some seconds",
    "rest_unfilled": "nothing fills for some seconds, whatever its price",
    "token_file_torn": "the token dies, and its file is seen while a person writes the next one",
    "token_death": "the access token is refused for some seconds",
    "expire_by_broker": "an order of ours expires in the middle of the day",
    "reject_at_exchange": "a working order of ours is rejected after all",
    "reject_for_good": "exits are rejected for some seconds with a text that needs a person",
    "square_off_by_broker": "the broker closes every intraday position and cancels its orders",
    "stream_silent": "the order stream says nothing for up to 15 s, its pongs go on",
    "stream_mute": "the order stream takes logins and says nothing for up to a minute",
    "feed_silent": "the market feed says nothing for up to 15 s, its pongs go on",
    # The machine.
    "store_disk_full": "the disk is full for some seconds",
    "store_read_only": "the database is read-only for some seconds",
    "calendar_wrong": "the calendar says closed for some seconds while the exchange is open",
    "clock_step": "the wall clock steps by up to 3 s",
    "clock_jump": "the wall clock jumps by up to 24 h and is corrected some seconds later",
    "clock_slew": "the wall clock runs up to 5 % fast or slow",
    "kill": "the process is killed as soon as an exit comes into some state",
    "clean_stop": "the process is told to stop and ends in good order, whatever is under way",
    "pause": "the process stands still for 1 to 120 s",
    "defect": "an exception that no code of ours foresaw is raised in a port",
}
