"""The model: plain text that comes back bit for bit, trained the same way twice, and measured honestly."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import somv_risk as sr
from somv_risk.calls.libraries import list_libraries
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, count_past_events
from somv_risk.errors import CohortError, ConfigError, ModelError, SomvRiskError
from somv_risk.features import load_catalogue
from somv_risk.metrics.metrics import compute_expected_ratio, compute_metrics, count_found
from somv_risk.model import logistic_baseline as references
from somv_risk.model.calibration import Calibration
from somv_risk.model.calibration_curves import FITS, Platt
from somv_risk.model.logistic_baseline import fit_logistic, read_logistic
from somv_risk.model.matrix import FEW_ROWS, Encoding, build_matrices, learn_encoding
from somv_risk.model.model import Head, compute_hash
from somv_risk.registers.histories import Histories
from somv_risk.store import scan_store, write_store
from somv_risk.training import rows as samples
from somv_risk.training import steps
from somv_risk.training.steps import hash_tables
from somv_risk.trees.contributions import compute_contributions

BY_NAME = {feature.name: feature for feature in load_catalogue()}


@pytest.fixture(scope="session")
def model(region, plan) -> sr.RiskModel:
    """Trained here and never saved: models that were saved and loaded are compared with it."""
    return sr.train(region, plan)


@pytest.fixture(scope="module")
def people(model, region) -> pl.DataFrame:
    """The features of some of the region's persons, the heaviest users of hospitals among them."""
    cohort = sr.make_cohort(region, [region.data_end])
    frame = sr.build_features(region, cohort, model.features).collect()
    return frame.sort("acute_admissions_365d", "person_id", descending=[True, False]).head(600)


@pytest.fixture(scope="module")
def matrix(model, people):
    return model.encoding.to_matrix(people)


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


# --- Saved and loaded


def test_a_loaded_model_gives_the_same_bits(model, folder, matrix):
    loaded = sr.load_model(folder)
    assert list(loaded.heads) == list(model.heads) == ["frequent_admission", "unfinished_treatment"]
    for name, head in model.heads.items():
        again = loaded.heads[name]
        risk = head.predict_risk(matrix)
        assert risk.std() > 0
        assert np.array_equal(again.predict_raw(matrix), head.predict_raw(matrix))
        assert np.array_equal(again.predict_risk(matrix), risk)
        assert np.array_equal(again.rank_percentile(risk), head.rank_percentile(risk))
        assert np.array_equal(
            compute_contributions(again.booster, matrix), compute_contributions(head.booster, matrix)
        )
        assert np.array_equal(
            again.logistic.predict_raw(loaded.encoding, matrix),
            head.logistic.predict_raw(model.encoding, matrix),
        )


def test_a_loaded_model_says_the_same(model, folder):
    loaded = sr.load_model(folder)
    assert loaded == model
    assert json.dumps(dict(loaded.facts)) == json.dumps(dict(model.facts))


def test_a_loaded_model_scores_the_same(model, folder, region):
    options = {"index_time": region.data_end, "person_ids": ["P0000001", "P0000003"], "explain": "all"}
    assert sr.score(folder, region, **options).equals(sr.score(model, region, **options))


def test_saving_twice_writes_the_same_files(folder, tmp_path):
    sr.load_model(folder).save(tmp_path / "again")
    written = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert written
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()} == written


def test_a_model_is_text_and_json_and_nothing_else(folder):
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    trees = {find_trees(folder, target).name for target in ("frequent_admission", "unfinished_treatment")}
    assert set(files) == {"CARD.md", "model.json", *trees}
    assert all(files[name].startswith("tree\n") for name in trees)
    assert files["CARD.md"].startswith("# Model card")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    said = json.loads(files["model.json"], parse_constant=refuse)
    assert {"features", "categories", "lags", "eligibility", "heads", "facts", "hash"} <= set(said)


def test_the_facts_tell_how_the_calibration_was_chosen(model):
    assert len(model.heads) == 2
    for name, head in model.heads.items():
        told = model.facts["calibration"][name]
        assert told == {"kind": head.calibration.kind, "losses": dict(head.calibration.losses)}
        assert list(told["losses"]) == ["platt", "beta", "isotonic"]
        assert f"Calibration: {told['kind']}" in model.facts["card"]
        assert f"platt {told['losses']['platt']:.5f}" in model.facts["card"]


