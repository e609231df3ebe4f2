"""Change: what moved one person's risk between two scorings, and the events behind it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arguments import read_count, read_index_time
from somv_risk.calls.moments import Moment
from somv_risk.errors import CohortError
from somv_risk.features import Feature
from somv_risk.model.model import RiskModel, get_model
from somv_risk.registers.histories import Histories
from somv_risk.scoring.change._evidence import Evidence, compare_evidence
from somv_risk.scoring.notes import count_notes, list_warnings
from somv_risk.scoring.reasons import (
    ChangeTexts,
    Note,
    format_events,
    load_change_texts,
    load_texts,
    render_change,
    sum_themes,
)
from somv_risk.scoring.score import Allowed, check_fit, choose_persons, collect_features, keep_person
from somv_risk.trees.contributions import compute_contributions

LEAST_SHARE: Final = 0.1
LEAST_CHANGE: Final = 1e-9  # in log-odds; less is what sums of floats leave behind
THEME, FEATURE, THEN, NOW, CHANGE = "theme", "feature", "then", "now", "change"

Value = float | str | None
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MovedReason:
    """One theme that moved a person's score between two moments.

    `contribution` is how much more the theme contributes now than then, in log-odds; `feature` what in it has
    moved the score most in the theme's direction, `then` and `now` its values. The events behind that
    feature (`events`, `started_at`, `ended_at`, latest first): `new` ones that were not behind it then, those
    `gone` that have left its window or given way to others, and those `altered` in that their end has become
    known, or is known to be another.
    """

    theme: str
    feature: str
    then: Value
    now: Value
    contribution: float
    text: str
    new: pl.DataFrame
    gone: pl.DataFrame
    altered: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Change:
    """What moved one person's risk from the moment `earlier` to the moment `later`.

    `reasons` are the themes that moved most, in either direction. `themes` has one row per theme of the
    model: `theme`, what it contributed `then` and `now`, and the `change`, largest first; the changes sum to
    that of the log-odds before calibration, `raw_now - raw_then`. `contributions` has the same per `feature`.
    """

    earlier: datetime
    later: datetime
    risk_then: float
    risk_now: float
    raw_then: float
    raw_now: float
    reasons: tuple[MovedReason, ...]
    themes: pl.DataFrame
    contributions: pl.DataFrame
    warnings: tuple[str, ...]
    language: str

    def __str__(self) -> str:
        labels, texts = load_change_texts(self.language), load_texts(self.language)
        moments = [texts.dates.format_moment(moment) for moment in (self.earlier, self.later)]
        risks = [texts.numbers.format_risk(risk) for risk in (self.risk_then, self.risk_now)]
        lines = [f"{' -> '.join(moments)}: {' -> '.join(risks)}"]
        for reason in self.reasons:
            lines.append(f"{texts.numbers.format_contribution(reason.contribution)}  {reason.text}")
            for label, events in _list_events(reason, labels):
                lines += format_events(events, self.language, label=label)
        return "\n".join([*lines, *self.warnings])


def explain_change(
    model: RiskModel | str | Path,
    histories: Histories,
    person_id: str,
    earlier: Moment,
    later: Moment,
    *,
    language: str = "da",
    reasons: int = 5,
    allow: Collection[Allowed] = (),
) -> Change:
    """Explain what moved one person's risk between two scorings, with the events that came and went.

    Each moment is seen with what was known before it. A risk can move without any event: time passes, events
    leave their windows, a person has a birthday.

    Parameters
    ----------
    reasons
        How many themes are told, those that moved the score most first. `themes` has all.
    allow
        What is usually refused, and then only warned of: "absent-tables" that the model was trained with,
        other "definitions" of its features.

    Raises
    ------
    ConfigError
        If there are no texts in that language, or fewer than one reason is asked for.
    OtherTablesError
        If tables are absent that the model was trained with, and this is not allowed.
    CohortError
        If the moments are the same or in the wrong order, or the person is not found or not eligible at
        one of them.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    """
    model = get_model(model)
    own = keep_person(histories, person_id)
    moments = _read_moments(earlier, later, own.timezone)
    read_count("reasons", reasons, least=1)
    load_change_texts(language)
    check_fit(model, histories, allow)
    rows = _choose_rows(model, own, moments)
    now = rows.tail(1)
    frame = collect_features(model, own, rows)
    matrix = model.encoding.to_matrix(frame)
    raw, risk = model.main.predict_raw(matrix).tolist(), model.main.predict_risk(matrix).tolist()
    values = compute_contributions(model.main.booster, matrix)
    themes = _tabulate_themes(model.features, values)
    contributions = _tabulate_features(model.features, values)
    telling = _pick_features(model.features, frame, contributions, own.absent)
    evidence = partial(compare_evidence, model.see(own), rows, lags=model.lags)
    told = [
        _tell_theme(feature, frame, change, evidence(feature), language)
        for feature, change in _list_moved(themes, telling)[:reasons]
    ]
    return Change(
        earlier=moments[0],
        later=moments[1],
        risk_then=risk[0],
        risk_now=risk[1],
        raw_then=raw[0],
        raw_now=raw[1],
        reasons=tuple(told),
        themes=themes,
        contributions=contributions,
        warnings=tuple(list_warnings(model, own, now, count_notes(model, own, now), language=language)[0]),
        language=language,
    )


def _read_moments(earlier: Moment, later: Moment, timezone: str) -> tuple[datetime, datetime]:
    then, now = read_index_time(earlier, timezone, "earlier"), read_index_time(later, timezone, "later")
    if then >= now:
        raise CohortError(
            f"The earlier moment {then} does not lie before the later one {now}. Give them in order."
        )
    return then, now


def _choose_rows(model: RiskModel, own: Histories, moments: Sequence[datetime]) -> pl.DataFrame:
    """Choose the person's row at each moment."""
    try:
        return pl.concat([choose_persons(model, own, moment, None) for moment in moments])
    except CohortError as error:
        raise CohortError(f"A change needs a score at both moments. {error}") from None


