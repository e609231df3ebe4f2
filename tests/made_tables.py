"""Evaluation tables made by hand: every shape that an evaluation can have, without running one."""

from datetime import datetime, timedelta
from itertools import pairwise, product

import polars as pl

TIME = pl.Datetime("us")
INTERVAL = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "note": pl.String}
COUNTS = {"rows": pl.Int64, "events": pl.Int64}
SCHEMAS = {
    "attrition": {"index_time": TIME, "rule": pl.String, "rows_before": pl.Int64, "rows_after": pl.Int64},
    "cases": {
        "index_time": TIME,
        "population": pl.String,
        **COUNTS,
        "base_rate": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "note": pl.String,
    },
    "metrics": {
        "index_time": TIME,
        "population": pl.String,
        "ranking": pl.String,
        "metric": pl.String,
        **INTERVAL,
    },
    "capacity": {
        "index_time": TIME,
        "population": pl.String,
        "ranking": pl.String,
        "capacity": pl.String,
        "persons": pl.Int64,
        "metric": pl.String,
        **INTERVAL,
    },
    "calibration": {
        "index_time": TIME,
        "ranking": pl.String,
        "grouping": pl.String,
        "group": pl.String,
        **COUNTS,
        "metric": pl.String,
        **INTERVAL,
    },
    "reliability": {
        "index_time": TIME,
        "ranking": pl.String,
        "grouping": pl.String,
        "group": pl.String,
        "bin": pl.Int64,
        **COUNTS,
        "mean_risk": pl.Float64,
        "observed": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "note": pl.String,
    },
    "decision_curve": {"index_time": TIME, "strategy": pl.String, "threshold": pl.Float64, **INTERVAL},
    "risk_distribution": {
        "index_time": TIME,
        "ranking": pl.String,
        "outcome": pl.Boolean,
        "from_risk": pl.Float64,
        "to_risk": pl.Float64,
        "rows": pl.Int64,
        "share": pl.Float64,
        "note": pl.String,
    },
    "persistence": {
        "index_time": TIME,
        "ranking": pl.String,
        "known_or_new": pl.String,
        "flagged": pl.Boolean,
        **COUNTS,
        **INTERVAL,
    },
    "fairness": {
        "index_time": TIME,
        "ranking": pl.String,
        "grouping": pl.String,
        "group": pl.String,
        "metric": pl.String,
        "count": pl.Int64,
        "of": pl.Int64,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "difference": pl.Float64,
        "difference_low": pl.Float64,
        "difference_high": pl.Float64,
        "note": pl.String,
    },
    "gaps": {
        "index_time": TIME,
        "ranking": pl.String,
        "grouping": pl.String,
        "group": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "text": pl.String,
    },
    "hidden": {"index_time": TIME, "ranking": pl.String, "measure": pl.String, **INTERVAL},
    "turnover": {
        "from_index_time": TIME,
        "to_index_time": TIME,
        "ranking": pl.String,
        "capacity": pl.String,
        "persons": pl.Int64,
        "value": pl.Float64,
        "note": pl.String,
    },
    "rolling_origin": {
        "test_time": TIME,
        "trained_until": TIME,
        "ranking": pl.String,
        "metric": pl.String,
        **INTERVAL,
    },
    "places_left_out": {
        "municipality": pl.String,
        "name": pl.String,
        **COUNTS,
        "ranking": pl.String,
        "metric": pl.String,
        **INTERVAL,
    },
    "list_stability": {"measure": pl.String, **INTERVAL},
    "explanations": {"measure": pl.String, **INTERVAL},
}
OPTIONAL = ("rolling_origin", "places_left_out", "list_stability", "explanations")
TIMES = (datetime(2023, 1, 1), datetime(2024, 1, 1), datetime(2025, 1, 1))
RANKINGS = ("model", "penalised_logistic", "count_last_year", "programme_rule")
CAPACITIES = ("50", "100", "200", "500", "1000", "0.5 %", "1 %", "2 %")
SIZES = {"0.5 %": 63, "1 %": 126, "2 %": 253}
GROUPS = {
    "sex": ("female", "male"),
    "age_band": ("18-39", "40-64", "65-79", "80+"),
    "municipality": ("316", "360", "376"),
    "benefit_group": ("self_support", "social_assistance", "early_retirement"),
    "homelessness": ("no", "yes"),
    "severe_mental_illness": ("no", "yes"),
    "substance_use": ("no", "yes"),
}
PRECISION = {"model": 0.246, "penalised_logistic": 0.214, "count_last_year": 0.215, "programme_rule": 0.19}
AUROC = {"model": 0.897, "penalised_logistic": 0.893, "count_last_year": 0.754, "programme_rule": 0.61}
SUPPRESSED = "Not shown: fewer than 5 persons."
TOO_FEW = "Too few cases to say."


