"""The plan of the reasons: what is scored and explained, by whom, and how much of it."""

from collections.abc import Callable
from functools import partial

from benchmarks.measuring import measure_in_turn
from benchmarks.peers.predictors import (
    BY_ROW,
    EXPLAINER,
    ROWS,
    SAMPLE,
    SCORERS,
    compare_predictor,
    measure_predictor,
)
from benchmarks.plan import FULL, INDEX_TIME, SECOND, YEAR_BEFORE, Plan, Report, Reports

Ways = dict[str, Callable[..., Report]]

MODELS = ("depth_6", "leaves_31")
# Of so many parts of the rows, the slower ones take one.
PARTS = 4
# What the peers score.
SCORED = "leaves_31"
HALF_OF_TREES = 250


def measure_reasons(plan: Plan, *, skip_peers: bool) -> Reports:
    """Score and explain as many rows as a full region has persons: checked first, and then in turn."""
    given = _write_forests(plan)
    sentences, compared = _check(plan, skip_peers=skip_peers)
    compiled = plan.run("reasons.compile_loops")
    scores = measure_in_turn(_list_scorers(plan, given["rows"], compared), plan.repeats)
    contributions = measure_in_turn(_list_explainers(plan, given["rows"], compared), plan.repeats)
    growth = measure_in_turn(_list_growth(plan), plan.repeats)
    return {
        "given": given,
        "checked": {"sentences": sentences},
        "compared": compared,
        "compiled": compiled,
        "scores": scores,
        "contributions": contributions,
        "growth": growth | {"all_rows": contributions["depth_6 explain"]},
        "one_row": {model: plan.run("reasons.time_one_row", model=model) for model in MODELS},
    }


def _write_forests(plan: Plan) -> Report:
    """Make a second region, which has the rows that the full one lacks, and train on it a year before."""
    persons = plan.full * 5 // 9
    plan.run("chain.write_region", persons=persons, seed=plan.seed + 1, threads=2, keep_as=SECOND)
    trained = plan.run("forests.train_models", store=SECOND, first_store=FULL, index_time=YEAR_BEFORE)
    given = plan.run("forests.write_rows", stores=[FULL, SECOND], index_time=INDEX_TIME, rows=plan.full)
    return given | {"trained_rows": trained["rows"], "trees": trained["trees"]}


def _check(plan: Plan, *, skip_peers: bool) -> tuple[list[str], Reports]:
    """Check this library's numbers, and tell how far those of others are from LightGBM's."""
    files = dict.fromkeys(MODELS, ROWS) | dict.fromkeys(map(_as_numbers, MODELS), SAMPLE)
    checked = {
        model: plan.run("reasons_check.check_model", model=model, file=file) for model, file in files.items()
    }
    compared = {f"{model} explain": report for model, report in checked.items()}
    compared |= {f"{model} score": {"difference": 0.0} for model in MODELS}
    compared |= {f"{model} shap_explain": _compare_shap(plan, model) for model in MODELS}
    if not skip_peers:
        compare = partial(compare_predictor, folder=plan.folder)
        compared |= {f"{SCORED} {name}": compare(name, model=SCORED, what="score") for name in SCORERS}
        compared |= {
            f"{model} {EXPLAINER}": compare(EXPLAINER, model=model, what="explain") for model in files
        }
    return [report["sentence"] for report in checked.values()], compared


def _as_numbers(model: str) -> str:
    """Name the model to which categories are numbers."""
    return f"{model}_numbers"


def _compare_shap(plan: Plan, model: str) -> Report:
    plan.run("reasons.write_sample", way="shap_explain", model=model, out="shap.npy")
    return plan.run("reasons_check.compare_with_lightgbm", model=model, what="explain", found="shap.npy")


def _list_scorers(plan: Plan, rows: int, compared: Reports) -> Ways:
    measure, in_part = partial(plan.run, "reasons.measure_rows"), {"part": PARTS, "as_rows": rows}
    ways: Ways = {}
    for model in MODELS:
        ways[f"{model} score"] = partial(measure, way="score", model=model)
        ways[f"{model} lightgbm_score"] = partial(measure, way="lightgbm_score", model=model, **in_part)
    return ways | {
        f"{SCORED} {name}": partial(measure_predictor, name, plan.folder, SCORED, BY_ROW, **in_part)
        for name in SCORERS
        if _is_compared(f"{SCORED} {name}", compared)
    }


def _list_explainers(plan: Plan, rows: int, compared: Reports) -> Ways:
    """List who explains; LightGBM, also by shap, explains only the sample, of which all takes long enough."""
    measure, sampled = partial(plan.run, "reasons.measure_rows"), {"file": SAMPLE, "as_rows": rows}
    in_part = {"file": ROWS, "part": PARTS, "as_rows": rows}
    ways: Ways = {}
    for model in MODELS:
        for way in ("explain", "themes", "reasons"):
            ways[f"{model} {way}"] = partial(measure, way=way, model=model)
        for way in ("lightgbm_explain", "shap_explain"):
            ways[f"{model} {way}"] = partial(measure, way=way, model=model, **sampled)
        numbers = _as_numbers(model)
        if _is_compared(f"{numbers} {EXPLAINER}", compared):
            ways[f"{numbers} explain"] = partial(measure, way="explain", model=numbers, **in_part)
            ways[f"{numbers} {EXPLAINER}"] = partial(
                measure_predictor, EXPLAINER, plan.folder, numbers, **in_part
            )
    return ways


def _is_compared(way: str, compared: Reports) -> bool:
    return "difference" in compared.get(way, {})


def _list_growth(plan: Plan) -> Ways:
    """List what is explained to see what twice as much costs: a part of the rows, and of it less of each."""
    explain = partial(plan.run, "reasons.measure_rows", way="explain")
    return {
        "part": partial(explain, model="depth_6", part=PARTS),
        "half_trees": partial(explain, model="depth_6", part=PARTS, trees=HALF_OF_TREES),
        "half_depth": partial(explain, model="depth_3", part=PARTS),
        "half_features": partial(explain, model="half_features", part=PARTS),
        "double_part": partial(explain, model="depth_6", part=PARTS // 2),
    }
