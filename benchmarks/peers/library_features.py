"""Library features: the asked features by this library's own engine, for the peers to be compared with."""

from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.loops import load_loops
from benchmarks.measuring import measure
from benchmarks.peers.asked import ANY, GROUPS, NAMES, Group
from benchmarks.peers.exchange import read_cohort
from somv_risk import build_features
from somv_risk.features import Definition, Feature
from somv_risk.store import scan_store

VIEWS = {
    "admissions": "contacts",
    "primary_care": "primary_care",
    "psychiatric_contacts": "psychiatric_contacts",
}
TITLE = MappingProxyType({"da": "-", "en": "-"})


def define_features() -> tuple[Feature, ...]:
    """Define what was asked for in the library's own terms."""
    return tuple(
        feature for group in GROUPS for flag in group.flags for feature in _define(group, flag).features()
    )


def _define(group: Group, flag: str) -> Definition:
    return Definition(
        id=group.column(flag),
        theme="background",
        title=TITLE,
        unit="events",
        measure=group.measure,
        events=VIEWS[group.table],
        windows=group.windows,
        where=_flags(flag),
        of=_flags(group.of) if group.measure == "share" else (),
    )


def _flags(flag: str) -> tuple[str, ...]:
    return () if flag == ANY else (flag,)


def build(store: Path, index: datetime, persons: int | None) -> pl.DataFrame:
    """Build the asked features of the whole store at once, of the same persons as the peers."""
    cohort = pl.concat(read_cohort(bucket, index, persons) for bucket in sorted(store.glob("bucket=*")))
    return build_features(scan_store(store), cohort, define_features()).collect()


def measure_features(
    folder: Path,  # noqa: ARG001 - all steps are called alike
    store: str,
    index: str,
    out: str,
    persons: int | None = None,
) -> dict[str, Any]:
    load_loops()
    frame, cost = measure(lambda: build(Path(store), datetime.fromisoformat(index), persons))
    frame.write_parquet(out)
    return cost | {"persons": frame.height, "features": len(NAMES)}


def check_same_features(folder: Path, name: str, ours: str, theirs: str) -> dict[str, str]:  # noqa: ARG001
    """Check that two files hold the same features, to the bit, whatever types they are counted in."""
    expected = pl.read_parquet(ours)
    found = pl.read_parquet(theirs).cast(expected.schema)
    assert_frame_equal(found, expected, check_exact=True)
    return {
        "sentence": f"{expected.width - 2} features of {expected.height:,} persons are the same by somv_risk "
        f"and {name}, exactly."
    }
