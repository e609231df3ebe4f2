"""Change between two scorings: it adds up, tells what moved, and shows which events came and went."""

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from string import Formatter

import numpy as np
import polars as pl
import pytest

import somv_risk as sr
from somv_risk.errors import AbsentTablesWarning, CohortError, ConfigError
from somv_risk.features import VIEWS, list_evidence, load_catalogue
from somv_risk.languages import LANGUAGES
from somv_risk.registers.histories import Histories
from somv_risk.scoring.change import Change, MovedReason, compare_evidence, explain_change
from somv_risk.scoring.reasons import load_change_texts, render_change, render_sentence
from somv_risk.scoring.reasons._change import _load
from somv_risk.testing.people import PEOPLE, karen
from test_reason_texts import CAUSE_WORDS, STIGMA_WORDS

NOW = datetime(2026, 1, 1)
THEN = NOW - timedelta(days=90)
BY_NAME = {feature.name: feature for feature in load_catalogue()}
NAMED = tuple(PEOPLE)


def before(days):
    return NOW - timedelta(days=days)


def admit(*stays):
    """Karen, with acute admissions: days before now of start and end, and of when it was known."""
    tables = karen(NOW)
    rows = [
        {
            "person_id": "karen",
            "contact_id": f"c{number}",
            "started_at": before(start),
            "ended_at": None if end is None else before(end),
            "known_at": None if known is None else before(known),
            "sector": "somatic",
            "admission_type": "acute",
            "department": "1",
            "discharge": None if end is None else "completed",
        }
        for number, (start, end, known) in enumerate(stays)
    ]
    admissions = tables["admissions"]
    tables["admissions"] = pl.DataFrame(
        [{name: row.get(name) for name in admissions.columns} for row in rows], schema=admissions.schema
    )
    return sr.from_frames(**tables, data_end=NOW)


def at(*moments):
    rows = pl.DataFrame({"person_id": ["karen"] * len(moments), "index_time": moments})
    return rows.cast({"index_time": pl.Datetime("us")})


def days_before(events):
    return sorted((NOW - started).days for started in events["started_at"])


@pytest.fixture(scope="module")
def people():
    """The histories of each of the named people."""
    return {name: sr.from_frames(**person(NOW), data_end=NOW) for name, person in PEOPLE.items()}


@pytest.fixture(scope="module")
def changes(model, region):
    """What has changed in some citizens who were admitted since."""
    admitted = (
        region.admissions.filter(pl.col("started_at").is_between(THEN, NOW)).select("person_id").unique()
    )
    eligible = sr.make_cohort(region.keep_persons(admitted), [THEN, NOW]).rows.collect()
    both = eligible.group_by("person_id").len().filter(pl.col("len") == 2)["person_id"].sort().head(40)
    own = region.keep_persons(both.to_frame().lazy())
    held = Histories({name: table.collect().lazy() for name, table in own.tables.items()}, data_end=NOW)
    return held, {
        person: explain_change(model, held, person, THEN, NOW, language="en", reasons=11) for person in both
    }


# --- Numbers


@pytest.mark.parametrize("person", NAMED)
def test_changes_of_themes_and_of_features_sum_to_that_of_the_raw_score(model, people, person):
    change = explain_change(model, people[person], person, THEN, NOW)
    moved = change.raw_now - change.raw_then
    assert change.themes["change"].sum() == pytest.approx(moved, abs=1e-9)
    assert change.contributions["change"].sum() == pytest.approx(moved, abs=1e-9)
    sums = change.contributions.group_by("theme").agg(pl.col("then", "now", "change").sum()).sort("theme")
    for column in ("then", "now", "change"):
        np.testing.assert_allclose(sums[column], change.themes.sort("theme")[column], rtol=0, atol=1e-12)


