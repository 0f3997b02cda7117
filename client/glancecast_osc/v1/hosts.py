"""The options that choose hosts, which pushes and policies have in common."""

from __future__ import annotations

import argparse
from typing import Any

# The options, and the members of `hosts` in the API.
_LISTS = (
    ('names', '--hosts', '<names>', 'Hosts by name; folded ranges as in compute-[1-40]'),
    ('aggregate', '--aggregate', '<aggregate>', 'Hosts of an aggregate of Nova'),
    ('availability_zone', '--availability-zone', '<zone>', 'Hosts of an availability zone of Nova'),
    ('exclude', '--exclude', '<names>', 'Hosts that are left out of them; folded ranges as well'),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    group = parser.add_argument_group('hosts')
    for member, option, metavar, text in _LISTS:
        group.add_argument(
            option, dest=f'hosts_{member}', metavar=metavar, action='append', help=f'{text} (repeat for several)'
        )
    group.add_argument('--all-hosts', action='store_true', help='Every host of the group')


def choice(parsed: argparse.Namespace) -> dict[str, Any]:
    """Returns the member `hosts` of a request; empty if no option was given. The controller checks what goes together."""
    chosen: dict[str, Any] = {'all': True} if parsed.all_hosts else {}
    for member, _, _, _ in _LISTS:
        values = getattr(parsed, f'hosts_{member}')
        if values:
            chosen[member] = values
    return chosen
