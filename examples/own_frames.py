"""Own frames: pandas and Polars frames in, what was set aside told, three persons scored.

The model must have learnt from the tables that are there: one of all registers is refused here.

python examples/own_frames.py
python examples/own_frames.py --model models/hospital_only
"""

import argparse
import tomllib
from datetime import datetime
from pathlib import Path

import pandas as pd
import polars as pl

import somv_risk as sr

HOSPITAL_ONLY = Path(__file__).parent.parent / "models" / "hospital_only"

PERSONS = pd.DataFrame(
    {
        "person_id": ["ada", "bo", "cy", "dan"],
        "birth_date": pd.to_datetime(["1981-05-04", "1949-11-23", "1999-02-01", "1970-01-01"]),
        "sex": ["female", "male", "male", "man"],  # "man" is none of the values in docs/glossary.md
        "municipality": ["360", "376", "259", "316"],
    }
)

ADMISSIONS = pd.DataFrame(
    [
        ("ada", "1", "2025-03-01 22:10", "2025-03-02 15:00", "acute", "F100", "left_early"),
        ("ada", "2", "2025-03-04 01:30", "2025-03-05 11:00", "acute", "F100", "left_early"),
        (
            "ada",
            "2",
            "2025-03-04 01:30",
            "2025-03-05 11:00",
            "acute",
            "F100",
            "left_early",
        ),  # delivered twice
        ("ada", "3", "2025-10-11 19:45", "2025-10-13 09:00", "acute", "T510", "completed"),
        (
            "bo",
            "4",
            "2025-06-20 08:00",
            "2025-06-18 12:00",
            "planned",
            "I509",
            "completed",
        ),  # ends before start
        ("bo", "5", "2025-09-02 08:00", "2025-09-05 12:00", "planned", "I509", "completed"),
        ("eve", "6", "2025-09-02 08:00", "2025-09-05 12:00", "acute", "J440", "completed"),  # no such person
    ],
    columns=["person_id", "contact_id", "started_at", "ended_at", "admission_type", "diagnosis", "discharge"],
).assign(sector="somatic")

SUBSTANCE_ABUSE = pl.DataFrame(
    {
        "person_id": ["ada"],
        "episode_id": ["t1"],
        "started_at": [datetime(2025, 3, 20, 9, 30)],
        "ended_at": [datetime(2025, 4, 30, 9, 30)],
        "substance": ["alcohol"],
        "end_reason": ["dropped_out"],
    }
)


def read_frames() -> sr.Histories:
    """The tables that are here; the others are absent, which is not the same as empty."""
    return sr.from_frames(
        persons=PERSONS,
        admissions=ADMISSIONS,
        substance_abuse=SUBSTANCE_ABUSE,
        data_end=datetime(2026, 1, 1),
    )


def choose_model(histories: sr.Histories, persons: int | None, config: Path | None) -> sr.RiskModel:
    """The shipped model of a hospital's own tables, or one trained for the tables at hand."""
    if persons is None and (HOSPITAL_ONLY / "model.json").exists():
        return sr.load_model(HOSPITAL_ONLY)
    region = sr.simulate(persons=persons or 20_000)
    plan = tomllib.loads(config.read_text(encoding="utf-8")) if config else {}
    one_target = {"targets": {"frequent_admission": {}}}
    return sr.train(region, config=plan | one_target, tables=list(histories.tables))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model; without it one is taken or trained")
    parser.add_argument("--persons", type=int, help="made-up persons to train on, on the tables at hand")
    parser.add_argument("--config", type=Path, help="how to train (TOML), such as configs/default.toml")
    asked = parser.parse_args()

    histories = read_frames()
    print(f"Set aside ({histories.quarantine.count()} rows):")
    print(histories.quarantine)
    print(histories.quarantine["admissions"].select("row", "rule", "contact_id"))
    print(f"Absent tables: {', '.join(histories.absent)}")

    model = asked.model or choose_model(histories, asked.persons, asked.config)
    scores = sr.score(model, histories, index_time="2026-01-01", language="en", explain="all")
    for person in scores.iter_rows(named=True):
        print(f"{person['person_id']}: {person['risk']:.1%}, {person['known_or_new']}")
        print(f"    {person['reasons'][0]['text']}")
    print("\n".join(scores["warnings"][0]))


if __name__ == "__main__":
    main()
