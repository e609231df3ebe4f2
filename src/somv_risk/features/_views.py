"""Views: the kinds of events that features count, each prepared from the as-of tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.codes import in_group, load_groups
from somv_risk.cohort import compute_age_years
from somv_risk.features._timeline import END_AGE, START_AGE, Timeline, place
from somv_risk.intervals import SPELL, add_spell
from somv_risk.stays import HAS_PSYCHIATRIC, IS_ACUTE, IS_ADMISSION, LASTED, UNTIL, build_stays

READMISSION = timedelta(days=30)
RETURN = timedelta(hours=72)
FOLLOW_UP = timedelta(days=14)
COMMUNITY_CONTACT_TYPES: Final = ("outpatient", "home_visit", "virtual")

_PREVIOUS_END = "previous_ended_at"
_PREVIOUS_DISCHARGE = "previous_discharge"
_PREVIOUS_SECTOR = "previous_sector"
_PREVIOUS_BENEFIT = "previous_benefit"
_FIRST_START = "first_started_at"
_CONTACTED_AT = "contacted_at"
_IS_HOSPITAL = "is_hospital"


@dataclass(frozen=True, slots=True)
class View:
    """A kind of event: the tables it needs, the flags one may ask for, the values one may measure."""

    build: Callable[[Timeline], pl.LazyFrame]
    tables: tuple[str, ...]
    flags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


def build_stays_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known stay, with how it follows the stay before it."""
    contacts = timeline.known(s.ADMISSIONS).with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))
    return _describe_sequence(build_stays(contacts, by=KEY))


def build_admissions_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known admission, with how it follows the admission before it."""
    contacts = timeline.known(s.ADMISSIONS).with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))
    return _describe_sequence(build_stays(contacts, by=KEY).filter(pl.col(IS_ADMISSION)))


def _describe_sequence(stays: pl.LazyFrame) -> pl.LazyFrame:
    followed = stays.with_columns(
        pl.col(column).shift(1).over(KEY, order_by=s.STARTED_AT).alias(name)
        for column, name in (
            (s.ENDED_AT, _PREVIOUS_END),
            (s.DISCHARGE, _PREVIOUS_DISCHARGE),
            (s.SECTOR, _PREVIOUS_SECTOR),
        )
    )
    gap = pl.col(s.STARTED_AT) - pl.col(_PREVIOUS_END)
    is_acute = pl.col(IS_ACUTE)
    is_unfinished = (pl.col(s.DISCHARGE) == "left_early").fill_null(value=False)
    return place(followed).select(
        *KEY,
        START_AGE,
        END_AGE,
        pl.col(LASTED).dt.total_microseconds().alias("lasted"),
        gap.dt.total_microseconds().alias("gap"),
        is_acute.alias("acute"),
        (~is_acute).alias("planned"),
        pl.col(HAS_PSYCHIATRIC).alias("psychiatric"),
        (is_acute & ~pl.col(IS_ADMISSION)).alias("emergency_visit"),
        is_unfinished.alias("unfinished"),
        pl.col(s.ENDED_AT).is_not_null().alias("ended"),
        (is_acute & (gap < READMISSION)).alias("readmission"),
        (is_acute & (gap < RETURN)).alias("early_readmission"),
        ((pl.col(_PREVIOUS_DISCHARGE) == "left_early") & (gap < RETURN)).alias("return_after_unfinished"),
        (pl.col(s.SECTOR) != pl.col(_PREVIOUS_SECTOR)).alias("sector_switch"),
    )


def build_contacts_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known hospital contact, with the unit that had it."""
    # The separator occurs in no name, so that A/B + C and A + B/C stay two units.
    unit = pl.concat_str(pl.col(s.HOSPITAL).fill_null(""), pl.lit("\x1f"), pl.col(s.DEPARTMENT))
    return place(timeline.known(s.ADMISSIONS)).select(
        *KEY, START_AGE, END_AGE, s.HOSPITAL, unit.alias("unit")
    )


