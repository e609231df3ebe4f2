"""Malformed deliveries: from a seed, a small delivery in some form, with damage of some kinds in it.

Every text in it that could be a person's value holds `CANARY`, so that a message which repeats one is found.
"""

import codecs
import csv
import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

CANARY = "zqkanari"
END = datetime(2026, 6, 1)

Row = dict[str, str | None]
Tables = dict[str, list[Row]]


@dataclass
class Delivery:
    """One delivery: its rows as text, how it is written, and what was done to it.

    `columns` has the header of each table, which may name a column twice.
    """

    seed: int
    form: str
    tables: Tables
    columns: dict[str, list[str]]
    damage: list[str] = field(default_factory=list)


# --- a sound delivery


def draw_tables(draw: random.Random) -> Tables:
    """Two to six persons with contacts, diagnoses and a spell or two."""
    persons = [_draw_person(draw, number) for number in range(draw.randint(2, 6))]
    tables: Tables = {"persons": persons, "admissions": [], "diagnoses": [], "social_benefits": []}
    for person in persons:
        for number in range(draw.randint(0, 4)):
            contact = _draw_contact(draw, person["person_id"], number)
            tables["admissions"].append(contact)
            if draw.random() < 0.7:
                tables["diagnoses"].append(_draw_diagnosis(draw, contact))
        if draw.random() < 0.5:
            tables["social_benefits"].append(_draw_benefit(draw, person["person_id"]))
    if not tables["admissions"]:
        tables["admissions"].append(_draw_contact(draw, persons[0]["person_id"], 0))
    return tables


def _draw_person(draw: random.Random, number: int) -> Row:
    return {
        "person_id": f"{CANARY}-{number}",
        "birth_date": f"{draw.randint(1930, 2000)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}",
        "sex": draw.choice(["female", "male", "unknown"]),
        "municipality": f"{CANARY} by",
        "death_date": draw.choice([None, None, None, "2026-01-15"]),
    }


def _draw_contact(draw: random.Random, person: str | None, number: int) -> Row:
    started = datetime(2024, 1, 1) + timedelta(hours=draw.randint(0, 15_000))
    ended = started + timedelta(hours=draw.randint(1, 300))
    return {
        "person_id": person,
        "contact_id": f"{CANARY}/{person}/{number}",
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "sector": draw.choice(["somatic", "psychiatric"]),
        "admission_type": draw.choice(["acute", "planned"]),
        "hospital": f"{CANARY} sygehus",
        "department": draw.choice([f"{CANARY} afdeling, {draw.randint(1, 9)}", None]),
        "diagnosis": draw.choice(["F102", "E119", "J18.9", None]),
        "discharge": draw.choice(["completed", "left_early", None]),
    }


def _draw_diagnosis(draw: random.Random, contact: Row) -> Row:
    kept = ("person_id", "contact_id", "started_at", "ended_at")
    return {name: contact[name] for name in kept} | {
        "code": draw.choice(["F102", "E119"]),
        "kind": "secondary",
    }


def _draw_benefit(draw: random.Random, person: str | None) -> Row:
    benefit = draw.choice(["sickness", "pension", "social_assistance"])
    return {"person_id": person, "started_at": "2024-02-01", "ended_at": "2024-09-01", "benefit": benefit}


# --- damage to cells and columns

MOMENTS = (
    *("2025-03-01T10:00+01", "2025-03-01 10:00:00 UTC", "2025-03-01T10:00Z", "2025-03-01T10:00:00.5+0100"),
    *(
        "01-03-2025",
        "2025/03/01",
        "1. marts 2025",
        "20250301",
        "2025-02-30",
        "2025-03-01T25:00",
        "NaT",
        "NULL",
    ),
    *(
        "2025-03-01T25:00",
        "0001-01-01",
        "1800-01-01",
        "9999-12-31",
        "2999-12-31T23:59",
        "9999999-01-01",
        "-1",
        "1e9",
    ),
    *("2025-10-26T02:30:00+02:00", "2025-10-26T02:10:00+01:00", "2025-03-30T02:30", "", " ", "0000-00-00"),
)
WORDS = (
    *("Akut", "ACUTE", "acute ", "planlagt", "Somatisk", "somatic\u00a0", "psyk", "1", "", "null", "\x00"),
    *(
        f"{CANARY} værdi",
        "kvinde",
        "F",
        "Female",
        "left early",
        "LEFT_EARLY",
        "udeblevet",
        "None",
        "\u200bacute",
    ),
)
CODES = (
    *("DF102", "df10.2", "DE119A", "E11.9+", "G63.2*", "F 10.2", "30390", "250.00", "V4581", "DB10", "ZZZ"),
    *("F102;E119", f"{CANARY}", "", "F", "DF", "D10", "DD10", "F10.20.1", "æ12", "*", "Z590+"),
)
IDS = ("", " ", None, f"{CANARY}-nobody", "0101901234", "1.0", "\u00a0", f"{CANARY}\n0", "9" * 400, "NaN")
BY_COLUMN = {
    **dict.fromkeys(("started_at", "ended_at", "birth_date", "death_date", "known_at"), MOMENTS),
    **dict.fromkeys(("sector", "admission_type", "sex", "discharge", "kind", "benefit"), WORDS),
    **dict.fromkeys(("diagnosis", "code"), CODES),
    **dict.fromkeys(("person_id", "contact_id", "hospital", "department", "municipality"), IDS),
}


