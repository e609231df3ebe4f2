"""Malformed deliveries in OMOP form: persons, visits, conditions and observations, with damage in them."""

import random
from pathlib import Path

from malformed import CANARY, CODES, MOMENTS, Delivery, Row, count_rows, damage_bytes, draw_style, write_csv

VISITS = (
    "9201",
    "9203",
    "262",
    "9202",
    "8870",
    "0",
    "",
    "581385",
    "99999",
    f"{CANARY}",
    "38004207",
    "9201.0",
)


def draw_omop(seed: int, folder: Path) -> tuple[list[str], dict[str, int | None]]:
    """Write a delivery into a folder: what was done to it, and the rows of each file."""
    draw = random.Random(f"{seed} omop")
    tables = _draw_tables(draw)
    delivery = Delivery(seed, "csv", tables, {name: list(rows[0]) for name, rows in tables.items()})
    for _ in range(draw.choice([0, 1, 2, 3])):
        _damage(draw, delivery)
    style = draw_style(draw)
    delivery.damage.append(str(style))
    counts = {}
    for name, rows in tables.items():
        content = write_csv(style, rows, delivery.columns[name])
        if draw.random() < 0.15:
            content = damage_bytes(draw, delivery, content)
        file = folder / draw.choice([f"{name}.csv", f"{name}.csv", f"{name.upper()}.csv"])
        file.write_bytes(content)
        counts[name] = count_rows(file)
    return delivery.damage, counts


def _draw_tables(draw: random.Random) -> dict[str, list[Row]]:
    persons = [_draw_person(draw, number) for number in range(draw.randint(1, 5))]
    visits = [
        _draw_visit(draw, str(draw.randint(1, len(persons))), number) for number in range(draw.randint(1, 9))
    ]
    return {
        "person": persons,
        "visit_occurrence": visits,
        "condition_occurrence": [_draw_condition(draw, draw.choice(visits)) for _ in range(6)],
        "observation": [_draw_observation(draw, draw.choice(visits)) for _ in range(4)],
    }


def _draw_person(draw: random.Random, number: int) -> Row:
    return {
        "person_id": str(number + 1),
        "gender_concept_id": draw.choice(["8507", "8532", "0", "8507.0"]),
        "year_of_birth": str(draw.randint(1930, 2000)),
        "month_of_birth": draw.choice(["5", "", "5.0"]),
        "person_source_value": f"{CANARY}-{number}",
    }


def _draw_visit(draw: random.Random, person: str, number: int) -> Row:
    month, day = draw.randint(1, 12), draw.randint(10, 27)
    return {
        "visit_occurrence_id": str(number + 1),
        "person_id": person,
        "visit_concept_id": draw.choice(VISITS),
        "visit_start_date": f"2025-{month:02d}-{day}",
        "visit_end_date": f"2025-{month:02d}-{day + 1}",
        "visit_source_value": f"{CANARY}|{number}",
    }


def _draw_condition(draw: random.Random, visit: Row) -> Row:
    return {
        "condition_occurrence_id": str(draw.randint(1, 10**6)),
        "person_id": visit["person_id"],
        "visit_occurrence_id": visit["visit_occurrence_id"],
        "condition_start_date": visit["visit_start_date"],
        "condition_source_value": draw.choice(["F102", "E119", *CODES]),
        "condition_concept_id": draw.choice(["0", "201826", ""]),
    }


def _draw_observation(draw: random.Random, visit: Row) -> Row:
    return {
        "observation_id": str(draw.randint(1, 10**6)),
        "person_id": visit["person_id"],
        "visit_occurrence_id": visit["visit_occurrence_id"],
        "observation_date": visit["visit_start_date"],
        "observation_source_value": draw.choice(["Z590", "T401X1A", f"{CANARY} note", ""]),
        "observation_concept_id": "0",
    }


def _damage(draw: random.Random, delivery: Delivery) -> None:
    table = draw.choice(list(delivery.tables))
    column = draw.choice(delivery.columns[table])
    words = MOMENTS if column.endswith("_date") else ("", "NaN", f"{CANARY} tekst", "-5", "1e300", "9" * 40)
    for row in delivery.tables[table]:
        if draw.random() < 0.4:
            row[column] = draw.choice(words)
    delivery.damage.append(f"cells of {table}.{column}")
