"""`openstack image push create|list|show|cancel|hosts`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from glancecast_osc.api import Api, member, part
from glancecast_osc.follow import follow
from glancecast_osc.progress import Progress
from glancecast_osc.v1 import common, hosts

STATUSES = ('queued', 'running', 'done', 'partial', 'failed', 'cancelled', 'interrupted')

_LIST = (
    ('ID', 'id', None),
    ('Status', 'status', None),
    ('Progress', 'progress', None),
    ('Images', 'images', None),
    ('Hosts', 'hosts', None),
    ('Created At', 'created_at', None),
)
_LONG = (
    ('Finished At', 'finished_at', None),
    ('Priority', 'priority', None),
    ('Profile', 'profile', None),
    ('Policy', 'policy', None),
    ('User', 'user_name', None),
    ('Reason', 'reason', None),
)
_HOSTS = (
    ('Image', 'image', None),
    ('Host', 'name', None),
    ('State', 'state', None),
    ('Seconds', 'seconds', None),
    ('Reason', 'reason', None),
)


class _ShowPush(command.ShowOne):
    """A command whose answer is a push, and which may wait for its end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._code = 0

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Returns 0, or the exit code that a push which was waited for deserves."""
        return super().run(parsed_args) or self._code

    def _wait(self, api: Api, push: dict[str, Any]) -> dict[str, Any]:
        push = wait(api, push)
        self._code = exit_code(push)
        return push


class CreatePush(_ShowPush):
    """Push images to hosts

    With --wait, the exit code is 0 if every expected host holds every image, 3 if some do not, and 1 if the push failed
    or was cancelled.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'images',
            metavar='<image>',
            nargs='+',
            help=(
                'Image: id, name, tag:<tag> for all images with a tag, or file:<name> in the directory of images of the'
                ' controller. Several are pushed in this order'
            ),
        )
        hosts.add_options(parser)
        common.add_profile_option(parser)
        parser.add_argument('--rate', metavar='<rate>', help='Rate, as in 2gbit or auto:5gbit')
        parser.add_argument('--timeout', metavar='<time>', help='Longest time of an image, as in 10m')
        parser.add_argument('--pin', metavar='<time>', help='How long hosts keep the images: 7d, or forever')
        parser.add_argument(
            '--priority', metavar='<num>', type=int, help='From -100 to 100: the highest is pushed first'
        )
        parser.add_argument(
            '--confirm', action='store_true', help='Have Nova confirm the copies on the hosts of the aggregates'
        )
        parser.add_argument('--dry-run', action='store_true', help='Plan the push and send nothing')
        parser.add_argument(
            '--idempotency-key',
            metavar='<key>',
            help='Key of the request: the same key makes one push, however often the command is run',
        )
        parser.add_argument('--wait', action='store_true', help='Wait until the push has ended, and show its progress')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Asks for the push."""
        api = self.app.client_manager.imagedist
        chosen = hosts.choice(parsed_args)
        if not set(chosen) - {'exclude'}:
            raise exceptions.CommandError(
                'No hosts: give --hosts, --aggregate, --availability-zone or --all-hosts.'
            )
        body: dict[str, Any] = {'images': parsed_args.images, 'hosts': chosen}
        for name in ('profile', 'rate', 'timeout', 'pin', 'priority', 'confirm', 'dry_run'):
            value = getattr(parsed_args, name)
            if value is not None and value is not False:
                body[name] = value
        push = api.create_push(body, parsed_args.idempotency_key)
        return common.one(self._wait(api, push) if parsed_args.wait else push)


class ListPush(command.Lister):
    """List pushes, the newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--status', action='append', choices=STATUSES, help='Only these (repeat for several)')
        parser.add_argument('--image', metavar='<image-id>', help='Only pushes of the image with this id')
        parser.add_argument('--policy', metavar='<policy>', help='Only pushes that this policy wants')
        parser.add_argument(
            '--changes-since', metavar='<time>', help='Only those that changed since then: 2026-11-30T00:00:00Z'
        )
        parser.add_argument(
            '--sort', metavar='<key>[:<direction>]', help='created_at or updated_at, and asc or desc'
        )
        parser.add_argument('--long', action='store_true', help='List further columns')
        common.add_page_options(parser, 'push')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Lists them."""
        query = common.query(
            status=parsed_args.status,
            image=parsed_args.image,
            policy=parsed_args.policy,
            updated_at=f'gte:{parsed_args.changes_since}' if parsed_args.changes_since else None,
            sort=parsed_args.sort,
        )
        api = self.app.client_manager.imagedist
        rows = api.rows('/v1/pushes', 'pushes', query, limit=parsed_args.limit, marker=parsed_args.marker)
        rows = ({**row, 'images': [name(image) for image in row['images']]} for row in rows)
        return common.table(_LIST + _LONG if parsed_args.long else _LIST, rows)


class ShowPush(_ShowPush):
    """Show a push

    The exit code with --wait is that of "image push create".
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('push', metavar='<push>', help='Push (id)')
        parser.add_argument('--wait', action='store_true', help='Wait until it has ended, and show its progress')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Shows it."""
        api = self.app.client_manager.imagedist
        push = api.push(parsed_args.push)
        return common.one(self._wait(api, push) if parsed_args.wait else push)


class CancelPush(command.Command):
    """Cancel pushes

    Hosts keep what they have: another push of the image sends what lacks.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('pushes', metavar='<push>', nargs='+', help='Push (id)')
        parser.add_argument('--wait', action='store_true', help='Wait until the pushes have ended')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Cancels all that can be, and fails if one could not."""
        api = self.app.client_manager.imagedist
        cancelled, failed = [], 0
        for push_id in parsed_args.pushes:
            try:
                cancelled.append(member(api.delete(f'/v1/pushes/{part(push_id)}'), 'push'))
            except exceptions.CommandError as error:
                failed += 1
                self.log.error('%s: %s', push_id, error)
        if parsed_args.wait:
            for push in cancelled:
                wait(api, push)
        if failed:
            raise exceptions.CommandError(f'{failed} of {len(parsed_args.pushes)} pushes were not cancelled.')


class ListPushHosts(command.Lister):
    """List the hosts of a push, each with its state and the reason

    Image is the place of the image in the push, from 0 on.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('push', metavar='<push>', help='Push (id)')
        parser.add_argument(
            '--state', metavar='<state>', action='append', help='Only hosts in this state (repeat for several)'
        )
        common.add_page_options(parser, 'image:host')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Lists them."""
        api = self.app.client_manager.imagedist
        path = f'/v1/pushes/{part(parsed_args.push)}/hosts'
        query = common.query(state=parsed_args.state)
        rows = api.rows(path, 'hosts', query, limit=parsed_args.limit, marker=parsed_args.marker)
        return common.table(_HOSTS, rows)


def wait(api: Api, push: dict[str, Any]) -> dict[str, Any]:
    """Returns a push when it has ended; shows its progress on standard error."""
    progress = Progress(sys.stderr)
    try:
        progress.push(push)
        return follow(api, push['id'], progress)
    except KeyboardInterrupt:
        progress.end()
        print(
            f'The push goes on: openstack image push show {push["id"]}, or cancel {push["id"]}.', file=sys.stderr
        )
        raise
    finally:
        progress.end()


def exit_code(push: dict[str, Any]) -> int:
    """Returns the exit code for the end of a push; 3 for an incomplete one as `glancecast send` has it."""
    return {'done': 0, 'partial': 3}.get(push['status'], 1)


def name(image: dict[str, Any]) -> str:
    """Returns what an image of a push is called."""
    return image.get('name') or image.get('image_id') or image['reference']
