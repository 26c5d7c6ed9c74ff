"""A whole node that takes the access tokens of an issuer, whose keys it fetches itself."""

import smtplib
from base64 import b64encode

from tests.kit.node import BASIC, HELLO, LISTENER, PATIENCE, TRUSTING
from tests.kit.tokens import TERMS, claims, published, token
from tests.service.conftest import MakeNode

OAUTH = '\n[oauth]\nissuer = "{issuer}"\naudience = "{audience}"\njwks = "{url}"\n'


def test_a_user_of_the_issuer_sends_with_a_token(make_node: MakeNode) -> None:
    with published() as issuer:
        oauth = OAUTH.format(issuer=TERMS.issuer, audience=TERMS.audience, url=issuer.url)
        node = make_node(BASIC + oauth + LISTENER)
        node.start_and_wait()
        with smtplib.SMTP("127.0.0.1", node.port, timeout=PATIENCE) as client:
            client.starttls(context=TRUSTING)
            client.ehlo()
            assert client.esmtp_features["auth"].split()[-2:] == ["OAUTHBEARER", "XOAUTH2"]
            shown = token(claims(email="demo@relay.test"))
            said = b64encode(f"n,,\1auth=Bearer {shown}\1\1".encode()).decode()
            assert client.docmd("AUTH", f"OAUTHBEARER {said}")[0] == 235
            assert client.sendmail("demo@relay.test", ["you@example.com"], HELLO) == {}
        assert issuer.asked == 1
    assert node.wait_for("authenticated")["mechanism"] == "OAUTHBEARER"
    assert node.stop() == 0
