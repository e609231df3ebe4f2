"""Refits: other years, places left out, other draws of persons, compared with what was trained first."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import somv_risk as sr
from somv_risk.cohort.splits import ROLES, TimeSplit
from somv_risk.errors import CohortError, ConfigError
from somv_risk.evaluation.refits import (
    Fitted,
    Judge,
    Refits,
    _again,
    _origins,
    _run,
    draw_persons,
    fit_again,
    leave_out,
    leave_places_out,
    measure_stability,
    repeat_seeds,
    roll_origins,
    run_refits,
)
from somv_risk.evaluation.refits._again import fit_whole
from somv_risk.evaluation.refits._judge import Scores, gather_judged
from somv_risk.evaluation.refits._origins import list_origins, place_origin
from somv_risk.evaluation.refits._places import Place, choose_places, find_few, hide_few
from somv_risk.monitoring import add_reference
from somv_risk.training.rows import Sample
from somv_risk.training.steps import Prepared, describe_reference, fit_model, prepare, resolve_config

YEAR = timedelta(days=365)
FEW_DRAWS = Judge(draws=20)
LABEL = "outcome:frequent_admission"


@pytest.fixture(scope="module")
def config(plan) -> dict:
    """A plan of one target and few trees."""
    return plan | {"targets": {"frequent_admission": {}}, "trees": plan["trees"] | {"rounds": 8}}


@pytest.fixture(scope="module")
def prepared(region, config) -> Prepared:
    return prepare(region, resolve_config(config))


@pytest.fixture(scope="module")
def fitted(prepared) -> Fitted:
    return fit_whole(prepared)


@pytest.fixture(scope="module")
def residents(region) -> pl.DataFrame:
    """Everybody who lives on Lolland."""
    return region.persons.filter(pl.col("municipality") == "360").select("person_id").collect()


@pytest.fixture(scope="module")
def result(region, config):
    return run_refits(region, config, Refits(seeds=2, years=2), judge=FEW_DRAWS)


@pytest.fixture
def fitted_slices(monkeypatch) -> dict:
    """The slices that heads are fitted to from now on, the last ones in place of those before."""
    seen = {}
    fit_head = _again.fit_head

    def watch(target, encoding, slices, settings):
        seen.update(slices)
        return fit_head(target, encoding, slices, settings)

    monkeypatch.setattr(_again, "fit_head", watch)
    return seen


def list_rows(prepared, slices):
    """The persons of each slice, one for each row."""
    parts = {role: part for part, roles in _again.PARTS.items() for role in roles}
    return {
        role: prepared.samples[parts[role]].rows["person_id"][one.places].to_list()
        for role, one in slices.items()
    }


def look_up(table, **key):
    rows = table.filter(*(pl.col(name) == value for name, value in key.items()))
    return rows["value"].item()


# --- Fitting again


def test_fitting_what_was_prepared_is_training_even_after_refits(region, config, prepared, tmp_path):
    fit_again(prepared, draw_persons(prepared, 1), seed=99)
    sr.train(region, config).save(tmp_path / "trained")
    add_reference(fit_model(prepared), describe_reference(region, prepared)).save(tmp_path / "fitted")
    files = sorted(file.name for file in (tmp_path / "trained").iterdir())
    assert [name.partition("-")[0] for name in files] == ["CARD.md", "frequent_admission", "model.json"]
    for name in files:
        assert (tmp_path / "trained" / name).read_bytes() == (tmp_path / "fitted" / name).read_bytes()


def test_everybody_taken_once_is_the_same_fit_and_another_seed_is_not(prepared, fitted):
    nobody = pl.DataFrame(schema={"person_id": pl.String})
    assert fit_again(prepared, leave_out(prepared, nobody), prepared.settings.seed) == fitted.head
    assert fit_again(prepared, seed=prepared.settings.seed + 1).trees != fitted.head.trees


def test_a_person_taken_twice_has_every_row_twice(prepared, fitted_slices):
    fit_again(prepared)
    before = list_rows(prepared, fitted_slices)
    outcomes = {role: one.outcome.sum() for role, one in fitted_slices.items()}
    everybody = leave_out(prepared, pl.DataFrame(schema={"person_id": pl.String}))
    fit_again(prepared, everybody.with_columns(times=pl.lit(2)))
    after = list_rows(prepared, fitted_slices)
    assert all(after.values())
    assert after.keys() == before.keys()
    for role, persons in after.items():
        assert sorted(persons) == sorted(2 * before[role])
        assert fitted_slices[role].outcome.sum() == 2 * outcomes[role]


def test_a_draw_has_as_many_persons_of_each_role_as_there_are(prepared):
    rows = pl.concat(
        prepared.samples[part].rows.select("person_id", "role") for part in ("train", "calibrate")
    )
    persons = rows.unique()
    drawn = draw_persons(prepared, 1).join(persons, on="person_id", how="full", coalesce=True)
    counts = drawn.group_by("role").agg(pl.col("times").sum(), pl.len())
    assert counts["times"].to_list() == counts["len"].to_list()
    never = (drawn["times"] == 0).mean()
    assert never == pytest.approx(np.exp(-1), abs=0.02)


def test_a_draw_depends_on_its_seed_alone(prepared):
    assert draw_persons(prepared, 1).equals(draw_persons(prepared, 1))
    assert not draw_persons(prepared, 1).equals(draw_persons(prepared, 2))


# --- Other years


def test_all_moments_move_back_together():
    times = TimeSplit(
        (datetime(2021, 1, 1), datetime(2022, 1, 1)), (datetime(2023, 1, 1),), (datetime(2024, 6, 1),)
    )
    moved = place_origin(times, 2, datetime(2000, 1, 1)).times
    assert moved.train == (datetime(2019, 1, 2), datetime(2020, 1, 2))
    assert moved.calibrate == (datetime(2021, 1, 1),)
    assert moved.test == (datetime(2022, 6, 2),)
    assert moved.horizon == times.horizon


def test_a_training_moment_needs_a_year_of_events_before_it():
    times = TimeSplit(
        (datetime(2021, 1, 1), datetime(2022, 1, 1)), (datetime(2023, 1, 1),), (datetime(2024, 1, 1),)
    )
    first, last = (
        datetime(2020, 1, 2),
        datetime(2021, 1, 1),
    )  # the training moments, a year of 365 days earlier
    assert place_origin(times, 1, first - YEAR).times.train == (first, last)
    late = place_origin(times, 1, first - YEAR + timedelta(microseconds=1))
    assert late.times.train == (last,)
    assert "1 of 2" in late.note
    impossible = place_origin(times, 1, last - YEAR + timedelta(microseconds=1))
    assert impossible.times is None
    assert "No training moment" in impossible.note
    assert place_origin(times, 0, datetime(2023, 1, 1)).times == times


def test_an_origin_is_trained_and_tested_at_its_own_moments(region, config, monkeypatch):
    seen = []

    def watch(histories, settings, *_):
        seen.append(settings.build_time_split(region.data_end))
        return prepare(histories, settings)

    monkeypatch.setattr(_origins, "prepare", watch)
    settings = resolve_config(config)
    _, earlier = list_origins(region, settings, 2)
    _origins.judge_origin(region, settings, earlier, FEW_DRAWS)
    (moved,) = seen
    planned = settings.build_time_split(region.data_end)
    for part in ("train", "calibrate", "test"):
        assert [m + YEAR for m in getattr(moved, part)] == list(getattr(planned, part))


@pytest.mark.parametrize("back", [0, 1])
def test_a_year_is_judged_as_a_model_trained_for_it(region, config, result, back):
    times = {
        part: [(datetime.fromisoformat(moment) - back * YEAR).isoformat() for moment in moments]
        for part, moments in config["times"].items()
    }
    model = sr.train(region, config | {"times": times})
    rows = result.tables["rolling_origin"].filter(
        pl.col("test_time") == datetime.fromisoformat(max(times["test"]))
    )
    assert set(rows["trained_until"]) == {datetime.fromisoformat(max(times["train"])) + YEAR}
    names = {"precision_top_1.0%": "precision"}
    compared = [
        (row["ranking"], names.get(row["metric"], row["metric"]), row["value"])
        for row in model.facts["metrics"]
        if row["metric"] in {"auroc", "average_precision", "precision_top_1.0%", "expected_over_observed"}
    ]
    assert len(compared) == 10
    for ranking, metric, value in compared:
        assert look_up(rows, ranking=ranking, metric=metric) == pytest.approx(value), (ranking, metric)


def test_rolling_alone_gives_the_same_years(region, config, result):
    alone = roll_origins(region, config, 2, FEW_DRAWS)
    assert alone.equals(result.tables["rolling_origin"])


# --- Places left out


def test_whatever_befell_a_place_teaches_nothing_when_it_is_left_out(prepared, fitted, residents):
    altered = replace(
        prepared, samples={part: reverse(one, residents) for part, one in prepared.samples.items()}
    )
    without = leave_out(prepared, residents)
    assert fit_again(altered, without) == fit_again(prepared, without)
    assert fit_again(altered).trees != fitted.head.trees


def reverse(sample, residents):
    """The sample with all outcomes of the residents reversed, and their features unlike anybody's."""
    lives_there = sample.rows["person_id"].is_in(residents["person_id"].to_list())
    label = pl.when(lives_there).then(~pl.col(LABEL)).otherwise(LABEL)
    matrix = sample.matrix.copy()
    matrix[lives_there.to_numpy()] = 999
    return Sample(sample.rows.with_columns(label.alias(LABEL)), matrix)


