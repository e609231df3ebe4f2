"""The model card: what a model is for, what it was made from, how it did, and what it cannot do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from somv_risk.cohort.outcomes import Target
from somv_risk.features import load_definitions
from somv_risk.model.model import RiskModel
from somv_risk.report.evaluation_tables import Cell, ReadTable, Section, lay_out
from somv_risk.report.findings import Findings
from somv_risk.report.wording import load_wording

METRIC_ORDER = (
    "auroc",
    "average_precision",
    "precision_top_0.5%",
    "precision_top_1.0%",
    "sensitivity_top_1.0%",
)
FORMS: Final = {"rows": "{:,.0f}", "events": "{:,.0f}", "expected_over_observed": "{:.2f}"}
# What an evaluation adds to the card; the page holds the rest.
SUMMARY: Final = (
    Section("cases", "cases", ("index_time", "population"), show=("rows", "events", "base_rate")),
    Section("discrimination", "metrics", ("index_time", "population", "ranking"), across="metric"),
    Section(
        "capacity",
        "capacity",
        ("population", "capacity"),
        across="metric",
        beside=("persons",),
        only={"ranking": "model"},
        intervals=("precision", "sensitivity"),
        latest=True,
    ),
    Section(
        "calibration", "calibration", ("index_time", "ranking"), across="metric", only={"grouping": "all"}
    ),
    Section(
        "gaps",
        "gaps",
        ("grouping", "group", "metric"),
        show=("difference",),
        only={"ranking": "model"},
        latest=True,
    ),
)


def render_card(model: RiskModel, tables: Mapping[str, pl.DataFrame] | None = None) -> str:
    """Write the card of a trained model as Markdown.

    Parameters
    ----------
    tables
        Tables of an evaluation of the model, whose summary is then added with its intervals.
    """
    # The card is Markdown read as text, not a page, so nothing is to be escaped for HTML.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("somv_risk.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.md.jinja").render(
        evaluation="\n\n".join(_summarise(tables)) if tables else "",
        facts=model.facts,
        flow=list(_list_flow(model.facts["attrition"], list(model.heads))),
        metric_order=METRIC_ORDER,
        model=model,
        crossed=model.facts["validation"] if model.is_cross_validated else None,
        monotone=sum(feature.definition.monotone != 0 for feature in model.features),
        own=list_own(model),
        say_outcome=_say_outcome,
        tabulate=tabulate_metrics,
        themes=Counter(feature.definition.theme for feature in model.features),
    )


def list_own(model: RiskModel) -> list[str]:
    """List the ids of the model's features that are not of the catalogue."""
    known = {definition.id for definition in load_definitions()}
    return [
        identity
        for identity in dict.fromkeys(f.definition.id for f in model.features)
        if identity not in known
    ]


def tabulate_metrics(metrics: list[dict[str, Any]], target: str) -> dict[str, dict[str, str]]:
    """Arrange one target's metrics as ranking -> metric -> value, with its interval where it has one."""
    table: dict[str, dict[str, str]] = {}
    for row in metrics:
        if row["target"] == target:
            table.setdefault(row["ranking"], {})[row["metric"]] = _write_metric(row)
    return table


def _write_metric(row: Mapping[str, Any]) -> str:
    form = FORMS.get(row["metric"], "{:.3f}")
    if row.get("low") is None:
        return form.format(row["value"])
    return f"{form.format(row['value'])} ({form.format(row['low'])} to {form.format(row['high'])})"


def _say_outcome(target: Target) -> str:
    told = {name: getattr(target, name) for name in ("counts", "min_count", "sectors", "admission_types")}
    return load_wording("en").outcome(told | {"horizon_days": target.horizon.days})


def _list_flow(attrition: list[dict[str, Any]], targets: list[str]) -> Iterator[tuple[str, ...]]:
    """List, per index time, the candidates, the eligible, and whose outcome is known by target."""
    for moment in dict.fromkeys(row["index_time"] for row in attrition):
        own = [row for row in attrition if row["index_time"] == moment]
        known = {row["rule"].split(" ")[0]: row["rows_after"] for row in own if " is known" in row["rule"]}
        rules = [row["rows_after"] for row in own if " is known" not in row["rule"]]
        counts = [rules[0], rules[-1], *(known.get(target, 0) for target in targets)]
        yield moment[:10], *(f"{count:,}" for count in counts)


def _summarise(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """Summarise an evaluation as Markdown tables."""
    words, findings = load_wording("en"), Findings({}, tables)
    for section in SUMMARY:
        if section.table in tables:
            title = words["sections"][section.id]["title"]
            yield f"### {title}\n\n{_write_table(lay_out(section, findings, words))}"


def _write_table(table: ReadTable) -> str:
    if not table.all:
        return "None."
    header = [*table.keys, *table.columns]
    rows = [[*names, *map(_write_cell, cells)] for _, lines in table.groups for names, cells in lines]
    lines = [header, ["---"] * len(header), *rows]
    notes = [f"({letter}) {note}" for letter, note in table.notes.items()]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *notes]).rstrip()


def _write_cell(cell: Cell) -> str:
    interval = f" ({cell.interval})" if cell.interval else ""
    return f"{cell.text}{interval}" + (f" ({cell.mark})" if cell.mark else "")