def test_the_card_tells_what_the_facts_hold(model, folder):
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert card == model.facts["card"]
    for part in ("frequent_admission", "unfinished_treatment", "penalised logistic", "count last year"):
        assert part in card


# --- Refused


def find_trees(folder, target):
    """The file of a target's trees, as the description names it."""
    return folder / json.loads((folder / "model.json").read_text())["files"][target]


def rewrite(folder, change):
    """Change what a model says, and keep its hash as it should be for what it then says."""
    data = json.loads((folder / "model.json").read_text())
    change(data)
    trees = {name: find_trees(folder, name).read_text() for name in data["heads"]}
    data["hash"] = compute_hash(data, trees)
    (folder / "model.json").write_text(json.dumps(data))


def test_altered_trees_are_refused(folder):
    file = find_trees(folder, "unfinished_treatment")
    text = file.read_text()
    place = text.index("leaf_value=") + len("leaf_value=") + 4
    file.write_text(text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :])
    with pytest.raises(ModelError, match="was altered"):
        sr.load_model(folder)


def test_swapped_trees_are_refused(folder):
    one, other = (find_trees(folder, name) for name in ("unfinished_treatment", "frequent_admission"))
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1])
    other.write_text(texts[0])
    with pytest.raises(ModelError, match="was altered"):
        sr.load_model(folder)


ALTERED = {
    "threshold": lambda data: data["heads"]["frequent_admission"].update(threshold=0.5),
    "curve": lambda data: data["heads"]["frequent_admission"]["calibration"].update(
        kind="platt", curve={"intercept": 0.0, "slope": 2.0}
    ),
    "percentiles": lambda data: data["heads"]["unfinished_treatment"]["reference_risks"].reverse(),
    "category": lambda data: data["categories"]["sex"].reverse(),
    "window": lambda data: data["features"][0].update(days=90),
    "feature order": lambda data: data["features"].reverse(),
    "lag": lambda data: data["lags"].update(admissions=1.0),
    "age": lambda data: data["eligibility"].update(minimum_age_years=0),
    "metrics": lambda data: data["facts"]["metrics"].clear(),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_description_is_refused(folder, what):
    data = json.loads((folder / "model.json").read_text())
    ALTERED[what](data)
    (folder / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="was altered"):
        sr.load_model(folder)


def swap_first_features(data):
    data["features"][:2] = data["features"][1::-1]


@pytest.mark.parametrize("change", [swap_first_features, lambda data: data["features"].pop()])
def test_trees_grown_on_other_features_are_refused_whatever_the_hash(folder, change):
    rewrite(folder, change)
    with pytest.raises(ModelError, match="were grown on other features"):
        sr.load_model(folder)


def test_a_description_that_fits_is_not_refused(model, folder):
    rewrite(folder, lambda data: data["facts"].update(remark="read by hand"))
    assert sr.load_model(folder).heads == model.heads


def test_a_model_of_another_version_is_refused(folder):
    rewrite(folder, lambda data: data.update(model_version=1))
    with pytest.raises(ModelError, match="has version 1; this library reads 2"):
        sr.load_model(folder)


@pytest.mark.parametrize("which", ["description", "trees"])
def test_a_missing_file_is_refused(folder, which):
    file = folder / "model.json" if which == "description" else find_trees(folder, "unfinished_treatment")
    file.unlink()
    with pytest.raises(ModelError, match=f"{file.name} is missing"):
        sr.load_model(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is missing"):
        sr.load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"no json", b"\xff\xfe"])
def test_what_is_no_json_is_refused(folder, content):
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ModelError):
        sr.load_model(folder)


@pytest.mark.parametrize("key", ["features", "categories", "lags", "eligibility", "facts", "model_version"])
def test_a_description_that_lacks_a_part_is_refused(folder, key):
    data = json.loads((folder / "model.json").read_text())
    del data[key]
    (folder / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError):
        sr.load_model(folder)


