"""Sending a message by e-mail."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from rocketjob.store import Stored
from rocketjob_plugin_notify.content import details, headline
from rocketjob_plugin_notify.options import SMTP_PORTS, Refused, is_address


def send(message: Stored, own: Any) -> None:
    """Send a message to all its addresses.

    Raises:
        OSError: it is worth another try; errors of smtplib are of this kind.
        Refused: no mail server is set, or an address is none.
    """
    if not own.smtp:
        raise Refused("no mail server is set: smtp in [notify]")
    if wrong := [address for address in message["to"] if not is_address(address)]:
        raise Refused(f"{wrong[0]!r} is not an address")
    with _connected(own.smtp, own.timeout_seconds) as server:
        server.send_message(written(message, own.mail_from))


def written(message: Stored, sender: str) -> EmailMessage:
    """Return the mail. Its id is that of the message, so that a program can see it is the same."""
    content = message["content"]
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, ", ".join(message["to"])
    mail["Message-ID"] = f"<{message['_id']}@rocketjob>"
    mail["Date"] = content["at"]
    what = headline(content)
    mail["Subject"] = " ".join(what.split())[:150]
    lines = [what, f"At {content['at']:%Y-%m-%d %H:%M:%S} UTC.", *details(content)]
    mail.set_content("\n".join(lines) + "\n")
    return mail


def _connected(url: str, timeout: float) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[parts.scheme]
    me = socket.gethostname()  # smtplib would ask the DNS, which may take longer than all the rest
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, me, timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(host, port, me, timeout=timeout)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server
