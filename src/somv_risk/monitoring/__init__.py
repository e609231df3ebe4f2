"""Monitoring: whether what is scored still looks like what was learnt from, and whether sources deliver."""

from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import Limits, read_limits
from somv_risk.monitoring._monitor import MonitoringReport, monitor
from somv_risk.training.reference import (
    REFERENCE,
    Reference,
    add_reference,
    build_reference,
    read_reference,
)

__all__ = [
    "REFERENCE",
    "Alarm",
    "Limits",
    "MonitoringReport",
    "Reference",
    "add_reference",
    "build_reference",
    "monitor",
    "read_limits",
    "read_reference",
]