def frame(table, rows):
    """A table of the contract's form; what a row leaves out is null."""
    schema = SCHEMAS[table]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def around(value, width, note=None):
    """A value and an interval about it, or nothing but a note."""
    if note is not None:
        return {"value": None, "low": None, "high": None, "note": note}
    return {"value": value, "low": value - width, "high": value + width, "note": None}


def made_facts(**changed):
    target = {
        "name": "frequent_admission",
        "counts": "admissions",
        "min_count": 3,
        "horizon_days": 365,
        "sectors": ["somatic", "psychiatric"],
        "admission_types": ["acute"],
        "excluded_diagnoses": [],
        "death": "negative",
    }
    tables = ["persons", "admissions", "psychiatric_contacts", "substance_abuse", "social_benefits"]
    training = {
        "tables": tables,
        "rows": {"persons": 100_000, "admissions": 161_236},
        "data_end": "2026-01-01T00:00:00",
        "data_hash": "f95904fc1b09a30e27be0ceaa7baa4bdcb6cdfff46c7e714fcfca7f40bf221b7",
        "quarantine": [{"table": "admissions", "rule": "ends_after_start", "rows": 12}],
        "dropped": [],
        "index_times": {
            "train": ["2021-01-03T00:00:00", "2021-04-04T00:00:00"],
            "calibrate": ["2022-01-01T00:00:00"],
            "test": ["2023-01-01T00:00:00"],
        },
        "attrition": [
            {
                "index_time": "2021-01-03T00:00:00",
                "rule": "candidates",
                "rows_before": 1000,
                "rows_after": 1000,
            },
            {"index_time": "2021-01-03T00:00:00", "rule": "alive", "rows_before": 1000, "rows_after": 960},
        ],
        "config": {
            "seed": 7,
            "flag_share": 0.01,
            "targets": {"frequent_admission": {key: value for key, value in target.items() if key != "name"}},
            "times": {
                "train": [],
                "calibrate": [],
                "test": [],
                "train_moments": 5,
                "train_spacing_days": 91,
            },
            "persons": {"fit": 0.5, "stop": 0.1, "calibrate": 0.2, "test": 0.2},
            "cohort": {"minimum_age_years": 18, "minimum_residence_days": 365},
            "trees": {
                "rounds": 600,
                "patience": 50,
                "parameters": {"learning_rate": 0.05, "num_leaves": 31},
            },
            "features": {"exclude": [], "own": {}},
            "lags": {},
        },
        "libraries": {"somv-risk": "0.1.0", "polars": "2.1.0", "lightgbm": "4.7.0"},
        "metrics": [],
    }
    facts = {
        "model_hash": "a3c1f0" + 58 * "0",
        "target": target,
        "index_times": [time.isoformat() for time in TIMES],
        "persons": "test",
        "draws": 200,
        "seed": 0,
        "working_capacity": "1 %",
        "capacities": list(CAPACITIES),
        "groupings": list(GROUPS),
        "training": training,
        "histories": {
            "tables": tables,
            "absent": ["primary_care", "social_services"],
            "rows": {"persons": 100_000, "admissions": 161_236},
            "data_end": "2026-01-01T00:00:00",
        },
        "libraries": {"somv-risk": "0.1.0", "polars": "2.1.0"},
        "features": 286,
        "is_simulated": True,
    }
    return facts | changed


