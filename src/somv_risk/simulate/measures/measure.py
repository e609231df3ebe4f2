"""Measuring: every subject counted per person and summed."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import polars as pl

from somv_risk.registers.histories import Histories
from somv_risk.simulate.measures import (
    benefits,
    frequent,
    history,
    hospital,
    population,
    services,
    target_group,
)
from somv_risk.simulate.measures.basis import Basis, build_basis
from somv_risk.simulate.measures.concentration import TOP_SHARES
from somv_risk.simulate.measures.distributions import count_distributions
from somv_risk.simulate.measures.figure import Figure
from somv_risk.simulate.measures.measurements import Measurements, sum_figures

SUBJECTS: Final[tuple[tuple[Callable[[Basis], pl.DataFrame], tuple[Figure, ...]], ...]] = (
    (population.count_population, population.FIGURES),
    (hospital.count_hospital_use, hospital.FIGURES),
    (frequent.count_frequent, frequent.FIGURES),
    (services.count_services, services.FIGURES),
    (benefits.count_benefits, benefits.FIGURES),
    (history.count_history, history.FIGURES),
    (target_group.count_target_group, target_group.FIGURES),
)
FIGURE_NAMES: Final = (*(figure.name for _, figures in SUBJECTS for figure in figures), *TOP_SHARES)


def measure(histories: Histories, *, data_start: datetime | None = None) -> Measurements:
    """Measure a region, or any part of its persons.

    Parameters
    ----------
    histories
        A whole region, or one bucket of its persons with all their rows.
    data_start
        When the region's data start. Give it with a part so small that all its persons may have arrived
        later; the default is the first residence among these persons.

    Raises
    ------
    InputError
        If there is no end of the data, or nobody whose residence has a start.
    """
    basis = build_basis(histories, data_start)
    sums = pl.concat([sum_figures(count(basis), figures) for count, figures in SUBJECTS])
    return Measurements(sums, count_distributions(basis))
