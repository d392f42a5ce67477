"""Architectures as people write them, small enough for a test."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.evaluating import reference


class Mlp(nn.Module):
    def __init__(self, shape=(3, 8, 8)):
        super().__init__()
        self.first = nn.Linear(int(np.prod(shape)), 48)
        self.last = nn.Linear(48, 10)

    def forward(self, x):
        return self.last(F.relu(self.first(x.view(x.size(0), -1))))


class MaxPooled(nn.Module):
    """Convolutions, each with ReLU and max pooling, in functional form."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.fc1 = nn.Linear(48, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Block(nn.Module):
    """A residual block as in torchvision's ResNet-18."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    """Its 18 layers with the stem for small images, and ``width`` instead of 64 channels."""

    def __init__(self, width=8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for k in range(1, 5):
            stride = 1 if k == 1 else 2
            blocks = Block(widths[k - 1], widths[k], stride), Block(widths[k], widths[k], 1)
            setattr(self, f"layer{k}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def seeded(make, seed=0):
    """A module with parameters of its own seed, and batch norms that are not idle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 1.5)
                if layer.affine:
                    nn.init.uniform_(layer.weight, 0.5, 1.5)
                    nn.init.normal_(layer.bias, 0, 0.2)
    return module.eval()


def queries(shape, n=5, seed=1, bound=4.0):
    drawn = np.random.default_rng(seed).normal(size=(n, *shape))
    return np.clip(drawn, -bound, bound).astype(np.float32)


def logits_of(module, asked):
    with torch.inference_mode():
        return module(torch.from_numpy(asked)).numpy().astype(np.float64)


def agreeing(module, shape, *, tolerance=1e-3, **options):
    """Compile, hold the ring's logits against the module's for batches of 1 and 5, and hand back what was compiled."""
    options = {"input_bound": 4.0, "name": "net"} | options
    compiled = compile_module(module, shape, **options)
    asked = queries(shape, bound=options["input_bound"])
    expected = logits_of(module, asked)
    for n in (1, 5):
        got = reference(compiled, asked[:n])
        assert got.shape == expected[:n].shape
        np.testing.assert_allclose(got, expected[:n], atol=tolerance, rtol=0)
        best = np.sort(expected[:n], axis=1)
        clear = best[:, -1] - best[:, -2] > 2 * tolerance
        np.testing.assert_array_equal(got.argmax(1)[clear], expected[:n].argmax(1)[clear])
    return compiled
