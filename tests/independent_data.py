"""Where the independent data lie; a test that needs them is skipped, and says why, where they are not."""

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTERNAL = ROOT / os.environ.get("SOMV_EXTERNAL_DATA", "../shared/data")


def find_external(name: str) -> Path:
    folder = EXTERNAL / name
    if not folder.is_dir():
        pytest.skip(f"independent data are not there: set SOMV_EXTERNAL_DATA to the folder that holds {name}")
    return folder


def read_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV as text, read by nothing that is under test."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