def made_tables(times=TIMES, groups=GROUPS, *, optional=True):
    """All tables; with `optional=False` only those that every evaluation has."""
    makers = {
        "attrition": make_attrition,
        "cases": make_cases,
        "metrics": make_metrics,
        "capacity": make_capacity,
        "calibration": make_calibration,
        "reliability": make_reliability,
        "decision_curve": make_decision_curve,
        "risk_distribution": make_risk_distribution,
        "persistence": make_persistence,
        "fairness": make_fairness,
        "gaps": make_gaps,
        "hidden": make_hidden,
        "turnover": make_turnover,
    }
    tables = {name: frame(name, list(make(times, groups))) for name, make in makers.items()}
    if optional:
        tables |= {
            "rolling_origin": frame("rolling_origin", list(make_rolling_origin(times))),
            "places_left_out": frame("places_left_out", list(make_places(groups))),
            "list_stability": frame("list_stability", list(make_stability())),
            "explanations": frame("explanations", list(make_explanations())),
        }
    return tables


def make_attrition(times, _):
    steps = (
        ("candidates", 20_000, 20_000),
        ("alive", 20_000, 19_100),
        ("at_least_18_years_old", 19_100, 15_300),
        ("resident_for_365_days", 15_300, 12_700),
        ("outcome is known", 12_700, 12_631),
    )
    for time, (rule, before, after) in product(times, steps):
        yield {"index_time": time, "rule": rule, "rows_before": before, "rows_after": after}


def make_cases(times, _):
    for time in times:
        common = {"index_time": time, "low": 0.008, "high": 0.012}
        yield common | {"population": "all", "rows": 12_631, "events": 126, "base_rate": 126 / 12_631}
        yield common | {"population": "new", "rows": 12_500, "events": 90, "base_rate": 90 / 12_500}


def make_metrics(times, _):
    for time, population, ranking in product(times, ("all", "new"), RANKINGS):
        key = {"index_time": time, "population": population, "ranking": ranking}
        worse = 0.03 if population == "new" else 0.0
        nothing = TOO_FEW if (population, ranking) == ("new", "programme_rule") else None
        yield key | {"metric": "auroc"} | around(AUROC[ranking] - worse, 0.02, nothing)
        yield key | {"metric": "average_precision"} | around(0.8 * PRECISION[ranking] - worse, 0.03, nothing)
        if ranking in ("model", "penalised_logistic"):
            yield key | {"metric": "brier"} | around(0.0087, 0.0008)
        if ranking != "model":
            yield (
                key | {"metric": "auroc_difference"} | around(AUROC["model"] - AUROC[ranking], 0.015, nothing)
            )
            yield (
                key
                | {"metric": "average_precision_difference"}
                | around(0.8 * (PRECISION["model"] - PRECISION[ranking]), 0.02, nothing)
            )


def make_capacity(times, _):
    for time, population, ranking, capacity in product(times, ("all", "new"), RANKINGS, CAPACITIES):
        persons = SIZES.get(capacity) or int(capacity)
        precision = PRECISION[ranking] * (126 / persons) ** 0.35 * (0.5 if population == "new" else 1)
        events = 126 if population == "all" else 90
        found = min(precision * persons, 0.95 * events)
        key = {
            "index_time": time,
            "population": population,
            "ranking": ranking,
            "capacity": capacity,
            "persons": persons,
        }
        note = TOO_FEW if (population, ranking) == ("new", "programme_rule") else None
        values = {
            "found": (found, 5.0),
            "precision": (found / persons, 0.04),
            "sensitivity": (found / events, 0.05),
            "lift": (found / persons / 0.01, 2.0),
            "number_needed_to_evaluate": (persons / found, 1.0),
            "admissions_captured": (4.1 * found, 20.0),
            "admissions_share": (0.12, 0.03),
            "bed_days_captured": (19.0 * found, 90.0),
            "bed_days_share": (0.10, 0.03),
        }
        for metric, (value, width) in values.items():
            yield key | {"metric": metric} | around(value, width, note)