def test_nobody_who_lives_there_is_in_any_slice(prepared, residents, fitted_slices):
    fit_again(prepared)
    theirs = set(residents["person_id"])
    before = list_rows(prepared, fitted_slices)
    assert all(theirs & set(persons) for persons in before.values())
    fit_again(prepared, leave_out(prepared, residents))
    for role, persons in list_rows(prepared, fitted_slices).items():
        assert persons == [person for person in before[role] if person not in theirs]


def test_a_place_is_tested_on_all_its_residents(region, prepared, fitted, residents, result):
    rows = result.tables["places_left_out"].filter(pl.col("municipality") == "360")
    cohort = sr.make_cohort(region, prepared.times.test)
    theirs = cohort.rows.join(residents.lazy(), on="person_id", how="semi").collect()
    outcome = sr.label_outcomes(region, theirs).collect()["outcome"]
    features = sr.build_features(region, theirs, prepared.encoding.features).collect()
    known, outcome = features.filter(outcome.is_not_null()), outcome.drop_nulls().to_numpy()
    assert set(rows["rows"]) == {len(outcome)}
    assert set(rows["events"]) == {outcome.sum()}
    assert set(rows["name"]) == {"Lolland"}
    matrix = prepared.encoding.to_matrix(known)
    heads = {
        "model_with_place": fitted.head,
        "model": fit_again(prepared, leave_out(prepared, residents)),
    }
    for ranking, head in heads.items():
        risk = head.predict_risk(matrix)
        found = look_up(rows, ranking=ranking, metric="auroc")
        assert found == pytest.approx(roc_auc_score(outcome, risk), abs=1e-12)
        found = look_up(rows, ranking=ranking, metric="expected_over_observed")
        assert found == pytest.approx(risk.sum() / outcome.sum())
    assert look_up(rows, ranking="model", metric="auroc") != look_up(
        rows, ranking="model_with_place", metric="auroc"
    )


