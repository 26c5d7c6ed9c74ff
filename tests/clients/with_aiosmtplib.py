"""Send one message with aiosmtplib."""

import asyncio
import os
from email.message import EmailMessage

import aiosmtplib

message = EmailMessage()
message["From"], message["To"], message["Subject"] = os.environ["LOGIN"], os.environ["TO"], "aiosmtplib"
message.set_content("Hello")
implicit = os.environ["TLS"] == "implicit"
asyncio.run(
    aiosmtplib.send(
        message,
        hostname="127.0.0.1",
        port=int(os.environ["PORT"]),
        username=os.environ["LOGIN"],
        password=os.environ["PASSWORD"],
        use_tls=implicit,
        start_tls=not implicit,
        validate_certs=False,
    )
)
