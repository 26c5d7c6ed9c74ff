"""The options of `relay upstream add` and `edit` that are about any upstream."""

from typing import Annotated, Literal

import typer

NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name, of your choice.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The upstream's name.")]
Host = Annotated[str | None, typer.Option(metavar="HOST", help="Its host name or IP address.")]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Its port; of a new one 587, with --tls implicit 465, for mx 25."),
]
Tls = Annotated[
    Literal["none", "opportunistic", "starttls", "implicit"] | None,
    typer.Option(
        help="How it is secured; of a new one starttls, at port 465 implicit, for mx opportunistic. With "
        "starttls no mail is sent where that is not offered."
    ),
]
Username = Annotated[str | None, typer.Option(metavar="TEXT", help='To log in there; "none": without login.')]
PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the password, key or secret from standard input; at a terminal, ask.",
    ),
]
Ca = Annotated[
    typer.FileText | None,
    typer.Option(
        metavar="FILE",
        help="The certificate to trust instead of the system's authorities, in PEM form.",
        encoding="ascii",
        errors="ignore",  # beside certificates there may be words about them
    ),
]
Sender = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help='The account\'s own address, if the user name is none: it is tested with that; "none": not set.',
    ),
]
Archive = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help='Gets a copy of every message; "none": nobody does.')
]
Timeout = Annotated[int | None, typer.Option(metavar="SECONDS", help="How long each step may take (60).")]
Concurrency = Annotated[int | None, typer.Option(metavar="NUMBER", help="The most connections at once (10).")]
Default = Annotated[bool, typer.Option("--default", help="The default route leads there, and nowhere else.")]
NoTest = Annotated[bool, typer.Option("--no-test", help="Save it without testing it first.")]
