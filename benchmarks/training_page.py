"""The page of the ways of training that were tried, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.tables import Report, Reports, render_table
from benchmarks.training_judge import METRICS, compare
from benchmarks.training_variants import CHOSEN, COUNTS_ONLY, START, UNFINISHED, Variant, list_variants
from somv_risk.training.fit import TreeSettings

ROWS = "rows"  # the note that describes the rows
TITLES = {
    "log_loss": "log loss x 1000",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "precision_top_1%": "precision, top 1 %",
}
POPULATIONS = {"all": "Everybody", "new": "New cases: fewer than 3 acute admissions in the year before"}
_FACTORS, _DIGITS = {"log_loss": 1_000.0}, {"log_loss": 3}
_WRITTEN_BY = (
    "Written by `{command}`; changes by hand are lost. The region is made up: the figures choose between "
    "ways of training this library on histories of this kind, and say nothing about real registers."
)
_HOW = (
    "Trees were grown on {fit_rows:,} rows of {fit_persons:,} `fit` persons ({fit_events:,} with the "
    "outcome; moments {moments}), stopped by the `stop` persons and judged on {rows:,} `calibrate` persons "
    "at {moment}, a year and more later: {events:,} had the outcome, {events_new:,} of them among the "
    "{new:,} new cases. The test persons and the test year had no say. Each way differs from the start in "
    "one thing. Every score was calibrated as in `train`, on other persons than those it is judged on."
)
_READ = (
    "The first row of a table is what the others are compared with; below it stand differences and their "
    "95 % intervals over {draws} redraws of the persons, the same for both. Bold: the interval leaves out 0. "
    "Lower log loss is better, of the rest higher is. With this many comparisons, one in twenty is bold by "
    "chance."
)


def render_page(command: str, machine: Mapping[str, str], done: Reports, settings: TreeSettings) -> str:
    """Render everything that was tried."""
    start, rows = done[START.name], done[ROWS]
    parts = [
        "# Ways of training that were tried",
        _WRITTEN_BY.format(command=command),
        _HOW.format(**{**start, **rows}, moments=", ".join(rows["train"][:5]), moment=rows["later"][0]),
        _READ.format(draws=len(start["judged"]["all"]["auroc"]) - 1),
        f"Checked first: {start['checked']}",
        _tell_start(settings),
        *_render_groups(done),
        "## Which figure is the least noisy",
        _render_noise(start, done[COUNTS_ONLY]),
        "## Kinds of calibration",
        "Log loss x 1000 of each kind on persons who did not fit it; the one `train` would choose is named.",
        render_table(("way", *("platt", "beta", "isotonic"), "chosen"), _list_calibrations(done)),
        "## Machine",
        render_table(("what", "value"), machine.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _tell_start(settings: TreeSettings) -> str:
    told = ", ".join(f"`{name} = {value}`" for name, value in settings.parameters.items())
    return (
        f"The start is: {told}, patience {settings.patience}, five training moments, all features. "
        f"The default that was chosen is `{CHOSEN}`, among the combinations (decision 0018)."
    )


def _render_groups(done: Reports) -> Iterator[str]:
    variants = sorted(list_variants()[1:], key=lambda variant: _GROUPS.index(variant.group))
    for group, members in groupby(variants, key=lambda variant: variant.group):
        ways = list(members)
        first, *others = ways if group == UNFINISHED else [START, *ways]
        yield f"## {group}"
        for population, title in POPULATIONS.items():
            yield f"{title}:"
            yield _render_group(first, others, done, population)


_GROUPS = list(dict.fromkeys(variant.group for variant in list_variants()))


def _render_group(first: Variant, others: Sequence[Variant], done: Reports, population: str) -> str:
    header = ("way", "trees", "processor s", *TITLES.values())
    reference = done[first.name]["judged"][population]
    rows = [[*_tell_cost(done[first.name]), *(_tell_value(reference, metric) for metric in METRICS)]]
    rows += [
        [
            *_tell_cost(done[other.name]),
            *(
                _tell_difference(done[other.name]["judged"][population], reference, metric)
                for metric in METRICS
            ),
        ]
        for other in others
    ]
    return render_table(header, rows)


def _tell_cost(report: Report) -> tuple[str, str, str]:
    seconds = report["cpu_seconds"]
    return report["name"], f"{report['trees']}", f"{seconds:.0f}" if seconds > 1 else "same trees"


def _tell_value(judged: Mapping[str, Sequence[float]], metric: str) -> str:
    return f"{judged[metric][0] * _FACTORS.get(metric, 1.0):.{_DIGITS.get(metric, 4)}f}"


def _tell_difference(
    judged: Mapping[str, Sequence[float]], reference: Mapping[str, Sequence[float]], metric: str
) -> str:
    value, low, high = (
        number * _FACTORS.get(metric, 1.0)
        for number in compare(_to_arrays(judged), _to_arrays(reference), metric)
    )
    digits = _DIGITS.get(metric, 4)
    text = f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _to_arrays(judged: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {metric: np.array(values) for metric, values in judged.items()}


def _render_noise(start: Report, counts_only: Report) -> str:
    one, other = (_to_arrays(report["judged"]["all"]) for report in (start, counts_only))
    told = [
        f"{abs(one[metric][0] - other[metric][0]) / (one[metric] - other[metric])[1:].std():.1f} of {title}"
        for metric, title in (("log_loss", "log loss"), *list(TITLES.items())[1:])
    ]
    return (
        f"From the start to `{counts_only['name']}` is a difference of so many standard errors: "
        f"{', '.join(told)}."
    )


def _list_calibrations(done: Reports) -> Iterator[tuple[str, ...]]:
    for variant in list_variants():
        chosen = done[variant.name]["calibration"]
        losses = (chosen["losses"][kind] for kind in ("platt", "beta", "isotonic"))
        yield variant.name, *(f"{1000 * loss:.3f}" for loss in losses), chosen["kind"]
