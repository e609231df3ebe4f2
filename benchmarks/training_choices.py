"""`python -m benchmarks.training_choices`: try ways of training and judge them on later persons."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.measuring import measure
from benchmarks.training_judge import NEW_BELOW, check_figures, judge_scores
from benchmarks.training_page import ROWS, render_page
from benchmarks.training_rows import Trial, describe_rows, prepare_rows
from benchmarks.training_variants import START, START_PARAMETERS, Variant, list_variants
from somv_risk.model.calibration import fit_calibration
from somv_risk.training.config import TrainConfig
from somv_risk.training.fit import TreeSettings, bin_slices, grow_trees, list_parameters

PAGE = Path(__file__).parent.parent / "docs" / "training-choices.md"
PEERS_ROW = "In environments of their own"  # no peer takes part
Report = dict[str, Any]


class Grower:
    """Grows the trees of variants; what several have in common, such as binned rows, is done once."""

    def __init__(self, trial: Trial, settings: TreeSettings) -> None:
        self.trial, self.settings = trial, settings
        self._last_binned: tuple[Any, Any] = (None, None)
        self._first: tuple[Any, str] = (None, "")

    def grow(self, variant: Variant, trial: Trial) -> str:
        """Grow trees, or hand out those of the first variant if they would be the same."""
        asked = (variant.parameters, variant.rounds, self._state_rows(variant))
        if asked == self._first[0]:
            return self._first[1]
        settings = replace(
            self.settings,
            rounds=variant.rounds,
            parameters={**self.settings.parameters, **variant.parameters},
        )
        binned = self._bin(variant, trial, settings)
        if variant.watched == "none":
            parameters = list_parameters(trial.encoding, settings)
            text = lightgbm.train(parameters, binned[0], num_boost_round=settings.rounds).model_to_string()
        else:
            text = grow_trees(trial.encoding, *binned, settings)
        if self._first[0] is None:
            self._first = asked, text
        return text

    def _bin(self, variant: Variant, trial: Trial, settings: TreeSettings) -> Any:  # noqa: ANN401 - two Datasets
        asked = self._state_rows(variant)
        if self._last_binned[0] != asked:
            self._last_binned = (None, None)
            train = trial.moments.train[variant.first : variant.first + variant.moments]
            watched = train if variant.watched == "training" else trial.moments.later[: variant.later]
            fit, stop = (
                trial.choose(role, moments, variant.label)
                for role, moments in (("fit", train), ("stop", watched))
            )
            self._last_binned = asked, bin_slices(trial.encoding, fit, stop, settings)
        return self._last_binned[1]

    def _state_rows(self, variant: Variant) -> tuple[Any, ...]:
        """State what the binned rows depend on."""
        return (
            *(variant.watched == "training", variant.later, variant.moments, variant.first, variant.label),
            *(variant.keep, variant.weightiest, variant.parameters.get("max_bin")),
        )


def try_variant(grower: Grower, variant: Variant, gains: Mapping[str, float]) -> Report:
    """Grow the trees of one way of training and judge them."""
    trial = _choose_features(grower.trial, variant, gains)
    text, cost = measure(lambda: grower.grow(variant, trial))
    booster = lightgbm.Booster(model_str=text)
    part = trial.choose("calibrate", [trial.moments.later[0]], variant.judged_by)
    raw = np.asarray(booster.predict(part.copy_rows(), raw_score=True), dtype=np.float64)
    outcome = part.outcome.astype(bool)
    judged = judge_scores(raw, outcome, part.past_events)
    return {
        "group": variant.group,
        "name": variant.name,
        "trees": booster.num_trees(),
        **cost,
        "features": len(trial.encoding.features),
        "rows": len(raw),
        "events": int(outcome.sum()),
        "new": int((part.past_events < NEW_BELOW).sum()),
        "events_new": int(outcome[part.past_events < NEW_BELOW].sum()),
        "calibration": fit_calibration(raw, outcome).state_choice(),
        "gains": dict(zip(booster.feature_name(), booster.feature_importance("gain").tolist(), strict=True)),
        "checked": check_figures(raw, outcome, judged),
        "judged": {
            population: {metric: values.tolist() for metric, values in draws.items()}
            for population, draws in (("all", judged.all), ("new", judged.new))
        },
    }


def _choose_features(trial: Trial, variant: Variant, gains: Mapping[str, float]) -> Trial:
    if variant.weightiest:
        kept = sorted(gains, key=lambda name: -gains[name])[: variant.weightiest]
        return trial.keep_features(lambda feature: feature.name in kept)
    return trial.keep_features(variant.keep) if variant.keep else trial


def try_all(prepare: Callable[[], Trial], settings: TreeSettings, notes: Path) -> dict[str, Report]:
    """Try all, and note each at once, so that a run that was ended goes on where it was.

    `prepare` is called only if something is left to do.
    """
    done = {report["name"]: report for report in _read_notes(notes)}

    def note(report: Report) -> None:
        done[report["name"]] = report
        with notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")

    left = [variant for variant in list_variants() if variant.name not in done]
    if ROWS not in done or left:
        grower = Grower(prepare(), settings)
        note({"name": ROWS, **describe_rows(grower.trial)})
    for variant in left:
        print(f"{variant.group}: {variant.name} ...", file=sys.stderr, flush=True)
        gains = done[START.name]["gains"] if START.name in done else {}
        note(try_variant(grower, variant, gains))
    return done


def _read_notes(notes: Path) -> Iterator[Report]:
    if notes.exists():
        yield from map(json.loads, notes.read_text(encoding="utf-8").splitlines())


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_choices", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="store of a region")
    parser.add_argument("--share", type=float, default=1.0, help="share of the persons who grow trees")
    parser.add_argument("--threads", type=int, default=2, help="threads of LightGBM")
    parser.add_argument("--notes", type=Path, help="file of what is done; a second run goes on from it")
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write (docs/training-choices.md)")
    return parser.parse_args()


def main() -> None:
    asked, config = read_arguments(), TrainConfig()
    settings = config.build_tree_settings()
    settings = replace(settings, parameters={**START_PARAMETERS, "num_threads": asked.threads})
    with tempfile.TemporaryDirectory() as folder:
        done = try_all(
            lambda: prepare_rows(asked.store, config, asked.share, Path(folder)),
            settings,
            asked.notes or Path(folder) / "notes.jsonl",
        )
    options = f"--store STORE --share {asked.share:g} --threads {asked.threads}"
    command = f"python -m benchmarks.training_choices {options}"
    machine = {name: fact for name, fact in describe_machine().items() if name != PEERS_ROW}
    page = render_page(command, machine, done, settings)
    asked.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
