"""Views: the kinds of events that features count, each built from the as-of rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.cohort import compute_age_years
from somv_risk.features._rows import GROUP_BITS, GROUPS, HOSPITAL_SINCE, UNIT
from somv_risk.features._timeline import END_AGE, MOMENT, START_AGE, Timeline, place
from somv_risk.intervals import SPELL, add_spell, find_latest_ending, is_last_of_spell, previous
from somv_risk.stays import HAS_PSYCHIATRIC, IS_ACUTE, IS_ADMISSION, LASTED

IN_HOSPITAL: Final = "hospital"
READMISSION = timedelta(days=30)
WEEK = timedelta(days=7)
RETURN = timedelta(hours=72)
FOLLOW_UPS: Final = (14, 30)  # days
COMMUNITY_CONTACT_TYPES: Final = ("outpatient", "home_visit", "virtual")
OUTSIDE_LABOUR_MARKET: Final = ("social_assistance", "sickness", "rehabilitation", "early_retirement")
LONG_TERM: Final = ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
SECTOR_OF_SERVICE: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(s.SERVICES, "social")
    | {"home_care": "care", "home_nursing": "care", "job_centre": "employment"}
)

_PLACED: Final = (MOMENT, START_AGE, END_AGE)
_MORE_THAN_VALUES: Final = 2**32
_NEXT: Final = "next"
_IS_WHOLE: Final = "is_whole"


@dataclass(frozen=True, slots=True)
class View:
    """A kind of event: the tables it needs, and what one may ask of it.

    `flags` can be asked for in `where` and `of`, `values` measured, `texts` matched. Without one of
    `tables` nothing can be said; those in `also` are read where they are present.
    """

    build: Callable[[Timeline], pl.LazyFrame]
    tables: tuple[str, ...]
    flags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def build_stays_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known stay, with how it follows the stay before it."""
    return _describe_sequence(timeline.stays)


def build_admissions_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known admission, with how it follows the admission before it."""
    return _describe_sequence(timeline.stays.filter(pl.col(IS_ADMISSION)))


def _describe_sequence(stays: pl.LazyFrame) -> pl.LazyFrame:
    gap = pl.col(s.STARTED_AT) - previous(s.ENDED_AT, MOMENT)
    is_acute, is_psychiatric = pl.col(IS_ACUTE), pl.col(HAS_PSYCHIATRIC)
    was_unfinished = previous(s.DISCHARGE, MOMENT) == "left_early"
    return place(stays.with_columns(gap.alias("gap"))).select(
        *_PLACED,
        s.DIAGNOSIS,
        pl.col(LASTED).dt.total_microseconds().alias("lasted"),
        pl.col("gap").dt.total_microseconds(),
        is_acute.alias("acute"),
        (~is_acute).alias("planned"),
        is_psychiatric.alias("psychiatric"),
        (~is_psychiatric).alias("somatic"),
        (is_acute & ~pl.col(IS_ADMISSION)).alias("emergency_visit"),
        (pl.col(s.DISCHARGE) == "left_early").alias("unfinished"),
        pl.col(s.ENDED_AT).is_not_null().alias("ended"),
        pl.col("gap").is_not_null().alias("follows"),
        (pl.col("gap") < RETURN).alias("quick_return"),
        (pl.col("gap") < WEEK).alias("within_a_week"),
        (is_acute & (pl.col("gap") < READMISSION)).alias("readmission"),
        (is_acute & (pl.col("gap") < RETURN)).alias("early_readmission"),
        was_unfinished.alias("after_unfinished"),
        (was_unfinished & (pl.col("gap") < RETURN)).alias("return_after_unfinished"),
        (pl.col(s.SECTOR) != previous(s.SECTOR, MOMENT)).alias("sector_switch"),
    )


def build_contacts_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known hospital contact, with the unit that had it and how it follows the one before.

    Contacts without a unit are passed over when the one before is looked for.
    """
    has_unit = pl.col(UNIT).is_not_null()

    def before(column: str) -> pl.Expr:
        """Value of the latest earlier row that has a unit, of whichever moment."""
        return pl.when(has_unit).then(pl.col(column)).forward_fill().shift(1)

    follows = has_unit & (before(MOMENT) == pl.col(MOMENT))
    return place(timeline.known[s.ADMISSIONS]).select(
        *_PLACED,
        s.HOSPITAL,
        s.DEPARTMENT,
        s.DIAGNOSIS,
        UNIT,
        follows.alias("follows"),
        (follows & (pl.col(UNIT) == before(UNIT))).alias("same_unit"),
        _is_new(UNIT).alias("new_unit"),
        pl.when(follows).then(before(START_AGE) - pl.col(START_AGE)).alias("step"),
    )


