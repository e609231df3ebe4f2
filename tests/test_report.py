"""The worklist page and its timelines."""

import re
import time
import tomllib
from datetime import datetime, timedelta
from html.parser import HTMLParser
from importlib import resources

import polars as pl
import pytest

from somv_risk.errors import ConfigError, InputError
from somv_risk.languages import LANGUAGES
from somv_risk.report import render_worklist
from somv_risk.report.timeline import (
    LANE_BOTTOMS,
    LANE_HEIGHTS,
    MARKS,
    build_timelines,
    find_months,
    place_events,
)
from somv_risk.report.worklist_page import load_language

INDEX = datetime(2026, 10, 3, 6)
TITLE = "Borgere, der kan have gavn af en forløbspartner"
MEANING = "Beregnet sandsynlighed for mindst 3 akutte indlæggelser i de kommende 12 måneder."
TEXTS = tomllib.loads(resources.files("somv_risk.report").joinpath("texts.toml").read_text(encoding="utf-8"))

# What a mark says, by hand.
MARKED = [
    ("da", "Kan der arbejdes med", "Ligger fast"),
    ("en", "Can be worked with", "Cannot be changed"),
    ("nb", "Kan arbeides med", "Ligger fast"),
    ("sv", "Går att arbeta med", "Ligger fast"),
]

REASON = pl.Struct(
    {
        "theme": pl.String,
        "feature": pl.String,
        "value": pl.Float64,
        "contribution": pl.Float64,
        "changeable": pl.Boolean,
        "text": pl.String,
    }
)
SCORES = {
    "person_id": pl.String,
    "index_time": pl.Datetime("us"),
    "risk": pl.Float64,
    "percentile": pl.Float64,
    "rank": pl.Int32,
    "flagged": pl.Boolean,
    "known_or_new": pl.Enum(["known", "new"]),
    "reasons": pl.List(REASON),
    "unfinished_risk": pl.Float64,
    "warnings": pl.List(pl.String),
}
EVENTS = {
    "person_id": pl.String,
    "table": pl.String,
    "started_at": pl.Datetime("us"),
    "ended_at": pl.Datetime("us"),
    "category": pl.String,
    "unfinished": pl.Boolean,
}
PERSONS = {"person_id": pl.String, "age_years": pl.Int32, "sex": pl.String, "municipality": pl.String}


def a_reason(text="30 akutte indlæggelser", contribution=0.8, *, changeable=False):
    return {
        "theme": "hospital use",
        "feature": "acute_admissions_365d",
        "value": 30.0,
        "contribution": contribution,
        "changeable": changeable,
        "text": text,
    }


def a_score(person_id="thomas", **changed):
    row = {
        "person_id": person_id,
        "index_time": INDEX,
        "risk": 0.384,
        "percentile": 99.3,
        "rank": 1,
        "flagged": True,
        "known_or_new": "known",
        "reasons": [a_reason()],
        "unfinished_risk": 0.0421,
        "warnings": [],
    }
    return row | changed


def an_event(category="acute_admission", *, starts, ends=None, unfinished=False, person_id="thomas"):
    """An event between two days on the line whose 0 is the index."""
    return {
        "person_id": person_id,
        "table": "admissions",
        "started_at": INDEX + timedelta(days=starts),
        "ended_at": None if ends is None else INDEX + timedelta(days=ends),
        "category": category,
        "unfinished": unfinished,
    }


def scores_of(*rows):
    return pl.DataFrame(rows, schema=SCORES)


def events_of(*rows):
    return pl.DataFrame(rows, schema=EVENTS)


def persons_of(*person_ids):
    return pl.DataFrame(
        [{"person_id": p, "age_years": 43, "sex": "male", "municipality": "Lolland"} for p in person_ids],
        schema=PERSONS,
    )


def a_page(scores=None, events=None, persons=None, **changed):
    scores = scores_of(a_score()) if scores is None else scores
    events = events_of() if events is None else events
    persons = persons_of(*scores["person_id"].unique()) if persons is None else persons
    return render_worklist(scores, events, persons, **({"title": TITLE, "risk_meaning": MEANING} | changed))


def place(*events):
    """The timeline of one person."""
    (timeline,) = build_timelines(scores_of(a_score()), events_of(*events))
    return timeline


def timeline_svg(page):
    return re.search(r'<svg class="timeline".*?</svg>', page, re.DOTALL).group()


