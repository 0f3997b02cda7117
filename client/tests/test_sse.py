"""Server-Sent Events, cut in every way."""

import unittest

from glancecast_osc import sse


class Sse(unittest.TestCase):
    STREAM = (
        b': a comment\n\nid: 1\nevent: status\ndata: {"status": "queued"}\n\n'
        b'id:2\r\nevent:host\r\ndata:{"host":\r\ndata: "c1"}\r\n\r\n'
        b'data: {}\n\nid: 3\nevent: lost\ndata: {}\n'
    )
    EVENTS = [
        sse.Event(1, 'status', {'status': 'queued'}),
        sse.Event(2, 'host', {'host': 'c1'}),
        sse.Event(None, 'message', {}),
    ]

    def test_events_are_the_same_wherever_the_network_cuts_them(self):
        for size in (1, 2, 3, 7, 64, len(self.STREAM)):
            chunks = [self.STREAM[at : at + size] for at in range(0, len(self.STREAM), size)]
            self.assertEqual(list(sse.parse(chunks)), self.EVENTS, size)

    def test_what_is_no_event_of_the_controller_ends_the_stream(self):
        for stream in (b'data: no JSON\n\n', b'data: [1]\n\n'):
            with self.assertRaises(sse.Malformed):
                list(sse.parse([stream]))

    def test_an_event_that_never_ends_is_not_kept(self):
        for line in (b'data: ' + b'x' * 65536, b'data: ' + b'x' * 65536 + b'\n'):
            with self.assertRaises(sse.Malformed):
                list(sse.parse(line for _ in range(sse.EVENT_BYTES_MAX // 65536 + 1)))


if __name__ == '__main__':
    unittest.main()
