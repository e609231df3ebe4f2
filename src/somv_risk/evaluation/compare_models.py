"""Comparison of models: a challenger and a champion, on persons whom neither was trained on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.calls.moments import Moment, parse_moment
from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.errors import CohortError, ConfigError
from somv_risk.evaluation.test_set import MODEL, Followed, Persons, choose_persons_to_follow, follow
from somv_risk.metrics import CAPACITIES, WORKING_CAPACITY, Cases, compare, hide
from somv_risk.model.model import RiskModel, compute_model_hash, describe_target
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import Allowed, check_fit
from somv_risk.training.config import parse_config

_ORDER: Final = "order"


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What was compared (`facts`) and what was found (see `evaluation.compare`).

    `numbers` are for gates and may tell of single persons; `table` is what may be shown of them.
    """

    facts: Mapping[str, Any]
    numbers: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """The numbers without those that small counts hide."""
        return hide(self.numbers)

    def __repr__(self) -> str:
        return f"Comparison({self.facts['index_time']}, {self.facts['persons']} persons)"


@same_on_any_threads()
def compare_models(
    challenger: RiskModel,
    champion: RiskModel | None,
    histories: Histories,
    *,
    index_time: Moment | None = None,
    persons: Persons = "test",
    capacities: Sequence[str | int] = CAPACITIES,
    working_capacity: str | int = WORKING_CAPACITY,
    draws: int = 200,
    seed: int = 0,
    allow: Collection[Allowed] = (),
) -> Comparison:
    """Compare two models on the same persons and period.

    Parameters
    ----------
    champion
        The model to beat; None if there is none yet.
    index_time
        Moment to judge at; by default the later of the moments that the two were tested at.
    persons
        "test": those who neither grew nor calibrated either of the two; "all" for histories of others.
    capacities, working_capacity, draws, seed
        As in `evaluation.compare`.
    allow
        "absent-tables" that one of them was trained with, as in `score`.

    Raises
    ------
    ConfigError
        If the two foretell different targets, or outcomes of that period were used to make one of them.
    OtherTablesError
        If tables are absent that one of them was trained with, and this is not allowed.
    CohortError
        If no person can be judged by both.

    Warns
    -----
    AbsentTablesWarning
        If tables are absent, and this is allowed.
    DefinitionWarning
        If features count something else than when one of the two was trained.
    """
    models = [model for model in (challenger, champion) if model is not None]
    moment = _choose_moment(models) if index_time is None else parse_moment(index_time)
    _check_models(models, moment)
    for model in models:
        check_fit(model, histories, (*allow, "definitions"))
    followed = [_follow(model, histories, moment, persons) for model in models]
    cases = _put_in_pairs(followed)
    numbers = compare(
        cases[0],
        cases[1] if len(cases) > 1 else None,
        capacities=capacities,
        working_capacity=working_capacity,
        draws=draws,
        seed=seed,
    )
    facts = {
        "index_time": moment.isoformat(),
        "persons": len(cases[0]),
        "events": cases[0].events,
        "challenger_hash": compute_model_hash(challenger),
        "champion_hash": None if champion is None else compute_model_hash(champion),
        "working_capacity": str(working_capacity),
        "draws": draws,
        "seed": seed,
    }
    return Comparison(MappingProxyType(facts), numbers)


def _choose_moment(models: Sequence[RiskModel]) -> datetime:
    return max(parse_moment(time) for model in models for time in model.facts["index_times"]["test"])


def _check_models(models: Sequence[RiskModel], moment: datetime) -> None:
    if any(describe_target(model.main.target) != describe_target(models[0].main.target) for model in models):
        raise ConfigError("The two models foretell different targets. Compare models of the same target.")
    for model in models:
        horizon = model.main.target.horizon.length
        used = max(parse_moment(time) for time in model.facts["index_times"]["calibrate"]) + horizon
        if moment < used:
            raise ConfigError(
                f"Outcomes until {used} were used to calibrate one of the models, so {moment} is not held "
                "out. Give a later index time."
            )


def _follow(model: RiskModel, histories: Histories, moment: datetime, persons: Persons) -> Followed:
    split = parse_config(dict(model.facts["config"])).build_person_split()
    whom = choose_persons_to_follow(model, [moment], persons)
    return follow(model, histories, moment, persons=whom, split=split)


def _put_in_pairs(followed: Sequence[Followed]) -> list[Cases]:
    """Put the persons whom all followed in the order of their ids; all but the risks is the first one's."""
    numbered = [
        pl.DataFrame({"person": one.person_ids}).with_row_index(f"{_ORDER}{n}")
        for n, one in enumerate(followed)
    ]
    both = numbered[0]
    for other in numbered[1:]:
        both = both.join(other, on="person", how="inner")
    if both.is_empty():
        raise CohortError(
            "No person can be judged by both models: each was trained on the other's. Give other histories."
        )
    both = both.sort("person")
    places = [both[f"{_ORDER}{n}"].to_numpy().astype(np.int64) for n in range(len(followed))]
    first = followed[0].cases.take(places[0])
    risks = [one.cases.rankings[MODEL][place] for one, place in zip(followed, places, strict=True)]
    return [replace(first, rankings={MODEL: risk}, risks=(MODEL,)) for risk in risks]