def damage_cells(draw: random.Random, delivery: Delivery) -> None:
    """Write something else into some cells, of one table and column or anywhere."""
    table = draw.choice([name for name, rows in delivery.tables.items() if rows])
    column = draw.choice([name for name in delivery.columns[table] if name in BY_COLUMN])
    whole = draw.random() < 0.3
    word = draw.choice(BY_COLUMN[column])
    for row in delivery.tables[table]:
        if whole or draw.random() < 0.4:
            row[column] = word if whole else draw.choice(BY_COLUMN[column])
    delivery.damage.append(f"cells of {table}.{column}")


def damage_rows(draw: random.Random, delivery: Delivery) -> None:
    """Repeat, empty or add rows."""
    rows = delivery.tables[draw.choice([name for name, rows in delivery.tables.items() if rows])]
    what = draw.choice(["repeat", "empty", "clash", "all twice"])
    if what == "repeat":
        rows.append(dict(draw.choice(rows)))
    elif what == "empty":
        rows.append(dict.fromkeys(rows[0]))
    elif what == "clash":
        rows.append(draw.choice(rows) | {"person_id": f"{CANARY}-0"})
    else:
        rows.extend([dict(row) for row in rows])
    delivery.damage.append(f"rows: {what}")


def damage_header(draw: random.Random, delivery: Delivery) -> None:
    """Write a header otherwise: blanks, capitals, typing errors, twice, or one that is not known."""
    table = draw.choice(list(delivery.columns))
    columns = delivery.columns[table]
    place = draw.randrange(len(columns))
    old = columns[place]
    what, new = draw.choice(_list_headers(draw, old, columns))
    for row in delivery.tables[table]:
        if new != old and new not in row:
            row[new] = row.get(old)
    if what == "further":
        columns.append(new)
        for row in delivery.tables[table]:
            row[new] = f"{CANARY} 010190-1234"
    else:
        columns[place] = new
    delivery.damage.append(f"header {table}: {what}")


def _list_headers(draw: random.Random, old: str, columns: list[str]) -> list[tuple[str, str]]:
    return [
        ("blank", f" {old} "),
        ("no-break blank", f"{old}\u00a0"),
        ("zero width", f"\u200b{old}"),
        ("capitals", old.upper()),
        ("title", old.title()),
        ("letter gone", old[:-1]),
        ("no underscore", old.replace("_", "")),
        ("twice", draw.choice(columns)),
        ("empty", ""),
        ("NUL", f"{old}\x00"),
        ("further", draw.choice(["cpr", "navn", "x" * 300, "row", "rule", "Person_ID_2"])),
    ]


def drop_table(draw: random.Random, delivery: Delivery) -> None:
    """Leave a table out, or deliver it without rows."""
    table = draw.choice(list(delivery.tables))
    if draw.random() < 0.5:
        del delivery.tables[table], delivery.columns[table]
    else:
        delivery.tables[table] = []
    delivery.damage.append(f"no rows of {table}")


DAMAGE: tuple[Callable[[random.Random, Delivery], None], ...] = (
    *(damage_cells, damage_cells, damage_cells),
    *(damage_rows, damage_header, damage_header, drop_table),
)

# --- what it is written as

FORMS = ("csv", "csv", "csv.gz", "parquet", "typed parquet", "polars", "pandas", "arrow")
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16")


def draw_delivery(seed: int) -> Delivery:
    """Draw a delivery and what is wrong with it."""
    draw = random.Random(seed)
    tables = draw_tables(draw)
    columns = {name: list(rows[0]) if rows else ["person_id"] for name, rows in tables.items()}
    tables = {name: rows for name, rows in tables.items() if rows}
    columns = {name: columns[name] for name in tables}
    delivery = Delivery(seed, draw.choice(FORMS), tables, columns)
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
        if delivery.tables:
            draw.choice(DAMAGE)(draw, delivery)
    return delivery


def write_folder(delivery: Delivery, folder: Path) -> dict[str, int | None]:
    """Write it as files, damage the bytes of some, and count the rows of each; None if no count is sure."""
    draw = random.Random(f"{delivery.seed} bytes")
    style = draw_style(draw)
    delivery.damage.append(str(style))
    counts: dict[str, int | None] = {}
    for table, rows in delivery.tables.items():
        columns = delivery.columns[table]
        file = folder / _name_file(draw, table, delivery)
        if "csv" in delivery.form:
            content = write_csv(style, rows, columns)
        else:
            content = write_parquet(draw, delivery, rows, columns)
        if draw.random() < 0.12:
            content = damage_bytes(draw, delivery, content)
        file.write_bytes(gzip.compress(content) if file.name.endswith(".gz") else content)
        if file.name.endswith(".gz") and draw.random() < 0.15:
            file.write_bytes(damage_bytes(draw, delivery, file.read_bytes()))
        counts[table] = count_rows(file)
    return counts