def _is_new(column: str) -> pl.Expr:
    """Whether a row is the first with its value, and later than the first with any; rows lie in order."""
    has_value = pl.col(column).is_not_null()
    moment_before = pl.when(has_value).then(pl.col(MOMENT)).forward_fill().shift(1)
    is_first_of_any = has_value & moment_before.ne_missing(pl.col(MOMENT))
    first_of_any = pl.when(is_first_of_any).then(pl.col(s.STARTED_AT)).forward_fill()
    value = pl.col(column).cast(pl.Categorical).to_physical().cast(pl.Int64)
    is_first = (pl.col(MOMENT).cast(pl.Int64) * _MORE_THAN_VALUES + value).is_first_distinct()
    return has_value & is_first & (pl.col(s.STARTED_AT) > first_of_any)


def build_psychiatric_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known psychiatric contact outside the ward."""
    attendance = pl.col(s.ATTENDANCE)
    is_appointment = attendance.is_in(["attended", "unknown", "no_show"]).fill_null(value=False)
    is_missed = attendance == "no_show"

    def before(value: pl.Expr) -> pl.Expr:
        """Value of the latest earlier appointment, of whichever moment."""
        return pl.when(is_appointment).then(value).forward_fill().shift(1)

    follows = is_appointment & (before(pl.col(MOMENT)) == pl.col(MOMENT))
    return place(timeline.known[s.PSYCHIATRIC_CONTACTS]).select(
        *_PLACED,
        s.PROVIDER,
        s.DIAGNOSIS,
        *_flag_values(s.CONTACT_TYPE, s.CONTACT_TYPES),
        attendance.is_in(["attended", "unknown"]).alias("attended"),
        is_missed.alias("no_show"),
        (attendance == "cancelled").alias("cancelled"),
        is_appointment.alias("kept_or_missed"),
        (follows & before(is_missed)).alias("after_no_show"),
        _is_new(s.PROVIDER).alias("new_provider"),
    )


def build_treatments_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known substance treatment episode."""
    first_start = pl.col(s.STARTED_AT).min().over(MOMENT)
    known = timeline.known[s.SUBSTANCE_ABUSE].with_columns(
        (pl.col(s.STARTED_AT) > first_start).alias("restart"), _is_new(s.PROVIDER).alias("new_provider")
    )
    return (
        place(_add_ended_in_hospital(known, timeline))
        .select(
            *_PLACED,
            s.PROVIDER,
            pl.when(pl.col(s.SUBSTANCE) != "unknown").then(pl.col(s.SUBSTANCE)).alias("known_substance"),
            *_flag_values(s.SUBSTANCE, s.SUBSTANCES),
            (pl.col(s.SUBSTANCE) != "alcohol").alias("drugs"),
            (pl.col(s.END_REASON) == "dropped_out").alias("dropped_out"),
            (pl.col(s.END_REASON) == "completed").alias("completed"),
            pl.col(s.ENDED_AT).is_not_null().alias("ended"),
            "restart",
            "new_provider",
            "ended_in_hospital",
        )
        .rename({"known_substance": s.SUBSTANCE})
    )


