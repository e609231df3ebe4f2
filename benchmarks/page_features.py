"""The page's parts about features: of a region, by others, as it grows, of one citizen."""

from benchmarks.tables import Report, Reports, render_table, tell_cost, tell_peak, tell_ratios

_REGION = (
    "From a store of 8 buckets on disk (which the system has in its cache) to one float32 matrix in "
    "memory: {features} features of {rows:,} eligible persons among {persons:,}, six years, all eight "
    "tables, one index time, on all processors. Each run has a process of its own; importing is not "
    "counted. The ways took turns, {repeats} rounds, and the fastest run of each counts; the slowest "
    "stands beside it. The ratios are to this library."
)
_KERNEL = (
    "The kernel is the limit and no library: the catalogue written out by hand as machine code (numba), "
    "unable to do anything else. It was compiled before, which took {compile_seconds:.0f} s. The library's "
    "compiled loops were loaded before, which took {loading_seconds:.1f} s (they are compiled once after an "
    "installation). The SQL ends in the same matrix."
)
_WAYS = {
    "scan": "reading every column of every table with Polars, and nothing else",
    "kernel": "numba kernel, compiled before",
    "somv_risk": "this library: `scan_store`, `make_cohort`, `build_matrix`",
    "duckdb": "DuckDB, the catalogue as SQL",
}
_PEERS = (
    "What all three can express: {features} counts, recencies and shares of hospital, primary care and "
    "psychiatric contacts, of persons eligible or not, from a store of 8 buckets to a frame in memory. The "
    "peers take one bucket after the other. They know of no `known_at`, so what they must not see is taken "
    "away for them, which their time includes. They join all they are given: once only the rows in reach "
    "(of each window; of the longest one for featuretools, which relates tables once), once the whole "
    "history. Ratios are to this library, asked for the same features of the same persons. Best of {repeats}."
)
_WINDOWS = (
    "{cases} cases of windows, whose answers are known by hand. `as documented` is what the documentation "
    "shows, `with care` moves the ends of windows by a microsecond or sets what is not the default. What "
    "a builder does not offer it is not asked."
)
_GROWTH = (
    "One thing is doubled and the rest stays: {persons:,} persons, {events:,} events, one index time. "
    "More windows are as many again, a fifth shorter; more features are the catalogue again under other ids; "
    "more events are all once more, 100 days earlier. Stores of 2 buckets. Best of {repeats}."
)
_CITIZENS = (
    "{citizens} citizens, half of them from the top of the list, where histories are long, one call at a "
    "time from frames in memory, after one call with each to warm up. Peak memory of the process: "
    "{of_features} MB for features, {of_scores} MB with the model."
)
_DOUBLED = (
    ("windows of each feature that has any", "windowed", "more_windows"),
    ("features, from half the catalogue", "half_features", "all"),
    ("features, from the catalogue", "all", "copied"),
    ("events", "all", "busy"),
    ("persons", "half_persons", "all"),
)
_FULL_TIMES = {
    "library_1": "this library, 1 index time",
    "library_12": "this library, 12 index times together",
    "loop_12": "this library, 12 calls with one index time each",
    "kernel_1": "kernel, 1 index time",
    "kernel_12": "kernel, 12 index times, each bucket loaded once",
}


def render_features(features: Reports, persons: int, repeats: int) -> list[str]:
    """Render the costs of one matrix of a whole region."""
    library = features["somv_risk"]
    rows = [
        (what, *tell_cost(report), f"{report['slowest_seconds']:.2f}", *tell_ratios(report, library))
        for name, what in _WAYS.items()
        if (report := features.get(name))
    ]
    header = ("way", "wall s", "processor s", "peak MB", "slowest wall s", "wall ratio", "processor ratio")
    return [
        "## Features of a whole region",
        _REGION.format_map({**library, "persons": persons, "repeats": repeats}),
        _KERNEL.format_map({**features["compiled"], **library}),
        render_table(header, rows),
    ]


