"""Monitoring: every planted fault is found, an undisturbed region raises nothing, nobody is pointed at."""

import json
import re
import tomllib
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from statistics import median
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import somv_risk as sr
from shared import hold
from somv_risk.cohort.outcomes import OUTCOME
from somv_risk.cohort.splits import ROLE, add_role
from somv_risk.cohort.weeks import count_weeks, measure_columns, see
from somv_risk.disclosure import FEW
from somv_risk.errors import CohortError, ConfigError, ModelError, SourceError
from somv_risk.metrics.drift import LEAST_IN_BIN
from somv_risk.monitoring import Limits, monitor, read_limits, read_reference
from somv_risk.monitoring._outcomes import find_outcome_alarms
from somv_risk.monitoring._scores import find_turnover_alarms
from somv_risk.registers.histories import Quarantine
from somv_risk.report.monitoring_figures import plot_score_bins
from somv_risk.report.monitoring_page import choose_rows, load_monitoring_sections, load_monitoring_wording
from somv_risk.training.steps import resolve_config

CONFIGS = Path(__file__).parents[1] / "configs"
WEEK = timedelta(days=7)
MONTH, YEAR = timedelta(days=28), timedelta(days=365)


def read_texts(room, name):
    return tomllib.loads(resources.files(f"somv_risk.{room}").joinpath(name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def other():
    """Another region, of the same kind and years."""
    return hold(sr.simulate(persons=20_000, seed=8))


@pytest.fixture(scope="module")
def now(other) -> datetime:
    return other.data_end


@pytest.fixture(scope="module")
def report(model, other, now):
    """The other region monitored, with two earlier scorings, of which one has its outcomes."""
    return monitor(model, other, now, earlier=[now - MONTH, now - YEAR], simulated=True)


@pytest.fixture(scope="module")
def watch(model, other, now):
    """Monitor the other region with a planted fault; once per fault."""
    seen = {}

    def watch_once(plant):
        if plant not in seen:
            seen[plant] = monitor(model, plant(other, now), now, simulated=True)
        return seen[plant]

    return watch_once


def change(histories, **tables):
    """The same histories with some tables replaced."""
    return replace(histories, tables={**histories.tables, **tables})


def tell(report):
    """What alarms are about: their kinds and things."""
    return {(alarm.kind, alarm.what) for alarm in report.alarms}


# --- The reference


def test_a_model_carries_a_reference_in_which_nobody_can_be_pointed_at(model):
    reference = read_reference(model)
    for name, known in reference.features.items():
        assert known.nulls == 0 or known.nulls >= 5, name
        assert len(known.counts) == 0 or known.counts.min() >= LEAST_IN_BIN, name
        # What is left over by the rows of all features is no small count either.
        assert known.rows in (0, len_of_calibration(model)), name
    assert all(table.weekly is None or table.weekly > 0 for table in reference.tables.values())


def len_of_calibration(model):
    return max(known.rows for known in read_reference(model).features.values())


def test_a_reference_is_small_and_survives_saving(model, tmp_path):
    model.save(tmp_path / "model")
    again = sr.load_model(tmp_path / "model")
    assert again.facts["reference"] == json.loads(json.dumps(model.facts["reference"]))
    assert len(json.dumps(again.facts["reference"])) < 60_000


def test_the_reference_counts_the_persons_on_whom_risks_are_calibrated(model, region, plan):
    """Slowly: their features built again, and counted one by one."""
    cohort = sr.make_cohort(region, plan["times"]["calibrate"])
    split = resolve_config(plan).build_person_split()
    rows = add_role(cohort.rows, split).filter(pl.col(ROLE).is_in(["stop", "calibrate"])).collect()
    features = [f for f in model.features if f.name in ("age", "acute_admissions_365d", "smallest_gap_365d")]
    frame = sr.build_features(region, rows, features, lags=model.lags).collect()
    reference = read_reference(model)
    for feature in features:
        known = reference.features[feature.name]
        values = [value for value in frame[feature.name].to_list() if value is not None]
        places = [sum(edge <= value for edge in known.edges.tolist()) for value in values]
        counts = [places.count(place) for place in range(len(known.counts))]
        assert known.counts.tolist() == counts
        assert known.nulls == frame.height - len(values)
    assert reference.persons == rows["person_id"].n_unique()
    assert reference.eligible == sr.make_cohort(region, [reference.index_time]).rows.collect().height


def test_a_model_without_a_reference_is_told_to_be_trained_again(model, other, now):
    facts = {name: value for name, value in model.facts.items() if name != "reference"}
    with pytest.raises(ModelError, match=r"no training reference.*Train it again"):
        monitor(replace(model, facts=MappingProxyType(facts)), other, now)


def test_a_reference_of_other_features_is_refused(model, other, now):
    broken = {**model.facts["reference"], "features": {}}
    with pytest.raises(ModelError, match="incomplete"):
        monitor(replace(model, facts=MappingProxyType({**model.facts, "reference": broken})), other, now)


# --- No fault, no alarm


def test_an_undisturbed_region_raises_no_alarm(report):
    assert report.tables["alarms"]["text"].to_list() == []


def test_the_region_trained_on_raises_no_alarm_two_years_later(model, region):
    assert monitor(model, region, region.data_end).alarms == ()


def test_features_that_see_further_back_than_at_training_are_told_of_without_an_alarm(report):
    rows = report.tables["features"]
    cut = rows.filter(pl.col("verdict") == "cut")
    assert "days_on_current_benefit" in cut["feature"].to_list()
    assert set(cut["feature"].str.extract(r"_(\d+)d$").drop_nulls()) == {"1825"}
    assert "days_since_psychiatric_contact_730d" not in cut["feature"].to_list()


# --- Planted faults


def stop_table(other, now):
    """Nothing of the last five weeks has arrived."""
    arrived = pl.coalesce("known_at", "started_at") < now - 5 * WEEK
    return change(other, psychiatric_contacts=other.psychiatric_contacts.filter(arrived))


def lose_half_a_week(other, now):
    lost = pl.col("started_at").is_between(now - 9 * WEEK, now - 9 * WEEK + WEEK / 2, closed="left")
    return change(other, primary_care=other.primary_care.filter(~lost))


def deliver_twice(other, _):
    return change(other, primary_care=pl.concat([other.primary_care, other.primary_care]))


def deliver_a_month_twice(other, now):
    again = other.admissions.filter(pl.col("started_at").is_between(now - 10 * WEEK, now - 6 * WEEK))
    again = again.with_columns(pl.col("contact_id") + "-2")
    return change(other, admissions=pl.concat([other.admissions, again]))


def empty_diagnoses(other, _):
    return change(other, admissions=other.admissions.with_columns(diagnosis=pl.lit(None, pl.String)))


def age_everybody(other, _):
    born = pl.col("birth_date").dt.offset_by("-25y")
    return change(other, persons=other.persons.with_columns(birth_date=born))


def drop_table(other, _):
    left = {name: frame for name, frame in other.tables.items() if name != "primary_care"}
    return replace(other, tables=left)


def clear_table(other, _):
    return change(other, social_services=other.social_services.filter(pl.lit(value=False)))


def delay_a_source(other, now):
    late = pl.col("known_at") > now - 8 * WEEK
    moved = pl.when(late).then(pl.col("known_at") + 2 * WEEK).otherwise("known_at")
    return change(other, primary_care=other.primary_care.with_columns(known_at=moved))


def lose_half_of_the_persons(other, _):
    return other.keep_persons(other.persons.head(10_000).select("person_id"))


def set_many_aside(other, _):
    aside = pl.DataFrame(
        {"row": range(3_000), "rule": ["duplicate"] * 3_000}, schema_overrides={"row": pl.UInt32}
    )
    return replace(other, quarantine=Quarantine({"admissions": aside}))


def end_early(other, now):
    return replace(other, data_end=now - 4 * WEEK)


FAULTS = [
    (stop_table, "stopped", "psychiatric_contacts"),
    (lose_half_a_week, "weeks_low", "primary_care"),
    (deliver_twice, "rows_rose", "primary_care"),
    (deliver_a_month_twice, "weeks_high", "admissions"),
    (empty_diagnoses, "column_nulls", "admissions.diagnosis"),
    (age_everybody, "feature_drift", "age"),
    (drop_table, "missing_table", "primary_care"),
    (clear_table, "empty_table", "social_services"),
    (delay_a_source, "delay", "primary_care"),
    (lose_half_of_the_persons, "persons", "persons"),
    (set_many_aside, "set_aside", "admissions"),
    (end_early, "stale", ""),
]


@pytest.mark.parametrize(("plant", "kind", "what"), FAULTS, ids=[plant.__name__ for plant, *_ in FAULTS])
def test_a_planted_fault_is_found(watch, plant, kind, what):
    assert (kind, what) in tell(watch(plant))


def test_a_source_that_stopped_is_dated(watch, now):
    told = watch(stop_table)
    (alarm,) = [alarm for alarm in told.alarms if alarm.kind == "stopped"]
    assert alarm.more["since"] == now - 5 * WEEK
    assert alarm.say() == (
        "Table psychiatric_contacts has given next to nothing since 27 November 2025: "
        "0.00% of the rows that were expected."
    )
    assert alarm.say("da").startswith(
        "Tabellen psychiatric_contacts har næsten intet givet siden 27. november 2025"
    )


def test_features_of_a_missing_table_raise_no_alarms_of_their_own(watch):
    told = watch(drop_table)
    rows = told.tables["features"].filter(pl.col("tables") == "primary_care")
    assert rows.height > 5
    assert rows["verdict"].null_count() == rows.height
    assert not {kind for kind, _ in tell(told)} & {"feature_drift", "feature_nulls"}


def test_a_gap_of_long_ago_stands_in_the_table_and_raises_no_alarm(model, other, now):
    lost = pl.col("started_at").is_between(now - 40 * WEEK, now - 38 * WEEK, closed="left")
    told = monitor(model, change(other, primary_care=other.primary_care.filter(~lost)), now)
    low = told.tables["volumes"].filter(verdict="low", table="primary_care")
    assert low["week"].to_list() == [now - 40 * WEEK, now - 39 * WEEK]
    assert told.alarms == ()


def test_a_new_table_is_told_of_without_an_alarm(model, other, now):
    facts = {**model.facts, "tables": [name for name in model.tables if name != "primary_care"]}
    told = monitor(replace(model, facts=MappingProxyType(facts)), other, now)
    assert told.tables["tables"].filter(table="primary_care")["status"].item() == "new"
    # This model had met its features, which are null for one that says it has not learnt from the table.
    assert not [alarm for alarm in told.alarms if alarm.what == "primary_care"]


# --- Tables against plain Python


def test_the_stability_index_of_a_feature_is_that_of_its_frame(model, other, now, report):
    cohort = sr.make_cohort(other, [now])
    feature = next(f for f in model.features if f.name == "gp_contacts_365d")
    values = sr.build_features(other, cohort, [feature], lags=model.lags).collect()[feature.name].to_numpy()
    known = read_reference(model).features[feature.name]
    counts = np.histogram(values, [-np.inf, *known.edges, np.inf])[0]
    first, second = ((c + 0.5) / (c + 0.5).sum() for c in (known.counts, counts))
    row = report.tables["features"].filter(feature=feature.name).row(0, named=True)
    assert row["psi"] == pytest.approx(float(((first - second) * np.log(first / second)).sum()))
    assert row["null_share"] == 0


def count_plainly(rows, moment_of, now, weeks):
    counts = [0] * weeks
    for row in rows:
        back = (now - moment_of(row)) / WEEK
        if 0 < back <= weeks:
            counts[weeks - int(np.ceil(back))] += 1
    return counts


@pytest.mark.parametrize("table", ["admissions", "social_benefits", "primary_care"])
def test_rows_per_week_are_those_of_plain_python(model, other, now, table):
    index = now - timedelta(days=100, hours=5)
    weeks = count_weeks(other, table, see(other, index, model.lags), 60)
    lag = model.lags.of(table)
    rows = other.table(table).select("started_at", "known_at").collect().rows()
    seen = [row for row in rows if row[0] < index and (row[1] or row[0] + lag) < index]
    assert len(seen) < len(rows)
    assert weeks.rows.tolist() == count_plainly(seen, lambda row: row[0], index, 60)
    told = [row for row in seen if row[1] is not None]
    assert weeks.arrived.tolist() == count_plainly(told, lambda row: row[1], index, 60)
    assert weeks.starts[-1] == index - WEEK


def test_delays_are_medians_of_what_arrived_in_a_week(model, other, now):
    weeks = count_weeks(other, "primary_care", see(other, now, model.lags), 30)
    rows = other.primary_care.select("started_at", "known_at").collect().rows()
    last = [(known - started) / timedelta(days=1) for started, known in rows if now - WEEK <= known < now]
    assert weeks.delays[-1] == pytest.approx(median(last), abs=1e-4)


@pytest.mark.parametrize("beyond", [0, 3])
def test_what_can_be_known_of_the_last_weeks_is_what_was_known_of_settled_ones(model, other, now, beyond):
    """By waiting: of each week half a year old and older, what was known then, and what came later."""
    index = now + timedelta(days=beyond)
    weeks = count_weeks(other, "primary_care", see(other, index, model.lags), 30)
    settled: dict[int, list[timedelta]] = {}
    for started, known in other.primary_care.select("started_at", "known_at").collect().iter_rows():
        back = -((started - now) // WEEK) - 1
        if 26 <= back < 78:
            settled.setdefault(back, []).append(known - (now - back * WEEK))
    for later in (0, 1, 2, 5):
        shares = [late < timedelta(days=7 * later + beyond) for own in settled.values() for late in own]
        assert weeks.known[-1 - later] == pytest.approx(sum(shares) / len(shares))


def test_empty_cells_are_those_of_plain_python(model, other, now):
    index = now - YEAR
    plain = other.admissions.select("started_at", "ended_at", "known_at", "discharge", "hospital").collect()
    recent = [
        row
        for row in plain.iter_rows(named=True)
        if row["known_at"] < index and index - 52 * WEEK <= row["started_at"] < index
    ]
    ended = [row for row in recent if row["ended_at"] is not None and row["ended_at"] < index]
    found = {
        name: (of, nulls)
        for name, of, nulls in measure_columns(other, "admissions", see(other, index, model.lags))
    }
    assert found["hospital"] == (len(recent), sum(row["hospital"] is None for row in recent))
    assert found["discharge"] == (len(ended), sum(row["discharge"] is None for row in ended))
    assert found["ended_at"] == (len(recent), len(recent) - len(ended))
    assert len(ended) < len(recent)


def test_risks_and_lists_are_those_of_scoring(model, other, now, report):
    scores = sr.score(model, other, index_time=now, explain="none")
    before = sr.score(model, other, index_time=now - MONTH, explain="none")
    row = report.tables["scores"].filter(target="frequent_admission", measure="share_above_threshold")
    above = (scores["risk"] >= model.main.threshold).sum()
    assert row["value"].item() == pytest.approx(above / scores.height)
    assert report.facts["persons"] == scores.height
    first = before["person_id"].head(round(before.height * 0.01)).to_list()
    second = set(scores["person_id"].head(round(scores.height * 0.01)).to_list())
    eligible = set(scores["person_id"].to_list())
    could = [person for person in first if person in eligible]
    kept = report.tables["turnover"].filter(from_index_time=now - MONTH)
    assert kept["persons"].item() == len(could)
    assert kept["value"].item() == pytest.approx(sum(person in second for person in could) / len(could))


def test_outcomes_that_have_arrived_are_judged(model, other, now, report):
    then = now - YEAR
    scores = sr.score(model, other, index_time=then, explain="none")
    labelled = sr.label_outcomes(other, scores.select("person_id", "index_time"), model.main.target).collect()
    known = scores.with_columns(labelled[OUTCOME]).drop_nulls(OUTCOME)
    found = report.tables["calibration"].filter(index_time=then, ranking="model")
    values = dict(found.select("metric", "value").rows())
    assert values["auroc"] == pytest.approx(roc_auc_score(known[OUTCOME], known["risk"]), abs=0.003)
    assert values["expected_over_observed"] == pytest.approx(known["risk"].sum() / known[OUTCOME].sum())
    assert found["judged_on"].unique().to_list() == ["all"]
    trained = next(
        row["value"]
        for row in model.facts["metrics"]
        if row["target"] == "frequent_admission" and row["ranking"] == "model" and row["metric"] == "auroc"
    )
    assert found.filter(metric="auroc")["reference"].item() == trained


def test_outcomes_that_have_not_arrived_are_a_row_that_says_so(report, now):
    (row,) = report.tables["calibration"].filter(index_time=now - MONTH).iter_rows(named=True)
    assert row["value"] is None
    assert "have not arrived" in row["note"]


def test_outcomes_that_the_training_used_are_judged_on_persons_kept_out_of_it(model, region):
    then = datetime.fromisoformat(model.facts["index_times"]["calibrate"][-1])
    told = monitor(model, region, region.data_end, earlier=then)
    assert told.tables["calibration"]["judged_on"].unique().to_list() == ["test"]


def test_outcomes_after_the_index_time_are_not_looked_at(model, other, now):
    """The data go on for another year; what is judged must be over at the index time."""
    index = now - YEAR
    told = monitor(model, other, index, earlier=index - timedelta(days=364))
    assert told.tables["calibration"]["value"].to_list() == [None]


# --- Alarms of outcomes and lists


def judged(metric, low, high, reference=None):
    row = {
        "index_time": datetime(2025, 1, 1),
        "ranking": "model",
        "metric": metric,
        "value": (low + high) / 2,
    }
    return pl.DataFrame([{**row, "low": low, "high": high, "reference": reference}], strict=False)


@pytest.mark.parametrize(
    ("metric", "low", "high", "reference", "kinds"),
    [
        ("expected_over_observed", 1.3, 1.9, None, ["risks_high"]),
        ("expected_over_observed", 0.5, 0.7, None, ["risks_low"]),
        ("expected_over_observed", 1.2, 1.9, None, []),
        ("auroc", 0.70, 0.81, 0.85, ["auroc"]),
        ("auroc", 0.70, 0.83, 0.85, []),
        ("precision", 0.05, 0.14, 0.20, ["precision"]),
        ("precision", 0.05, 0.16, 0.20, []),
        ("precision", 0.05, 0.14, None, []),
    ],
)
def test_an_alarm_of_outcomes_takes_the_whole_interval(metric, low, high, reference, kinds):
    alarms = find_outcome_alarms(judged(metric, low, high, reference), Limits().outcomes)
    assert [alarm.kind for alarm in alarms] == kinds


@pytest.mark.parametrize(("days", "kept", "count"), [(28, 0.4, 1), (28, 0.6, 0), (365, 0.1, 0)])
def test_a_list_that_is_all_new_after_a_month_is_an_alarm_and_after_a_year_is_not(days, kept, count):
    to = datetime(2026, 1, 1)
    row = {"from_index_time": to - timedelta(days=days), "to_index_time": to, "value": kept}
    assert len(list(find_turnover_alarms(pl.DataFrame([row]), Limits().turnover))) == count


def test_risks_that_moved_are_an_alarm(watch):
    assert ("score_drift", "frequent_admission") in tell(watch(deliver_twice))


# --- Nobody can be pointed at


def test_small_counts_are_hidden_and_zero_is_not(watch):
    told = watch(stop_table)
    volumes = told.tables["volumes"]
    assert volumes["rows"].drop_nulls().is_between(1, 4).sum() == 0
    assert (volumes["rows"] == 0).any()
    hidden = volumes.filter(pl.col("rows").is_null())
    assert hidden.height
    assert hidden["note"].unique().to_list() == [FEW]
    for name in ("score_bins", "delays", "columns", "tables"):
        assert told.tables[name]["rows"].drop_nulls().is_between(1, 4).sum() == 0, name


def test_a_report_names_nobody(report, other, tmp_path):
    report.to_html(tmp_path / "page.html")
    said = "".join(file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file())
    persons = other.persons.select("person_id").collect()["person_id"].to_list()
    words = set(re.findall(r"[\w-]+", said))
    assert not words & set(persons)


# --- Limits


def test_the_file_of_limits_says_what_the_library_does_anyway():
    file = CONFIGS / "monitoring.toml"
    assert read_limits(file) == Limits()
    given = tomllib.loads(file.read_text("utf-8"))
    assert {name: set(rows) for name, rows in given.items()} == {
        name: set(rows) for name, rows in Limits().model_dump().items()
    }


def test_limits_are_what_is_configured(model, other, now):
    strict = {"features": {"psi": 1e-6, "confidence": 0.01}, "turnover": {"kept_least": 1.0}}
    told = monitor(model, other, now, earlier=now - MONTH, limits=strict)
    assert {"feature_drift", "turnover"} <= {alarm.kind for alarm in told.alarms}


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        ({"features": {"psi": -1}}, ConfigError, r"features\.psi"),
        ({"feature": {}}, ConfigError, "feature"),
        ({"outcomes": {"capacity": "many"}}, ConfigError, "many"),
        ("nowhere.toml", SourceError, "nowhere.toml"),
    ],
)
def test_limits_that_make_no_sense_are_refused(model, other, now, limits, error, words):
    with pytest.raises(error, match=words):
        monitor(model, other, now, limits=limits)


def test_an_earlier_moment_that_is_not_earlier_is_refused(model, other, now):
    with pytest.raises(ConfigError, match="is not before the index time"):
        monitor(model, other, now, earlier=now)


def test_a_moment_before_the_data_is_refused(model, other):
    with pytest.raises(CohortError, match="Nobody is eligible"):
        monitor(model, other, "1900-01-01")


# --- The page and the command


def test_the_texts_of_both_languages_have_the_same_keys():
    def paths(texts, above=()):
        for key, value in texts.items():
            yield (*above, key)
            if isinstance(value, dict):
                yield from paths(value, (*above, key))

    for room, name in (("report", "monitoring_texts.toml"), ("monitoring", "alarms.toml")):
        texts = read_texts(room, name)
        assert set(paths(texts["en"])) == set(paths(texts["da"])), name
    alarms = read_texts("monitoring", "alarms.toml")
    for kind, text in alarms["en"].items():
        words = [set(re.findall(r"{(\w+)}", text)), set(re.findall(r"{(\w+)}", alarms["da"][kind]))]
        assert words[0] == words[1], kind


def test_every_column_of_the_page_has_a_name():
    assert load_monitoring_sections()
    for language in ("en", "da"):
        words = load_monitoring_wording(language)
        for section in load_monitoring_sections():
            assert {*section.names, *section.show} <= set(words["column_in"]), section.id
            assert section.id in words["sections"]


@pytest.mark.parametrize("language", ["en", "da"])
def test_the_page_tells_every_alarm_and_fetches_nothing(watch, tmp_path, language):
    told = watch(stop_table)
    told.to_html(tmp_path / "page.html", language=language)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert told.alarms
    for alarm in told.alarms:
        assert alarm.say(language) in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    written = {file.stem for file in (tmp_path / "page-tables").glob("*.csv")}
    assert written == set(told.tables)
    assert page.count("<svg") == 2


def test_the_page_shows_what_moved_first_and_what_cannot_be_said_last(watch):
    (section,) = [section for section in load_monitoring_sections() if section.id == "features"]
    verdicts = choose_rows(section, watch(stop_table).tables["features"])["verdict"].to_list()
    assert verdicts[0] == "drift"
    assert verdicts[-1] is None
    assert verdicts.index("same") < verdicts.index("cut") < verdicts.index(None)


def test_the_key_of_the_bars_lies_beside_them():
    bins = pl.DataFrame({"target": "t", "bin": [1, 2, 3], "share": 1 / 3, "reference": 1 / 3})
    figure = plot_score_bins({"score_bins": bins}, load_monitoring_wording("en"))
    figure.draw_without_rendering()
    (key,) = figure.legends or [figure.axes[0].get_legend()]
    assert not key.get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_a_page_in_a_language_without_texts_is_refused(report, tmp_path):
    with pytest.raises(ConfigError, match="no texts"):
        report.to_html(tmp_path / "page.html", language="nb")


def test_a_page_that_cannot_be_written_is_one_sentence(report, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(SourceError, match="Choose another file"):
        report.to_html(tmp_path / "file" / "page.html")


def test_the_numbers_to_follow_are_plain(report):
    assert report.metrics["alarms"] == 0
    assert {"largest_psi", "frequent_admission.psi", "outcomes.auroc", "turnover.kept"} <= set(report.metrics)
    assert all(isinstance(value, float) and np.isfinite(value) for value in report.metrics.values())


@pytest.fixture(scope="module")
def stores(model, other, now, tmp_path_factory):
    """A saved model, and the stores of an undisturbed region and of one with a missing table."""
    folder = tmp_path_factory.mktemp("monitoring")
    model.save(folder / "model")
    sr.store.write_store(other, folder / "sound")
    sr.store.write_store(drop_table(other, now), folder / "faulty")
    return folder


@pytest.mark.parametrize(("name", "code"), [("sound", 0), ("faulty", 11)])
def test_the_exit_code_tells_a_scheduler(stores, run, now, tmp_path, name, code):
    told = run(
        *("monitor", "--store", stores / name, "--model", stores / "model", "--index-time", now.isoformat()),
        *("--out", tmp_path / "out", "--earlier", (now - MONTH).isoformat()),
    )
    assert told.code == code
    assert (tmp_path / "out" / "monitoring.html").is_file()
    assert (tmp_path / "out" / "monitoring-tables" / "alarms.csv").is_file()
    assert ("Alarm: Table primary_care" in told.out) == (code == 11)


def test_a_store_gives_the_same_tables_as_the_histories_it_was_made_from(model, stores, report, now):
    again = monitor(model, sr.read_histories(stores / "sound"), now, earlier=[now - MONTH, now - YEAR])
    assert report.tables.keys() == again.tables.keys()
    for name, table in report.tables.items():
        assert again.tables[name].equals(table), name


def test_a_run_is_tracked(report, tmp_path):
    tracking = pytest.importorskip("somv_risk.tracking._monitoring", exc_type=ImportError)
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracked = tracking.track_monitoring(report, uri=uri)
    run = mlflow.MlflowClient(uri).get_run(tracked.run_id)
    assert run.data.metrics["monitoring.alarms"] == 0
    assert run.data.metrics["monitoring.turnover.kept"] == pytest.approx(report.metrics["turnover.kept"])
    files = {file.path for file in mlflow.MlflowClient(uri).list_artifacts(tracked.run_id)}
    assert files == {"monitoring.html", "monitoring-tables"}
