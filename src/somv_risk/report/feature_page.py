"""The page of the features: every one of them, and what a feature of one's own may ask for, as Markdown."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from somv_risk.errors import SourceError
from somv_risk.features import (
    MEASURES,
    THEMES,
    VIEWS,
    Definition,
    Measure,
    View,
    count_version,
    list_anchors,
    list_event_views,
    list_features,
    list_measurable_events,
    list_measurable_values,
)
from somv_risk.registers.codes import CodeGroup, load_groups

INTRODUCTION: Final = """\
# Features

Written by `{command}`; changes by hand are lost.

{count} features of {definitions} definitions over {themes} themes. A feature is one number about a person at
an index moment. One row of a table below is its column, its name, its direction in the model and its place in
a reason.

**Time.** The index moment is 0, and a window of *d* days is `[index - d, index)`: what happens at the index
is not in it. Before anything is counted the tables are cut to the rows known before the index, and what is
learnt at the end of an event (the end itself, diagnosis, discharge) is hidden until that end was known. A
definition that could see the index or later cannot be constructed."""

HOW_TO_READ: Final = """\
## How to read the tables

- **Feature**: the columns, named by id and window in days.
- **Title**: Danish / English (the catalogue holds Norwegian and Swedish too); what a reason says where it has
  no sentence of its own.
- **What**: the measure, the kind of events, the flags that these must have ("with"), and what else limits
  them.
- **Source**: the tables without which the feature is null; in brackets those it reads if they are there.
- **Null**: what a null says besides an absent table; *never* stands for 0 or no where there are no events.
- **Risk**: the direction that the model must keep, because it is beyond dispute: *up* if more means a higher
  risk, *down* if more means a lower one. Elsewhere the model is free.
- **Version**: of the meaning, raised by one whenever the feature comes to count something else. A model that
  was trained with another version is refused by name of the feature, or scores with a warning where that is
  allowed ([decision 0030](decisions/0030-exact-values-and-definition-versions.md)).
- **Changeable**: *yes* where a team and the citizen can work with what is measured from now on, such as
  treatment, appointments, follow-up, housing or benefits; *no* where it is given: who one is, diagnoses, how
  hospital was used, pensions and leave. It never says that the risk would fall
  ([decision 0016](decisions/0016-order-and-mark-of-reasons.md))."""

OWN: Final = """\
## A feature of one's own

A feature of one's own is written like those of the catalogue, in a TOML file or in Python
(`somv_risk.features.Definition`); [examples/own_features.toml](../examples/own_features.toml) holds some. The
same rules hold: a window of no days, an unknown word, or an entry that the measure would not look at is
refused. `[features] own = "my_features.toml"` in a training configuration adds them to the model, which keeps
the definitions and needs the file no more.

```toml
[neurology_contacts]                       # the id: lower-case letters, digits and underscores
theme = "hospital_use"                     # one of the themes above
title = { da = "kontakter med neurologisk afdeling", en = "contacts with neurology" }
unit = "contacts"
measure = "count"                          # one of the measures below
events = "contacts"                        # one of the kinds of events below
match = { department = ["Neurologi*"] }    # texts: equal, or beginning so where they end in *
windows = [90, 365]                        # days looked back
monotone = 1                               # only where the direction is beyond dispute; else leave it out
changeable = false                         # true if a team and the citizen can work with it; else false
```

Titles in `da` and `en` are needed; `nb` and `sv` may stand beside them, and fall back on `en`.

Further keys: `where` (flags that the events must have), `of` (flags of the events that a share or a last one
is taken of; `where` and `match` then say which of them), `value` (what is measured), `within_days` (the span
of `most_within`), `version` (a whole number from 1 for changes of the row, which travels with the model),
`anchor` (what of an event lies in the window: its `"start"`, which is usual, its `"end"`,
or any `"part"`). What flags and values mean is written in the decisions
[0003](decisions/0003-what-the-features-count.md) and
[0011](decisions/0011-what-the-deeper-features-count.md), and the words in the [glossary](glossary.md). Days
are summed only of events that were joined where they overlap, each benefit and service for itself.

**Gaps and steps.** `gap` is the time from the end of the stay (admission) before to the start of this one,
`step` that from the start of the contact before, among those with a unit. Of the event before only that end
(that start) has to lie in the window, not all of it; and `where` is asked of the later event alone."""

GROUPS: Final = """\
### Diagnosis groups

The flags of `diagnoses` and the values of `conditions`: a code belongs to a group if it begins with one of
these, written without dots and without the Danish `D`; a delivery may have both. ICD-11 is not read.
Groups overlap where one code matters in two ways."""

_HEADER: Final = (
    *("feature", "title", "what", "source", "windows, days", "unit", "null", "risk", "changeable"),
    "version",
)
_GROUP_HEADER: Final = ("group", "title", "codes that begin with", "source", "status")
_MEASURE_HEADER: Final = ("measure", "what it is", "events", "takes", "anchor", "null")
_DIRECTIONS: Final[Mapping[int, str]] = MappingProxyType({1: "up", -1: "down", 0: ""})
_ANCHORS: Final[Mapping[str, str]] = MappingProxyType(
    {"start": "", "end": ", by their end", "part": ", any part in the window"}
)
# Verbs with which a docstring begins, and a table need not.
_VERB: Final = re.compile(r"^(Build|Compute|Return) (the )?")


def write_feature_page(file: Path, page: str) -> None:
    """Write the page.

    Raises
    ------
    SourceError
        If the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"Page {file} cannot be written ({error.strerror}). Choose another.") from None