def read_reasons(page):
    """The reasons of a page as somebody would read them."""
    shown = re.findall(r'<li><span class="pull">(.*?)</li>', page, re.DOTALL)
    return [" ".join(re.sub(r"<.*?>", " ", item).split()) for item in shown]


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.found if attribute in attrs]


def key_paths(texts, above=()):
    for key, value in texts.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from key_paths(value, (*above, key))


# The page


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_fetches_nothing_and_runs_nothing(language):
    page = a_page(events=events_of(an_event(starts=-9, ends=-8)), language=language)
    elements = Elements(page)
    assert not re.search(r"https?:|@import|url\(|src\s*=|javascript:", page, re.IGNORECASE)
    assert all(target.startswith("#") for target in elements.values("href"))
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in elements.found}
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]
    assert "default-src 'none'" in page


def test_texts_from_outside_are_escaped():
    evil = "<script>alert(1)</script>"
    score = a_score(evil, reasons=[a_reason(evil)], warnings=[evil])
    persons = persons_of(evil).with_columns(municipality=pl.lit(evil), sex=pl.lit(evil))
    page = a_page(scores_of(score), persons=persons, title=evil, risk_meaning=evil, notes=[evil])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 8


def test_everybody_appears_in_the_given_order_with_one_timeline_each():
    people = ("charlie", "anna", "bo")
    rows = [a_score(person, rank=rank) for rank, person in enumerate(people, start=1)]
    page = a_page(scores_of(*rows))
    assert re.findall(r"<h2 id=\"p\d\">(\w+)</h2>", page) == list(people)
    assert page.count('<svg class="timeline"') == 3


def test_every_reference_inside_the_page_has_exactly_one_target():
    rows = [a_score("anna"), a_score("bo", index_time=INDEX - timedelta(days=30))]
    elements = Elements(a_page(scores_of(*rows)))
    ids = elements.values("id")
    wanted = {*elements.values("aria-labelledby"), *(href[1:] for href in elements.values("href"))}
    assert len(ids) == len(set(ids))
    assert wanted == {"p1", "p2", "t1", "t2", "frame0", "frame1"}
    assert wanted <= set(ids)


def test_the_head_counts_the_new_and_the_known():
    rows = [
        a_score(name, known_or_new=kind) for name, kind in zip("abc", ("new", "known", "new"), strict=True)
    ]
    page = " ".join(a_page(scores_of(*rows)).split())
    assert "Opgjort 3. oktober 2026 · 3 borgere på listen: 2 nye, 1 kendt" in page


def test_the_head_says_what_the_list_is_not():
    page = a_page(notes=["Tal på simulerede data siger intet om klinisk gyldighed."])
    head = page.split("<main>")[0]
    assert "Tal på simulerede data siger intet om klinisk gyldighed." in head
    assert "Listen støtter en fagpersons beslutning og erstatter den aldrig." in head
    assert MEANING in head


def test_a_card_shows_the_figures_as_the_language_writes_them():
    page = a_page()
    for shown in ("38 %", "4,2 %", "blandt de 1 % med højest risiko", "43 år", "mand", "Lolland", "KENDT"):
        assert shown in page
    page = a_page(language="en")
    for shown in ("38%", "4.2%", "among the 1% with the highest risk", "43 years", "man", "Lolland", "KNOWN"):
        assert shown in page


def test_the_direction_of_a_reason_is_told_in_words_and_by_shape():
    reasons = [a_reason("first", 0.5), a_reason("second", -0.5), a_reason("third", 0.0)]
    told = read_reasons(a_page(scores_of(a_score(reasons=reasons)), language="en"))
    assert [item.removesuffix(" Cannot be changed") for item in told] == [
        "▲ Pulls up first",
        "▼ Pulls down second",
        "= No effect third",
    ]


@pytest.mark.parametrize(("language", "changeable", "given"), MARKED)
def test_what_can_be_worked_with_is_marked_in_words_and_explained(language, changeable, given):
    reasons = [a_reason("first", changeable=True), a_reason("second", changeable=False)]
    page = a_page(scores_of(a_score(reasons=reasons)), language=language)
    first, second = read_reasons(page)
    assert first.endswith(f" first {changeable}")
    assert second.endswith(f" second {given}")
    head = page.split("<main>")[0]
    assert f"<dt>{changeable}</dt><dd>{TEXTS[language]['changeable_meaning']}</dd>" in head
    assert f"<dt>{given}</dt><dd>{TEXTS[language]['given_meaning']}</dd>" in head


