"""Own features: counted, proved to see nothing to come, trained on, and told with a score.

python examples/own_features.py
python examples/own_features.py --own my_features.toml --language da
"""

import argparse
import tomllib
from pathlib import Path

import polars as pl

import somv_risk as sr
from somv_risk.features import Definition, list_features
from somv_risk.languages import LANGUAGES
from somv_risk.testing import assert_no_future_leakage

OWN = Path(__file__).parent / "own_features.toml"
INDEX_TIME = "2026-01-01"

# What a TOML file can say, Python can too.
LONGEST_IN_SHELTER = Definition(
    id="longest_time_in_shelter",
    theme="housing_and_services",
    title={"da": "længste ophold på herberg", "en": "longest stay in a shelter"},
    unit="days",
    measure="longest_inside",
    events="service_spells",
    where=["shelter"],
    windows=[365],
    monotone=1,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--own", type=Path, default=OWN, help="features of your own (TOML)")
    parser.add_argument("--persons", type=int, default=20_000, help="made-up persons to train on")
    parser.add_argument("--config", type=Path, help="how to train (TOML), such as configs/default.toml")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--out", type=Path, default=Path("own_model"), help="folder for the model")
    asked = parser.parse_args()

    definitions = [*sr.read_definitions(asked.own), LONGEST_IN_SHELTER]
    features = list_features(definitions)
    region = sr.simulate(persons=asked.persons)

    cohort = sr.make_cohort(region, [INDEX_TIME])
    counted = sr.build_features(region, cohort, features).collect()
    print(f"Of {counted.height} persons, so many have more than none:")
    for feature in features:
        print(f"  {feature.name}: {counted.filter(pl.col(feature.name).cast(pl.Float64) > 0).height}")

    few = region.keep_persons(cohort.rows.head(1_000))
    assert_no_future_leakage(few, INDEX_TIME, features=features)
    print("None of them changes when what was not yet known is changed.")

    plan = tomllib.loads(asked.config.read_text(encoding="utf-8")) if asked.config else {}
    config = plan | {"targets": {"frequent_admission": {}}, "features": {"own": definitions}}
    sr.train(region, config).save(asked.out)

    # The folder is all that is needed: the model carries the definitions.
    model = sr.load_model(asked.out)
    scores = sr.score(model, region, index_time=INDEX_TIME, language=asked.language, explain="none")
    first = scores["person_id"][0]
    why = sr.explain_person(model, region, first, INDEX_TIME, language=asked.language)
    own = why.contributions.filter(pl.col("feature").is_in([feature.name for feature in features]))
    print(f"{first}, a made-up citizen: {why.risk:.0%}. What the own features add, in log-odds:")
    for row in own.iter_rows(named=True):
        print(f"  {row['contribution']:+.3f}  {row['feature']}")


if __name__ == "__main__":
    main()
