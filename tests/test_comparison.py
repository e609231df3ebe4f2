"""Two models on the same persons, and the gates that the better one must pass."""

import re

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.metrics import roc_auc_score

from somv_risk.disclosure import SMALLEST
from somv_risk.errors import ConfigError, InputError, SourceError
from somv_risk.metrics import Cases, compare, draw_weights, hide
from somv_risk.tracking import Gates, parse_gates, read_gates

DRAWS = 40


def make_cases(risk, outcome, is_new=None, **groups):
    return Cases(
        outcome=np.asarray(outcome),
        rankings={"model": np.asarray(risk, dtype=float)},
        risks=("model",),
        is_new=is_new,
        groups=pl.DataFrame(groups),
    )


def logit(risk):
    return np.log(risk / (1 - risk))


def expit(score):
    return 1 / (1 + np.exp(-score))


@pytest.fixture(scope="module")
def crowd():
    """Made-up persons whose risks are right, and what happened to them."""
    rng = np.random.default_rng(5)
    risk = expit(rng.normal(-3.5, 1.4, 20_000))
    return {
        "risk": risk,
        "outcome": rng.random(20_000) < risk,
        "is_new": rng.random(20_000) < 0.8,
        "sex": np.where(rng.random(20_000) < 0.5, "female", "male"),
    }


def with_risk(crowd, risk):
    return make_cases(risk, crowd["outcome"], crowd["is_new"], sex=crowd["sex"])


def find(table, metric, **where):
    return table.filter(metric=metric, **where).to_dicts()


# The comparison


def test_differences_are_of_pairs_drawn_together(crowd):
    few = slice(0, 3_000)
    outcome, new = crowd["outcome"][few], crowd["is_new"][few]
    risk = crowd["risk"][few]
    rng = np.random.default_rng(1)
    worse = expit(logit(risk) + rng.normal(0, 1.5, len(risk)))
    table = compare(
        make_cases(risk, outcome, new),
        make_cases(worse, outcome, new),
        capacities=["50"],
        draws=DRAWS,
        seed=3,
    )

    def auroc(score, weights, part):
        return roc_auc_score(outcome[part], score[part], sample_weight=weights[part])

    for population, part in (("all", np.ones_like(new)), ("new", new)):
        leads = []
        for number in range(DRAWS):
            weights = draw_weights(len(risk), seed=3, number=number)
            leads.append(auroc(risk, weights, part) - auroc(worse, weights, part))
        (row,) = find(table, "auroc", population=population)
        ones = np.ones(len(risk))
        assert row["challenger"] == pytest.approx(auroc(risk, ones, part))
        assert row["difference"] == pytest.approx(auroc(risk, ones, part) - auroc(worse, ones, part))
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.percentile(leads, [2.5, 97.5])))
        apart = np.std([auroc(risk, draw_weights(len(risk), seed=3, number=n), part) for n in range(DRAWS)])
        assert row["high"] - row["low"] < 6 * apart


def test_precision_of_the_list_of_new_persons_is_counted(crowd):
    table = compare(
        with_risk(crowd, crowd["risk"]), with_risk(crowd, 1 - crowd["risk"]), capacities=["1 %"], draws=0
    )
    new = np.flatnonzero(crowd["is_new"])
    best = new[np.argsort(-crowd["risk"][new])[:200]]  # 1 % of all 20,000, taken from new ones
    worst = new[np.argsort(crowd["risk"][new])[:200]]
    (row,) = find(table, "precision", population="new", capacity="1 %")
    assert row["challenger"] == pytest.approx(crowd["outcome"][best].mean())
    assert row["champion"] == pytest.approx(crowd["outcome"][worst].mean())
    assert row["note"] == "No interval: no draws were asked for."


def test_a_gap_is_how_far_a_group_is_from_everybody_else_whichever_way(crowd):
    risk = crowd["risk"]
    unfair = np.where(crowd["sex"] == "male", risk / 2, risk)
    table = compare(
        with_risk(crowd, unfair),
        with_risk(crowd, risk),
        capacities=["1 %"],
        working_capacity="5 %",
        draws=DRAWS,
    )

    def missed(score, group):
        listed = np.zeros(len(score), dtype=bool)
        listed[np.argsort(-score, kind="stable")[:1000]] = True
        had = crowd["outcome"] & group
        return (had & ~listed).sum() / had.sum()

    male = crowd["sex"] == "male"
    for group in ("male", "female"):
        (row,) = find(table, "gap_false_negative_rate", group=group)
        assert row["challenger"] == pytest.approx(abs(missed(unfair, male) - missed(unfair, ~male)))
        assert row["champion"] == pytest.approx(abs(missed(risk, male) - missed(risk, ~male)))
        assert row["low"] > 0


