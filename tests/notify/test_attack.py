"""The notification of guessing, from the failure to the words."""

from datetime import timedelta

from relay.ids import id_source
from relay.mail.address import Address
from relay.notify.announce import announcements
from relay.notify.attack import attack_notice
from relay.queue.items import Notice
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import make_session

USER, OPERATOR = Address.parse("ann@example.com"), Address.parse("op@example.com")


def notice(client: str = "192.0.2.7", helo: str = "laptop") -> Notice:
    return attack_notice(
        "01USER",
        "ann",
        facts=make_session(peer_address=client, helo=helo),
        now=NOON,
        new_id=id_source(),
        settings=Settings(notice_interval=timedelta(hours=2)),
    )


def test_it_is_told_once_per_user_in_a_while_wherever_it_comes_from() -> None:
    assert notice().key == notice("198.51.100.1").key
    assert notice().interval == timedelta(hours=2)


def test_user_and_operator_are_told_in_words_of_their_own() -> None:
    to_user, to_operator = announcements(notice(), contact=USER, operator=OPERATOR, hostname="relay.test")
    assert to_user.subject == to_operator.subject == "Somebody guesses at the password of ann"
    for told in (to_user, to_operator):
        assert "20 logins as ann failed in a row. For 15 minutes" in told.text
        assert "192.0.2.7" in told.text
        assert "{" not in told.text
    assert "relay logins list --user ann" in to_operator.text
    assert "relay logins" not in to_user.text


def test_what_the_client_called_itself_moves_nothing_in_the_letter() -> None:
    (told,) = announcements(notice(helo="a\r\nb"), contact=USER, operator=None, hostname="relay.test")
    assert "a??b" in told.text
