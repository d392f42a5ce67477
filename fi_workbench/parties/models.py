"""Small architectures for demo parties: functions of (input_shape, n_classes) that build a torch module.

``lenet`` is LeCun et al. 1998 with ReLU and average pooling; ``resnet`` is a small residual network with batch norm
after He et al., arXiv:1512.03385.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn

from fi_workbench.core.errors import InvalidParty
from fi_workbench.core.registry import Registry

Architecture: TypeAlias = Callable[[tuple[int, ...], int], nn.Module]
"""(input_shape, n_classes) -> module (query, *input_shape) -> logits (query, class)."""

architectures: Registry[Architecture] = Registry("model")
"""Architectures by name."""

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def build_model(name: str, input_shape: tuple[int, ...], n_classes: int, rng: torch.Generator) -> nn.Module:
    """A new module of a registered architecture on the CPU, in float32, its parameters drawn from ``rng``.

    Torch draws parameters from its global generator, which belongs to the user; so the module is built without memory
    first and filled here. Weights and biases are uniform within 1 / sqrt(fan-in), as torch draws them itself.

    Raises
    ------
    UnknownName
        No such architecture.
    InvalidParty
        An input that it cannot take, or a layer that cannot be filled.
    """
    architecture = architectures[name]
    with torch.device("meta"):
        module = architecture(input_shape, n_classes)
    module = module.to_empty(device="cpu").to(torch.float32)
    with torch.no_grad():
        for layer in module.modules():
            _fill(layer, rng)
    return module


def _fill(layer: nn.Module, rng: torch.Generator) -> None:
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
        bound = 1 / math.sqrt(layer.weight[0].numel())
        for parameter in layer.parameters(recurse=False):
            parameter.uniform_(-bound, bound, generator=rng)
    elif isinstance(layer, _NORMS):
        layer.reset_parameters()  # ones and zeros: draws nothing
    elif any(True for _ in layer.parameters(recurse=False)) or any(True for _ in layer.buffers(recurse=False)):
        raise InvalidParty(
            f"Layer {type(layer).__name__} has parameters that a demo party cannot draw reproducibly. Build the model "
            "from Linear, Conv and norm layers, or train it yourself and use Party.from_torch."
        )


def logistic_regression(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """One linear layer on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), n_classes))


def mlp(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """One hidden layer of 128."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 128), nn.ReLU(), nn.Linear(128, n_classes))


def lenet(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """LeNet-5: two 5x5 convolutions, average pooling, two hidden layers.

    The first convolution keeps the size, as if 28x28 were padded to the original's 32x32; the second does so too where
    the image is too small to lose four pixels (below 16), so that 8x8 digits end in 2x2 maps.
    """
    channels, height, width = _image_shape("lenet", input_shape)
    padding = 0 if min(height, width) // 2 >= 8 else 2
    rows, columns = ((side // 2 + 2 * padding - 4) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5, padding=padding),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * rows * columns, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, n_classes),
    )


def resnet(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Three residual blocks of 16, 32 and 64 channels, the last two halving the image, then the mean over positions."""
    channels, _, _ = _image_shape("resnet", input_shape)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        ResidualBlock(16, 16, stride=1),
        ResidualBlock(16, 32, stride=2),
        ResidualBlock(32, 64, stride=2),
        SpatialMean(),
        nn.Linear(64, n_classes),
    )


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + two 3x3 convolutions with batch norm)."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        same = n_in == n_out and stride == 1
        projection = (nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out))
        self.shortcut = nn.Identity() if same else nn.Sequential(*projection)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(query, n_in, height, width) -> (query, n_out, height / stride, width / stride)."""
        return torch.relu(self.shortcut(x) + self.body(x))


class SpatialMean(nn.Module):
    """(query, channel, height, width) -> (query, channel): the mean over positions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class; an explicit mean, because adaptive pooling has no deterministic gradient on CUDA."""
        return x.mean(dim=(2, 3))


def _image_shape(name: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(input_shape) != 3 or min(input_shape[1:]) < 4:
        raise InvalidParty(
            f"Model {name!r} needs images (channel, height, width) of at least 4x4, not {input_shape}; "
            "mlp takes any shape."
        )
    channels, height, width = input_shape
    return channels, height, width


for _function in (logistic_regression, mlp, lenet, resnet):
    architectures.add(_function.__name__, _function)
