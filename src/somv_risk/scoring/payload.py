"""Payload: the question that a served model is asked, as typed nested JSON, and the histories in it.

What is wrong is told by the name of its field, never by what stood in it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from somv_risk.calls.moments import parse_moment
from somv_risk.errors import ConfigError, IdentityError, InputError, SomvRiskError
from somv_risk.languages import LANGUAGES
from somv_risk.registers import schema as s
from somv_risk.registers.civil_numbers import looks_like_number
from somv_risk.registers.conversion import NO_ICD10, SENTINEL, TYPE
from somv_risk.registers.headers import clean_name
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import Explain
from somv_risk.sources import check_rows

INPUTS: Final = "inputs"
PERSON: Final = "person"
CITIZENS: Final = "citizens"
PLAIN_NAME: Final = re.compile(r"[a-z][a-z_]{0,40}")
EXPECTED: Final = {
    pl.Datetime: "a date and time, such as 2026-01-31T08:15",
    pl.Date: "a date, such as 2026-01-31",
    pl.String: "text",
    pl.Float64: "a number, such as 37.5",
}
Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Row(_Part):
    """Cells of a table, under its names for columns; as at every door, capitals and blanks make no other."""

    @model_validator(mode="before")
    @classmethod
    def _clean_names(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        cleaned = {clean_name(name): cell for name, cell in given.items()}
        if len(cleaned) < len(given):
            raise ValueError("a field is there twice")
        return cleaned


def _make_row(table: str, left_out: Sequence[str]) -> type[BaseModel]:
    """Make the type of a table's rows: numbers as such, all else as text, dates as ISO 8601."""
    required = s.get_required_columns(table)
    fields: dict[str, Any] = {
        name: (_show_in_json(dtype), ...) if name in required else (_show_in_json(dtype) | None, None)
        for name, dtype in s.get_columns(table).items()
        if name not in left_out
    }
    made: type[BaseModel] = create_model(f"{table.title().replace('_', '')}Row", __base__=_Row, **fields)
    return made


def _show_in_json(dtype: pl.DataType) -> type:
    return float if dtype == pl.Float64 else str


def _make_citizen() -> type[BaseModel]:
    """Make the type of a citizen: the person, and a list of rows for every other table."""
    fields: dict[str, Any] = {PERSON: (_make_row(s.PERSONS, []), ...)}
    for table in s.EVENT_TABLES:
        rows: Any = list[_make_row(table, [s.PERSON_ID])]  # type: ignore[misc]  # made from the schema
        fields[table] = (rows, ...) if table in s.REQUIRED_TABLES else (rows | None, None)
    citizen: type[BaseModel] = create_model("Citizen", __base__=_Part, **fields)
    return citizen


if TYPE_CHECKING:
    Citizen = BaseModel
else:
    Citizen = _make_citizen()


def _one_of(words: Sequence[str]) -> Any:  # noqa: ANN401 - pydantic's
    """An option that is one of some words; MLflow knows no literals, and `score` would repeat another one."""
    return Field(default=None, pattern=f"^({'|'.join(words)})$")


class Options(_Part):
    """How `score` is to answer; what is left out is as there, but everybody is given reasons."""

    index_time: str
    data_end: str | None = None
    capacity: int | None = None
    threshold: float | None = None
    reasons: int | None = None
    language: str | None = _one_of(LANGUAGES)
    explain: str | None = _one_of(get_args(Explain))
    allow: list[str] | None = None

    def list_arguments(self) -> dict[str, Any]:
        """List the arguments of `score`."""
        given = self.model_dump(exclude={"data_end", CITIZENS}, exclude_none=True)
        return {"explain": "all"} | given


class Question(Options):
    """One call of `score`: a moment, options, and the citizens with their rows."""

    citizens: list[Citizen]


def read_questions(given: object) -> list[Question]:
    """Read the questions of a payload.

    Raises
    ------
    InputError
        If a field is missing, unknown or of a wrong type; names the field.
    """
    if not isinstance(given, list) or not given:
        raise InputError(f"{INPUTS} is no list of questions. Send {{'{INPUTS}': [{{...}}]}}.")
    return [_read(Question, one, f"{INPUTS}[{place}]") for place, one in enumerate(given)]


def read_options(given: Mapping[str, object]) -> Options:
    """Read the options that stand beside frames.

    Raises
    ------
    InputError
        If an option is missing, unknown or of a wrong type.
    """
    return _read(Options, dict(given), INPUTS)


def _read(kind: type[Model], given: object, place: str) -> Model:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise InputError(f"{_name_field(place, first['loc'])}: {first['msg']}.") from None


def _name_field(place: str, location: Sequence[str | int]) -> str:
    """Name a field as one would write it; a name that may be a value is not repeated."""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            place += f".{part}" if PLAIN_NAME.fullmatch(part) else " (a field of unknown name)"
    return place