def test_what_is_not_known_is_said():
    score = a_score(unfinished_risk=None, reasons=None, warnings=["Data om rusmiddelbehandling mangler."])
    page = a_page(scores_of(score), persons=persons_of())
    for shown in (
        "ikke beregnet",
        "alder ukendt",
        "køn ukendt",
        "kommune ukendt",
        "Der er ikke beregnet grunde.",
    ):
        assert shown in page
    assert "Data om rusmiddelbehandling mangler." in page


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("da", "ingen borgere på listen"),
        ("en", "nobody on the list"),
        ("nb", "ingen personer på listen"),
        ("sv", "ingen på listan"),
    ],
)
def test_an_empty_list_says_so(language, said):
    page = a_page(scores_of(), language=language)
    assert said in page
    assert "<svg" not in page
    assert "<article" not in page


def test_an_unknown_language_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'fr'.*da, en"):
        a_page(language="fr")


@pytest.mark.parametrize("table", ["scores", "events", "persons"])
def test_a_missing_column_is_named_with_its_table(table):
    frames = {"scores": scores_of(a_score()), "events": events_of(), "persons": persons_of("thomas")}
    last = frames[table].columns[-1]
    frames[table] = frames[table].drop(last)
    with pytest.raises(InputError, match=f"`{table}` lacks {last}"):
        render_worklist(**frames, title=TITLE, risk_meaning=MEANING)


def test_five_hundred_people_make_a_small_page_quickly():
    people = [f"person{number}" for number in range(500)]
    days = range(-720, -1, 30)
    events = [
        event
        for person in people
        for day in days
        for event in (
            an_event(starts=day, ends=day + 2, unfinished=day % 60 == 0, person_id=person),
            an_event("primary_care", starts=day, person_id=person),
            an_event("psychiatric_contact", starts=day + 9, person_id=person),
        )
    ]
    began = time.perf_counter()
    page = a_page(
        scores_of(*(a_score(person, reasons=[a_reason()] * 3) for person in people)), events_of(*events)
    )
    assert time.perf_counter() - began < 10
    assert len(page.encode()) < 3_000_000


# Words


