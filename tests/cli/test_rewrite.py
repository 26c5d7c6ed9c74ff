"""`relay user rewrite` and `relay upstream rewrite`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(params=["user", "upstream"])
def noun(request: pytest.FixtureRequest, run: Run) -> str:
    """Both have the same command; each of them is there under the name "ann"."""
    if request.param == "user":
        run("user", "add", "ann", "--sender", "example.com")
    else:
        run("upstream", "add", "ann", "--kind", "sandbox")
    return str(request.param)


def test_what_is_changed_is_shown_kept_and_taken_away(run: Run, noun: str, tmp_path: Path) -> None:
    nothing = run(noun, "rewrite", "ann")
    assert (nothing.code, "as it is" in nothing.out) == (0, True)
    footer = tmp_path / "footer.txt"
    footer.write_text("Example Ltd\nKöln\n", "utf-8-sig")  # as some editors write it
    told = run(
        noun, "rewrite", "ann", "--from", "shop@example.com", "--from-name", "The Shop", "--force",
        "--reply-to", "support@example.com", "--footer", str(footer), "--json",
    )  # fmt: skip
    assert told.document == {
        "name": "ann",
        "rewrite": {
            "from_name": "The Shop",
            "from_address": "shop@example.com",
            "is_forced": True,
            "reply_to": "support@example.com",
            "footer": "Example Ltd\nKöln",
        },
    }
    shown = run(noun, "rewrite", "ann").out
    assert "shop@example.com (always)" in shown
    assert "Example Ltd Köln" in shown
    assert "The Shop" in run(noun, "show", "ann").out
    assert run(noun, "show", "ann", "--json").document["rewrite"]["footer"] == "Example Ltd\nKöln"

    less = run(
        noun, "rewrite", "ann", "--from", "none", "--from-name", "none", "--no-force", "--reply-to", "from",
        "--footer", "none", "--json",
    )  # fmt: skip
    assert less.document["rewrite"] == {"answers_to_from": True}
    assert run(noun, "rewrite", "ann", "--reply-to", "none", "--json").document["rewrite"] == {}


def test_what_makes_no_sense_is_refused(run: Run, noun: str, tmp_path: Path) -> None:
    assert run(noun, "rewrite", "ann", "--force").code == 65
    assert run(noun, "rewrite", "ann", "--from", "nobody").code == 2
    odd = tmp_path / "odd"
    odd.write_bytes(b"\xff\xfe")
    assert run(noun, "rewrite", "ann", "--header", str(odd)).code == 2
    for unreadable, why in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory")):
        answer = run(noun, "rewrite", "ann", "--header", str(unreadable))
        assert (answer.code, f"{unreadable} cannot be read: {why}" in answer.err) == (66, True)
    assert run(noun, "rewrite", "bob", "--force").code == 1


def test_a_users_sender_must_be_its_own(run: Run) -> None:
    run("user", "add", "ann", "--sender", "example.com")
    answer = run("user", "rewrite", "ann", "--from", "ann@elsewhere.example")
    assert (answer.code, "not among the senders granted" in answer.err) == (65, True)
