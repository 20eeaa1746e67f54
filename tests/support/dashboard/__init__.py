"""The dashboard in a real browser, over a real engine and simulator."""

from dashboard.page import Dashboard, OpenDashboard
from dashboard.staged import StagedDashboard
from dashboard.stand import ENTRY, SECURITY_ID, Stand

__all__ = [
    "ENTRY",
    "SECURITY_ID",
    "Dashboard",
    "OpenDashboard",
    "StagedDashboard",
    "Stand",
]
