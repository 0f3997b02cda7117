"""`openstack image push image list`."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib.cli import format_columns
from osc_lib.command import command

from glancecast_osc.v1 import common

_LIST = (
    ('ID', 'id', None),
    ('Name', 'name', None),
    ('Status', 'status', None),
    ('Holding', 'holding', None),
)
_HOSTS = (('Hosts', 'hosts', common.InOrder),)
_LONG = (
    ('Size', 'size', None),
    ('Visibility', 'visibility', None),
    ('Tags', 'tags', format_columns.ListColumn),
    ('Owner', 'owner', None),
    ('Created', 'created', None),
    ('Updated', 'updated', None),
    ('Obstacle', 'obstacle', None),
)


class ListImage(command.Lister):
    """List images, the newest first, with the hosts that hold each

    Holding is the number of hosts with a proven copy, as they answered last. An image that hosts hold and Glance does not
    have is "unknown", and has the BLAKE3 of its bytes for an id where hosts know no other.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--name', metavar='<name>', help='Only images with this name')
        parser.add_argument('--status', metavar='<status>', help='Only images in this status, as active')
        parser.add_argument(
            '--tag', metavar='<tag>', action='append', help='Only images with this tag (repeat for all of several)'
        )
        parser.add_argument(
            '--visibility', choices=('public', 'private', 'shared', 'community'), help='Only images with this visibility'
        )
        parser.add_argument('--hosts', action='store_true', help='List the names of the hosts, too')
        parser.add_argument('--long', action='store_true', help='List further columns')
        common.add_profile_option(parser)
        common.add_page_options(parser, 'image')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Lists them."""
        query = common.query(
            name=parsed_args.name,
            status=parsed_args.status,
            tag=parsed_args.tag,
            visibility=parsed_args.visibility,
            profile=parsed_args.profile,
            with_hosts='true' if parsed_args.hosts else None,
        )
        api = self.app.client_manager.imagedist
        rows = api.rows('/v1/images', 'images', query, limit=parsed_args.limit, marker=parsed_args.marker)
        columns = _LIST + (_LONG if parsed_args.long else ()) + (_HOSTS if parsed_args.hosts else ())
        return common.table(columns, rows)