@pytest.mark.parametrize("content", ["[]", '{"model_version": 2}', '{"model_version": 2, "heads": {}}'])
def test_a_description_without_heads_or_hash_is_refused(folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(ModelError):
        sr.load_model(folder)


def test_a_place_that_cannot_hold_a_model_is_refused(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be saved"):
        model.save(tmp_path / "file")


# --- The matrix


def test_missing_features_are_refused_by_name(model, people):
    with pytest.raises(ModelError, match=r"age.*are missing"):
        model.encoding.to_matrix(people.drop("age"))


def test_columns_are_taken_by_name_and_not_by_place(model, people, matrix):
    turned = people.select(reversed(people.columns))
    assert np.array_equal(model.encoding.to_matrix(turned), matrix, equal_nan=True)


@pytest.mark.parametrize("rows", [1, 7, FEW_ROWS, FEW_ROWS + 1])
def test_few_rows_are_converted_to_the_numbers_of_many(rows, model, people, matrix):
    assert len(people) > 2 * FEW_ROWS
    odd = pl.Series("bed_days_365d", [1e300, -1e-300, 0.1, float("inf")] * 150)
    whole = people.with_columns(odd, municipality=pl.lit("nowhere"))
    for frame, expected in ((people, matrix), (whole, model.encoding.to_matrix(whole))):
        assert model.encoding.to_matrix(frame.head(rows)).tobytes() == expected[:rows].tobytes()


@pytest.mark.parametrize("copies", [1, FEW_ROWS])
def test_the_matrix_holds_what_the_features_say(copies):
    features = tuple(BY_NAME[name] for name in ("age", "municipality", "has_support", "bed_days_365d"))
    encoding = Encoding(features, {"municipality": ("101", "360")})
    frame = pl.DataFrame(
        {
            "age": [44, 30, None],
            "municipality": ["360", "999", None],
            "has_support": [True, False, None],
            "bed_days_365d": [0.1, 2.0, None],
        }
    )
    matrix = encoding.to_matrix(pl.concat([frame] * copies))
    expected = [[44, 1, 1, np.float32(0.1)], [30, np.nan, 0, 2], [np.nan] * 4]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected * copies, dtype=np.float32))


def test_a_category_not_seen_in_training_is_scored_as_unknown(model, people):
    unseen = people.with_columns(municipality=pl.lit("nowhere"))
    unknown = people.with_columns(municipality=pl.lit(None, pl.String))
    unseen, unknown = (model.main.predict_risk(model.encoding.to_matrix(f)) for f in (unseen, unknown))
    assert np.array_equal(unseen, unknown)


def test_categories_are_those_that_occur_in_training():
    frames = [pl.DataFrame({"sex": ["male", None]}), pl.DataFrame({"sex": ["female", "male"]})]
    assert learn_encoding([BY_NAME["sex"]], frames).categories == {"sex": ("female", "male")}


# --- Risk


def test_risks_are_probabilities(model, matrix):
    assert len(model.heads) == 2
    for head in model.heads.values():
        risk = head.predict_risk(matrix)
        assert ((risk > 0) & (risk < 1)).all()


def test_a_higher_raw_score_never_has_a_lower_risk_or_percentile(model, matrix):
    assert len(model.heads) == 2
    for head in model.heads.values():
        order = np.argsort(head.predict_raw(matrix))
        risk = head.predict_risk(matrix)[order]
        assert (np.diff(risk) >= 0).all()
        assert (np.diff(head.rank_percentile(risk)) >= 0).all()


@pytest.mark.parametrize("name", [f.name for f in load_catalogue() if f.definition.monotone])
def test_features_with_a_direction_beyond_dispute_keep_it(model, matrix, name):
    place = model.encoding.names.index(name)
    values = np.unique(np.append(matrix[:, place], [0, 1, 2, 3, 5, 10, 30, 100, 365]))
    raised = matrix[:100].copy()
    raws = []
    for value in values[~np.isnan(values)]:
        raised[:, place] = value
        raws.append([head.predict_raw(raised) for head in model.heads.values()])
    assert len(raws) >= 9
    assert (BY_NAME[name].definition.monotone * np.diff(raws, axis=0) >= 0).all()


def test_more_acute_admissions_do_raise_the_risk_of_somebody(model, matrix):
    acute = [n for n, f in enumerate(model.features) if f.definition.id == "acute_admissions"]
    raised = matrix[:100].copy()
    raised[:, acute] += 10
    assert (model.main.predict_raw(raised) > model.main.predict_raw(matrix[:100])).any()


