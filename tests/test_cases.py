"""Cases of a model: who is followed, what was foretold of them, what came, and what was known of them."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import somv_risk as sr
from drawn import draw_histories
from reference import (
    DAY,
    bound_rows,
    cut_to_known,
    last_midnight,
    midnight,
    of_person,
    reference_outcome,
    reference_stays,
)
from small_world import INDEX, build_cohort, hospital_worlds
from somv_risk.cohort.outcomes import Target, measure_burden
from somv_risk.cohort.splits import PersonSplit, add_role
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError, IndexTimeError
from somv_risk.evaluation.evaluate import _compare_lists
from somv_risk.evaluation.subgroups import build_groups, list_groupings
from somv_risk.evaluation.test_set import Followed, follow
from somv_risk.metrics import Cases, read_capacities
from somv_risk.registers.histories import Histories
from somv_risk.testing.people import INDEX_TIME, PEOPLE, mix

YEAR = Horizon(365)
OFFICIAL = Target("frequent_admission", excluded_diagnoses=("F", "T51"))


# What care followed


def reference_burden(tables, person_id, index, days, data_end) -> tuple[int, float]:
    """Acute admissions that start in the horizon, and their days to its end."""
    contacts = tables["admissions"]
    until = data_end or max((row["started_at"] for row in contacts), default=datetime(1, 1, 1))
    end, admissions, bed_days = index + days * DAY, 0, timedelta(0)
    (person,) = of_person(tables["persons"], person_id)
    own = bound_rows(of_person(contacts, person_id), "admissions", until, last_midnight(person["death_date"]))
    for stay in reference_stays(own, until):
        if stay["is_acute"] and stay["is_admission"] and index <= stay["started_at"] < end:
            admissions += 1
            bed_days += min(stay["started_at"] + stay["lasted"], end) - stay["started_at"]
    return admissions, bed_days / DAY


@given(hospital_worlds(), st.sampled_from([1, 2, 3, 5, 30, 365]))
def test_the_burden_is_what_the_reference_says(world, days):
    told = measure_burden(world.histories, build_cohort(world.cohort), Horizon(days)).collect()
    assert told.columns == ["person_id", "index_time", "admissions", "bed_days"]
    assert len(told) == len(world.cohort)
    for (*key, admissions, bed_days), asked in zip(told.rows(), world.cohort, strict=True):
        assert tuple(key) == asked
        expected = reference_burden(world.tables, *asked, days, world.data_end)
        assert (admissions, bed_days) == pytest.approx(expected, abs=1e-9)


def test_the_burden_of_one_person_counted_by_hand():
    drawn = """
        started_at ended_at admission_type
        -2d        +3d      acute
        0          +2d      acute
        +10d       +10d+6h  acute
        +20d       +25d     planned
        +28d       +40d     acute
        +30d       +33d     acute
        """
    # The first two are one stay, which began before the index; the third is a visit, the fourth is planned;
    # of the fifth two days lie in the horizon; the last begins inside it.
    histories = draw_histories(admissions=drawn, data_end=INDEX + 365 * DAY)
    told = measure_burden(histories, build_cohort([("ada", INDEX)]), Horizon(30)).collect()
    assert told.select("admissions", "bed_days").rows() == [(1, 2.0)]


# Groups


def find_group(grouping: str, **drawn) -> str | None:
    return build_groups(draw_histories(**drawn), build_cohort([("ada", INDEX)]))[grouping].item()


def draw_benefit(start: str, end: str = ".", benefit: str = "social_assistance") -> str:
    return f"started_at ended_at benefit\n{start} {end} {benefit}"


def test_a_benefit_paid_at_the_index_is_the_group():
    assert find_group("benefit_group", social_benefits=draw_benefit("-40d")) == "social_assistance"
    assert find_group("benefit_group", social_benefits=draw_benefit("-40d", benefit="pension")) == "pension"


@pytest.mark.parametrize(("start", "end"), [("0", "."), ("+1d", "."), ("-40d", "-10d")])
def test_a_benefit_that_starts_later_or_ended_before_is_not_seen(start, end):
    assert find_group("benefit_group", social_benefits=draw_benefit(start, end)) == "none"


def test_of_two_benefits_the_rarer_way_of_living_is_the_group():
    both = "started_at benefit\n-40d self_support\n-30d early_retirement"
    assert find_group("benefit_group", social_benefits=both) == "early_retirement"


@pytest.mark.parametrize(("moment", "group"), [("-30d", "yes"), ("-1d", "yes"), ("0", "no"), ("+5d", "no")])
def test_a_shelter_before_the_index_is_homelessness_and_after_it_is_not(moment, group):
    drawn = f"started_at ended_at service\n{moment} . shelter"
    assert find_group("homelessness", social_services=drawn) == group


@pytest.mark.parametrize(
    ("code", "moment", "grouping", "group"),
    [
        ("F200", "-100d", "severe_mental_illness", "yes"),
        ("F312", "-1800d", "severe_mental_illness", "yes"),
        ("F200", "-1900d", "severe_mental_illness", "no"),
        ("F200", "+1d", "severe_mental_illness", "no"),
        ("F329", "-100d", "severe_mental_illness", "no"),
        ("F102", "-100d", "substance_use", "yes"),
        ("F171", "-100d", "substance_use", "no"),
        ("F102", "-800d", "substance_use", "no"),
    ],
)
def test_a_diagnosis_of_the_right_kind_and_time_is_the_group(code, moment, grouping, group):
    drawn = f"started_at ended_at diagnosis\n{moment} {moment}+1d {code}"
    assert find_group(grouping, admissions=drawn) == group


def test_where_a_table_was_not_delivered_the_group_is_unknown():
    cohort = build_cohort([("ada", INDEX)])
    groups = build_groups(draw_histories(absent=("social_benefits",)), cohort)
    assert groups["benefit_group"].to_list() == [None]
    cases = Cases(outcome=np.array([True]), rankings={"model": np.array([0.1])}, groups=groups)
    assert cases.groups["benefit_group"].to_list() == ["unknown"]
    assert cases.groups["sex"].to_list() == ["female"]


@pytest.mark.parametrize(
    ("birth", "band"),
    [
        (date(2007, 3, 1), "18-29"),
        (date(1995, 3, 2), "18-29"),
        (date(1995, 3, 1), "30-44"),
        (date(1945, 3, 1), "80 and over"),
        (date(1945, 3, 2), "65-79"),
        (date(2007, 3, 2), "under 18"),
    ],
)
def test_a_birthday_on_the_index_day_counts_for_the_age_band(birth, band):
    assert find_group("age_band", person={"birth_date": birth}) == band


def test_groups_are_in_the_order_of_the_rows_asked_for(region):
    rows = region.persons.select("person_id").head(40).collect().sample(40, shuffle=True, seed=1)
    cohort = rows.with_columns(pl.lit(region.data_end).alias("index_time"))
    told = build_groups(region, cohort)
    assert tuple(told.columns) == list_groupings()
    sexes = dict(region.persons.select("person_id", "sex").collect().rows())
    assert told["sex"].to_list() == [sexes[one] for one in rows["person_id"]]


# Named people, followed for a year


@pytest.fixture(scope="module")
def people() -> Histories:
    tables = mix(*(person() for person in PEOPLE.values()))
    return sr.from_frames(**tables, data_end=INDEX_TIME)


A_YEAR_BEFORE = INDEX_TIME - 365 * DAY


@pytest.fixture(scope="module")
def followed_people(model, people) -> Followed:
    return follow(model, people, A_YEAR_BEFORE, persons="all")


def list_rows(histories: Histories, person_ids=None) -> dict[str, list[dict]]:
    tables = {name: table.collect() for name, table in histories.tables.items()}
    if person_ids is not None:
        tables = {name: table.filter(pl.col("person_id").is_in(person_ids)) for name, table in tables.items()}
    return {name: table.to_dicts() for name, table in tables.items()}


def count_past(tables, person_id, index, days, lags) -> int:
    """Acute admissions that began in the days before the index, as far as they were known at it."""
    known = cut_to_known(tables, person_id, index, lags)
    stays = reference_stays(known.rows("admissions"), index)
    start = index - days * DAY
    return sum(stay["is_acute"] and stay["is_admission"] and stay["started_at"] >= start for stay in stays)


def assert_cases_are_those_of_the_reference(
    followed: Followed, histories: Histories, person_ids, model
) -> None:
    tables, index, end = list_rows(histories, person_ids), followed.index_time, histories.data_end
    cases, places = followed.cases, {one: place for place, one in enumerate(followed.person_ids)}
    lags = dict(model.lags.days)
    for person_id in person_ids:
        place = places[person_id]
        _, outcome = reference_outcome(tables, person_id, index, Target("any"), end)
        past = count_past(tables, person_id, index, 365, lags)
        programme = count_past(tables, person_id, index, 183, lags) >= 3
        events, _ = reference_outcome(tables, person_id, index, OFFICIAL, end)
        burden = reference_burden(tables, person_id, index, 365, end)
        assert cases.outcome[place] == outcome
        assert cases.rankings["count_last_year"][place] == past
        assert cases.rankings["programme_rule"][place] == programme
        assert cases.rules["programme_rule"][place] == programme
        assert cases.rules["count_rule"][place] == (past >= 3)
        assert cases.is_new[place] == (past < 3)
        assert cases.is_counted[place] == (events >= 3)
        assert (cases.admissions[place], cases.bed_days[place]) == pytest.approx(burden, abs=1e-9)


def test_named_people_are_followed_as_the_reference_follows_them(followed_people, people, model):
    assert sorted(followed_people.person_ids) == sorted(PEOPLE)
    assert_cases_are_those_of_the_reference(followed_people, people, list(PEOPLE), model)


def test_what_came_of_thomas_and_karen_counted_by_hand(followed_people):
    cases, ids = followed_people.cases, followed_people.person_ids.to_list()
    thomas, karen = ids.index("thomas"), ids.index("karen")
    # In 2025 his drawing has 19 acute stays of half a day or more, three of them of two contacts less than
    # four hours apart. Official counting leaves four: K709, E116, K703 and S060.
    assert (cases.outcome[thomas], cases.admissions[thomas]) == (True, 19)
    assert cases.is_counted[thomas]
    assert (cases.outcome[karen], cases.admissions[karen], cases.is_new[karen]) == (False, 0, True)


@pytest.mark.parametrize(
    ("code", "is_counted"), [("I109", True), ("T510", False), ("F102", False), ("T500", True)]
)
def test_official_counting_leaves_out_the_mind_and_alcohol_poisoning(model, code, is_counted):
    drawn = f"""
        started_at ended_at diagnosis
        +10d       +12d     J440
        +20d       +22d     J440
        +30d       +32d     {code}
        """
    histories = draw_histories(admissions=drawn, data_end=INDEX + 365 * DAY)
    cases = follow(model, histories, INDEX, persons="all").cases
    assert (cases.outcome.tolist(), cases.is_counted.tolist()) == ([True], [is_counted])


def test_the_risks_and_their_order_are_those_of_score(followed_people, people, model):
    scored = sr.score(model, people, index_time=A_YEAR_BEFORE, explain="none")
    assert followed_people.person_ids.to_list() == scored["person_id"].to_list()
    assert followed_people.cases.rankings["model"].tolist() == scored["risk"].to_list()
    assert (~followed_people.cases.is_new).tolist() == (scored["known_or_new"] == "known").to_list()


# A simulated region


@pytest.fixture(scope="module")
def index(region) -> datetime:
    return region.data_end - 365 * DAY


@pytest.fixture(scope="module")
def split(plan, model) -> PersonSplit:
    return PersonSplit(plan["persons"], salt=f"somv_risk:{model.facts['config']['seed']}")


@pytest.fixture(scope="module")
def followed(model, region, index, split) -> Followed:
    return follow(model, region, index, split=split)


@pytest.fixture(scope="module")
def region_scores(model, region, index) -> pl.DataFrame:
    return sr.score(model, region, index_time=index, explain="none")


def test_persons_of_a_region_are_followed_as_the_reference_follows_them(followed, region, model):
    told = followed.person_ids.gather([*range(25), *range(25, len(followed.person_ids), 101)]).to_list()
    assert_cases_are_those_of_the_reference(followed, region, told, model)


def test_those_followed_are_kept_for_the_test_and_nobody_else(followed, region_scores, split):
    roles = add_role(region_scores.lazy().select("person_id"), split).collect()
    kept = set(roles.filter(pl.col("role") == "test")["person_id"])
    known = set(followed.person_ids)
    assert known <= kept
    # The others' outcome is not known: they were lost to follow-up.
    rule, before, after = followed.attrition.row(-1)
    assert (rule, before, after) == ("outcome is known", len(kept), len(known))
    assert len(known) > 0.9 * len(kept)


def test_the_order_and_the_risks_of_a_region_are_those_of_score(followed, region_scores):
    same = region_scores.filter(pl.col("person_id").is_in(followed.person_ids.implode()))
    assert followed.person_ids.to_list() == same["person_id"].to_list()
    assert followed.cases.rankings["model"].tolist() == same["risk"].to_list()


def test_everybody_is_followed_if_all_are_asked_for(model, region, index, followed, split):
    everybody = follow(model, region, index, persons="all", split=split)
    assert set(followed.person_ids) < set(everybody.person_ids)
    assert "neither grew nor calibrated the model" not in everybody.attrition["rule"].to_list()
    steps = everybody.attrition
    assert steps["rows_before"].to_list()[1:] == steps["rows_after"].to_list()[:-1]


def test_nobody_who_died_before_the_index_or_left_without_the_outcome_is_a_case(followed, region):
    fates = region.persons.filter(pl.col("person_id").is_in(followed.person_ids.implode())).collect()
    had = dict(zip(followed.person_ids, followed.cases.outcome, strict=True))
    assert fates.height == len(had) > 1_000
    for row in fates.iter_rows(named=True):
        died, left = midnight(row["death_date"]), midnight(row["observed_until"])
        assert died is None or died >= followed.index_time
        end = min(one for one in (died, region.data_end) if one is not None)
        assert had[row["person_id"]] or left is None or left >= min(end, followed.index_time + 365 * DAY)


def test_persons_kept_for_the_test_need_a_split(model, region, index):
    with pytest.raises(ConfigError, match="Give a split"):
        follow(model, region, index)
    with pytest.raises(ConfigError, match=r"Give one of \['test', 'all'\]"):
        follow(model, region, index, persons="some")


def test_a_target_the_model_does_not_have_is_refused(model, region, index):
    with pytest.raises(ConfigError, match="no target"):
        follow(model, region, index, target="other", persons="all")


def test_a_horizon_that_ends_after_the_data_is_refused(model, region, index):
    with pytest.raises(IndexTimeError, match=f"The latest possible index time is {index}"):
        follow(model, region, index + timedelta(microseconds=1), persons="all")


# A whole evaluation


@pytest.fixture(scope="module")
def report(model, region, index):
    moments = [index, index - 90 * DAY]
    return sr.evaluate(
        model, region, index_times=moments, capacities=["20", "1 %"], working_capacity="5 %", draws=0
    )


def test_each_index_time_is_judged_on_its_own(report, index):
    assert report.metrics["index_time"].unique().sort().to_list() == [index - 90 * DAY, index]


def test_the_area_reported_is_that_of_scores_and_reference_labels(
    report, index, region, region_scores, split
):
    roles = add_role(region_scores.lazy().select("person_id"), split).collect()
    kept = region_scores.filter(roles["role"] == "test")
    tables = list_rows(region, kept["person_id"].to_list())
    people = {row["person_id"]: row for row in tables["persons"]}
    contacts = {person_id: [] for person_id in people}
    for row in tables["admissions"]:
        contacts[row["person_id"]].append(row)
    labels = [
        reference_outcome(
            {"persons": [people[one]], "admissions": contacts[one]},
            one,
            index,
            Target("any"),
            region.data_end,
        )[1]
        for one in kept["person_id"]
    ]
    known = np.array([label is not None for label in labels])
    outcome = np.array([label is True for label in labels])[known]
    expected = roc_auc_score(outcome, kept["risk"].to_numpy()[known])
    told = report.metrics.filter(index_time=index, population="all", ranking="model", metric="auroc")
    assert told["value"].item() == pytest.approx(expected, abs=1e-12)
    (row,) = report.tables["cases"].filter(index_time=index, population="all").to_dicts()
    assert (row["rows"], row["events"]) == (known.sum(), outcome.sum())


def test_every_grouping_is_judged(report):
    told = set(report.tables["fairness"]["grouping"])
    assert told == {"all", *list_groupings()}
    assert report.facts["groupings"] == list(list_groupings())


def test_the_facts_say_what_was_judged(report, model, index):
    facts = report.facts
    assert facts["index_times"] == [one.isoformat() for one in (index - 90 * DAY, index)]
    assert (facts["draws"], facts["seed"], facts["persons"]) == (0, 0, "test")
    assert (facts["capacities"], facts["working_capacity"]) == (["20", "1 %"], "5 %")
    assert facts["target"]["name"] == "frequent_admission"
    assert facts["histories"]["rows"]["persons"] == 20_000
    assert facts["features"] == len(model.features)


@pytest.mark.parametrize("others", [0, 1])
def test_an_index_time_whose_horizon_ends_after_the_data_is_an_error_beside_others_too(
    model, region, index, others
):
    moments = [region.data_end, index][: 1 + others]
    with pytest.raises(IndexTimeError, match=f"The latest possible index time is {index}"):
        sr.evaluate(model, region, index_times=moments, draws=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"index_times": []},
        {"capacities": ["none"]},
        {"working_capacity": "0"},
        {"target": "other"},
        {"persons": "some"},
        {"draws": -1},
    ],
)
def test_an_evaluation_refuses_what_is_out_of_range(model, people, wrong):
    given = {"index_times": [A_YEAR_BEFORE], "persons": "all", "draws": 0} | wrong
    with pytest.raises(ConfigError):
        sr.evaluate(model, people, **given)


# Turnover


def follow_names(day: int, names: str) -> Followed:
    cases = Cases(outcome=np.zeros(len(names), bool), rankings={"model": np.zeros(len(names))})
    return Followed(INDEX + day * DAY, pl.Series(list(names)), cases, pl.DataFrame())


def test_turnover_is_the_share_of_the_first_list_that_is_on_the_second():
    lists = [follow_names(0, "abcdefgh"), follow_names(30, "bxazdcyw"), follow_names(60, "pq")]
    rows = _compare_lists(lists, read_capacities(["4", "25 %"])).rows()
    note = "Nobody of the first list could be on the second: none was eligible with a known outcome."
    # Of a, b, c, d all could stay, and a and b are among b, x, a, z. Of a and b one is on the list b, x.
    assert rows == [
        (INDEX, INDEX + 30 * DAY, "model", "4", 4, 0.5, None),
        (INDEX, INDEX + 30 * DAY, "model", "25 %", 2, 0.5, None),
        (INDEX + 30 * DAY, INDEX + 60 * DAY, "model", "4", 0, None, note),
        (INDEX + 30 * DAY, INDEX + 60 * DAY, "model", "25 %", 0, None, note),
    ]


def test_turnover_of_a_reference_is_that_of_its_own_list():
    def follow_counts(day: int, counts: dict[str, float]) -> Followed:
        rankings = {"model": np.zeros(len(counts)), "count_last_year": np.array(list(counts.values()))}
        cases = Cases(outcome=np.zeros(len(counts), bool), rankings=rankings)
        return Followed(INDEX + day * DAY, pl.Series(list(counts)), cases, pl.DataFrame())

    first = follow_counts(0, {"a": 0, "b": 5, "c": 4, "d": 3, "e": 0})
    second = follow_counts(30, {"a": 1, "b": 9, "c": 1, "d": 7, "x": 8})
    rows = _compare_lists([first, second], read_capacities(["3", "4"]))
    told = rows.filter(ranking="count_last_year").select("capacity", "persons", "value", "note").rows()
    # Of b, c, d two are among b, x, d. Of four on the first list one is drawn by lot, a or e; on the second
    # a and c are equal.
    assert told[0] == ("3", 3, pytest.approx(2 / 3), None)
    assert told[1][3] == "Who is last on the list was drawn by lot among equal scores."


def test_the_report_compares_lists_of_moments_that_follow_one_another(report, model, region, index, split):
    moments = (index - 90 * DAY, index)
    lists = (follow(model, region, moment, split=split).person_ids.head(20) for moment in moments)
    earlier, later = map(set, lists)
    told = report.tables["turnover"].filter(ranking="model", capacity="20").row(0, named=True)
    assert (told["from_index_time"], told["to_index_time"]) == (index - 90 * DAY, index)
    assert told["value"] == pytest.approx(len(earlier & later) / told["persons"])
    assert 0 < told["persons"] <= 20
