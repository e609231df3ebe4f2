"""Quality of explanations: are those of a model exact, steady, and about what matters?

python examples/explanation_quality.py --persons 20000
"""

import argparse
import tomllib
from pathlib import Path

import polars as pl

import somv_risk as sr
from somv_risk.evaluation.explanations import MEASURES, measure_explanations

ONE_TARGET = {"targets": {"frequent_admission": {}}}


def read_plan(path: Path | None) -> dict:
    """A training configuration, or an empty one: then all is as by default."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=20_000, help="made-up persons to train on and explain")
    parser.add_argument("--explained", type=int, default=200, help="persons with the highest risks looked at")
    parser.add_argument("--models", type=int, default=3, help="models grown, each with its own seed")
    parser.add_argument("--config", type=Path, help="how to train (TOML), such as configs/default.toml")
    asked = parser.parse_args()

    region = sr.simulate(persons=asked.persons, seed=7)
    config = read_plan(asked.config) | ONE_TARGET
    model, *others = (sr.train(region, config=config | {"seed": 7 + n}) for n in range(asked.models))
    table = measure_explanations(model, region, region.data_end, persons=asked.explained, others=others)

    with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_formatting="MARKDOWN"):
        print(table.select("measure", pl.col("value", "low", "high").round_sig_figs(2)))
    for row in table.iter_rows(named=True):
        print(f"{row['measure']}: {MEASURES[row['measure']]}. {row['note']}")


if __name__ == "__main__":
    main()
