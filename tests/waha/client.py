"""WAHA's client (PyPI waha-py), driven over standard input and output by JSON lines.

    python client.py <base url> <key>

{"method": "group.method", "arguments": [...]} -> {"result": ...} or {"error": "..."}
"""

import json
import sys

from waha import WahaClient


def call(client, method, arguments):
    group, name = method.split(".")
    return getattr(getattr(client, group), name)(*arguments)


client = WahaClient(sys.argv[1], api_key=sys.argv[2])
for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"result": call(client, asked["method"], asked["arguments"])}
    except Exception as error:  # whatever the client throws is an answer
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
