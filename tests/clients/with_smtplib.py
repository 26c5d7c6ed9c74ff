"""Send one message with Python's own smtplib."""

import os
import smtplib
import ssl

context = ssl._create_unverified_context()  # noqa: S323  the relay under test has a certificate of its own
port, login = int(os.environ["PORT"]), os.environ["LOGIN"]
implicit = os.environ["TLS"] == "implicit"
client = smtplib.SMTP_SSL("127.0.0.1", port, context=context) if implicit else smtplib.SMTP("127.0.0.1", port)
with client:
    if not implicit:
        client.starttls(context=context)
    client.login(login, os.environ["PASSWORD"])
    client.sendmail(login, [os.environ["TO"]], f"From: {login}\r\nSubject: smtplib\r\n\r\nHello\r\n")
