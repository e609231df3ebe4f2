"""The files of a model: the old one or the new one loads at every moment, and no name leads elsewhere."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest

import somv_risk as sr
from somv_risk.errors import ConfigError, ModelError
from somv_risk.model.files import list_files, read_model, write_model
from somv_risk.model.model import compute_hash, compute_model_hash
from somv_risk.registers.histories import Histories

SHIPPED = Path(__file__).parents[1] / "models" / "simulated"


def describe(name, *targets):
    """What two models would write that differ in everything, as far as the files are concerned."""
    return {"model_version": 2, "heads": dict.fromkeys(targets, name)}, {t: f"{name} {t}" for t in targets}


OLD, NEW = describe("old", "a", "b"), describe("new", "b", "c")


def write(folder, model):
    write_model(folder, *model, card=model[1].get("b", ""))


def read(folder):
    stored = read_model(folder)
    del stored.data["files"]
    return stored.data, stored.trees


def list_names(folder):
    return {file.name.partition("-")[0] for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "model", OLD)
    return tmp_path / "model"


# --- At every moment the old one or the new one


def test_a_model_replaces_another_and_leaves_nothing_of_it(folder):
    write(folder, NEW)
    assert read(folder) == NEW
    assert list_names(folder) == {"CARD.md", "model.json", "b", "c"}


class Stopped(BaseException):
    """The process ends here."""


STEPS = 24
CALLS = [(Path, "open"), (Path, "replace"), (Path, "unlink"), (os, "fsync")]


@pytest.mark.parametrize("begin", [OLD, None])
@pytest.mark.parametrize("last_step", range(STEPS))
def test_whoever_is_stopped_at_any_step_leaves_a_model_that_loads(tmp_path, monkeypatch, last_step, begin):
    """Files are opened, synced, renamed and removed; nothing that would be cleaned up afterwards is."""
    place = tmp_path / "model"
    if begin:
        write(place, begin)
    steps = iter(range(last_step))

    def count(call):
        def counted(*arguments, **options):
            if next(steps, None) is None:
                raise Stopped
            return call(*arguments, **options)

        return counted

    with monkeypatch.context() as patch, suppress(Stopped):
        for owner, name in CALLS:
            patch.setattr(owner, name, count(getattr(owner, name)))
        write(place, NEW)
    if begin or (place / "model.json").exists():
        assert read(place) in (begin, NEW)
    write(place, NEW)
    assert read(place) == NEW
    assert list_names(place) == {"CARD.md", "model.json", "b", "c"}


def test_the_steps_tried_are_all_there_are(folder, monkeypatch):
    done = []
    for owner, name in CALLS:
        call = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, call=call, **o: (done.append(call), call(*a, **o))[1])
    write(folder, NEW)
    assert 10 < len(done) <= STEPS


SAVING = """
    import sys
    from pathlib import Path
    from somv_risk.model.files import write_model
    folder = Path(sys.argv[1])
    while True:
        for name in ("old", "new"):
            trees = {target: f"{name} {target} " + "x" * 300_000 for target in ("a", "b")}
            write_model(folder, {"model_version": 2, "heads": dict.fromkeys(trees, name)}, trees, name)
            print(name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("wait_ms", [0, 3, 7, 13])
def test_a_killed_process_leaves_a_model_that_loads(tmp_path, number, wait_ms):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SAVING), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:  # noqa: S603 - this interpreter
        saving.stdout.readline()
        time.sleep(wait_ms / 1000)
        saving.send_signal(number)
    data, trees = read(tmp_path)
    name = data["heads"]["a"]
    assert {target: text.rstrip("x") for target, text in trees.items()} == {
        target: f"{name} {target} " for target in ("a", "b")
    }


