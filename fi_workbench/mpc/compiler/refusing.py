"""Why a model cannot be compiled, by the name of its layer, and what would do."""

from __future__ import annotations

from fi_workbench.core.errors import FederationError

RELU_INSTEAD = "nn.ReLU, with some epochs of training after the exchange"

NEAREST = {
    **dict.fromkeys(
        ("GELU", "SiLU", "ELU", "SELU", "CELU", "Mish", "Sigmoid", "Tanh", "Softplus"),
        RELU_INSTEAD,
    ),
    **dict.fromkeys(("Hardswish", "Hardsigmoid", "Hardtanh", "LogSigmoid", "Softsign", "Threshold"), RELU_INSTEAD),
    **dict.fromkeys(
        ("Softmax", "LogSoftmax", "Softmax2d", "Softmin"),
        "give the logits: leave the softmax out of the model, the client applies it to the opened sum",
    ),
    **dict.fromkeys(
        ("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LocalResponseNorm", "RMSNorm", "Normalize"),
        "nn.BatchNorm2d (or nn.BatchNorm1d), which is folded into the layer before it",
    ),
    **dict.fromkeys(
        ("Conv1d", "Conv3d", "ConvTranspose2d", "ConvTranspose1d", "LazyConv2d"),
        "nn.Conv2d on values (channel, height, width)",
    ),
    **dict.fromkeys(
        ("MaxPool1d", "MaxPool3d", "AdaptiveMaxPool2d", "FractionalMaxPool2d", "LPPool2d"),
        "nn.MaxPool2d with a fixed window",
    ),
    **dict.fromkeys(("AvgPool1d", "AvgPool3d", "AdaptiveAvgPool1d"), "nn.AvgPool2d on values (channel, height, width)"),
    **dict.fromkeys(("Cat", "Concat", "Concatenate", "Stack"), "a sum of two branches, as in a residual network"),
    **dict.fromkeys(("Upsample", "PixelShuffle", "Interpolate"), "a convolution with stride 1"),
    "Bilinear": "nn.Linear on one value",
    "Mul": "a product with a constant, or a layer of weights",
    "Matmul": "nn.Linear with fixed weights",
}
"""By a layer's kind; a function's kind is its name in the same spelling."""

SUPPORTED = (
    "Linear, Conv2d, BatchNorm1d/2d, ReLU, ReLU6, LeakyReLU, PReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, "
    "additions and subtractions, means over positions, Dropout and Identity"
)


class NotSupported(FederationError, ValueError):
    """A layer that secure inference cannot evaluate; the message says which, why, and what is nearest to it.

    Parameters
    ----------
    path : str
        Of the layer in the model: ``"features.3"``.
    kind : str
        ``"GELU"``.
    reason : str
        Completes "it ...".
    nearest : str
        The nearest form that is supported; looked up by ``kind`` where empty.
    """

    def __init__(self, path: str, kind: str, reason: str, nearest: str = "") -> None:
        self.path, self.kind, self.reason = path, kind, reason
        self.nearest = nearest or nearest_to(kind)
        where = f"{path} ({kind})" if path else kind
        super().__init__(f"Layer {where} does not fit secure inference: it {reason}. Nearest: {self.nearest}.")


class OutOfBounds(FederationError, ValueError):
    """A value that may be too large for the ring; the message names the layer, its bound, the limit, and the way out.

    Parameters
    ----------
    path : str
        Of the layer that makes the value.
    bound, limit : float
        How large it may get, and how large it may be.
    message : str
    """

    def __init__(self, path: str, bound: float, limit: float, message: str) -> None:
        self.path, self.bound, self.limit = path, bound, limit
        super().__init__(message)


class Inexact(FederationError, ValueError):
    """A model whose compiled form gives other logits than the model itself, by more than is promised."""


def nearest_to(kind: str) -> str:
    """The nearest supported form of a kind of layer or function."""
    plain = {name.lower(): form for name, form in NEAREST.items()}
    return plain.get(kind.lower().replace("_", "").strip(), f"one of {SUPPORTED}")
