"""Messages: the page of all errors, warnings and exit codes, made from what the code says of itself."""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from somv_risk import errors
from somv_risk.cli._console import say
from somv_risk.cli._exit_codes import ALL_CODES, find_exit_code
from somv_risk.cli._output import give
from somv_risk.errors import SomvRiskError, SomvRiskWarning, SourceError

COMMAND: Final = "somv-risk messages --out docs/messages.md"
_OPENING: Final = f"""# Errors, warnings and exit codes

Made by `{COMMAND}` from the code; a test holds it to that.

An error ends the call, and no result stands. A warning lets the result stand, and somebody must know of it:

- In Python it is a warning of the class named here, once for a call, at the line that called the library.
- The command line prints it as a note on standard error.
- A run over a store writes it into `run.log` (event `warning`) and `manifest.json` (`warnings`), `ingest`
  into the manifest of the store; evaluation and monitoring show it on their pages, with the facts of the run.
- What concerns one person stands beside the score of that person, in the column `warnings`.

None of them quotes a person's values. What no code is for ends with 1.
"""


def messages(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the page (Markdown).")] = None,
) -> None:
    """List all errors, warnings and exit codes, or write their page."""
    page = render_messages()
    give(exit_codes={code.number: code.words for code in ALL_CODES})
    give(errors={kind.__name__: find_exit_code(kind) for kind in _list(SomvRiskError)})
    give(warnings=[kind.__name__ for kind in _list(SomvRiskWarning)])
    if out is None:
        say(page)
        return
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{out} cannot be written ({error.strerror}). Choose another file.") from None
    say(f"Page: {out}")


def render_messages() -> str:
    """Render the page of all errors, warnings and exit codes."""
    codes = [(str(code.number), code.words) for code in ALL_CODES]
    raised = [(f"`{kind.__name__}`", str(find_exit_code(kind)), _say(kind)) for kind in _list(SomvRiskError)]
    warned = [(f"`{kind.__name__}`", _say(kind)) for kind in _list(SomvRiskWarning)]
    return "\n".join(
        [
            _OPENING,
            "## Exit codes\n",
            *_tabulate(("code", "what it says"), codes),
            "\n## Errors\n",
            *_tabulate(("error", "exit code", "what it says"), raised),
            "\n## Warnings\n",
            *_tabulate(("warning", "what it says"), warned),
            "",
        ]
    )


def _list(base: type) -> list[type]:
    """List the kinds of errors or warnings in the order of the source."""
    found = vars(errors).values()
    return [kind for kind in found if inspect.isclass(kind) and issubclass(kind, base)]


def _say(kind: type) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _tabulate(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
