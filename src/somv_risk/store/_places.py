"""Places: a person's bucket, the order of its rows, and the numbers that stand beside the ids."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from somv_risk.files.parquet import scan_parquet
from somv_risk.registers import schema as s
from somv_risk.registers.histories import CONTACT, NOBODY, PERSON
from somv_risk.registers.identity import hash_person
from somv_risk.store._files import BUCKET

NUMBERS: Final = (PERSON, CONTACT)
WITH_CONTACTS: Final = (s.ADMISSIONS, s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS)
_SALT: Final = "somv_risk.store"
_MORE_THAN_CONTACTS: Final = 2**32


def scan_rows(table: str, files: Sequence[Path]) -> pl.LazyFrame:
    """Scan files of a table; columns that it did not have yet when a file was written are null."""
    numbers = NUMBERS if table in WITH_CONTACTS else (PERSON,)
    columns = {**s.get_columns(table), **dict.fromkeys(numbers, pl.Int32())}
    return scan_parquet(files, schema=columns, missing_columns="insert")


def find_bucket(buckets: int) -> pl.Expr:
    """The bucket of each row's person; a row without a person has none."""
    return (hash_person(_SALT) % buckets).alias(BUCKET)


def find_homes(persons: pl.DataFrame, buckets: int, numbered: Counter[int]) -> pl.DataFrame:
    """Find each person's bucket, and give a number within it; `numbered` counts those given before."""
    before = pl.col(BUCKET).replace_strict(range(buckets), [numbered[n] for n in range(buckets)])
    number = (pl.int_range(pl.len()).over(BUCKET) + before).cast(pl.Int32).alias(PERSON)
    homes = persons.select(s.PERSON_ID, find_bucket(buckets)).with_columns(number)
    numbered.update(homes[BUCKET].to_list())
    return homes


def number_bucket(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Put the rows of one bucket in order, persons by id, and number persons and contacts."""
    ids = tables[s.PERSONS].select(s.PERSON_ID).sort(s.PERSON_ID).with_row_index(PERSON)
    numbers = ids.select(s.PERSON_ID, pl.col(PERSON).cast(pl.Int32))
    ordered = {
        table: order_rows(
            frame.join(numbers, on=s.PERSON_ID, how="left", maintain_order="left").with_columns(
                pl.col(PERSON).fill_null(NOBODY)
            ),
            table,
        )
        for table, frame in tables.items()
    }
    return number_contacts(ordered)


def order_rows(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    """Put rows in order of person and time."""
    return rows.sort(list_order(table), maintain_order=True)


def list_order(table: str) -> list[str]:
    """Columns by which the rows of a table lie in a file."""
    return [PERSON] if table == s.PERSONS else [PERSON, s.STARTED_AT, *s.TABLES[table].ties]


def number_contacts(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Number the contacts of each person from 0, alike in all tables that name one."""
    texts = pl.Categorical(pl.Categories.random())
    ids = {table: frame[s.CONTACT_ID].cast(texts) for table, frame in tables.items() if s.CONTACT_ID in frame}
    keys = {
        table: tables[table][PERSON].cast(pl.Int64).to_numpy() * _MORE_THAN_CONTACTS
        + text.to_physical().to_numpy()
        for table, text in ids.items()
    }
    contacts = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys.values()]))
    person = contacts // _MORE_THAN_CONTACTS
    number = (np.arange(len(contacts)) - np.searchsorted(person, person)).astype(np.int32)
    numbered = {
        table: tables[table].with_columns(pl.Series(CONTACT, number[np.searchsorted(contacts, found)]))
        for table, found in keys.items()
    }
    return {**tables, **numbered}
