"""Loops: the compiled code gives what plain definitions over a handful of events give."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.features import _loops as loops
from somv_risk.machine_code import compiled

SIZE = 3
WINDOWS = np.array([3, 5, 9], dtype=np.int64)
WINDOWS.flags.writeable = False


@st.composite
def events(draw, *, in_order=True):
    """Draw events: moment, start age, end age (0 for open), and a small code (-1 for none)."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, SIZE - 1), st.integers(1, 12), st.integers(0, 12), st.integers(-1, 2)),
            max_size=12,
        )
    )
    rows = [(moment, start, min(start, end), code) for moment, start, end, code in rows]
    if in_order:
        rows.sort(key=lambda row: (row[0], -row[1]))
    else:
        rows.sort(key=lambda row: row[0])
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    moment, start_age, end_age, code = columns
    return Drawn(moment.astype(np.int32), start_age.copy(), end_age.copy(), code.astype(np.int32))


class Drawn:
    def __init__(self, moment, start_age, end_age, code):
        self.moment, self.start_age, self.end_age, self.code = moment, start_age, end_age, code

    def __iter__(self):
        columns = (self.moment, self.start_age, self.end_age, self.code)
        return iter(list(zip(*(column.tolist() for column in columns), strict=True)))

    def __repr__(self):
        return f"Drawn({list(self)})"


def per_window(drawn, age_of, fold):
    """Fold the rows of each window and moment, by definition."""
    return [
        [fold([row for row in drawn if row[0] == moment and age_of(row) <= window]) for moment in range(SIZE)]
        for window in WINDOWS.tolist()
    ]


FOLDS = {
    "count": len,
    "add": lambda rows: sum(row[2] for row in rows),
    "find_least": lambda rows: min((row[2] for row in rows), default=loops.NEVER),
    "find_most": lambda rows: max((row[2] for row in rows), default=loops.NO_VALUE),
}


@pytest.mark.parametrize("name", FOLDS)
@given(drawn=events(in_order=False))
def test_events_are_added_up_by_window_and_moment(name, drawn):
    values = () if name == "count" else (drawn.end_age,)
    found = getattr(loops, name)(drawn.moment, drawn.start_age, *values, WINDOWS, SIZE)
    assert found.tolist() == per_window(drawn, lambda row: row[1], FOLDS[name])


@given(drawn=events(in_order=False))
def test_time_inside_windows_is_what_is_left_of_each_unit_of_time(drawn):
    def inside(row, window):
        return sum(1 for unit in range(1, window + 1) if row[2] < unit <= row[1])

    def expect(fold):
        return [
            [fold([inside(row, window) for row in drawn if row[0] == moment]) for moment in range(SIZE)]
            for window in WINDOWS.tolist()
        ]

    arguments = (drawn.moment, drawn.start_age, drawn.end_age, WINDOWS, SIZE)
    assert loops.add_inside(*arguments).tolist() == expect(sum)
    assert loops.find_most_inside(*arguments).tolist() == expect(lambda spans: max(spans, default=0))


@given(drawn=events(), span=st.integers(1, 6))
def test_a_span_begun_at_an_event_holds_those_less_than_it_younger(drawn, span):
    expected = [
        sum(1 for other in drawn if other[0] == row[0] and 0 <= row[1] - other[1] < span) for row in drawn
    ]
    found = loops.count_in_span(drawn.moment, drawn.start_age, span).tolist()
    # Of events that start together, the first counts those after it; the fullest span is the same.
    assert all(number <= most for number, most in zip(found, expected, strict=True))
    firsts = [place for place, row in enumerate(drawn) if place == 0 or list(drawn)[place - 1][:2] != row[:2]]
    assert [found[place] for place in firsts] == [expected[place] for place in firsts]