def rank(risk, reference_risks):
    """Percentiles of some risks by a head that knows nothing but its reference."""
    head = Head(FREQUENT_ADMISSION, "", Calibration(Platt(0.0, 1.0)), None, tuple(reference_risks), 0.5, None)
    return head.rank_percentile(np.array(risk, dtype=float)).tolist()


def test_a_percentile_is_the_share_of_the_reference_with_a_lower_risk():
    # 501 of the 1001 quantiles are 0.1 and 500 are 0.9: half of the reference has 0.1, half 0.9.
    reference = [0.1] * 501 + [0.9] * 500
    assert rank([0.05, 0.1, 0.5, 0.9, 0.95], reference) == pytest.approx([0, 0, 50.1, 50.1, 100])


def test_percentiles_go_in_steps_of_a_tenth_from_0_to_100():
    risk = [-1, 0, 0.0005, 0.25, 0.9995, 1, 2]
    assert rank(risk, np.arange(1001) / 1000) == pytest.approx([0, 0, 0.1, 25, 100, 100, 100])


@given(st.lists(st.integers(0, 30), min_size=2, max_size=20), st.integers(0, 30))
def test_a_percentile_is_right_to_a_tenth_of_a_percent_whoever_the_reference_is(drawn, asked):
    reference = np.array(drawn * 2000) / 30
    (percentile,) = rank([asked / 30], np.quantile(reference, np.linspace(0, 1, 1001)))
    assert percentile == pytest.approx(100 * (reference < asked / 30).mean(), abs=0.13)


def test_the_default_threshold_flags_its_share_of_the_reference(model):
    reference = np.array(model.main.reference_risks)
    assert (reference >= model.main.threshold).mean() == pytest.approx(0.01, abs=0.003)


# --- Training


@pytest.fixture(scope="module")
def second(region, plan):
    """The model trained once more, on the same rows in another order, and the rows each role was given."""
    shuffled = {
        name: frame.collect().sample(fraction=1, shuffle=True, seed=1).lazy()
        for name, frame in region.tables.items()
    }
    given = []

    def watch(histories, rows, *rest, **options):
        given.append(rows)
        return build_matrices(histories, rows, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "build_matrices", watch)
        trained = sr.train(Histories(shuffled, data_end=region.data_end), plan)
    return trained, pl.concat(given)


def test_training_again_on_the_rows_in_another_order_gives_the_same_model(model, second):
    assert second[0] == model
    assert second[0].facts["data_hash"] == model.facts["data_hash"]


def test_each_table_has_a_hash_that_a_changed_row_changes_and_an_order_does_not(region):
    def shift(frame):
        is_first = pl.int_range(pl.len()) == 0
        moved = pl.when(is_first).then("started_at").otherwise("ended_at")
        return frame.with_columns(moved.alias("ended_at"))

    tables = {name: table.collect() for name, table in region.tables.items()}
    shuffled = {name: table.reverse().lazy() for name, table in tables.items()}
    moved = tables | {"admissions": tables["admissions"].pipe(shift)}
    assert moved["admissions"]["ended_at"].ne_missing(tables["admissions"]["ended_at"]).sum() == 1
    plain, reversed_, other = (
        hash_tables(Histories(given, data_end=region.data_end))
        for given in (region.tables, shuffled, {name: table.lazy() for name, table in moved.items()})
    )
    assert plain == reversed_
    assert {name for name in plain if plain[name] != other[name]} == {"admissions"}


def test_training_from_a_store_of_several_buckets_gives_the_same_trees(region, plan, tmp_path):
    write_store(region, tmp_path / "store", buckets=3)
    stored, held = (sr.train(h, lighten(plan)) for h in (scan_store(tmp_path / "store"), region))
    assert stored.encoding == held.encoding
    assert stored.heads == held.heads


def test_training_asks_for_a_frame_of_the_categories_only(region, plan, monkeypatch):
    asked = []

    def watch(histories, rows, features, **options):
        asked.extend(features)
        return sr.build_features(histories, rows, features, **options)

    monkeypatch.setattr(samples, "build_features", watch)
    sr.train(region, lighten(plan))
    assert asked
    assert all(feature.is_category for feature in asked)


