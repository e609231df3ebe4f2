"""Tables in Markdown, and how a cost is told."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
Reports = Mapping[str, Report]


def render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tell_cost(report: Report) -> tuple[str, str, str]:
    """Wall seconds, seconds of processor, and peak memory in MB."""
    return f"{report['seconds']:.2f}", f"{report['cpu_seconds']:.2f}", tell_peak(report)


def tell_peak(report: Report) -> str:
    return f"{report['peak_mb']:,.0f}"


def tell_ratios(report: Report, other: Report) -> tuple[str, str]:
    """Tell how many times the other's wall and processor time a report's is."""
    return tuple(f"{report[name] / other[name]:.2f}" for name in ("seconds", "cpu_seconds"))
