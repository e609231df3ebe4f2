"""Tables: their columns, closed value sets and row rules, as declared data."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Final

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

ROW: Final = "row"
RULE: Final = "rule"
KEPT_WITHOUT: Final = "kept_without_"  # of a rule that costs a row one attribute, and not its place

PERSONS: Final = "persons"
ADMISSIONS: Final = "admissions"
DIAGNOSES: Final = "diagnoses"
PSYCHIATRIC_CONTACTS: Final = "psychiatric_contacts"
SUBSTANCE_ABUSE: Final = "substance_abuse"
SOCIAL_BENEFITS: Final = "social_benefits"
SOCIAL_SERVICES: Final = "social_services"
PRIMARY_CARE: Final = "primary_care"

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

EARLIEST_DAY: Final = date(1850, 1, 1)

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


def _moment(*, nullable: bool) -> _Moment:
    return _Moment(nullable=nullable, time_unit="us")


class _Numbered(dy.Schema):
    """Every row carries its number in the delivered table, so that a row set aside can be found again."""

    row = dy.UInt32(nullable=False)
    person_id = dy.String(nullable=False, primary_key=True, min_length=1)


class _Event(_Numbered):
    """One row per event; a null end means open, or a point event where the table says so."""

    row = dy.UInt32(nullable=False, primary_key=True)
    started_at = _moment(nullable=False)
    ended_at = _moment(nullable=True)
    known_at = _moment(nullable=True)

    @dy.rule()
    def ends_after_it_starts(cls) -> pl.Expr:
        """An event cannot end before it starts."""
        return pl.col(ENDED_AT).is_null() | (pl.col(ENDED_AT) >= pl.col(STARTED_AT))


class PersonsSchema(_Numbered):
    """One row per person."""

    birth_date = dy.Date(nullable=False, min=EARLIEST_DAY)
    sex = dy.Enum(SEXES, nullable=False)
    municipality = dy.String(nullable=True)
    death_date = dy.Date(nullable=True, min=EARLIEST_DAY)
    observed_from = dy.Date(nullable=True, min=EARLIEST_DAY)
    observed_until = dy.Date(nullable=True, min=EARLIEST_DAY)

    @dy.rule()
    def dies_after_birth(cls) -> pl.Expr:
        """Nobody dies before being born."""
        return pl.col(DEATH_DATE).is_null() | (pl.col(DEATH_DATE) >= pl.col(BIRTH_DATE))

    @dy.rule()
    def observed_until_follows_from(cls) -> pl.Expr:
        """Residence cannot end before it starts."""
        return (
            pl.col(OBSERVED_FROM).is_null()
            | pl.col(OBSERVED_UNTIL).is_null()
            | (pl.col(OBSERVED_UNTIL) >= pl.col(OBSERVED_FROM))
        )


class AdmissionsSchema(_Event):
    """One row per hospital contact; a null end means still in hospital."""

    contact_id = dy.String(nullable=False, min_length=1)
    sector = dy.Enum(SECTORS, nullable=False)
    admission_type = dy.Enum(ADMISSION_TYPES, nullable=False)
    hospital = dy.String(nullable=True)
    department = dy.String(nullable=True)
    diagnosis = dy.String(nullable=True)
    discharge = dy.Enum(DISCHARGES, nullable=True)


class DiagnosesSchema(_Event):
    """One row per diagnosis of a contact, timed as the contact is; a null end means not yet closed."""

    contact_id = dy.String(nullable=False, min_length=1)
    code = dy.String(nullable=False)
    kind = dy.Enum(DIAGNOSIS_KINDS, nullable=False)


class PsychiatricContactsSchema(_Event):
    """One row per psychiatric contact outside the ward; a null end means a point event."""

    contact_id = dy.String(nullable=False, min_length=1)
    contact_type = dy.Enum(CONTACT_TYPES, nullable=False)
    attendance = dy.Enum(ATTENDANCES, nullable=False)
    diagnosis = dy.String(nullable=True)
    provider = dy.String(nullable=True)


class SubstanceAbuseSchema(_Event):
    """One row per treatment episode; a null end means in treatment."""

    episode_id = dy.String(nullable=False, min_length=1)
    substance = dy.Enum(SUBSTANCES, nullable=False)
    end_reason = dy.Enum(END_REASONS, nullable=True)
    provider = dy.String(nullable=True)


class SocialBenefitsSchema(_Event):
    """One row per benefit spell; a null end means it is being received."""

    benefit = dy.Enum(BENEFITS, nullable=False)


class SocialServicesSchema(_Event):
    """One row per spell of a municipal service; a null end means it is being received."""

    service = dy.Enum(SERVICES, nullable=False)
    paragraph = dy.String(nullable=True)
    provider = dy.String(nullable=True)


class PrimaryCareSchema(_Event):
    """One row per contact with primary care; a point event."""

    kind = dy.Enum(PRIMARY_CARE_KINDS, nullable=False)


class HistoriesCollection(dy.Collection):
    """All tables about the same persons; every event belongs to a person in `persons`."""

    persons: dy.LazyFrame[PersonsSchema]
    admissions: dy.LazyFrame[AdmissionsSchema]
    diagnoses: dy.LazyFrame[DiagnosesSchema] | None
    psychiatric_contacts: dy.LazyFrame[PsychiatricContactsSchema] | None
    substance_abuse: dy.LazyFrame[SubstanceAbuseSchema] | None
    social_benefits: dy.LazyFrame[SocialBenefitsSchema] | None
    social_services: dy.LazyFrame[SocialServicesSchema] | None
    primary_care: dy.LazyFrame[PrimaryCareSchema] | None

    @dy.filter()
    def person_is_known(self) -> pl.LazyFrame:
        """Events of persons who are not in `persons` are set aside."""
        return self.persons.lazy().select(PERSON_ID)


SCHEMAS: Final[Mapping[str, type[dy.Schema]]] = MappingProxyType(HistoriesCollection.member_schemas())
MAY_BE_OPEN: Final = (ENDED_AT, DEATH_DATE, OBSERVED_FROM, OBSERVED_UNTIL)  # null says: none, or not known
CODE_COLUMNS: Final = (DIAGNOSIS, CODE)
REQUIRED_TABLES: Final = (PERSONS, ADMISSIONS)
EVENT_TABLES: Final = tuple(name for name in SCHEMAS if name != PERSONS)
POINT_TABLES: Final = (PSYCHIATRIC_CONTACTS, PRIMARY_CARE)

LEARNT_AT_END: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        ADMISSIONS: (ENDED_AT, DIAGNOSIS, DISCHARGE),
        DIAGNOSES: (ENDED_AT, CODE),
        PSYCHIATRIC_CONTACTS: (ENDED_AT, DIAGNOSIS, ATTENDANCE),
        SUBSTANCE_ABUSE: (ENDED_AT, END_REASON),
        SOCIAL_BENEFITS: (ENDED_AT,),
        SOCIAL_SERVICES: (ENDED_AT,),
        PRIMARY_CARE: (ENDED_AT,),
    }
)

# Rows of a person that start together are put in order by what they are, never by where they stood in a file.
ORDER_OF_TIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        ADMISSIONS: (CONTACT_ID,),
        DIAGNOSES: (),
        PSYCHIATRIC_CONTACTS: (CONTACT_ID,),
        SUBSTANCE_ABUSE: (EPISODE_ID,),
        SOCIAL_BENEFITS: (BENEFIT,),
        SOCIAL_SERVICES: (SERVICE, PARAGRAPH, PROVIDER),
        PRIMARY_CARE: (),
    }
)

UNIQUE_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        PERSONS: (PERSON_ID,),
        ADMISSIONS: (CONTACT_ID,),
        DIAGNOSES: (CONTACT_ID, CODE),
        PSYCHIATRIC_CONTACTS: (CONTACT_ID,),
        SUBSTANCE_ABUSE: (EPISODE_ID,),
        SOCIAL_BENEFITS: (PERSON_ID, STARTED_AT, ENDED_AT, BENEFIT),
        SOCIAL_SERVICES: (PERSON_ID, STARTED_AT, ENDED_AT, SERVICE, PARAGRAPH, PROVIDER),
        PRIMARY_CARE: (),
    }
)

# Rows of a later delivery take the place of all the store's rows that agree with them here. What has an id
# keeps it; what has none is the same while it starts at the same moment; a contact's diagnoses come together.
REPLACED_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        PERSONS: (PERSON_ID,),
        ADMISSIONS: (CONTACT_ID,),
        DIAGNOSES: (CONTACT_ID,),
        PSYCHIATRIC_CONTACTS: (CONTACT_ID,),
        SUBSTANCE_ABUSE: (EPISODE_ID,),
        SOCIAL_BENEFITS: (PERSON_ID, STARTED_AT, BENEFIT),
        SOCIAL_SERVICES: (PERSON_ID, STARTED_AT, SERVICE, PARAGRAPH, PROVIDER),
        PRIMARY_CARE: (PERSON_ID, STARTED_AT, KIND),
    }
)
REPORTED_AT_END: Final = (DIAGNOSES,)  # the others are reported when they start


@cache
def get_columns(table: str) -> Mapping[str, pl.DataType]:
    """Column names and types of a table, without the row number."""
    return MappingProxyType(
        {name: column.dtype for name, column in SCHEMAS[table].columns().items() if name != ROW}
    )


def get_required_columns(table: str) -> tuple[str, ...]:
    """Columns a delivered table must have; the others may be absent and are then null."""
    return tuple(
        name for name, column in SCHEMAS[table].columns().items() if name != ROW and not column.nullable
    )


def keeps_row(rule: pl.Expr) -> pl.Expr:
    """Whether a row that breaks a rule is kept, without the attribute that the rule names."""
    return rule.str.starts_with(KEPT_WITHOUT)


def is_attribute(table: str, name: str) -> bool:
    """Whether a cell that cannot be read costs a row this column only, and not its place.

    What may be null and is no moment: without a moment nobody knows when the row counts.
    """
    is_moment = isinstance(get_columns(table)[name], pl.Datetime | pl.Date)
    return not is_moment and name not in get_required_columns(table)
