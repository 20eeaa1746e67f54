"""Alarms reach journal, log, metrics and channels; none of them keeps the others from it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from exit_story.values import ACCOUNT, TRACKER, held
from service_world.store import FaultyStore, memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import RecordedAlarms
from squareoff.core.state.facts import (
    AccountFact,
    AlarmAcknowledged,
    AlarmRaised,
    JournalEntry,
    Severity,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.ports import TrackerStore
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics


def test_an_alarm_is_journalled_counted_and_told() -> None:
    """One alarm, three places."""

    async def body() -> None:
        store, heard, metrics = await memory_store(ACCOUNT), RecordedAlarms(), Metrics()
        desk = AlarmDesk(cast("TrackerStore", store), (heard, heard), VirtualClock(), metrics)
        await desk.raise_alarm(Severity.WARNING, "test", "text", TRACKER)

        (alarm,) = await store.alarms()
        assert (alarm.code, alarm.tracker_id) == ("test", TRACKER)
        assert heard.codes == ["test", "test"]
        assert 'squareoff_alarms_total{code="test",severity="warning"} 1.0' in (
            metrics.render().decode()
        )
        seen_at_ns = await desk.acknowledge(alarm)
        assert await store.alarms(open_only=True) == ()
        assert [each.acknowledged_at_ns for each in await store.alarms()] == [seen_at_ns]

    run_virtual(body())


class Rig:
    """An alarm desk at work over a real store."""

    def __init__(self, store: FaultyStore) -> None:
        self.store, self.heard = store, RecordedAlarms()
        self.trackers: dict[TrackerId, PositionTracker] = {}
        self.desk = AlarmDesk(cast("TrackerStore", store), (self.heard,), VirtualClock(), Metrics())
        self.desk.connect(self.trackers.get)

    @property
    def texts(self) -> list[str]:
        """What people were told, in order."""
        return [text for _, _, text in self.heard.heard]


@asynccontextmanager
async def at_work(store: FaultyStore | None = None) -> AsyncIterator[Rig]:
    """Run an alarm desk around the body."""
    rig = Rig(store or await memory_store(ACCOUNT))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.desk.run())
        await settle()
        yield rig
        running.cancel()


def test_a_critical_alarm_is_told_again_until_it_is_seen() -> None:
    """First after a minute, then at pauses that double up to a quarter of an hour."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            told_at, loop = [], asyncio.get_running_loop()
            while loop.time() < 4_000:
                count = len(rig.texts)
                await asyncio.sleep(5.0)
                told_at += [loop.time()] * (len(rig.texts) - count)
            gaps = [round(b - a) for a, b in pairwise([0.0, *told_at])]
            for place, pause in enumerate((60, 120, 240, 480, 900, 900)):
                assert pause - 5 <= gaps[place] <= pause + 10  # looked at every 5 s

            (alarm,) = await rig.store.alarms()
            assert alarm.repeats == len(rig.texts) - 1
            assert alarm.last_raised_at_ns is not None
            assert rig.texts[-1].startswith("STILL, ")
            assert f"squareoff alarms --acknowledge {alarm.seq}" in rig.texts[-1]
            await rig.desk.acknowledge(alarm)
            count = len(rig.texts)
            await asyncio.sleep(4_000)
            assert len(rig.texts) == count

    run_virtual(body())


