"""Histories: the checked register tables about a set of persons."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

import polars as pl

from somv_risk.calls.arrow import read_frame
from somv_risk.calls.shown import show_type
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.identity import Pseudonyms, describe_pseudonyms, sign_person
from somv_risk.registers.span import END, START, Span, infer_span

PERSON: Final = "person"
CONTACT: Final = "contact"
SET_ASIDE: Final = "set_aside"
KEPT_WITHOUT: Final = "kept_without"
BY_PERSON: Final = pl.Schema({s.PERSON_ID: pl.String(), SET_ASIDE: pl.Int64(), KEPT_WITHOUT: pl.Int64()})
_IS_KEPT: Final = "_is_kept"
NOBODY: Final = -1  # the number of a person who is not among those numbered
NOTHING_DROPPED = pl.DataFrame(schema={"source_table": pl.String, "reason": pl.String, "rows": pl.Int64})


@runtime_checkable
class Stored(Protocol):
    """Rows set aside by table that are read when they are asked for."""

    def read_of(self, person_ids: pl.Series) -> Iterable[pl.DataFrame]:
        """Read frames that hold all rows of these persons; what they hold of others means nothing."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of rows that broke a rule: by `table` and `rule` (`rows`), and by table, set aside or kept."""

    summary: pl.DataFrame
    set_aside: Mapping[str, int]
    kept_without: Mapping[str, int]


@dataclass(frozen=True, slots=True, repr=False)
class Quarantine:
    """Rows that broke a rule, per table: those set aside, and those kept without an attribute.

    `rows` maps a table to a frame of `row` (number in the delivered table, from 0), `rule`, and those
    delivered columns that the table has. A row that breaks two rules stands there twice. A rule that starts
    with `kept_without_` names an attribute that could not be read: the row is among those kept, with null in
    its place, and no other rule set it aside. So delivered = kept + set aside, in each table.

    `delivered` counts the rows that were delivered, of each table of which that is known. `counted` has the
    counts where they are known without the rows, as a store has them.
    """

    rows: Mapping[str, pl.DataFrame] = field(default_factory=lambda: MappingProxyType({}))
    delivered: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    counted: Counted | None = None

    def summary(self) -> pl.DataFrame:
        """Count rows that broke a rule: one row per table and rule (`table`, `rule`, `rows`)."""
        if self.counted is not None:
            return self.counted.summary
        counts = [
            frame.group_by(s.RULE)
            .agg(pl.len().cast(pl.Int64).alias("rows"))
            .select(pl.lit(table).alias("table"), s.RULE, "rows")
            for table, frame in self.rows.items()
        ]
        empty = pl.DataFrame(schema={"table": pl.String, s.RULE: pl.String, "rows": pl.Int64})
        return pl.concat([empty, *counts]).sort("table", s.RULE)

    def count(self) -> int:
        """Count rows set aside; one that broke two rules counts once."""
        return sum(self.count_tables().values())

    def count_tables(self) -> Mapping[str, int]:
        """Count the rows set aside of each table in which a rule was broken."""
        return {table: self.count_set_aside(table) for table in self.rows}

    def count_poorer(self) -> Mapping[str, int]:
        """Count the rows kept without an attribute, of each table in which a rule was broken."""
        return {table: self.count_kept_without(table) for table in self.rows}

    def count_set_aside(self, table: str) -> int:
        """Count the rows of a table that were set aside."""
        if self.counted is not None:
            return self.counted.set_aside.get(table, 0)
        return _count_different(self.list_set_aside(table))

    def count_kept_without(self, table: str) -> int:
        """Count the rows of a table that were kept without an attribute that could not be read."""
        if self.counted is not None:
            return self.counted.kept_without.get(table, 0)
        return _count_different(self.list_kept_without(table))

    def list_set_aside(self, table: str) -> pl.DataFrame:
        """List the rows of a table that were set aside, one row per row and rule."""
        return self[table].filter(~s.keeps_row(pl.col(s.RULE)))

    def list_kept_without(self, table: str) -> pl.DataFrame:
        """List the rows of a table that were kept without an attribute, one row per row and attribute."""
        return self[table].filter(s.keeps_row(pl.col(s.RULE)))

    def count_by_person(self, person_ids: pl.Series) -> pl.DataFrame:
        """Count rows of each of the persons of whom a rule was broken.

        Returns
        -------
        One row per person: `person_id`, `set_aside`, and `kept_without` (an attribute).
        """
        if not self.rows:
            return BY_PERSON.to_frame()
        ids = person_ids.unique().to_frame(s.PERSON_ID)
        frames = self.rows.read_of(person_ids) if isinstance(self.rows, Stored) else self.rows.values()
        counts = [_count_by_person(frame, ids) for frame in frames if s.PERSON_ID in frame]
        return pl.concat([BY_PERSON.to_frame(), *counts]).group_by(s.PERSON_ID).sum().sort(s.PERSON_ID)

    def __repr__(self) -> str:
        # Rows set aside hold whatever was delivered, and a repr ends in logs.
        return f"Quarantine({self.count()} rows set aside in {sorted(self.rows)})"

    def __str__(self) -> str:
        lines = [f"{rows:>10,} {table}: {rule}" for table, rule, rows in self.summary().iter_rows()]
        return "\n".join(lines) if lines else "No rows were set aside."

    def join(self, other: "Quarantine") -> "Quarantine":
        """Return what both set aside."""
        tables = [table for table in s.TABLES if table in {*self.rows, *other.rows}]
        return Quarantine(
            {t: pl.concat([self[t], other[t]], how="diagonal_relaxed") for t in tables},
            {**other.delivered, **self.delivered},
        )

    def __getitem__(self, table: str) -> pl.DataFrame:
        return self.rows.get(table, pl.DataFrame(schema={s.ROW: pl.UInt32, s.RULE: pl.String}))