def test_fewer_than_five_say_nothing_and_small_counts_are_hidden(crowd):
    group = np.full(20_000, "many", dtype=object)
    group[: SMALLEST - 1] = "few"
    cases = make_cases(crowd["risk"], crowd["outcome"], group=list(group))
    table = compare(cases, cases, draws=0)
    gaps = table.filter(pl.col("metric").str.starts_with("gap_"))
    assert gaps.height == 10
    assert gaps.filter(group="few")["difference"].null_count() == 5
    shown = hide(table)
    assert "hidden" not in shown.columns
    gone = shown.filter(pl.col("metric").str.starts_with("gap_"))
    assert gone.select("challenger", "champion", "difference", "low").null_count().row(0) == (10,) * 4
    assert gone["note"].str.contains("Hidden").all()
    rest = pl.col("metric").str.starts_with("gap_").not_()
    assert_frame_equal(shown.filter(rest), table.filter(rest).drop("hidden"))


def test_calibration_is_compared(crowd):
    table = compare(with_risk(crowd, crowd["risk"] / 2), with_risk(crowd, crowd["risk"]), draws=DRAWS)
    (ratio,) = find(table, "expected_over_observed")
    assert ratio["challenger"] == pytest.approx(crowd["risk"].sum() / 2 / crowd["outcome"].sum())
    assert ratio["high"] < 0
    (index,) = find(table, "ici")
    assert index["low"] > 0
    (slope,) = find(table, "slope")
    assert slope["champion"] == pytest.approx(1, abs=0.1)
    assert slope["low"] is None
    assert slope["note"]


def test_without_a_champion_the_challenger_is_told_of_alone(crowd):
    table = compare(with_risk(crowd, crowd["risk"]), None, draws=5)
    assert table["champion"].null_count() == table["difference"].null_count() == table.height
    assert find(table, "auroc", population="all")[0]["challenger"] > 0.7
    assert table["note"].is_not_null().all()


def test_other_persons_are_refused(crowd):
    with pytest.raises(InputError, match="same persons"):
        compare(with_risk(crowd, crowd["risk"]), make_cases(crowd["risk"], ~crowd["outcome"]))


# The gates of the library


def judge(crowd, challenger, champion=None):
    gates = read_gates()
    beaten = with_risk(crowd, crowd["risk"] if champion is None else champion)
    table = compare(
        with_risk(crowd, challenger),
        beaten,
        capacities=gates.capacities,
        working_capacity=gates.working_capacity,
        draws=DRAWS,
    )
    judged = gates.judge(table, has_champion=True)
    return dict(judged.select("gate", "holds").iter_rows())


def noise(crowd, size):
    return np.random.default_rng(2).normal(0, size, len(crowd["risk"]))


def neglect(crowd, risk):
    """The risk of men is divided, so that they are missed."""
    return np.where(crowd["sex"] == "male", risk / 4, risk)


def test_the_same_model_again_passes_every_gate(crowd):
    assert all(judge(crowd, crowd["risk"]).values())


def test_a_better_model_passes_every_gate(crowd):
    worse = expit(logit(crowd["risk"]) * 0.75 - 0.75 + noise(crowd, 1.0))
    assert all(judge(crowd, crowd["risk"], worse).values())


WORSE = {
    "separation": lambda crowd: expit(logit(crowd["risk"]) + noise(crowd, 1)),
    "separation_of_new": lambda crowd: expit(logit(crowd["risk"]) + noise(crowd, 1)),
    "precision_among_new": lambda crowd: np.where(crowd["risk"] > 0.4, 0.02, crowd["risk"]),
    "calibration_in_the_large": lambda crowd: crowd["risk"] * 1.3 / 1.3**2,
    "calibration_slope": lambda crowd: expit(logit(crowd["risk"]) * 1.6 + 1.4),
    "calibration_along_the_risk": lambda crowd: crowd["risk"] * 0.8,
    "missed_in_groups": lambda crowd: neglect(crowd, crowd["risk"]),
    "listed_in_groups": lambda crowd: neglect(crowd, crowd["risk"]),
}


@pytest.mark.parametrize(("gate", "spoil"), WORSE.items(), ids=WORSE)
def test_each_gate_is_broken_by_what_it_is_there_for(crowd, gate, spoil):
    assert not judge(crowd, spoil(crowd))[gate]


def test_every_gate_of_the_library_is_tried():
    assert set(WORSE) == {gate.name for gate in read_gates().gates}


# Gates by hand

TABLE = pl.DataFrame(
    {
        "population": ["all", "new", None, None],
        "capacity": [None, None, None, None],
        "grouping": [None, None, "sex", "sex"],
        "group": [None, None, "female", "male"],
        "metric": ["auroc", "auroc", "gap_precision", "gap_precision"],
        "challenger": [0.80, 0.70, 0.10, 0.30],
        "champion": [0.82, 0.67, 0.10, None],
        "difference": [-0.02, 0.03, 0.00, None],
        "low": [-0.03, 0.01, -0.01, None],
        "high": [-0.01, 0.05, 0.01, None],
        "hidden": [False, False, False, True],
    },
    schema_overrides={"capacity": pl.String},
)


def gate(**given):
    row = {"says": "", "metric": "auroc", "number": "difference"} | given
    return parse_gates({"gates": {"it": row}})


