"""Replace a dead access token: from its file, or by a login, but never in a race with others.

A broker keeps one token per user alive, so two programs that both make tokens kill each other's
for ever. Hence a login is made only after the broker confirmed the death and the file was read
again, at most once in LOGIN_PAUSE_SECONDS_MIN, and ever more rarely where the tokens die young.

Invariants:
1. No login while the broker takes the token in use, unless that is about to end.
2. Between two logins lie at least LOGIN_PAUSE_SECONDS_MIN; after k tokens in a row that died young,
   that times 2^(k-1), at most LOGIN_PAUSE_SECONDS_MAX.
3. One episode of a dead token is told once, when it is confirmed and the file does not cure it, and
   once more where the login fails as well. So is one that the broker neither confirms nor denies.
"""

from enum import Enum

import structlog

from squareoff.core.state.facts import Severity
from squareoff.domain.errors import BrokerError, BrokerSessionExpired
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import BrokerSession, Clock
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics

_log = structlog.get_logger("squareoff.token_recovery")
FILE_GRACE_SECONDS = 1.0
"""Whoever killed the token may be about to write the new one into the file."""

FILE_CHECK_SECONDS = 1.0
"""How often the file is read again while the token is dead: it is a local read."""

FILE_FAULTS_MIN = 3
"""Readings in a row without a token: a file that is just being written is not told of."""

PROBE_SECONDS_MIN, PROBE_SECONDS_MAX = 1.0, 5.0
"""Pauses between two questions whether the token lives again; they double."""

UNPROVED_SECONDS = 60.0
"""How long calls may be refused for the token while the profile says neither that it is dead nor
that it lives, before a person is told: an outage that ends by itself is shorter."""

LOGIN_PAUSE_SECONDS_MIN = 125.0
"""The broker makes one token in two minutes, as other clients report; five seconds of margin."""

LOGIN_PAUSE_SECONDS_MAX = 1_800.0
"""However contested the token, a login is tried twice an hour."""

YOUNG_SECONDS = 1_800.0
"""A token lives 24 hours; one that we made and that died within half an hour was killed."""

FLAPS_MAX = 3
"""False signs within FLAP_SECONDS of each other, before a person is told."""

FLAP_SECONDS = 60.0

_CODES = ("token_dead", "token_not_made", "token_unproved", "token_file_unusable")
"""What is told of a token, and over once the broker takes one."""


class Recovery(Enum):
    """What one step of the recovery came to."""

    REPLACED_FROM_FILE = "REPLACED_FROM_FILE"
    """The file held another token."""
    LOGGED_IN = "LOGGED_IN"
    """A login made another token."""
    ALIVE = "ALIVE"
    """The broker takes the token in use: the sign was a false one, or has passed."""
    STILL_DEAD = "STILL_DEAD"
    """Nothing helped yet, or the broker could not be asked."""


