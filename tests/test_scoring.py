"""Scoring: the same numbers for one citizen and a region, ranks that stay, and reasons that add up."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import (
    AbsentTablesWarning,
    CohortError,
    ConfigError,
    EligibilityWarning,
    OtherTablesError,
)
from somv_risk.features import THEMES, list_evidence, load_catalogue
from somv_risk.registers.histories import Histories
from somv_risk.scoring.explain_person import list_reason_evidence
from somv_risk.scoring.reasons import load_texts, render_sentence
from somv_risk.scoring.score import REASON
from somv_risk.scoring.worklist import build_worklist
from somv_risk.testing.people import PEOPLE, mix

BY_NAME = {feature.name: feature for feature in load_catalogue()}
NAMED = tuple(PEOPLE)
OPTIONAL = ("diagnoses", "psychiatric_contacts", "substance_abuse", "social_benefits", "social_services")
CALL_DEPENDENT = ("rank", "flagged")
COUNTS = [feature.name for feature in load_catalogue() if feature.definition.measure == "count"]


def collect(histories):
    """The same histories, held in memory, so that they are cut out of a region once."""
    return Histories({name: t.collect().lazy() for name, t in histories.tables.items()}, histories.data_end)


def keep(histories, person_ids):
    return collect(histories.keep_persons(pl.LazyFrame({"person_id": list(person_ids)})))


@pytest.fixture(scope="module")
def index(crowd) -> datetime:
    return crowd.data_end


@pytest.fixture(scope="module")
def some(scores) -> list[str]:
    """The named people, and others from the whole range of risk."""
    others = scores["person_id"].gather([*range(10), *range(10, scores.height, scores.height // 20)])
    return sorted({*NAMED, *others})


@pytest.fixture(scope="module")
def few(crowd, some) -> Histories:
    """What is told of these persons only."""
    return keep(crowd, some)


@pytest.fixture(scope="module")
def features(few, index, model) -> pl.DataFrame:
    """Their features, in order of their id."""
    return sr.build_features(few, sr.make_cohort(few, [index]), model.features).collect()


# --- Columns


def test_scores_have_the_columns_and_types_of_the_contract(scores):
    reason = {"theme": pl.String, "feature": pl.String, "value": pl.Float64}
    reason |= {"contribution": pl.Float64, "changeable": pl.Boolean, "text": pl.String}
    assert dict(scores.schema) == {
        "person_id": pl.String,
        "index_time": pl.Datetime("us"),
        "risk": pl.Float64,
        "percentile": pl.Float64,
        "rank": pl.Int64,
        "flagged": pl.Boolean,
        "known_or_new": pl.String,
        "reasons": pl.List(pl.Struct(reason)),
        "unfinished_risk": pl.Float64,
        "warnings": pl.List(pl.String),
    }
    assert sum(scores.null_count().row(0)) == 0


def test_every_eligible_person_has_one_row(scores, crowd, index):
    eligible = sr.make_cohort(crowd, [index]).rows.collect()
    assert sorted(scores["person_id"]) == eligible["person_id"].to_list()
    assert set(scores["index_time"]) == {index}


def test_risks_are_the_models_own(scores, model, features):
    matrix = model.encoding.to_matrix(features)
    expected = features.select(
        "person_id",
        pl.Series("risk", model.main.predict_risk(matrix)),
        pl.Series("unfinished_risk", model.heads["unfinished_treatment"].predict_risk(matrix)),
    )
    mine = scores.select(expected.columns).join(expected.select("person_id"), on="person_id", how="semi")
    assert_frame_equal(mine.sort("person_id"), expected, check_exact=True)


def test_a_model_of_one_target_has_no_unfinished_risk(model, few, index):
    alone = replace(model, heads={"frequent_admission": model.main})
    assert sr.score(alone, few, index_time=index)["unfinished_risk"].null_count() == few_rows(few, index)


def few_rows(histories, index):
    return sr.make_cohort(histories, [index]).rows.collect().height


# --- One and all


def test_one_citizen_has_the_same_bits_as_in_the_whole_region(model, crowd, few, scores, some, index):
    whole = scores.drop(CALL_DEPENDENT)
    assert len(some) > len(NAMED)
    for number, person in enumerate(some):
        # The hospital knows its own citizen; the nightly run picks one out of everybody.
        known = crowd if number % 5 == 0 else keep(few, [person])
        one = sr.score(model, known, index_time=index, person_ids=[person], language="en", explain="all")
        expected = whole.filter(pl.col("person_id") == person)
        assert one["rank"].to_list() == [1]
        assert_frame_equal(one.drop(CALL_DEPENDENT), expected, check_exact=True)


def test_scores_do_not_depend_on_the_order_of_the_rows(model, few, index):
    shuffled = Histories(
        {
            name: frame.collect().sample(fraction=1, shuffle=True, seed=4).lazy()
            for name, frame in few.tables.items()
        },
        few.data_end,
    )
    options = {"index_time": index, "explain": "all"}
    assert_frame_equal(
        sr.score(model, shuffled, **options), sr.score(model, few, **options), check_exact=True
    )


def test_scores_do_not_depend_on_the_order_of_the_ids_asked_for(model, few, some, index):
    options = {"index_time": index, "explain": "none"}
    forth = sr.score(model, few, person_ids=some, **options)
    back = sr.score(model, few, person_ids=iter(reversed(some)), **options)
    assert_frame_equal(forth, back, check_exact=True)


def test_a_saved_model_may_be_named_by_its_folder(model, few, index, tmp_path):
    model.save(tmp_path / "model")
    for path in (tmp_path / "model", str(tmp_path / "model")):
        scored = sr.score(path, few, index_time=index)
        assert_frame_equal(scored, sr.score(model, few, index_time=index), check_exact=True)


@pytest.mark.parametrize("moment", ["2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1)])
def test_an_index_moment_may_be_text_a_date_or_a_moment(model, few, moment):
    scored = sr.score(model, few, index_time=moment, person_ids=["thomas"])
    assert scored["index_time"].to_list() == [datetime(2026, 1, 1)]


# --- Ranks and flags


def test_ranks_run_from_1_with_falling_risk(scores):
    assert scores["rank"].to_list() == list(range(1, scores.height + 1))
    assert scores["risk"].is_sorted(descending=True)
    assert scores["percentile"].is_sorted(descending=True)


def rename(tables, name):
    return {
        table: frame.with_columns(
            pl.lit(name).alias("person_id"),
            *(
                (pl.lit(name) + pl.col(column)).alias(column)
                for column in ("contact_id", "episode_id")
                if column in frame.columns
            ),
        )
        for table, frame in tables.items()
    }


def test_persons_with_the_same_history_rank_by_their_id(model, index):
    thomas = PEOPLE["thomas"](index)
    tables = mix(
        PEOPLE["karen"](index),
        *(rename(thomas, name) for name in ("thomas-c", "thomas-a", "thomas-b")),
        PEOPLE["mohammed"](index),
    )
    scored = sr.score(
        model, Histories({name: frame.lazy() for name, frame in tables.items()}), index_time=index
    )
    assert scored["person_id"].to_list()[:3] == ["thomas-a", "thomas-b", "thomas-c"]
    assert scored["risk"].head(3).n_unique() == 1


@pytest.mark.parametrize("capacity", [0, 1, 7, 10_000])
def test_a_capacity_flags_that_many_from_the_top(model, few, index, capacity):
    scored = sr.score(model, few, index_time=index, capacity=capacity)
    assert scored["flagged"].to_list() == [rank <= capacity for rank in scored["rank"]]


def test_a_threshold_flags_from_that_risk_up(model, few, index):
    edge = sr.score(model, few, index_time=index)["risk"][5]
    scored = sr.score(model, few, index_time=index, threshold=edge)
    assert scored["flagged"].to_list() == [risk >= edge for risk in scored["risk"]]
    assert scored["flagged"].sum() >= 6


@pytest.mark.parametrize(("threshold", "flagged"), [(0, True), (1, False)])
def test_thresholds_of_0_and_1_flag_all_and_none(model, few, index, threshold, flagged):
    assert set(sr.score(model, few, index_time=index, threshold=threshold)["flagged"]) == {flagged}


def test_by_default_the_models_threshold_flags(scores, model):
    expected = [risk >= model.main.threshold for risk in scores["risk"]]
    assert scores["flagged"].to_list() == expected
    assert 0 < sum(expected) < scores.height


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"capacity": 5, "threshold": 0.5}, "Both capacity and threshold"),
        ({"capacity": -1}, "capacity"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"reasons": 0}, "reasons"),
        ({"explain": "some"}, "explain"),
        ({"language": "fi"}, "language"),
        ({"index_time": "soon"}, "not a moment"),
        ({"index_time": None}, "not a moment"),
        ({"index_time": datetime(1, 1, 1)}, "year 1"),
        ({"capacity": "1"}, "capacity is '1'"),
        ({"capacity": 1.5}, "capacity is 1.5"),
        ({"capacity": True}, "capacity is True"),
        ({"capacity": 10**30}, "capacity is a number beyond all counts"),
        ({"threshold": "0.5"}, "threshold is '0.5'"),
        ({"threshold": True}, "threshold is True"),
        ({"reasons": True}, "reasons is True"),
        ({"reasons": None}, "reasons is None"),
        ({"language": ["da"]}, "language is of type list"),
        ({"explain": ["all"]}, "explain is of type list"),
        ({"person_ids": 1.5}, "person_ids is of type float"),
        ({"person_ids": [None]}, "person_ids is or has a value None"),
        ({"person_ids": pl.DataFrame({"person_id": ["ada"]})}, r"such as frame\['person_id'\]"),
        ({"allow": None}, "allow is None"),
    ],
)
def test_an_argument_out_of_its_range_is_an_error_that_names_it(model, few, index, options, word):
    with pytest.raises(ConfigError, match=word):
        sr.score(model, few, **{"index_time": index} | options)


IDS_OF_ANY_KIND = {
    "column": pl.Series,
    "array": lambda ids: pl.Series(ids).to_numpy(),
    "pandas column": lambda ids: pl.Series(ids).to_pandas(),
    "tuple": tuple,
    "repeated": lambda ids: [*ids, *ids],
    "used up": iter,
}


@pytest.mark.parametrize("kind", IDS_OF_ANY_KIND.values(), ids=IDS_OF_ANY_KIND)
def test_ids_may_come_in_any_kind_of_list(model, few, index, some, kind):
    expected = sr.score(model, few, index_time=index, person_ids=list(some))
    assert sr.score(model, few, index_time=index, person_ids=kind(list(some))).equals(expected)


def test_numbers_of_numpy_are_numbers(model, few, index):
    expected = sr.score(model, few, index_time=index, capacity=2, reasons=2)
    assert sr.score(model, few, index_time=index, capacity=np.int64(2), reasons=np.uint8(2)).equals(expected)
    expected = sr.score(model, few, index_time=index, threshold=0.5)
    assert sr.score(model, few, index_time=index, threshold=np.float32(0.5)).equals(expected)


def test_an_index_time_with_a_zone_is_the_local_one(model, few, index):
    expected = sr.score(model, few, index_time=index)
    for zoned in ("2025-12-31T23:00:00Z", index.replace(tzinfo=ZoneInfo("Europe/Copenhagen"))):
        assert sr.score(model, few, index_time=zoned).equals(expected)
    east = replace(few, timezone="Europe/Helsinki")
    assert sr.score(model, east, index_time="2025-12-31T22:00:00Z").equals(expected)


# --- Who is scored


def test_of_persons_asked_for_those_who_are_eligible_are_scored_with_a_warning(model, crowd, index):
    children = crowd.persons.filter(pl.col("birth_date") > date(2012, 1, 1)).head(2).collect()["person_id"]
    asked = ["thomas", *children, "nobody"]
    with pytest.warns(EligibilityWarning, match=r"3 of 4 persons .* 2 fail 'at_least_18_years_old'"):
        scored = sr.score(model, crowd, index_time=index, person_ids=asked)
    assert scored["person_id"].to_list() == ["thomas"]


def test_nobody_eligible_is_an_error_that_says_why(model, crowd, index):
    dead = crowd.persons.filter(pl.col("death_date") < index).head(3).collect()["person_id"].to_list()
    with pytest.raises(CohortError, match="3 fail 'alive'"):
        sr.score(model, crowd, index_time=index, person_ids=dead)


def test_a_person_who_is_not_there_is_an_error(model, few, index):
    with pytest.raises(CohortError, match="Nobody is eligible"):
        sr.score(model, few, index_time=index, person_ids=["nobody"])
    with pytest.raises(CohortError, match="Nobody is eligible"):
        sr.explain_person(model, few, "nobody", index)


def test_everybody_eligible_is_scored_without_a_warning(model, few, index, recwarn):
    sr.score(model, few, index_time=index)
    sr.score(model, few, index_time=index, person_ids=["thomas"])
    assert not [warning for warning in recwarn if issubclass(warning.category, EligibilityWarning)]


def test_ids_asked_for_twice_are_scored_once(model, few, index, recwarn):
    scored = sr.score(model, few, index_time=index, person_ids=["thomas", "anna", "thomas"])
    assert sorted(scored["person_id"]) == ["anna", "thomas"]
    assert not recwarn.list


@pytest.mark.parametrize("person_ids", [[], [1, 2], [None]])
def test_ids_that_name_nobody_are_an_error_of_ours(model, few, index, person_ids):
    with pytest.raises((CohortError, ConfigError)):
        sr.score(model, few, index_time=index, person_ids=person_ids)


def test_known_are_those_with_three_acute_admissions_in_the_year_before(scores, features):
    counts = dict(features.select("person_id", "acute_admissions_365d").rows())
    assert {count >= 3 for count in counts.values()} == {True, False}
    for person, known_or_new in scores.select("person_id", "known_or_new").rows():
        if person in counts:
            assert known_or_new == ("known" if counts[person] >= 3 else "new")


# --- Warnings

MEASURED = {
    "da": "Risikoen er beregnet uden dem; hvor godt den passer, er målt med alle tabeller.",
    "en": "The risk is estimated without it; how well it holds was measured with all tables.",
}
ABSENT = {
    "da": {
        "psychiatric_contacts": f"Ingen oplysninger om psykiatriske kontakter. {MEASURED['da']}",
        "social_benefits": f"Ingen oplysninger om ydelser. {MEASURED['da']}",
    },
    "en": {
        "psychiatric_contacts": f"No information on psychiatric contacts. {MEASURED['en']}",
        "social_benefits": f"No information on benefits. {MEASURED['en']}",
    },
}


ALLOWED = {"allow": ["absent-tables"]}


def leave_out(histories, *tables):
    left = {name: frame for name, frame in histories.tables.items() if name not in tables}
    return Histories(left, histories.data_end)


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
@pytest.mark.parametrize("language", ABSENT)
@pytest.mark.parametrize("table", ["psychiatric_contacts", "social_benefits"])
def test_a_missing_table_is_told_in_every_score(model, few, index, language, table):
    options = {"index_time": index, "language": language, "explain": "all"} | ALLOWED
    scored = sr.score(model, leave_out(few, table), **options)
    assert scored.height == few_rows(few, index)
    assert set(map(tuple, scored["warnings"].to_list())) == {(ABSENT[language][table],)}


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
@pytest.mark.parametrize("language", ["da", "en"])
@pytest.mark.parametrize("table", [*OPTIONAL, "primary_care"])
def test_no_missing_table_stops_a_score(model, few, index, language, table):
    scored = sr.score(
        model,
        leave_out(few, table),
        index_time=index,
        person_ids=["thomas"],
        language=language,
        explain="all",
        **ALLOWED,
    )
    assert len(scored["warnings"][0]) == 1
    assert len(scored["reasons"][0]) == 3


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
def test_all_optional_tables_may_be_missing(model, few, index):
    hospital = leave_out(few, *OPTIONAL, "primary_care")
    scored = sr.score(model, hospital, index_time=index, language="en", **ALLOWED)
    (warning,) = scored["warnings"][0]
    assert "secondary diagnoses, psychiatric contacts, substance treatment" in warning


WAYS_TO_A_RISK = {
    "score": lambda model, histories, index, **options: sr.score(
        model, histories, index_time=index, explain="none", **options
    ),
    "explain_person": lambda model, histories, index, **options: sr.explain_person(
        model, histories, "thomas", index, **options
    ),
    "explain_region": sr.explain_region,
    "explain_change": lambda model, histories, index, **options: sr.explain_change(
        model, histories, "thomas", index - timedelta(days=90), index, **options
    ),
    "evaluate": lambda model, histories, index, **options: sr.evaluate(
        model, histories, index_times=[index - timedelta(days=365)], persons="all", draws=0, **options
    ),
}


@pytest.mark.parametrize("way", WAYS_TO_A_RISK)
def test_absent_tables_are_refused_unless_allowed_and_then_warned_of(model, few, index, way):
    without = leave_out(few, "primary_care", "social_benefits")
    with pytest.raises(OtherTablesError, match=r"trained with social_benefits, primary_care.*hospital_only"):
        WAYS_TO_A_RISK[way](model, without, index)
    with pytest.raises(OtherTablesError):
        WAYS_TO_A_RISK[way](model, without, index, allow=["index-time"])
    with pytest.warns(AbsentTablesWarning, match="measured with all tables"):
        WAYS_TO_A_RISK[way](model, without, index, **ALLOWED)


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
def test_a_risk_without_all_tables_flags_nobody_by_threshold_and_a_capacity_still_does(model, few, index):
    without = leave_out(few, "primary_care")
    asked = {"index_time": index, "explain": "flagged"} | ALLOWED
    for options in ({}, {"threshold": 0.0}):
        scored = sr.score(model, without, **asked, **options)
        assert scored.schema["flagged"] == pl.Boolean
        assert scored["flagged"].null_count() == scored.height
        assert scored["reasons"].list.len().sum() == 0
        assert build_worklist(scored).is_empty()
    scored = sr.score(model, without, **asked, capacity=2)
    assert scored["flagged"].to_list() == [True] * 2 + [False] * (scored.height - 2)
    assert (scored["reasons"].list.len() > 0).to_list() == scored["flagged"].to_list()


def test_with_all_tables_nothing_is_refused_or_warned_of(model, few, index, recwarn):
    assert sr.score(model, few, index_time=index, explain="none")["flagged"].null_count() == 0
    assert not [w for w in recwarn if issubclass(w.category, AbsentTablesWarning)]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (timedelta(days=-1), []),
        (timedelta(0), []),
        (timedelta(hours=23), []),
        (timedelta(days=1), ["The data end on 1 January 2026, 1 day before the index moment."]),
        (timedelta(days=45), ["The data end on 1 January 2026, 45 days before the index moment."]),
    ],
)
def test_an_index_after_the_data_end_is_told(model, few, index, after, told):
    options = {"index_time": index + after, "person_ids": ["karen"], "language": "en"}
    assert sr.score(model, few, **options)["warnings"].to_list() == [told]


# --- Reasons


def test_only_the_flagged_are_explained_by_default(model, few, index):
    scored = sr.score(model, few, index_time=index, capacity=4)
    assert [len(reasons) > 0 for reasons in scored["reasons"]] == scored["flagged"].to_list()


@pytest.mark.parametrize(("explain", "explained"), [("all", {True}), ("none", {False})])
def test_all_or_none_can_be_explained(model, few, index, explain, explained):
    scored = sr.score(model, few, index_time=index, capacity=4, explain=explain)
    assert {len(reasons) > 0 for reasons in scored["reasons"]} == explained


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_as_many_reasons_are_given_as_asked_for_and_there_are(model, few, index, count):
    options = {"index_time": index, "person_ids": ["thomas"], "explain": "all"}
    reasons = sr.score(model, few, reasons=count, **options)["reasons"][0].to_list()
    everything = sr.score(model, few, reasons=100, **options)["reasons"][0].to_list()
    assert len(reasons) == min(count, len(everything))
    assert reasons == everything[:count]
    assert len(everything) <= len(THEMES)


def list_reasons(scored):
    """Every reason of every person, with the person."""
    return [
        (person, reason)
        for person, reasons in scored.select("person_id", "reasons").rows()
        for reason in reasons
    ]


@pytest.fixture(scope="module")
def told(model, few, index) -> pl.DataFrame:
    """Everyone of the few with all their reasons, in English."""
    return sr.score(model, few, index_time=index, reasons=len(THEMES), explain="all", language="en")


@pytest.fixture(scope="module")
def contributions(model, features) -> dict[str, list[float]]:
    """LightGBM's own contributions of each person's features, the base value last."""
    values = model.main.booster.predict(model.encoding.to_matrix(features), pred_contrib=True)
    return dict(zip(features["person_id"], values.tolist(), strict=True))


def sum_theme(model, values, theme):
    return sum(
        value
        for feature, value in zip(model.features, values[:-1], strict=True)
        if feature.definition.theme == theme
    )


def test_a_reasons_contribution_is_the_sum_of_its_themes_features(model, told, contributions):
    assert len(list_reasons(told)) > told.height
    for person, reason in list_reasons(told):
        expected = sum_theme(model, contributions[person], reason["theme"])
        assert reason["contribution"] == pytest.approx(expected, abs=1e-9)


def test_reasons_and_the_base_value_add_up_to_the_raw_score(model, told, contributions):
    assert not told.is_empty()
    for person, risk, reasons in told.select("person_id", "risk", "reasons").rows():
        raw = contributions[person][-1] + sum(reason["contribution"] for reason in reasons)
        assert model.main.calibration.predict_risk(raw) == pytest.approx(risk, abs=1e-6)


def test_the_largest_contribution_is_told_first_whichever_way_it_pulls(told):
    mixed = 0
    for reasons in told["reasons"].to_list():
        pulls = [reason["contribution"] for reason in reasons]
        assert [abs(pull) for pull in pulls] == sorted((abs(pull) for pull in pulls), reverse=True)
        signs = [pull > 0 for pull in pulls]
        mixed += signs not in (sorted(signs), sorted(signs, reverse=True))
    assert mixed


def test_a_reason_is_about_one_feature_of_its_theme_and_gives_its_value(told, features):
    rows = {row["person_id"]: row for row in features.to_dicts()}
    assert len(list_reasons(told)) > told.height
    for person, reason in list_reasons(told):
        assert BY_NAME[reason["feature"]].definition.theme == reason["theme"]
        value = rows[person][reason["feature"]]
        expected = None if value is None or isinstance(value, str) else float(value)
        assert reason["value"] == expected


@pytest.mark.parametrize("language", ["da", "en"])
def test_a_reason_is_sentences_of_which_the_last_gives_the_direction(model, few, index, language):
    texts = load_texts(language)
    scored = sr.score(model, few, index_time=index, language=language, reasons=len(THEMES), explain="all")
    assert len(list_reasons(scored)) > scored.height
    for _, reason in list_reasons(scored):
        assert reason["text"].endswith(" " + texts.direction(reason["contribution"]))
        assert reason["text"][0].isupper() or reason["text"][0].isdigit()


def test_the_language_changes_the_words_and_nothing_else(model, few, index, told):
    danish = sr.score(model, few, index_time=index, reasons=len(THEMES), explain="all", language="da")
    without_words = [
        frame.with_columns(
            pl.col("reasons").list.eval(
                pl.struct(
                    pl.element().struct.field(name)
                    for name in ("theme", "feature", "value", "contribution", "changeable")
                )
            )
        )
        for frame in (danish, told)
    ]
    assert_frame_equal(*without_words, check_exact=True)
    texts = [[reason["text"] for _, reason in list_reasons(frame)] for frame in (danish, told)]
    assert all(one != other for one, other in zip(*texts, strict=True))


# --- One person explained


@pytest.mark.parametrize("person", NAMED)
def test_an_explanation_adds_up_and_says_what_the_score_says(model, few, told, index, person):
    (row,) = told.filter(pl.col("person_id") == person).to_dicts()
    explained = sr.explain_person(model, few, person, index, language="en")
    assert (explained.risk, explained.percentile) == (row["risk"], row["percentile"])
    assert explained.base + explained.contributions["contribution"].sum() == pytest.approx(
        explained.raw, abs=1e-6
    )
    assert explained.contributions["feature"].to_list() != list(BY_NAME)
    assert set(explained.contributions["feature"]) == {feature.name for feature in model.features}
    assert explained.contributions["contribution"].abs().is_sorted(descending=True)
    said = [
        {field.name: getattr(reason, field.name) for field in REASON.fields} for reason in explained.reasons
    ]
    assert said == row["reasons"]


def test_an_explanation_can_be_read(model, few, index):
    explained = sr.explain_person(model, few, "thomas", index, language="en")
    text = str(explained)
    assert text.startswith(f"{explained.risk:.1%}\n")
    assert all(reason.text in text for reason in explained.reasons)
    assert "  admission: 26 December 2025 at 16:48 to 27 December 2025 at 09:36\n" in text


@pytest.mark.parametrize("person", NAMED)
def test_evidence_lies_before_the_index_and_makes_up_the_count(model, few, features, index, person):
    (row,) = features.filter(pl.col("person_id") == person).to_dicts()
    evidence = sr.explain_person(model, few, person, index).evidence
    assert evidence
    for name, events in evidence.items():
        assert (events["started_at"] < index).all()
        assert (events["ended_at"].drop_nulls() < index).all()
        assert events["started_at"].is_sorted(descending=True)
        if BY_NAME[name].definition.measure == "count":
            assert events.height == row[name]


@pytest.mark.parametrize("person", NAMED)
def test_every_feature_that_moved_the_score_is_told_and_with_the_base_they_make_it_up(
    model, few, index, features, contributions, person
):
    explained = sr.explain_person(model, few, person, index, language="en")
    own = dict(zip((feature.name for feature in model.features), contributions[person], strict=False))
    (row,) = features.filter(pl.col("person_id") == person).to_dicts()
    told = {reason.feature: reason for reason in explained.by_feature}
    assert set(told) == {name for name, value in own.items() if value != 0}
    assert explained.base + sum(reason.contribution for reason in told.values()) == pytest.approx(
        explained.raw
    )
    for name, reason in told.items():
        assert reason.contribution == pytest.approx(own[name], abs=1e-9)
        assert (reason.theme, reason.changeable) == (
            BY_NAME[name].definition.theme,
            BY_NAME[name].definition.changeable,
        )
        assert reason.text == render_sentence(BY_NAME[name], row[name], reason.contribution, "en")


def test_the_events_of_any_feature_can_be_listed(model, few, features, index):
    explained = sr.explain_person(model, few, "thomas", index)
    (row,) = features.filter(pl.col("person_id") == "thomas").to_dicts()
    told = {reason.feature for reason in explained.by_feature}
    counts = sorted(told & set(COUNTS))
    assert set(counts) & explained.evidence.keys()
    for name in counts:
        events = list_reason_evidence(model, few, "thomas", index, name)
        assert events.height == row[name]
        if name in explained.evidence:
            assert_frame_equal(events, explained.evidence[name])


@pytest.mark.parametrize("name", ["age", "sex", "municipality", "heart_failure_diagnosis_1825d"])
def test_what_has_no_events_has_an_empty_table_of_the_same_columns(model, few, index, name):
    events = list_reason_evidence(model, few, "thomas", index, name)
    full = list_reason_evidence(model, few, "thomas", index, "acute_admissions_365d")
    assert full.height > 0
    assert events.height == 0
    assert events.schema == full.schema
    assert events.columns == ["events", "started_at", "ended_at"]


def test_evidence_of_an_unknown_feature_is_refused(model, few, index):
    with pytest.raises(ConfigError, match="no feature 'weather'"):
        list_reason_evidence(model, few, "thomas", index, "weather")


def list_at(histories, person, index, name):
    rows = pl.DataFrame({"person_id": [person], "index_time": [index]})
    return list_evidence(histories, rows.cast({"index_time": pl.Datetime("us")}), BY_NAME[name])


@pytest.mark.parametrize("name", COUNTS)
def test_every_count_has_as_many_events_behind_it(few, features, index, name):
    named = features.filter(pl.col("person_id").is_in(NAMED))
    values = dict(named.select("person_id", name).iter_rows())
    assert {person: list_at(few, person, index, name).height for person in NAMED} == values


def test_evidence_shows_the_very_events(few, index):
    # Thomas' unfinished stays of the last 90 days, from his drawing; minutes as rounded there.
    events = list_at(few, "thomas", index, "unfinished_stays_90d")
    before = [61.40, 22.60, 5.30]
    expected = sorted(index - timedelta(days=days) for days in before)[::-1]
    found = events["started_at"].to_list()
    assert len(found) == 3
    assert all(abs(one - other) <= timedelta(minutes=1) for one, other in zip(found, expected, strict=True))


def test_evidence_of_a_burst_lies_within_its_span(few, features, index):
    # Thomas came 262.4, 261.0, 258.7 and 256.6 days before.
    name = "most_acute_admissions_in_7_days_365d"
    events = list_at(few, "thomas", index, name)
    assert events.height == features.filter(pl.col("person_id") == "thomas")[name].item() == 4
    assert events["started_at"].max() - events["started_at"].min() < timedelta(days=7)


def test_evidence_of_a_recency_is_the_latest_event(few, features, index):
    (event,) = list_at(few, "thomas", index, "days_since_discharge_730d").to_dicts()
    days = features.filter(pl.col("person_id") == "thomas")["days_since_discharge_730d"].item()
    assert (index - event["ended_at"]) / timedelta(days=1) == pytest.approx(days)


def test_evidence_of_days_overlaps_the_window(few, index):
    events = list_at(few, "thomas", index, "shelter_nights_90d")
    assert (events["ended_at"] > index - timedelta(days=90)).all()
    assert events.height == 2


def test_age_has_no_events_behind_it(few, index):
    assert list_at(few, "thomas", index, "age").is_empty()


def test_a_stay_that_is_open_is_evidence_without_an_end(few, index):
    (event,) = list_at(few, "ole", index, "in_hospital").to_dicts()
    assert (event["started_at"], event["ended_at"]) == (index - timedelta(days=3), None)


def test_evidence_of_an_absent_table_is_empty(few, index):
    hospital = leave_out(few, *OPTIONAL, "primary_care")
    asked = ("psychiatric_no_shows_730d", "substance_treatment_starts_730d", "shelter_nights_90d")
    assert [list_at(few, "thomas", index, name).is_empty() for name in asked] == [False] * len(asked)
    assert [list_at(hospital, "thomas", index, name).is_empty() for name in asked] == [True] * len(asked)


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
def test_no_reason_shows_events_of_an_absent_table(model, few, index):
    hospital = leave_out(few, *OPTIONAL, "primary_care")
    explained = sr.explain_person(model, hospital, "thomas", index, **ALLOWED)
    shown = {table for name in explained.evidence for table in BY_NAME[name].definition.tables}
    assert "admissions" in shown
    assert not shown & set(hospital.absent)


def test_two_contacts_at_the_same_moment_are_two_pieces_of_evidence():
    index = datetime(2026, 1, 1)
    tables = PEOPLE["karen"](index)
    twice = pl.DataFrame(
        {"person_id": ["karen"] * 2, "started_at": [datetime(2025, 12, 1, 9)] * 2, "kind": ["gp"] * 2}
    )
    histories = sr.from_frames(**tables | {"primary_care": twice})
    cohort = sr.make_cohort(histories, [index])
    value = sr.build_features(histories, cohort).collect()["gp_contacts_90d"].item()
    assert (value, list_at(histories, "karen", index, "gp_contacts_90d").height) == (2, 2)


# --- Thomas


@pytest.fixture(scope="module")
def thomas(demo_folder, index):
    """Thomas in the demo's crowd: his row among all scores, and his explanation by the demo's model."""
    row = pl.read_parquet(demo_folder / "scores.parquet").filter(pl.col("person_id") == "thomas")
    own = Histories({name: frame.lazy() for name, frame in PEOPLE["thomas"](index).items()}, index)
    model = sr.load_model(demo_folder / "model")
    return row.to_dicts()[0], sr.explain_person(model, own, "thomas", index, language="en")


def test_thomas_is_flagged_within_the_highest_half_percent(demo_folder, thomas):
    everyone = pl.scan_parquet(demo_folder / "scores.parquet").select(pl.len()).collect().item()
    row, explained = thomas
    assert row["flagged"]
    assert row["percentile"] == explained.percentile >= 99.5
    assert row["rank"] <= 0.005 * everyone
    assert row["known_or_new"] == "known"


def test_thomas_reasons_speak_of_admissions_bursts_unfinished_treatment_and_alcohol(thomas):
    raising = {reason.theme: reason.text for reason in thomas[1].reasons if reason.contribution > 0}
    assert {"hospital_use", "bursts", "unfinished_treatment", "substance_use"} <= set(raising)
    assert "admission" in raising["hospital_use"]
    assert "alcohol" in raising["substance_use"]
    assert all("This raises the estimated risk." in text for text in raising.values())


# --- What nobody can know


@pytest.mark.filterwarnings("ignore::somv_risk.errors.AbsentTablesWarning")
def test_a_table_that_is_absent_is_never_a_reason(model, few, index):
    absent = {"primary_care", "social_benefits"}
    without = leave_out(few, *absent)
    scored = sr.score(model, without, index_time=index, explain="all", reasons=11, **ALLOWED)
    told = {reason["feature"] for reasons in scored["reasons"].to_list() for reason in reasons}
    assert told
    assert not any(
        set(BY_NAME[name].definition.tables) & {"primary_care", "social_benefits"} for name in told
    )
    explained = sr.explain_person(model, without, "thomas", index, **ALLOWED)
    named = {name for reason in explained.reasons for name in reason.told}
    assert not any(
        set(BY_NAME[name].definition.tables) & {"primary_care", "social_benefits"} for name in named
    )


def test_a_person_who_is_not_there_is_told_as_not_found(model, few, index):
    with pytest.raises(CohortError, match="none was found"):
        sr.score(model, few, index_time=index, person_ids=["nobody"])


def test_one_id_may_be_given_as_text(model, few, index):
    assert sr.score(model, few, index_time=index, person_ids="thomas")["person_id"].to_list() == ["thomas"]


def test_a_model_shows_itself_in_one_line(model):
    assert len(repr(model)) < 200