def test_a_model_can_be_trained_without_categories(region, plan):
    config = lighten(plan) | {"features": {"exclude": ["sex", "municipality"]}}
    assert sr.train(region, config).encoding.category_columns == []


def test_other_rows_have_another_fingerprint(region):
    one_less = {**region.tables, "substance_abuse": region.substance_abuse.slice(1)}
    assert steps.fingerprint(Histories(one_less)) != steps.fingerprint(region)


def test_nobody_is_both_learnt_from_and_tested_on(second):
    rows = second[1]
    roles = rows.group_by("person_id").agg(pl.col("role").n_unique())
    assert roles["role"].max() == 1
    assert set(rows["role"]) == {"fit", "stop", "calibrate", "test"}


def test_each_part_uses_its_own_persons_at_its_own_moments(second, plan):
    part_of = {"fit": "train", "stop": "calibrate", "calibrate": "calibrate", "test": "test"}
    for role, part in part_of.items():
        moments = set(second[1].filter(pl.col("role") == role)["index_time"])
        assert moments == {datetime.fromisoformat(moment) for moment in plan["times"][part]}


def test_a_horizon_lies_between_the_parts_as_the_facts_record_them(model):
    times = {
        part: [datetime.fromisoformat(moment) for moment in moments]
        for part, moments in model.facts["index_times"].items()
    }
    horizon = max(head.target.horizon.length for head in model.heads.values())
    assert horizon == timedelta(days=365)
    assert max(times["train"]) + horizon <= min(times["calibrate"])
    assert max(times["calibrate"]) + horizon <= min(times["test"])
    assert max(times["test"]) + horizon <= datetime.fromisoformat(model.facts["data_end"])


def test_the_facts_measure_the_model_beside_both_references(model):
    measured = {
        (row["target"], row["ranking"], row["metric"]): row["value"] for row in model.facts["metrics"]
    }
    for target in ("frequent_admission", "unfinished_treatment"):
        for ranking in ("model", "penalised_logistic", "count_last_year"):
            assert 0.5 < measured[target, ranking, "auroc"] <= 1
            assert 0 < measured[target, ranking, "average_precision"] <= 1
            assert 0 <= measured[target, ranking, "precision_top_1.0%"] <= 1
        assert measured[target, "model", "expected_over_observed"] > 0


@pytest.mark.parametrize("target", ["frequent_admission", "unfinished_treatment"])
def test_calibration_and_percentiles_come_from_the_later_persons(model, second, region, target):
    head = model.heads[target]
    rows = second[1].filter(pl.col("role") == "calibrate").select("person_id", "index_time")
    outcome = sr.label_outcomes(region, rows, head.target).collect()["outcome"]
    features = sr.build_features(region, rows, model.features).collect().filter(outcome.is_not_null())
    raw = head.predict_raw(model.encoding.to_matrix(features))
    risk = head.predict_risk(model.encoding.to_matrix(features))
    expected = FITS[head.calibration.kind](raw, outcome.drop_nulls().to_numpy()).predict_risk(raw)
    np.testing.assert_allclose(risk, expected, rtol=1e-3)
    assert head.reference_risks[0] == risk.min()
    assert head.reference_risks[500] == pytest.approx(np.median(risk))
    assert head.reference_risks[-1] == risk.max()
    assert head.threshold == pytest.approx(np.quantile(risk, 0.99))


def test_the_facts_metrics_are_those_of_the_test_persons_a_horizon_before_the_data_end(model, second, region):
    rows = second[1].filter(pl.col("role") == "test").select("person_id", "index_time")
    outcome = sr.label_outcomes(region, rows, model.main.target).collect()["outcome"]
    features = sr.build_features(region, rows, model.features).collect().filter(outcome.is_not_null())
    outcome = outcome.drop_nulls().to_numpy()
    measured = {
        (row["ranking"], row["metric"]): row["value"]
        for row in model.facts["metrics"]
        if row["target"] == "frequent_admission"
    }
    raw = model.main.predict_raw(model.encoding.to_matrix(features))
    assert measured["model", "events"] == outcome.sum()
    assert measured["model", "auroc"] == pytest.approx(roc_auc_score(outcome, raw), abs=1e-12)
    last_year = features["acute_admissions_365d"]
    assert measured["count_last_year", "auroc"] == pytest.approx(roc_auc_score(outcome, last_year), abs=1e-12)


