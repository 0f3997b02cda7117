"""The commands in the `openstack` program of this process, against a controller that is made up."""

from __future__ import annotations

import contextlib
import io
import json
import unittest
from typing import Any
from unittest import mock

from openstackclient import shell
from openstackclient.common import clientmanager

from glancecast_osc import follow, plugin
from tests.fake import REQUEST_ID, Answer, Fake, event, refusal

PUSH = {
    'id': '5d', 'status': 'queued', 'reason': None, 'progress': 0, 'created_at': '2026-11-30T00:00:00.000Z',
    'hosts': {'names': ['c1', 'c2', 'c10']}, 'priority': 0, 'policy': None, 'links': [],
    'images': [{'reference': 'debian', 'name': 'debian-13', 'image_id': 'i1', 'status': 'queued'}],
}
DONE = {**PUSH, 'status': 'done', 'progress': 100}
POLICY = {
    'name': 'golden', 'window': '22:00-06:00 Europe/Berlin', 'rate': '2000000000bit', 'priority': 0,
    'images': {'tag': 'golden'}, 'hosts': {'names': 'c[1-40]', 'state': 'up'}, 'guard': {'hosts': 300, 'size': '20TiB'},
    'file': None,
}


class Commands(unittest.TestCase):
    def setUp(self) -> None:
        self.fake = Fake()
        self.addCleanup(self.fake.close)

    def openstack(
        self, *words: str, options: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Runs `openstack`, with a token unless `environment` says otherwise; returns its exit code and what it wrote."""
        if environment is None:
            environment = {'OS_AUTH_TYPE': 'admin_token', 'OS_TOKEN': 'sesame', 'OS_ENDPOINT': self.fake.url}
        out, err = io.StringIO(), io.StringIO()
        # osc-lib keeps the client of a process; this one has several users.
        clientmanager.ClientManager.imagedist = clientmanager.clientmanager.ClientCache(plugin.make_client)
        with mock.patch.dict('os.environ', environment), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = shell.OpenStackShell().run([*options, *words])
        return code, out.getvalue(), err.getvalue()

    def json(self, *words: str) -> Any:
        """Runs `openstack -f json`, which has to succeed."""
        code, out, err = self.openstack(*words, '-f', 'json')
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_a_push_has_what_the_options_say_and_a_key_of_its_own(self):
        self.fake.on('POST', '/v1/pushes', Answer(202, {'push': PUSH}))
        words = 'debian tag:golden --aggregate gpu --aggregate old --exclude c[7-9] --rate auto:2gbit --pin forever'
        shown = self.json('image', 'push', 'create', *words.split(), '--priority', '-5', '--dry-run', '--confirm')
        self.assertEqual((shown['id'], shown['hosts']), ('5d', PUSH['hosts']))
        [asked] = self.fake.asked
        self.assertEqual(asked.body, {
            'images': ['debian', 'tag:golden'], 'hosts': {'aggregate': ['gpu', 'old'], 'exclude': ['c[7-9]']},
            'rate': 'auto:2gbit', 'pin': 'forever', 'priority': -5, 'dry_run': True, 'confirm': True,
        })
        self.assertEqual(asked.headers['X-Auth-Token'], 'sesame')
        self.assertEqual(asked.headers['OpenStack-API-Version'], 'image-distribution 1.1')
        self.assertEqual(len(asked.headers['Idempotency-Key']), 36)

    def test_a_push_without_hosts_is_not_asked_for(self):
        code, _, err = self.openstack('image', 'push', 'create', 'debian', '--exclude', 'c1')
        self.assertEqual((code, self.fake.asked), (1, []))
        self.assertIn('give --hosts', err)

    def test_the_version_is_the_one_that_the_user_asks_for(self):
        self.fake.on('GET', '/v1/pushes/5d', refusal(406, 'no-such-version', 'Version 1.7 is not supported.'))
        code, _, err = self.openstack(
            'image', 'push', 'show', '5d', options=('--os-image-distribution-api-version', '1.7')
        )
        self.assertEqual(self.fake.asked[0].headers['OpenStack-API-Version'], 'image-distribution 1.7')
        self.assertEqual(code, 1)
        self.assertIn('Version 1.7 is not supported.', err)

    def test_an_error_is_a_sentence_with_the_id_of_the_request(self):
        self.fake.on('GET', '/v1/pushes/x%2Fy', refusal(404, 'no-such-push', 'There is no push "x/y".'))
        code, out, err = self.openstack('image', 'push', 'show', 'x/y')
        self.assertEqual((code, out), (1, ''))
        self.assertIn(f'There is no push "x/y". (HTTP 404, image-distribution.no-such-push, {REQUEST_ID})', err)
        self.assertNotIn('Traceback', err)

    def test_an_address_of_something_else_is_named(self):
        self.fake.on('GET', '/v1/pushes/5d', Answer(200, {'hello': 'world'}))
        code, _, err = self.openstack('image', 'push', 'show', '5d')
        self.assertEqual(code, 1)
        self.assertIn('is the address that of glancecast-controller?', err)

    def test_the_endpoint_wins_over_the_catalog_with_and_without_its_version(self):
        self.fake.on('GET', '/v1/pushes', Answer(200, {'pushes': [], 'pushes_links': []}))
        other = Fake()
        self.addCleanup(other.close)
        for path in ('', '/', '/v1', '/v1/'):
            url, option = f'{self.fake.url}{path}', '--os-image-distribution-endpoint'
            with mock.patch.dict('os.environ', {'OS_ENDPOINT': other.url}):
                code, _, err = self.openstack('image', 'push', 'list', options=('--os-endpoint', other.url, option, url))
            self.assertEqual((code, other.asked), (0, []), err)
        with mock.patch.dict('os.environ', {'OS_IMAGE_DISTRIBUTION_ENDPOINT': self.fake.url}):
            code, _, err = self.openstack('image', 'push', 'list', options=('--os-endpoint', other.url))
        self.assertEqual((code, other.asked), (0, []), err)

    def test_the_catalog_of_keystone_has_the_address_and_its_token_is_sent(self):
        keystone, url = Fake(), self.fake.url
        self.addCleanup(keystone.close)
        self.fake.on('GET', '/v1/pushes', Answer(200, {'pushes': [], 'pushes_links': []}))
        endpoint = {'id': 'e', 'interface': 'public', 'region': 'R', 'region_id': 'R', 'url': url}
        version = {'id': 'v3.14', 'status': 'stable', 'links': [{'rel': 'self', 'href': f'{keystone.url}/v3/'}]}
        token = {
            'methods': ['password'], 'expires_at': '2999-01-01T00:00:00.000000Z', 'issued_at': '2026-11-30T00:00:00.000000Z',
            'user': {'id': 'u', 'name': 'ann', 'domain': {'id': 'default', 'name': 'Default'}}, 'roles': [],
            'project': {'id': 'p', 'name': 'service', 'domain': {'id': 'default', 'name': 'Default'}},
            'catalog': [{'type': 'image-distribution', 'name': 'glancecast', 'id': 's', 'endpoints': [endpoint]}],
        }
        keystone.on('GET', '/v3', Answer(200, {'version': version}))
        keystone.on('POST', '/v3/auth/tokens', Answer(201, {'token': token}, headers={'X-Subject-Token': 'issued'}))
        options = (
            '--os-auth-type', 'password', '--os-auth-url', f'{keystone.url}/v3', '--os-username', 'ann', '--os-password', 's',
            '--os-project-name', 'service', '--os-user-domain-id', 'default', '--os-project-domain-id', 'default',
        )
        code, _, err = self.openstack('image', 'push', 'list', options=options, environment={})
        self.assertEqual(code, 0, err)
        self.assertEqual([asked.headers['X-Auth-Token'] for asked in self.fake.asked], ['issued'])
        for catalog in ([{**token['catalog'][0], 'type': 'image'}], []):
            token['catalog'] = catalog
            code, _, err = self.openstack('image', 'push', 'list', options=options, environment={})
            self.assertEqual(code, 1)
            self.assertIn('no endpoint of type image-distribution', err)

    def test_a_list_has_all_pages_and_keeps_its_filters(self):
        pushes = [{**PUSH, 'id': f'p{number}'} for number in range(2500)]

        def page(asked):
            query = dict(asked.query)
            start = next((at + 1 for at, push in enumerate(pushes) if push['id'] == query.get('marker')), 0)
            rows = pushes[start : start + int(query['limit'])]
            links = [{'rel': 'next', 'href': f'http://elsewhere/v1/pushes?marker={rows[-1]["id"]}'}]
            return Answer(200, {'pushes': rows, 'pushes_links': links if start + len(rows) < len(pushes) else []})

        self.fake.on('GET', '/v1/pushes', page)
        rows = self.json('image', 'push', 'list', '--status', 'done', '--status', 'failed', '--policy', 'golden')
        self.assertEqual([row['ID'] for row in rows], [push['id'] for push in pushes])
        self.assertEqual(rows[0]['Images'], ['debian-13'])
        self.assertEqual(len(self.fake.asked), 3)
        for asked in self.fake.asked:
            self.assertLessEqual({('status', 'done'), ('status', 'failed'), ('policy', 'golden')}, set(asked.query))
        self.fake.asked.clear()
        rows = self.json('image', 'push', 'list', '--limit', '1200', '--marker', 'p99')
        self.assertEqual((rows[0]['ID'], rows[-1]['ID'], len(rows)), ('p100', 'p1299', 1200))
        self.assertEqual([dict(asked.query)['limit'] for asked in self.fake.asked], ['1000', '200'])

    def test_waiting_shows_events_and_ends_with_the_push(self):
        self.fake.on('POST', '/v1/pushes', Answer(202, {'push': PUSH}))
        self.fake.on('GET', '/v1/pushes/5d/events',
            Answer(stream=[event(1, 'status', status='queued'), event(2, 'progress', image=0, percent=10)], breaks=True),
            Answer(stream=[': alive\n\n', event(3, 'host', image=0, host='c2', state='failed', reason='no room')]),
        )
        self.fake.on('GET', '/v1/pushes/5d', Answer(200, {'push': {**PUSH, 'status': 'running'}}),
            Answer(200, {'push': {**PUSH, 'status': 'partial', 'reason': '1 of 3 hosts lacks it'}}))
        with mock.patch.object(follow, 'POLL_SECONDS', 0.01):
            code, out, err = self.openstack('image', 'push', 'create', 'debian', '--hosts', 'c[1-3]', '--wait', '-f', 'json')
        self.assertEqual((code, json.loads(out)['status']), (3, 'partial'), err)
        for line in ('queued', 'debian-13: 10 %', 'running', 'c2 failed: no room', 'partial: 1 of 3 hosts lacks it'):
            self.assertIn(line, err.splitlines())
        streams = self.fake.requests('GET', '/v1/pushes/5d/events')
        self.assertEqual([asked.headers['Last-Event-ID'] for asked in streams], ['0', '2'])

    def test_waiting_for_a_push_that_has_ended_takes_no_time(self):
        self.fake.on('GET', '/v1/pushes/5d', Answer(200, {'push': DONE}))
        self.fake.on('GET', '/v1/pushes/5d/events', Answer(204))
        with mock.patch.object(follow, 'POLL_SECONDS', 600):
            code, _, err = self.openstack('image', 'push', 'show', '5d', '--wait')
        self.assertEqual(code, 0, err)

    def test_all_pushes_are_cancelled_that_can_be(self):
        self.fake.on('DELETE', '/v1/pushes/a', refusal(409, 'push-has-ended', 'Push a has ended: it is done.'))
        self.fake.on('DELETE', '/v1/pushes/b', Answer(202, {'push': {**PUSH, 'id': 'b'}}))
        code, _, err = self.openstack('image', 'push', 'cancel', 'a', 'b')
        self.assertEqual((code, len(self.fake.requests('DELETE', '/v1/pushes/b'))), (1, 1))
        self.assertIn('it is done', err)
        self.assertIn('1 of 2 pushes were not cancelled.', err)

    def test_hosts_of_a_push_are_filtered_by_their_state(self):
        row = {'image': 0, 'name': 'c1', 'state': 'failed', 'reason': 'no room', 'seconds': 1.5}
        self.fake.on('GET', '/v1/pushes/5d/hosts', Answer(200, {'hosts': [row], 'hosts_links': []}))
        rows = self.json('image', 'push', 'hosts', '5d', '--state', 'failed', '--state', 'silent', '--marker', '0:c0')
        self.assertEqual(rows, [{'Image': 0, 'Host': 'c1', 'State': 'failed', 'Seconds': 1.5, 'Reason': 'no room'}])
        query = [('limit', '1000'), ('state', 'failed'), ('state', 'silent'), ('marker', '0:c0')]
        self.assertEqual(self.fake.asked[0].query, query)

    def test_images_are_listed_with_who_holds_them(self):
        image = {'id': 'i1', 'name': 'debian-13', 'status': 'active', 'holding': 3, 'hosts': ['c1', 'c2', 'c10'], 'tags': []}
        self.fake.on('GET', '/v1/images', Answer(200, {'images': [image], 'images_links': []}))
        words = ('image', 'push', 'image', 'list', '--tag', 'a', '--tag', 'b', '--name', 'debian-13', '--hosts')
        [row] = self.json(*words)
        self.assertEqual((row['Holding'], row['Hosts']), (3, ['c1', 'c2', 'c10']))
        wanted = {('tag', 'a'), ('tag', 'b'), ('name', 'debian-13'), ('with_hosts', 'true')}
        self.assertLessEqual(wanted, set(self.fake.asked[0].query))
        self.assertIn('c1, c2, c10', self.openstack(*words)[1])
        [row] = self.json('image', 'push', 'image', 'list', '--limit', '5')
        self.assertEqual((list(row), self.fake.asked[-1].query), (['ID', 'Name', 'Status', 'Holding'], [('limit', '5')]))

    def test_a_policy_is_made_of_its_options(self):
        self.fake.on('POST', '/v1/policies', Answer(201, {'policy': POLICY}))
        words = '--image-tag golden --image-visibility public --newest-of-each-name 2 --aggregate gpu --rate 2gbit --remove unpin'
        shown = self.json('image', 'push', 'policy', 'create', 'golden', *words.split(), '--quorum', '95%', '--guard-size', '1TiB')
        self.assertEqual(shown['hosts'], {'names': 'c[1-40]', 'state': 'up'})
        self.assertEqual(self.fake.asked[0].body, {
            'name': 'golden', 'rate': '2gbit', 'quorum': '95%', 'remove': 'unpin', 'guard': {'size': '1TiB'},
            'images': {'tag': ['golden'], 'visibility': 'public', 'newest': 2, 'newest_by': 'name'},
            'hosts': {'aggregate': ['gpu']},
        })

    def test_what_is_not_named_stays_when_a_policy_is_changed(self):
        self.fake.on('GET', '/v1/policies/golden', Answer(200, {'policy': POLICY}))
        self.fake.on('PUT', '/v1/policies/golden', Answer(200, {'policy': POLICY}))
        self.json('image', 'push', 'policy', 'set', 'golden', '--no-window', '--guard-hosts', '9', '--image-id', 'i1')
        kept = {name: POLICY[name] for name in ('name', 'rate', 'priority', 'hosts')}
        guard = {'hosts': 9, 'size': '20TiB'}
        self.assertEqual(self.fake.asked[1].body, {**kept, 'images': {'id': ['i1']}, 'guard': guard})
        for words in ((), ('--rate', '1gbit', '--no-rate')):
            code, _, _ = self.openstack('image', 'push', 'policy', 'set', 'golden', *words)
            self.assertEqual((code, len(self.fake.requests('PUT', '/v1/policies/golden'))), (1, 1))

    def test_a_policy_is_shown_with_what_is_so(self):
        why = {'state': 'failing', 'reason': 'no room', 'until_ms': None}
        image = {'image': 'i1', 'name': 'g', 'holding': 1, 'counted': 2, 'needed': 2, 'hosts': {'c1': why}}
        status = {'needs_approval': True, 'counts': {'failing': 1}, 'problems': [], 'images': [image], 'hosts': {'c1': why}}
        self.fake.on('GET', '/v1/policies/golden', Answer(200, {'policy': POLICY}))
        self.fake.on('GET', '/v1/policies/golden/status', refusal(503, 'not-planned', 'The controller has not seen Glance.'),
            Answer(200, {'status': status, 'converged': False, 'below_quorum': True, 'at': 'T'}))
        code, out, err = self.openstack('image', 'push', 'policy', 'show', 'golden', '-f', 'json')
        self.assertEqual((code, json.loads(out)['name']), (0, 'golden'))
        self.assertIn('has not seen Glance', err)
        shown = self.json('image', 'push', 'policy', 'show', 'golden')
        self.assertEqual((shown['converged'], shown['needs_approval'], shown['counts']), (False, True, {'failing': 1}))
        host = {'Host': 'c1', 'State': 'failing', 'Reason': 'no room'}
        for words, rows in (((), [host]), (('--image', 'i1'), [host]), (('--state', 'holding'), [])):
            self.assertEqual(self.json('image', 'push', 'policy', 'hosts', 'golden', *words), rows)

    def test_policies_are_listed_planned_approved_and_deleted(self):
        pending = {'images': ['i1'], 'hosts': 400, 'written_bytes': 800, 'image_bytes': 2}
        path = '/v1/policies/golden'
        self.fake.on('GET', '/v1/policies', Answer(200, {'policies': [POLICY], 'mistakes': ['a.toml:3: rate: fast']}))
        self.fake.on('POST', f'{path}/plan', Answer(200, {'plan': {'pending': pending, 'needs_approval': True, 'pushes': []}, 'at': 'T'}))
        self.fake.on('POST', f'{path}/approve', Answer(200, {'approved': pending}))
        self.fake.on('DELETE', path, Answer(204))
        code, out, err = self.openstack('image', 'push', 'policy', 'list', '-f', 'json')
        self.assertEqual((code, json.loads(out)[0]['Name']), (0, 'golden'))
        self.assertIn('a.toml:3: rate: fast', err)
        plan = self.json('image', 'push', 'policy', 'plan', 'golden')
        self.assertEqual((plan['pending_hosts'], plan['needs_approval']), (400, True))
        self.assertEqual(self.json('image', 'push', 'policy', 'approve', 'golden')['pending_written_bytes'], 800)
        self.assertEqual(self.openstack('image', 'push', 'policy', 'delete', 'golden', 'none')[0], 1)
        self.assertEqual(len(self.fake.requests('DELETE', path)), 1)


if __name__ == '__main__':
    unittest.main()
