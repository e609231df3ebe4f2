"""What a core installation must do: `make wheel` runs this with the built wheel and nothing of the extras."""

import json
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import somv_risk as sr
from somv_risk.calls.extras import EXTRA_OF
from somv_risk.errors import ConfigError
from somv_risk.files.packaged import MODELS

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = Path(sysconfig.get_path("scripts")) / "somv-risk"
PERSONS = 1_000
INDEX = "2026-01-01"


def main() -> None:
    check_what_is_installed()
    with TemporaryDirectory() as folder:
        check_the_library(Path(folder))
        check_the_command_line(Path(folder))
    sys.stdout.write("The core alone scores, explains and writes the page.\n")


def check_what_is_installed() -> None:
    found = [module for module in (*EXTRA_OF, "pandas") if find_spec(module)]
    assert not found, f"a core installation must not have {found}"
    assert PROJECT / "src" not in Path(sr.__file__).parents, "the wheel is to be tested, not the checkout"


def check_the_library(folder: Path) -> None:
    region = sr.simulate(persons=PERSONS, seed=3)
    for name in MODELS:
        assert sr.score(name, region, index_time=INDEX, capacity=10)["flagged"].sum() == 10
    model = sr.load_model("simulated")
    scores = sr.score(model, region, index_time=INDEX, capacity=10, language="en")
    person = sr.explain_person(model, region, scores["person_id"][0], INDEX, language="en")
    assert scores["reasons"][0][0]["text"] in str(person)
    report = sr.evaluate(model, region, index_times=["2025-01-01"], persons="all", draws=0)
    refusal = refuse(lambda: report.to_html(folder / "evaluation.html"))
    assert 'pip install "somv-risk[plots]"' in refusal, refusal
    refusal = refuse(lambda: sr.load_model("models:/somv-risk@champion"))
    assert 'pip install "somv-risk[tracking]"' in refusal, refusal


def refuse(call) -> str:
    try:
        call()
    except ConfigError as error:
        return str(error)
    raise AssertionError("an extra that is missing was not told of")


def check_the_command_line(folder: Path) -> None:
    assert "Exit codes" in run("--help", folder=folder)
    run("simulate", "--store", "store", "--persons", PERSONS, "--buckets", 2, folder=folder)
    scored = run(
        *("score", "--store", "store", "--model", "simulated", "--index-time", INDEX),
        *("--out", "results", "--capacity", 10, "--json"),
        folder=folder,
    )
    assert json.loads(scored)["result"]["flagged"] == 10
    page = (folder / "results" / "worklist.html").read_text(encoding="utf-8")
    assert "<svg" in page or "timeline" in page, "the page shows each person's timeline"
    assert run("check", "store", "--quiet", folder=folder) == ""
    assert "packaged" in run("models", "--json", folder=folder)


def run(*words: object, folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
