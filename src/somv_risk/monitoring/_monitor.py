"""Monitor: a scoring period beside what the model was trained on, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.calls.arguments import read_index_time, read_index_times
from somv_risk.calls.libraries import list_libraries
from somv_risk.calls.moments import Moment
from somv_risk.calls.notebook import render_notebook_table
from somv_risk.calls.notices import list_notices, one_call
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.weeks import Seen, SourceWeeks, count_weeks, measure_reach, see
from somv_risk.errors import ConfigError
from somv_risk.model.model import RiskModel, compute_model_hash, get_model
from somv_risk.monitoring._alarms import Alarm, tabulate_alarms
from somv_risk.monitoring._features import find_feature_alarms, tabulate_features
from somv_risk.monitoring._limits import Limits, read_limits
from somv_risk.monitoring._outcomes import find_outcome_alarms, tabulate_outcomes
from somv_risk.monitoring._scored import Scored, score_persons
from somv_risk.monitoring._scores import (
    find_score_alarms,
    find_turnover_alarms,
    tabulate_bins,
    tabulate_scores,
    tabulate_turnover,
)
from somv_risk.monitoring._tables import find_stale, find_table_alarms, tabulate_columns, tabulate_tables
from somv_risk.monitoring._volumes import (
    Judged,
    count_needed,
    find_delay_alarms,
    find_volume_alarms,
    judge_weeks,
    tabulate_delays,
    tabulate_volumes,
)
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.registers.soundness import INDEX_TIME, check_index_time, warn_of_quarantine
from somv_risk.scoring.score import Allowed, check_fit
from somv_risk.training.reference import Reference, read_reference

ALLOWED: Final[tuple[Allowed, ...]] = ("absent-tables", "definitions")


@dataclass(frozen=True, slots=True, repr=False)
class MonitoringReport:
    """A monitoring run: what was compared (`facts`), what was found (`tables`), and what is beyond its limit.

    Tables: `alarms`, `features`, `tables`, `columns`, `volumes`, `delays`, `scores`, `score_bins`,
    `calibration`, `turnover`. Where a number is missing, the column `note` of its row says why.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]
    alarms: tuple[Alarm, ...]

    def __repr__(self) -> str:
        return f"MonitoringReport({self.facts['index_time']}: {len(self.alarms)} alarms)"

    def _repr_html_(self) -> str:
        rows = [(name, table.height) for name, table in self.tables.items()]
        title = f"MonitoringReport, {self.facts['index_time']}, {len(self.alarms)} alarms"
        return render_notebook_table(title, ["table", "rows"], rows)

    @property
    def metrics(self) -> dict[str, float]:
        """The few numbers worth following from run to run, by name."""
        return summarise(self.tables)

    def to_html(self, path: str | Path, *, language: str = "en") -> None:
        """Write one self-contained page, and every table as CSV in a folder beside it.

        Raises
        ------
        ConfigError
            If there are no texts in that language.
        SourceError
            If the page cannot be written.
        """
        from somv_risk.report.monitoring_page import write_monitoring  # noqa: PLC0415 - reports come after

        said = [alarm.say(language) for alarm in self.alarms]
        write_monitoring(self.facts, self.tables, said, Path(path), language)


@one_call()
def monitor(
    model: RiskModel | str | Path,
    histories: Histories,
    index_time: Moment,
    *,
    earlier: Moment | Sequence[Moment] | None = None,
    limits: Limits | Mapping[str, Any] | str | Path | None = None,
    simulated: bool | None = None,
    progress: Progress = ignore_progress,
) -> MonitoringReport:
    """Compare a scoring period with what the model was trained on.

    Parameters
    ----------
    model
        A trained model, or the folder of one. It carries the reference that it is compared with.
    index_time
        The moment of the scoring; only what was known before it is looked at.
    earlier
        One or several moments of earlier scorings. Today's list is compared with each of theirs; where the
        horizon after one is over, its risks and its list are held against what happened.
    limits
        From where on a difference is an alarm: the path of a TOML file, its content, or `Limits`.
    simulated
        Whether the histories are made up, where that is known; the page says so.
    progress
        Called with the step, how much of it is done, and its total.

    Raises
    ------
    ModelError
        If the model carries no reference: an earlier version of the library trained it.
    ConfigError
        If a limit is out of its range, or an earlier moment does not lie before the index time.
    CohortError
        If nobody is eligible at one of the moments.

    Warns
    -----
    DefinitionWarning
        If features count something else than when the model was trained.
    AbsentTablesWarning
        If tables are absent that the model was trained with; to find that out is what monitoring is for, so
        nothing is refused.
    """
    fitted = get_model(model)
    check_fit(fitted, histories, ALLOWED)
    set_limits, reference = read_limits(limits), read_reference(fitted)
    moment = read_index_time(index_time, histories.timezone)
    moments = _list_earlier(earlier, moment, histories.timezone)
    steps = ("reading the tables", "scoring", "following earlier scorings")
    progress(steps[0], 0, len(steps))
    warn_of_quarantine(histories)
    check_index_time(histories, moment, [INDEX_TIME])  # a table that stands still is an alarm of its own
    seen = see(histories, moment, fitted.lags)
    weeks = _count_weeks(histories, seen, count_needed(set_limits.volumes))
    progress(steps[1], 1, len(steps))
    scored = score_persons(fitted, histories, moment, reference)
    progress(steps[2], 2, len(steps))
    before = [score_persons(fitted, histories, one, reference) for one in moments]
    judged = [judge_weeks(one, set_limits.volumes) for one in weeks.values()]
    run = _Run(fitted, histories, reference, set_limits, seen, weeks, judged, scored, before)
    tables = run.tabulate()
    alarms = run.find_alarms(tables)
    progress(steps[2], 3, len(steps))
    return MonitoringReport(
        facts=MappingProxyType({**run.state_facts(simulated=simulated), "warnings": list_notices()}),
        tables=MappingProxyType({"alarms": tabulate_alarms(alarms), **tables}),
        alarms=tuple(alarms),
    )


