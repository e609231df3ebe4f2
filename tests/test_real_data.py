"""Real and independent data go through the whole chain, and come out as plain counts of the files say."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import somv_risk as sr
from hes import (
    end_of,
    find_born_too_early,
    find_faults,
    has_no_icd10,
    is_acute_admission,
    left_early,
    list_stays,
    make_histories,
    read_episodes,
    start_of,
)
from independent_data import find_external, read_rows
from reference import reference_cohort, reference_features, reference_outcome
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, UNFINISHED_TREATMENT, Target, count_past_events
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import CohortError, IndexTimeError
from somv_risk.features import load_catalogue
from somv_risk.registers.histories import Histories
from somv_risk.report.outputs import write_outputs
from somv_risk.testing import assert_no_future_leakage

pytestmark = pytest.mark.external

MERGE_GAP, ADMISSION_LENGTH = timedelta(hours=4), timedelta(hours=12)
ABSENT = (
    *("psychiatric_contacts", "substance_abuse", "social_benefits", "social_services", "primary_care"),
    *("residence", "programme_events", "plans", "referrals", "responses"),
)
ALLOWING = {"allow": ["absent-tables"]}  # no open data set has all tables
ANY_ADMISSION = Target("any_admission", min_count=1, admission_types=("acute", "planned"))
AFFIRMED = re.compile(r"\b(No|Fewer than \d) recorded hospital (contacts|stays)")


def at(moments: dict[str, datetime]) -> pl.DataFrame:
    """Cohort rows, each person at a moment of their own."""
    rows = {"person_id": list(moments), "index_time": list(moments.values())}
    return pl.DataFrame(rows, schema={"person_id": pl.String, "index_time": pl.Datetime("us")})


def read_day(text: str) -> datetime:
    return datetime.fromisoformat(text[:10])


def assert_features_are_the_references(histories: Histories, rows: pl.DataFrame) -> None:
    tables = {name: frame.collect().to_dicts() for name, frame in histories.tables.items()}
    built = sr.build_features(histories, rows).collect().to_dicts()
    names = [feature.name for feature in load_catalogue()]
    for found in built:
        expected = reference_features(tables, found["person_id"], found["index_time"])
        wrong = [name for name in names if found[name] != expected[name]]
        assert not wrong, wrong


# --- MIMIC-IV demo: real persons of one hospital, each with a calendar of their own


@pytest.fixture(scope="module")
def mimic_folder() -> Path:
    return find_external("mimic_iv_demo_omop")


@pytest.fixture(scope="module")
def mimic(mimic_folder) -> Histories:
    return sr.from_omop(mimic_folder)


@pytest.fixture(scope="module")
def observed(mimic_folder) -> dict[str, tuple[datetime, datetime]]:
    """First and last day on which each person was seen."""
    return {
        row["person_id"]: (
            read_day(row["observation_period_start_date"]),
            read_day(row["observation_period_end_date"]),
        )
        for row in read_rows(mimic_folder / "observation_period.csv")
    }


@pytest.fixture(scope="module")
def deaths(mimic_folder) -> dict[str, datetime]:
    return {row["person_id"]: read_day(row["death_date"]) for row in read_rows(mimic_folder / "death.csv")}


@pytest.fixture(scope="module")
def visits(mimic_folder) -> dict[str, list[tuple[datetime, datetime]]]:
    """Start and end of each hospital stay as delivered: those whose key names a hospital admission."""
    found = defaultdict(list)
    for row in read_rows(mimic_folder / "visit_occurrence.csv"):
        if re.fullmatch(r"\d+\|\d+", row["visit_source_value"]):
            moments = (row["visit_start_datetime"], row["visit_end_datetime"])
            found[row["person_id"]].append(tuple(datetime.fromisoformat(text) for text in moments))
    return dict(found)


def list_admissions(visits: list[tuple[datetime, datetime]]) -> list[datetime]:
    """Starts of the admissions that a person's hospital stays make together."""
    stays: list[list[datetime]] = []
    for start, end in sorted(visits):
        if stays and start - stays[-1][1] <= MERGE_GAP:
            stays[-1][1] = max(stays[-1][1], end)
        else:
            stays.append([start, end])
    return [start for start, end in stays if end - start >= ADMISSION_LENGTH]