def test_a_failed_reading_at_the_start_silences_nothing() -> None:
    """What the last process left is taken over as soon as the database answers."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
        rig.store.down = StoreUnavailable("locked")
        async with at_work(rig.store) as again:
            await asyncio.sleep(30.0)
            assert again.texts == []
            rig.store.down = None
            await asyncio.sleep(4_000)

            assert len(again.texts) > 2
            await again.desk.clear("over_exit", "closed", TRACKER)
            assert [alarm for alarm in await rig.store.alarms() if alarm.is_open] == []

    run_virtual(body())


@pytest.mark.parametrize("is_journalled", [True, False])
def test_a_database_that_is_away_silences_no_critical_alarm(*, is_journalled: bool) -> None:
    """It is told again at the same pauses from memory, and the repeats are counted afterwards."""

    async def body() -> None:
        async with at_work() as rig:
            if is_journalled:
                await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            rig.store.down = StoreUnavailable("away")
            if not is_journalled:
                await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            await rig.desk.raise_alarm(Severity.WARNING, "test", "no hurry")
            await asyncio.sleep(2_000)

            tellings = [text for text in rig.texts if "too many" in text]
            assert len(tellings) == 6  # at 0, 1, 3, 7, 15 and 30 minutes
            assert tellings[-1].startswith("STILL, 30 min later: too many")
            assert rig.texts.count("no hurry") == len(rig.texts) - len(tellings) == 1

            rig.store.down = None
            await asyncio.sleep(1_000)
            alarm = next(alarm for alarm in await rig.store.alarms() if alarm.code == "over_exit")
            assert len(rig.texts) == 8
            assert alarm.repeats == 6

    run_virtual(body())


def test_a_position_that_is_over_is_not_told_again_from_memory() -> None:
    """Its alarm is cleared once the database is back."""

    async def body() -> None:
        async with at_work() as rig:
            rig.trackers[TRACKER] = held()
            await rig.desk.raise_alarm(Severity.CRITICAL, "fills_unconfirmed", "doubt", TRACKER)
            rig.store.down = StoreUnavailable("away")
            rig.trackers[TRACKER] = replace(held(), status=PositionStatus.EXITED)
            await asyncio.sleep(600.0)

            assert rig.texts == ["doubt"]

    run_virtual(body())


def test_an_alarm_that_is_raised_during_a_look_is_told_again() -> None:
    """The reading of a look may lack what was published while it was under way."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.WARNING, "other", "x")
            gate = rig.store.alarms_gate = asyncio.Event()
            await asyncio.sleep(6.0)  # a look has begun, and waits for its reading
            rig.desk.publish(AlarmRaised(Severity.CRITICAL, "over_exit", "too many", TRACKER))
            rig.store.alarms_gate = None
            gate.set()
            await settle()
            alarm = AlarmRaised(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            await rig.store.record((alarm,), 0)
            await asyncio.sleep(4_000)

            assert len([text for text in rig.texts if "too many" in text]) > 2

    run_virtual(body())


@pytest.mark.parametrize("was_warned", [True, False])
def test_an_alarm_whose_commit_was_not_known_of_is_told(*, was_warned: bool) -> None:
    """The journal holds it and nobody published it: people hear of it, once, and then again."""

    async def body() -> None:
        async with at_work() as rig:
            if was_warned:
                await rig.desk.raise_alarm(
                    Severity.WARNING, "order_outcome_unknown", "asking", TRACKER
                )
            alarm = AlarmRaised(Severity.CRITICAL, "order_outcome_unknown", "look", TRACKER)
            await rig.store.record((alarm,), 0)
            rig.desk.look_for_unheard()
            await asyncio.sleep(20.0)
            assert rig.texts[was_warned:] == ["look"]
            await asyncio.sleep(4_000)

            assert "repeats later: look" in rig.texts[-1]
            (raised,) = await rig.store.alarms()
            await rig.desk.acknowledge(raised)
            count = len(rig.texts)
            await asyncio.sleep(4_000)
            assert len(rig.texts) == count

    run_virtual(body())


def test_an_acknowledgement_read_too_early_leaves_the_successor_standing() -> None:
    """The alarm was over, and raised anew, while the word about the old one was on its way."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            (read_before,) = await rig.store.alarms()
            await rig.desk.clear("token_dead", "there is a new token")
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            count = len(rig.texts)
            await rig.desk.acknowledge(read_before)
            await asyncio.sleep(4_000)

            assert len(rig.texts) > count + 2

    run_virtual(body())


def test_an_acknowledgement_that_meets_newer_news_does_not_silence_it() -> None:
    """A decision's alarm is committed before it is published; the word came between the two."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            (seen,) = await rig.store.alarms()
            news = AlarmRaised(Severity.CRITICAL, "over_exit", "still more", TRACKER)
            await rig.store.record((news,), 0)
            await rig.desk.acknowledge(seen)
            rig.desk.publish(news)
            await asyncio.sleep(4_000)

            assert len([text for text in rig.texts if "still more" in text]) > 2
            assert [a.message for a in await rig.store.alarms() if a.is_open] == ["still more"]

    run_virtual(body())


def test_what_a_person_has_seen_stays_quiet_after_a_restart() -> None:
    """The next process takes over what stands unseen, and nothing else."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            (seen, _) = await rig.store.alarms()
            await rig.desk.acknowledge(seen)
        async with at_work(rig.store) as again:
            await asyncio.sleep(4_000)

            assert again.texts
            assert all("dead" in text for text in again.texts)

    run_virtual(body())


def test_a_warning_is_told_once() -> None:
    """What heals itself or has time is not repeated by itself."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.WARNING, "position_mismatch", "differs")
            await asyncio.sleep(10_000)

            assert rig.texts == ["differs"]

    run_virtual(body())


def test_a_storm_of_one_kind_is_one_alarm_with_a_count() -> None:
    """Repeats within the pause are counted, not told nor stacked; worse news is told at once."""

    async def body() -> None:
        async with at_work() as rig:
            for _ in range(50):
                await rig.desk.raise_alarm(Severity.WARNING, "exit_resting", "slow", TRACKER)
                await asyncio.sleep(1.0)
            assert rig.texts == ["slow"]
            await asyncio.sleep(30.0)
            (alarm,) = await rig.store.alarms()
            assert alarm.repeats == 49
            await rig.desk.raise_alarm(Severity.CRITICAL, "exit_resting", "stuck", TRACKER)

            assert rig.texts == ["slow", "stuck"]
            (alarm,) = await rig.store.alarms()
            assert (alarm.severity, alarm.message) == (Severity.CRITICAL, "stuck")

    run_virtual(body())


def test_an_alarm_seen_and_raised_again_is_a_new_one() -> None:
    """What comes after a person has looked is news."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            (alarm,) = await rig.store.alarms()
            await rig.desk.acknowledge(alarm)
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)

            assert rig.texts == ["too many", "too many"]
            assert len(await rig.store.alarms()) == 2

    run_virtual(body())


def test_an_old_alarm_that_is_acknowledged_leaves_its_successor_standing() -> None:
    """The newer one of the same code and position is told again, and cleared, as if alone."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            await rig.desk.clear("token_dead", "there is a new token")
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            old, new = await rig.store.alarms()
            assert (old.is_open, new.is_open) == (False, True)
            count = len(rig.texts)
            await rig.desk.acknowledge(old)
            await asyncio.sleep(4_000)

            assert len(rig.texts) > count + 2
            assert f"--acknowledge {new.seq}" in rig.texts[-1]
            await rig.desk.clear("token_dead", "there is another one")
            assert [alarm for alarm in await rig.store.alarms() if alarm.is_open] == []

    run_virtual(body())


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_an_acknowledgement_that_fails_silences_nothing(*, is_cancelled: bool) -> None:
    """What is not known to be seen is told again."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            (alarm,) = await rig.store.alarms()
            error = asyncio.CancelledError() if is_cancelled else StoreUnavailable("away")
            rig.store.down = cast("Exception", error)
            with pytest.raises(type(error)):
                await rig.desk.acknowledge(alarm)
            rig.store.down = None
            await asyncio.sleep(4_000)

            assert len(rig.texts) > 2

    run_virtual(body())


def test_an_alarm_that_is_raised_while_it_is_acknowledged_is_a_new_one() -> None:
    """What comes after the word is written is news, and is told until that is seen too."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            (alarm,) = await rig.store.alarms()
            record = rig.store.record

            async def slowly(facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
                entries = await record(facts, at_ns)
                if isinstance(facts[0], AlarmAcknowledged):
                    await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
                return entries

            rig.store.record = slowly  # type: ignore[method-assign]
            await rig.desk.acknowledge(alarm)
            await asyncio.sleep(4_000)

            assert len([each for each in await rig.store.alarms() if each.is_open]) == 1
            assert len(rig.texts) > 3

    run_virtual(body())


def test_an_alarm_whose_cause_is_gone_is_cleared_and_told() -> None:
    """The position is closed: its alarm resolves itself, by a fact of its own."""

    async def body() -> None:
        async with at_work() as rig:
            rig.trackers[TRACKER] = held()
            await rig.desk.raise_alarm(Severity.CRITICAL, "fills_unconfirmed", "doubt", TRACKER)
            await asyncio.sleep(30.0)
            assert rig.texts == ["doubt"]
            rig.trackers[TRACKER] = replace(held(), status=PositionStatus.EXITED)
            await asyncio.sleep(10.0)

            assert rig.texts[-1] == "OVER: the position is EXITED. It was: doubt"
            (alarm,) = await rig.store.alarms()
            assert (alarm.is_open, alarm.acknowledged_at_ns) == (False, None)
            await asyncio.sleep(4_000)
            assert len(rig.texts) == 2

    run_virtual(body())


def test_a_cause_can_be_said_to_be_gone() -> None:
    """A service that raised an alarm about the account clears it."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            await rig.desk.clear("token_dead", "there is a new token")

            assert rig.texts[-1] == "OVER: there is a new token. It was: dead"
            assert [alarm.code for alarm in await rig.store.alarms() if alarm.is_open] == [
                "over_exit"
            ]

    run_virtual(body())


@pytest.mark.parametrize("is_journalled", [True, False])
def test_a_cause_that_ends_while_the_database_is_away_is_cleared(*, is_journalled: bool) -> None:
    """Nobody hears of it as standing; the journal has its beginning and its end once it can."""

    async def body() -> None:
        async with at_work() as rig:
            if is_journalled:
                await rig.desk.raise_alarm(Severity.CRITICAL, "order_breaker_open", "Exits wait")
            rig.store.down = StoreUnavailable("away")
            if not is_journalled:
                await rig.desk.raise_alarm(Severity.CRITICAL, "order_breaker_open", "Exits wait")
            await rig.desk.clear("order_breaker_open", "the broker answers")
            await asyncio.sleep(600.0)
            assert rig.texts == ["Exits wait"]
            rig.store.down = None
            await asyncio.sleep(600.0)

            assert rig.texts[1:] == ["OVER: the broker answers. It was: Exits wait"]
            (alarm,) = await rig.store.alarms()
            assert alarm.cleared_at_ns is not None

    run_virtual(body())


def test_an_alarm_raised_anew_is_not_ended_by_an_old_word() -> None:
    """What was said to be over before the alarm rose again says nothing of it."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "order_breaker_open", "Exits wait")
            rig.store.down = StoreUnavailable("away")
            await rig.desk.clear("order_breaker_open", "the broker answers")
            await rig.desk.raise_alarm(Severity.CRITICAL, "order_breaker_open", "Exits wait")
            rig.store.down = None
            await asyncio.sleep(30.0)

            assert rig.texts == ["Exits wait", "Exits wait"]
            (alarm,) = await rig.store.alarms()
            assert alarm.is_open

    run_virtual(body())


def test_two_tasks_clear_an_alarm_once() -> None:
    """A look of the desk that comes at the same time finds it cleared."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
            gate = rig.store.alarms_gate = asyncio.Event()
            await asyncio.sleep(6.0)  # a look has begun, and waits for its reading
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(rig.desk.clear("token_dead", "there is a new token"))
                await settle()
                gate.set()

            await settle()
            assert rig.texts == ["dead", "OVER: there is a new token. It was: dead"]

    run_virtual(body())


def test_a_cause_can_end_before_the_last_process_alarms_are_read() -> None:
    """Its word is kept for what the last process left, and for nothing that is raised since."""

    async def body() -> None:
        async with at_work() as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead")
        rig.store.down = StoreUnavailable("locked")
        async with at_work(rig.store) as again:
            await again.desk.clear("token_dead", "the broker takes the token")
            await again.desk.raise_alarm(Severity.CRITICAL, "token_dead", "dead once more")
            rig.store.down = None
            await asyncio.sleep(30.0)

            assert again.texts == [
                "dead once more",
                "OVER: the broker takes the token. It was: dead",
            ]
            assert [a.message for a in await rig.store.alarms() if a.is_open] == ["dead once more"]

    run_virtual(body())


def test_a_restart_goes_on_with_what_stands() -> None:
    """The next process tells a standing alarm in its time, and does not begin anew."""

    async def body() -> None:
        store = await memory_store(ACCOUNT)
        async with at_work(store) as rig:
            await rig.desk.raise_alarm(Severity.CRITICAL, "over_exit", "too many", TRACKER)
            await asyncio.sleep(200.0)
            assert len(rig.texts) == 3
        async with at_work(store) as reborn:
            await asyncio.sleep(200.0)
            assert reborn.texts == []
            await asyncio.sleep(60.0)

            assert len(reborn.texts) == 1
            (alarm,) = await store.alarms()
            assert alarm.repeats == 3

    run_virtual(body())


def test_an_alarm_that_could_not_be_journalled_is_journalled_later() -> None:
    """People hear of it at once, the journal when the database is back."""

    async def body() -> None:
        async with at_work() as rig:
            rig.store.down = StoreUnavailable("away")
            await rig.desk.raise_alarm(Severity.WARNING, "test", "text")
            assert rig.texts == ["text"]
            await asyncio.sleep(20.0)
            rig.store.down = None
            await asyncio.sleep(10.0)

            assert [alarm.code for alarm in await rig.store.alarms()] == ["test"]

    run_virtual(body())


def test_a_store_that_is_away_silences_no_alarm() -> None:
    """People hear of an alarm that cannot be journalled."""

    async def body() -> None:
        store, heard = await memory_store(ACCOUNT), RecordedAlarms()
        store.down = StoreUnavailable("away")
        desk = AlarmDesk(cast("TrackerStore", store), (heard,), VirtualClock(), Metrics())
        await desk.raise_alarm(Severity.CRITICAL, "test", "text")
        desk.publish(AlarmRaised(Severity.WARNING, "other", "text"))

        assert heard.codes == ["test", "other"]

    run_virtual(body())
