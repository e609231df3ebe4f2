"""The page's parts about reasons: scores and contributions of many rows, of one, and as they grow."""

from collections.abc import Iterator, Mapping

from benchmarks.tables import Report, Reports, render_table, tell_ratios

_GIVEN = (
    "{rows:,} persons at one index time, the {of_first:,} eligible ones of the full region and others of a "
    "second one; {features} features, seven of each ten of the catalogue, both categories among them. Two "
    "models of {trees} trees each, trained on {trained_rows:,} persons of the second region one year before "
    "(frequent admission, learning rate 0.03, 100 rows in a leaf, directions as in the catalogue): `depth_6` "
    "splits at most 6 times on a path and has at most 63 leaves, `leaves_31` has 31 leaves at any depth. To "
    "`..._numbers`, trained in the same way, categories are numbers."
)
_MEASURED = (
    "The rows are in memory, as float32. Each run has a process of its own, on all processors unless said "
    "otherwise; reading the model and a first call are not counted, and loading this library's loops is "
    "part of that. After an installation they are compiled, which took {compile_seconds:.0f} s once. The "
    "ways took turns, {repeats} rounds, and the fastest run of each counts. Where fewer rows were timed, "
    "time is told as for all of them: what one row takes is fixed, and the rest grows with the rows. Memory "
    "is the peak above that with all rows in memory, and told where they were. The difference is the "
    "largest from LightGBM's numbers, in {sampled:,} rows. Ratios are to this library with the same model."
)
_SCORES = (
    "`ready` is what comes before: this library's first call, or how long a peer compiles or converts the "
    "model, once. ONNX Runtime works in float32."
)
_CONTRIBUTIONS = (
    "All are exact and path-dependent. shap asks LightGBM for its `pred_contrib`. woodelf works on one "
    "processor, in float32, shares work among rows, and knows of no categories."
)
_ONE_ROW = (
    "From a float32 array of one row to the result: {calls:,} calls, each with another row, after one call "
    "with each to warm up."
)
_GROWTH = (
    "`explain_trees`, `depth_6`. One thing is doubled and the rest stays: {rows:,} rows, but for rows; "
    "{trees} trees, but for trees."
)
_GOALS = "Set for 850,000 rows, 200 features and 500 trees; measured as above."
_PREDICT, _CONTRIB = "LightGBM `predict(raw_score=True)`", "LightGBM `predict(pred_contrib=True)`"
_OURS = {
    "score": "this library: `score_trees`",
    "explain": "this library: `explain_trees`",
    "themes": "this library: `summarise_trees`, themes",
    "reasons": "this library: `summarise_trees`, themes and top 5",
}
_WAYS: Mapping[str, str] = {
    **_OURS,
    "lightgbm_score": _PREDICT,
    "lightgbm_explain": _CONTRIB,
    "shap_explain": "shap `TreeExplainer`",
    "lleaves": "lleaves, compiled by LLVM",
    "onnxruntime": "ONNX Runtime, converted by onnxmltools",
    "tl2cgen": "TL2cgen, compiled by gcc",
    "woodelf_explainer": "woodelf `WoodelfExplainer`",
}
_DOUBLED = (
    ("rows, from a quarter", "part", "double_part"),
    ("rows, from a half", "double_part", "all_rows"),
    ("trees", "half_trees", "part"),
    ("depth, from 3", "half_depth", "part"),
    ("features", "half_features", "part"),
)
# Of the largest number: what single precision may lose in 500 sums, and no more.
_RIGHT_WITHIN = 1e-4
_MOST_SECONDS = {"depth_6": 45, "leaves_31": 75}
_LEAST_RATIOS = {
    "depth_6 lightgbm_explain": 30,
    "depth_6 shap_explain": 30,
    "depth_6_numbers woodelf_explainer": 4,
}
_COSTS = ("rows timed", "wall s", "processor s", "MB above")
_COMPARED = ("wall ratio", "processor ratio", "largest difference")


def render_reasons(reasons: Reports, repeats: int) -> list[str]:
    """Render what scores and contributions cost, and what was aimed at."""
    given, growth = reasons["given"], reasons["growth"]
    sampled = reasons["contributions"]["depth_6 lightgbm_explain"]["rows"]
    one_row = reasons["one_row"]["depth_6"]["reasons"]
    return [
        "## Exact reasons",
        _GIVEN.format_map(given),
        _MEASURED.format_map({**reasons["compiled"], "repeats": repeats, "sampled": sampled}),
        "### Scores",
        _SCORES,
        render_table(("model", "way", *_COSTS, "ready s", *_COMPARED), _list_scores(reasons)),
        "### Contributions",
        _CONTRIBUTIONS,
        render_table(("model", "way", *_COSTS, *_COMPARED), _list_contributions(reasons)),
        *_list_refusals(reasons["compared"]),
        "### One row",
        _ONE_ROW.format_map(one_row),
        render_table(("model", "call", "p50 µs", "p95 µs", "p99 µs"), _list_calls(reasons["one_row"])),
        "### Growth of contributions",
        _GROWTH.format(rows=growth["part"]["rows"], trees=given["trees"]),
        render_table(
            ("doubled", "wall s", "doubled wall s", "wall ratio", "processor ratio"),
            (_tell_doubled(*doubled, growth) for doubled in _DOUBLED),
        ),
        "### Goals",
        _GOALS,
        render_table(("goal", "measured", "met"), _list_goals(reasons)),
    ]