def render_peers(peers: Reports, repeats: int) -> list[str]:
    """Render the costs of what the peers can express, and how they fare with windows."""
    ours = peers["full"]["somv_risk"]
    return [
        "## What others can express",
        _PEERS.format_map({**ours, "repeats": repeats}),
        render_table(
            ("way", "persons", "wall s", "processor s", "peak MB", "wall ratio", "processor ratio"),
            _list_peers(peers),
        ),
        _WINDOWS.format(cases=sum(peers["verdicts"]["somv_risk"]["verdicts"].values())),
        render_table(("builder", *_VERDICTS), _list_verdicts(peers["verdicts"])),
    ]


_VERDICTS = ("right", "wrong", "error", "not offered")


def _list_peers(peers: Reports) -> list[tuple[str, ...]]:
    return [
        (
            "this library" if way == "somv_risk" else way,
            f"{report['persons']:,}",
            *tell_cost(report),
            *tell_ratios(report, compared["somv_risk"]),
        )
        for part, compared in peers.items()
        if part != "verdicts"
        for way, report in compared.items()
        if way != "checked"
    ]


def _list_verdicts(verdicts: Reports) -> list[tuple[str, ...]]:
    return [
        (builder, *(str(report["verdicts"].get(verdict, 0)) for verdict in _VERDICTS))
        for builder, report in verdicts.items()
    ]


def render_growth(growth: Reports, full: Reports, persons: tuple[int, int], repeats: int) -> list[str]:
    """Render what twice as much costs, and what more index times cost."""
    header = ("doubled", "wall s", "doubled wall s", "wall ratio", "processor ratio")
    return [
        "## Growth",
        _GROWTH.format(persons=persons[0], events=growth["events"]["whole"], repeats=repeats),
        render_table(header, (_tell_doubled(*doubled, growth) for doubled in _DOUBLED)),
        "Quarterly index times, the latest first; matrices are forgotten piece by piece (`build_matrices`).",
        render_table(_TIMES_HEADER, _list_times(growth)),
        f"The same among {persons[1]:,} persons. The ratios are to one index time by the same way.",
        render_table(
            ("way", "rows", "wall s", "processor s", "peak MB", "wall ratio", "processor ratio"),
            _list_full_times(full),
        ),
    ]


_TIMES_HEADER = ("index times", "rows", "wall s", "processor s", "peak MB", "wall ratio", "processor ratio")


def _tell_doubled(what: str, once: str, twice: str, growth: Reports) -> tuple[str, ...]:
    one, two = growth[once], growth[twice]
    return what, f"{one['seconds']:.2f}", f"{two['seconds']:.2f}", *tell_ratios(two, one)


def _list_times(growth: Reports) -> list[tuple[str, ...]]:
    return [
        (name.removeprefix("times_"), *_tell_rows(report), *tell_ratios(report, growth["times_1"]))
        for name, report in growth.items()
        if name.startswith("times_")
    ]


def _list_full_times(full: Reports) -> list[tuple[str, ...]]:
    return [
        (what, *_tell_rows(full[name]), *tell_ratios(full[name], full[_find_single(name)]))
        for name, what in _FULL_TIMES.items()
    ]


def _find_single(name: str) -> str:
    return "kernel_1" if name.startswith("kernel") else "library_1"


def _tell_rows(report: Report) -> tuple[str, ...]:
    return f"{report['rows']:,}", *tell_cost(report)


def render_citizens(built: Report, scored: Report) -> list[str]:
    """Render how long one citizen takes, from rows in memory to features and to scores."""
    calls = {
        "`build_features(...).collect()` of checked histories": built,
        "`score` of checked histories, with reasons": scored["score"],
        "`from_frames`, then `score` with reasons": scored["check_then_score"],
    }
    rows = [
        (what, str(report["calls"]), *(f"{report[name]:.1f}" for name in ("p50", "p95", "p99")))
        for what, report in calls.items()
    ]
    return [
        "## One citizen",
        _CITIZENS.format(
            citizens=built["citizens"], of_features=tell_peak(built), of_scores=tell_peak(scored)
        ),
        render_table(("call", "calls", "p50 ms", "p95 ms", "p99 ms"), rows),
    ]