def test_the_facts_count_what_went_in(model, region):
    assert model.facts["rows"]["persons"] == 20_000
    assert list(model.tables) == list(region.tables)
    assert model.facts["libraries"] == list_libraries()
    assert {"python", "polars", "lightgbm", "scikit-learn", "numpy", "somv-risk"} <= set(list_libraries())
    for step in model.facts["attrition"]:
        assert step["rows_before"] >= step["rows_after"]


def test_too_few_events_are_an_error_that_names_the_target_and_how_many_there_are():
    few = sr.simulate(persons=300, seed=1)
    message = r"Target frequent_admission has too few persons with the outcome: \d in everybody .* needed 25"
    with pytest.raises(CohortError, match=message):
        sr.train(few)


def test_histories_without_contacts_cannot_be_learnt_from():
    persons = pl.LazyFrame({"person_id": ["a"], "birth_date": ["1980-05-01"], "sex": ["male"]})
    admissions = sr.simulate(persons=10, seed=1).admissions.head(0)
    with pytest.raises(CohortError, match="no hospital contacts"):
        sr.train(sr.from_frames(persons=persons, admissions=admissions))


def lighten(plan, **trees):
    """A plan of one target, one moment per part and two trees, where only the rest of it matters."""
    times = {part: moments[-1:] for part, moments in plan["times"].items()}
    trees = plan["trees"] | {"rounds": 2} | trees
    return plan | {"targets": {"frequent_admission": {}}, "times": times, "trees": trees}


def test_a_model_can_be_trained_without_the_feature_the_count_reference_uses(region, plan):
    config = lighten(plan) | {"features": {"exclude": ["acute_admissions"]}}
    assert "acute_admissions_365d" not in sr.train(region, config).encoding.names


def test_a_tree_parameter_that_lightgbm_refuses_is_a_configuration_error(region, plan):
    config = lighten(plan, parameters={"num_leaves": -5, "verbosity": -1})
    with pytest.raises(ConfigError, match="num_leaves"):
        sr.train(region, config)


# --- References


def test_the_penalised_logistic_reference_is_scikit_learns():
    names = [
        "acute_admissions_365d",
        "sex",
        "bed_days_365d",
        "days_since_discharge_730d",
        "shelter_nights_90d",
    ]
    encoding = Encoding(tuple(BY_NAME[name] for name in names), {"sex": ("female", "male")})
    rng = np.random.default_rng(3)
    matrix = rng.gamma(1.0, 4.0, (800, 5)).astype(np.float32)
    matrix[:, 1] = rng.integers(0, 2, 800)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    matrix[:, 4] = np.nan
    outcome = np.nan_to_num(matrix[:, 0], nan=2) + rng.normal(0, 3, 800) > 5
    places = np.flatnonzero(rng.random(800) < 0.9)
    fitted = fit_logistic(encoding, matrix, places, outcome[places])
    assert fitted.names == ("acute_admissions_365d", "bed_days_365d", "days_since_discharge_730d")
    theirs = make_pipeline(
        FunctionTransformer(np.log1p),
        StandardScaler(),
        SimpleImputer(strategy="constant", fill_value=0.0),
        LogisticRegression(C=0.01, max_iter=200),
    )
    numbers = matrix[:, [0, 2, 3]].astype(np.float64)
    theirs.fit(numbers[places], outcome[places])
    expected = theirs.decision_function(numbers)
    assert expected.std() > 0.1
    np.testing.assert_allclose(fitted.predict_raw(encoding, matrix), expected, rtol=0, atol=1e-6)


def make_numbers(rows=600, *, constants):
    """Three columns of numbers that foretell, and then constants."""
    rng = np.random.default_rng(5)
    varied = rng.gamma(1.0, 4.0, (rows, 3))
    fixed = np.tile(np.array(constants), (rows, 1))
    matrix = np.hstack([varied, fixed]).astype(np.float32)
    return matrix, varied[:, 0] + rng.normal(0, 3, rows) > 6


FOUR_COUNTS = [f"acute_admissions_{days}d" for days in (30, 90, 180, 365)]


