"""Span: from when until when there are data, where no delivery says so.

A typing error must not move an end of it: of hospital contacts, the first and the last in ten thousand count
for nothing; and, since long stays reach far back, of fewer contacts the first in a hundred, up to three.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from somv_risk.registers import schema as s

STRAYS: Final = 1e-4  # share of contacts that may start before the data do, or after: some are mistyped
FEW_STRAYS: Final = 3  # contacts that may start before the data do, of some hundreds
START: Final = "data_start"
END: Final = "data_end"


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when there are data.

    `is_given` says whether a delivery named the end, `guards` that nothing is scored after it.
    """

    start: datetime | None
    end: datetime | None
    is_given: bool = False
    guards: bool = True

    @property
    def is_known(self) -> bool:
        """Whether the end is that of the data, and not only that of few persons."""
        return self.is_given or self.guards


def infer_span(admissions: pl.LazyFrame) -> pl.LazyFrame:
    """Infer from hospital contacts from when until when there are data.

    Returns
    -------
    One row: `data_start` and `data_end`, null if there are no contacts.

    Examples
    --------
    >>> from datetime import datetime
    >>> moments = [datetime(2020, 5, 1), datetime(2024, 3, 31)]
    >>> infer_span(pl.LazyFrame({"started_at": moments})).collect().row(0)
    (datetime.datetime(2020, 5, 1, 0, 0), datetime.datetime(2024, 3, 31, 0, 0))
    """
    started = pl.col(s.STARTED_AT)
    few = (started.count() // 100).clip(upper_bound=FEW_STRAYS)
    early = started.drop_nulls().bottom_k(FEW_STRAYS + 1).sort().get(few, null_on_oob=True)
    return admissions.select(
        pl.max_horizontal(started.quantile(STRAYS, "lower"), early).alias(START),
        started.quantile(1 - STRAYS, "higher").alias(END),
    )
