"""A process that does what it is told: one JSON object a line on its standard input, one reply a line back.

Standard library only, since processes of other environments speak it too. The process ends when its input does, so it
cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Command = Callable[..., Any]


def serve(commands: Mapping[str, Command]) -> int:
    """Carry out commands until the input ends; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        told = json.loads(line)
        try:
            reply = {"reply": commands[told.pop("do")](**told)}
        except Exception as error:  # noqa: BLE001 (whoever told us raises it)
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    return 0
