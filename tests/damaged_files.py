"""Damaged deliveries: files of two sound tables, hurt by a seed, and their rows counted by other readers."""

import csv
import gzip
import io
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

PERSONS, CONTACTS = 40, 150
CANARY = "Qwertzkanarie"  # stands in every row, and may stand in no message


def make_tables() -> dict[str, pl.DataFrame]:
    persons = pl.DataFrame(
        {
            "person_id": [f"p{number}" for number in range(PERSONS)],
            "birth_date": ["1981-05-04"] * PERSONS,
            "sex": ["female"] * PERSONS,
            "municipality": [CANARY] * PERSONS,
        }
    )
    admissions = pl.DataFrame(
        {
            "person_id": [f"p{number % PERSONS}" for number in range(CONTACTS)],
            "contact_id": [f"c{number}" for number in range(CONTACTS)],
            "started_at": [f"2024-03-{1 + number % 28:02d}T10:00:00" for number in range(CONTACTS)],
            "ended_at": [f"2024-05-{1 + number % 28:02d}T10:00:00" for number in range(CONTACTS)],
            "sector": ["somatic"] * CONTACTS,
            "admission_type": ["acute"] * CONTACTS,
            "hospital": [f"{CANARY} å{number}" for number in range(CONTACTS)],
            "department": ["A, B\nand C" if number % 7 == 0 else "ward" for number in range(CONTACTS)],
        }
    )
    return {"persons": persons, "admissions": admissions}


@dataclass(frozen=True)
class Damaged:
    """A folder with one damaged file, and how many rows another reader finds in it; None if it finds none."""

    folder: Path
    table: str
    rows: int | None


def damage_delivery(folder: Path, seed: int) -> Damaged:
    chance = random.Random(seed)
    tables = make_tables()
    table = chance.choice(list(tables))
    write, count, suffix = chance.choice([draw_csv, draw_csv, draw_parquet])(chance)
    for name, frame in tables.items():
        if name != table:
            frame.write_csv(folder / f"{name}.csv")
    content = hurt(write(tables[table]), chance)
    (folder / f"{table}{suffix}").write_bytes(content)
    return Damaged(folder, table, count(content))


Write = Callable[[pl.DataFrame], bytes]
Count = Callable[[bytes], int | None]


def draw_csv(chance: random.Random) -> tuple[Write, Count, str]:
    separator, is_packed = chance.choice(",;\t"), chance.random() < 0.25
    style = chance.choice(["necessary", "always"])
    line_end = chance.choice(["\n", "\r\n"])

    def write(frame: pl.DataFrame) -> bytes:
        text = frame.write_csv(separator=separator, quote_style=style, line_terminator=line_end).encode()
        return gzip.compress(text) if is_packed else text

    def count(content: bytes) -> int | None:
        try:
            text = (gzip.decompress(content) if is_packed else content).decode()
            return sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator)) - 1
        except (UnicodeDecodeError, csv.Error, OSError, EOFError, zlib.error):
            return None

    return write, count, ".csv.gz" if is_packed else ".csv"


def draw_parquet(chance: random.Random) -> tuple[Write, Count, str]:
    compression = chance.choice(["zstd", "lz4", "snappy", "uncompressed"])
    rows_per_group = chance.choice([20, 1_000])

    def write(frame: pl.DataFrame) -> bytes:
        file = io.BytesIO()
        frame.write_parquet(file, compression=compression, row_group_size=rows_per_group)
        return file.getvalue()

    def count(content: bytes) -> int | None:
        try:
            return pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
        except Exception:  # noqa: BLE001 - whatever it says, it finds no rows
            return None

    return write, count, ".parquet"


def hurt(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    place, length = chance.randrange(len(data)), chance.randint(1, 40)
    match chance.choice(["flip", "flip", "cut", "drop", "zero", "repeat", "overwrite"]):
        case "flip":
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case "cut":
            del data[place:]
        case "drop":
            del data[place : place + length]
        case "zero":
            data[place : place + length] = bytes(len(data[place : place + length]))
        case "repeat":
            data[place:place] = data[place : place + length]
        case "overwrite":
            data[place : place + length] = chance.randbytes(len(data[place : place + length]))
    return bytes(data)
