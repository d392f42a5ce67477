"""The models and inputs of the comparison, the same for every system; needs nothing but torch and numpy."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

INPUT_SHAPE = (3, 32, 32)
INPUT_BOUND = 4.0
N_CLASSES = 10
_INPUT_SEED, _SAMPLE_SEED = 1, 2


class Mlp(nn.Module):
    """3072-512-10."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3072, 512)
        self.last = nn.Linear(512, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.relu(self.first(x.flatten(1))))


class LeNet(nn.Module):
    """LeNet-5 with ReLU and average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(F.relu(self.conv1(x)), 2)
        x = F.avg_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class SmallCnn(nn.Module):
    """Two convolutions, each with max pooling, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(4096, 256), nn.Linear(256, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 with the stem for images of 32 x 32: 3 x 3, no pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        self.blocks = nn.Sequential(
            *(
                block
                for k in range(1, 5)
                for block in (Block(widths[k - 1], widths[k], 1 if k == 1 else 2), Block(widths[k], widths[k], 1))
            )
        )
        self.fc = nn.Linear(512, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.fc(F.avg_pool2d(x, 4).flatten(1))


MODELS = {"mlp": Mlp, "lenet": LeNet, "cnn": SmallCnn, "resnet18": ResNet18}
TITLES = {"mlp": "MLP 3072-512-10", "lenet": "LeNet (avg pool)", "cnn": "small CNN (max pool)",
          "resnet18": "ResNet18 (CIFAR)"}  # fmt: skip


def make(name: str, number: int = 0) -> nn.Module:
    """A model in evaluation mode; the same name and number give the same weights everywhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000 + number)
        module = MODELS[name]()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):  # not idle, and no two alike: CrypTen cannot read an export with such
                nn.init.normal_(layer.running_mean, 0, 0.1)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
                nn.init.uniform_(layer.weight, 0.8, 1.2)
                nn.init.normal_(layer.bias, 0, 0.1)
    return module.eval()


def queries(n: int) -> np.ndarray:
    """(n, 3, 32, 32), float32, within the bound."""
    return _drawn(_INPUT_SEED, n)


def sample() -> np.ndarray:
    """What an owner calibrates bounds on: other queries of the same kind."""
    return _drawn(_SAMPLE_SEED, 16)


def plain_sum(name: str, n_models: int, asked: np.ndarray) -> np.ndarray:
    """The sum of the models' logits in the clear, (query, class)."""
    with torch.inference_mode():
        return sum(make(name, k)(torch.from_numpy(asked)).double() for k in range(n_models)).numpy()


def _drawn(seed: int, n: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, *INPUT_SHAPE))
    return np.clip(drawn, -INPUT_BOUND, INPUT_BOUND).astype(np.float32)