def test_a_reader_finds_a_model_while_others_are_saved(tmp_path):
    write(tmp_path, OLD)
    stop = threading.Event()

    def save():
        while not stop.is_set():
            write(tmp_path, NEW)
            write(tmp_path, OLD)

    savers = [threading.Thread(target=save) for _ in range(2)]
    for one in savers:
        one.start()
    try:
        found = []
        while len(found) < 300 or (len(found) < 100_000 and not (OLD in found and NEW in found)):
            found.append(read(tmp_path))
    finally:
        stop.set()
        for one in savers:
            one.join()
    assert all(one in (OLD, NEW) for one in found)
    assert OLD in found
    assert NEW in found


def test_a_disk_without_room_leaves_the_old_model(folder):
    """The limit of a file's size is the nearest to a full disk that needs no disk of its own."""
    large = describe("new", "b")
    large[1]["b"] *= 10_000
    code = """
        import json, resource, signal, sys
        from pathlib import Path
        from somv_risk.errors import ModelError
        from somv_risk.model.files import write_model
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
        try:
            write_model(Path(sys.argv[1]), *json.loads(sys.stdin.read()), "card")
        except ModelError as error:
            print(error)
    """
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(folder)],
        input=json.dumps(large),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be saved" in done.stdout
    assert "what was there stays" in done.stdout
    assert read(folder) == OLD
    assert list_names(folder) == {"CARD.md", "model.json", "a", "b"}


def test_what_lies_there_of_others_stays(folder):
    for name in ("notes.txt", "a-notes.txt", "other.json", "README.md"):
        (folder / name).write_text("mine")
    write(folder, NEW)
    assert all((folder / name).read_text() == "mine" for name in ("notes.txt", "a-notes.txt", "other.json"))


def test_a_folder_of_an_earlier_version_loads_and_is_replaced(folder):
    """Its files were called by the targets alone, and no description named them."""
    for target, text in OLD[1].items():
        (folder / f"{target}.txt").write_text(text)
    (folder / "model.json").write_text(json.dumps(OLD[0]))
    assert list_files(OLD[0]) == {"a": "a.txt", "b": "b.txt"}
    assert read_model(folder).trees == OLD[1]
    write(folder, NEW)
    assert list_names(folder) == {"CARD.md", "model.json", "b", "c"}


# --- Names


