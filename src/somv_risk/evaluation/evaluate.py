"""Evaluate: a model measured on histories, at one or several index moments, in one call."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.calls.arguments import read_count, read_index_times
from somv_risk.calls.extras import check_installed
from somv_risk.calls.libraries import list_libraries
from somv_risk.calls.moments import Moment
from somv_risk.calls.notebook import render_notebook_table
from somv_risk.calls.notices import list_notices, one_call
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.calls.shown import show_type
from somv_risk.cohort.splits import PersonSplit
from somv_risk.errors import CohortError, ConfigError, SourceError
from somv_risk.evaluation.explanations import measure_explanations
from somv_risk.evaluation.refits import Judge, Refits, run_refits
from somv_risk.evaluation.subgroups import list_groupings
from somv_risk.evaluation.test_set import Followed, Persons, choose_persons_to_follow, find_head, follow
from somv_risk.metrics import (
    BY_LOT,
    CAPACITIES,
    WORKING_CAPACITY,
    Capacity,
    judge,
    make_listing,
    read_capacities,
)
from somv_risk.model.model import RiskModel, compute_model_hash, describe_target, get_model
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.registers.soundness import warn_of_quarantine
from somv_risk.report.card import render_card
from somv_risk.scoring.notes import warn_of_bounds
from somv_risk.scoring.score import Allowed, check_fit
from somv_risk.training.config import parse_config
from somv_risk.training.reference import REFERENCE

NOBODY_AGAIN: Final = (
    "Nobody of the first list could be on the second: none was eligible with a known outcome."
)
_METRICS: Final = pl.Schema(
    {
        s.INDEX_TIME: pl.Datetime("us"),
        **dict.fromkeys(("population", "ranking", "metric"), pl.String()),
        **dict.fromkeys(("value", "low", "high"), pl.Float64()),
        "note": pl.String(),
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationReport:
    """An evaluation: what was judged (`facts`) and what was found (`tables`, tidy frames by name).

    Where a number is missing, the column `note` of its row says why.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]

    def __repr__(self) -> str:
        return f"EvaluationReport({self.facts['target']['name']}: {', '.join(self.tables)})"

    def _repr_html_(self) -> str:
        rows = [(name, table.height) for name, table in self.tables.items()]
        title = f"EvaluationReport, {self.facts['target']['name']}"
        return render_notebook_table(title, ["table", "rows"], rows)

    @property
    def metrics(self) -> pl.DataFrame:
        """How well each ranking separates: `index_time`, `population`, `ranking`, `metric`, and its value.

        It has no rows if no index moment could be judged; the table `cases` says why.
        """
        return self.tables.get("metrics", pl.DataFrame(schema=_METRICS))

    def to_html(self, path: str | Path, *, language: str = "en") -> None:
        """Write one self-contained page, and every table as CSV in a folder beside it.

        Raises
        ------
        ConfigError
            If there are no texts in that language.
        SourceError
            If the page cannot be written.
        """
        from somv_risk.report.evaluation_page import write_evaluation  # noqa: PLC0415 - matplotlib is slow

        write_evaluation(self.facts, self.tables, Path(path), language)

    def write_card(self, model: RiskModel, path: str | Path) -> None:
        """Write the model's card with what this evaluation found.

        Raises
        ------
        SourceError
            If the file cannot be written.
        """
        try:
            Path(path).write_text(render_card(model, self.tables), encoding="utf-8")
        except OSError as error:
            raise SourceError(
                f"The card cannot be written to {path} ({error.strerror}). Choose another folder."
            ) from None


@dataclass(frozen=True, slots=True)
class _Judging:
    """How a model is judged, the same at every index moment."""

    model: RiskModel
    histories: Histories
    target: str | None
    persons: Persons
    split: PersonSplit
    capacities: Sequence[str | int]
    working_capacity: str | int
    draws: int
    seed: int

    def follow(self, moment: datetime) -> Followed:
        """Follow the persons to be judged by from an index moment."""
        return follow(
            self.model,
            self.histories,
            moment,
            target=self.target,
            persons=self.persons,
            split=self.split,
        )

    def judge(self, followed: Followed) -> dict[str, pl.DataFrame]:
        """Judge the model by the persons followed."""
        found = judge(
            followed.cases,
            capacities=self.capacities,
            working_capacity=self.working_capacity,
            draws=self.draws,
            seed=self.seed,
        )
        return {"attrition": followed.attrition, **found}