def at_last_visit(visits) -> pl.DataFrame:
    """The midnight before each person's last hospital stay began."""
    return at({name: read_day(max(own)[0].isoformat()) for name, own in visits.items()})


def test_mimic_is_read_without_setting_anything_aside(mimic, visits):
    assert mimic.quarantine.count() == 0
    assert mimic.absent == ABSENT
    read = mimic.admissions.select("person_id", "started_at", "ended_at").collect()
    assert Counter(read.iter_rows()) == Counter(
        (name, *visit) for name, own in visits.items() for visit in own
    )


def test_one_index_moment_finds_almost_nobody_where_everybody_has_a_calendar_of_their_own(
    mimic, observed, deaths
):
    found = {}
    for year in range(2111, 2201):
        index = datetime(year, 1, 1)
        found[year] = sr.make_cohort(mimic, [index]).rows.collect().height
        assert found[year] == sum(
            since <= index - timedelta(days=365) and index <= until and deaths.get(name, index) >= index
            for name, (since, until) in observed.items()
        )
    assert 0 < max(found.values()) < 10


def test_nobody_in_mimic_is_scored_in_our_time(mimic, model):
    with pytest.raises(CohortError, match="Nobody is eligible"):
        sr.score(model, mimic, index_time="2026-01-01", **ALLOWING)


def test_mimic_is_too_small_to_train_on_and_train_says_so(mimic):
    with pytest.raises(CohortError, match="too few persons with the outcome: 0 in everybody"):
        sr.train(mimic)


def test_every_feature_of_real_persons_is_what_the_reference_says(mimic, visits, observed):
    for rows in (at_last_visit(visits), at({name: until for name, (_, until) in observed.items()})):
        assert_features_are_the_references(mimic, rows)


def test_outcomes_of_real_persons_are_counted_as_their_stays_say(mimic, visits):
    rows = at_last_visit(visits)
    found = sr.label_outcomes(mimic, rows, ANY_ADMISSION).collect()
    index_of = dict(rows.iter_rows())
    expected = [
        sum(index_of[name] <= start < index_of[name] + timedelta(days=365) for start in list_admissions(own))
        for name, own in visits.items()
    ]
    assert found["outcome_events"].to_list() == expected
    assert all(outcome for outcome, events in found.select("outcome", "outcome_events").iter_rows() if events)


def test_past_admissions_of_real_persons_are_counted_as_their_stays_say(mimic, visits, observed):
    """A stay that is open at the index has lasted until then, and is an admission after 12 hours."""
    rows = at({name: until for name, (_, until) in observed.items()})
    found = count_past_events(mimic, rows, ANY_ADMISSION).collect()["outcome_events"].to_list()
    expected = []
    for name, (_, until) in observed.items():
        known = [(start, min(end, until)) for start, end in visits[name] if start < until]
        expected.append(sum(start >= until - timedelta(days=365) for start in list_admissions(known)))
    assert found == expected
    assert sum(expected) > 100


