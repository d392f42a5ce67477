"""What is compiled is what the three roles compute: each operation as the compiler makes it, through the engine."""

import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.evaluating import reference
from tests.mpc.compiler.nets import ResNet18, logits_of, queries, seeded
from tests.mpc.roles.trio import Trio


class Odd(nn.Module):
    """Odd windows, groups, a norm of its own, unequal factors, a residual, a clipped and a leaky ReLU."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 6, 3, stride=(1, 2), padding=(1, 0), groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding="same", dilation=2)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = F.max_pool2d(self.first(x), 3, 2, 1)
        x = self.norm(F.relu(x))
        x = F.relu6(self.second(x) + F.avg_pool2d(F.relu(x), 3, 1, 1))
        x = F.max_pool2d(x + F.relu(-x), 2, 1, dilation=(2, 1))
        return F.leaky_relu(self.head(x.flatten(1)), 0.3)


@pytest.mark.parametrize(("make", "shape"), [(Odd, (4, 8, 8)), (ResNet18, (3, 8, 8))])
def test_three_roles_give_the_logits_of_the_module(make, shape):
    module, asked = seeded(make), queries(shape, n=2)
    compiled = compile_module(module, shape, input_bound=4.0, sample=queries(shape, n=8, seed=4), name="net")
    answers = Trio(compiled.plan, compiled.weights).answers(asked)
    np.testing.assert_allclose(answers, logits_of(module, asked), atol=1e-3)
    np.testing.assert_allclose(answers, reference(compiled, asked), atol=5e-4)
