"""What has changed: the themes that moved Thomas's score between two moments, and the events behind them.

python examples/what_changed.py --language da
python examples/what_changed.py --model first/model --since 2025-06-01 --timeline thomas.svg
"""

import argparse
from datetime import datetime
from pathlib import Path

import somv_risk as sr
from somv_risk.report.shap_plots import draw_timeline
from somv_risk.scoring.change import explain_change
from somv_risk.testing.people import thomas

ONE_TARGET = {"targets": {"frequent_admission": {}}}
INDEX_TIME = datetime(2026, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model; without it a small one is trained")
    parser.add_argument("--persons", type=int, default=20_000, help="made-up persons to train on")
    parser.add_argument("--since", default="2025-01-01", help="the earlier moment")
    parser.add_argument("--reasons", type=int, default=5, help="themes told")
    parser.add_argument("--timeline", type=Path, help="draw his last two years into this file (SVG)")
    parser.add_argument("--language", choices=["da", "en"], default="en")
    asked = parser.parse_args()

    if asked.model:
        model = sr.load_model(asked.model)
    else:
        model = sr.train(sr.simulate(persons=asked.persons), config=ONE_TARGET)

    histories = sr.from_frames(**thomas(INDEX_TIME), data_end=INDEX_TIME)
    change = explain_change(
        *(model, histories, "thomas", asked.since, INDEX_TIME),
        language=asked.language,
        reasons=asked.reasons,
    )
    print(change)
    moved = change.raw_now - change.raw_then
    print(f"All themes: {change.themes['change'].sum():+.6f}. Score before calibration: {moved:+.6f}.")

    if asked.timeline:
        drawn = draw_timeline(model, histories, "thomas", INDEX_TIME, language=asked.language)
        asked.timeline.write_text(drawn, encoding="utf-8")
        print(f"Timeline: {asked.timeline}")


if __name__ == "__main__":
    main()
