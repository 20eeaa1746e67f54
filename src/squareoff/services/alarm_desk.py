"""Alarms: each is journalled, logged, counted and handed to the alert channels."""

import structlog

from squareoff.core.facts import AlarmAcknowledged, AlarmRaised, Severity
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import TrackerId
from squareoff.ports import Alerts, Clock, TrackerStore
from squareoff.services.metrics import Metrics

_log = structlog.get_logger("squareoff.alarms")


class AlarmDesk:
    """Raises alarms that do not come out of a tracker's own decision, and publishes all of them."""

    def __init__(
        self, store: TrackerStore, alerts: tuple[Alerts, ...], clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._metrics = metrics

    async def raise_alarm(
        self, severity: Severity, code: str, message: str, tracker_id: TrackerId | None = None
    ) -> None:
        """Journal an alarm and publish it; a store that fails keeps no alarm from the channels."""
        alarm = AlarmRaised(severity, code, message, tracker_id)
        self.publish(alarm)
        try:
            await self._store.record((alarm,), self._clock.now().wall_ns)
        except StoreError as error:
            _log.error("alarm_not_journalled", code=code, error=str(error))

    def publish(self, alarm: AlarmRaised) -> None:
        """Log, count and notify; the alarm is journalled elsewhere."""
        self._metrics.alarms.labels(alarm.severity.value, alarm.code).inc()
        log = _log.error if alarm.severity is Severity.CRITICAL else _log.warning
        log("alarm", code=alarm.code, message=alarm.message, tracker_id=alarm.tracker_id)
        for channel in self._alerts:
            channel.notify(alarm.severity, alarm.code, alarm.message)

    async def acknowledge(self, alarm_seq: int) -> None:
        """Journal that a person has seen the alarm."""
        fact = AlarmAcknowledged(alarm_seq)
        await self._store.record((fact,), self._clock.now().wall_ns)