def _count_weeks(histories: Histories, seen: Seen, weeks: int) -> dict[str, SourceWeeks]:
    """Count the rows of each event table that was delivered, week by week."""
    delivered = [table for table in s.EVENT_TABLES if table in histories.tables]
    return {table: count_weeks(histories, table, seen, weeks) for table in delivered}


def _list_earlier(
    earlier: Moment | Sequence[Moment] | None, moment: datetime, timezone: str
) -> list[datetime]:
    moments = [] if earlier is None else read_index_times(earlier, timezone, "earlier")
    if moments and moments[-1] >= moment:
        raise ConfigError(
            f"The earlier moment {moments[-1]} is not before the index time {moment}. Give one that is."
        )
    return moments


@dataclass(frozen=True, slots=True)
class _Run:
    """Everything that one comparison needs."""

    model: RiskModel
    histories: Histories
    reference: Reference
    limits: Limits
    seen: Seen
    weeks: Mapping[str, SourceWeeks]
    judged: Sequence[Judged]
    scored: Scored
    earlier: Sequence[Scored]

    def tabulate(self) -> dict[str, pl.DataFrame]:
        """Make all tables."""
        model, reference, limits = self.model, self.reference, self.limits
        reach = {
            table: measure_reach(self.histories, table, self.scored.index_time)
            for table in self.weeks
            if table in reference.tables
        }
        tables = tabulate_tables(model, self.histories, reference, self.weeks, len(self.scored))
        moments = [one.index_time for one in self.earlier]
        return {
            "tables": tables,
            "columns": tabulate_columns(self.histories, reference, self.seen),
            "volumes": tabulate_volumes(self.judged),
            "delays": tabulate_delays(self.weeks, limits.volumes),
            "features": tabulate_features(
                model, reference, self.scored, frozenset(self.histories.absent), reach, limits.features
            ),
            "scores": tabulate_scores(model, reference, self.scored, limits.features),
            "score_bins": tabulate_bins(model, self.scored),
            "calibration": tabulate_outcomes(
                model, self.histories, self.scored.index_time, moments, limits.outcomes
            ),
            "turnover": tabulate_turnover(self.earlier, self.scored, limits.outcomes.capacity),
        }

    def find_alarms(self, tables: Mapping[str, pl.DataFrame]) -> list[Alarm]:
        """Find all alarms: sources first, as what comes after may only follow from them."""
        limits, reference = self.limits, self.reference
        return [
            *find_stale(self.seen, limits.tables),
            *find_table_alarms(
                tables["tables"], tables["columns"], reference, len(self.scored), limits.tables
            ),
            *find_volume_alarms(self.judged, limits.volumes),
            *find_delay_alarms(self.weeks, limits.delays),
            *find_feature_alarms(tables["features"], limits.features),
            *find_score_alarms(
                self.model, reference, self.scored, tables["scores"], limits.features, limits.scores
            ),
            *find_outcome_alarms(tables["calibration"], limits.outcomes),
            *find_turnover_alarms(tables["turnover"], limits.turnover),
        ]

    def state_facts(self, *, simulated: bool | None) -> dict[str, Any]:
        """State what was compared with what."""
        data_end = self.histories.data_end
        return {
            "model_hash": compute_model_hash(self.model),
            "target": self.model.main.target.name,
            "index_time": self.scored.index_time.isoformat(),
            "earlier": [one.index_time.isoformat() for one in self.earlier],
            "persons": len(self.scored),
            "reference": {
                "index_time": self.reference.index_time.isoformat(),
                "eligible": self.reference.eligible,
                "persons": self.reference.persons,
            },
            "histories": {
                "tables": list(self.histories.tables),
                "absent": list(self.histories.absent),
                "data_end": data_end.isoformat() if data_end else None,
            },
            "limits": self.limits.model_dump(mode="json"),
            "libraries": list_libraries(),
            "is_simulated": simulated,
        }


def summarise(tables: Mapping[str, pl.DataFrame]) -> dict[str, float]:
    """Sum a run up in a few numbers by name: what a metrics store can follow from run to run."""
    features, volumes = tables["features"], tables["volumes"]
    found = {
        "alarms": float(tables["alarms"].height),
        "missing_tables": float(tables["tables"].filter(pl.col("status") == "missing").height),
        "weeks_out_of_the_ordinary": float(volumes.filter(pl.col("verdict") != "usual").height),
        "features_drifted": float(features.filter(pl.col("verdict") == "drift").height),
        "features_emptied": float(features.filter(pl.col("verdict") == "empty").height),
    }
    largest = features["psi"].max()
    found |= {} if largest is None else {"largest_psi": float(largest)}  # type: ignore[arg-type]  # a number
    for row in tables["scores"].drop_nulls("value").iter_rows(named=True):
        found[f"{row['target']}.{row['measure']}"] = row["value"]
    own = tables["calibration"].filter(pl.col("ranking") == "model").drop_nulls("value")
    for row in own.sort(s.INDEX_TIME).iter_rows(named=True):
        found[f"outcomes.{row['metric']}"] = row["value"]
    for row in tables["turnover"].drop_nulls("value").iter_rows(named=True):
        found["turnover.kept"] = row["value"]
    return found
