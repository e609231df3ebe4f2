"""Tables: one record each, with all that the library knows of a table before it has seen a row.

A table is added by adding its record; whatever reads, checks, stores or shows tables asks the records.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from types import MappingProxyType, new_class
from typing import Any, Final

import dataframely as dy
import polars as pl

PERSON_ID: Final = "person_id"
INDEX_TIME: Final = "index_time"
STARTED_AT: Final = "started_at"
ENDED_AT: Final = "ended_at"
KNOWN_AT: Final = "known_at"

BIRTH_DATE: Final = "birth_date"
SEX: Final = "sex"
MUNICIPALITY: Final = "municipality"
DEATH_DATE: Final = "death_date"
OBSERVED_FROM: Final = "observed_from"
OBSERVED_UNTIL: Final = "observed_until"

CONTACT_ID: Final = "contact_id"
SECTOR: Final = "sector"
ADMISSION_TYPE: Final = "admission_type"
HOSPITAL: Final = "hospital"
DEPARTMENT: Final = "department"
DIAGNOSIS: Final = "diagnosis"
DISCHARGE: Final = "discharge"
CODE: Final = "code"
KIND: Final = "kind"
CONTACT_TYPE: Final = "contact_type"
ATTENDANCE: Final = "attendance"
PROVIDER: Final = "provider"
EPISODE_ID: Final = "episode_id"
SUBSTANCE: Final = "substance"
END_REASON: Final = "end_reason"
BENEFIT: Final = "benefit"
SERVICE: Final = "service"
PARAGRAPH: Final = "paragraph"
HOURS_PER_WEEK: Final = "hours_per_week"
COST: Final = "cost"
PROGRAMME: Final = "programme"
EVENT: Final = "event"
PHASE: Final = "phase"
PARTNER: Final = "partner"
DOOR: Final = "door"
ABOUT_TABLE: Final = "about_table"
ABOUT_KEY: Final = "about_key"
PLAN_ID: Final = "plan_id"
OWNER: Final = "owner"
COORDINATOR: Final = "coordinator"
NEXT_REVIEW: Final = "next_review"
REFERRAL_ID: Final = "referral_id"
FROM_PARTY: Final = "from_party"
TO_PARTY: Final = "to_party"
PLANNED_FOR: Final = "planned_for"
OUTCOME: Final = "outcome"
RESPONSE_ID: Final = "response_id"
INSTRUMENT: Final = "instrument"
ITEM: Final = "item"
VALUE: Final = "value"
MOMENT: Final = "moment"

ROW: Final = "row"
RULE: Final = "rule"
KEPT_WITHOUT: Final = "kept_without_"  # of a rule that costs a row one attribute, and not its place

PERSONS: Final = "persons"
RESIDENCE: Final = "residence"
ADMISSIONS: Final = "admissions"
DIAGNOSES: Final = "diagnoses"
PSYCHIATRIC_CONTACTS: Final = "psychiatric_contacts"
SUBSTANCE_ABUSE: Final = "substance_abuse"
SOCIAL_BENEFITS: Final = "social_benefits"
SOCIAL_SERVICES: Final = "social_services"
PRIMARY_CARE: Final = "primary_care"
PROGRAMME_EVENTS: Final = "programme_events"
PLANS: Final = "plans"
REFERRALS: Final = "referrals"
RESPONSES: Final = "responses"

SEXES: Final = ("female", "male", "unknown")
SECTORS: Final = ("somatic", "psychiatric")
ADMISSION_TYPES: Final = ("acute", "planned")
DISCHARGES: Final = ("completed", "left_early", "transferred", "died", "unknown")
DIAGNOSIS_KINDS: Final = ("primary", "secondary")
CONTACT_TYPES: Final = ("outpatient", "emergency", "home_visit", "virtual")
ATTENDANCES: Final = ("attended", "no_show", "cancelled", "unknown")
SUBSTANCES: Final = ("alcohol", "opioids", "cannabis", "stimulants", "sedatives", "other", "unknown")
END_REASONS: Final = ("completed", "dropped_out", "transferred", "died", "unknown")
BENEFITS: Final = (
    "self_support",
    "education",
    "unemployment",
    "social_assistance",
    "sickness",
    "rehabilitation",
    "flex_job",
    "early_retirement",
    "pension",
    "parental",
    "other",
)
SERVICES: Final = (
    "shelter",
    "support",
    "supported_housing",
    "contact_person",
    "home_care",
    "home_nursing",
    "job_centre",
    "other",
)
PRIMARY_CARE_KINDS: Final = ("gp", "out_of_hours", "other")
PROGRAMME_STEPS: Final = (
    *("contacted", "offered", "declined", "enrolled", "paused", "resumed", "completed", "lost"),
    *("withdrawn", "not_relevant", "disputed"),
)
PLAN_KINDS: Final = (
    *("coordinating_plan", "discharge_agreement", "coordination_plan", "sip", "individual_plan"),
    *("care_plan", "job_plan", "other"),
)
REFERRAL_KINDS: Final = ("referral", "booking")
REFERRAL_OUTCOMES: Final = ("met", "no_show", "declined", "closed", "unknown")
RESPONSE_MOMENTS: Final = ("baseline", "followup")
PARTIES: Final = (
    *("somatic_hospital", "psychiatry", "general_practice", "substance_treatment", "job_centre"),
    *("home_care_and_nursing", "social_support", "shelter", "other"),
)

EARLIEST_DAY: Final = date(1850, 1, 1)
HOURS_OF_A_WEEK: Final = 168.0

# Codes are held against it when they are read, where one that does not fit can be left out of its row.
ICD10_PATTERN: Final = r"^[A-Z][0-9][0-9A-Z]{1,5}$"


class _Moment(dy.Datetime):
    """A moment since `EARLIEST_DAY`.

    A bound given to Dataframely as a datetime runs a Polars query when the schema is declared, which starts
    threads on import; a date does not.
    """

    def validation_rules(self, expr: pl.Expr) -> dict[str, pl.Expr]:
        """Return the rules of Dataframely and the bound, under the name it has there."""
        return {**super().validation_rules(expr), "min": expr >= pl.lit(EARLIEST_DAY)}


def _moment(*, nullable: bool = True) -> _Moment:
    return _Moment(nullable=nullable, time_unit="us")


def _day(*, nullable: bool = True) -> dy.Date:
    return dy.Date(nullable=nullable, min=EARLIEST_DAY)


def _id() -> dy.String:
    return dy.String(nullable=False, min_length=1)


def _text(*, nullable: bool = True) -> dy.String:
    return dy.String(nullable=nullable)


def _one_of(values: tuple[str, ...], *, nullable: bool = False) -> dy.Enum:
    return dy.Enum(values, nullable=nullable)


class _Numbered(dy.Schema):
    """Every row carries its number in the delivered table, so that a row set aside can be found again."""

    row = dy.UInt32(nullable=False)
    person_id = dy.String(nullable=False, primary_key=True, min_length=1)


class _Event(_Numbered):
    """One row per event; a null end means open, or a point event where the record says so."""

    row = dy.UInt32(nullable=False, primary_key=True)
    started_at = _moment(nullable=False)
    ended_at = _moment()
    known_at = _moment()


def _follows(later: str, earlier: str) -> pl.Expr:
    """Whether a moment does not lie before another; where one is null, nobody can tell."""
    is_unknown = pl.col(later).is_null() | pl.col(earlier).is_null()
    return is_unknown | (pl.col(later) >= pl.col(earlier))


@dataclass(frozen=True, slots=True)
class PartyBy:
    """The party of a row is told by one of its columns: which party each value stands for."""

    column: str
    parties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """All that the library knows of one register table.

    Attributes
    ----------
    name
        Its name in a delivery.
    grain
        What one row is, and what a null end means.
    columns
        Its own columns, besides `person_id` and, of an event table, `started_at`, `ended_at`, `known_at`.
        One that may be null may be absent from a delivery.
    unique_by
        Rows that agree in these columns are the same row, delivered twice; empty where nothing tells two
        events from one.
    version_key
        Rows of a later delivery take the place of the rows that agree with them here. What has an id keeps
        it; what has none is the same while it starts at the same moment.
    learnt_at_end
        Columns that are known once the event is over, besides `ended_at`.
    ties
        Rows of a person that start together are put in order by these, never by their place in a file.
    codes
        Columns that hold ICD-10 codes.
    party
        Who acted: one party for all rows, or told by a column; None where rows have no party.
    is_required, is_point, is_reported_at_end
        Whether a delivery must have the table; whether an event is over when it starts; whether it is
        reported when it ends (all others are reported when they start).
    rules
        Further row rules, by name.
    has_events
        Whether a row is an event; a row of `persons` is not.
    """

    name: str
    grain: str
    columns: Mapping[str, dy.Column]
    unique_by: tuple[str, ...]
    version_key: tuple[str, ...]
    learnt_at_end: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    party: str | PartyBy | None = None
    is_required: bool = False
    is_point: bool = False
    is_reported_at_end: bool = False
    rules: Mapping[str, pl.Expr] = field(default_factory=lambda: MappingProxyType({}))
    has_events: bool = True


TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        table.name: table
        for table in (
            Table(
                PERSONS,
                "One row per person.",
                {
                    BIRTH_DATE: _day(nullable=False),
                    SEX: _one_of(SEXES),
                    MUNICIPALITY: _text(),
                    DEATH_DATE: _day(),
                    OBSERVED_FROM: _day(),
                    OBSERVED_UNTIL: _day(),
                    KNOWN_AT: _moment(),
                },
                unique_by=(PERSON_ID,),
                version_key=(PERSON_ID,),
                rules={
                    "dies_after_birth": _follows(DEATH_DATE, BIRTH_DATE),
                    "observed_until_follows_from": _follows(OBSERVED_UNTIL, OBSERVED_FROM),
                },
                is_required=True,
                has_events=False,
            ),
            Table(
                ADMISSIONS,
                "One row per hospital contact; a null end means still in hospital.",
                {
                    CONTACT_ID: _id(),
                    SECTOR: _one_of(SECTORS),
                    ADMISSION_TYPE: _one_of(ADMISSION_TYPES),
                    HOSPITAL: _text(),
                    DEPARTMENT: _text(),
                    DIAGNOSIS: _text(),
                    DISCHARGE: _one_of(DISCHARGES, nullable=True),
                    COST: dy.Float64(nullable=True),
                },
                unique_by=(CONTACT_ID,),
                version_key=(CONTACT_ID,),
                learnt_at_end=(DIAGNOSIS, DISCHARGE, COST),
                ties=(CONTACT_ID,),
                codes=(DIAGNOSIS,),
                party=PartyBy(SECTOR, {"somatic": "somatic_hospital", "psychiatric": "psychiatry"}),
                is_required=True,
            ),
            Table(
                DIAGNOSES,
                "One row per diagnosis of a contact, timed as it is; a null end means not yet closed.",
                {CONTACT_ID: _id(), CODE: _text(nullable=False), KIND: _one_of(DIAGNOSIS_KINDS)},
                unique_by=(CONTACT_ID, CODE),
                version_key=(CONTACT_ID,),  # a contact's diagnoses come together
                learnt_at_end=(CODE,),
                codes=(CODE,),
                is_reported_at_end=True,
            ),
            Table(
                PSYCHIATRIC_CONTACTS,
                "One row per psychiatric contact outside the ward; a null end means a point event.",
                {
                    CONTACT_ID: _id(),
                    CONTACT_TYPE: _one_of(CONTACT_TYPES),
                    ATTENDANCE: _one_of(ATTENDANCES),
                    DIAGNOSIS: _text(),
                    PROVIDER: _text(),
                    COST: dy.Float64(nullable=True),
                },
                unique_by=(CONTACT_ID,),
                version_key=(CONTACT_ID,),
                learnt_at_end=(DIAGNOSIS, ATTENDANCE, COST),
                ties=(CONTACT_ID,),
                codes=(DIAGNOSIS,),
                party="psychiatry",
                is_point=True,
            ),
            Table(
                SUBSTANCE_ABUSE,
                "One row per treatment episode; a null end means in treatment.",
                {
                    EPISODE_ID: _id(),
                    SUBSTANCE: _one_of(SUBSTANCES),
                    END_REASON: _one_of(END_REASONS, nullable=True),
                    PROVIDER: _text(),
                },
                unique_by=(EPISODE_ID,),
                version_key=(EPISODE_ID,),
                learnt_at_end=(END_REASON,),
                ties=(EPISODE_ID,),
                party="substance_treatment",
            ),
            Table(
                SOCIAL_BENEFITS,
                "One row per benefit spell; a null end means it is being received.",
                {BENEFIT: _one_of(BENEFITS)},
                unique_by=(PERSON_ID, STARTED_AT, ENDED_AT, BENEFIT),
                version_key=(PERSON_ID, STARTED_AT, BENEFIT),
                ties=(BENEFIT,),
            ),
            Table(
                SOCIAL_SERVICES,
                "One row per spell of a municipal service; a null end means it is being received.",
                {
                    SERVICE: _one_of(SERVICES),
                    PARAGRAPH: _text(),
                    PROVIDER: _text(),
                    HOURS_PER_WEEK: dy.Float64(nullable=True, min=0.0, max=HOURS_OF_A_WEEK),
                },
                unique_by=(PERSON_ID, STARTED_AT, ENDED_AT, SERVICE, PARAGRAPH, PROVIDER),
                version_key=(PERSON_ID, STARTED_AT, SERVICE, PARAGRAPH, PROVIDER),
                ties=(SERVICE, PARAGRAPH, PROVIDER),
                party=PartyBy(
                    SERVICE,
                    {
                        "shelter": "shelter",
                        **dict.fromkeys(("support", "supported_housing", "contact_person"), "social_support"),
                        **dict.fromkeys(("home_care", "home_nursing"), "home_care_and_nursing"),
                        "job_centre": "job_centre",
                        "other": "other",
                    },
                ),
            ),
            Table(
                PRIMARY_CARE,
                "One row per contact with primary care; a point event.",
                {KIND: _one_of(PRIMARY_CARE_KINDS), COST: dy.Float64(nullable=True)},
                unique_by=(),
                version_key=(PERSON_ID, STARTED_AT, KIND),
                learnt_at_end=(COST,),
                party=PartyBy(
                    KIND, {"gp": "general_practice", "out_of_hours": "general_practice", "other": "other"}
                ),
                is_point=True,
            ),
            Table(
                RESIDENCE,
                "One row per spell in a municipality; a null end means living there.",
                {MUNICIPALITY: _text()},
                unique_by=(PERSON_ID, STARTED_AT, ENDED_AT, MUNICIPALITY),
                version_key=(PERSON_ID, STARTED_AT),
                ties=(MUNICIPALITY,),
            ),
            Table(
                PROGRAMME_EVENTS,
                "One row per step of a citizen in a programme; a point event.",
                {
                    PROGRAMME: _text(nullable=False),
                    EVENT: _one_of(PROGRAMME_STEPS),
                    **{name: _text() for name in (PHASE, PARTNER, DOOR, CODE, ABOUT_TABLE, ABOUT_KEY)},
                },
                unique_by=(
                    *(PERSON_ID, STARTED_AT, ENDED_AT, PROGRAMME, EVENT),
                    *(PHASE, PARTNER, DOOR, CODE, ABOUT_TABLE, ABOUT_KEY),
                ),
                version_key=(PERSON_ID, STARTED_AT, PROGRAMME, EVENT, ABOUT_TABLE, ABOUT_KEY),
                ties=(PROGRAMME, EVENT, ABOUT_TABLE, ABOUT_KEY),
                is_point=True,
            ),
            Table(
                PLANS,
                "One row per plan; a null end means it is in force.",
                {
                    PLAN_ID: _id(),
                    KIND: _one_of(PLAN_KINDS),
                    OWNER: _one_of(PARTIES, nullable=True),
                    COORDINATOR: _text(),
                    NEXT_REVIEW: _day(),
                },
                unique_by=(PLAN_ID,),
                version_key=(PLAN_ID,),
                ties=(PLAN_ID,),
                party=PartyBy(OWNER, {party: party for party in PARTIES}),
            ),
            Table(
                REFERRALS,
                "One row per referral or booking; a null end means nothing came of it yet.",
                {
                    REFERRAL_ID: _id(),
                    KIND: _one_of(REFERRAL_KINDS),
                    FROM_PARTY: _one_of(PARTIES, nullable=True),
                    TO_PARTY: _one_of(PARTIES, nullable=True),
                    PLANNED_FOR: _moment(),
                    OUTCOME: _one_of(REFERRAL_OUTCOMES, nullable=True),
                },
                unique_by=(REFERRAL_ID,),
                version_key=(REFERRAL_ID,),
                learnt_at_end=(OUTCOME,),
                ties=(REFERRAL_ID,),
                party=PartyBy(TO_PARTY, {party: party for party in PARTIES}),
            ),
            Table(
                RESPONSES,
                "One row per answered item of a questionnaire; a point event.",
                {
                    RESPONSE_ID: _id(),
                    INSTRUMENT: _text(nullable=False),
                    ITEM: _text(nullable=False),
                    VALUE: dy.Float64(nullable=True),
                    MOMENT: _one_of(RESPONSE_MOMENTS),
                },
                unique_by=(RESPONSE_ID, ITEM),
                version_key=(RESPONSE_ID, ITEM),
                ties=(RESPONSE_ID, ITEM),
                is_point=True,
            ),
        )
    }
)
EVENT_TABLES: Final = tuple(name for name, table in TABLES.items() if table.has_events)
REQUIRED_TABLES: Final = tuple(name for name, table in TABLES.items() if table.is_required)

# They say when a row counts: a row in which one of them cannot be read is set aside.
_TIMES: Final = (STARTED_AT, ENDED_AT, KNOWN_AT, BIRTH_DATE, DEATH_DATE, OBSERVED_FROM, OBSERVED_UNTIL)


def _make_schema(table: Table) -> type[dy.Schema]:
    base = _Event if table.has_events else _Numbered
    follows = {"ends_after_it_starts": _follows(ENDED_AT, STARTED_AT)} if table.has_events else {}
    rules = {name: dy.rule()(_return(rule)) for name, rule in {**follows, **table.rules}.items()}
    name = f"{table.name.title().replace('_', '')}Schema"
    body = {"__doc__": table.grain, **table.columns, **rules}
    schema: type[dy.Schema] = new_class(name, (base,), exec_body=lambda space: space.update(body))
    return schema


def _return(rule: pl.Expr) -> Callable[[type[dy.Schema]], pl.Expr]:
    return lambda _schema: rule


_SCHEMAS: Final = MappingProxyType({name: _make_schema(table) for name, table in TABLES.items()})


class _Persons(dy.Collection):
    """Tables about the same persons; every event belongs to a person in `persons`."""

    persons: dy.LazyFrame[_SCHEMAS[PERSONS]]  # type: ignore[valid-type]  # made from its record

    @dy.filter()
    def person_is_known(self) -> pl.LazyFrame:
        """Events of persons who are not in `persons` are set aside."""
        return self.persons.lazy().select(PERSON_ID)


def _make_collection() -> type[dy.Collection]:
    """Make the collection of all tables, with a member for each record."""
    members: dict[str, Any] = {
        name: dy.LazyFrame[schema] if TABLES[name].is_required else dy.LazyFrame[schema] | None  # type: ignore[valid-type]
        for name, schema in _SCHEMAS.items()
    }
    body = {"__annotations__": members}
    made: type[dy.Collection] = new_class(
        "HistoriesCollection", (_Persons,), exec_body=lambda space: space.update(body)
    )
    return made


HistoriesCollection: Final = _make_collection()


@cache
def get_columns(table: str) -> Mapping[str, pl.DataType]:
    """Column names and types of a table, without the row number."""
    return MappingProxyType(
        {name: column.dtype for name, column in _SCHEMAS[table].columns().items() if name != ROW}
    )


def get_required_columns(table: str) -> tuple[str, ...]:
    """Columns a delivered table must have; the others may be absent and are then null."""
    return tuple(
        name for name, column in _SCHEMAS[table].columns().items() if name != ROW and not column.nullable
    )


def make_nulls(table: str, names: Collection[str]) -> list[pl.Expr]:
    """Make a column of nulls for each column of a table that is not among the names."""
    return [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in get_columns(table).items()
        if name not in names
    ]


def get_bounds(table: str, name: str) -> tuple[float, float]:
    """Least and greatest value that a column of numbers can have."""
    column: Any = TABLES[table].columns[name]
    least, most = column.min, column.max
    return -math.inf if least is None else least, math.inf if most is None else most


def list_learnt_at_end(table: str) -> tuple[str, ...]:
    """List the columns of an event table that are known once the event is over."""
    return (ENDED_AT, *TABLES[table].learnt_at_end)


# Names under which tables, and the events made of them, hold codes.
CODE_COLUMNS: Final = (DIAGNOSIS, CODE)


def keeps_row(rule: pl.Expr) -> pl.Expr:
    """Whether a row that breaks a rule is kept, without the attribute that the rule names."""
    return rule.str.starts_with(KEPT_WITHOUT)


def is_attribute(table: str, name: str) -> bool:
    """Whether a cell that cannot be read costs a row this column only, and not its place.

    What may be null and does not say when the row counts.
    """
    return name not in _TIMES and name not in get_required_columns(table)


def may_be_open(table: str, name: str) -> bool:
    """Whether a day that stands for no date says "none" or "not known" in a column, which is no fault."""
    return name not in (STARTED_AT, KNOWN_AT) and name not in get_required_columns(table)