def build_histories(question: Question, place: str) -> Histories:
    """Build the histories of the citizens in a question; every row must be sound.

    Raises
    ------
    InputError
        If a row breaks a rule, or a table is given for some citizens only; names the field.
    IdentityError
        If person ids look like CPR numbers.
    """
    if not question.citizens:
        raise InputError(f"{place}.{CITIZENS} is empty. Send at least one citizen.")
    citizens = [citizen.model_dump() for citizen in question.citizens]
    tables = list(_list_tables(citizens, place))
    frames = {table: _build_frame(table, citizens) for table in tables}
    _check_pseudonyms(frames[s.PERSONS], f"{place}.{CITIZENS}")
    histories = check_rows(
        {table: frame.lazy() for table, frame in frames.items()},
        data_end=read_moment(question.data_end, f"{place}.data_end"),
    )
    _check_nothing_set_aside(histories, citizens, f"{place}.{CITIZENS}")
    return histories


def read_moment(text: str | None, field: str) -> datetime | None:
    """Read a moment; an error names its field."""
    try:
        return None if text is None else parse_moment(text)
    except (ConfigError, ValueError):
        raise InputError(f"{field}: expected {EXPECTED[pl.Datetime]}.") from None


def _list_tables(citizens: Sequence[Mapping[str, Any]], place: str) -> Iterator[str]:
    yield s.PERSONS
    for table in s.EVENT_TABLES:
        given = [citizen[table] is not None for citizen in citizens]
        if any(given) and not all(given):
            raise InputError(
                f"{place}.{CITIZENS}[{given.index(False)}].{table}: Field required, as other citizens have "
                "it. Send an empty list where there are no rows."
            )
        if all(given):
            yield table


def _build_frame(table: str, citizens: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    if table == s.PERSONS:
        rows = [citizen[PERSON] for citizen in citizens]
    else:
        rows = [
            {s.PERSON_ID: citizen[PERSON][s.PERSON_ID], **row}
            for citizen in citizens
            for row in citizen[table]
        ]
    given = {
        name: pl.Float64() if dtype == pl.Float64 else pl.String()
        for name, dtype in s.get_columns(table).items()
    }
    return pl.DataFrame(rows, schema=given)


def _check_pseudonyms(persons: pl.DataFrame, place: str) -> None:
    """Check ids here too, since who asks can send another one, and cannot give a key."""
    found = persons.select(looks_like_number(pl.col(s.PERSON_ID)).arg_true()).to_series()
    if found.len():
        raise IdentityError(
            f"{place}[{found[0]}].{PERSON}.{s.PERSON_ID}: it looks like a CPR number. Send a pseudonym."
        )


def _check_nothing_set_aside(histories: Histories, citizens: Sequence[Mapping[str, Any]], place: str) -> None:
    """Check that every row keeps every rule: whoever asks can mend a cell, and is not left to guess at it."""
    for table, rows in histories.quarantine.rows.items():
        number, rule = rows.row(0)[:2]
        column, _, broken = rule.removeprefix(s.KEPT_WITHOUT).rpartition("|")
        where = place + _locate(table, int(number), citizens) + (f".{column}" if column else "")
        raise InputError(f"{where}: {_explain(table, column, broken)}.")


def _locate(table: str, number: int, citizens: Sequence[Mapping[str, Any]]) -> str:
    """Say where in the payload a row of a table came from."""
    if table == s.PERSONS:
        return f"[{number}].{PERSON}"
    for place, citizen in enumerate(citizens):
        if number < len(citizen[table]):
            return f"[{place}].{table}[{number}]"
        number -= len(citizen[table])
    return f".{table}"


def _explain(table: str, column: str, rule: str) -> str:
    kind = s.get_columns(table).get(column)
    if isinstance(kind, pl.Enum):
        return f"expected one of {', '.join(kind.categories)}"
    if rule in (TYPE, SENTINEL) and kind is not None:
        return f"expected {EXPECTED[type(kind)]}"
    if rule == NO_ICD10:
        return "expected a code of ICD-10, such as F102"
    return f"the row breaks the rule {rule}"


def build_example() -> list[dict[str, Any]]:
    """Build a question about a made-up citizen, to show what is asked and try a model with."""
    stay = {
        "contact_id": "c1",
        s.STARTED_AT: "2025-03-01T10:00",
        s.ENDED_AT: "2025-03-03T09:30",
        s.SECTOR: "psychiatric",
        s.ADMISSION_TYPE: "acute",
        s.DIAGNOSIS: "F102",
        s.DISCHARGE: "left_early",
    }
    person = {
        s.PERSON_ID: "example-person",
        s.BIRTH_DATE: date(1981, 5, 1).isoformat(),
        s.SEX: "male",
        s.OBSERVED_FROM: date(1981, 5, 1).isoformat(),
    }
    citizen = {PERSON: person, **{table: [] for table in s.EVENT_TABLES}, s.ADMISSIONS: [stay]}
    return [{s.INDEX_TIME: "2026-01-01", "language": "en", CITIZENS: [citizen]}]


def tell_field(error: SomvRiskError, place: str) -> str:
    """Tell an error with the place it is about, unless it names one."""
    text = str(error)
    return text if text.startswith(INPUTS) else f"{place}: {text}"
