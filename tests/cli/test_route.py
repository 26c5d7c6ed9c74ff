"""The commands of `relay route`, and what `relay check-policy` then says."""

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from tests.cli.conftest import Run, Take

ADD = ("route", "add", "orders", "--to", "shop", "--from", "shop.example.com")


@pytest.fixture(autouse=True)
def upstreams(run: Run) -> None:
    for name in ("provider", "shop", "spare"):
        run("upstream", "add", name, "--host", f"{name}.example.com", "--no-test")
    run("user", "add", "ann", "--sender", "example.com", "--sender", "shop.example.com")


def where(run: Run, *more: str, sender: str = "ann@example.com", to: tuple[str, ...] = ("bob@x.org",)) -> str:
    asked = [part for address in to for part in ("--to", address)]
    answer = run("check-policy", "--user", "ann", "--from", sender, *asked, *more, "--json")
    return str(answer.document["route"])


def test_the_default_route_is_there_and_takes_what_no_other_is_for(run: Run) -> None:
    (default,) = run("route", "list", "--json").document
    assert (default["name"], default["is_default"]) == ("default", True)
    assert default["to"] == [{"upstream": "provider", "rank": 1, "weight": 1}]
    assert where(run) == "default (provider)"


def test_a_route_takes_the_mail_that_it_is_for(run: Run) -> None:
    made = run(*ADD, "--to", "spare", "--json").document
    assert made["conditions"] == {"senders": ["shop.example.com"]}
    assert [(leg["upstream"], leg["rank"]) for leg in made["to"]] == [("shop", 1), ("spare", 2)]
    assert where(run, sender="ann@shop.example.com") == "orders (shop, spare)"
    assert where(run) == "default (provider)"


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (("--user", "ann"), ()),
        (("--for", "*.org"), ("--to", "cid@a.x.org", "--to", "dan@b.x.org")),
        (("--tag", "Newsletter"), ("--tag", "newsletter")),
        (("--priority", "1", "--priority", "2"), ("--priority", "2")),
        (("--at-least", "1M"), ("--size", "1M")),
        (("--at-most", "10K"), ("--size", "10K")),
    ],
)
def test_each_condition_is_asked(run: Run, condition: tuple[str, ...], fits: tuple[str, ...]) -> None:
    run("route", "add", "special", "--to", "shop", *condition)
    to = () if "--for" in condition else ("bob@x.org",)
    assert where(run, *fits, to=to).startswith("special (shop)")
    if fits:
        others = ("--size", "500K") if "--at-most" in condition else ()
        assert where(run, *others, to=("bob@x.net",)) == "default (provider)"


def test_recipients_of_one_message_may_go_by_several_routes(run: Run) -> None:
    run("route", "add", "partners", "--to", "shop", "--for", "partner.example")
    told = where(run, to=("a@partner.example", "b@x.org", "c@partner.example"))
    assert told == (
        "partners (shop) for a@partner.example, c@partner.example; default (provider) for b@x.org"
    )


def test_the_first_that_fits_takes_it_and_the_order_can_be_changed(run: Run) -> None:
    run(*ADD)
    run("route", "add", "anns", "--to", "spare", "--user", "ann")
    sender = "ann@shop.example.com"
    assert where(run, sender=sender) == "orders (shop)"
    assert "right before" in run("route", "move", "anns", "--before", "orders").out
    assert where(run, sender=sender) == "anns (spare)"
    run("route", "move", "anns")
    assert [each["name"] for each in run("route", "list", "--json").document] == ["orders", "anns", "default"]
    run("route", "add", "first", "--to", "spare", "--tag", "t", "--before", "orders")
    assert run("route", "list", "--json").document[0]["name"] == "first"


def test_upstreams_of_one_rank_share_by_weight(run: Run) -> None:
    made = run("route", "add", "both", "--to", "shop=3,spare", "--to", "provider", "--tag", "x", "--json")
    assert [(leg["upstream"], leg["rank"], leg["weight"]) for leg in made.document["to"]] == [
        ("shop", 1, 3),
        ("spare", 1, 1),
        ("provider", 2, 1),
    ]
    assert "shop (3), spare (1); then provider" in run("route", "show", "both").out


