"""An SMTP server (PyPI aiosmtpd) that wants a login.

    python server.py <certificate> <key> <tls | starttls | plain> <user> <password>

Prints its port, then each message that it takes as a line of JSON. Ends with its standard input.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "id": mail["message-id"],
            "subject": mail["subject"],
            "text": mail.get_content(),
        }
        print(json.dumps(taken), flush=True)
        return "250 OK"


def authenticator(user, password):
    def authenticate(server, session, envelope, mechanism, data):
        is_right = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=is_right, handled=False)

    return authenticate


async def main(certificate, key, kind, user, password):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()

    def factory():
        return SMTP(
            Handler(),
            loop=loop,
            # Its own name is asked for otherwise, of whoever resolves names.
            hostname="localhost",
            authenticator=authenticator(user, password),
            auth_required=True,
            # Under TLS from the first byte it does not know that there is TLS.
            auth_require_tls=kind == "starttls",
            tls_context=context if kind == "starttls" else None,
            require_starttls=kind == "starttls",
        )

    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context if kind == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