@given(drawn=events(in_order=False), window=st.integers(1, 12))
def test_different_codes_are_told_apart_in_each_moment(drawn, window):
    coded = [row for row in drawn if row[3] != loops.NO_VALUE]
    pairs = {(row[0], row[3]) for row in coded}
    youngest = sorted(
        (moment, min(r[1] for r in coded if (r[0], r[3]) == (moment, code))) for moment, code in pairs
    )
    found = loops.find_youngest(drawn.moment, drawn.code, 3, drawn.start_age)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == youngest

    inside = [row for row in coded if row[1] <= window]
    counts = sorted(
        (moment, sum(1 for r in inside if (r[0], r[3]) == (moment, code)))
        for moment, code in {(row[0], row[3]) for row in inside}
    )
    found = loops.count_by_code(drawn.moment, drawn.code, 3, drawn.start_age, window)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == counts


@given(drawn=events(), gap=st.integers(0, 2))
def test_a_spell_is_what_can_be_reached_over_overlaps_and_gaps(drawn, gap):
    spell, first, farthest = loops.join_spells(
        drawn.moment, drawn.code, 3, drawn.start_age, drawn.end_age, gap
    )
    rows = list(drawn)
    groups = [{place} for place in range(len(rows))]
    for one in range(len(rows)):
        for other in range(one):
            if _touch(rows[one], rows[other], gap) and groups[one] is not groups[other]:
                groups[one] |= groups[other]
                for place in groups[one]:
                    groups[place] = groups[one]
    assert {frozenset(np.flatnonzero(spell == number).tolist()) for number in spell.tolist()} == {
        frozenset(group) for group in groups
    }
    for number, (begin, reach) in enumerate(zip(first.tolist(), farthest.tolist(), strict=True)):
        members = np.flatnonzero(spell == number)
        assert begin == members[0]
        assert reach == max(place for place in members if rows[place][2] == min(rows[m][2] for m in members))


def _touch(one, other, gap):
    is_same = one[0] == other[0] and one[3] == other[3]
    return is_same and one[1] >= other[2] - gap and other[1] >= one[2] - gap


@given(drawn=events())
def test_events_that_start_together_are_ordered_by_rank(drawn):
    order = loops.order_ties(drawn.moment, drawn.start_age, drawn.code).tolist()
    rows = list(drawn)
    expected = sorted(range(len(rows)), key=lambda place: (rows[place][0], -rows[place][1], rows[place][3]))
    assert order == expected


@given(drawn=events())
def test_the_one_before_is_the_latest_held_in_the_same_moment(drawn):
    held = drawn.code >= 0
    rows = list(drawn)
    expected = [
        max((p for p in range(place) if rows[p][0] == row[0] and held[p]), default=loops.NO_VALUE)
        if held[place]
        else loops.NO_VALUE
        for place, row in enumerate(rows)
    ]
    assert loops.find_before(drawn.moment, held).tolist() == expected


@given(drawn=events())
def test_a_newcomer_is_first_with_its_code_and_later_than_the_first_of_any(drawn):
    rows = list(drawn)

    def is_new(place):
        moment, start, _, code = rows[place]
        before = [row for row in rows[:place] if row[0] == moment and row[3] != loops.NO_VALUE]
        others = [row[1] for row in before]
        return (
            code != loops.NO_VALUE
            and all(row[3] != code for row in before)
            and bool(others)
            and start < max(others)
        )

    found = loops.find_new(drawn.moment, drawn.code, 3, drawn.start_age).tolist()
    assert found == [is_new(place) for place in range(len(rows))]


@given(drawn=events(), others=events())
def test_the_next_is_the_first_held_that_comes_at_or_after(drawn, others):
    held = others.code >= 0
    order = np.lexsort((-drawn.end_age, drawn.moment))
    moment, age = drawn.moment[order], drawn.end_age[order]
    found = loops.find_next(moment, age, others.moment, others.start_age, held).tolist()
    expected = [
        max((row[1] for row in others if row[0] == m and row[1] <= a and row[3] >= 0), default=loops.NO_VALUE)
        for m, a in zip(moment.tolist(), age.tolist(), strict=True)
    ]
    assert found == expected


@given(drawn=events(), others=events())
def test_an_age_is_inside_from_the_start_of_an_interval_up_to_its_end(drawn, others):
    found = loops.mark_inside(
        drawn.moment, drawn.end_age, others.moment, others.start_age, others.end_age
    ).tolist()
    assert found == [
        row[2] > 0 and any(o[0] == row[0] and o[2] < row[2] <= o[1] for o in others) for row in drawn
    ]


