"""What others do to the account, as the auditor hears of it: no engine can be blamed for it."""

Key = tuple[str, str, str]
"""Exchange segment, security id, product."""


class Outside:
    """The deeds of people, of the broker and of other programs in one run."""

    def __init__(self) -> None:
        self.outside_closes: dict[Key, list[int]] = {}
        """When somebody else closed units of a key."""
        self.outside_adds: dict[Key, int] = {}
        """Units that somebody else added to a key, signed."""
        self.unwatched: dict[Key, bool] = {}
        """Keys with units that a person bought and could not bring under watch."""
        self.withdrawals: set[str] = set()
        """Trackers whose exit a person has asked to take back."""
        self.exit_wishes: set[str] = set()
        """Trackers whose exit a person has asked for."""
        self.is_exit_all_asked = False
        self.rival_orders: set[str] = set()
        """Broker order ids under a tag of our shape that is another database's."""
        self.busted: set[str] = set()
        """Trackers of which a fill was taken back."""
        self.night_ns = 0
        """When the second day of the run began, 0 where there was none."""

    def hear_outside_close(self, key: Key, now_ns: int) -> None:
        """Hear that somebody else is closing a position by hand at this instant."""
        self.outside_closes.setdefault(key, []).append(now_ns)

    def hear_outside_add(self, key: Key, signed: int) -> None:
        """Hear that somebody else adds to a position by hand at this instant."""
        self.outside_adds[key] = self.outside_adds.get(key, 0) + signed

    def hear_withdrawal(self, tracker_id: str) -> None:
        """Hear that a person asks the engine to take an exit back."""
        self.withdrawals.add(tracker_id)

    def hear_exit_wish(self, tracker_id: str) -> None:
        """Hear that a person asks the engine for an exit."""
        self.exit_wishes.add(tracker_id)

    def hear_bust(self, tracker_id: str) -> None:
        """Hear that the exchange takes back a fill of this tracker's exit."""
        self.busted.add(tracker_id)
