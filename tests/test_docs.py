"""The reference: every public name stands in it once."""

import re
from pathlib import Path

import somv_risk as sr

PAGES = Path(__file__).parents[1] / "docs" / "api"


def list_named():
    return [
        name
        for page in sorted(PAGES.glob("*.md"))
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def test_every_public_name_stands_in_the_reference_once():
    named = list_named()
    assert len(named) == len(set(named))
    assert {f"somv_risk.{name}" for name in sr.__all__} <= set(named)


def test_the_pages_of_the_reference_are_all_in_the_menu():
    menu = (PAGES.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.name for page in PAGES.glob("*.md")]
    assert len(pages) > 5
    assert all(f"api/{page}" in menu for page in pages)