def test_features_of_real_persons_do_not_see_the_future(mimic, visits):
    """Each of the persons with most stays at the middle of their own history, and all at one moment."""
    assert_no_future_leakage(mimic, datetime(2150, 1, 1), rounds=1)
    for name in sorted(visits, key=lambda name: -len(visits[name]))[:3]:
        middle = sorted(visits[name])[len(visits[name]) // 2][0]
        assert_no_future_leakage(mimic.keep_persons(at({name: middle}).lazy()), middle)


@pytest.fixture(scope="module")
def scored(mimic, model, observed, deaths) -> pl.DataFrame:
    """Those who were seen for a year, each scored on the last day they were seen, highest risk first."""
    last_days = {
        name: until
        for name, (since, until) in observed.items()
        if since <= until - timedelta(days=365) and deaths.get(name, until) >= until
    }
    scores = [
        sr.score(model, mimic, index_time=day, person_ids=[name], capacity=1, language="en", **ALLOWING)
        for name, day in last_days.items()
    ]
    assert all(one.height == 1 for one in scores)
    ranked = pl.concat(scores).sort("risk", descending=True)
    return ranked.with_columns(rank=pl.int_range(1, pl.len() + 1), flagged=pl.int_range(pl.len()) < 10)


def test_who_was_not_seen_for_a_year_has_no_score(mimic, model, observed, scored):
    left_out = set(observed) - set(scored["person_id"])
    assert len(left_out) > 50
    for name in sorted(left_out)[:5]:
        with pytest.raises(CohortError, match=r"fail '(resident_for_365_days|alive)'"):
            sr.score(model, mimic, index_time=observed[name][1], person_ids=[name], **ALLOWING)


def test_known_are_those_with_three_acute_admissions_in_the_year_before(mimic, model, scored):
    rows = scored.select("person_id", "index_time")
    counted = sr.build_features(mimic, rows).select("acute_admissions_365d").collect()
    is_known = (counted["acute_admissions_365d"] >= model.main.target.min_count).to_list()
    assert [word == "known" for word in scored["known_or_new"]] == is_known
    assert 0 < sum(is_known) < len(is_known)


def test_scores_say_which_tables_a_real_delivery_lacks(scored):
    told = (
        "No information on psychiatric contacts, substance treatment, benefits, municipal services, "
        "primary care. The risk is estimated without it; how well it holds was measured with all tables."
    )
    assert set(scored["warnings"].list.join(" ")) == {told}


def test_explanations_of_real_persons_add_up(mimic, model, scored):
    assert scored.height > 10
    for name, index_time, risk in scored.select("person_id", "index_time", "risk").iter_rows():
        told = sr.explain_person(model, mimic, name, index_time, language="en", **ALLOWING)
        assert told.base + told.contributions["contribution"].sum() == pytest.approx(told.raw, abs=1e-6)
        assert told.risk == risk


@pytest.mark.parametrize("language", ["da", "en"])
def test_real_persons_are_told_reasons_with_the_events_behind_them(mimic, model, scored, language):
    visits = set(mimic.admissions.select("person_id", "started_at").collect().iter_rows())
    assert scored.height > 10
    for name, index_time in scored.head(10).select("person_id", "index_time").iter_rows():
        told = sr.explain_person(model, mimic, name, index_time, language=language, **ALLOWING)
        assert told.reasons
        assert not any("{" in reason.text or "None" in reason.text for reason in told.reasons)
        shown = [row for frame in told.evidence.values() for row in frame.iter_rows(named=True)]
        hospital = [row for row in shown if row["events"] in ("admissions", "stays", "contacts")]
        assert hospital
        assert all((name, row["started_at"]) in visits for row in hospital)
        assert all(row["started_at"] < index_time for row in shown)


def test_nobody_with_hospital_contacts_is_said_to_have_none(mimic, model, visits, scored):
    """No contact here states its department, which once read as no contact at all."""
    often = [
        (name, index_time)
        for name, index_time in scored.select("person_id", "index_time").iter_rows()
        if sum(index_time - start <= timedelta(days=365) for start, _ in visits[name]) > 2
    ]
    assert often
    for name, index_time in often:
        told = sr.explain_person(model, mimic, name, index_time, language="en", **ALLOWING)
        assert not any(AFFIRMED.search(reason.text) for reason in told.reasons)


def test_a_worklist_of_real_persons_is_written(mimic, model, scored, tmp_path):
    write_outputs(model, mimic, scored, tmp_path, language="en")
    page = (tmp_path / "worklist.html").read_text(encoding="utf-8")
    flagged = scored.filter("flagged")["person_id"].to_list()
    assert len(flagged) == 10
    assert all(name in page for name in flagged)
    assert pl.read_csv(tmp_path / "worklist.csv", infer_schema=False)["person_id"].to_list() == flagged
    assert pl.read_parquet(tmp_path / "scores.parquet").height == scored.height


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_evaluation_of_real_persons_counts_those_whose_outcome_is_known(mimic, model, tmp_path):
    """A handful of persons at any moment: numbers or notes, and never a number made of nobody."""
    tables = {name: frame.collect().to_dicts() for name, frame in mimic.tables.items()}
    moments = [datetime(year, 1, 1) for year in (2126, 2147, 2150)]
    report = sr.evaluate(model, mimic, index_times=moments, persons="all", draws=20, **ALLOWING)
    for moment in moments:
        eligible = [name for name, _ in reference_cohort(tables, [moment])]
        labels = [
            reference_outcome(tables, name, moment, FREQUENT_ADMISSION, mimic.data_end)[1]
            for name in eligible
        ]
        cases = report.tables["cases"].filter(population="all", index_time=moment).row(0, named=True)
        assert cases["rows"] == sum(outcome is not None for outcome in labels)
        assert cases["events"] == sum(outcome is True for outcome in labels)
    assert_no_number_lacks_a_reason(report)
    assert_pages_are_written(report, tmp_path)


def assert_pages_are_written(report, folder: Path) -> None:
    for language in ("da", "en"):
        report.to_html(folder / f"{language}.html", language=language)
        assert (folder / f"{language}.html").stat().st_size > 10_000


def assert_no_number_lacks_a_reason(report) -> None:
    for name, table in report.tables.items():
        if {"value", "note"} <= set(table.columns):
            assert table.filter(pl.col("value").is_null() & pl.col("note").is_null()).is_empty(), name
        assert not any(
            table[column].is_nan().any() for column in table.columns if table[column].dtype.is_float()
        )


def test_an_evaluation_in_our_time_is_refused_as_nobodys_outcome_is_known(mimic, model):
    with pytest.raises(CohortError, match="No outcome is known"):
        sr.evaluate(model, mimic, index_times=["2026-01-01"], persons="all", **ALLOWING)


# --- Synthea: made-up persons in OMOP, by makers of their own


@pytest.fixture(scope="module")
def synthea_folder() -> Path:
    return find_external("synthea_omop")


@pytest.fixture(scope="module")
def synthea(synthea_folder) -> Histories:
    return sr.from_omop(synthea_folder)


def test_synthea_is_read_without_setting_anything_aside(synthea, synthea_folder):
    rows = read_rows(synthea_folder / "VISIT_OCCURRENCE.csv")
    hospital = [row for row in rows if row["visit_concept_id"] in ("9201", "9203")]
    assert synthea.quarantine.count() == 0
    assert synthea.admissions.collect().height == len(hospital)


def test_every_feature_of_synthea_is_what_the_reference_says(synthea):
    persons = synthea.persons.collect()["person_id"]
    for year in (2005, 2015, 2020):
        assert_features_are_the_references(synthea, at({name: datetime(year, 1, 1) for name in persons}))


def test_outcomes_of_synthea_are_counted_as_its_visits_say(synthea, synthea_folder):
    visits = defaultdict(list)
    for row in read_rows(synthea_folder / "VISIT_OCCURRENCE.csv"):
        if row["visit_concept_id"] in ("9201", "9203"):
            moments = (row["visit_start_datetime"], row["visit_end_datetime"])
            visits[row["person_id"]].append(tuple(datetime.fromisoformat(text) for text in moments))
    start = datetime(1990, 1, 1)
    everything = replace(ANY_ADMISSION, horizon=Horizon(12_000))
    found = sr.label_outcomes(synthea, at(dict.fromkeys(visits, start)), everything).collect()
    expected = [sum(moment >= start for moment in list_admissions(own)) for own in visits.values()]
    assert found["outcome_events"].to_list() == expected
    assert sum(expected) > 0


def test_synthea_is_scored_and_too_small_to_train_on(synthea, model):
    scores = sr.score(model, synthea, index_time="2020-01-01", explain="all", language="da", **ALLOWING)
    assert scores.height == sr.make_cohort(synthea, ["2020-01-01"]).rows.collect().height > 10
    assert scores["reasons"].list.len().min() > 0
    with pytest.raises(CohortError, match="too few persons with the outcome"):
        sr.train(synthea)


def test_an_evaluation_without_events_has_notes_in_place_of_numbers(synthea, model):
    report = sr.evaluate(
        model, synthea, index_times=["2015-01-01", "2020-01-01"], persons="all", draws=20, **ALLOWING
    )
    separation = report.metrics.filter(pl.col("metric").is_in(["auroc", "average_precision"]))
    assert separation["value"].null_count() == separation.height > 0
    assert_no_number_lacks_a_reason(report)


def test_features_of_synthea_do_not_see_the_future(synthea):
    assert_no_future_leakage(synthea, datetime(2015, 1, 1))


# --- Artificial HES: episodes whose fields know nothing of each other


HES_INDEX = datetime(2001, 7, 1)


@pytest.fixture(scope="module")
def episodes():
    return read_episodes(find_external("artificial_hes"))


@pytest.fixture(scope="module")
def hes(episodes) -> Histories:
    return make_histories(episodes)


@pytest.fixture(scope="module")
def stays(episodes):
    born_too_early = find_born_too_early(episodes)
    return list_stays([row for row in episodes if not find_faults(row, born_too_early)])


def test_hes_episodes_are_set_aside_for_what_is_wrong_with_them(hes, episodes):
    born_too_early = find_born_too_early(episodes)
    faulty = {row["EPIKEY"] for row in episodes if find_faults(row, born_too_early)}
    assert set(hes.quarantine.list_set_aside("admissions")["contact_id"]) == faulty
    assert set(hes.quarantine["persons"]["person_id"]) == born_too_early
    assert hes.admissions.collect().height == len(episodes) - len(faulty)
    assert hes.persons.collect().height == 994 - len(born_too_early)


def test_every_fault_of_hes_is_counted_under_its_rule(hes, episodes):
    born_too_early = find_born_too_early(episodes)
    faults = Counter(fault for row in episodes for fault in find_faults(row, born_too_early))
    rules = hes.quarantine.list_set_aside("admissions")["rule"].value_counts()
    assert dict(rules.iter_rows()) == faults


def test_hes_episodes_with_a_diagnosis_that_is_no_icd10_are_kept_without_it(hes, episodes):
    born_too_early = find_born_too_early(episodes)
    bad = {row["EPIKEY"] for row in episodes if has_no_icd10(row) and not find_faults(row, born_too_early)}
    assert set(hes.quarantine.list_kept_without("admissions")["contact_id"]) == bad
    undiagnosed = hes.admissions.filter(pl.col("diagnosis").is_null()).collect()["contact_id"]
    assert bad <= set(undiagnosed)


def test_acute_admissions_of_hes_are_counted_as_its_episodes_say(hes, stays):
    persons = hes.persons.collect()["person_id"].to_list()
    rows = at(dict.fromkeys(persons, HES_INDEX))
    found = sr.label_outcomes(hes, rows, replace(ANY_ADMISSION, admission_types=("acute",))).collect()
    expected = [
        sum(is_acute_admission(stay) for stay in stays.get(name, []) if start_of(stay[0]) >= HES_INDEX)
        for name in persons
    ]
    assert found["outcome_events"].to_list() == expected
    assert sum(expected) > 100


def test_self_discharges_of_hes_are_unfinished_stays(hes, stays):
    """The last episode of a stay says how the stay ended; a year from the first day holds all the rest."""
    first_day = datetime(2001, 4, 1)
    persons = hes.persons.collect()["person_id"].to_list()
    found = sr.label_outcomes(hes, at(dict.fromkeys(persons, first_day)), UNFINISHED_TREATMENT).collect()
    ended = {name: [s for s in own if max(map(end_of, s)) >= first_day] for name, own in stays.items()}
    expected = [sum(map(left_early, ended.get(name, []))) for name in persons]
    assert found["outcome_events"].to_list() == expected
    assert sum(expected) > 5


def test_every_feature_of_hes_is_what_the_reference_says(hes):
    persons = hes.persons.collect()["person_id"]
    assert_features_are_the_references(hes, at(dict.fromkeys(persons, HES_INDEX)))


def test_features_of_hes_do_not_see_the_future(hes):
    assert_no_future_leakage(hes, HES_INDEX)


def test_an_evaluation_of_hes_is_refused_a_horizon_that_the_data_do_not_hold(hes, model):
    with pytest.raises(IndexTimeError, match="before the horizon of 365 days"):
        sr.evaluate(model, hes, index_times=[HES_INDEX], persons="all", **ALLOWING)


def test_hes_is_scored_with_departments_told(hes, model):
    scores = sr.score(model, hes, index_time=HES_INDEX, capacity=20, language="en", reasons=11, **ALLOWING)
    assert scores.filter("flagged").height == 20
    assert any("department" in reason["text"] for row in scores["reasons"] for reason in row)