def build_psychiatric_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known psychiatric contact outside the ward."""
    attendance = pl.col(s.ATTENDANCE)
    return place(timeline.known(s.PSYCHIATRIC_CONTACTS)).select(
        *KEY,
        START_AGE,
        END_AGE,
        s.PROVIDER,
        *_flag_values(s.CONTACT_TYPE, s.CONTACT_TYPES),
        attendance.is_in(["attended", "unknown"]).alias("attended"),
        (attendance == "no_show").alias("no_show"),
        attendance.is_in(["attended", "unknown", "no_show"]).alias("kept_or_missed"),
    )


def build_treatments_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known substance treatment episode."""
    first_start = pl.col(s.STARTED_AT).min().over(KEY).alias(_FIRST_START)
    return place(timeline.known(s.SUBSTANCE_ABUSE).with_columns(first_start)).select(
        *KEY,
        START_AGE,
        END_AGE,
        *_flag_values(s.SUBSTANCE, s.SUBSTANCES),
        (pl.col(s.SUBSTANCE) != "alcohol").alias("drugs"),
        (pl.col(s.END_REASON) == "dropped_out").alias("dropped_out"),
        pl.col(s.ENDED_AT).is_not_null().alias("ended"),
        (pl.col(s.STARTED_AT) > pl.col(_FIRST_START)).alias("restart"),
    )


def build_treatment_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell in substance treatment, overlapping episodes joined."""
    return place(_join_spells(timeline, s.SUBSTANCE_ABUSE, KEY)).select(*KEY, START_AGE, END_AGE)


def build_benefit_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell on one benefit, with whether another benefit came before it."""
    spells = _join_spells(timeline, s.SOCIAL_BENEFITS, (*KEY, s.BENEFIT))
    previous = pl.col(s.BENEFIT).shift(1).over(KEY, order_by=[s.STARTED_AT, s.BENEFIT])
    return place(spells.with_columns(previous.alias(_PREVIOUS_BENEFIT))).select(
        *KEY,
        START_AGE,
        END_AGE,
        *_flag_values(s.BENEFIT, s.BENEFITS),
        (pl.col(s.BENEFIT) != pl.col(_PREVIOUS_BENEFIT)).alias("switch"),
    )


def build_service_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell of one municipal service."""
    spells = _join_spells(timeline, s.SOCIAL_SERVICES, (*KEY, s.SERVICE))
    return place(spells).select(*KEY, START_AGE, END_AGE, s.SERVICE, *_flag_values(s.SERVICE, s.SERVICES))


def build_primary_care_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known contact with primary care."""
    contacts = place(timeline.known(s.PRIMARY_CARE))
    return contacts.select(*KEY, START_AGE, END_AGE, *_flag_values(s.KIND, s.PRIMARY_CARE_KINDS))


def build_diagnoses_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known diagnosis code of a contact, with the groups it belongs to."""
    hospital = timeline.known(s.ADMISSIONS).select(*KEY, s.CONTACT_ID, pl.lit(value=True).alias(_IS_HOSPITAL))
    further = timeline.known(s.DIAGNOSES).join(hospital, on=[*KEY, s.CONTACT_ID], how="left")
    sources = (
        timeline.known(s.ADMISSIONS)
        .with_columns(pl.lit(value=True).alias(_IS_HOSPITAL))
        .rename({s.DIAGNOSIS: s.CODE}),
        further,
        timeline.known(s.PSYCHIATRIC_CONTACTS)
        .with_columns(pl.lit(value=False).alias(_IS_HOSPITAL))
        .rename({s.DIAGNOSIS: s.CODE}),
    )
    columns = [*KEY, s.STARTED_AT, s.ENDED_AT, s.CONTACT_ID, s.CODE, _IS_HOSPITAL]
    coded = pl.concat([source.select(columns) for source in sources]).filter(pl.col(s.CODE).is_not_null())
    return place(coded).select(
        *KEY,
        START_AGE,
        END_AGE,
        s.CONTACT_ID,
        pl.col(_IS_HOSPITAL).fill_null(value=False).alias("hospital"),
        *(in_group(pl.col(s.CODE), group).alias(group) for group in load_groups()),
    )


def build_discharges_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per discharge from an admission at least 14 days before the index.

    `followed_up` is whether a community contact (attended psychiatric contact outside the ward, other
    than an emergency, or a general practitioner) started within 14 days after it.
    """
    contacts = timeline.known(s.ADMISSIONS).with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))
    discharged = (
        build_stays(contacts, by=KEY)
        .filter(pl.col(IS_ADMISSION), pl.col(s.ENDED_AT) + FOLLOW_UP <= pl.col(s.INDEX_TIME))
        .sort(s.ENDED_AT)
    )
    followed = discharged.join_asof(
        _list_community_contacts(timeline).sort(_CONTACTED_AT),
        left_on=s.ENDED_AT,
        right_on=_CONTACTED_AT,
        by=KEY,
        strategy="forward",
        check_sortedness=False,
    )
    is_followed = (pl.col(_CONTACTED_AT) < pl.col(s.ENDED_AT) + FOLLOW_UP).fill_null(value=False)
    return place(followed).select(
        *KEY, START_AGE, END_AGE, is_followed.alias("followed_up"), (~is_followed).alias("not_followed_up")
    )


