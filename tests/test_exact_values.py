"""Exact values: what is equal by the words of a measure is equal to the bit."""

import math
from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import define, look_back, measure
from somv_risk.features import MEASURES, Coded, Definition, Events

DAY = 86_400_000_000  # microseconds
SPREAD = ("entropy", "concentration", "continuity")

numbers = st.lists(st.integers(1, 6), min_size=1, max_size=5)  # of contacts, by unit
shuffles = st.randoms(use_true_random=False)
gaps = st.lists(st.integers(0, 200), min_size=2, max_size=6)  # in hours


def visit(units: list[int]) -> str:
    """Draw contacts of an hour each, four days apart, in the units given."""
    lines = [f"-{4 * place + 2}d -{4 * place + 2}d+1h {unit}" for place, unit in enumerate(units)]
    return "\n".join(("started_at ended_at department", *lines))


def spread(name: str, units: list[int]) -> float | None:
    """Measure how contacts with some units lie over them."""
    definition = define(measure=name, events="contacts", value="unit", windows=(3650,))
    return measure(definition, admissions=visit(units))


def list_units(counts: list[int]) -> list[int]:
    return [unit for unit, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize("contacts", [1, 2, 3, 7, 49, 365])
def test_the_entropy_of_one_unit_is_0_whatever_the_number_of_contacts(contacts):
    assert spread("entropy", [1] * contacts) == 0.0


@pytest.mark.parametrize("units", [2, 3, 5])
@pytest.mark.parametrize("contacts", [1, 2, 7, 50])
def test_the_entropy_of_equal_shares_is_the_logarithm_of_the_units(units, contacts):
    assert spread("entropy", list_units([contacts] * units)) == round(math.log(units), 9)


@given(numbers, st.integers(2, 12))
def test_proportionate_numbers_of_contacts_have_the_same_entropy_and_concentration(counts, times):
    for name in ("entropy", "concentration"):
        more = list_units([count * times for count in counts])
        assert spread(name, more) == spread(name, list_units(counts)), name


@given(numbers, shuffles)
def test_neither_the_order_nor_the_names_of_units_decide_a_bit(counts, random):
    units = list_units(counts)
    names = random.sample(range(10, 20), 10)
    renamed = [names[unit] for unit in units]
    random.shuffle(renamed)
    for name in SPREAD:
        assert spread(name, renamed) == spread(name, units), name


@given(numbers)
def test_the_entropy_is_that_of_the_shares(counts):
    shares = [count / sum(counts) for count in counts]
    expected = -math.fsum(share * math.log(share) for share in shares)
    assert spread("entropy", list_units(counts)) == pytest.approx(expected, abs=1e-9)


def burst(hours: list[int]) -> float | None:
    """Measure the burstiness of contacts so many hours apart."""
    starts = [1 + sum(hours[:place]) for place in range(len(hours) + 1)]
    drawn = "\n".join(("started_at ended_at", *(f"-{start}h -{start}h" for start in starts)))
    definition = define(measure="burstiness", events="contacts", value="step", windows=(3650,))
    return measure(definition, admissions=drawn)


@pytest.mark.parametrize("hours", [1, 7, 100])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_burstiness_of_equal_gaps_is_minus_1(hours, count):
    assert burst([hours] * count) == -1.0


@given(gaps, st.integers(2, 9), shuffles)
def test_the_same_gaps_in_another_unit_repeated_or_in_another_order_have_the_same_burstiness(
    hours, times, random
):
    expected = burst(hours)
    assert burst([hour * times for hour in hours]) == expected
    assert burst(hours * times) == expected
    assert burst(random.sample(hours, len(hours))) == expected


def decay(ages: list[int]) -> float:
    """Measure what events of some ages (microseconds) count for."""
    definition = Definition(
        id="own",
        theme="bursts",
        title={"da": "egen", "en": "own"},
        unit="events",
        measure="decayed",
        events="primary_care",
        windows=[1825],
    )
    age = np.array(ages, dtype=np.int64)
    events = Events(1, np.zeros(len(ages), dtype=np.int32), age, age)
    windows = [feature.lookback for feature in definition.features()]
    (column,) = MEASURES["decayed"].compute(definition, events, windows)
    assert not isinstance(column, Coded)
    return float(column[0])


ages = st.integers(1, 300 * DAY)


@given(ages, st.integers(1, 10))
def test_events_that_were_halved_once_more_count_for_half_as_much(age, halvings):
    assert decay([age + halvings * 100 * DAY] * 2**halvings) == decay([age])


@given(st.lists(st.integers(1, 1825 * DAY), min_size=1, max_size=20), shuffles)
def test_a_decayed_count_has_no_order(drawn, random):
    assert decay(random.sample(drawn, len(drawn))) == decay(drawn)


@given(st.lists(st.integers(1, 1825 * DAY), min_size=1, max_size=20))
def test_a_decayed_count_is_half_to_the_power_of_the_age(drawn):
    assert decay(drawn) == pytest.approx(sum(0.5 ** (age / (100 * DAY)) for age in drawn), rel=1e-7)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=8), shuffles)
def test_days_means_and_medians_have_no_order_and_are_rounded_once(pairs, random):
    """Stays of some hours, a known time apart: by hand in whole numbers, divided once."""
    clock, spans = 2, []
    for gap, hours in pairs:
        spans.append((clock, clock + hours))
        clock += hours + gap + 5  # above the four hours that join contacts to one stay
    lines = [f"-{end}h -{start}h" for start, end in spans]
    random.shuffle(lines)
    drawn = "\n".join(("started_at ended_at", *lines))
    lengths = [end - start for start, end in spans]
    between = sorted(later[0] - earlier[1] for earlier, later in pairwise(spans))
    row = {"events": "stays", "windows": (3650,)}
    found = {
        name: measure(define(measure=name, **row, **more), admissions=drawn)
        for name, more in (
            ("days", {}),
            ("mean", {"value": "lasted"}),
            ("median_gap", {"value": "gap"}),
        )
    }
    assert found["days"] == float(Fraction(sum(lengths), 24))
    assert found["mean"] == float(Fraction(sum(lengths), 24 * len(lengths)))
    expected = _middle(between)
    assert found["median_gap"] == (None if expected is None else float(expected))


def _middle(hours: list[int]) -> Fraction | None:
    if not hours:
        return None
    return Fraction(hours[(len(hours) - 1) // 2] + hours[len(hours) // 2], 2 * 24)


@given(st.lists(st.sampled_from("12"), min_size=2, max_size=9))
def test_a_share_of_pairs_is_rounded_once(units):
    same = sum(one == other for one, other in pairwise(units))
    found = look_back(admissions=visit([int(unit) for unit in units]))
    assert found["department_sequence_730d"] == float(Fraction(same, len(units) - 1))


def test_the_order_of_rows_decides_no_bit_of_any_measure_of_many_contacts():
    """With hundreds of terms, sums of fractions would differ by their order."""
    random = Random(3)
    lines = [f"-{random.randrange(1, 720)}d-{hour}m -1h {random.randrange(9)}" for hour in range(300)]
    lines = [line.replace("-1h", line.split()[0] + "+1h") for line in lines]
    header = "started_at ended_at department contact_id"
    numbered = [f"{line} c{number:03}" for number, line in enumerate(lines)]
    first = look_back(admissions="\n".join((header, *numbered)))
    random.shuffle(numbered)
    assert look_back(admissions="\n".join((header, *numbered))) == first
