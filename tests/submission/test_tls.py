"""TLS without I/O: what was sealed is there as soon as it has come, however it came."""

import ssl
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.submission.tls import TlsLayer

RECORD = 16 * 1024


def shaken(context: ssl.SSLContext, version: ssl.TLSVersion) -> tuple[TlsLayer, ssl.SSLObject, ssl.MemoryBIO]:
    """A server, a client that has shaken hands with it, and what the client has to say."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    trusting.minimum_version = trusting.maximum_version = version
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = TlsLayer(context), trusting.wrap_bio(heard, said)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            server.receive(said.read())
            heard.write(server.seal(b""))
    server.receive(said.read())
    assert server.is_established
    return server, client, said


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    words=st.lists(
        st.sampled_from([1, 100, RECORD - 1, RECORD, RECORD + 1, 3 * RECORD]), min_size=1, max_size=4
    ),
    cuts=st.lists(st.integers(0, 5 * RECORD), max_size=5),
)
def test_nothing_that_came_is_left_behind(
    tls_context: ssl.SSLContext, version: ssl.TLSVersion, words: list[int], cuts: list[int]
) -> None:
    server, client, said = shaken(tls_context, version)
    plain = b"".join(bytes([65 + i]) * octets for i, octets in enumerate(words))
    for i, octets in enumerate(words):
        client.write(bytes([65 + i]) * octets)
    sealed = said.read()
    places = [0, *sorted(min(cut, len(sealed)) for cut in cuts), len(sealed)]
    assert b"".join(server.receive(sealed[a:b]) for a, b in pairwise(places)) == plain
    assert not server.has_ended


def test_the_last_words_come_before_the_goodbye(tls_context: ssl.SSLContext) -> None:
    server, client, said = shaken(tls_context, ssl.TLSVersion.TLSv1_3)
    client.write(b"QUIT")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert server.receive(said.read()) == b"QUIT"
    assert server.has_ended
