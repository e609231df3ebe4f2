"""The configuration: its file says what the library does anyway, and a slip is told before work starts."""

import tomllib
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import somv_risk as sr
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, UNFINISHED_TREATMENT
from somv_risk.errors import ConfigError, SourceError
from somv_risk.features import load_catalogue
from somv_risk.training.config import TrainConfig, parse_config, read_config
from somv_risk.training.steps import resolve_config

DEFAULT = Path(__file__).parents[1] / "configs" / "default.toml"
DATA_END = datetime(2026, 1, 1)


def write(folder, text):
    file = folder / "training.toml"
    file.write_text(text, encoding="utf-8")
    return file


# --- The file of defaults


def test_the_default_file_says_what_the_library_does_anyway():
    assert read_config(DEFAULT) == TrainConfig()


def list_keys(data, prefix=""):
    return {
        place
        for key, value in data.items()
        for place in (
            {f"{prefix}{key}"} | (list_keys(value, f"{prefix}{key}.") if isinstance(value, dict) else set())
        )
    }


def test_the_default_file_names_every_setting():
    assert list_keys(tomllib.loads(DEFAULT.read_text())) == list_keys(TrainConfig().model_dump())


def test_the_default_targets_are_those_of_the_library():
    assert TrainConfig().build_targets() == (FREQUENT_ADMISSION, UNFINISHED_TREATMENT)


def test_a_configuration_may_be_a_path_plain_data_or_nothing(tmp_path):
    file = write(tmp_path, "seed = 11")
    expected = TrainConfig(seed=11)
    for one in (file, str(file), {"seed": 11}, expected):
        assert resolve_config(one) == expected
    assert resolve_config(None) == TrainConfig()


def test_a_file_states_only_what_differs(tmp_path):
    text = "flag_share = 0.02\n[cohort]\nminimum_age_years = 40\n[lags]\nadmissions = 1.5\n"
    config = read_config(write(tmp_path, text))
    default = TrainConfig()
    assert config.flag_share == 0.02
    assert config.build_eligibility().minimum_age_years == 40
    assert config.build_eligibility().minimum_residence_days == default.cohort.minimum_residence_days
    assert config.build_lags().of("admissions") == timedelta(days=1.5)
    assert (config.targets, config.times, config.trees) == (default.targets, default.times, default.trees)


def test_one_tree_parameter_leaves_the_others_as_they_were(tmp_path):
    config = read_config(write(tmp_path, "[trees.parameters]\nnum_threads = 1\n"))
    assert config.trees.parameters == TrainConfig().trees.parameters | {"num_threads": 1}


def test_a_configuration_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError):
        TrainConfig().seed = 8


# --- Slips


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sead = 7", "sead"),
        ("[trees]\nround = 5", "trees.round"),
        ("[targets.frequent_admission]\nminimum = 3", "targets.frequent_admission.minimum"),
        ("[persons]\nvalidate = 0.2", "persons.validate"),
        ("[time]\ntrain_moments = 3", "time"),
        ("seed = 'seven'", "seed"),
        ("flag_share = 0", "flag_share"),
        ("flag_share = 1.0", "flag_share"),
        ("[trees]\nrounds = 0", "trees.rounds"),
        ("[trees]\npatience = 1.5", "trees.patience"),
        ("[times]\ntrain_moments = 0", "times.train_moments"),
        ("[times]\ntrain_spacing_days = 0", "times.train_spacing_days"),
        ("[cohort]\nminimum_age_years = -1", "cohort.minimum_age_years"),
        ("[targets.x]\ncounts = 'visits'", "targets.x.counts"),
        ("[targets.x]\ndeath = 'ignore'", "targets.x.death"),
        ("[features]\nexclude = 'age'", "features.exclude"),
        ("[lags]\nadmissions = 'a day'", "lags.admissions"),
    ],
)
def test_an_unknown_key_or_a_bad_value_is_an_error_that_names_its_place(tmp_path, text, place):
    with pytest.raises(ConfigError, match=f"Configuration {place}: "):
        read_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("data", "build", "word"),
    [
        ({"targets": {"x": {"min_count": 0}}}, "build_targets", "x counts from 0"),
        ({"targets": {"x": {"horizon_days": 0}}}, "build_targets", "horizon"),
        ({"targets": {"x": {"sectors": []}}}, "build_targets", "sectors"),
        ({"targets": {"x": {"sectors": ["dental"]}}}, "build_targets", "dental"),
        ({"targets": {"x": {"admission_types": ["urgent"]}}}, "build_targets", "urgent"),
        ({"persons": {"fit": 0.9}}, "build_person_split", "sum to 1"),
        ({"persons": {"fit": 0.7, "stop": 0.0, "test": 0.1}}, "build_person_split", "positive"),
        ({"lags": {"prescriptions": 1.0}}, "build_lags", "prescriptions"),
        ({"lags": {"admissions": -1.0}}, "build_lags", "negative"),
        ({"features": {"exclude": ["shoe_size"]}}, "build_features", "shoe_size"),
    ],
)
def test_what_breaks_a_rule_is_an_error(data, build, word):
    with pytest.raises(ConfigError, match=word):
        getattr(parse_config(data), build)()