def test_all_languages_have_the_same_texts():
    expected = set(key_paths(TEXTS["da"]))
    assert {language: set(key_paths(texts)) for language, texts in TEXTS.items()} == dict.fromkeys(
        LANGUAGES, expected
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_and_lane_has_words(language):
    assert set(TEXTS[language]["category"]) == set(MARKS)
    assert set(TEXTS[language]["lane"]) == set(LANE_HEIGHTS)


@pytest.mark.parametrize(
    ("risk", "danish"),
    [
        (0.0, "under 0,1 %"),
        (0.001, "0,1 %"),
        (0.0421, "4,2 %"),
        (0.0996, "10 %"),
        (0.384, "38 %"),
        (0.99, "99 %"),
        (1.0, "over 99 %"),
    ],
)
def test_a_risk_is_written_without_false_precision_or_certainty(risk, danish):
    assert load_language("da").format_risk(risk) == danish


@pytest.mark.parametrize(
    ("percentile", "english"),
    [
        (100.0, "among the 0.1% with the highest risk"),
        (99.2, "among the 1% with the highest risk"),
        (99.0, "among the 1% with the highest risk"),
        (98.9, "among the 2% with the highest risk"),
        (50.0, "among the 50% with the highest risk"),
        (49.9, "higher than 49%"),
    ],
)
def test_a_standing_never_promises_more_than_the_percentile(percentile, english):
    assert load_language("en").format_standing(percentile) == english


# The timeline


def test_an_event_is_placed_in_days_before_the_index():
    (event,) = place(an_event(starts=-10, ends=-7.5)).events
    assert (event.starts, event.ends) == (-10.0, -7.5)
    assert event.outline == "M-10 11h2.5v15h-2.5z"


def test_the_shortest_stay_is_still_seen():
    (event,) = place(an_event(starts=-10, ends=-9.5)).events
    assert event.outline == "M-10 11h2.2v15h-2.2z"


def test_an_event_is_cut_to_the_window():
    old, new = place(
        an_event(starts=-800, ends=-700), an_event("home_care", starts=-5, ends=40, unfinished=True)
    ).events
    assert (old.starts, old.ends) == (-730.0, -700.0)
    assert (new.starts, new.ends) == (-5.0, 0.0)


@pytest.mark.parametrize("ends", [None, 0, 40])
def test_what_ends_after_the_index_is_open_and_its_end_is_not_told(ends):
    timeline = place(an_event(starts=-5, ends=ends, unfinished=True))
    (event,) = timeline.events
    assert (event.ends, event.ended_at, event.is_open) == (0.0, None, True)
    assert timeline.unfinished_count == 0
    page = a_page(events=events_of(an_event(starts=-5, ends=ends, unfinished=True)))
    assert "Akut indlæggelse, fra 28. sep. 2026, stadig i gang" in page
    assert "nov. 2026" not in timeline_svg(page)


@pytest.mark.parametrize(
    "outside",
    [
        an_event(starts=0, ends=2),
        an_event(starts=-740, ends=-730),
        an_event("primary_care", starts=0),
        an_event("primary_care", starts=-730.01),
        an_event(starts=-3, ends=-2, person_id="somebody else"),
    ],
)
def test_what_lies_outside_the_window_is_left_out(outside):
    assert place(outside).events == ()


@pytest.mark.parametrize(
    "inside", [an_event("primary_care", starts=-730), an_event("primary_care", starts=-0.01)]
)
def test_points_at_the_edges_of_the_window_are_inside(inside):
    assert place(inside).counts == {"primary_care": 1}


def test_an_unfinished_end_has_a_shape_of_its_own_and_words():
    page = a_page(
        events=events_of(an_event(starts=-10, ends=-8, unfinished=True), an_event(starts=-6, ends=-5))
    )
    svg = timeline_svg(page)
    assert re.findall(r'<path class="unfinished" d="(.*?)"', svg) == ["M-12.5 2h9l-4.5 7z"]
    assert svg.count("Afbrudt før tid</title>") == 1
    assert "1 afbrudt før tid" in page


def test_a_timeline_without_unfinished_ends_has_no_such_sign():
    assert 'class="unfinished"' not in timeline_svg(a_page(events=events_of(an_event(starts=-6, ends=-5))))


def test_an_unknown_or_missing_ending_is_not_called_unfinished():
    assert place(an_event(starts=-6, ends=-5, unfinished=None)).unfinished_count == 0


def test_the_timeline_is_told_in_words_too():
    events = [an_event(starts=day, ends=day + 1) for day in (-40, -30)]
    page = a_page(events=events_of(*events, an_event("no_show", starts=-9)), language="en")
    counts = re.search(r'<p class="counts" id="t1">(.*?)</p>', page, re.DOTALL).group(1)
    assert " ".join(counts.split()) == "On the timeline: 2 acute admissions · 1 missed appointment"
    assert 'aria-labelledby="t1"' in timeline_svg(page)


def test_every_category_can_be_drawn():
    events = [an_event(category, starts=-20, ends=-15) for category in MARKS]
    svg = timeline_svg(a_page(events=events_of(*events)))
    assert all(f'class="{category}"' in svg for category in MARKS)


def test_every_mark_lies_in_its_lane():
    assert {mark.lane for mark in MARKS.values()} == set(LANE_BOTTOMS)
    for mark in MARKS.values():
        bottom = LANE_BOTTOMS[mark.lane]
        assert bottom - LANE_HEIGHTS[mark.lane] < mark.y < mark.y + mark.height < bottom


def test_a_category_without_a_lane_is_refused_without_naming_anybody():
    with pytest.raises(InputError, match="`events` has 2 rows whose `category`") as refused:
        place(an_event("dentist", starts=-3), an_event(None, starts=-3))
    assert "dentist" not in str(refused.value)
    assert "thomas" not in str(refused.value)


def test_categories_may_be_an_enumeration():
    events = events_of(an_event(starts=-3, ends=-2)).with_columns(
        pl.col("category").cast(pl.Enum(list(MARKS)))
    )
    assert place_events(scores_of(a_score()), events)["category"].to_list() == ["acute_admission"]


def test_one_person_at_two_index_times_has_two_timelines():
    scores = scores_of(a_score(), a_score(index_time=INDEX - timedelta(days=100)))
    late, early = build_timelines(scores, events_of(an_event(starts=-50, ends=-48)))
    assert (len(late.events), len(early.events)) == (1, 0)


def test_months_run_through_the_window_and_labels_stand_at_the_quarters():
    months = find_months(datetime(2026, 1, 1))
    assert months[0].starts_at == datetime(2024, 2, 1)
    assert months[-1].starts_at == datetime(2025, 12, 1)
    assert months[-1].day == -31.0
    assert len(months) == 23
    assert [f"{m.starts_at:%Y-%m}" for m in months if m.has_label] == [
        "2024-04",
        "2024-07",
        "2024-10",
        "2025-01",
        "2025-04",
        "2025-07",
        "2025-10",
    ]
