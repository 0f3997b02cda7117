"""The fields of a policy: as options, and as the API has them. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from glancecast_osc.v1 import hosts

# Fields that `set` can remove: those that the API leaves out where they have no value.
REMOVABLE = ('window', 'rate', 'profile')

# Fields of texts and numbers, with the placeholder and the text of their options.
_PLAIN = (
    ('profile', '<profile>', "Profile of the controller's settings, which is a multicast group", str),
    ('window', '<window>', 'When pushes may begin, as in "22:00-06:00 Europe/Berlin"', str),
    ('rate', '<rate>', 'Rate of pushes, as in 2gbit', str),
    ('max_image', '<size>', 'Size of the largest image that is pushed, as in 100GiB', str),
    ('priority', '<num>', 'From -100 to 100: the highest is pushed first', int),
    ('quorum', '<percent>', 'Share of hosts that have to hold an image, as in 95%%', str),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    images = parser.add_argument_group('images')
    for field, option, text in (
        ('tag', '--image-tag', 'Images with this tag'),
        ('name', '--image-name', 'Images with this name'),
        ('id', '--image-id', 'The image with this id'),
    ):
        images.add_argument(
            option, dest=f'image_{field}', metavar=f'<{field}>', action='append', help=f'{text} (repeat for several)'
        )
    images.add_argument(
        '--image-visibility', choices=('public', 'private', 'shared', 'community'), help='Images with this visibility'
    )
    newest = images.add_mutually_exclusive_group()
    newest.add_argument('--newest', metavar='<num>', type=int, help='Only so many of them, the newest')
    newest.add_argument('--newest-of-each-name', metavar='<num>', type=int, help='The same for each name')
    hosts.add_options(parser)
    parser.add_argument('--include-disabled', action='store_true', help='Count hosts that are disabled in Nova, too')
    for field, metavar, text, kind in _PLAIN:
        parser.add_argument(f'--{field.replace("_", "-")}', metavar=metavar, type=kind, help=text)
    parser.add_argument(
        '--remove', choices=('keep', 'unpin'), help='What becomes of images that the policy has placed and wants no more'
    )
    parser.add_argument('--guard-hosts', metavar='<num>', type=int, help='Hosts of a plan beyond which it needs approval')
    parser.add_argument('--guard-size', metavar='<size>', help='Bytes on all hosts beyond which a plan needs approval')


def chosen(parsed: argparse.Namespace) -> dict[str, Any]:
    """Returns the fields that options name, in the form of the API. The controller checks their values."""
    fields = {
        name: getattr(parsed, name)
        for name in ('profile', 'window', 'rate', 'max_image', 'priority', 'quorum', 'remove')
        if getattr(parsed, name) is not None
    }
    images = {
        'tag': parsed.image_tag,
        'name': parsed.image_name,
        'id': parsed.image_id,
        'visibility': parsed.image_visibility,
        'newest': parsed.newest if parsed.newest is not None else parsed.newest_of_each_name,
        'newest_by': 'name' if parsed.newest_of_each_name is not None else None,
    }
    selection = {**hosts.choice(parsed), 'include_disabled': parsed.include_disabled or None}
    guard = {'hosts': parsed.guard_hosts, 'size': parsed.guard_size}
    for name, table in (('images', images), ('hosts', selection), ('guard', guard)):
        given = {key: value for key, value in table.items() if value is not None}
        if given:
            fields[name] = given
    return fields


def changed(policy: dict[str, Any], changes: dict[str, Any], removed: Iterable[str]) -> dict[str, Any]:
    """Returns a policy that was read with changes. A selection is replaced as a whole, the bounds of the guard one by one."""
    # `file` is the place of the policy, and none of its fields.
    kept = {name: value for name, value in policy.items() if name != 'file' and name not in set(removed)}
    guard = {**(kept.get('guard') or {}), **(changes.get('guard') or {})}
    return {**kept, **changes, **({'guard': guard} if guard else {})}
