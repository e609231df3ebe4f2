"""The page of errors, warnings and exit codes is what the code says."""

import re
from pathlib import Path

import pytest

from somv_risk import errors
from somv_risk.cli import ALL_CODES, EXIT_CODES_HELP, find_exit_code

PAGE = Path(__file__).parents[1] / "docs" / "messages.md"


def test_every_error_and_warning_of_the_library_stands_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    source = Path(errors.__file__).read_text(encoding="utf-8")
    names = re.findall(r"^class (\w+)", source, re.MULTILINE)
    assert "SomvRiskError" in names
    for name in names:
        assert page.count(f"| `{name}` |") == 1


def test_no_two_codes_are_the_same_and_each_is_in_the_help():
    numbers = [code.number for code in ALL_CODES]
    assert len(set(numbers)) == len(numbers)
    for code in ALL_CODES:
        assert f"{code.number} {code.words}" in EXIT_CODES_HELP


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TooManySetAsideError, 12),
        (errors.InputError, 4),
        (errors.IndexTimeError, 24),
        (errors.LeakageError, 1),
        (type("OwnError", (errors.ModelError,), {}), 7),
        (KeyError, 1),
    ],
)
def test_an_error_without_a_code_of_its_own_has_that_of_its_kind(error, code):
    assert find_exit_code(error) == code


def test_the_page_is_current_and_written_by_one_command(run, tmp_path):
    assert run("messages", "--out", tmp_path / "messages.md").code == 0
    assert (tmp_path / "messages.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