@pytest.mark.parametrize("constant", [0.1, 0.7, 1.0, 1e-3, 12.0, 12345.678, 0.0])
@pytest.mark.parametrize("rows", [600, 997])
def test_a_constant_column_has_scale_1_and_no_say_whatever_comes_later(constant, rows):
    matrix, outcome = make_numbers(rows, constants=[constant])
    encoding = Encoding(tuple(BY_NAME[name] for name in FOUR_COUNTS), {})
    fitted = fit_logistic(encoding, matrix, np.arange(rows), outcome)
    theirs = StandardScaler().fit(np.log1p(matrix.astype(np.float64)))
    np.testing.assert_allclose(fitted.scale, theirs.scale_, rtol=1e-9)
    assert fitted.scale[-1] == 1.0
    changed = matrix.copy()
    changed[:, -1] = constant + 1
    np.testing.assert_allclose(
        fitted.predict_raw(encoding, changed), fitted.predict_raw(encoding, matrix), rtol=0, atol=1e-9
    )


def test_a_value_far_from_all_others_counts_as_ten_spreads():
    matrix, outcome = make_numbers(constants=[1.0])
    matrix[0, 3] = 2.0  # the only one that differs: 24 spreads from the mean
    encoding = Encoding(tuple(BY_NAME[name] for name in FOUR_COUNTS), {})
    fitted = fit_logistic(encoding, matrix, np.arange(600), outcome)
    scaler = StandardScaler()
    standard = np.clip(scaler.fit_transform(np.log1p(matrix.astype(np.float64))), -10, 10)
    assert standard[0, 3] == 10
    theirs = LogisticRegression(C=0.01, max_iter=200).fit(standard, outcome)
    np.testing.assert_allclose(
        fitted.predict_raw(encoding, matrix), theirs.decision_function(standard), rtol=0, atol=1e-6
    )
    far = matrix.copy()
    far[:, 3] = 1e30
    placed = np.clip(scaler.transform(np.log1p(far.astype(np.float64))), -10, 10)
    np.testing.assert_allclose(
        fitted.predict_raw(encoding, far), theirs.decision_function(placed), rtol=0, atol=1e-6
    )


def test_the_reference_holds_on_later_persons_who_have_a_value_that_nobody_had():
    """As in a yearly survey: a fee that was the same for everybody at first, and then was raised."""
    matrix, outcome = make_numbers(2_000, constants=[0.1])
    matrix[1_000:, 3] = 95.0
    encoding = Encoding(tuple(BY_NAME[name] for name in FOUR_COUNTS), {})
    fitted = fit_logistic(encoding, matrix, np.arange(1_000), outcome[:1_000])
    later = fitted.predict_raw(encoding, matrix[1_000:])
    theirs = make_pipeline(
        FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression(C=0.01, max_iter=200)
    )
    numbers = matrix[:, :3].astype(np.float64)
    theirs.fit(numbers[:1_000], outcome[:1_000])
    expected = roc_auc_score(outcome[1_000:], theirs.decision_function(numbers[1_000:]))
    assert expected > 0.8
    assert roc_auc_score(outcome[1_000:], later) == pytest.approx(expected, abs=1e-9)


def test_numbers_too_large_for_the_matrix_count_as_missing():
    matrix, outcome = make_numbers(constants=[1.0])
    matrix[:5, 3] = np.inf
    encoding = Encoding(tuple(BY_NAME[name] for name in FOUR_COUNTS), {})
    fitted = fit_logistic(encoding, matrix, np.arange(600), outcome)
    assert np.isfinite(fitted.predict_raw(encoding, matrix)).all()
    assert np.isfinite([*fitted.mean, *fitted.scale]).all()


def test_a_reference_that_did_not_settle_says_so_and_comes_back_so(monkeypatch):
    matrix, outcome = make_numbers(constants=[1.0])
    encoding = Encoding(tuple(BY_NAME[name] for name in FOUR_COUNTS), {})
    settled = fit_logistic(encoding, matrix, np.arange(600), outcome)
    assert settled.note is None
    assert "has_converged" not in settled.describe()
    monkeypatch.setattr(references, "ROUNDS", 1)
    fitted = fit_logistic(encoding, matrix, np.arange(600), outcome)
    assert "did not settle" in fitted.note
    assert read_logistic(fitted.describe()) == fitted
    assert read_logistic(settled.describe()) == settled


