"""Attrition: how many rows each rule of a cohort left out, as a notebook shows it."""

import polars as pl

from somv_risk.calls.notebook import render_notebook_table
from somv_risk.registers import schema as s


def render_attrition(attrition: pl.LazyFrame) -> str:
    """Render the attrition of a cohort as HTML; it is computed for that."""
    counted = attrition.select(s.RULE, "rows_before", "rows_after").collect()
    return render_notebook_table("Cohort", ["rule", "rows before", "rows after"], counted.iter_rows())