@pytest.mark.parametrize(
    ("rule", "value", "holds", "where"),
    [
        (gate(at_least=-0.02, population="all"), -0.02, True, "all"),
        (gate(at_least=-0.01, population="all"), -0.02, False, "all"),
        (gate(at_least=-0.01), -0.02, False, "all"),  # of several numbers the worst decides
        (gate(at_most=0.0, population="new"), 0.03, False, "new"),
        (gate(at_least=0.0, population="new", number="low"), 0.01, True, "new"),
        (gate(at_least=0.6, at_most=0.75, number="challenger"), 0.80, False, "all"),
        # What is not known is left out.
        (gate(metric="gap_precision", at_most=0.0), 0.00, True, "sex female"),
    ],
)
def test_a_gate_holds_if_every_number_is_within_its_limits(rule, value, holds, where):
    (verdict,) = rule.judge(TABLE, has_champion=True).to_dicts()
    assert (verdict["value"], verdict["holds"], verdict["where"]) == (value, holds, where)


def test_what_cannot_be_said_does_not_hold():
    rule = gate(metric="gap_precision", grouping="age_band", at_most=1.0)
    (verdict,) = rule.judge(TABLE, has_champion=True).to_dicts()
    assert (verdict["holds"], verdict["value"]) == (False, None)
    assert verdict["note"]


def test_a_group_that_is_all_but_gone_from_the_list_closes_the_gate_and_its_number_is_not_told(crowd):
    gone = np.where(crowd["sex"] == "male", crowd["risk"] / 1000, crowd["risk"])
    table = compare(with_risk(crowd, gone), with_risk(crowd, crowd["risk"]), capacities=["1 %"], draws=DRAWS)
    verdict = read_gates().judge(table, has_champion=True).filter(gate="missed_in_groups").to_dicts()[0]
    assert (verdict["holds"], verdict["value"]) == (False, None)
    assert "Hidden" in verdict["note"]


def test_a_group_that_is_known_of_the_champion_only_closes_the_gate(crowd):
    rule = gate(metric="gap_precision", at_most=1.0)
    lost = TABLE.with_columns(challenger=pl.lit(None, pl.Float64), difference=pl.lit(None, pl.Float64))
    (verdict,) = rule.judge(pl.concat([TABLE, lost[2:3]]), has_champion=True).to_dicts()
    assert (verdict["holds"], verdict["where"]) == (False, "sex female")
    group = np.array(["a", "b", "c"])[np.arange(len(crowd["risk"])) % 3]
    cases = [
        make_cases(risk, crowd["outcome"], group=list(group))
        for risk in (np.where(group == "c", crowd["risk"] / 1000, crowd["risk"]), crowd["risk"])
    ]
    table = compare(*cases, capacities=["1 %"], draws=0)
    (verdict,) = rule.judge(table, has_champion=True).to_dicts()
    assert (verdict["holds"], verdict["value"]) == (False, None)
    assert verdict["where"].endswith(" c")


def test_a_hidden_number_is_looked_at_and_not_told():
    rule = gate(metric="gap_precision", at_most=0.2, number="challenger")
    (verdict,) = rule.judge(TABLE, has_champion=True).to_dicts()
    assert (verdict["holds"], verdict["value"], verdict["where"]) == (False, None, "sex male")


def test_the_first_champion_has_nobody_to_beat_but_must_be_sound():
    rules = parse_gates(
        {
            "gates": {
                "paired": {"says": "", "metric": "auroc", "number": "low", "at_least": 0.5},
                "alone": {"says": "", "metric": "auroc", "number": "challenger", "at_least": 0.75},
            }
        }
    )
    judged = rules.judge(TABLE, has_champion=False)
    assert judged["holds"].to_list() == [True, False]


def test_the_lists_that_gates_name_are_compared():
    assert read_gates().capacities == ["1 %"]
    rules = gate(metric="precision", capacity="100", at_least=0)
    assert (isinstance(rules, Gates), rules.capacities) == (True, ["1 %", "100"])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "no gate"),
        ({"gates": {}}, "no gate"),
        ({"gates": {"a": {"says": "", "metric": "auroc", "number": "low"}}}, "gates.a: .*at_least"),
        (
            {"gates": {"a": {"says": "", "metric": "auroc", "number": "other", "at_least": 0}}},
            "gates.a.number",
        ),
        ({"gates": {"a": {"says": "", "number": "low", "at_least": 0}}}, "gates.a.metric"),
        ({"gates": {"a": 3}}, "gates.a"),
        ({"gates": {"a": {"says": "", "metric": "x", "number": "low", "at_least": 0, "more": 1}}}, "more"),
        ({"extra": 1, "gates": {"a": {"says": "", "metric": "x", "number": "low", "at_least": 0}}}, "extra"),
    ],
)
def test_unsound_gates_are_told_by_name(data, told):
    with pytest.raises(ConfigError) as caught:
        parse_gates(data)
    assert re.search(told, str(caught.value))


def test_a_missing_file_of_gates_is_told(tmp_path):
    with pytest.raises(SourceError, match="Table of gates"):
        read_gates(tmp_path / "no.toml")
