"""The log of a run: a line of JSON for each thing done, with counts and times and never a person."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from somv_risk.batch._files import explain_trouble
from somv_risk.files.private_files import open_private

LOG_FILE: Final = "run.log"


@dataclass(frozen=True, slots=True)
class Log:
    """A file to which lines are added."""

    path: Path

    def tell(self, event: str, **facts: str | float | None) -> None:
        """Add a line: the time, what was done, and facts about it that are no one person's.

        Raises
        ------
        SourceError
            If the line cannot be written.
        """
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        line = json.dumps({"time": now, "event": event, **facts}, ensure_ascii=False)
        with (
            explain_trouble(self.path),
            open(self.path, "a", encoding="utf-8", opener=open_private) as file,
        ):
            file.write(line + "\n")
