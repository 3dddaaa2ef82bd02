"""What schemathesis is told of the stage: whom to write to, and which tenant may be unlinked.

Made-up names are mostly names of nobody. Where a request is to be valid, most of them are replaced by those that are there, so that the
handlers behind the checks are reached. What ends a session is asked of a tenant that is there for it, whatever was made up: else the
one that all the rest is about would be gone.
"""

import os
import random
from urllib.parse import quote

import schemathesis

TENANT = os.environ["TENANT"]
SPARE = os.environ["SPARE_TENANT"]
NUMBER = os.environ["CUSTOMER"]
MESSAGE = os.environ["MESSAGE"]
CHAT = f"{NUMBER}@c.us"

ENDING = {
    "POST /api/baileys/disconnect",
    "POST /api/baileys/clean-session",
    "POST /api/baileys/connect",
    "DELETE /api/sessions/{session}",
    "POST /api/sessions",
    "POST /api/sessions/logout",
    "POST /api/sessions/start",
    "POST /api/sessions/stop",
    "POST /api/sessions/{session}/logout",
    "POST /api/sessions/{session}/restart",
    "POST /api/sessions/{session}/start",
    "POST /api/sessions/{session}/stop",
    "POST /api/{session}/auth/request-code",
}

THERE = {
    "tenantId": TENANT,
    "session": TENANT,
    "chatId": CHAT,
    "to": NUMBER,
    "messageId": f"true_{CHAT}_{MESSAGE}",
    "pollMessageId": MESSAGE,
    "reply_to": MESSAGE,
    "mentions": [CHAT],
}
NAMES = ("tenantId", "session", "name", "id")

# Whatever is made up here, the log that the test reads at the end goes on.
LOG_FILTER = "PUT /api/server/log-filter"

chance = random.Random(int(os.environ.get("SEED", "1")))


def parts(case):
    body = case.body if isinstance(case.body, dict) else None
    return [part for part in (case.path_parameters, case.query, body) if part]


@schemathesis.hook
def before_call(context, case, kwargs):
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    ending = case.operation.label in ENDING
    for part in parts(case):
        for name in list(part):
            if positive and name in THERE and chance.random() < 0.8:
                in_path = part is case.path_parameters
                part[name] = quote(THERE[name], safe="@") if in_path else THERE[name]
            if ending and name in NAMES and part[name] == TENANT:
                part[name] = SPARE
        if positive and case.operation.label == LOG_FILTER and "filter" in part:
            part["filter"] = "info"