def make_calibration(times, groups):
    whole = [("all", "all")]
    named = [(grouping, group) for grouping, members in groups.items() for group in members]
    for time, ranking, (grouping, group) in product(times, ("model", "penalised_logistic"), whole + named):
        key = {"index_time": time, "ranking": ranking, "grouping": grouping, "group": group}
        key |= {"rows": 12_631, "events": 126} if grouping == "all" else {"rows": 4_100, "events": 40}
        note = TOO_FEW if (grouping, group) == ("homelessness", "yes") else None
        tilt = 0.04 * (len(group) % 5)
        values = {
            "expected_over_observed": (1.05 + tilt, 0.18),
            "intercept": (-0.05, 0.2),
            "slope": (0.98, 0.12),
            "ici": (0.0012, 0.0006),
        }
        for metric, (value, width) in values.items():
            yield key | {"metric": metric} | around(value, width, note)


def make_reliability(times, groups):
    whole = [("all", "all")]
    named = [(grouping, group) for grouping, members in groups.items() for group in members]
    for time, ranking, (grouping, group) in product(times, ("model", "penalised_logistic"), whole + named):
        for number in range(1, 11 if grouping == "all" else 6):
            risk = 0.001 * 1.75 ** (number if grouping == "all" else 2 * number)
            observed = risk * (1 + 0.1 * (-1) ** number)
            key = {
                "index_time": time,
                "ranking": ranking,
                "grouping": grouping,
                "group": group,
                "bin": number,
            }
            yield (
                key
                | {"rows": 1_263, "events": round(1_263 * observed), "mean_risk": risk}
                | {"observed": observed, "low": 0.7 * observed, "high": min(1.0, 1.35 * observed)}
            )


def make_decision_curve(times, _):
    for time, threshold in product(times, (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)):
        odds = threshold / (1 - threshold)
        values = {
            "model": 0.004 * (1 - threshold) ** 2,
            "penalised_logistic": 0.0037 * (1 - threshold) ** 2,
            "treat_all": 0.01 - 0.99 * odds,
            "treat_none": 0.0,
            "count_rule": 0.003 - 0.006 * odds,
            "programme_rule": 0.002 - 0.004 * odds,
        }
        for strategy, value in values.items():
            width = 0.0 if strategy == "treat_none" else 0.0006
            yield ({"index_time": time, "strategy": strategy, "threshold": threshold} | around(value, width))


def make_risk_distribution(times, _):
    edges = [0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0]
    counts = {False: [9000, 2000, 900, 400, 120, 60, 20, 5, 0], True: [12, 10, 14, 20, 22, 21, 16, 8, 3]}
    for time, ranking, outcome in product(times, ("model", "penalised_logistic"), (False, True)):
        for low, high, rows in zip(edges, edges[1:], counts[outcome], strict=False):
            key = {"index_time": time, "ranking": ranking, "outcome": outcome}
            if rows == 3:
                yield key | {"from_risk": low, "to_risk": high, "note": SUPPRESSED}
            else:
                share = rows / sum(counts[outcome])
                yield key | {"from_risk": low, "to_risk": high, "rows": rows, "share": share}


def make_persistence(times, _):
    shares = {
        ("known", None): 0.3,
        ("known", True): 0.41,
        ("known", False): 0.12,
        ("new", True): 0.17,
        ("new", False): 0.006,
    }
    for time, ranking, ((kind, flagged), share) in product(times, RANKINGS, shares.items()):
        key = {"index_time": time, "ranking": ranking, "known_or_new": kind, "flagged": flagged}
        note = SUPPRESSED if (kind, flagged) == ("known", False) and time == times[0] else None
        counts = {} if note else {"rows": 100, "events": round(100 * share)}
        yield key | counts | around(share, 0.02 if share > 0.02 else 0.002, note)


