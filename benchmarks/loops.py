"""Loops: the library's compiled code, loaded before anything is timed, as importing is not counted either."""

from benchmarks.measuring import measure
from somv_risk import build_features, make_cohort, simulate


def load_loops() -> float:
    """Load the compiled loops by building the features of a few persons; return the seconds it took.

    After an installation they are compiled first, and kept on disk.
    """
    region = simulate(persons=500, seed=1)
    query = build_features(region, make_cohort(region, ["2025-01-01"]).rows.collect())
    _, first = measure(query.collect)
    _, second = measure(query.collect)
    return first["seconds"] - second["seconds"]