@pytest.mark.parametrize("person", ["thomas", "ole"])
def test_each_moment_says_what_its_own_explanation_says(model, people, person):
    change = explain_change(model, people[person], person, THEN, NOW)
    for moment, column, risk, raw in (
        (THEN, "then", change.risk_then, change.raw_then),
        (NOW, "now", change.risk_now, change.raw_now),
    ):
        explained = sr.explain_person(model, people[person], person, moment)
        assert (risk, raw) == (explained.risk, explained.raw)
        told = explained.contributions.join(change.contributions, on="feature")
        assert told["contribution"].to_list() == told[column].to_list()


def test_the_largest_change_comes_first_whichever_way_it_goes(changes):
    for change in changes[1].values():
        assert change.themes["change"].abs().is_sorted(descending=True)
        sizes = [abs(reason.contribution) for reason in change.reasons]
        assert sizes == sorted(sizes, reverse=True)
        by_theme = dict(change.themes.select("theme", "change").iter_rows())
        assert all(by_theme[reason.theme] == reason.contribution for reason in change.reasons)
    assert {reason.contribution > 0 for change in changes[1].values() for reason in change.reasons} == {
        True,
        False,
    }


def test_as_many_reasons_are_told_as_asked_for(model, people):
    whole = explain_change(model, people["thomas"], "thomas", THEN, NOW, reasons=11)
    few = explain_change(model, people["thomas"], "thomas", THEN, NOW, reasons=2)
    assert len(whole.reasons) > 2
    assert [reason.text for reason in few.reasons] == [reason.text for reason in whole.reasons[:2]]
    assert few.themes.equals(whole.themes)


# --- What is told


def test_a_reason_tells_the_values_of_a_feature_of_its_theme_that_pulls_its_way(model, changes):
    held, told = changes
    assert all(change.reasons for change in told.values())
    assert told
    for person, change in told.items():
        rows = at(THEN, NOW).with_columns(person_id=pl.lit(person))
        built = sr.build_features(held, rows, model.features, lags=model.lags).collect()
        pulls = dict(change.contributions.select("feature", "change").iter_rows())
        for reason in change.reasons:
            assert BY_NAME[reason.feature].definition.theme == reason.theme
            assert [reason.then, reason.now] == built[reason.feature].to_list()
            assert pulls[reason.feature] * reason.contribution > 0


def test_nobody_is_told_against_what_is_beyond_dispute_without_a_word(changes):
    rest = load_change_texts("en").rest
    told = [reason for change in changes[1].values() for reason in change.reasons]
    moved = [reason for reason in told if isinstance(reason.then, float) and isinstance(reason.now, float)]
    ways = [
        BY_NAME[reason.feature].definition.monotone * np.sign(reason.now - reason.then) * reason.contribution
        for reason in moved
    ]
    assert sum(way > 0 for way in ways) > 10
    assert all(rest in reason.text for reason, way in zip(moved, ways, strict=True) if way < 0)
    assert all((rest in reason.text) for reason in told if reason.then == reason.now)


def test_a_sentence_tells_the_value_then_and_now_and_the_direction(changes):
    texts = load_change_texts("en")
    reasons = [reason for change in changes[1].values() for reason in change.reasons]
    assert reasons
    for reason in reasons:
        feature = BY_NAME[reason.feature]
        finding = render_sentence(feature, reason.now, 0, "en").removesuffix(
            " This does not change the estimated risk."
        )
        assert finding in reason.text
        assert reason.text.endswith(texts.raises if reason.contribution > 0 else texts.lowers)


def test_who_has_no_events_and_no_birthday_has_no_reasons(model, people):
    change = explain_change(model, people["karen"], "karen", THEN, NOW)
    assert (change.reasons, change.raw_now) == ((), change.raw_then)