def make_fairness(times, groups):
    metrics = {
        "selection_rate": 0.01,
        "precision": 0.25,
        "false_negative_rate": 0.75,
        "false_positive_rate": 0.008,
        "expected_over_observed": 1.03,
    }
    for time, ranking, metric in product(times, RANKINGS, metrics):
        everybody = {"index_time": time, "ranking": ranking, "grouping": "all", "group": "all"}
        yield everybody | {"metric": metric, "count": 126, "of": 12_631, "value": metrics[metric]}
    for time, ranking, (grouping, members) in product(times, RANKINGS, groups.items()):
        for place, (group, (metric, value)) in enumerate(product(members, metrics.items())):
            key = {"index_time": time, "ranking": ranking, "grouping": grouping, "group": group}
            key |= {"metric": metric}
            if (grouping, group) == ("homelessness", "yes") and metric == "precision":
                yield key | {"note": SUPPRESSED}
                continue
            difference = 0.05 * value * (-1) ** place * (1 + place % 3)
            width = 0.09 * value
            yield (
                key
                | {"count": 40, "of": 160, "value": value, "low": 0.8 * value, "high": 1.2 * value}
                | {
                    "difference": difference,
                    "difference_low": difference - width,
                    "difference_high": difference + width,
                }
            )


def make_gaps(times, groups):
    for row in make_fairness(times, groups):
        if row.get("difference") is not None and row["difference_low"] > 0:
            names = ("index_time", "ranking", "grouping", "group", "metric", "value", "difference")
            key = {name: row[name] for name in names}
            text = f"{row['grouping']} {row['group']}: {row['metric']} is higher than among everybody else."
            yield key | {"low": row["difference_low"], "high": row["difference_high"], "text": text}


def make_hidden(times, _):
    values = {"persons_with_outcome": 126.0, "persons_counted": 97.0, "persons_hidden": 29.0}
    for time, ranking in product(times, RANKINGS):
        key = {"index_time": time, "ranking": ranking}
        for measure, value in values.items():
            yield key | {"measure": measure, "value": value}
        yield key | {"measure": "share_hidden"} | around(29 / 126, 0.07)
        yield key | {"measure": "hidden_on_the_list"} | around(0.31 if ranking == "model" else 0.22, 0.15)
        yield key | {"measure": "counted_on_the_list"} | around(None, 0, SUPPRESSED)


def make_turnover(times, _):
    for earlier, later in pairwise(times):
        for ranking, capacity in product(RANKINGS, ("100", "1 %")):
            yield {
                "from_index_time": earlier,
                "to_index_time": later,
                "ranking": ranking,
                "capacity": capacity,
                "persons": SIZES.get(capacity) or int(capacity),
                "value": 0.37,
            }


def make_rolling_origin(times):
    for time, ranking in product(times, RANKINGS[:3]):
        key = {
            "test_time": time,
            "trained_until": time - timedelta(days=730),
            "ranking": ranking,
        }
        yield key | {"metric": "auroc"} | around(AUROC[ranking], 0.02)
        yield key | {"metric": "average_precision"} | around(0.8 * PRECISION[ranking], 0.03)


def make_places(groups):
    for place, code in enumerate(groups["municipality"]):
        key = {"municipality": code, "name": f"Place {place}", "rows": 4_100, "events": 40}
        for metric, value in {"auroc": 0.89, "expected_over_observed": 1.1, "precision": 0.2}.items():
            note = TOO_FEW if place == 1 and metric == "precision" else None
            yield key | {"ranking": "model", "metric": metric} | around(value, 0.05, note)


def make_stability():
    yield {"measure": "list_kept"} | around(0.83, 0.05)
    yield {"measure": "risk_difference"} | around(0.004, 0.001)


def make_explanations():
    yield {"measure": "additivity_error", "value": 3e-14}
    yield {"measure": "same_top_theme"} | around(0.78, 0.06)
