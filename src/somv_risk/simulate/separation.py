"""Separation: events that cannot be at the same time as others of the same person."""

import numpy as np
import polars as pl

from somv_risk.simulate.draws import Flags, Floats, Ints, place_on_line


def keep_separate(events: pl.DataFrame, gap: float) -> pl.DataFrame:
    """Drops events that begin before the person's earlier ones have ended; rows sorted by person and day."""
    while True:
        clash = _find_clashes(events, gap)
        # Only the first of a run is certain to go: the next may have met nothing but that one.
        first = clash & ~np.concatenate([[False], clash[:-1]])
        if not first.any():
            return events
        events = events.filter(~first)


def keep_outside(stays: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Drops events during the person's stays, which are sorted by person and day and do not overlap."""
    if stays.is_empty():
        return events
    begins, ends = (
        place_on_line(stays["person"].to_numpy(), stays[name].to_numpy()) for name in ("day", "until")
    )
    now = place_on_line(events["person"].to_numpy(), events["day"].to_numpy())
    latest = np.searchsorted(begins, now, side="right") - 1
    return events.filter((latest < 0) | (now >= ends[np.maximum(latest, 0)]))


def find_far_apart(persons: Ints, days: Floats, gap: float) -> Ints:
    """Positions of the events that are left when each is at least `gap` days after the one before."""
    order = np.lexsort((days, persons))
    events = pl.DataFrame(
        {"person": persons[order], "day": days[order], "until": days[order], "position": order}
    )
    return keep_separate(events, gap)["position"].to_numpy()


def _find_clashes(events: pl.DataFrame, gap: float) -> Flags:
    ends = np.maximum.accumulate(_place(events, "until"))
    before = np.concatenate([[-np.inf], ends[:-1]])
    return np.asarray(_place(events, "day") < before + gap)


def _place(events: pl.DataFrame, moment: str) -> Floats:
    return place_on_line(events["person"].to_numpy(), events[moment].to_numpy())