def use(config):
    """Ask a configuration for all that a training asks first."""
    config.check()
    config.build_time_split(DATA_END)
    config.build_moments(DATA_END)


HUGE = 10**30
ABSURD = [
    *("seed = -1", f"seed = {HUGE}", "seed = nan", "seed = inf"),
    *("flag_share = nan", "flag_share = inf", "flag_share = 1e999"),
    *(f"[persons]\n{role} = {value}" for role in ("fit", "test") for value in ("nan", "inf", "-inf")),
    *(f"[trees]\n{name} = {value}" for name in ("rounds", "patience") for value in (HUGE, "nan", "inf")),
    *(f"[trees.parameters]\nlearning_rate = {value}" for value in ("nan", "inf", HUGE, "{}", "[nan]")),
    *(f"[times]\ntrain_moments = {value}" for value in (HUGE, 10**6, "inf")),
    *(f"[times]\ntrain_spacing_days = {value}" for value in (HUGE, 10**9)),
    *(f"[targets.x]\nhorizon_days = {value}" for value in (HUGE, 10**9, "nan", -(10**9))),
    *(f"[targets.x]\nmin_count = {value}" for value in (HUGE, 2**31)),
    *(f"[cohort]\nminimum_age_years = {value}" for value in (HUGE, 10**6)),
    *(f"[cohort]\nminimum_residence_days = {value}" for value in (HUGE, 10**9)),
    *(f"[lags]\nadmissions = {value}" for value in ("nan", "inf", "1e300", HUGE)),
    *('[times]\ntest = ["0001-01-01"]', "[times]\ntrain_spacing_days = 36525\ntrain_moments = 1000"),
    *('validation = "folds"', "validation = true", 'tables = ["weather"]', 'tables = ["admissions"]'),
    *("x = " + "[" * 5_000, "seed = " + "9" * 5_000),
]


@pytest.mark.parametrize("text", ABSURD, ids=lambda text: text[:60])
def test_an_absurd_number_is_an_error_of_ours_before_work_starts(tmp_path, text):
    with pytest.raises((ConfigError, SourceError)) as refused:
        use(read_config(write(tmp_path, text)))
    assert len(str(refused.value)) < 6_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=3,
    ),
    st.sampled_from(sorted(list_keys(TrainConfig().model_dump()) - {"features.own"})),
)
def test_whatever_stands_for_a_setting_is_read_or_refused_by_us(value, place):
    data: dict = {}
    *tables, last = place.split(".")
    inner = data
    for name in tables:
        inner = inner.setdefault(name, {})
    inner[last] = value
    with suppress(ConfigError):
        use(parse_config(data))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null/x", "\0", "x" * 5_000])
def test_a_path_that_is_no_file_cannot_be_read(path):
    with pytest.raises(ConfigError if path == "\0" else SourceError):
        read_config(path)
    with pytest.raises(ConfigError if path == "\0" else SourceError):
        parse_config({"features": {"own": path}})


def test_tables_are_kept_in_the_order_of_the_schema_and_leave_features_of_others_out():
    config = parse_config({"tables": ["primary_care", "admissions", "persons"]})
    assert config.tables == ("persons", "admissions", "primary_care")
    needed = {table for feature in config.build_features() for table in feature.definition.tables}
    assert needed == set(config.tables)
    assert config.choose_tables(None) is config
    assert config.choose_tables(["persons", "admissions"]).tables == ("persons", "admissions")


def test_a_configuration_has_at_least_one_target(region):
    with pytest.raises(ConfigError, match="target"):
        sr.train(region, {"targets": {}})


def test_what_is_not_toml_is_an_error_that_names_file_and_line(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.toml is not TOML .*line 2"):
        read_config(write(tmp_path, "seed = 7\nthis is not TOML"))


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"nothing\.toml cannot be read"):
        read_config(tmp_path / "nothing.toml")


