"""The story of one message, from the door in to the door out, as a reader wants it told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relay.cli.choosing import parse_id
from relay.cli.desk import Desk
from relay.cli.faults import Failed
from relay.cli.mail import STATES
from relay.cli.printing import duration, moment, size
from relay.cli.shown import Cell, Fields, Part, Shown, Table, Tone
from relay.mail.encoded import readable
from relay.mail.session import TRUSTED
from relay.queue.browse import AttemptStory, PartStory, RecipientStory, Story, story
from relay.queue.items import DeliveryKey, Origin
from relay.queue.states import DeliveryState, RecipientState
from relay.queue.waiting import Waiting, Why, look_around, why_waiting
from relay.routing.route_changes import Rule, all_rules

_ENDS = {
    RecipientState.OPEN: Cell("open", Tone.DOUBTFUL),
    RecipientState.DELIVERED: Cell("delivered", Tone.GOOD),
    RecipientState.FAILED: Cell("failed", Tone.BAD),
    RecipientState.EXPIRED: Cell("expired", Tone.BAD),
    RecipientState.CANCELLED: Cell("cancelled", Tone.QUIET),
}
_PERHAPS = (
    "try {number}: the line broke when the upstream had the whole message, before its answer: perhaps "
    "delivered. If it is sent again, then late and unchanged: by its Message-ID a receiver can tell."
)
_LOST = (
    "try {number}: the process that had it died without a word. If the message was out by then, it was "
    "perhaps delivered; by its Message-ID a receiver can tell."
)
_FOLLOWERS = {
    Origin.BOUNCE: "A report on it to {address} is message {id}",
    Origin.ARCHIVE: "A copy of it for the archive {address} is message {id}",
}
_ORIGINS = {
    Origin.SUBMISSION: "submitted",
    Origin.BOUNCE: "a report to the sender of a message, made here",
    Origin.ARCHIVE: "a copy for an upstream's archive, made here",
    Origin.NOTICE: "a notification, made here",
    Origin.CONSOLE: "sent from the console",
}


def find(desk: Desk, text: str) -> Story:
    """The story of the message that *text* is the id of, or of one of its deliveries."""
    message_id, _ = parse_id(text)
    found = desk.read(story, message_id)
    if found is None:
        raise Failed(f"There is no message {message_id}, or its record was removed after its time.")
    return found


def tell(desk: Desk, text: str) -> Shown:
    """The whole story, for a reader and for --json."""
    found = find(desk, text)
    rules = {rule.id: rule for rule in desk.read(all_rules)}
    keys = [DeliveryKey(found.id, part.part) for part in found.parts]
    told = desk.read(why_waiting, keys, desk.read(look_around, desk.sealer, desk.now))
    whys = {key.part: waiting for key, waiting in told.items()}
    return Shown(_document(found, rules, whys), tuple(_parts(found, rules, whys)))


def _parts(found: Story, rules: Mapping[str, Rule], whys: Mapping[int, Waiting]) -> Iterator[Part]:
    yield Cell(f"Message {found.id}", Tone.STRONG)
    yield _card(found)
    yield Table(
        ("no.", "recipient", "state", "last word", "at"),
        [_recipient(one) for one in found.recipients],
        numbers=frozenset({"no."}),
    )
    for part in found.parts:
        yield from _delivery(found, part, rules.get(part.route_id), whys.get(part.part))
    yield from _followers(found)


def _card(found: Story) -> Fields:
    return Fields(
        (
            ("what", _ORIGINS[found.origin]),
            ("about", found.about_id and f"message {found.about_id}"),
            ("from", str(found.envelope.sender) or "<> (nobody, so that it is never answered)"),
            ("header From", found.header_from and readable(found.header_from)),
            ("subject", found.subject and readable(found.subject)),
            ("user", found.user_name),
            ("not the user's", found.mismatch),
            ("client", _client(found)),
            ("logged in", _login(found.login)),
            ("secured", found.tls or ("not at all" if found.peer_address else None)),
            ("accepted", moment(found.accepted_at)),
            ("gives up", None if found.is_finished else moment(found.expires_at)),
            ("priority", _priority(found)),
            ("size", size(found.octets)),
            ("tag", found.tag),
            ("Message-ID", found.message_id_field),
            ("content", "kept; see --raw" if found.has_content else "no longer kept"),
        )
    )


def _priority(found: Story) -> str:
    asked, given = found.priority_asked, found.priority
    if asked is None:
        return str(int(given))
    why = "higher than its user was allowed" if asked < given else "lower than its user's own"
    return f"{int(given)}; it asked for {int(asked)}, {why}"


def _client(found: Story) -> str | None:
    if found.peer_address is None:
        return None
    said = f', called itself "{found.helo}"' if found.helo else ""
    return f"{found.peer_address}{said}, at the door {found.listener}"


def _login(by: str | None) -> str | None:
    if by is None:
        return None
    return "without AUTH, from a trusted network" if by == TRUSTED else f"by {by}"


def _recipient(one: RecipientStory) -> tuple[str | Cell, ...]:
    return (
        str(one.number),
        one.address,
        _ENDS[one.state],
        one.reply or "",
        moment(one.settled_at) if one.settled_at else "",
    )


def _delivery(found: Story, part: PartStory, rule: Rule | None, waiting: Waiting | None) -> Iterator[Part]:
    state = STATES[part.state]
    when = f", next try {moment(part.next_try_at)}" if part.next_try_at else ""
    yield ""
    whom = f" to {_recipients(_numbers_of(found, part))}" if len(found.parts) > 1 else ""
    level = f" with priority {int(part.priority)}" if part.priority is not found.priority else ""
    told = f"Delivery {found.id}-{part.part}{whom} {_way(part, rule)}{level}: {state.text}{when}"
    yield Cell(told, state.tone)
    if waiting is not None and waiting.why is not Why.DONE:
        at = f"; expected to be sent at {moment(waiting.estimated_at)}" if waiting.estimated_at else ""
        yield f"  {waiting.sentence}{at}"
    yield from (f"  {_LOST.format(number=number)}" for number in part.lost_tries)
    if part.lost_tries and not part.attempts:
        return
    if not part.attempts:
        yield f"  {_not_tried(part)}"
        return
    yield Table(
        ("try", "at", "took", "upstream", "remote", "secured", "reply"),
        [_attempt(each) for each in part.attempts],
        numbers=frozenset({"try", "took"}),
    )
    for each in part.attempts:
        if each.perhaps_delivered:
            yield f"  {_PERHAPS.format(number=each.number)}"
        if each.left_alone:
            yield f"  try {each.number}: sent without what was to be changed in it ({each.left_alone})"
        yield from _replies(found, part, each)


def _way(part: PartStory, rule: Rule | None) -> str:
    """By which route it goes, or went; mail whose own takes none goes by the default route."""
    is_done = part.state is DeliveryState.DONE
    if rule is not None and (is_done or rule.is_default or not rule.why_passed_over):
        return f'by route "{rule.name}"'
    if is_done:
        return "by a route that is gone"
    why = f'route "{rule.name}" {rule.why_passed_over}' if rule else "its own is gone"
    return f"by the default route ({why})"


def _not_tried(part: PartStory) -> str:
    """What is said of a delivery without a record of any try."""
    if part.attempts_begun > (part.leased_by is not None):
        return "tried before: as part of another delivery, or by a process that stopped without a word"
    return "not tried yet" if part.next_try_at or part.leased_by else "never tried"


def _replies(found: Story, part: PartStory, one: AttemptStory) -> Iterator[str]:
    """What was said to each, and where those are who were split off into a delivery of their own."""
    now_in = {recipient.number: recipient.part for recipient in found.recipients}
    alike = defaultdict[tuple[str, int], list[int]](list)
    for number, reply in one.replies.items():
        alike[reply, now_in.get(number, part.part)].append(number)
    for (reply, where), numbers in alike.items():
        went_on = "" if where == part.part else f"; now in delivery {found.id}-{where}"
        yield f"  try {one.number}, {_recipients(numbers)}: {reply}{went_on}"


def _numbers_of(found: Story, part: PartStory) -> list[int]:
    return [one.number for one in found.recipients if one.part == part.part]


def _followers(found: Story) -> Iterator[Part]:
    """What was made of it here, each with its own end."""
    if found.followers:
        yield ""
    for one in found.followers:
        state = _ENDS[one.state]
        said = f" ({one.reply})" if one.reply and one.state is not RecipientState.DELIVERED else ""
        told = _FOLLOWERS[one.origin].format(address=one.address, id=one.id)
        yield Cell(f"{told}: {state.text}{said}", state.tone)


def _recipients(numbers: Sequence[int]) -> str:
    """Some recipients by their numbers, in order: "recipients 1 to 50, 52"."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][-1] == number - 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    told = ", ".join(" to ".join(map(str, span)) for span in spans)
    return f"{'recipient' if len(numbers) == 1 else 'recipients'} {told}"


