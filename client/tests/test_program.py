"""The real `openstack` program: the package is found by its entry points, and speaks with a real controller."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

from tests.fake import Answer, Fake, refusal

OPENSTACK = Path(sys.executable).with_name('openstack')
CONTROLLER = Path(os.environ.get('GLANCECAST_CONTROLLER', 'glancecast-controller'))

# Far more than anything takes, on a busy machine too.
PATIENCE_SECONDS = 120


def openstack(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the program with no settings but these."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
    return subprocess.run(
        [OPENSTACK, *words], env={**environment, 'HOME': '/nonexistent', **variables}, cwd='/', stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )


class Program(unittest.TestCase):
    def test_a_token_and_an_address_are_enough(self):
        fake = Fake()
        self.addCleanup(fake.close)
        fake.on('GET', '/v1/pushes', Answer(200, {'pushes': [], 'pushes_links': []}))
        endpoint = {'OS_IMAGE_DISTRIBUTION_ENDPOINT': fake.url}
        for variables in (
            {'OS_AUTH_TYPE': 'admin_token', 'OS_TOKEN': 'sesame', 'OS_ENDPOINT': fake.url},
            {'OS_AUTH_TYPE': 'admin_token', 'OS_TOKEN': 'sesame', 'OS_ENDPOINT': 'http://127.0.0.1:1', **endpoint},
        ):
            done = openstack('image', 'push', 'list', '-f', 'json', **variables)
            self.assertEqual((done.returncode, done.stdout.strip()), (0, '[]'), done.stderr)
            self.assertEqual(fake.asked[-1].headers['X-Auth-Token'], 'sesame')
        done = openstack('image', 'push', 'list', OS_AUTH_TYPE='none', **endpoint)
        self.assertEqual((done.returncode, len(fake.asked)), (0, 3), done.stderr)

    def test_a_refused_token_and_an_address_where_nobody_is_are_said_in_words(self):
        fake = Fake()
        self.addCleanup(fake.close)
        fake.on('GET', '/v1/pushes/5d', refusal(401, 'unauthorized', 'The request requires authentication.'))
        variables = {'OS_AUTH_TYPE': 'admin_token', 'OS_TOKEN': 'x1', 'OS_ENDPOINT': fake.url}
        done = openstack('image', 'push', 'show', '5d', **variables)
        self.assertEqual(done.returncode, 1)
        self.assertIn('requires authentication. (HTTP 401', done.stderr)
        done = openstack('image', 'push', 'show', '5d', **{**variables, 'OS_ENDPOINT': 'http://127.0.0.1:1'})
        self.assertEqual(done.returncode, 1)
        self.assertIn('The controller does not answer', done.stderr)
        self.assertNotIn('Traceback', done.stderr)


# Pushes a file as `glancecast send --events` does, and asks hosts as `glancecast hosts --json`.
SENDER = r"""#!/bin/sh
say() { printf '{"schema":1,"time":"t","push":"5e","event":"%s",%s}\n' "$1" "$2"; }
row='{"name":"c1","state":"done","reason":null,"seconds":1}'
case "$1" in
hosts) echo '{"schema":1,"hosts":[{"name":"c1","state":"answered","reason":null,"software":"glancecastd","free_bytes":7,"digest":"d","objects":[{"name":"old","image_id":null,"bytes":5,"root":"cd","pinned":"no","pinned_until":null}]}]}';;
send)
    say started '"glancecast":"0","image":"quick","image_id":null,"bytes":7,"blocks":1,"hosts":["c1"],"expected":1'
    say progress '"percent":50,"phase":"sending","rate_bits_per_second":1000000000,"hosts":{"joined":1},"eta_seconds":1'
    say host '"host":"c1","state":"done","cause":null,"reason":null,"seconds":0.1'
    say finished '"outcome":"complete","exit_code":0,"reason":null,"root":"ab","seconds":1,"wire_bytes":9,"expected":1,"holding":1,"hosts":['"$row"'],"events_lost":0';;