def test_the_model_that_knows_the_place_says_that_it_is_flattered(result):
    rows = result.tables["places_left_out"]
    notes = rows.filter(pl.col("ranking") == "model_with_place")["note"]
    assert notes.str.contains("flatters").all()
    assert not rows.filter(pl.col("ranking") == "model")["note"].str.contains("flatters").any()


def test_all_places_are_those_that_occur(region):
    occurring = region.persons.select(pl.col("municipality").unique()).collect().to_series()
    assert choose_places(region, "all") == sorted(occurring)
    assert choose_places(region, ["376", "360", "376"]) == ["376", "360"]


def test_an_unknown_municipality_is_told_before_any_work(region, config, monkeypatch):
    monkeypatch.setattr(_run, "prepare", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(ConfigError, match="Municipality 999 is neither"):
        run_refits(region, config, Refits(seeds=0, years=0, places=("360", "999")))


def make_place(code, events, others):
    rows = pl.DataFrame({LABEL: [True] * events + [False] * others}, schema={LABEL: pl.Boolean})
    return Place(code, pl.DataFrame(), rows)


@pytest.mark.parametrize(("is_whole", "hidden"), [(False, [1, 0, 0, 0]), (True, [1, 0, 1, 0])])
def test_what_is_hidden_does_not_follow_from_the_others_where_these_are_the_whole(prepared, is_whole, hidden):
    places = [make_place("a", 4, 50), make_place("b", 20, 50), make_place("c", 5, 50), make_place("d", 9, 50)]
    assert find_few(prepared, places, is_whole=is_whole).tolist() == [bool(one) for one in hidden]


def test_a_list_with_few_persons_found_or_few_others_has_no_precision():
    # Ten persons: 4 found are few, 5 and 5 are not, 6 found leave 4 others.
    table = pl.DataFrame(
        {
            "ranking": ["a", "b", "c", "a"],
            "persons": [10, 10, 10, None],
            "metric": ["precision", "precision", "precision", "auroc"],
            "value": [0.4, 0.5, 0.6, 0.1],
            "low": [0.1, 0.1, 0.1, 0.0],
            "high": [0.9, 0.9, 0.9, 0.2],
            "note": pl.Series([None] * 4, dtype=pl.String),
        }
    )
    hidden = hide_few(table)
    assert hidden["value"].to_list() == [None, 0.5, None, 0.1]
    assert hidden["low"].to_list() == [None, 0.1, None, 0.0]
    assert hidden["high"].to_list() == [None, 0.9, None, 0.2]
    assert hidden["note"].is_not_null().to_list() == [True, False, True, False]
    assert "fewer than 5" in hidden["note"][0]


# --- The programme's rule


def test_the_programmes_rule_is_three_acute_admissions_in_183_days(prepared):
    index = max(prepared.times.test)
    admitted = {
        "three": [(-183, "acute"), (-90, "acute"), (-2, "acute")],
        "two": [(-184, "acute"), (-90, "acute"), (-2, "acute")],
        "planned": [(-100, "planned"), (-90, "acute"), (-2, "acute")],
        "later": [(-90, "acute"), (-2, "acute"), (0, "acute")],
    }
    rows = [
        (person, f"{person}{number}", index + timedelta(days=day), kind)
        for person, several in admitted.items()
        for number, (day, kind) in enumerate(several)
    ]
    contacts = pl.DataFrame(
        rows, schema=["person_id", "contact_id", "started_at", "admission_type"], orient="row"
    )
    histories = sr.from_frames(
        persons=pl.DataFrame({"person_id": list(admitted), "birth_date": "1980-05-01", "sex": "male"}),
        admissions=contacts.with_columns(
            ended_at=pl.col("started_at") + timedelta(hours=20), sector=pl.lit("somatic")
        ),
    )
    sample = Sample(
        pl.DataFrame(
            {
                "person_id": list(admitted),
                "index_time": index,
                "role": pl.Series(["test"] * 4, dtype=pl.Enum(ROLES)),
                "outcome_events": 0,
                LABEL: False,
            }
        ),
        np.zeros((4, 1), dtype=np.float32),
    )
    judged = gather_judged(histories, prepared, sample)
    assert judged.rules["programme_rule"].tolist() == [1, 0, 0, 0]


# --- Draws of persons


def measured(table, ranking="model"):
    return {row["measure"]: row for row in table.filter(pl.col("ranking") == ranking).to_dicts()}


def risks(*values):
    return Scores({"model": np.array(values)}, {"model": np.array(values)})


def test_overlap_of_lists_by_hand():
    # Five persons, a list of two: a and b. The first refit lists a and c, the second a and b.
    first = risks(0.9, 0.8, 0.3, 0.2, 0.1)
    again = [risks(0.9, 0.5, 0.6, 0.2, 0.1), risks(0.7, 0.8, 0.3, 0.2, 0.1)]
    found = measured(measure_stability(np.array([1, 0, 1, 0, 0], dtype=bool), first, again, "2"))
    assert found["list_kept"]["value"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["list_jaccard"]["value"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["list_nearly_always_kept"]["value"] == 1 / 2  # a is on both, b on one
    # The short list is of one: a; the second refit lists b.
    assert found["short_list_kept"]["value"] == pytest.approx(1 / 2)
    assert found["short_list_jaccard"]["value"] == pytest.approx(1 / 2)
    assert found["short_list_nearly_always_kept"]["value"] == 0
    # Risks differ by 0.3 (b) and 0.3 (c) in the first refit, by 0.2 (a) in the second.
    assert found["risk_difference"]["value"] == pytest.approx((0.6 / 5 + 0.2 / 5) / 2)
    assert found["listed_risk_difference"]["value"] == pytest.approx((0.3 / 2 + 0.2 / 2) / 2)
    # Events are a and c. Of six pairs the first refit has all in order, the second four: b is before both.
    assert found["auroc"]["value"] == pytest.approx((1 + 4 / 6) / 2)


def test_persons_of_one_risk_are_listed_by_their_raw_scores():
    same_risk = {"model": np.array([0.5, 0.5, 0.5, 0.1])}
    first, again = (Scores({"model": np.array(raw)}, same_risk) for raw in ([1, 3, 2, 0], [3, 2, 1, 0]))
    found = measured(measure_stability(np.array([1, 0, 0, 0], dtype=bool), first, [again], "1"))
    assert found["list_kept"]["value"] == 0
    assert found["risk_difference"]["value"] == 0


def test_intervals_are_percentiles_over_refits():
    rng = np.random.default_rng(1)
    outcome, first = rng.random(300) < 0.2, rng.random(300)
    again = [first + rng.normal(0, 0.05, 300) for _ in range(9)]
    found = measured(measure_stability(outcome, risks(*first), [risks(*scores) for scores in again]))["auroc"]
    aurocs = [roc_auc_score(outcome, scores) for scores in again]
    assert found["value"] == pytest.approx(np.mean(aurocs))
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.quantile(aurocs, [0.025, 0.975])))


def test_the_same_fit_again_keeps_the_whole_list(region, prepared, fitted):
    everybody = leave_out(prepared, pl.DataFrame(schema={"person_id": pl.String}))
    again = fit_again(prepared, everybody, prepared.settings.seed)
    judged = gather_judged(region, prepared, prepared.samples["test"])
    first, *others = [judged.score(prepared, head) for head in (fitted.head, again, again)]
    table = measure_stability(judged.outcome, first, others)
    for ranking in ("model", "penalised_logistic", "count_last_year", "programme_rule"):
        found = measured(table, ranking)
        for measure in ("list_kept", "list_jaccard", "list_nearly_always_kept", "short_list_kept"):
            assert found[measure]["value"] == 1
    assert measured(table)["risk_difference"]["value"] == 0


def test_other_draws_change_the_list_and_what_is_not_fitted_stays(result):
    table = result.tables["list_stability"]
    for ranking in ("model", "penalised_logistic"):
        assert 0 < measured(table, ranking)["list_kept"]["value"] < 1
        assert measured(table, ranking)["risk_difference"]["value"] > 0
    for ranking in ("count_last_year", "programme_rule"):
        assert measured(table, ranking)["list_kept"]["value"] == 1
        assert "not fitted" in measured(table, ranking)["list_kept"]["note"]


def test_refitted_models_score_like_any_other(region, result):
    first, second = result.models
    options = {"index_time": region.data_end, "person_ids": ["P0000001", "P0000003"], "explain": "all"}
    scores = [sr.score(model, region, **options) for model in (first, second)]
    assert scores[0]["risk"].to_list() != scores[1]["risk"].to_list()
    assert all(len(reasons) > 0 for reasons in scores[0]["reasons"])


# --- What cannot be done is said


def test_nothing_is_missing_without_a_note(result):
    assert not any(table.is_empty() for table in result.tables.values())
    for name, table in result.tables.items():
        for column in ("value", "low", "high"):
            silent = table.filter(pl.col(column).is_null() & pl.col("note").is_null())
            assert silent.is_empty(), (name, column)
            assert not table[column].is_nan().any()


def test_each_table_has_all_rankings(result):
    expected = {"model", "penalised_logistic", "count_last_year", "programme_rule"}
    assert result.tables
    for name, table in result.tables.items():
        assert set(table["ranking"]) - {"model_with_place"} == expected, name


def test_a_tiny_region_has_notes_and_no_crash():
    few = sr.simulate(persons=300, seed=1)
    result = run_refits(few, refits=Refits(seeds=2, years=5), judge=FEW_DRAWS)
    assert result.models == ()
    rolled = result.tables["rolling_origin"]
    assert rolled.height == 5
    assert rolled["note"].str.contains("Training stopped|No training moment").all()
    assert rolled["note"].str.contains("No training moment").sum() == 3
    assert result.tables["places_left_out"]["name"].to_list() == ["Lolland", "Guldborgsund"]
    for table in result.tables.values():
        assert table["note"].is_not_null().all()
        assert table["value"].is_null().all()


def test_a_place_with_nobody_to_test_on_is_a_row_with_a_note(region, prepared, fitted):
    few = replace(
        prepared, times=replace(prepared.times, test=(region.data_end,))
    )  # no outcome is known there
    table = leave_places_out(region, Fitted(few, fitted.head), ["360"], FEW_DRAWS)
    assert table.height == 1
    row = table.row(0, named=True)
    assert "fewer than 5" in row["note"]
    assert (row["rows"], row["events"], row["value"]) == (None, None, None)


def test_draws_that_cannot_be_trained_on_are_counted(region, prepared, fitted, monkeypatch):
    fit = _again.fit_head

    def fail_once(target, encoding, slices, settings):
        if settings.seed == prepared.settings.seed + 1:
            raise CohortError("Too few.")
        return fit(target, encoding, slices, settings)

    monkeypatch.setattr(_again, "fit_head", fail_once)
    table, models = repeat_seeds(region, fitted, 2)
    assert len(models) == 1
    assert table["note"].str.contains("1 of 2 refits are missing").all()


def test_what_is_not_asked_for_is_not_there(region, config, monkeypatch):
    monkeypatch.setattr(_run, "prepare", lambda *_: pytest.fail("work was begun"))
    assert run_refits(region, config, Refits(seeds=0, years=0, places=())).tables == {}


def test_each_kind_can_be_had_alone(region, config):
    result = run_refits(region, config, Refits(seeds=1, years=0, places=()), judge=FEW_DRAWS)
    assert set(result.tables) == {"list_stability"}
    kept = measured(result.tables["list_stability"])["list_kept"]
    assert kept["low"] is None
    assert "no range" in kept["note"]


@pytest.mark.parametrize("wrong", [{"seeds": -1}, {"years": -1}, {"places": "360"}])
def test_refits_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError):
        Refits(**wrong)