def test_time_alone_moves_a_risk_and_no_event_is_called_new(model):
    """The only admissions are 710 days old then and more, and now have left every window of two years."""
    own = admit((815, 813, None), (810, 809, None), (800, 798, None))
    change = explain_change(model, own, "karen", THEN, NOW, language="en", reasons=11)
    assert change.risk_now < change.risk_then
    assert change.reasons
    assert all(reason.new.is_empty() and reason.altered.is_empty() for reason in change.reasons)
    left = [reason for reason in change.reasons if reason.gone.height]
    assert left
    assert all(set(days_before(reason.gone)) <= {800, 810, 815} for reason in left)
    assert any(load_change_texts("en").left in reason.text for reason in left)


def test_an_absent_table_is_warned_of_and_never_a_reason(model, people):
    present = {
        name: table for name, table in people["thomas"].tables.items() if name != "psychiatric_contacts"
    }
    own = Histories(present, data_end=NOW)
    with pytest.warns(AbsentTablesWarning):
        change = explain_change(model, own, "thomas", THEN, NOW, reasons=11, allow=["absent-tables"])
    assert any("psykiatriske kontakter" in warning for warning in change.warnings)
    told = [BY_NAME[reason.feature].definition.tables for reason in change.reasons]
    assert told
    assert not any("psychiatric_contacts" in tables for tables in told)


# --- The events behind it


def test_events_are_new_gone_altered_or_kept():
    """Since then one has left, one stayed, one has ended, one is new, and one was learnt of late."""
    own = admit((800, 798, None), (200, 198, None), (100, 80, None), (30, 28, None), (150, 148, 60))
    evidence = compare_evidence(own, at(THEN, NOW), BY_NAME["acute_admissions_730d"])
    assert days_before(evidence.new) == [30, 150]
    assert days_before(evidence.gone) == [800]
    assert days_before(evidence.altered) == [100]
    assert evidence.altered["ended_at"].to_list() == [before(80)]
    assert days_before(evidence.kept) == [200]
    assert evidence.note is None


def test_an_event_on_the_edge_of_its_window_leaves_as_time_passes():
    """A window of 30 days holds its far end: an admission 30 days old is in it, a second later it is not."""
    own, feature = admit((30, 29, None)), BY_NAME["acute_admissions_30d"]
    later = NOW + timedelta(seconds=1)
    assert days_before(compare_evidence(own, at(before(1), NOW), feature).kept) == [30]
    evidence = compare_evidence(own, at(NOW, later), feature)
    assert days_before(evidence.gone) == [30]
    assert evidence.note == "left"


def test_the_same_event_seen_from_later_has_only_aged():
    own = admit((200, 198, None))
    evidence = compare_evidence(own, at(THEN, NOW), BY_NAME["days_since_acute_admission_730d"])
    assert evidence.note == "time"
    assert days_before(evidence.kept) == [200]


def test_a_feature_without_events_has_none_that_came_or_went():
    evidence = compare_evidence(admit((200, 198, None)), at(THEN, NOW), BY_NAME["age"])
    assert evidence.note is None
    assert evidence.kept.is_empty()


def test_two_events_at_the_same_moment_are_told_apart():
    """One of two admissions that look alike is known only later: one is kept, and one is new."""
    twice = admit((200, 198, None), (200, 198, 60))
    evidence = compare_evidence(twice, at(THEN, NOW), BY_NAME["department_concentration_730d"])
    assert (evidence.kept.height, evidence.new.height, evidence.gone.height) == (1, 1, 0)


def test_nothing_is_lost_between_then_and_now(model, changes):
    held, told = changes
    compared = 0
    for person, change in told.items():
        rows = at(THEN, NOW).with_columns(person_id=pl.lit(person))
        for reason in change.reasons:
            feature = BY_NAME[reason.feature]
            listed = list_evidence(held, rows, feature, model.lags)
            then, now = (
                Counter(listed.filter(index_time=moment).select("started_at", "ended_at").iter_rows())
                for moment in (THEN, NOW)
            )
            new, gone, altered = (
                Counter(events.select("started_at", "ended_at").iter_rows())
                for events in (reason.new, reason.gone, reason.altered)
            )
            assert (new + altered) == now - then
            assert gone.total() + altered.total() == (then - now).total()
            assert not new & gone
            compared += new.total() + gone.total()
    assert compared > 50


