"""WAHA's client (PyPI waha-py), driven over standard input and output by JSON lines.

    python client.py <base url> <key>

{"method": "group.method", "arguments": [...]} -> {"result": ...} or {"error": "..."}

With "model": "Name" the result must be one of the package's models, with "model": "[Name]" a list of them. A line with a "value" and no
"method" asks only whether that is one.
"""

import json
import sys

from waha import WahaClient
from waha.generated import models


def call(client, method, arguments):
    group, name = method.split(".")
    return getattr(getattr(client, group), name)(*arguments)


def check(result, model):
    if model.startswith("["):
        assert isinstance(result, list), f"no list: {result}"
        for one in result:
            check(one, model[1:-1])
    else:
        getattr(models, model).model_validate(result)


client = WahaClient(sys.argv[1], api_key=sys.argv[2])
for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"result": call(client, asked["method"], asked["arguments"]) if "method" in asked else asked["value"]}
        if asked.get("model"):
            check(answer["result"], asked["model"])
    except Exception as error:  # whatever the client throws is an answer
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