def _add_ended_in_hospital(treatments: pl.LazyFrame, timeline: Timeline) -> pl.LazyFrame:
    """Add whether the known end lies in an admission, which begins with its start and leaves its end out."""
    admissions = timeline.stays.filter(pl.col(IS_ADMISSION))
    ends = treatments.select(MOMENT, s.EPISODE_ID, s.ENDED_AT).filter(pl.col(s.ENDED_AT).is_not_null())
    inside = (
        ends.join(admissions, on=MOMENT, suffix="_of_stay")
        .filter(
            pl.col(s.STARTED_AT) <= pl.col(s.ENDED_AT),
            (pl.col(s.ENDED_AT) < pl.col("ended_at_of_stay")).fill_null(value=True),
        )
        .select(MOMENT, s.EPISODE_ID, pl.lit(value=True).alias("ended_in_hospital"))
        .unique()
    )
    return treatments.join(inside, on=[MOMENT, s.EPISODE_ID], how="left", maintain_order="left")


def build_treatment_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell in substance treatment, overlapping episodes joined."""
    return place(_join_spells(timeline.known[s.SUBSTANCE_ABUSE])).select(_PLACED)


def build_benefit_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell on one benefit, with whether another benefit came before it."""
    spells = _join_spells(timeline.known[s.SOCIAL_BENEFITS], s.BENEFIT)
    return place(spells.sort(MOMENT, s.STARTED_AT, s.BENEFIT)).select(
        *_PLACED,
        s.BENEFIT,
        *_flag_values(s.BENEFIT, s.BENEFITS),
        (pl.col(s.BENEFIT) != "self_support").alias("public"),
        (pl.col(s.BENEFIT) != previous(s.BENEFIT, MOMENT)).alias("switch"),
    )


def build_outside_labour_market_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell outside the labour market, whichever benefits it was made of."""
    outside = timeline.known[s.SOCIAL_BENEFITS].filter(pl.col(s.BENEFIT).is_in(OUTSIDE_LABOUR_MARKET))
    return place(_join_spells(outside)).select(_PLACED)


def build_service_spells_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per spell of one municipal service."""
    spells = _join_spells(timeline.known[s.SOCIAL_SERVICES], s.SERVICE)
    return place(spells).select(*_PLACED, s.SERVICE, *_flag_values(s.SERVICE, s.SERVICES))


def build_services_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known row of a municipal service, as it was granted."""
    return place(timeline.known[s.SOCIAL_SERVICES]).select(
        *_PLACED, s.SERVICE, s.PARAGRAPH, s.PROVIDER, _is_new(s.PROVIDER).alias("new_provider")
    )


def build_primary_care_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known contact with primary care."""
    contacts = place(timeline.known[s.PRIMARY_CARE])
    return contacts.select(*_PLACED, *_flag_values(s.KIND, s.PRIMARY_CARE_KINDS))


def build_diagnoses_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known diagnosis code of a contact, with the groups it belongs to."""
    is_hospital = {
        s.ADMISSIONS: pl.lit(value=True),
        s.DIAGNOSES: pl.col(HOSPITAL_SINCE) < pl.col(s.INDEX_TIME),
        s.PSYCHIATRIC_CONTACTS: pl.lit(value=False),
    }
    coded = [
        place(timeline.known[table])
        .with_columns(pl.col(s.CODE if table == s.DIAGNOSES else s.DIAGNOSIS).alias(s.CODE))
        .filter(pl.col(s.CODE).is_not_null())
        .select(*_PLACED, s.CONTACT_ID, s.CODE, GROUPS, hospital.alias(IN_HOSPITAL))
        for table, hospital in is_hospital.items()
    ]
    groups = [((pl.col(GROUPS) & bit) != 0).alias(group) for group, bit in GROUP_BITS.items()]
    return pl.concat(coded).select(*_PLACED, s.CONTACT_ID, s.CODE, IN_HOSPITAL, *groups)


def build_conditions_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known diagnosis and long-term condition it stands for."""
    diagnoses = build_diagnoses_view(timeline)
    return pl.concat(
        diagnoses.filter(pl.col(group)).select(*_PLACED, s.CODE, pl.lit(group).alias("condition"))
        for group in LONG_TERM
    )