def _list_scores(reasons: Reports) -> Iterator[tuple[str, ...]]:
    for name, report in reasons["scores"].items():
        ready = reasons["compared"].get(name, {}).get("preparing_seconds", report["first_seconds"])
        yield *_tell_way("scores", name, reasons), f"{ready:.1f}", *_compare("scores", name, "score", reasons)


def _list_contributions(reasons: Reports) -> Iterator[tuple[str, ...]]:
    for name in reasons["contributions"]:
        yield (
            *_tell_way("contributions", name, reasons),
            *_compare("contributions", name, "explain", reasons),
        )


def _tell_way(part: str, name: str, reasons: Reports) -> tuple[str, ...]:
    """Tell a model, a way, and what that cost."""
    (model, way), report = name.split(), reasons[part][name]
    is_whole = report["rows"] == reasons["given"]["rows"]
    return (
        f"`{model}`",
        _WAYS[way],
        f"{report['rows']:,}",
        f"{report['seconds']:.2f}",
        f"{report['cpu_seconds']:.2f}",
        f"{report['above_mb']:,.0f}" if is_whole else "",
    )


def _compare(part: str, name: str, ours: str, reasons: Reports) -> tuple[str, ...]:
    """Compare a way with this library's way for the same model, and its numbers with LightGBM's."""
    model, _ = name.split()
    ratios = tell_ratios(reasons[part][name], reasons[part][f"{model} {ours}"])
    return *ratios, _tell_difference(reasons["compared"].get(name, {}))


def _tell_difference(compared: Report) -> str:
    """Tell the largest difference, and whether it is more than rounding; nothing of what is not compared."""
    if "difference" not in compared:
        return ""
    difference = compared["difference"]
    is_right = difference <= _RIGHT_WITHIN * compared.get("largest", 1)
    told = f"{difference:.0e}" if difference else "0"
    return told if is_right else f"{told}, wrong"


def _list_refusals(compared: Reports) -> list[str]:
    """List what a peer cannot do, in its own words."""
    refused = [
        f"- {_WAYS[name.split()[1]]}, `{name.split()[0]}`: {report['refusal']}"
        for name, report in compared.items()
        if "refusal" in report
    ]
    return ["Not measured, because a peer refuses:", "\n".join(refused)] if refused else []


def _list_calls(one_row: Reports) -> list[tuple[str, ...]]:
    return [
        (f"`{model}`", _WAYS[way], *(f"{1000 * report[place]:,.0f}" for place in ("p50", "p95", "p99")))
        for model, ways in one_row.items()
        for way, report in ways.items()
    ]


def _tell_doubled(what: str, once: str, twice: str, growth: Reports) -> tuple[str, ...]:
    one, two = growth[once], growth[twice]
    return what, f"{one['seconds']:.2f}", f"{two['seconds']:.2f}", *tell_ratios(two, one)


def _list_goals(reasons: Reports) -> Iterator[tuple[str, str, str]]:
    """List what was aimed at, what was measured, and whether that is reached."""
    scores, contributions, one_row = reasons["scores"], reasons["contributions"], reasons["one_row"]
    for model in one_row:
        seconds = scores[f"{model} score"]["seconds"]
        yield f"scores, `{model}`: at most 2.5 s", f"{seconds:.2f} s", _tell_met(seconds <= 2.5)
    for model, most in _MOST_SECONDS.items():
        seconds = contributions[f"{model} explain"]["seconds"]
        yield f"contributions, `{model}`: less than {most} s", f"{seconds:.1f} s", _tell_met(seconds < most)
    for other, least in _LEAST_RATIOS.items():
        if other in contributions:
            model, way = other.split()
            ratio = contributions[other]["seconds"] / contributions[f"{model} explain"]["seconds"]
            goal = f"contributions, `{model}`: at least {least} times as fast as {_WAYS[way]}"
            yield goal, f"{ratio:.1f} times", _tell_met(ratio >= least)
    for model in one_row:
        above = contributions[f"{model} explain"]["above_mb"]
        goal = f"memory above the matrix, `{model}`: less than 2,048 MB"
        yield goal, f"{above:,.0f} MB", _tell_met(above < 2048)
    for model, ways in one_row.items():
        p50 = 1000 * ways["reasons"]["p50"]
        goal = f"risk and reasons of one row, `{model}`: less than 1,000 µs (p50)"
        yield goal, f"{p50:,.0f} µs", _tell_met(p50 < 1000)


def _tell_met(is_met: bool) -> str:  # noqa: FBT001 - the one thing that is told
    return "yes" if is_met else "no"