@st.composite
def tables(draw):
    """Draw rows of persons 0 to 2 in order of start: person, started, ended, known."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, SIZE - 1),
                st.integers(0, 9),
                st.integers(0, 12) | st.just(loops.NEVER),
                st.integers(0, 12),
            ),
            max_size=10,
        )
    )
    rows.sort(key=lambda row: row[:2])
    return [(person, start, max(start, end), known) for person, start, end, known in rows]


def _freeze(values):
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


deaths = st.lists(st.just(loops.NEVER) | st.integers(0, 14), min_size=SIZE, max_size=SIZE).map(_freeze)


def _to_arrays(rows):
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    offsets = np.searchsorted(columns[0], np.arange(SIZE + 1))
    arrays = [offsets, *(column.copy() for column in columns[1:])]
    for array in arrays:
        array.flags.writeable = False
    return arrays


@given(
    rows=tables(),
    moments=st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 14)), max_size=4),
    lag=st.integers(0, 3),
    reach=st.integers(1, 12) | st.just(loops.NEVER),
    deaths=deaths,
)
def test_what_is_seen_was_known_before_the_index_and_came_before_the_death(rows, moments, lag, reach, deaths):
    person, index = (np.array([m[i] for m in moments], dtype=t) for i, t in ((0, np.int32), (1, np.int64)))
    found = loops.find_seen(person, index, *_to_arrays(rows), lag, reach, deaths)
    expected = [
        (
            place,
            number,
            now - start,
            max(now - end if end != loops.NEVER and end + lag < now else 0, now - deaths[who]),
        )
        for number, (who, now) in enumerate(moments)
        for place, (owner, start, end, known) in enumerate(rows)
        if owner == who and start < now and start <= deaths[who] and now - start <= reach and known < now
    ]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


@given(
    rows=tables(),
    others=tables(),
    contacts=st.lists(st.integers(-1, 2), min_size=20, max_size=20),
    deaths=deaths,
)
def test_a_contact_is_known_since_its_earliest_row_was(rows, others, contacts, deaths):
    own, other = np.array(contacts[: len(rows)], np.int32), np.array(contacts[10:], np.int32)[: len(others)]
    for array in (own, other):
        array.flags.writeable = False
    offsets, other_arrays = _to_arrays(rows)[0], _to_arrays(others)
    found = loops.find_since(
        offsets, own, other_arrays[0], other, other_arrays[1], other_arrays[3], 3, deaths
    )
    expected = [
        min(
            (
                max(start, known)
                for place, (who, start, _, known) in enumerate(others)
                if start <= deaths[who] and who == row[0] and other[place] == contact >= 0
            ),
            default=loops.NEVER,
        )
        for row, contact in zip(rows, own.tolist(), strict=True)
    ]
    assert found.tolist() == expected


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch):
    def refuse(loop, *, cache=False, **_options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return loop

    monkeypatch.setattr("numba.njit", refuse)
    assert compiled(lambda number: number + 1)(1) == 2


# --- How loops are compiled


def test_a_loop_has_another_name_once_one_that_it_calls_has_changed():
    """numba keeps code on disk by name, and sees changes of the loop's own module only."""

    def link(number):
        scope = {"compiled": compiled, "__name__": __name__}
        inner = f"@compiled\ndef inner(x):\n    return x + {number}\n"
        exec(inner + "@compiled\ndef outer(x):\n    return inner(x)\n", scope)  # noqa: S102 - our own two loops
        return scope["outer"].link()

    assert link(1).__qualname__ == link(1).__qualname__
    assert link(1).__qualname__ != link(2).__qualname__


def test_that_loops_are_compiled_is_told_once_and_not_when_they_are_loaded(tmp_path):
    code = """
import os
import subprocess
import sys

import numpy as np
from somv_risk.features._loops import count, add
none = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
count(*none, 1)
add(none[0], none[1], none[1], none[2], 1)
"""
    told = [
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert told[0].count("Compiling loops, once after installation") == 1
    assert told[1] == ""