@one_call()
@same_on_any_threads()
def evaluate(
    model: RiskModel | str | Path,
    histories: Histories,
    *,
    index_times: Iterable[Moment],
    target: str | None = None,
    persons: Persons = "test",
    capacities: Sequence[str | int] = CAPACITIES,
    working_capacity: str | int = WORKING_CAPACITY,
    draws: int = 200,
    seed: int = 0,
    refits: Refits | None = None,
    explained: int = 0,
    simulated: bool | None = None,
    allow: Collection[Allowed] = (),
    progress: Progress = ignore_progress,
) -> EvaluationReport:
    """Judge a model on histories: separation, lists, calibration, decisions, fairness, and whom it misses.

    Parameters
    ----------
    model
        A trained model, or the folder of one.
    index_times
        Moments to judge at, each on its own. The horizon after each should lie within the data.
    target
        Which of the model's targets; its first by default.
    persons
        "test": only persons who neither grew nor calibrated the model, as its training split them, which is
        right for the histories it was trained on; "all" for others. A cross-validated model has kept nobody:
        "test" then is everybody, at index times later than all it has learnt from.
    capacities
        Lengths of lists: persons, such as "100", or a share of everybody, such as "1 %".
    working_capacity
        The length of the lists in the tables of fairness, persistence and hidden, one of each ranking.
    draws, seed
        Of the bootstrap over persons.
    refits
        How often to train again, on other years, without a place and on other draws of persons, to see what
        holds (minutes for a region); not by default.
    explained
        On how many persons of the last index time to measure the quality of explanations; on none by default.
    simulated
        Whether the histories are made up, where that is known; the page says so.
    allow
        What is usually refused, and then only warned of: "absent-tables" that the model was trained with,
        other "definitions" of its features.
    progress
        Called with the step, how much of it is done, and its total.

    Returns
    -------
    The report. An index time at which nobody's outcome is known is a row with a note in the table `cases`.

    Raises
    ------
    ConfigError
        If there is no index time, or an argument is out of its range.
    OtherTablesError
        If tables are absent that the model was trained with, and this is not allowed.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    IndexTimeError
        If the data end before the horizon after an index time does; it names the latest possible one.
    CohortError
        If nobody's outcome is known at any of the index times.

    Warns
    -----
    QuarantineWarning
        If more than 1 % of a table was set aside.
    ImplausibleDataWarning
        If outcomes hold contacts without an end, or events after a death, within bounds.
    """
    fitted = get_model(model)
    check_fit(fitted, histories, allow)
    moments = read_index_times(index_times, histories.timezone)
    draws, seed = read_count("draws", draws), read_count("seed", seed)
    explained = read_count("explained", explained)
    if explained:
        check_installed("shap", "the quality of explanations")
    persons = choose_persons_to_follow(fitted, moments, persons)
    capacities = tuple(one.label for one in read_capacities(capacities))
    read_capacities([working_capacity])
    if not isinstance(refits, Refits | None):
        raise ConfigError(f"refits is {show_type(refits)}. Give Refits().")
    _check_target(fitted, target, asks_for_more=refits is not None or explained > 0)
    config = parse_config(dict(fitted.facts["config"]))
    split = config.build_person_split()
    warn_of_bounds(histories)
    judging = _Judging(fitted, histories, target, persons, split, capacities, working_capacity, draws, seed)
    warn_of_quarantine(histories)
    tables = _judge_moments(judging, moments, progress)
    _check_judged(tables)
    again = None
    if refits is not None:
        again = run_refits(histories, config, refits, progress, judge=_make_judge(judging))
        tables |= again.tables
    if explained:
        tables["explanations"] = measure_explanations(
            fitted, histories, moments[-1], persons=explained, seed=seed, others=again.models if again else ()
        )
    return EvaluationReport(
        facts=MappingProxyType(
            {**_state_facts(judging, moments, simulated=simulated), "warnings": list_notices()}
        ),
        tables=MappingProxyType(tables),
    )