def _attempt(one: AttemptStory) -> tuple[str | Cell, ...]:
    return (
        str(one.number),
        moment(one.started_at),
        duration(one.finished_at - one.started_at),
        one.upstream or "none",
        one.remote or "",
        one.tls or "",
        one.reply,
    )


def _document(found: Story, rules: Mapping[str, Rule], whys: Mapping[int, Waiting]) -> dict[str, Any]:
    return {
        "id": found.id,
        "is_finished": found.is_finished,
        "origin": found.origin,
        "about": found.about_id,
        "sender": found.envelope.sender,
        "header_from": found.header_from,
        "subject": found.subject,
        "user": found.user_name,
        "mismatch": found.mismatch,
        "client": {
            "address": found.peer_address,
            "helo": found.helo,
            "tls": found.tls,
            "listener": found.listener,
            "login": found.login,
        },
        "accepted_at": found.accepted_at,
        "expires_at": found.expires_at,
        "priority": found.priority,
        "priority_asked": found.priority_asked,
        "octets": found.octets,
        "tag": found.tag,
        "message_id_field": found.message_id_field,
        "has_content": found.has_content,
        "recipients": found.recipients,
        "deliveries": [
            {
                "id": f"{found.id}-{part.part}",
                "route": rule.name if (rule := rules.get(part.route_id)) else None,
                "state": part.state,
                "priority": part.priority,
                "next_try_at": part.next_try_at,
                "reason": part.reason,
                "waiting": whys.get(part.part),
                "leased_by": part.leased_by,
                "attempts": part.attempts,
                "lost_tries": part.lost_tries,
            }
            for part in found.parts
        ],
        "followers": [one._asdict() for one in found.followers],
    }