# --- Errors


@pytest.mark.parametrize("earlier", [NOW, NOW + timedelta(days=1)])
def test_moments_that_are_not_in_order_are_refused(model, people, earlier):
    with pytest.raises(CohortError, match="does not lie before"):
        explain_change(model, people["thomas"], "thomas", earlier, NOW)


@pytest.mark.parametrize(("earlier", "later"), [("2024-06-01", "2026-01-01"), ("2026-01-01", "2026-06-01")])
def test_a_person_eligible_at_one_moment_only_is_an_error_that_names_the_other(model, earlier, later):
    """Karen turns 18 in 2025 and dies in March 2026."""
    tables = karen(NOW)
    tables["persons"] = tables["persons"].with_columns(
        birth_date=pl.date(2007, 3, 1), death_date=pl.date(2026, 3, 1)
    )
    own = sr.from_frames(**tables, data_end=datetime(2026, 7, 1))
    outside = min((earlier, later), key=lambda moment: moment == "2026-01-01")
    with pytest.raises(CohortError, match=f"at both moments. Nobody is eligible at {outside}"):
        explain_change(model, own, "karen", earlier, later)


def test_a_person_who_is_not_there_is_an_error(model, people):
    with pytest.raises(CohortError, match="both moments"):
        explain_change(model, people["thomas"], "nobody", THEN, NOW)


@pytest.mark.parametrize("options", [{"language": "fi"}, {"reasons": 0}, {"earlier": "soon"}])
def test_an_argument_out_of_its_range_is_refused(model, people, options):
    given = {"earlier": THEN, "later": NOW} | options
    with pytest.raises(ConfigError):
        explain_change(model, people["thomas"], "thomas", **given)


# --- Words


def test_a_change_can_be_read(model):
    own = admit((800, 798, None), (100, 80, None), *((day, day - 1, None) for day in range(70, 10, -5)))
    change = explain_change(model, own, "karen", THEN, NOW, language="en", reasons=11)
    lines = str(change).splitlines()
    assert lines[0].endswith(f": {change.risk_then:.1%} -> {change.risk_now:.1%}")
    assert all(f"{reason.contribution:+.2f}  {reason.text}" in lines for reason in change.reasons)
    assert any(line.strip().startswith("new: ") and "17 December 2025" in line for line in lines)
    assert any(line.strip().startswith("new: and ") and line.endswith(" more") for line in lines)


# The first line, an event of one contact and one of a stay, as staff read them.
READ = {
    "da": (
        "31. december 2024 -> 31. december 2025 kl. 12.30: 4,5 % -> 12,0 %",
        "+0,25  Flere.",
        "         ny: kontakt med egen læge eller lægevagt: 26. december 2025 kl. 00.23",
        "         ny: indlæggelse: 1. november 2025 til 3. november 2025",
        "         tæller ikke længere med: indlæggelse: fra 1. januar 2023",
    ),
    "en": (
        "31 December 2024 -> 31 December 2025 at 12:30: 4.5% -> 12.0%",
        "+0.25  Flere.",
        (
            "         new: contact with the general practitioner or the out-of-hours doctor: "
            "26 December 2025 at 00:23"
        ),
        "         new: admission: 1 November 2025 to 3 November 2025",
        "         no longer counted: admission: from 1 January 2023",
    ),
}


