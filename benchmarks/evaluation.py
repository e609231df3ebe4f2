"""Evaluation: all tables of a region's cases with 200 draws, beside scikit-learn's metrics drawn as often.

`python -m benchmarks.evaluation --out docs/benchmarks-evaluation.md` checks, measures, prints and writes.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import Report, measure, measure_in_turn, run_step
from benchmarks.tables import render_table, tell_peak

ROWS, DRAWS, PEER_DRAWS, CHECKED_ROWS, CHECKED_DRAWS = 850_000, 200, 4, 50_000, 3
EXACT = 1e-12
_WRITTEN_BY = (
    "Written by `python -m benchmarks.evaluation --out docs/benchmarks-evaluation.md`; changes by hand are "
    "lost. The cases are drawn, and say nothing about real persons."
)
_EQUAL = (
    "AUROC and average precision of {rows:,} cases, four rankings, all and new cases, and their intervals "
    "from {draws} draws, equal scikit-learn's (largest difference {largest:.0e})."
)
_OURS = "this library: `judge`, {numbers:,} rows of 11 tables"
_THEIRS = "scikit-learn: AUROC and average precision alone, 16 numbers ({timed} draws timed, told as for all)"
_GIVEN = (
    "{rows:,} persons scored, 1 in 100 with the outcome; four rankings, all and new cases, eight capacities, "
    "seven groupings; intervals from {draws} draws of persons. Each run has a process of its own, in turn, "
    "and the fastest of each counts. Peak memory is that of the process; making them takes it to "
    "{cases_mb:,.0f} MB. Asked for: under 60 s on 2 cores."
)
GROUPS: Mapping[str, tuple[float, ...]] = {
    "sex": (0.5, 0.5),
    "age_band": (0.2, 0.25, 0.3, 0.17, 0.08),
    "municipality": (1 / 17,) * 17,
    "benefit_group": (0.5, 0.2, 0.1, 0.05, 0.05, 0.03, 0.03, 0.02, 0.01, 0.01),
    "homelessness": (0.995, 0.005),
    "severe_mental_illness": (0.98, 0.02),
    "substance_use": (0.97, 0.03),
}


def make_cases(rows: int, seed: int = 7) -> Any:  # noqa: ANN401 - `Cases`, imported where it is made
    """Make cases of the size and rarity of a region: 1 in 100 with the outcome, the highest risk first."""
    from somv_risk.metrics import Cases  # noqa: PLC0415 - the process that starts the others stays small

    rng = np.random.default_rng(seed)
    raw = np.sort(rng.normal(size=rows))[::-1]
    risk = _to_risk(1.6 * raw - 5.7)
    outcome = rng.random(rows) < risk
    logistic = _to_risk(1.5 * (raw + 0.4 * rng.normal(size=rows)) - 5.7)
    past = rng.poisson(0.1 + 4 * risk).astype(np.float64)
    groups = {
        name: rng.choice([f"{name} {number}" for number in range(len(shares))], rows, p=shares)
        for name, shares in GROUPS.items()
    }
    return Cases(
        outcome=outcome,
        rankings={
            "model": risk,
            "penalised_logistic": logistic,
            "count_last_year": past,
            "programme_rule": (past >= 4).astype(np.float64),
        },
        risks=("model", "penalised_logistic"),
        rules={"count_rule": past >= 3, "programme_rule": past >= 4},
        is_new=past < 3,
        admissions=rng.poisson(4 * risk).astype(np.float64),
        bed_days=rng.poisson(9 * risk).astype(np.float64),
        is_counted=outcome & (rng.random(rows) < 0.8),
        groups=pl.DataFrame(groups),
    )


def _to_risk(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def judge_all(_: Path, rows: int, draws: int) -> Report:
    """Judge: every table of one index moment."""
    from somv_risk.metrics import judge  # noqa: PLC0415

    cases = make_cases(rows)
    before = measure(lambda: None)[1]["peak_mb"]
    tables, cost = measure(lambda: judge(cases, draws=draws))
    numbers = sum(table.height for table in tables.values())
    return cost | {"rows": rows, "draws": draws, "numbers": numbers, "cases_mb": before}


def draw_by_scikit_learn(_: Path, rows: int, draws: int, timed: int) -> Report:
    """Compute only AUROC and average precision of four rankings in two populations, by scikit-learn.

    Some draws are timed, and told as for all.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415

    cases = make_cases(rows)
    scores = list(cases.rankings.values())

    def compute_draws() -> None:
        for number in range(timed):
            weights = _draw(rows, number)
            for metric in (roc_auc_score, average_precision_score):
                for kept in (slice(None), cases.is_new):
                    for score in scores:
                        metric(cases.outcome[kept], score[kept], sample_weight=weights[kept])

    cost = measure(compute_draws)[1]
    scaled = {name: cost[name] * draws / timed for name in ("seconds", "cpu_seconds")}
    return cost | scaled | {"rows": rows, "draws": draws, "timed": timed}