def test_a_folder_and_a_file_of_bytes_cannot_be_read(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"seed = 7 # \xff\xfe")
    for path in (tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(SourceError, match="cannot be read"):
            read_config(path)


def test_a_slip_is_told_before_any_work_starts(region):
    steps = []
    with pytest.raises(ConfigError):
        sr.train(region, {"persons": {"fit": 0.9}}, progress=lambda *step: steps.append(step))
    assert not [step for step in steps if step[1]]


# --- Index times


def test_index_times_are_placed_back_from_the_data_end_a_horizon_apart():
    split = TrainConfig().build_time_split(DATA_END)
    assert split.test == (datetime(2025, 1, 1),)
    # 365 days back over the leap year 2024.
    assert split.calibrate == (datetime(2024, 1, 2),)
    assert split.train == (
        datetime(2022, 1, 3),
        datetime(2022, 4, 4),
        datetime(2022, 7, 4),
        datetime(2022, 10, 3),
        datetime(2023, 1, 2),
    )


def test_index_times_are_placed_at_midnight():
    assert TrainConfig().build_time_split(DATA_END + timedelta(hours=23)) == TrainConfig().build_time_split(
        DATA_END
    )


def test_the_number_of_training_moments_and_their_spacing_can_be_told():
    config = parse_config({"times": {"train_moments": 2, "train_spacing_days": 30}})
    assert config.build_time_split(DATA_END).train == (datetime(2022, 12, 3), datetime(2023, 1, 2))


def test_the_longest_horizon_sets_the_parts_apart():
    targets = {"soon": {"horizon_days": 30}, "late": {"horizon_days": 100}}
    split = parse_config({"targets": targets}).build_time_split(DATA_END)
    assert split.horizon.days == 100
    assert split.test == (datetime(2025, 9, 23),)
    assert split.calibrate == (datetime(2025, 6, 15),)


def test_index_times_that_are_given_are_used_in_order():
    times = {
        "train": ["2022-06-01", "2021-06-01"],
        "calibrate": [datetime(2023, 6, 1)],
        "test": ["2024-06-01T12:00"],
    }
    split = parse_config({"times": times}).build_time_split(DATA_END)
    assert split.train == (datetime(2021, 6, 1), datetime(2022, 6, 1))
    assert split.calibrate == (datetime(2023, 6, 1),)
    assert split.test == (datetime(2024, 6, 1, 12),)


def test_index_times_in_a_file_may_be_text_dates_or_moments(tmp_path):
    text = '[times]\ntrain = ["2021-06-01"]\ncalibrate = [2022-06-01]\ntest = [2023-06-01T00:00:00]\n'
    split = read_config(write(tmp_path, text)).build_time_split(DATA_END)
    assert [split.train, split.calibrate, split.test] == [
        (datetime(year, 6, 1),) for year in (2021, 2022, 2023)
    ]


def test_an_index_time_with_a_zone_is_read_as_local_time():
    split = parse_config({"times": {"test": ["2024-05-31T23:00:00+00:00"]}}).build_time_split(DATA_END)
    assert split.test == (datetime(2024, 6, 1, 1),)


def test_parts_that_are_not_given_are_placed_before_those_that_are():
    split = parse_config({"times": {"test": ["2024-06-01"]}}).build_time_split(DATA_END)
    assert split.calibrate == (datetime(2023, 6, 2),)
    assert split.train[-1] == datetime(2022, 6, 2)


@pytest.mark.parametrize(
    ("times", "word"),
    [
        ({"train": ["2023-01-02"], "calibrate": ["2024-01-01"]}, "less than the horizon"),
        ({"test": ["2024-01-01"], "calibrate": ["2024-06-01"]}, "less than the horizon"),
        ({"test": ["soon"]}, "not a moment"),
    ],
)
def test_index_times_that_cannot_be_used_are_an_error(times, word):
    with pytest.raises(ConfigError, match=word):
        parse_config({"times": times}).build_time_split(DATA_END)


def test_an_index_time_with_a_zone_is_the_local_one():
    split = parse_config({"times": {"test": ["2024-05-31T22:00:00Z"]}}).build_time_split(DATA_END)
    assert split.test == (datetime(2024, 6, 1),)


# --- Features


def test_features_can_be_left_out_by_their_id_with_all_their_windows():
    config = parse_config({"features": {"exclude": ["age", "bed_days"]}})
    kept = [feature.name for feature in config.build_features()]
    left_out = [feature.name for feature in load_catalogue() if feature.name not in kept]
    assert left_out == [
        "bed_days_30d",
        "bed_days_90d",
        "bed_days_180d",
        "bed_days_365d",
        "bed_days_730d",
        "age",
    ]