@pytest.mark.parametrize("language", READ)
def test_a_change_is_written_as_the_language_writes_kinds_of_events_moments_and_decimals(language):
    schema = {"events": pl.String, "started_at": pl.Datetime("us"), "ended_at": pl.Datetime("us")}

    def list_events(*rows):
        return pl.DataFrame(rows, schema=schema, orient="row")

    call, night = datetime(2025, 12, 26, 0, 23), datetime(2025, 11, 1)
    reason = MovedReason(
        theme="hospital_use",
        feature="acute_admissions_365d",
        then=1.0,
        now=2.0,
        contribution=0.25,
        text="Flere.",
        new=list_events(("primary_care", call, call), ("admissions", night, datetime(2025, 11, 3))),
        gone=list_events(("admissions", datetime(2023, 1, 1), None)),
        altered=list_events(),
    )
    change = Change(
        earlier=datetime(2024, 12, 31),
        later=datetime(2025, 12, 31, 12, 30),
        risk_then=0.045,
        risk_now=0.12,
        raw_then=-3.0,
        raw_now=-2.0,
        reasons=(reason,),
        themes=pl.DataFrame(),
        contributions=pl.DataFrame(),
        warnings=(),
        language=language,
    )
    assert tuple(str(change).splitlines()) == READ[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_of_the_program_and_no_foreign_decimal_is_read(model, people, language):
    change = explain_change(model, people["thomas"], "thomas", THEN, NOW, language=language)
    told = str(change)
    keys = (*VIEWS, *(feature.name for feature in model.features))
    assert not [key for key in keys if "_" in key and key in told]
    assert not re.search(r"\d{4}-\d{2}-\d{2}|\d{2}:\d{2}:\d{2}", told)
    assert bool(re.search(r"[+-]\d+\.\d\d  ", told)) == (language == "en")


def test_the_language_changes_the_words_and_nothing_else(model, people):
    told = [
        explain_change(model, people["thomas"], "thomas", THEN, NOW, language=language)
        for language in LANGUAGES
    ]
    assert len(told) == 4
    assert told[0].reasons
    for one in told[1:]:
        assert one.themes.equals(told[0].themes)
        for mine, first in zip(one.reasons, told[0].reasons, strict=True):
            assert (mine.feature, mine.contribution) == (first.feature, first.contribution)
            assert mine.text != first.text


def test_every_language_of_the_reasons_has_words_for_a_change():
    assert set(LANGUAGES) <= set(_load())


@pytest.mark.parametrize("language", sorted(_load()))
def test_words_for_a_change_are_sentences_that_name_no_cause(language):
    words = _load()[language]
    placeholders = {"moved": {"then", "now"}, "alike": {"now"}, "same": {"now"}}
    for name in type(words).__slots__:
        text = getattr(words, name)
        found = {field for _, field, _, _ in Formatter().parse(text) if field}
        assert found == placeholders.get(name, set())
        assert not any(word in text.lower() for word in CAUSE_WORDS.get(language, ()) if name != "review")
        assert not any(word in text.lower() for word in STIGMA_WORDS.get(language, ()) if name != "review")
    for name in ("rest", "time", "left", "raises", "lowers"):
        assert getattr(words, name).endswith(".")
    assert words.raises != words.lowers


def test_what_is_the_same_or_reads_alike_is_told_once():
    decayed = BY_NAME["acute_admissions_decayed_730d"]
    told = [render_change(decayed, then, 2.2, -0.1, "en", note=None) for then in (2.2, 2.1, 3.1)]
    assert [text.split(":")[0] for text in told] == ["As then", "Much as then", "Then"]
    assert [text.count("when older ones count") for text in told] == [1, 1, 2]


def test_a_note_stands_between_the_finding_and_the_direction():
    feature, texts = BY_NAME["age"], replace(load_change_texts("en"))
    for note in ("rest", "time", "left"):
        text = render_change(feature, 44, 45, 0.1, "en", note=note)
        assert text == f"Then: {aged(44)} Now: {aged(45)} {getattr(texts, note)} {texts.raises}"


def aged(years):
    return render_sentence(BY_NAME["age"], years, 0, "en").removesuffix(
        " This does not change the estimated risk."
    )