def _check_judged(tables: Mapping[str, pl.DataFrame]) -> None:
    """Check that the model could be judged at one of the index moments at least."""
    if "metrics" not in tables:
        raise CohortError(" ".join(tables["cases"]["note"].unique(maintain_order=True)))


def _check_target(model: RiskModel, target: str | None, *, asks_for_more: bool) -> None:
    if find_head(model, target) is not model.main and asks_for_more:
        raise ConfigError(
            f"Refits and the quality of explanations are of the model's first target, not of {target}. "
            "Leave out refits and explained."
        )


def _make_judge(judging: _Judging) -> Judge:
    (capacity,) = read_capacities([judging.working_capacity])
    return Judge(draws=judging.draws, seed=judging.seed, capacity=capacity.label)


def _judge_moments(
    judging: _Judging, moments: Sequence[datetime], progress: Progress
) -> dict[str, pl.DataFrame]:
    """Judge at each index moment, and compare the lists of moments that follow one another."""
    tables: dict[str, list[pl.DataFrame]] = {}
    lists: list[Followed] = []
    for done, moment in enumerate(moments):
        progress("judging", done, len(moments))
        try:
            lists.append(judging.follow(moment))
            found = judging.judge(lists[-1])
        except CohortError as error:
            found = {"cases": _tell_nobody(str(error))}
        for name, table in found.items():
            tables.setdefault(name, []).append(table.select(pl.lit(moment).alias(s.INDEX_TIME), pl.all()))
    progress("judging", len(moments), len(moments))
    joined = {name: pl.concat(parts, how="diagonal_relaxed") for name, parts in tables.items()}
    if len(lists) > 1:
        joined["turnover"] = _compare_lists(lists, read_capacities(judging.capacities))
    return joined


def _tell_nobody(note: str) -> pl.DataFrame:
    """Tell why an index moment cannot be judged, as a row of the table `cases`."""
    row = {
        "population": "all",
        "rows": 0,
        "events": 0,
        "base_rate": None,
        "low": None,
        "high": None,
        "note": note,
    }
    return pl.DataFrame([row], schema_overrides=dict.fromkeys(("base_rate", "low", "high"), pl.Float64))


def _compare_lists(lists: Sequence[Followed], capacities: Sequence[Capacity]) -> pl.DataFrame:
    """Compare lists: how many of those on the first who could be on the second are on it."""
    rows = [
        _compare(pair, ranking, capacity)
        for pair in pairwise(lists)
        for ranking in pair[0].cases.rankings
        for capacity in capacities
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _compare(pair: tuple[Followed, Followed], ranking: str, capacity: Capacity) -> dict[str, Any]:
    chosen = [make_listing(one.cases, ranking, capacity.count(len(one.cases))) for one in pair]
    first, second = (one.person_ids.filter(own.listed) for one, own in zip(pair, chosen, strict=True))
    could_stay = int(first.is_in(pair[1].person_ids.implode()).sum())
    stayed = int(first.is_in(second.implode()).sum())
    lot = BY_LOT if any(one.is_by_lot for one in chosen) else None
    return {
        "from_index_time": pair[0].index_time,
        "to_index_time": pair[1].index_time,
        "ranking": ranking,
        "capacity": capacity.label,
        "persons": could_stay,
        "value": stayed / could_stay if could_stay else None,
        "note": lot if could_stay else NOBODY_AGAIN,
    }


def _state_facts(judging: _Judging, moments: Sequence[datetime], *, simulated: bool | None) -> dict[str, Any]:
    model, histories = judging.model, judging.histories
    rows = {table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()}
    return {
        "model_hash": compute_model_hash(model),
        "target": describe_target(find_head(model, judging.target).target),
        "index_times": [moment.isoformat() for moment in moments],
        "persons": judging.persons,
        "draws": judging.draws,
        "seed": judging.seed,
        "working_capacity": str(judging.working_capacity),
        "capacities": [str(capacity) for capacity in judging.capacities],
        "groupings": list(list_groupings()),
        "features": len(model.features),
        "training": {name: value for name, value in model.facts.items() if name not in (REFERENCE, "card")},
        "histories": {
            "tables": list(histories.tables),
            "absent": list(histories.absent),
            "rows": rows,
            "data_end": histories.data_end.isoformat() if histories.data_end else None,
        },
        "libraries": list_libraries(),
        "is_simulated": simulated,
    }