def _list_community_contacts(timeline: Timeline) -> pl.LazyFrame:
    psychiatric = timeline.known(s.PSYCHIATRIC_CONTACTS).filter(
        pl.col(s.CONTACT_TYPE).is_in(COMMUNITY_CONTACT_TYPES),
        pl.col(s.ATTENDANCE).is_in(["attended", "unknown"]),
    )
    practitioner = timeline.known(s.PRIMARY_CARE).filter(pl.col(s.KIND) == "gp")
    return pl.concat(
        [part.select(*KEY, pl.col(s.STARTED_AT).alias(_CONTACTED_AT)) for part in (psychiatric, practitioner)]
    )


def build_background_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per person and index moment with what is fixed or slow to change."""
    return timeline.moments.join(timeline.histories.persons, on=s.PERSON_ID).select(
        *KEY, compute_age_years().cast(pl.Int32).alias("age_years"), s.SEX, s.MUNICIPALITY
    )


def _join_spells(timeline: Timeline, table: str, by: Sequence[str]) -> pl.LazyFrame:
    """Join overlapping and adjoining rows; a spell is open if any of its rows is."""
    until = "until"
    known = timeline.known(table).with_columns(
        pl.col(s.ENDED_AT).fill_null(pl.col(s.INDEX_TIME)).alias(until)
    )
    is_open = pl.col(s.ENDED_AT).is_null().any()
    return (
        add_spell(known, by=by, start=s.STARTED_AT, end=until)
        .group_by(*by, SPELL)
        .agg(
            pl.col(s.STARTED_AT).min(),
            pl.when(is_open).then(None).otherwise(pl.col(until).max()).alias(s.ENDED_AT),
        )
    )


def _flag_values(column: str, values: Sequence[str]) -> list[pl.Expr]:
    return [(pl.col(column) == value).alias(value) for value in values]


_STAY_FLAGS = (
    "acute",
    "planned",
    "psychiatric",
    "emergency_visit",
    "unfinished",
    "ended",
    "readmission",
    "early_readmission",
    "return_after_unfinished",
    "sector_switch",
)

VIEWS: Final[Mapping[str, View]] = MappingProxyType(
    {
        "stays": View(build_stays_view, (s.ADMISSIONS,), _STAY_FLAGS, ("lasted", "gap")),
        "admissions": View(build_admissions_view, (s.ADMISSIONS,), _STAY_FLAGS, ("lasted", "gap")),
        "contacts": View(build_contacts_view, (s.ADMISSIONS,), (), (s.HOSPITAL, "unit")),
        "psychiatric_contacts": View(
            build_psychiatric_view,
            (s.PSYCHIATRIC_CONTACTS,),
            (*s.CONTACT_TYPES, "attended", "no_show", "kept_or_missed"),
            (s.PROVIDER,),
        ),
        "treatments": View(
            build_treatments_view,
            (s.SUBSTANCE_ABUSE,),
            (*s.SUBSTANCES, "drugs", "dropped_out", "ended", "restart"),
        ),
        "treatment_spells": View(build_treatment_spells_view, (s.SUBSTANCE_ABUSE,)),
        "benefit_spells": View(build_benefit_spells_view, (s.SOCIAL_BENEFITS,), (*s.BENEFITS, "switch")),
        "service_spells": View(build_service_spells_view, (s.SOCIAL_SERVICES,), s.SERVICES, (s.SERVICE,)),
        "primary_care": View(build_primary_care_view, (s.PRIMARY_CARE,), s.PRIMARY_CARE_KINDS),
        "diagnoses": View(
            build_diagnoses_view, (s.ADMISSIONS,), ("hospital", *load_groups()), (s.CONTACT_ID,)
        ),
        "discharges": View(
            build_discharges_view,
            (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.PRIMARY_CARE),
            ("followed_up", "not_followed_up"),
        ),
        "background": View(build_background_view, (s.PERSONS,), (), ("age_years", s.SEX, s.MUNICIPALITY)),
    }
)
