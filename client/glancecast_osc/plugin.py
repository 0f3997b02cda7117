"""The plugin: what the `openstack` command asks of a service (osc-lib, plugins)."""

from __future__ import annotations

import argparse
import re
from typing import Any

from keystoneauth1 import adapter
from osc_lib import exceptions, utils

from glancecast_osc.api import SERVICE_TYPE, Api

API_NAME = 'imagedist'
API_VERSION_OPTION = 'os_image_distribution_api_version'
API_VERSIONS = ('1', '1.1')
DEFAULT_API_VERSION = '1'

# The microversion that these commands are written for.
MICROVERSION = '1.1'


def check_api_version(version: str) -> bool:
    """Checks a version that the user asks for. The controller says which ones it has."""
    if not re.fullmatch(r'1(\.(0|[1-9][0-9]*))?', version):
        raise exceptions.CommandError(f'--os-image-distribution-api-version {version}: write 1 or 1.N')
    return True


def make_client(instance: Any) -> Api:
    """Returns the client of a session; called for the first command that needs it."""
    options = instance.get_configuration()
    version = str(instance._api_version[API_NAME])
    return Api(adapter.Adapter(
        session=instance.session,
        service_type=SERVICE_TYPE,
        interface=instance.interface,
        region_name=instance.region_name,
        # The option, its variable, or clouds.yaml; the second name is that of openstacksdk.
        endpoint_override=options.get('image_distribution_endpoint')
        or options.get('image_distribution_endpoint_override'),
        default_microversion=version if '.' in version else MICROVERSION,
    ))


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds the options that stand before the command."""
    parser.add_argument(
        '--os-image-distribution-api-version',
        metavar='<version>',
        default=utils.env('OS_IMAGE_DISTRIBUTION_API_VERSION'),
        help='Version of the image distribution API, 1 or 1.N (Env: OS_IMAGE_DISTRIBUTION_API_VERSION)',
    )
    parser.add_argument(
        '--os-image-distribution-endpoint',
        metavar='<url>',
        default=utils.env('OS_IMAGE_DISTRIBUTION_ENDPOINT'),
        help=(
            'Address of glancecast-controller, in place of the one in the service catalog'
            ' (Env: OS_IMAGE_DISTRIBUTION_ENDPOINT)'
        ),
    )
    return parser
