"""Frames: histories from tables a notebook already holds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from somv_risk.calls.arguments import read_index_time
from somv_risk.calls.arrow import read_frame
from somv_risk.calls.moments import Moment
from somv_risk.calls.notices import one_call
from somv_risk.calls.timezones import TIMEZONE, check_timezone
from somv_risk.registers import schema as s
from somv_risk.registers.checks import check_tables
from somv_risk.registers.emptied import check_left
from somv_risk.registers.histories import Histories
from somv_risk.registers.soundness import warn_of_quarantine
from somv_risk.sources.keys import Key, load_key
from somv_risk.store import Batches, Delivery


@one_call()
def from_frames(
    *,
    data_end: Moment | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
    **tables: Any,  # noqa: ANN401 - any frame that speaks Arrow
) -> Histories:
    """Make checked histories of frames in canonical form.

    Parameters
    ----------
    **tables
        `persons=`, `admissions=` and any of the other tables of the schema, each a Polars, pandas or
        Arrow frame. Columns that may be null may be left out.
    data_end
        Moment at which the delivery ends: events after it are set aside, and outcomes that would need
        later data are null. By default the present moment bounds the events, and the start of the last
        hospital contact ends the follow-up.
    pseudonymise_key
        Secret of at least 16 random bytes, or the path of its file (see `read_key`); person ids are
        replaced by keyed hashes before anything else.
    timezone
        Zoned moments are converted to this zone and then made naive.

    Raises
    ------
    InputError
        If a table or column is missing, misspelt or has an unusable type, or more than half of a required
        table was set aside.
    IdentityError
        If person ids look like CPR numbers and no key is given, or another column holds such numbers.
    ConfigError
        If the key is too short or can be guessed.

    Warns
    -----
    QuarantineWarning
        If more than 1 % of a table was set aside.

    Examples
    --------
    >>> from datetime import datetime
    >>> histories = from_frames(
    ...     persons=pl.DataFrame({"person_id": ["a"], "birth_date": ["1980-05-01"], "sex": ["male"]}),
    ...     admissions=pl.DataFrame(
    ...         {
    ...             "person_id": ["a", "a"],
    ...             "contact_id": ["1", "2"],
    ...             "started_at": ["2025-03-01T10:00", "2025-03-09T10:00"],
    ...             "ended_at": ["2025-03-02T10:00", "2025-03-01T10:00"],
    ...             "sector": ["somatic", "somatic"],
    ...             "admission_type": ["acute", "acute"],
    ...         }
    ...     ),
    ... )
    >>> print(histories.quarantine)
             1 admissions: ends_after_it_starts
    """
    given = {name: frame for name, frame in tables.items() if frame is not None}
    frames = {name: read_frame(name, frame, _list_names(name)) for name, frame in given.items()}
    return check_delivery(frames, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def _list_names(table: str) -> list[str]:
    return [*s.get_columns(table)] if table in s.TABLES else []


def check_delivery(
    tables: dict[str, pl.LazyFrame],
    *,
    data_end: Moment | None,
    pseudonymise_key: Key | None,
    timezone: str = TIMEZONE,
) -> Histories:
    """Check tables at the door; the present moment bounds what has no data end.

    Raises
    ------
    InputError, IdentityError
        As `from_frames`.
    """
    histories = check_rows(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)
    quarantine, end = histories.quarantine, histories.data_end
    check_left(quarantine, quarantine.delivered, latest=end or _find_present(), data_end=end)
    warn_of_quarantine(histories)
    return histories


def check_rows(
    tables: dict[str, pl.LazyFrame],
    *,
    data_end: Moment | None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Histories:
    """Check tables row by row, however few are left; whoever calls looks at what was set aside."""
    check_timezone(timezone)
    end = None if data_end is None else read_index_time(data_end, timezone, "data_end")
    return check_tables(
        tables,
        latest=end or _find_present(),
        data_end=end,
        timezone=timezone,
        pseudonymise_key=load_key(pseudonymise_key),
    )


def _find_present() -> datetime:
    return datetime.now()  # noqa: DTZ005 - times are naive local wall-clock by contract


def plan_delivery(
    tables: Mapping[str, Batches],
    *,
    data_end: Moment | None,
    pseudonymise_key: Key | None,
    timezone: str = TIMEZONE,
) -> Delivery:
    """Say how batches of tables are to be read; the present moment bounds what has no data end."""
    check_timezone(timezone)
    end = None if data_end is None else read_index_time(data_end, timezone, "data_end")
    return Delivery(
        tables,
        latest=end or _find_present(),
        data_end=end,
        timezone=timezone,
        pseudonymise_key=load_key(pseudonymise_key),
    )