def _count_different(frame: pl.DataFrame) -> int:
    return frame.drop(s.RULE).n_unique()


def _count_by_person(frame: pl.DataFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """Count different rows; an id stands there as it was delivered."""
    own = frame.with_columns(pl.col(s.PERSON_ID).cast(pl.String, strict=False).str.strip_chars())
    is_kept = s.keeps_row(pl.col(s.RULE)).alias(_IS_KEPT)
    of_these = own.join(ids, on=s.PERSON_ID, how="semi").with_columns(is_kept).drop(s.RULE).unique()
    counted = of_these.group_by(s.PERSON_ID).agg(
        (~pl.col(_IS_KEPT)).sum().alias(SET_ASIDE), pl.col(_IS_KEPT).sum().alias(KEPT_WITHOUT)
    )
    return counted.cast({SET_ASIDE: pl.Int64, KEPT_WITHOUT: pl.Int64})


@dataclass(frozen=True, slots=True)
class Layout:
    """How a store lays out `tables`. It holds for these very tables, and not for any made from them.

    `parts` are histories of some of the persons each, who together are all of them. `numbered` has the
    same tables in order of person and time (ties as the schema says), with the number of the person
    (`person`) and of the contact among those of the person (`contact`) beside the ids; a number means
    something within one part only.
    """

    tables: Mapping[str, pl.LazyFrame]
    parts: tuple["Histories", ...] = ()
    numbered: Mapping[str, pl.LazyFrame] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, repr=False)