*) exit 2;;
esac
"""


@unittest.skipUnless(shutil.which(CONTROLLER), 'needs a built controller: GLANCECAST_CONTROLLER=.../glancecast-controller')
class Controller(unittest.TestCase):
    """A real controller whose sender is made up."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        for name in ('state', 'images'):
            (self.root / name).mkdir()
        (self.root / 'images' / 'quick').write_text('an image')
        sender = self.root / 'glancecast'
        sender.write_text(SENDER)
        sender.chmod(0o755)
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        self.url = f'http://127.0.0.1:{port}'
        log = (self.root / 'log').open('w')
        self.addCleanup(log.close)
        environment = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
        command = [
            shutil.which(CONTROLLER), '--listen', f'127.0.0.1:{port}', '--state', self.root / 'state', '--openstack', 'false',
            '--images', self.root / 'images', '--glancecast', sender, '--interval', '1s', '--inventory-interval', '1s',
        ]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end)
        self.until('the controller answers', self.answers)

    def end(self) -> None:
        """Ends the controller in order, and by force if it does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers(self) -> bool:
        """Whether it answers."""
        self.assertIsNone(self.process.poll(), (self.root / 'log').read_text())
        try:
            with urllib.request.urlopen(f'{self.url}/healthcheck', timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def until(self, what: str, look: Any) -> Any:
        """Waits until `look` returns something true, and returns it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        self.fail(f'{what}: not within {PATIENCE_SECONDS} s: {(self.root / "log").read_text()}')

    def run_openstack(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs the program with the token of the first start."""
        token = (self.root / 'state' / 'admin.token').read_text().strip()
        return openstack(*words, OS_AUTH_TYPE='admin_token', OS_TOKEN=token, OS_ENDPOINT=self.url)

    def json(self, *words: str) -> Any:
        """Runs the program with `-f json`, which has to succeed."""
        done = self.run_openstack('image', 'push', *words, '-f', 'json')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_push_a_policy_and_the_images_of_hosts(self):
        done = self.run_openstack('image', 'push', 'create', 'file:quick', '--hosts', 'c1', '--wait', '-f', 'json')
        self.assertEqual(done.returncode, 0, done.stderr)
        push = json.loads(done.stdout)
        self.assertEqual((push['status'], push['images'][0]['holding']), ('done', 1))
        self.assertIn('quick: complete, 1 of 1 hosts hold it', done.stderr.splitlines())
        self.assertEqual([row['ID'] for row in self.json('list', '--status', 'done')], [push['id']])
        [host] = self.json('hosts', push['id'], '--state', 'done')
        self.assertEqual((host['Host'], host['Image']), ('c1', 0))
        done = self.run_openstack('image', 'push', 'cancel', push['id'])
        self.assertEqual(done.returncode, 1)
        self.assertIn('image-distribution.push-has-ended, req-', done.stderr)

        [image] = self.until('c1 was asked', lambda: self.json('image', 'list', '--hosts', '--limit', '5'))
        self.assertEqual((image['Name'], image['Status'], image['Hosts']), ('old', 'unknown', ['c1']))

        made = self.json('policy', 'create', 'golden', '--image-tag', 'golden', '--hosts', 'c[1-40]', '--window', '22:00-06:00 UTC')
        self.assertEqual(made['hosts']['names'], 'c[1-40]')
        changed = self.json('policy', 'set', 'golden', '--rate', '2gbit', '--no-window', '--guard-hosts', '9')
        self.assertEqual((changed['rate'], changed['guard']['hosts']), ('2000000000bit', 9))
        self.assertNotIn('window', changed)
        self.assertEqual([row['Name'] for row in self.json('policy', 'list')], ['golden'])
        self.assertEqual(self.json('policy', 'show', 'golden')['images'], {'tag': 'golden'})
        done = self.run_openstack('image', 'push', 'policy', 'create', 'bad', '--all-hosts', '--rate', 'fast')
        self.assertEqual(done.returncode, 1)
        self.assertIn('rate', done.stderr)
        self.assertEqual(self.run_openstack('image', 'push', 'policy', 'delete', 'golden').returncode, 0)
        self.assertEqual(self.json('policy', 'list'), [])


if __name__ == '__main__':
    unittest.main()
