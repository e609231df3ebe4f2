"""First scores: make up a region, train on it, score everybody, print the first of the worklist.

python examples/first_scores.py --language en
python examples/first_scores.py --persons 100000 --out first/   # also keeps the model and the worklist
"""

import argparse
import tomllib
from pathlib import Path

import polars as pl

import somv_risk as sr
from somv_risk.languages import LANGUAGES
from somv_risk.scoring.worklist import build_worklist

# Leaving hospital early is rare: the default configuration predicts it too, and needs more made-up persons.
ONE_TARGET = {"targets": {"frequent_admission": {"min_count": 3, "horizon_days": 365}}}


def print_person(person: dict) -> None:
    print(f"{person['rank']:>3}. {person['person_id']}: {person['risk']:.0%}, {person['known_or_new']}")
    for reason in person["reasons"]:
        print(f"       {reason['text']}")


def print_metrics(model: sr.RiskModel) -> None:
    """Print how the model did beside its references, on persons and a year that trained none of them."""
    metrics = pl.DataFrame(model.facts["metrics"])
    shown = metrics.filter(pl.col("metric").is_in(["events", "auroc", "average_precision"]))
    print(shown.pivot(on="metric", index="ranking", values="value"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--capacity", type=int, default=20, help="how many persons a team can take on")
    parser.add_argument("--language", choices=LANGUAGES, default="da")
    parser.add_argument("--config", type=Path, help="how to train (TOML), such as configs/default.toml")
    parser.add_argument("--out", type=Path, help="keep the model and the worklist in this folder")
    asked = parser.parse_args()

    region = sr.simulate(persons=asked.persons, seed=asked.seed)
    plan = tomllib.loads(asked.config.read_text(encoding="utf-8")) if asked.config else {}
    model = sr.train(region, config=plan | ONE_TARGET)
    print_metrics(model)

    scores = sr.score(
        model, region, index_time="2026-01-01", capacity=asked.capacity, language=asked.language
    )
    for person in scores.head(3).iter_rows(named=True):
        print_person(person)
    print(f"{scores.height:,} persons scored, {asked.capacity} on the worklist. All of them are made up.")

    if asked.out:
        model.save(asked.out / "model")
        build_worklist(scores).write_csv(asked.out / "worklist.csv")
        print(f"Kept in {asked.out}: model, worklist.csv")


if __name__ == "__main__":
    main()
