"""Wording: the words of the evaluation page in one language, and how it writes numbers and dates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from somv_risk.errors import ConfigError
from somv_risk.registers.codes import load_municipalities
from somv_risk.toml import load_packaged

ABSENT: Final = "\u2013"
MINUS: Final = "\u2212"
RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language."""

    code: str
    texts: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - a text, or a table of texts
        return self.texts[key]

    def name(self, kind: str, key: object) -> str:
        """Name a value of a column, such as the ranking `count_last_year`; a word without a name is shown.

        Examples
        --------
        >>> load_wording("en").name("ranking", "count_last_year"), load_wording("en").name("group", "x_y")
        ('count of last year', 'x y')
        """
        text = str(key).lower() if isinstance(key, bool) else str(key)
        return str(self.texts.get(kind, {}).get(text, text.replace("_", " ")))

    def name_group(self, grouping: str, group: object) -> str:
        """Name a group, by the name of its municipality where it is one."""
        places = load_municipalities() if grouping == "municipality" else {}
        return (
            places.get(str(group).removeprefix("0"))
            or self.texts["group_of"].get(f"{grouping}_{group}")
            or self.name("group", group)
        )

    def describe_group(self, grouping: str, group: object) -> str:
        """Name a group in a sentence, with what it is a group by unless its name says so."""
        name = self.name_group(grouping, group)
        is_clear = f"{grouping}_{group}" in self.texts["group_of"] or grouping == "sex"
        return name if is_clear else f"{name} ({self.name('grouping', grouping)})"

    def rule(self, rule: str) -> str:
        """Name a rule of the cohort, whose numbers stand in its name.

        Examples
        --------
        >>> load_wording("da").rule("at_least_18_years_old")
        'mindst 18 år'
        """
        numbers = re.findall(r"\d+", rule)
        return self.name("rule", re.sub(r"\d+", "N", rule)).replace("N", "{}").format(*numbers)

    def note(self, note: str) -> str:
        """Translate the sentences of a table's note for which a translation is known."""
        for sentence, translation in self.texts["notes_of"].items():
            note = note.replace(sentence, translation)
        return note

    def number(self, value: float, decimals: int = 0) -> str:
        """Write a number with the language's marks.

        Examples
        --------
        >>> load_wording("da").number(12631.3, 1), load_wording("en").number(0.5, 2)
        ('12.631,3', '0.50')
        """
        text = f"{abs(value):,.{decimals}f}"
        marks = str.maketrans({",": self.texts["thousands_mark"], ".": self.texts["decimal_mark"]})
        is_negative = value < 0 and any(digit in "123456789" for digit in text)
        return (MINUS if is_negative else "") + text.translate(marks)

    def tick(self, value: float) -> str:
        """Write a number of an axis with the decimals it needs."""
        decimals = len(f"{value:.6f}".rstrip("0").split(".")[1])
        return self.number(value, min(decimals, 4))

    def percent(self, share: float) -> str:
        """Write a share in per cent, with two decimals below 1 %.

        Examples
        --------
        >>> load_wording("en").percent(0.246), load_wording("en").percent(0.00998)
        ('24.6%', '1.00%')
        """
        return str(self.texts["percent"]).format(number=self.number(100 * share, _choose_decimals(share)))

    def quantity(self, value: float | None, style: str) -> str:
        """Write a number in one of the styles of `STYLES`; a dash where there is none."""
        return ABSENT if value is None else STYLES[style](self, value)

    def interval(self, low: float | None, high: float | None, style: str) -> str:
        """Write the two ends of an interval; nothing where there is none."""
        if low is None or high is None:
            return ""
        ends = {"low": self.quantity(low, style), "high": self.quantity(high, style)}
        return str(self.texts["interval"]).format(**ends)

    def capacity(self, capacity: str) -> str:
        """Write the size of a list as the language writes it, such as "1 %" or "500 persons"."""
        if capacity.endswith("%"):
            number = capacity.removesuffix("%").strip().replace(".", self.texts["decimal_mark"])
            return str(self.texts["percent"]).format(number=number)
        return str(self.texts["list_of"]).format(count=self.number(float(capacity)))

    def join(self, names: Sequence[str]) -> str:
        """Join names as in a sentence."""
        *head, last = names
        return f"{', '.join(head)} {self.texts['and']} {last}" if head else last

    def date(self, moment: date | str) -> str:
        """Write a date in full."""
        day = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        month = self.texts["months"][day.month - 1]
        return str(self.texts["date"]).format(day=day.day, month=month, year=day.year)

    def outcome(self, target: Mapping[str, Any]) -> str:
        """Say what is predicted, such as "at least 3 acute admissions within 365 days"."""
        kinds = self.texts["outcome_kinds"]
        types = target["admission_types"]
        what = f"{target['counts']}_{types[0]}" if len(types) == 1 else str(target["counts"])
        form = kinds.get(what) or kinds[target["counts"]]
        count = target["min_count"]
        text = str(self.texts["outcome"]).format(
            count=count, what=form["one" if count == 1 else "other"], days=target["horizon_days"]
        )
        sectors = target["sectors"]
        return f"{text} ({self.name('sector', sectors[0])})" if len(sectors) == 1 else text


def _choose_decimals(share: float) -> int:
    return 2 if abs(share) < 0.01 else 1


def _write_significant(words: Wording, value: float) -> str:
    """Write three digits that matter; a very small number by its power of ten."""
    if value != 0 and abs(value) < 1e-4:
        digits, power = f"{value:.0e}".split("e")
        return f"{digits.replace('-', MINUS)}·10{str(int(power)).translate(RAISED)}"
    shown = float(f"{value:.3g}")
    return words.number(shown, max(0, len(f"{shown:.10f}".rstrip("0").split(".")[1])))


def _write_points(words: Wording, value: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    text = words.number(100 * value, _choose_decimals(value))
    return text if text.startswith(MINUS) else f"+{text}"


def _write_difference(words: Wording, value: float) -> str:
    text = words.number(value, 3)
    return text if text.startswith(MINUS) else f"+{text}"


STYLES: Final = MappingProxyType(
    {
        "count": lambda words, value: words.number(value),
        "share": lambda words, value: words.percent(value),
        "points": _write_points,
        "difference": _write_difference,
        "decimal1": lambda words, value: words.number(value, 1),
        "decimal2": lambda words, value: words.number(value, 2),
        "decimal3": lambda words, value: words.number(value, 3),
        "decimal4": lambda words, value: words.number(value, 4),
        "per_1000": lambda words, value: words.number(1000 * value, 2),
        "whole_per_1000": lambda words, value: words.number(1000 * value),
        "significant": _write_significant,
    }
)


def load_wording(code: str) -> Wording:
    """Load the words of one language.

    Raises
    ------
    ConfigError
        If the page has no texts in that language.
    """
    languages = _read_texts()
    if code not in languages:
        raise ConfigError(
            f"The evaluation page has no texts in the language {code!r}. Use one of: "
            f"{', '.join(sorted(languages))}."
        )
    return Wording(code, languages[code])


@cache
def _read_texts() -> dict[str, dict[str, Any]]:
    return load_packaged("somv_risk.report", "evaluation_texts.toml")
