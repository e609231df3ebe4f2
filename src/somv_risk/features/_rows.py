"""Rows: the register tables made ready once, for any number of index moments.

Persons get numbers, which join ten times faster than texts; rows get an order, so that what follows can
compare each with the one before; codes and names are looked up. Nothing here knows an index moment: what
may be seen from one is cut out later.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl

from somv_risk import schema as s
from somv_risk.asof import Lags
from somv_risk.codes import in_group, load_groups
from somv_risk.histories import NOBODY, PERSON

UNIT: Final = "unit"
GROUPS: Final = "groups"
HOSPITAL_SINCE: Final = "hospital_since"

GROUP_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {group: 1 << place for place, group in enumerate(load_groups())}
)

# Ties between simultaneous rows are broken by what the row is, never by where it stood in a file.
_ORDER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        s.ADMISSIONS: (s.CONTACT_ID,),
        s.DIAGNOSES: (),
        s.PSYCHIATRIC_CONTACTS: (s.CONTACT_ID,),
        s.SUBSTANCE_ABUSE: (s.EPISODE_ID,),
        s.SOCIAL_BENEFITS: (s.BENEFIT,),
        s.SOCIAL_SERVICES: (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
    }
)
# By far the largest tables, whose rows nothing compares with each other: they need no order.
LARGE_TABLES: Final = (s.PRIMARY_CARE,)


def number_persons(rows: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Replace `person_id` by the number it has in `persons` (`person_id`, `person`), -1 if it has none.

    A table is stored by person, so only the first row of each run of a person is looked up.
    """
    ids = rows[s.PERSON_ID]
    starts = ids.ne_missing(ids.shift(1)).arg_true()
    first_of_run = ids.gather(starts).to_frame()
    looked_up = first_of_run.join(persons, on=s.PERSON_ID, how="left", maintain_order="left")[PERSON]
    lengths = np.diff(starts.to_numpy(), append=rows.height)
    numbers = np.repeat(looked_up.cast(pl.Int32).fill_null(NOBODY).to_numpy(), lengths)
    return rows.drop(s.PERSON_ID).with_columns(pl.Series(PERSON, numbers, pl.Int32))


def prepare_rows(numbered: Mapping[str, pl.LazyFrame], lags: Lags) -> dict[str, pl.LazyFrame]:
    """Prepare event tables whose persons are numbered: what was looked up is added, rows are in order."""
    return {table: _put_in_order(table, _enrich(table, numbered, lags)) for table in numbered}


def _put_in_order(table: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    if table in LARGE_TABLES:
        return rows
    return rows.filter(pl.col(PERSON) != NOBODY).sort(PERSON, s.STARTED_AT, *_ORDER[table])


def _enrich(table: str, numbered: Mapping[str, pl.LazyFrame], lags: Lags) -> pl.LazyFrame:
    enrich = _ENRICHMENTS.get(table)
    return numbered[table] if enrich is None else enrich(numbered, lags)


def _enrich_admissions(numbered: Mapping[str, pl.LazyFrame], _lags: Lags) -> pl.LazyFrame:
    # The separator occurs in no name, so that A/B + C and A + B/C stay two units.
    unit = pl.concat_str(pl.col(s.HOSPITAL).fill_null(""), pl.lit("\x1f"), pl.col(s.DEPARTMENT))
    return _add_groups(numbered[s.ADMISSIONS], s.DIAGNOSIS).with_columns(unit.alias(UNIT))


def _enrich_diagnoses(numbered: Mapping[str, pl.LazyFrame], lags: Lags) -> pl.LazyFrame:
    """Add the moment since which the row's contact was known to be one of the hospital."""
    known_at = pl.coalesce(s.KNOWN_AT, pl.col(s.STARTED_AT) + lags.of(s.ADMISSIONS))
    since = pl.max_horizontal(s.STARTED_AT, known_at).alias(HOSPITAL_SINCE)
    contacts = numbered[s.ADMISSIONS].select(PERSON, s.CONTACT_ID, since)
    first_known = contacts.group_by(PERSON, s.CONTACT_ID).agg(pl.col(HOSPITAL_SINCE).min())
    diagnoses = _add_groups(numbered[s.DIAGNOSES], s.CODE)
    return diagnoses.join(first_known, on=[PERSON, s.CONTACT_ID], how="left")


def _enrich_psychiatric_contacts(numbered: Mapping[str, pl.LazyFrame], _lags: Lags) -> pl.LazyFrame:
    return _add_groups(numbered[s.PSYCHIATRIC_CONTACTS], s.DIAGNOSIS)


def _add_groups(rows: pl.LazyFrame, code: str) -> pl.LazyFrame:
    """Add a number with one bit per code group; a register has far fewer codes than rows."""
    bits = [in_group(pl.col(code), group).cast(pl.UInt32) * bit for group, bit in GROUP_BITS.items()]
    groups = rows.select(code).unique().with_columns(pl.sum_horizontal(bits).alias(GROUPS))
    return rows.join(groups, on=code, how="left", nulls_equal=True)


_ENRICHMENTS: Final[Mapping[str, Callable[[Mapping[str, pl.LazyFrame], Lags], pl.LazyFrame]]] = (
    MappingProxyType(
        {
            s.ADMISSIONS: _enrich_admissions,
            s.DIAGNOSES: _enrich_diagnoses,
            s.PSYCHIATRIC_CONTACTS: _enrich_psychiatric_contacts,
        }
    )
)
