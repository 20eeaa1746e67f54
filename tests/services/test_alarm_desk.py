"""Alarms reach journal, log, metrics and channels; none of them keeps the others from it."""

from typing import cast

from exit_story.values import ACCOUNT, TRACKER
from service_world.store import memory_store
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import RecordedAlarms
from squareoff.core.facts import AlarmRaised, Severity
from squareoff.domain.errors import StoreUnavailable
from squareoff.ports import TrackerStore
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.metrics import Metrics


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
        await desk.acknowledge(alarm.seq)
        assert await store.alarms(unacknowledged_only=True) == ()

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
