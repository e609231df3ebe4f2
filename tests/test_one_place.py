"""One fact stands in one place: what was once written several times is written where it belongs, and once."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "somv_risk"

# What is written, the file that it belongs to, and how it would look elsewhere.
PLACES = [
    ("the order of a list", "scoring/score.py", r"sort\(_?RAW\b", "frame.sort(_RAW, 'person_id')"),
    (
        "progress",
        "calls/progress.py",
        r"^Progress\b.*=|def ignore_progress",
        "Progress = Callable[..., None]",
    ),
    ("the list of libraries", "calls/libraries.py", r"LIBRARIES\b.*=", "LIBRARIES: Final = ('polars',)"),
    ("the options of score", "scoring/options.py", r"class Options\b", "class Options(Part):"),
    ("from when to when an event lasted", "scoring/reasons/_events.py", r'\["since"\]', 'words["since"]'),
]
# The catalogue of features is read by the features themselves.
READS_TOML = {"toml.py", "features/_catalogue.py"}


def find_files(pattern):
    return {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize(("fact", "place", "pattern", "elsewhere"), PLACES, ids=[row[0] for row in PLACES])
def test_a_fact_is_written_where_it_belongs(fact, place, pattern, elsewhere):
    assert find_files(pattern) == {place}, fact
    assert re.search(pattern, elsewhere)


def test_toml_is_read_in_one_place():
    assert find_files(r"\btomllib\b") == READS_TOML
