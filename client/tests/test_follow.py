"""A push is followed to its end, whatever becomes of the stream and of the controller."""

import io
import unittest

from glancecast_osc import follow as following
from glancecast_osc.errors import Unreachable
from glancecast_osc.follow import follow
from glancecast_osc.progress import Progress, printable
from glancecast_osc.sse import Event, Malformed


class Scripted:
    """A controller as a script: each stream is a list of events and perhaps an error, each look a status or an error."""

    def __init__(self, streams, looks):
        self.streams, self.looks, self.afters = list(streams), list(looks), []

    def events(self, _, after):
        self.afters.append(after)
        for one in self.streams.pop(0) if self.streams else []:
            if isinstance(one, Exception):
                raise one
            yield one

    def push(self, push_id):
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return {'id': push_id, 'status': look, 'images': [{'name': 'debian'}]}


class Noting:
    def __init__(self):
        self.numbers, self.statuses = [], []

    def event(self, event):
        self.numbers.append(event.number)

    def push(self, push):
        self.statuses.append(push['status'])


class Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def run(source):
    watcher, clock = Noting(), Clock()
    push = follow(source, 'p', watcher, sleep=clock.sleep, now=clock.now)
    return push, watcher, clock


class Follow(unittest.TestCase):
    def test_a_stream_that_breaks_is_resumed_after_its_last_event(self):
        broken = [Event(1, 'status', {}), Event(2, 'started', {}), Unreachable('broke')]
        source = Scripted([broken, [Event(None, 'gap', {}), Event(5, 'finished', {})]], ['running', 'done'])
        push, watcher, _ = run(source)
        self.assertEqual((push['status'], source.afters), ('done', [0, 2]))
        self.assertEqual(watcher.numbers, [1, 2, None, 5])

    def test_without_a_stream_the_push_is_polled(self):
        source = Scripted([[Malformed('HTML')]] * 9, ['queued', 'running', 'running', 'partial'])
        push, watcher, clock = run(source)
        self.assertEqual(push['status'], 'partial')
        self.assertEqual(watcher.statuses, ['queued', 'running', 'running', 'partial'])
        self.assertEqual(clock.time, 3 * following.POLL_SECONDS)

    def test_a_controller_that_is_away_for_a_while_is_waited_for(self):
        away = Unreachable('refused')
        push, _, _ = run(Scripted([[away]] * 99, [away] * 20 + ['done']))
        self.assertEqual(push['status'], 'done')

    def test_a_controller_that_stays_away_is_given_up(self):
        away = Unreachable('refused')
        clock = Clock()
        with self.assertRaises(Unreachable):
            follow(Scripted([[away]] * 999, [away]), 'p', Noting(), sleep=clock.sleep, now=clock.now)
        self.assertGreaterEqual(clock.time, following.PATIENCE_SECONDS)


class Terminal(io.StringIO):
    def isatty(self):
        return True


PUSH = {'status': 'running', 'images': [{'name': 'debian', 'status': 'queued'}]}
PROGRESS = {'image': 0, 'percent': 42.4, 'phase': 'sending', 'rate_bits_per_second': 2.1e9, 'hosts': {'done': 3, 'failed': 0}, 'eta_seconds': 35}


class ProgressLines(unittest.TestCase):
    def test_a_terminal_has_one_line_that_changes(self):
        out = Terminal()
        progress = Progress(out)
        progress.push(PUSH)
        for _ in range(3):
            progress.event(Event(1, 'progress', PROGRESS))
        progress.event(Event(2, 'finished', {'image': 0, 'outcome': 'complete', 'holding': 3, 'expected': 3}))
        text = out.getvalue()
        self.assertIn('debian: 42 %, sending, 2.1 Gbit/s, hosts: 3 done, 35 s left', text)
        self.assertEqual(text.count('\n'), 2, text)
        self.assertTrue(text.endswith('debian: complete, 3 of 3 hosts hold it\n'))

    def test_a_log_has_a_line_now_and_then(self):
        out, clock = io.StringIO(), Clock()
        progress = Progress(out, clock.now)
        progress.push(PUSH)
        for _ in range(25):
            progress.event(Event(1, 'progress', PROGRESS))
            clock.sleep(1)
        self.assertEqual(out.getvalue().count('42 %'), 3)
        self.assertNotIn('\x1b', out.getvalue())

    def test_what_hosts_say_does_not_reach_the_terminal_as_commands(self):
        out = Terminal()
        Progress(out).event(Event(1, 'host', {'host': 'c1', 'state': 'failed', 'reason': 'a\x1b]0;b\x07\nc'}))
        self.assertEqual(out.getvalue(), 'c1 failed: a?]0;b??c\n')
        self.assertEqual(printable('déjà\u202e'), 'déjà?')

    def test_kinds_and_members_of_a_newer_controller_are_passed_over(self):
        out = io.StringIO()
        progress = Progress(out)
        for kind in ('weather', 'progress', 'host', 'gap', 'finished', 'status', 'started'):
            progress.event(Event(None, kind, {'new': [1]}))
            progress.event(Event(None, kind, {'image': 7, 'hosts': 5, 'percent': 'x', 'eta_seconds': None}))


if __name__ == '__main__':
    unittest.main()
