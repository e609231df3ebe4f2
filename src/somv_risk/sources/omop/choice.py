"""Choice: one closed value, decided from concept ids and from the source's own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.registers import schema

DROPPED: Final = "dropped"
ICD9, ICD10, OTHER = "icd9", "icd10", "other"

VISIT_SIGNALS: Final = (
    "visit_concept_id",
    "visit_type_concept_id",
    "visit_source_concept_id",
    "visit_source_concept_name",
    "visit_source_value",
    "admitted_from_concept_id",
    "admitted_from_source_value",
    "discharged_to_concept_id",
    "discharged_to_source_value",
    "care_site_name",
    "care_site_source_value",
    "place_of_service_concept_id",
    "place_of_service_source_value",
)
GENDER_SIGNALS: Final = ("gender_concept_id", "gender_source_value")
KIND_SIGNALS: Final = (
    "condition_status_concept_id",
    "condition_status_source_value",
    "condition_type_concept_id",
)
CODE_SIGNALS: Final = ("vocabulary_id", "code_of_icd9_visit", "code")


@dataclass(frozen=True, slots=True)
class Question:
    """What a choice may answer, and the columns it may look at."""

    answers: tuple[str, ...]
    signals: tuple[str, ...]


VISIT_TABLES: Final = (DROPPED, schema.ADMISSIONS, schema.PSYCHIATRIC_CONTACTS, schema.PRIMARY_CARE)
VISIT_QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType(
    {
        "visit_table": Question(VISIT_TABLES, VISIT_SIGNALS),
        schema.ADMISSION_TYPE: Question(schema.ADMISSION_TYPES, VISIT_SIGNALS),
        schema.SECTOR: Question(schema.SECTORS, VISIT_SIGNALS),
        schema.DISCHARGE: Question(schema.DISCHARGES, VISIT_SIGNALS),
        schema.CONTACT_TYPE: Question(schema.CONTACT_TYPES, VISIT_SIGNALS),
        schema.ATTENDANCE: Question(schema.ATTENDANCES, VISIT_SIGNALS),
        "primary_care_kind": Question(schema.PRIMARY_CARE_KINDS, VISIT_SIGNALS),
    }
)
QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType(
    {
        **VISIT_QUESTIONS,
        schema.SEX: Question(schema.SEXES, GENDER_SIGNALS),
        "diagnosis_kind": Question(schema.DIAGNOSIS_KINDS, KIND_SIGNALS),
        "code_system": Question((ICD9, ICD10, OTHER), CODE_SIGNALS),
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Signals in order of trust, and for each answer the ids or patterns that give it.

    The first signal that matches any answer decides; within a signal, the answer named first.
    Without a match the answer is `stated` where any signal says something, else `silent`.
    """

    name: str
    precedence: tuple[str, ...]
    stated: str
    silent: str
    answers: Mapping[str, Mapping[str, tuple[str, ...]]]

    def __post_init__(self) -> None:
        question = QUESTIONS[self.name]
        check_known(f"{self.name}.precedence", self.precedence, question.signals)
        check_known(f"{self.name}.stated", (self.stated,), question.answers)
        check_known(f"{self.name}.silent", (self.silent,), question.answers)
        check_known(self.name, self.answers, question.answers)
        for answer, signals in self.answers.items():
            check_known(f"{self.name}.{answer}", signals, self.precedence)

    def choose(self) -> pl.Expr:
        """Answer per row, named after the choice; never null."""
        matches = [
            pl.when(_matches(signal, signals[signal])).then(pl.lit(answer))
            for signal in self.precedence
            for answer, signals in self.answers.items()
            if signals.get(signal)
        ]
        return pl.coalesce(*matches, self._choose_unmatched()).alias(self.name)

    def can_answer(self, answer: str) -> bool:
        """Whether any id or pattern leads to the answer."""
        return any(self.answers.get(answer, {}).values())

    def _choose_unmatched(self) -> pl.Expr:
        is_stated = pl.any_horizontal(pl.col(signal).is_not_null() for signal in self.precedence)
        return pl.when(is_stated).then(pl.lit(self.stated)).otherwise(pl.lit(self.silent))


def is_concept(signal: str) -> bool:
    """Whether a signal is given as concept ids; the others are given as patterns."""
    return signal.endswith("concept_id")


def check_known(where: str, given: Mapping[str, object] | tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse names that are not in a closed set."""
    for name in given:
        if name not in known:
            raise ConfigError(
                f"The OMOP mapping names '{name}' in '{where}', which is not known there. "
                f"Use one of: {', '.join(known)}."
            )


def match_any(column: str, patterns: tuple[str, ...]) -> pl.Expr:
    """Whether text matches one of the patterns, in any case; no pattern matches nothing."""
    if not patterns:
        return pl.lit(value=False)
    return pl.col(column).str.contains(join_patterns(patterns))


def join_patterns(patterns: tuple[str, ...]) -> str:
    """One pattern for many, in any case."""
    return "(?i)" + "|".join(f"(?:{pattern})" for pattern in patterns)


def _matches(signal: str, wanted: tuple[str, ...]) -> pl.Expr:
    return pl.col(signal).is_in(list(wanted)) if is_concept(signal) else match_any(signal, wanted)