def _tabulate_themes(features: tuple[Feature, ...], values: Floats) -> pl.DataFrame:
    themes, totals = sum_themes(features, values)
    return _tabulate({THEME: themes}, totals)


def _tabulate_features(features: tuple[Feature, ...], values: Floats) -> pl.DataFrame:
    names = {
        FEATURE: [feature.name for feature in features],
        THEME: [feature.definition.theme for feature in features],
    }
    return _tabulate(names, values[:, :-1])


def _tabulate(names: Mapping[str, list[str]], values: Floats) -> pl.DataFrame:
    """Tabulate what is contributed then and now, what has changed most first."""
    then, now = values
    frame = pl.DataFrame({**names, THEN: then, NOW: now, CHANGE: now - then})
    return frame.sort(pl.col(CHANGE).abs(), descending=True, maintain_order=True)


def _pick_features(
    features: Sequence[Feature], frame: pl.DataFrame, contributions: pl.DataFrame, absent: Collection[str]
) -> dict[str, Feature]:
    """Pick for each theme that has moved the feature that tells best which way, if anybody can know of it.

    As in a reason, definitions are weighed over all their windows and told by the weightiest one. Of those
    that carry at least a tenth of the heaviest, one comes first whose value went the way that is beyond
    dispute, then one whose value has changed, and last one that went the other way.
    """
    known = pl.DataFrame(
        [
            (feature.name, feature.definition.id, then != now, _find_way(feature, then, now))
            for feature in features
            if not set(feature.definition.tables) & set(absent)
            for then, now in [_find_values(frame, feature)]
        ],
        schema={FEATURE: pl.String, "definition": pl.String, "moved": pl.Boolean, "way": pl.Int8},
        orient="row",
    )
    direction = pl.col(CHANGE).sum().over(THEME).sign()
    weighed = (
        contributions.with_columns(pull=direction * pl.col(CHANGE), direction=direction)
        .join(known, on=FEATURE)
        .with_columns(weight=pl.col("pull").sum().over("definition"), way=pl.col("way") * pl.col("direction"))
        .filter(pl.col("pull") > 0, pl.col("weight") >= LEAST_SHARE * pl.col("weight").max().over(THEME))
        .sort("way", "moved", "weight", "pull", FEATURE, descending=[True, True, True, True, False])
        .unique(THEME, keep="first", maintain_order=True)
    )
    by_name = {feature.name: feature for feature in features}
    return {theme: by_name[name] for theme, name in weighed.select(THEME, FEATURE).iter_rows()}


def _list_moved(themes: pl.DataFrame, telling: Mapping[str, Feature]) -> list[tuple[Feature, float]]:
    """List what tells of each theme that has moved, and how far the theme has, furthest first."""
    return [
        (telling[theme], change)
        for theme, change in themes.select(THEME, CHANGE).iter_rows()
        if theme in telling and abs(change) > LEAST_CHANGE
    ]


def _find_way(feature: Feature, then: Value, now: Value) -> int:
    """Find which way a value's change moves the risk beyond dispute; 0 where that is not known."""
    if not isinstance(then, float) or not isinstance(now, float):
        return 0
    return feature.definition.monotone * ((now > then) - (now < then))


def _find_values(frame: pl.DataFrame, feature: Feature) -> tuple[Value, Value]:
    then, now = (value if isinstance(value, str | None) else float(value) for value in frame[feature.name])
    return then, now


def _tell_theme(
    feature: Feature, frame: pl.DataFrame, change: float, evidence: Evidence, language: str
) -> MovedReason:
    then, now = _find_values(frame, feature)
    is_moved_by_rest = then == now or _find_way(feature, then, now) * change < 0
    note: Note | None = "rest" if is_moved_by_rest else evidence.note
    return MovedReason(
        theme=feature.definition.theme,
        feature=feature.name,
        then=then,
        now=now,
        contribution=change,
        text=render_change(feature, then, now, change, language, note=note),
        new=evidence.new,
        gone=evidence.gone,
        altered=evidence.altered,
    )


def _list_events(reason: MovedReason, texts: ChangeTexts) -> list[tuple[str, pl.DataFrame]]:
    return [(texts.new, reason.new), (texts.altered, reason.altered), (texts.gone, reason.gone)]
