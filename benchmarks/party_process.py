"""`python -m benchmarks.party_process`: one process with one party or several, told on its standard input what to join.

The first line is a plan in JSON; the process ends when the input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack

import fi_workbench as fi
from benchmarks.toy_parties import toy_party

CONNECT_SECONDS = 60.0


def main() -> int:
    plan = json.loads(sys.stdin.readline())
    with ExitStack() as stack:
        for one in plan["parties"]:
            party = toy_party(one["index"], tuple(plan["shape"]), plan["n_classes"])
            stack.enter_context(
                fi.join(
                    party, plan["link"], key=one["key"], token=one["token"], wait_seconds=CONNECT_SECONDS,
                    **plan["trust"],
                )
            )  # fmt: skip
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