def test_every_number_about_a_reference_that_did_not_settle_is_flagged(model, region, plan):
    diverged = replace(model.main, logistic=replace(model.main.logistic, has_converged=False))
    doubtful = replace(model, heads={**model.heads, "frequent_admission": diverged})
    options = {"index_times": plan["times"]["test"], "persons": "all", "draws": 2}
    notes = {
        name: table.filter(pl.col("ranking") == "penalised_logistic")["note"]
        for name, table in sr.evaluate(doubtful, region, **options).tables.items()
        if {"ranking", "note"} <= set(table.columns)
    }
    assert {"metrics", "capacity", "calibration", "fairness"} <= {name for name in notes if len(notes[name])}
    for name in ("metrics", "capacity", "calibration", "fairness"):
        assert notes[name].str.contains("did not settle").all()
    sound = sr.evaluate(model, region, **options).metrics
    assert not sound["note"].drop_nulls().str.contains("did not settle").any()


def test_the_count_reference_is_last_years_acute_admissions(region, people):
    counts = count_past_events(region, people, FREQUENT_ADMISSION).collect()["outcome_events"]
    assert counts.to_list() == people["acute_admissions_365d"].to_list()
    assert counts.max() >= 3


# --- Metrics


def measure(outcome, score, **options):
    table = compute_metrics(np.array(outcome, dtype=bool), np.array(score, dtype=float), **options)
    return dict(table.rows())


def test_discrimination_is_scikit_learns():
    rng = np.random.default_rng(1)
    outcome, score = rng.random(500) < 0.1, rng.integers(0, 20, 500).astype(float)
    measured = measure(outcome, score)
    assert (measured["rows"], measured["events"]) == (500, outcome.sum())
    assert measured["auroc"] == pytest.approx(roc_auc_score(outcome, score), abs=1e-12)
    assert measured["average_precision"] == pytest.approx(average_precision_score(outcome, score), abs=1e-12)


def test_precision_and_sensitivity_among_the_top_by_hand():
    # Ten rows, three events; the top 20 % are the two rows scored 9 and 8, of which one is an event.
    outcome = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    measured = measure(outcome, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], capacity_shares=[0.2])
    assert measured["precision_top_20.0%"] == 1 / 2
    assert measured["sensitivity_top_20.0%"] == pytest.approx(1 / 3)


def test_rows_tied_at_the_edge_count_in_proportion():
    # One place is left for three rows scored 2, of which one is an event.
    found = count_found(np.array([1, 1, 0, 0, 1], dtype=bool), np.array([3.0, 2, 2, 2, 1]), capacity=2)
    assert found == pytest.approx(1 + 1 / 3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=6), st.data())
def test_ties_count_as_if_every_order_of_them_were_tried(rows, data):
    capacity = data.draw(st.integers(1, len(rows)))
    orders = [sorted(order, key=lambda row: -row[1]) for order in permutations(rows)]
    mean = sum(sum(outcome for outcome, _ in order[:capacity]) for order in orders) / len(orders)
    outcome, score = (np.array(column) for column in zip(*rows, strict=True))
    assert count_found(outcome, score.astype(float), capacity=capacity) == pytest.approx(mean)


def test_expected_over_observed_by_hand():
    ratio = compute_expected_ratio(np.array([True, False, False, True]), np.array([0.5, 0.25, 0.25, 0.5]))
    assert ratio == pytest.approx(1.5 / 2)


@pytest.mark.parametrize("outcome", [[True] * 3, [False] * 3])
def test_metrics_need_rows_with_and_without_the_outcome(outcome):
    with pytest.raises(CohortError):
        measure(outcome, [1, 2, 3])


# --- Errors of ours


def test_every_error_of_a_damaged_copy_is_ours(folder, tmp_path):
    files = [file for file in sorted(folder.iterdir()) if file.name != "CARD.md"]
    assert len(files) >= 3
    for number, file in enumerate(files):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(folder, copy)
        text = (copy / file.name).read_text()
        (copy / file.name).write_text(text[: len(text) // 2])
        with pytest.raises(SomvRiskError):
            sr.load_model(copy)
