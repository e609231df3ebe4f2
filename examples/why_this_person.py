"""Why this person: every theme that moved Thomas's score, and the events behind the first of them.

python examples/why_this_person.py --language da
python examples/why_this_person.py --model first/model --events 10
"""

import argparse
from datetime import datetime
from pathlib import Path

import polars as pl

import somv_risk as sr
from somv_risk.languages import LANGUAGES
from somv_risk.scoring.reasons import DateWords, load_texts
from somv_risk.testing.people import thomas

ONE_TARGET = {"targets": {"frequent_admission": {}}}
INDEX_TIME = datetime(2026, 1, 1)


def print_events(events: pl.DataFrame, count: int, dates: DateWords) -> None:
    for event in events.head(count).iter_rows(named=True):
        until = dates.format_moment(event["ended_at"]) if event["ended_at"] else ""
        print(f"           {event['events']}: {dates.format_moment(event['started_at'])} - {until}")
    if events.height > count:
        print(f"           and {events.height - count} more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model; without it a small one is trained")
    parser.add_argument("--persons", type=int, default=20_000, help="made-up persons to train on")
    parser.add_argument("--events", type=int, default=3, help="events shown per finding")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    asked = parser.parse_args()

    if asked.model:
        model = sr.load_model(asked.model)
    else:
        model = sr.train(sr.simulate(persons=asked.persons), config=ONE_TARGET)

    histories = sr.from_frames(**thomas(INDEX_TIME), data_end=INDEX_TIME)
    why = sr.explain_person(model, histories, "thomas", INDEX_TIME, language=asked.language)

    print(f"Thomas, a made-up citizen: {why.risk:.0%}, higher than {why.percentile:.1f} % of the region.")
    for reason in why.reasons:
        print(f"  {reason.contribution:+.2f}  {reason.text}")
        for name in reason.told:
            print_events(why.evidence[name], asked.events, load_texts(asked.language).dates)

    total = why.base + why.contributions["contribution"].sum()
    print(f"Base value and all contributions: {total:.6f}. Score before calibration: {why.raw:.6f}.")


if __name__ == "__main__":
    main()
