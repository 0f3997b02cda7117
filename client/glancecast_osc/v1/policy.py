"""`openstack image push policy create|list|show|set|delete|hosts|plan|approve`."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from glancecast_osc.api import Api, member, part
from glancecast_osc.errors import ApiError
from glancecast_osc.v1 import common, policy_fields

_LIST = (
    ('Name', 'name', None),
    ('Images', 'images', None),
    ('Hosts', 'hosts', None),
    ('Window', 'window', None),
    ('Rate', 'rate', None),
    ('Remove', 'remove', None),
    ('File', 'file', None),
)
_HOSTS = (
    ('Host', 'host', None),
    ('State', 'state', None),
    ('Reason', 'reason', None),
)


class CreatePolicy(command.ShowOne):
    """Make a policy: which images should be on which hosts"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        policy_fields.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Makes it."""
        body = {'name': parsed_args.policy, **policy_fields.chosen(parsed_args)}
        api = self.app.client_manager.imagedist
        return common.one(member(api.post('/v1/policies', body), 'policy'))


class SetPolicy(command.ShowOne):
    """Change a policy

    What is not named stays. An option that selects images replaces the whole selection of images, and one that selects
    hosts the whole selection of hosts.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        policy_fields.add_options(parser)
        for field in policy_fields.REMOVABLE:
            parser.add_argument(f'--no-{field}', action='store_true', help=f'Remove the {field}')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Reads the policy and replaces it."""
        api = self.app.client_manager.imagedist
        changes = policy_fields.chosen(parsed_args)
        removed = [field for field in policy_fields.REMOVABLE if getattr(parsed_args, f'no_{field}')]
        both = [field for field in removed if field in changes]
        if both:
            raise exceptions.CommandError(f'--{both[0]} and --no-{both[0]} do not go together.')
        if not changes and not removed:
            raise exceptions.CommandError('Nothing to change: give an option.')
        path = _path(parsed_args.policy)
        policy = policy_fields.changed(member(api.get(path), 'policy'), changes, removed)
        return common.one(member(api.put(path, policy), 'policy'))


class ListPolicy(command.Lister):
    """List policies"""

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Lists them, and warns of what keeps them from being followed."""
        answer = self.app.client_manager.imagedist.get('/v1/policies')
        for mistake in answer.get('mistakes') or []:
            self.log.warning('No policy is followed before this is mended: %s', mistake)
        return common.table(_LIST, member(answer, 'policies'))


class ShowPolicy(command.ShowOne):
    """Show a policy, and what is so of it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Shows both."""
        api = self.app.client_manager.imagedist
        policy = member(api.get(_path(parsed_args.policy)), 'policy')
        return common.one({**policy, **self._state(api, parsed_args.policy)})

    def _state(self, api: Api, policy: str) -> dict[str, Any]:
        try:
            answer = api.get(f'{_path(policy)}/status')
        except ApiError as error:
            if error.code != 'not-planned':
                raise
            self.log.warning('%s', error)
            return {}
        status = member(answer, 'status')
        return {
            'converged': answer.get('converged'),
            'below_quorum': answer.get('below_quorum'),
            'needs_approval': status.get('needs_approval'),
            'counts': status.get('counts'),
            'problems': status.get('problems'),
            'image_states': [
                {key: image.get(key) for key in ('image', 'name', 'holding', 'counted', 'needed')}
                for image in status.get('images') or []
            ],
            'seen_at': answer.get('at'),
        }


class DeletePolicy(command.Command):
    """Delete policies

    What they have placed stays on the hosts.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('policies', metavar='<policy>', nargs='+', help='Policy (name)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Deletes all that can be, and fails if one could not."""
        api = self.app.client_manager.imagedist
        failed = 0
        for policy in parsed_args.policies:
            try:
                api.delete(_path(policy))
            except exceptions.CommandError as error:
                failed += 1
                self.log.error('%s: %s', policy, error)
        if failed:
            raise exceptions.CommandError(f'{failed} of {len(parsed_args.policies)} policies were not deleted.')


class ListPolicyHosts(command.Lister):
    """List the hosts of a policy, each with its state and the reason

    The state is the worst of those that the images of the policy have on the host.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        parser.add_argument(
            '--state', metavar='<state>', action='append', help='Only hosts in this state (repeat for several)'
        )
        parser.add_argument('--image', metavar='<image-id>', help='State of this image alone')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Lists them."""
        api = self.app.client_manager.imagedist
        status = member(api.get(f'{_path(parsed_args.policy)}/status'), 'status')
        if parsed_args.image:
            images = [image for image in status.get('images') or [] if image.get('image') == parsed_args.image]
            if not images:
                raise exceptions.CommandError(f'The policy does not want image {parsed_args.image}.')
            status = images[0]
        rows = [{'host': host, **why} for host, why in member(status, 'hosts').items()]
        return common.table(
            _HOSTS, (row for row in rows if not parsed_args.state or row['state'] in parsed_args.state)
        )


class PlanPolicy(command.ShowOne):
    """Show what would be pushed for a policy

    Nothing is pushed by that. "Pending" is what hosts lack, "pushes" what begins next.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Shows it."""
        answer = self.app.client_manager.imagedist.post(f'{_path(parsed_args.policy)}/plan')
        plan = member(answer, 'plan')
        return common.one(
            {
                **_pending(plan.get('pending') or {}),
                'needs_approval': plan.get('needs_approval'),
                'pushes': plan.get('pushes'),
                'seen_at': answer.get('at'),
            }
        )


class ApprovePolicy(command.ShowOne):
    """Approve what is pending of a policy, where it is more than the guard lets pass

    The approval covers the images, hosts and bytes that are shown, for a week.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Returns the parser of the options."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Approves it."""
        answer = self.app.client_manager.imagedist.post(f'{_path(parsed_args.policy)}/approve')
        return common.one(_pending(member(answer, 'approved')))


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('policy', metavar='<policy>', help='Policy (name)')


def _path(policy: str) -> str:
    return f'/v1/policies/{part(policy)}'


def _pending(pending: dict[str, Any]) -> dict[str, Any]:
    names = ('images', 'hosts', 'written_bytes', 'image_bytes')
    return {f'pending_{name}': pending.get(name) for name in names}