def _name_file(draw: random.Random, table: str, delivery: Delivery) -> str:
    suffix = "parquet" if "parquet" in delivery.form else delivery.form
    name = f"{table}.{suffix}"
    return draw.choice([name] * 8 + [name.upper(), name.title()])


@dataclass(frozen=True)
class Style:
    """How a source writes all its CSV files."""

    separator: str
    line_end: str
    quoting: int
    encoding: str


def draw_style(draw: random.Random) -> Style:
    line_end = draw.choice(["\n", "\n", "\n", "\r\n", "\r\n", "\r"])
    quoting = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    return Style(draw.choice([",", ";", "\t"]), line_end, quoting, draw.choice(ENCODINGS))


def write_csv(style: Style, rows: list[Row], columns: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=style.separator, lineterminator=style.line_end, quoting=style.quoting)
    writer.writerow(columns)
    writer.writerows([["" if row.get(name) is None else row[name] for name in columns] for row in rows])
    return text.getvalue().encode(style.encoding, errors="replace")


def write_parquet(draw: random.Random, delivery: Delivery, rows: list[Row], columns: list[str]) -> bytes:
    arrays = [_make_array(draw, delivery, [row.get(name) for row in rows], name) for name in columns]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, names=columns), buffer, compression=draw.choice(["none", "zstd"])
    )
    return buffer.getvalue()


def _make_array(draw: random.Random, delivery: Delivery, values: list[Any], name: str) -> pa.Array:
    """Text, or in some columns another type that such a column may have."""
    if "typed" not in delivery.form:
        return pa.array(values, pa.string())
    kind = draw.choice(
        ["text", "text", "moment", "categories", "list", "null", "whole", "real", "bytes", "far"]
    )
    delivery.damage.append(f"{name} as {kind}")
    makers: dict[str, Callable[[], pa.Array]] = {
        "text": lambda: pa.array(values, pa.string()),
        "moment": lambda: pa.array([_read_moment(value) for value in values], pa.timestamp("us")),
        "categories": lambda: pa.array(values, pa.string()).dictionary_encode(),
        "list": lambda: pa.array([[value] for value in values], pa.list_(pa.string())),
        "null": lambda: pa.nulls(len(values)),
        "whole": lambda: pa.array(range(len(values)), pa.int64()),
        "real": lambda: pa.array([number + 0.5 for number in range(len(values))], pa.float64()),
        "bytes": lambda: pa.array([(value or "").encode() for value in values], pa.binary()),
        "far": lambda: pa.array([2**62] * len(values), pa.timestamp("us", "UTC")),
    }
    kind = draw.choice(["text", *makers])
    delivery.damage.append(f"{name} as {kind}")
    return makers[kind]()


def _read_moment(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value or "").replace(tzinfo=None)
    except ValueError:
        return None


def damage_bytes(draw: random.Random, delivery: Delivery, content: bytes) -> bytes:
    """Flip, cut, blank, repeat or lose bytes."""
    if not content:
        return content
    place, length = draw.randrange(len(content)), draw.randint(1, 40)
    kinds: dict[str, Callable[[], bytes]] = {
        "flipped": lambda: _flip(draw, content, place),
        "cut": lambda: content[:place],
        "blanked": lambda: content[:place] + bytes(length) + content[place + length :],
        "repeated": lambda: content[:place] + content[max(0, place - length) : place] + content[place:],
        "lost": lambda: content[:place] + content[place + length :],
        "quoted": lambda: content[:place] + b'"' + content[place:],
    }
    kind = draw.choice(list(kinds))
    delivery.damage.append(f"bytes {kind}")
    return kinds[kind]()


def _flip(draw: random.Random, content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]


# --- an independent count


def count_rows(file: Path) -> int | None:
    """Count the rows a file holds, by other tools than the library; None if they cannot read it."""
    if file.suffix.lower() == ".parquet":
        try:
            return pq.ParquetFile(file).metadata.num_rows
        except (OSError, pa.ArrowException, UnicodeDecodeError):  # the last where a name is no text
            return None
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix.lower() == ".gz" else file.read_bytes()
    except (OSError, EOFError, gzip.zlib.error):
        return None
    return _count_records(content)


def _count_records(content: bytes) -> int | None:
    """Count the records of a CSV file after its header; empty lines are none."""
    try:
        text = content.decode("utf-16" if content.startswith(codecs.BOM_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    header = text.splitlines()[0] if text else ""
    separator = max(";\t,", key=header.count)
    csv.field_size_limit(10_000_000)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return None
    return max(0, sum(bool(record) for record in records) - 1)


# --- frames


MAKERS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "polars": lambda cells: pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String)),
    "pandas": lambda cells: pd.DataFrame(cells, dtype=object),
    "arrow": lambda cells: pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()}),
}


def make_frames(delivery: Delivery) -> dict[str, Any]:
    """Make it frames of the form's kind; a frame cannot name a column twice."""
    frames = {}
    for table, rows in delivery.tables.items():
        cells = {name: [row.get(name) for row in rows] for name in delivery.columns[table]}
        frames[table] = MAKERS[delivery.form](cells)
    return frames
