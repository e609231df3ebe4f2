"""Samples: the persons that are looked at one by one."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

SEED = 7
CITIZENS, SCORES = "citizens", "scores.parquet"


def draw_persons(scores: pl.DataFrame, count: int) -> list[str]:
    """Draw persons: half from the top of the list, where histories are long, half from the rest."""
    top = scores.filter("flagged")[s.PERSON_ID].head(count // 2).to_list()
    rest = scores.filter(~pl.col("flagged"))[s.PERSON_ID].sort().to_list()
    random = Random(SEED)  # noqa: S311 - a sample, not a secret
    return [*top, *random.sample(rest, count - len(top))]


def keep_person(histories: Histories, person_id: str) -> Histories:
    """Keep one person's rows, in memory."""
    own = histories.keep_persons(pl.LazyFrame({s.PERSON_ID: [person_id]}))
    tables = {name: frame.collect().lazy() for name, frame in own.tables.items()}
    return Histories(tables, data_end=histories.data_end)


def write_citizens(histories: Histories, scores: pl.DataFrame, folder: Path, count: int) -> None:
    """Write the region's scores, and a folder of tables for each person drawn."""
    scores.write_parquet(folder / SCORES)
    for number, person in enumerate(draw_persons(scores, count)):
        own = folder / CITIZENS / f"{number:03}"
        own.mkdir(parents=True)
        for name, frame in keep_person(histories, person).tables.items():
            frame.collect().write_parquet(own / f"{name}.parquet")


def read_citizens(folder: Path) -> Iterator[dict[str, pl.DataFrame]]:
    """Read the tables of each person drawn."""
    for own in sorted((folder / CITIZENS).iterdir()):
        yield {file.stem: pl.read_parquet(file) for file in own.glob("*.parquet")}