def build_discharges_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per known discharge from an admission, with whether a community contact followed.

    A community contact is an attended psychiatric contact outside the ward, other than an emergency, or
    one with the general practitioner. A discharge is due once the days for it have passed.
    """
    ended = timeline.stays.filter(pl.col(IS_ADMISSION), pl.col(s.ENDED_AT).is_not_null())
    discharges = timeline.keep_reachable(place(ended).select(_PLACED))
    return _add_next_contact(discharges, _list_community_contacts(timeline)).select(
        *_PLACED, *(flag for days in FOLLOW_UPS for flag in _flag_follow_up(days))
    )


def _flag_follow_up(days: int) -> list[pl.Expr]:
    span = timedelta(days=days) // timedelta(microseconds=1)
    is_due = pl.col(END_AGE) >= span
    is_followed = (pl.col(END_AGE) - pl.col(_NEXT) < span).fill_null(value=False)
    return [is_due.alias(f"due_{days}"), (is_due & ~is_followed).alias(f"alone_{days}")]


def _add_next_contact(discharges: pl.LazyFrame, contacts: pl.LazyFrame) -> pl.LazyFrame:
    """Add the age of the first contact at or after each discharge, null if none comes in time to count."""
    longest = timedelta(days=max(FOLLOW_UPS)) // timedelta(microseconds=1)
    waited = pl.col(END_AGE) - pl.col(_NEXT)
    following = (
        discharges.select(MOMENT, END_AGE)
        .join(contacts.join(discharges, on=MOMENT, how="semi"), on=MOMENT)
        .filter(waited >= 0, waited < longest)
        .group_by(MOMENT, END_AGE)
        .agg(pl.col(_NEXT).max())
    )
    return discharges.join(following, on=[MOMENT, END_AGE], how="left")


def _list_community_contacts(timeline: Timeline) -> pl.LazyFrame:
    psychiatric = timeline.known[s.PSYCHIATRIC_CONTACTS].filter(
        pl.col(s.CONTACT_TYPE).is_in(COMMUNITY_CONTACT_TYPES),
        pl.col(s.ATTENDANCE).is_in(["attended", "unknown"]),
    )
    practitioner = timeline.known[s.PRIMARY_CARE].filter(pl.col(s.KIND) == "gp")
    return pl.concat(
        [place(part).select(MOMENT, pl.col(START_AGE).alias(_NEXT)) for part in (psychiatric, practitioner)]
    )


def build_sectors_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per event in one of the sectors that may be at work for a person at once."""
    stay_sector = pl.when(pl.col("psychiatric")).then(pl.lit("psychiatric")).otherwise(pl.lit("somatic"))
    service_sector = pl.col(s.SERVICE).replace_strict(dict(SECTOR_OF_SERVICE), return_dtype=pl.String)
    parts = (
        (build_stays_view(timeline), stay_sector),
        (build_psychiatric_view(timeline).filter("attended"), pl.lit("psychiatric")),
        (build_treatment_spells_view(timeline), pl.lit("substance")),
        (build_service_spells_view(timeline), service_sector),
    )
    return pl.concat(part.select(*_PLACED, sector.alias(s.SECTOR)) for part, sector in parts)


def build_background_view(timeline: Timeline) -> pl.LazyFrame:
    """Build one row per person and index moment with what is fixed or slow to change."""
    persons = timeline.moments.join(timeline.persons, on=s.PERSON_ID, how="left", maintain_order="left")
    return persons.select(
        MOMENT, compute_age_years().cast(pl.Int32).alias("age_years"), s.SEX, s.MUNICIPALITY
    )


