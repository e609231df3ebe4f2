"""`python -m benchmarks.peers STORE`: what each peer answers, and what the same features cost."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.asked import IN_REACH, WHOLE
from benchmarks.peers.asking import ask_peer
from benchmarks.peers.comparison import compare_with_peer
from benchmarks.peers.environments import PEERS

INDEX_TIME = "2026-01-01"


def tell_verdicts(name: str, folder: Path) -> None:
    for careful in (False, True):
        found = ask_peer(name, folder, careful=careful)
        print(f"{name}, {'used with care' if careful else 'as documented'}: {found['verdicts']}")
        for row in found["failed"]:
            print("  {case} ({verdict}): expected {expected}; got {answered}".format_map(row))


def tell_costs(reports: dict[str, Any]) -> None:
    print(*reports.pop("checked")["sentences"], sep="\n")
    for name, report in reports.items():
        print(f"  {name}: { {key: round(value, 2) for key, value in report.items()} }")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("store", type=Path, nargs="?", help="features are compared only if there is one")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--persons", type=int, help="of each bucket; all by default")
    parser.add_argument("--whole", action="store_true", help="give the peers whole histories as well")
    asked = parser.parse_args()
    given = (IN_REACH, WHOLE) if asked.whole else (IN_REACH,)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.peers:
            tell_verdicts(name, Path(folder))
            if asked.store:
                tell_costs(
                    compare_with_peer(name, asked.store, INDEX_TIME, Path(folder), asked.persons, given)
                )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