def _draw(rows: int, number: int) -> np.ndarray:
    from somv_risk.metrics import draw_weights  # noqa: PLC0415

    return draw_weights(rows, seed=0, number=number)


def check(_: Path, rows: int, draws: int) -> Report:
    """Compare AUROC and average precision with scikit-learn's: their values, and those of each draw."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415

    from somv_risk.metrics import judge  # noqa: PLC0415

    cases = make_cases(rows)
    metrics = judge(cases, draws=draws)["metrics"]
    peers: Mapping[str, Callable[..., float]] = {
        "auroc": roc_auc_score,
        "average_precision": average_precision_score,
    }
    largest = 0.0
    for population, kept in (("all", slice(None)), ("new", cases.is_new)):
        for ranking, score in cases.rankings.items():
            for metric, compute in peers.items():
                drawn = [
                    compute(cases.outcome[kept], score[kept], sample_weight=_draw(rows, n)[kept])
                    for n in range(draws)
                ]
                expected = [compute(cases.outcome[kept], score[kept]), *np.percentile(drawn, (2.5, 97.5))]
                of = {"population": population, "ranking": ranking, "metric": metric}
                found = metrics.filter(**of).select("value", "low", "high").row(0)
                largest = max(largest, *np.abs(np.array(found) - expected))
    if largest > EXACT:
        sys.exit(f"AUROC and average precision differ from scikit-learn's by {largest}.")
    return {"sentences": [_EQUAL.format(rows=rows, draws=draws, largest=largest)]}


def render(checked: Report, reports: Mapping[str, Report], machine: Mapping[str, str]) -> str:
    """Render what was found equal and what it cost."""
    ours, theirs = reports["judge"], reports["scikit-learn"]
    rows = [
        (_OURS.format_map(ours), *_tell_cost(ours, ours)),
        (_THEIRS.format_map(theirs), *_tell_cost(theirs, ours)),
    ]
    parts = [
        "# Benchmark of the evaluation",
        _WRITTEN_BY,
        "## Checked first",
        *(f"- {sentence}" for sentence in checked["sentences"]),
        "## Cost",
        _GIVEN.format_map(ours),
        render_table(("way", "wall s", "processor s", "peak MB", "wall ratio", "processor ratio"), rows),
        "## Machine",
        render_table(("what", "value"), machine.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _tell_cost(report: Report, ours: Report) -> tuple[str, ...]:
    ratios = [f"{report[name] / ours[name]:.2f}" for name in ("seconds", "cpu_seconds")]
    return f"{report['seconds']:.1f}", f"{report['cpu_seconds']:.1f}", tell_peak(report), *ratios


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    load = read_load()
    checked = run_step("evaluation.check", folder=".", rows=CHECKED_ROWS, draws=CHECKED_DRAWS)
    size = {"folder": ".", "rows": asked.rows, "draws": asked.draws}
    ways = {
        "judge": lambda: run_step("evaluation.judge_all", **size),
        "scikit-learn": lambda: run_step("evaluation.draw_by_scikit_learn", **size, timed=PEER_DRAWS),
    }
    reports = measure_in_turn(ways, asked.repeats)
    machine = describe_machine() | {"Load (1 min), when it began and ended": f"{load}, {read_load()}"}
    page = render(checked, reports, machine)
    if asked.out:
        asked.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