def _join_spells(known: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    """Join overlapping and adjoining rows; a spell is open if the row that reaches farthest is."""
    until, owner = "until", (MOMENT, *by)
    reaching = known.with_columns(pl.col(s.ENDED_AT).fill_null(pl.col(s.INDEX_TIME)).alias(until))
    in_order = reaching.sort(*owner, s.STARTED_AT) if by else reaching
    spelled = add_spell(in_order, by=owner, start=s.STARTED_AT, end=until)
    latest = find_latest_ending([SPELL], until)
    return (
        spelled.select(
            *owner,
            s.INDEX_TIME,
            pl.col(s.STARTED_AT).gather(pl.col(SPELL)),
            pl.col(s.ENDED_AT).gather(latest),
            is_last_of_spell().alias(_IS_WHOLE),
        )
        .filter(_IS_WHOLE)
        .drop(_IS_WHOLE)
    )


def _flag_values(column: str, values: Sequence[str]) -> list[pl.Expr]:
    return [(pl.col(column) == value).alias(value) for value in values]


_STAY_FLAGS = (
    "acute",
    "planned",
    "psychiatric",
    "somatic",
    "emergency_visit",
    "unfinished",
    "ended",
    "follows",
    "quick_return",
    "within_a_week",
    "readmission",
    "early_readmission",
    "after_unfinished",
    "return_after_unfinished",
    "sector_switch",
)
_STAYS = ((s.ADMISSIONS,), _STAY_FLAGS, ("lasted", "gap"), (s.DIAGNOSIS,))

VIEWS: Final[Mapping[str, View]] = MappingProxyType(
    {
        "stays": View(build_stays_view, *_STAYS),
        "admissions": View(build_admissions_view, *_STAYS),
        "contacts": View(
            build_contacts_view,
            (s.ADMISSIONS,),
            ("follows", "same_unit", "new_unit"),
            (s.HOSPITAL, UNIT, "step"),
            (s.HOSPITAL, s.DEPARTMENT, s.DIAGNOSIS),
        ),
        "psychiatric_contacts": View(
            build_psychiatric_view,
            (s.PSYCHIATRIC_CONTACTS,),
            (
                *s.CONTACT_TYPES,
                *("attended", "no_show", "cancelled", "kept_or_missed", "after_no_show", "new_provider"),
            ),
            (s.PROVIDER,),
            (s.PROVIDER, s.DIAGNOSIS),
        ),
        "treatments": View(
            build_treatments_view,
            (s.SUBSTANCE_ABUSE,),
            (
                *s.SUBSTANCES,
                *("drugs", "dropped_out", "completed", "ended", "restart"),
                *("new_provider", "ended_in_hospital"),
            ),
            (s.PROVIDER, s.SUBSTANCE),
            (s.PROVIDER,),
            also=(s.ADMISSIONS,),
        ),
        "treatment_spells": View(build_treatment_spells_view, (s.SUBSTANCE_ABUSE,)),
        "benefit_spells": View(
            build_benefit_spells_view,
            (s.SOCIAL_BENEFITS,),
            (*s.BENEFITS, "public", "switch"),
            (s.BENEFIT,),
        ),
        "outside_labour_market_spells": View(build_outside_labour_market_view, (s.SOCIAL_BENEFITS,)),
        "service_spells": View(build_service_spells_view, (s.SOCIAL_SERVICES,), s.SERVICES, (s.SERVICE,)),
        "services": View(
            build_services_view,
            (s.SOCIAL_SERVICES,),
            ("new_provider",),
            (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
            (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
        ),
        "primary_care": View(build_primary_care_view, (s.PRIMARY_CARE,), s.PRIMARY_CARE_KINDS),
        "diagnoses": View(
            build_diagnoses_view,
            (s.ADMISSIONS,),
            (IN_HOSPITAL, *GROUP_BITS),
            (s.CONTACT_ID, s.CODE),
            (s.CODE,),
            also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
        ),
        "conditions": View(
            build_conditions_view,
            (s.ADMISSIONS,),
            (),
            ("condition",),
            (s.CODE,),
            also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
        ),
        "discharges": View(
            build_discharges_view,
            (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.PRIMARY_CARE),
            tuple(f"{flag}_{days}" for days in FOLLOW_UPS for flag in ("due", "alone")),
        ),
        "sectors": View(
            build_sectors_view,
            (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.SUBSTANCE_ABUSE, s.SOCIAL_SERVICES),
            (),
            (s.SECTOR,),
        ),
        "background": View(build_background_view, (s.PERSONS,), (), ("age_years", s.SEX, s.MUNICIPALITY)),
    }
)
