"""The model card: what a model is for, what it was made from, how it did, and what it cannot do."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from somv_risk.features import load_definitions
from somv_risk.model import RiskModel

METRIC_ORDER = (
    "auroc",
    "average_precision",
    "precision_top_0.5%",
    "precision_top_1.0%",
    "sensitivity_top_1.0%",
)


def render_card(model: RiskModel) -> str:
    """Write the card of a trained model as Markdown."""
    # The card is Markdown read as text, not a page, so nothing is to be escaped for HTML.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("somv_risk.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.md.jinja").render(
        model=model,
        facts=model.facts,
        own=list_own(model),
        metric_order=METRIC_ORDER,
        tabulate=tabulate_metrics,
    )


def list_own(model: RiskModel) -> list[str]:
    """List the ids of the model's features that are not of the catalogue."""
    known = {definition.id for definition in load_definitions()}
    return [
        identity
        for identity in dict.fromkeys(f.definition.id for f in model.features)
        if identity not in known
    ]


def tabulate_metrics(metrics: list[dict[str, Any]], target: str) -> dict[str, dict[str, float]]:
    """Arrange one target's metrics as ranking -> metric -> value."""
    table: dict[str, dict[str, float]] = {}
    for row in metrics:
        if row["target"] == target:
            table.setdefault(row["ranking"], {})[row["metric"]] = row["value"]
    return table
