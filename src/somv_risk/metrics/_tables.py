"""Tables: everything that is said of the cases of one index moment."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from somv_risk.metrics._calibration import (
    hide_groups,
    measure_index,
    measure_ratio,
    tabulate_group_errors,
    tabulate_lines,
    tabulate_reliability,
    tell_no_risks,
)
from somv_risk.metrics._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.metrics._cases import Cases
from somv_risk.metrics._cells import Cells, put_in_cells
from somv_risk.metrics._decisions import measure_net_benefit
from somv_risk.metrics._doubts import note_doubts
from somv_risk.metrics._fairness import find_gaps, measure_rates, tabulate_fairness
from somv_risk.metrics._gaps import add_sentences
from somv_risk.metrics._listings import make_listings
from somv_risk.metrics._lists import (
    tabulate_cases,
    tabulate_distribution,
    tabulate_hidden,
    tabulate_persistence,
)
from somv_risk.metrics._measures import Measure, Resampling, draw, tabulate
from somv_risk.metrics._rankings import CAPACITY, PERSONS, measure_order
from somv_risk.metrics.notes import NOBODY, NOT_GIVEN

WORKING_CAPACITY: Final = "1 %"
REFERENCES: Final = ("penalised_logistic", "count_last_year", "programme_rule")


def judge(
    cases: Cases,
    *,
    capacities: Sequence[str | int] = CAPACITIES,
    working_capacity: str | int = WORKING_CAPACITY,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, pl.DataFrame]:
    """Judge a model by its cases: all tables of an evaluation, with 95 % intervals over `draws` of persons.

    Parameters
    ----------
    cases
        What was foretold and what happened; any model can be judged.
    capacities
        Lengths of lists: persons, such as "100", or a share of everybody, such as "1 %".
    working_capacity
        The length of the lists in the tables of fairness, persistence and hidden: one of each ranking.

    Returns
    -------
    By name: `cases`, `metrics`, `capacity`, `calibration`, `reliability`, `decision_curve`,
    `risk_distribution`, `persistence`, `fairness`, `gaps`, `hidden`. The references stand beside the model
    in all but the first. Where something cannot be said, the value is null and `note` says why.

    Raises
    ------
    ConfigError
        If a capacity is no length of a list, or draws are negative.
    """
    lengths, (working,) = read_capacities(capacities), read_capacities([working_capacity])
    cells, listings = put_in_cells(cases), make_listings(cases, working.count(len(cases)))
    measures = _list_measures(cases, lengths)
    measures |= {
        "ratio": measure_ratio(cases, cells),
        "index": measure_index(cases),
        "decision_curve": measure_net_benefit(cases),
        "rates": measure_rates(cases, cells, listings),
    }
    drawn = draw(measures, len(cases), Resampling(draws, seed))
    tables = {name: tabulate(measures[name].keys, drawn[name]) for name in measures if name != "rates"}
    fairness = tabulate_fairness(cases, cells, listings, drawn["rates"])
    order = pl.concat([tables[name] for name in ("all", "new") if name in tables])
    found = {
        "cases": tabulate_cases(cases),
        "metrics": _add_missing(order.filter(pl.col(CAPACITY).is_null()).drop(CAPACITY, PERSONS), cases),
        "capacity": order.filter(pl.col(CAPACITY).is_not_null()),
        "calibration": _tabulate_calibration(cases, cells, tables["ratio"], tables["index"]),
        "reliability": tabulate_reliability(cases, cells),
        "decision_curve": tables["decision_curve"],
        "risk_distribution": tabulate_distribution(cases),
        "persistence": tabulate_persistence(cases, listings),
        "fairness": fairness.drop("spread"),
        "gaps": add_sentences(find_gaps(fairness)),
        "hidden": tabulate_hidden(cases, listings),
    }
    return {name: note_doubts(cases, table) for name, table in found.items()}


def _tabulate_calibration(
    cases: Cases, cells: Cells, ratio: pl.DataFrame, index: pl.DataFrame
) -> pl.DataFrame:
    lines = [tabulate_lines(cases, cells), tabulate_group_errors(cases, cells), tell_no_risks(cases)]
    columns = lines[0].columns
    joined = pl.concat([ratio.select(columns), *lines, index.select(columns)])
    return hide_groups(joined, cells, cases.outcome)


def _add_missing(metrics: pl.DataFrame, cases: Cases) -> pl.DataFrame:
    """Add a row that says so for each reference that was not given, and if there are no new cases."""
    missing = [("all", name, NOT_GIVEN) for name in REFERENCES if name not in cases.rankings]
    if cases.is_new is not None and not cases.is_new.any():
        missing.append(("new", cases.judged, NOBODY))
    rows = [
        {"population": population, "ranking": name, "metric": "auroc", "note": note}
        for population, name, note in missing
    ]
    return pl.concat([metrics, pl.DataFrame(rows)], how="diagonal_relaxed") if rows else metrics


def _list_measures(cases: Cases, lengths: Sequence[Capacity]) -> dict[str, Measure]:
    """List the measures of order: of everybody, and of new cases if they are known and there are any."""
    measures = {"all": measure_order(cases, "all", lengths)}
    if cases.is_new is not None and cases.is_new.any():
        measures["new"] = measure_order(cases, "new", lengths, is_kept=cases.is_new)
    return measures
