"""Asked: the features of which the library and its peers have the same idea. Standard library only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

ANY = "any"
# What a peer is given: of each window only the rows it reaches, or all rows for all windows.
IN_REACH, WHOLE = "rows in reach", "whole history"


@dataclass(frozen=True)
class Group:
    """Features of one table that differ in the events they look at (`flags`) and in their windows only.

    `count` is the number of events, `days_since` the days from the latest one to the index, `share` the
    part of the events `of` that have the flag.
    """

    table: str
    measure: str
    flags: tuple[str, ...]
    windows: tuple[int, ...]
    of: str = ANY

    def name(self, flag: str, days: int) -> str:
        return f"{self.column(flag)}_{days}d"

    def column(self, flag: str) -> str:
        return f"{self.table}_{flag}_{self.measure}"

    @property
    def looked_at(self) -> tuple[str, ...]:
        return (*self.flags, self.of) if self.measure == "share" else self.flags

    @property
    def names(self) -> Iterator[str]:
        return (self.name(flag, days) for flag in self.flags for days in self.windows)


CONTACT_FLAGS = ("outpatient", "emergency", "home_visit", "virtual", "attended", "no_show")
GROUPS = (
    Group("admissions", "count", (ANY,), (30, 90, 180, 365, 730)),
    Group("admissions", "days_since", (ANY,), (365, 730)),
    Group("primary_care", "count", (ANY, "gp", "out_of_hours", "other"), (30, 90, 365, 730)),
    Group("primary_care", "days_since", ("gp", "out_of_hours"), (365, 730)),
    Group("primary_care", "share", ("out_of_hours",), (365, 730)),
    Group("psychiatric_contacts", "count", CONTACT_FLAGS, (30, 90, 365, 730)),
    Group("psychiatric_contacts", "days_since", ("attended", "no_show"), (365, 730)),
    Group("psychiatric_contacts", "share", ("no_show",), (365, 730), of="kept_or_missed"),
)
NAMES = tuple(name for group in GROUPS for name in group.names)
LONGEST = max(days for group in GROUPS for days in group.windows)
TABLES = tuple(dict.fromkeys(group.table for group in GROUPS))
WINDOWS = tuple(dict.fromkeys((group.table, days) for group in GROUPS for days in group.windows))

# Which values of which column give an event a flag; what is learnt at the end of an event is masked before.
FLAGS: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "admissions": {},
        "primary_care": {kind: ("kind", (kind,)) for kind in ("gp", "out_of_hours", "other")},
        "psychiatric_contacts": {
            **{kind: ("contact_type", (kind,)) for kind in CONTACT_FLAGS[:4]},
            "attended": ("attendance", ("attended", "unknown")),
            "no_show": ("attendance", ("no_show",)),
            "kept_or_missed": ("attendance", ("attended", "unknown", "no_show")),
        },
    }
)