class Histories:
    """Register tables about persons, one lazy frame per table, as declared in `schema`.

    `data_end` is the moment at which the delivery ends; None means that the start of the last
    hospital contact is taken for it. `span` says from when until when a store or a folder has data, None
    where the tables come from neither. `quarantine` holds what the checks set aside, `dropped` counts what a
    source did not take over. `timezone` is that of their clocks, to which moments with a zone are
    converted. A table that was not delivered is listed in `absent` and reads as an empty frame.
    """

    tables: Mapping[str, pl.LazyFrame]
    data_end: datetime | None = None
    quarantine: Quarantine = field(default_factory=Quarantine)
    dropped: pl.DataFrame = field(default_factory=lambda: NOTHING_DROPPED)
    layout: Layout | None = None
    timezone: str = TIMEZONE
    pseudonyms: Pseudonyms | None = None
    span: Span | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.tables, Mapping):
            raise InputError(
                f"The tables are {show_type(self.tables)}. Give frames by the name of the table."
            )
        unknown = set(self.tables) - set(s.TABLES)
        missing = set(s.REQUIRED_TABLES) - set(self.tables)
        if unknown:
            raise InputError(f"Unknown table {sorted(unknown)}. Known tables are {list(s.TABLES)}.")
        if missing:
            raise InputError(
                f"Table {sorted(missing)} is missing. Deliver at least {list(s.REQUIRED_TABLES)}."
            )

    def __repr__(self) -> str:
        return f"Histories({list(self.tables)}, data_end={self.data_end}, {self.quarantine!r})"

    @property
    def parts(self) -> tuple["Histories", ...]:
        """Histories of some of the persons each, who together are all of them; often one part in all.

        What is worked out per person can be worked out part by part, in less memory.
        """
        return (self._own_layout.parts if self._own_layout else ()) or (self,)

    @property
    def numbered(self) -> Mapping[str, pl.LazyFrame]:
        """The tables with the persons numbered, as a store keeps them; empty if there are none."""
        return self._own_layout.numbered if self._own_layout else {}

    @property
    def _own_layout(self) -> Layout | None:
        return self.layout if self.layout is not None and self.layout.tables is self.tables else None

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the tables that were not delivered."""
        return tuple(table for table in s.TABLES if table not in self.tables)

    def table(self, name: str) -> pl.LazyFrame:
        """Return one table; an absent one has its columns and no rows."""
        return self.tables[name] if name in self.tables else pl.LazyFrame(schema=s.get_columns(name))

    @property
    def persons(self) -> pl.LazyFrame:
        """One row per person."""
        return self.table(s.PERSONS)

    @property
    def admissions(self) -> pl.LazyFrame:
        """One row per hospital contact."""
        return self.table(s.ADMISSIONS)

    @property
    def diagnoses(self) -> pl.LazyFrame:
        """One row per diagnosis of a contact."""
        return self.table(s.DIAGNOSES)

    @property
    def psychiatric_contacts(self) -> pl.LazyFrame:
        """One row per psychiatric contact outside the ward."""
        return self.table(s.PSYCHIATRIC_CONTACTS)

    @property
    def substance_abuse(self) -> pl.LazyFrame:
        """One row per substance treatment episode."""
        return self.table(s.SUBSTANCE_ABUSE)

    @property
    def social_benefits(self) -> pl.LazyFrame:
        """One row per benefit spell."""
        return self.table(s.SOCIAL_BENEFITS)

    @property
    def social_services(self) -> pl.LazyFrame:
        """One row per spell of a municipal service."""
        return self.table(s.SOCIAL_SERVICES)

    @property
    def primary_care(self) -> pl.LazyFrame:
        """One row per contact with primary care."""
        return self.table(s.PRIMARY_CARE)

    def follow_up_end(self) -> pl.LazyFrame:
        """Return one row, one column `data_end`: the moment until which events are complete."""
        known = self.data_end or (self.span.end if self.span else None)
        if known is not None:
            return pl.LazyFrame({END: [known]}, schema={END: pl.Datetime("us")})
        return infer_span(self.admissions).select(END)

    def follow_up_start(self) -> pl.LazyFrame:
        """Return one row, one column `data_start`: the moment from which there are events."""
        if self.span is not None:
            return pl.LazyFrame({START: [self.span.start]}, schema={START: pl.Datetime("us")})
        return infer_span(self.admissions).select(START)

    def keep_tables(self, names: Collection[str]) -> "Histories":
        """Keep some of the tables; those left out count as absent."""
        if set(self.tables) <= set(names):
            return self
        tables = {name: frame for name, frame in self.tables.items() if name in names}
        layout = self._own_layout
        kept = layout and Layout(
            tables,
            tuple(part.keep_tables(names) for part in layout.parts),
            {name: frame for name, frame in layout.numbered.items() if name in names},
        )
        return replace(self, tables=tables, layout=kept)

    def check(self) -> "Histories":
        """Check every row against the declared rules.

        Returns
        -------
        Histories without the rows that break a rule; these are added to `quarantine`.

        Raises
        ------
        InputError, IdentityError
            If a column is missing or of an unusable type, or ids look like CPR numbers.
        """
        from somv_risk.registers.checks import check_tables  # noqa: PLC0415 - checks make histories

        checked = check_tables(
            self.tables,
            latest=self.data_end or datetime.max,
            data_end=self.data_end,
            timezone=self.timezone,
        )
        return replace(
            checked,
            quarantine=self.quarantine.join(checked.quarantine),
            dropped=self.dropped,
            pseudonyms=self.pseudonyms,
            span=self.span,
        )

    def keep_persons(self, person_ids: pl.LazyFrame) -> "Histories":
        """Keep the rows of the persons in the column `person_id` of the given frame."""
        ids = read_frame("person_ids", person_ids)
        if s.PERSON_ID not in ids.collect_schema():
            raise InputError(f"Table person_ids has no column {s.PERSON_ID}. Give the ids under this name.")
        ids = ids.select(s.PERSON_ID)
        return replace(
            self,
            tables={name: frame.join(ids, on=s.PERSON_ID, how="semi") for name, frame in self.tables.items()},
        )

    def pseudonymise(self, key: str | bytes) -> "Histories":
        """Replace every person id by a keyed hash (HMAC-SHA-256, 128 bits as text).

        The same key gives the same pseudonyms, so that deliveries can be joined; without the key they
        cannot be guessed by trying all numbers, which a plain hash would allow.

        Raises
        ------
        ConfigError
            If the key is shorter than 16 bytes or can be guessed.
        """
        signed = sign_person(key)
        set_aside = {
            name: frame.with_columns(signed) if s.PERSON_ID in frame.columns else frame
            for name, frame in self.quarantine.rows.items()
        }
        return replace(
            self,
            tables={name: frame.with_columns(signed) for name, frame in self.tables.items()},
            quarantine=replace(self.quarantine, rows=set_aside, counted=None),
            pseudonyms=describe_pseudonyms(key),
        )


def check_histories(value: object) -> None:
    """Check that an argument is histories.

    Raises
    ------
    InputError
        If it is something else, such as a frame or a path.
    """
    if not isinstance(value, Histories):
        raise InputError(
            f"The histories are {show_type(value)}. Give what read_histories or from_frames returns."
        )
