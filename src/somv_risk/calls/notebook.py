"""Notebook: how a value of the library is shown there, as a short table of names and counts."""

from collections.abc import Iterable, Sequence
from html import escape


def render_notebook_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Render a table of names and counts as HTML; whatever stands in it is escaped.

    Examples
    --------
    >>> render_notebook_table("Rows", ["table", "rows"], [("persons", 1000)])
    '<table><caption>Rows</caption><tr><th>table</th><th>rows</th></tr><tr><td>persons</td><td>1,000</td></tr></table>'
    """
    lines = [_render_row("th", columns), *(_render_row("td", row) for row in rows)]
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"


def _render_row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_format_cell(cell)}</{tag}>' for cell in cells)}</tr>"


def _format_cell(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else escape(str(cell))
