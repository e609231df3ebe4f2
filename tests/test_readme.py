"""The pages keep their word: code runs, commands parse, links lead somewhere, decisions name their test."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from somv_risk.cli import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *DECISIONS]

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
COMMAND_INLINE = re.compile(r"`(?:time )?(?:OMP_NUM_THREADS=\d+ )?(?P<line>somv-risk [^`]+)`")
MAKE_TARGET = re.compile(r"`make (?P<target>[a-z]+)`|^make (?P<line>[a-z]+)", re.MULTILINE)
CONFIRMED_BY = re.compile(r"`(tests/\w+\.py)`")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def list_blocks(language: str, pages: list[Path]) -> list:
    """Each block of a language with the line it starts on."""
    return [
        pytest.param(
            match["text"], id=f"{name_of(page)}:{page.read_text('utf-8')[: match.start()].count(chr(10)) + 1}"
        )
        for page in pages
        for match in BLOCK.finditer(page.read_text("utf-8"))
        if match["language"] == language
    ]


def list_commands() -> list[str]:
    """Every command line of the README, in blocks and in the text."""
    text = README.read_text("utf-8")
    shown = [
        block["text"].replace("\\\n", " ") for block in BLOCK.finditer(text) if block["language"] == "bash"
    ]
    lines = [line for block in shown for line in block.splitlines()]
    commands = [line.partition("#")[0].strip() for line in lines if line.startswith("somv-risk ")]
    return list(dict.fromkeys([*commands, *COMMAND_INLINE.findall(text)]))


def list_links() -> list:
    return [
        pytest.param(page, target, id=f"{name_of(page)} -> {target}")
        for page in PAGES
        for target in dict.fromkeys(LINK.findall(page.read_text("utf-8")))
        if "://" not in target and not target.startswith(("#", "mailto:"))
    ]


@pytest.mark.parametrize("code", list_blocks("python", [README, *sorted((ROOT / "docs").glob("*.md"))]))
def test_a_block_of_code_runs_by_itself(code, tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "block", "exec"), {"__name__": "block"})  # noqa: S102 - our own pages


def test_the_readme_prints_a_worklist_and_a_quarantine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quarantine = next(block for block in list_blocks("python", [README]) if "from_frames" in block.values[0])
    exec(compile(quarantine.values[0], "block", "exec"), {"__name__": "block"})  # noqa: S102 - our own pages
    assert capsys.readouterr().out.split() == ["1", "admissions:", "ends_after_it_starts"]


@pytest.mark.parametrize("line", list_commands())
def test_a_command_of_the_readme_exists_with_its_options(line):
    group = typer.main.get_command(app)
    command, *words = shlex.split(line)[1:]
    assert command in group.commands
    group.commands[command].make_context(command, words)


def test_the_readme_names_every_verb_of_the_command_line():
    named = {shlex.split(line)[1] for line in list_commands()}
    assert named >= set(typer.main.get_command(app).commands) - {"simulate"}


def test_every_make_target_named_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {one or other for one, other in MAKE_TARGET.findall(README.read_text("utf-8"))}
    assert named >= {"demo", "test"}
    assert named <= targets


@pytest.mark.parametrize(("page", "target"), list_links())
def test_a_link_leads_to_a_file(page, target):
    assert (page.parent / target.partition("#")[0]).exists()


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_is_short_and_ends_with_the_test_that_confirms_it(page):
    lines = page.read_text("utf-8").rstrip().splitlines()
    last_paragraph = "\n".join(lines).rsplit("\n\n", 1)[1]
    confirmed_by = CONFIRMED_BY.findall(last_paragraph)
    assert lines[0].startswith(f"# {page.name[:4]} ")
    assert len(lines) <= 40
    assert last_paragraph.startswith("Confirmed by ")
    assert confirmed_by
    assert all((ROOT / test).is_file() for test in confirmed_by)
