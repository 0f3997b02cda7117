"""What the commands have in common: options, columns."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from osc_lib.cli import format_columns

# A column: its header, the member of a row, and the class that shows a value which is no text or number.
Column = tuple[str, str, type | None]


def count(text: str) -> int:
    """Parses a number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('give a number from 1 on')
    return number


def add_page_options(parser: argparse.ArgumentParser, marker: str) -> None:
    """Adds `--limit` and `--marker`."""
    parser.add_argument(
        '--limit', metavar='<num>', type=count, help='List at most this many; without it, all of them'
    )
    parser.add_argument('--marker', metavar=f'<{marker}>', help=f'List what comes after this {marker}')


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--profile`."""
    parser.add_argument(
        '--profile',
        metavar='<profile>',
        help="Profile of the controller's settings, which is a multicast group; without it, the default one",
    )


def query(**parameters: Any) -> list[tuple[str, str]]:
    """Returns a query of those parameters that have a value; a list is the same name several times."""
    pairs = []
    for name, value in parameters.items():
        values = value if isinstance(value, list) else [value]
        pairs += [(name, str(one)) for one in values if one is not None]
    return pairs


def table(columns: Sequence[Column], rows: Iterable[dict[str, Any]]) -> tuple[tuple[str, ...], Any]:
    """Returns what a lister returns."""
    headers = tuple(header for header, _, _ in columns)
    return headers, (tuple(shown(row.get(name), how) for _, name, how in columns) for row in rows)


def shown(value: Any, how: type | None = None) -> Any:
    """Returns a value for cliff: as it is in JSON, readable in a table."""
    if value is None:
        return None
    if how is not None:
        return how(value)
    if isinstance(value, dict):
        return format_columns.DictColumn(value)
    if isinstance(value, list):
        is_table = bool(value) and all(isinstance(one, dict) for one in value)
        return format_columns.ListDictColumn(value) if is_table else InOrder(value)
    return value


class InOrder(format_columns.ListColumn):
    """A list in its own order: hosts and images come sorted, and `ListColumn` would sort `c10` before `c2`."""

    def human_readable(self) -> str:
        """Returns the values with commas between them."""
        return ', '.join(str(value) for value in self._value)


def one(row: dict[str, Any], leave_out: Iterable[str] = ('links',)) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Returns what a `ShowOne` returns: all members but those of `leave_out`."""
    names = tuple(name for name in row if name not in set(leave_out))
    return names, tuple(shown(row[name]) for name in names)
