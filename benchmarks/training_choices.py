"""`python -m benchmarks.training_choices`: try ways of training, judge them on later persons, write the page."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.machine import describe_machine, read_load
from benchmarks.training_judge import Judged, check_figures, judge_scores
from benchmarks.training_page import render_page
from benchmarks.training_rows import Trial, prepare_rows
from benchmarks.training_variants import DEFAULT, Variant, list_variants
from somv_risk.calibration import fit_calibration
from somv_risk.config import TrainConfig
from somv_risk.training import TreeSettings, bin_slices, grow_trees, list_parameters

PAGE = Path(__file__).parent.parent / "docs" / "training-choices.md"
Report = dict[str, Any]


def try_variant(trial: Trial, variant: Variant, settings: TreeSettings, gains: dict[str, float]) -> Report:
    """Grow the trees of one way of training and judge them."""
    chosen = _choose_features(trial, variant, gains)
    settings = replace(
        settings, rounds=variant.rounds, parameters={**settings.parameters, **variant.parameters}
    )
    begin = time.perf_counter()
    booster = lightgbm.Booster(model_str=_grow(chosen, variant, settings))
    seconds = time.perf_counter() - begin
    part = chosen.choose("calibrate", [trial.moments.later[0]], variant.judged_by)
    raw = np.asarray(booster.predict(part.copy_rows(), raw_score=True), dtype=np.float64)
    outcome = part.outcome.astype(bool)
    report = {
        "group": variant.group,
        "name": variant.name,
        "judged_by": variant.judged_by,
        "trees": booster.num_trees(),
        "seconds": seconds,
        "features": len(chosen.encoding.features),
        "rows": len(raw),
        "events": int(outcome.sum()),
        "events_new": int(outcome[part.past_events < 3].sum()),
        "calibration": fit_calibration(raw, outcome).state_choice(),
        "gains": dict(zip(booster.feature_name(), booster.feature_importance("gain").tolist(), strict=True)),
    }
    judged = judge_scores(raw, outcome, part.past_events)
    if variant == DEFAULT:
        report["checked"] = check_figures(raw, outcome, judged)
    return report | {"all": _plain(judged.all), "new": _plain(judged.new)}


def _plain(draws) -> dict[str, list[float]]:
    return {metric: values.tolist() for metric, values in draws.items()}


def _grow(trial: Trial, variant: Variant, settings: TreeSettings) -> str:
    train = trial.moments.train[variant.first : variant.first + variant.moments]
    watched = train if variant.watched == "training" else trial.moments.later[: variant.later]
    fit = trial.choose("fit", train, variant.label)
    stop = trial.choose("stop", watched, variant.label)
    binned = bin_slices(trial.encoding, fit, stop, settings)
    if variant.watched != "none":
        return grow_trees(trial.encoding, *binned, settings)
    parameters = list_parameters(trial.encoding, settings)
    return lightgbm.train(parameters, binned[0], num_boost_round=settings.rounds).model_to_string()


def _choose_features(trial: Trial, variant: Variant, gains: dict[str, float]) -> Trial:
    if variant.weightiest:
        kept = sorted(gains, key=lambda name: -gains[name])[: variant.weightiest]
        return trial.keep_features(lambda feature: feature.name in kept)
    return trial.keep_features(variant.keep) if variant.keep else trial


def try_all(trial: Trial, settings: TreeSettings, notes: Path) -> list[Report]:
    """Try all, and note each at once, so that a run that was ended goes on where it was."""
    done = {report["name"]: report for report in _read_notes(notes)}
    reports = []
    for variant in list_variants():
        if variant.name not in done:
            print(f"{variant.group}: {variant.name} ...", file=sys.stderr, flush=True)
            gains = reports[0]["gains"] if reports else {}
            done[variant.name] = try_variant(trial, variant, settings, gains)
            with notes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[variant.name]) + "\n")
        reports.append(done[variant.name])
    return reports


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
    settings = replace(settings, parameters={**settings.parameters, "num_threads": asked.threads})
    loads = [read_load()]
    with tempfile.TemporaryDirectory() as folder:
        trial = prepare_rows(asked.store, config, asked.share, Path(folder))
        reports = try_all(trial, settings, asked.notes or Path(folder) / "notes.jsonl")
    loads.append(read_load())
    command = f"python -m benchmarks.training_choices --store STORE --share {asked.share:g} --threads {asked.threads}"
    facts = {"Load (1 min), when it began and ended": ", ".join(loads)}
    page = render_page(command, describe_machine() | facts, trial, reports, settings)
    asked.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