NO_NAMES = [
    "",
    "A",
    "../../EVIL",
    "a/b",
    "a.b",
    "a-b",
    "1a",
    "_a",
    "å",
    "a b",
    "a\n",
    "a" * 64,
    "con:",
    "a\0",
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_target_whose_name_is_no_word_is_refused_before_work_starts(region, name):
    steps = []
    with pytest.raises(ConfigError, match="name of a target"):
        sr.train(region, {"targets": {name: {}}}, progress=lambda *step: steps.append(step))
    assert not steps


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_description_whose_targets_are_no_words_is_refused(folder, name):
    data = json.loads((folder / "model.json").read_text())
    data["heads"], data["files"] = {name: "x"}, {name: f"{name}.txt"}
    (folder / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="names a file of trees"):
        read_model(folder)
    del data["files"]
    (folder / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="names a file of trees"):
        read_model(folder)


FORGED = [
    "../a.txt",
    "/etc/passwd",
    "b.txt",
    "a",
    "a-xyz.txt",
    "a-0123456789abcdef.txt/..",
    ".a.part",
    1,
    None,
]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_description_reads_and_removes_nothing_elsewhere(folder, name):
    other = folder.parent / "a.txt"
    other.write_text("of somebody else")
    data = json.loads((folder / "model.json").read_text())
    data["files"]["a"] = name
    (folder / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="names a file of trees"):
        sr.load_model(folder)
    write(folder, NEW)
    assert other.read_text() == "of somebody else"


@pytest.mark.parametrize("heads", [{"../a": {}}, ["../a"], "../a", None, 1])
def test_a_forged_model_that_is_replaced_has_nothing_removed_elsewhere(folder, heads):
    other = folder.parent / "a.txt"
    other.write_text("of somebody else")
    (folder / "model.json").write_text(json.dumps({"model_version": 2, "heads": heads}))
    write(folder, NEW)
    assert other.read_text() == "of somebody else"
    assert read(folder) == NEW


def test_the_hash_is_the_same_whatever_the_files_are_called():
    data, trees = OLD
    assert compute_hash(data, trees) == compute_hash({**data, "files": {"a": "x"}}, trees)


def test_the_shipped_model_is_known_by_the_hash_it_was_saved_with():
    said = json.loads((SHIPPED / "model.json").read_text())["hash"]
    assert compute_model_hash(sr.load_model(SHIPPED)) == said


# --- Copied


WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - made here
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_model_is_the_same_to_the_bit(model, region, way):
    twin = WAYS[way](model)
    assert twin == model
    assert compute_model_hash(twin) == compute_model_hash(model)
    options = {"index_time": region.data_end, "person_ids": ["P0000001", "P0000003"], "explain": "all"}
    assert sr.score(twin, region, **options).equals(sr.score(model, region, **options))
    rows = sr.make_cohort(region, [region.data_end]).rows.head(500).collect()
    matrix = model.encoding.to_matrix(sr.build_features(region, rows, model.features).collect())
    for name, head in model.heads.items():
        assert np.array_equal(twin.heads[name].predict_risk(matrix), head.predict_risk(matrix))


@pytest.mark.parametrize("way", WAYS)
def test_what_a_copy_says_of_itself_can_be_changed_alone(model, way):
    twin = WAYS[way](model)
    twin.facts["metrics"].clear()
    assert model.facts["metrics"]
    assert WAYS[way](model) == model


def test_a_model_goes_to_another_process(model, tmp_path):
    (tmp_path / "pickled").write_bytes(pickle.dumps(model))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).main.threshold)"
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "pickled")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == model.main.threshold


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_histories_and_parts_of_a_model_can_be_copied(model, way):
    persons = pl.LazyFrame({"person_id": ["ada"], "birth_date": ["1980-05-01"], "sex": ["female"]})
    tables = {"persons": persons, "admissions": sr.simulate(persons=10, seed=1).admissions.head(0)}
    held = WAYS[way](Histories(MappingProxyType(tables)))
    assert held.persons.collect().equals(persons.collect())
    assert isinstance(held.quarantine.rows, MappingProxyType)
    assert WAYS[way](model.encoding) == model.encoding
    assert WAYS[way](model.main.calibration) == model.main.calibration
    assert WAYS[way](model.lags) == model.lags


# --- Loaded again


def test_a_model_loaded_again_is_not_built_again(saved):
    assert sr.load_model(saved).main is sr.load_model(str(saved)).main


def test_what_a_loaded_model_says_can_be_changed_without_harm_to_the_next(saved):
    first = sr.load_model(saved)
    metrics = list(first.facts["metrics"])
    first.facts["metrics"].clear()
    assert sr.load_model(saved).facts["metrics"] == metrics != []


def test_a_changed_folder_is_loaded_anew(model, tmp_path):
    model.save(tmp_path)
    assert sr.load_model(tmp_path) == model
    other = replace(model, heads={"frequent_admission": replace(model.main, threshold=0.25)})
    other.save(tmp_path)
    assert sr.load_model(tmp_path).main.threshold == 0.25
    model.save(tmp_path)
    assert sr.load_model(tmp_path) == model
    (trees,) = tmp_path.glob("frequent_admission-*.txt")
    trees.write_text(model.main.trees.replace("leaf_value=", "leaf_value=1", 1))
    with pytest.raises(ModelError, match="was altered"):
        sr.load_model(tmp_path)


def test_many_threads_load_a_model_and_few_are_kept(model, tmp_path):
    folders = [tmp_path / str(number) for number in range(6)]
    for number, place in enumerate(folders):
        replace(model, heads={"frequent_admission": replace(model.main, threshold=number / 10)}).save(place)
    found: dict[int, set[float]] = {number: set() for number in range(6)}

    def load():
        for number, place in enumerate(folders):
            found[number].add(sr.load_model(place).main.threshold)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == {number: {number / 10} for number in range(6)}
    from somv_risk.model.model import MODELS_KEPT, _build  # noqa: PLC0415 - what is kept is nobody else's

    assert _build.cache_info().currsize <= MODELS_KEPT