def render_feature_page(
    catalogue: Sequence[Definition],
    own: Sequence[Definition] = (),
    *,
    command: str = "somv-risk features --out docs/features.md",
) -> str:
    """Render the page of a catalogue and of features of one's own, which are marked so.

    Parameters
    ----------
    command
        The command that writes this page.
    """
    definitions = (*catalogue, *own)
    used = [theme for theme in THEMES if any(definition.theme == theme for definition in definitions)]
    introduction = INTRODUCTION.format(
        command=command,
        count=len(list_features(definitions)),
        definitions=len(definitions),
        themes=len(used),
    )
    own_ids = {definition.id for definition in own}
    parts = [
        introduction,
        HOW_TO_READ,
        *(_render_theme(theme, definitions, own_ids) for theme in used),
        OWN,
        "### Measures",
        _render_table(_MEASURE_HEADER, map(_describe_measure, MEASURES)),
        "### Kinds of events",
        *map(_render_view, VIEWS),
        GROUPS,
        _render_table(_GROUP_HEADER, map(_describe_group, load_groups().values())),
    ]
    return "\n\n".join(parts) + "\n"


def _render_theme(theme: str, definitions: Iterable[Definition], own_ids: set[str]) -> str:
    rows = [_describe(d, is_own=d.id in own_ids) for d in definitions if d.theme == theme]
    heading = theme.replace("_", " ").capitalize()
    return f"## {heading}\n\n" + _render_table(_HEADER, rows)


def _describe(definition: Definition, *, is_own: bool) -> tuple[str, ...]:
    names = "<br>".join(_quote(feature.name) for feature in definition.features())
    return (
        f"{names} (own)" if is_own else names,
        f"{definition.title['da']} / {definition.title['en']}",
        describe_what(definition),
        _format_tables(definition.view),
        ", ".join(map(str, definition.windows)) or "none",
        definition.unit,
        _format_null(MEASURES[definition.measure]),
        _DIRECTIONS[definition.monotone],
        "yes" if definition.changeable else "no",
        str(count_version(definition)),
    )


def _describe_group(group: CodeGroup) -> tuple[str, ...]:
    title = f"{group.title['da']} / {group.title['en']}"
    return _quote(group.name), title, ", ".join(group.prefixes), group.source, group.status


def describe_what(definition: Definition) -> str:
    """Describe what a definition counts: the measure, the events, and what is asked of them.

    Examples
    --------
    >>> from somv_risk.features import load_definitions
    >>> by_id = {definition.id: definition for definition in load_definitions()}
    >>> describe_what(by_id["unfinished_share"])
    '`share` of `stays` with `ended`: those with `unfinished`, by their end'
    """
    measure = _quote(definition.measure)
    if definition.within_days:
        measure = f"{measure} {definition.within_days} days"
    value = f" {_quote(definition.value)}" if definition.value else ""
    base, wanted = _format_flags(definition.of), _format_wanted(definition)
    if MEASURES[definition.measure].needs_where:
        wanted = f"{base}: those{wanted}"
    return f"{measure}{value} of {_quote(definition.events)}{wanted}{_ANCHORS[definition.anchor]}"


def _format_flags(flags: Sequence[str]) -> str:
    return f" with {_quote_all(flags)}" if flags else ""


def _format_wanted(definition: Definition) -> str:
    matches = [
        f"{_quote(column)} is {' or '.join(map(_quote, texts))}" for column, texts in definition.match.items()
    ]
    return _format_flags(definition.where) + (f" whose {' and '.join(matches)}" if matches else "")


def _format_tables(view: View) -> str:
    also = f" ({_quote_all(view.also)})" if view.also else ""
    return _quote_all(view.tables) + also


def _format_null(measure: Measure) -> str:
    return measure.null_means if measure.when_none is None else "never"


def _describe_measure(name: str) -> tuple[str, ...]:
    measure, events = MEASURES[name], list_measurable_events(name)
    takes = {
        "windows": measure.has_window,
        "of": measure.needs_where,
        "where or match": measure.needs_where,
        _format_values(name): measure.needs_value,
        "within_days": measure.needs_within_days,
        "even windows": measure.has_halves,
    }
    needed = ", ".join(what for what, is_taken in takes.items() if is_taken)
    kinds = "any" if set(events) >= set(list_event_views()) else _quote_all(events)
    anchors = ", ".join(list_anchors(name)) if measure.has_window else ""
    return _quote(name), _format_docstring(measure.compute), kinds, needed, anchors, _format_null(measure)


def _format_values(measure: str) -> str:
    kinds = list_measurable_events(measure)
    values = [value for kind in kinds for value in list_measurable_values(measure, kind)]
    return f"value ({_quote_all(dict.fromkeys(values))})"


def _render_view(name: str) -> str:
    view = VIEWS[name]
    offers = {"flags": view.flags, "values": view.values, "texts to match": view.texts}
    listed = [f"- {what}: {_quote_all(words)}" for what, words in offers.items() if words]
    head = f"#### `{name}`\n\n{_format_docstring(view.build)} Source: {_format_tables(view)}."
    return "\n\n".join([head, *(["\n".join(listed)] if listed else [])])


def _format_docstring(function: object) -> str:
    """Format all paragraphs of a docstring as one line, without the verb it begins with."""
    words = " ".join((inspect.getdoc(function) or "").split())
    line = _VERB.sub("", words, count=1)
    return line[:1].upper() + line[1:]


def _render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_render_lines([header, ["---"] * len(header), *rows]))


def _render_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    # A bar in a text would begin a new cell.
    return (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _quote(word: str) -> str:
    return f"`{word}`"


def _quote_all(words: Iterable[str]) -> str:
    return ", ".join(map(_quote, words))
