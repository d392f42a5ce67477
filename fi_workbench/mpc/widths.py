"""How many bits of a value are needed: 64 where it reaches the output, 48 where a ReLU, truncation or sign follows.

What meets one of these is smaller than 2^46 either side of zero, so its low 48 bits say all of it; and sums
and products of words keep their low bits right whatever is above. A value is sent with as many bits as are needed.
"""

from __future__ import annotations

from fi_workbench.mpc.plan import Plan, Relu, Sign, Truncate

FULL = 64
SHORT = 48


def value_bits(plan: Plan) -> tuple[int, ...]:
    """For each value of a plan, the query first, 48 or 64: on how many of its low bits the output depends."""
    needed = [SHORT] * (len(plan.steps) + 1)
    needed[-1] = FULL
    for place in range(len(plan.steps) - 1, -1, -1):
        step = plan.steps[place]
        if needed[place + 1] == FULL and not isinstance(step.operation, Relu | Truncate | Sign):
            for value in step.inputs:
                needed[value] = FULL
    return tuple(needed)