class TokenRecovery:
    """One account's recovery; called by one task."""

    def __init__(
        self, session: BrokerSession, alarms: AlarmDesk, clock: Clock, metrics: Metrics
    ) -> None:
        self._session = session
        self._alarms = alarms
        self._clock = clock
        self._metrics = metrics
        self._is_told = False
        self._is_login_told = False
        self._file_faults = 0
        self._may_stand = True  # an alarm of the last process
        self._is_confirmed = False
        self._unproved_since_ns: int | None = None
        self._is_unproved_told = False
        self._next_probe_ns = 0
        self._probe_seconds = PROBE_SECONDS_MIN
        self._next_login_ns = 0
        self._made_at_ns: int | None = None
        self._made_generation: int | None = None
        self._young_deaths = 0
        self._flaps = 0
        self._last_flap_ns = 0

    async def step(self) -> tuple[Recovery, float]:
        """Do what may be done now; return what it came to and when to look again, seconds."""
        if await self._session.reload():
            return Recovery.REPLACED_FROM_FILE, 0.0
        if self._clock.now().monotonic_ns >= self._next_probe_ns and await self._is_alive():
            await self._note_flap()
            return Recovery.ALIVE, 0.0
        if not self._is_confirmed or not self._session.state.is_refused:
            await self._tell_unproved_in_time()
            return Recovery.STILL_DEAD, self._pause_seconds()
        if self._session.has_file and not self._is_told:
            await self._clock.sleep(FILE_GRACE_SECONDS)
            if await self._session.reload():
                return Recovery.REPLACED_FROM_FILE, 0.0
        await self._tell_dead()
        await self._tell_file_fault()
        if self._session.can_log_in and await self.log_in():
            return Recovery.LOGGED_IN, 0.0
        return Recovery.STILL_DEAD, self._pause_seconds()

    async def log_in(self) -> bool:
        """Make a token by PIN and code, if its time has come; say whether there is a new one."""
        now_ns = self._clock.now().monotonic_ns
        if (
            self._made_generation == self._session.state.generation
            and self._session.state.is_refused
        ):
            await self._note_death_of_ours(now_ns)
        if now_ns < self._next_login_ns:
            return False
        self._next_login_ns = now_ns + seconds_to_ns(LOGIN_PAUSE_SECONDS_MIN)
        try:
            is_saved = await self._session.log_in()
        except BrokerError as error:
            self._metrics.token_renewals.labels("login", "failed").inc()
            await self._tell_login_failed(str(error))
            return False
        self._metrics.token_renewals.labels("login", "done").inc()
        await self.note_made(is_saved=is_saved)
        return True

    async def note_made(self, *, is_saved: bool) -> None:
        """Take note of a token that we had made."""
        self._made_at_ns = self._clock.now().monotonic_ns
        self._made_generation = self._session.state.generation
        self._is_confirmed = False
        if not is_saved:
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                "token_not_saved",
                "A new access token is in use, but its file could not be written: the file holds a "
                "dead token, and a restart finds no good one. See that DHAN_ACCESS_TOKEN_FILE "
                "names a file in a folder that this program may write to.",
            )

    async def note_alive(self) -> None:
        """Take note that the broker takes the token: an episode, if there was one, is over."""
        self._is_confirmed = False
        self._unproved_since_ns = None
        if self._flaps < FLAPS_MAX:
            self._probe_seconds, self._next_probe_ns = PROBE_SECONDS_MIN, 0
        if self._is_told or self._is_login_told or self._is_unproved_told or self._may_stand:
            self._is_told = self._is_login_told = self._is_unproved_told = self._may_stand = False
            for code in _CODES:
                await self._alarms.clear(code, "the broker takes the access token")

    async def _is_alive(self) -> bool:
        """Ask the broker; no answer is neither life nor death."""
        pause_ns = seconds_to_ns(self._probe_seconds)
        self._probe_seconds = min(2 * self._probe_seconds, PROBE_SECONDS_MAX)
        self._next_probe_ns = self._clock.now().monotonic_ns + pause_ns
        try:
            await self._session.profile()
        except BrokerSessionExpired:
            self._is_confirmed = True
            self._unproved_since_ns = None
            return False
        except BrokerError as error:
            _log.warning("token_not_proved", error=str(error))
            return False
        await self.note_alive()
        return True

    async def _note_flap(self) -> None:
        """The sign was a false one. Where calls are refused and the profile is not, slow down."""
        now_ns = self._clock.now().monotonic_ns
        if now_ns - self._last_flap_ns > seconds_to_ns(FLAP_SECONDS):
            self._flaps = 0
        self._flaps, self._last_flap_ns = self._flaps + 1, now_ns
        if self._flaps < FLAPS_MAX:
            return
        self._next_probe_ns = now_ns + seconds_to_ns(PROBE_SECONDS_MAX)
        if self._flaps == FLAPS_MAX:
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                "token_refused_in_part",
                "The broker's profile takes the access token, and other calls or a socket refuse "
                "it, again and again. See on the broker's web page that the account may use its "
                "trading and data interfaces, and that DHAN_CLIENT_ID is the token's own.",
            )

    def _pause_seconds(self) -> float:
        if self._session.has_file:
            return FILE_CHECK_SECONDS
        now_ns = self._clock.now().monotonic_ns
        return max(0.1, (self._next_probe_ns - now_ns) / seconds_to_ns(1.0))

    async def _note_death_of_ours(self, now_ns: int) -> None:
        """A token that we made is dead: killed, where it died young. Then leave others the way."""
        assert self._made_at_ns is not None, "made before"
        is_young = now_ns - self._made_at_ns < seconds_to_ns(YOUNG_SECONDS)
        self._young_deaths = self._young_deaths + 1 if is_young else 0
        self._made_generation = None
        if not is_young:
            return
        pause = min(
            LOGIN_PAUSE_SECONDS_MIN * 2 ** (self._young_deaths - 1), LOGIN_PAUSE_SECONDS_MAX
        )
        self._next_login_ns = max(self._next_login_ns, self._made_at_ns + seconds_to_ns(pause))
        if self._young_deaths > 1:
            self._next_login_ns = max(self._next_login_ns, now_ns + seconds_to_ns(pause))
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                "token_contested",
                f"{self._young_deaths} access tokens in a row that this program made were dead "
                "within half an hour: another program renews this token, and each new one kills "
                "the other's. Let only one of them do so, or share DHAN_ACCESS_TOKEN_FILE. The "
                f"next login here is made in {pause:g} s at the earliest.",
            )

    async def _tell_dead(self) -> None:
        if self._is_told:
            return
        self._is_told = True
        heals = self._session.can_log_in
        await self._alarms.raise_alarm(
            Severity.WARNING if heals else Severity.CRITICAL,
            "token_dead",
            "The broker refuses the access token: no order goes out, and orders, positions and "
            f"prices cannot be read. {cure_text(self._session)} Exits wait and go on at once.",
        )

    async def _tell_unproved_in_time(self) -> None:
        """While calls are refused nothing leaves, and without the broker's word nothing cures it
        but the file: a person must know."""
        if not self._session.state.is_refused:
            self._unproved_since_ns = None
            return
        now_ns = self._clock.now().monotonic_ns
        if self._unproved_since_ns is None:
            self._unproved_since_ns = now_ns
        if self._is_unproved_told or self._is_told:
            return
        if now_ns - self._unproved_since_ns < seconds_to_ns(UNPROVED_SECONDS):
            return
        self._is_unproved_told = True
        where = "put it into the file that DHAN_ACCESS_TOKEN_FILE names"
        if not self._session.has_file:
            where = "start this program again with it"
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "token_unproved",
            "Calls were refused for the access token, and asked for the token's profile the broker "
            f"has not said for {UNPROVED_SECONDS:g} s whether it is dead. Until it does no order "
            "goes out, orders, positions and prices cannot be read, and no login is made. Look at "
            f"the broker's web page; a new token helps at once: {where}.",
        )

    async def _tell_file_fault(self) -> None:
        """Say why the file does not help, where it alone can: a new token may lie in it."""
        fault = "" if self._session.can_log_in else self._session.file_fault
        self._file_faults = self._file_faults + 1 if fault else 0
        if self._file_faults == FILE_FAULTS_MIN:
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                "token_file_unusable",
                f"The file for the access token gives none: {fault}. See that it holds the token "
                "alone and that this program's user may read it; it is read again every second.",
            )

    async def _tell_login_failed(self, text: str) -> None:
        if self._is_login_told:
            return
        self._is_login_told = True
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "token_not_made",
            f"A login by PIN and one-time code made no access token: {text}. It is tried again in "
            f"{LOGIN_PAUSE_SECONDS_MIN:g} s. See that DHAN_PIN and DHAN_TOTP_SECRET are right and "
            "that this machine's clock is.",
        )


def cure_text(session: BrokerSession) -> str:
    """Return what a person, or this program, does about a dead token."""
    if session.can_log_in:
        return "A new one is made by PIN and one-time code."
    if session.has_file:
        return (
            "Make a new one on the broker's web page and put it into the file that "
            "DHAN_ACCESS_TOKEN_FILE names; it is read again every second."
        )
    return (
        "Make a new one on the broker's web page and start this program again with it; with "
        "DHAN_ACCESS_TOKEN_FILE, or DHAN_PIN and DHAN_TOTP_SECRET, no restart is needed."
    )