def test_a_route_is_changed_switched_off_and_deleted(run: Run) -> None:
    run(*ADD)
    changed = run("route", "edit", "orders", "--from", "none", "--tag", "order", "--to", "spare", "--json")
    assert changed.document["conditions"] == {"tags": ["order"]}
    assert changed.document["to"][0]["upstream"] == "spare"
    run("route", "edit", "orders", "--disable")
    assert where(run, "--tag", "order") == "default (provider)"
    assert run("route", "edit", "default", "--to", "shop", "--json").document["to"][0]["upstream"] == "shop"
    assert run("route", "delete", "orders").code == 2
    assert run("route", "delete", "orders", "--yes", "--json").document == {"deleted": "orders"}
    assert len(run("route", "list", "--json").document) == 1


def test_a_route_whose_upstream_was_deleted_is_changed_and_switched_off_all_the_same(run: Run) -> None:
    run(*ADD)
    for upstream in ("shop", "spare"):
        run("upstream", "delete", upstream, "--yes", "--force")
    changed = run("route", "edit", "orders", "--tag", "order", "--disable", "--json").document
    assert (changed["to"], changed["conditions"]["tags"], changed["is_enabled"]) == ([], ["order"], False)


def test_one_that_leads_to_what_takes_no_mail_says_so(run: Run) -> None:
    run("upstream", "disable", "provider")
    assert "Upstream provider was switched off" in run("route", "show", "default").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "x", "--tag", "t"), 2, "Say where it leads, with --to."),
        (("add", "x", "--to", "shop"), 65, "A route needs a condition"),
        (("add", "x", "--to", "shp", "--tag", "t"), 1, 'Did you mean "shop"?'),
        (("add", "x", "--to", "shop=many", "--tag", "t"), 2, '"many" is no weight'),
        (("add", "x", "--to", "shop=0", "--tag", "t"), 65, "A weight is 1 to 1000."),
        (("add", "x", "--to", "shop,shop", "--tag", "t"), 65, "to each upstream once"),
        (("add", "x", "--to", "shop", "--user", "nobody"), 1, 'There is no user "nobody"'),
        (("add", "x", "--to", "shop", "--from", "@@"), 65, "is no address, domain or *.domain"),
        (("add", "x", "--to", "shop", "--priority", "9"), 2, '"9" is no priority'),
        (("add", "x", "--to", "shop", "--at-least", "big"), 2, '"big" is no size'),
        (("add", "x", "--to", "shop", "--at-least", "2M", "--at-most", "1M"), 65, "No message is"),
        (("add", "two words", "--to", "shop", "--tag", "t"), 65, "letters, digits"),
        (("add", "orders", "--to", "shop", "--tag", "t"), 73, 'There is a route "orders" already.'),
        (("add", "x", "--to", "shop", "--tag", "t", "--before", "nothing"), 1, 'no route "nothing"'),
        (("edit", "ordrs", "--to", "shop"), 1, 'Did you mean "orders"?'),
        (("edit", "orders"), 2, "Say what to change"),
        (("edit", "orders", "--from", "none"), 65, "A route needs a condition"),
        (("edit", "default", "--tag", "t"), 65, "The default route has no conditions"),
        (("edit", "default", "--disable"), 65, "cannot be switched off"),
        (("move", "default"), 65, "stays last"),
        (("move", "orders", "--before", "orders"), 65, "cannot stand before itself"),
        (("delete", "default", "--yes"), 65, "cannot be deleted"),
        (("show", "nothing"), 1, 'There is no route "nothing"'),
    ],
)
def test_mistakes_are_told_in_a_sentence(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    run(*ADD)
    answer = run("route", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert len(run("route", "list", "--json").document) == 2


def test_mail_of_a_route_that_is_passed_over_is_found_where_it_goes(
    run: Run, engine: Engine, take: Take
) -> None:
    def listed(*narrowed: str) -> set[str]:
        found = run("queue", "list", *narrowed, "--json").document["deliveries"]
        return {delivery["message_id"] for delivery in found}

    run(*ADD)
    with engine.connect() as tx:
        orders = tx.execute(select(tables.routes.c.id).where(tables.routes.c.name == "orders")).scalar_one()
    message, by_default = take(route_id=orders), take()
    assert listed("--upstream", "shop") == {message}
    run("route", "edit", "orders", "--disable")
    assert listed("--route", "orders") == {message}
    assert not listed("--upstream", "shop")
    assert listed("--upstream", "provider") == {message, by_default}
    told = run("queue", "reroute", by_default, "--to-route", "orders").err
    assert told == 'error: No mail can take the route "orders": it is switched off.\n'
