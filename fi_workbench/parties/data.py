"""Data sets: labelled images for training demo parties and for asking them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidData

_ROUNDING = 1e-6  # pixels scaled in float32 may leave [0, 1] by this much


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, split into training and test. The arrays cannot be written to.

    :meth:`from_arrays` takes other layouts and dtypes.

    Parameters
    ----------
    name : str
    train_images, test_images : array (sample, channel, height, width)
        float32 from 0 to 1.
    train_labels, test_labels : array (sample,)
        int64, positions in ``classes``.
    classes : tuple of str
        At least two different names.
    licence, source : str
        Under which terms, and where it comes from.
    note : str
        What was changed against the source.

    Raises
    ------
    InvalidData
        Anything that is not as above: shapes, lengths, NaN, ranges, labels outside the classes.
    """

    name: str
    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    licence: str = "not stated"
    source: str = "not stated"
    note: str = ""

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.classes)
        if len(names) < 2 or len(set(names)) < len(names):
            raise InvalidData(f"Data set {self.name!r} needs at least two classes with different names, not {names}.")
        object.__setattr__(self, "classes", names)
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            where = f"{part} images of data set {self.name!r}"
            if images.dtype != np.float32 or images.ndim != 4 or 0 in images.shape:
                raise InvalidData(
                    f"The {where} are {images.dtype} {images.shape}; float32 (sample, channel, height, width) is "
                    "needed. Dataset.from_arrays converts."
                )
            low, high = float(images.min()), float(images.max())
            if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # also false for NaN
                raise InvalidData(f"The {where} reach from {low:g} to {high:g}; scale them to 0 to 1, without NaN.")
            if labels.shape != (len(images),):
                raise InvalidData(f"There are {len(images)} {where} but labels of shape {labels.shape}.")
            if labels.dtype != np.int64 or labels.min() < 0 or labels.max() >= len(names):
                raise InvalidData(
                    f"The {part} labels of data set {self.name!r} must be int64 from 0 to {len(names) - 1} "
                    f"({len(names)} classes); they are {labels.dtype} from {labels.min()} to {labels.max()}."
                )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InvalidData(
                f"Data set {self.name!r} has training images of shape {self.train_images.shape[1:]} and test images of "
                f"shape {self.test_images.shape[1:]}; they must be alike."
            )
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            view = getattr(self, field).view()  # of its own: the caller's array stays writable to the caller
            view.setflags(write=False)
            object.__setattr__(self, field, view)

    @classmethod
    def from_arrays(
        cls,
        train_images: Any,
        train_labels: Any,
        test_images: Any,
        test_labels: Any,
        *,
        name: str = "my data",
        classes: Sequence[str] | None = None,
        licence: str = "not stated",
        source: str = "arrays",
        note: str = "",
    ) -> Dataset:
        """A data set of one's own.

        Parameters
        ----------
        train_images, test_images : array
            (sample, height, width), (sample, channel, height, width) or (sample, height, width, channel) with 1, 3 or 4
            channels; uint8 (divided by 255) or floats from 0 to 1.
        train_labels, test_labels : array
            (sample,) or (sample, 1): whole numbers from 0.
        classes : sequence of str, optional
            ``"0"``, ``"1"``, ... up to the highest label otherwise.
        name, licence, source, note
            See :class:`Dataset`.

        Raises
        ------
        InvalidData
            Arrays that are none of these.
        """
        train, test = _as_labels(train_labels, name), _as_labels(test_labels, name)
        highest = max(int(labels.max(initial=0)) for labels in (train, test))
        return cls(
            name=name,
            train_images=_as_images(train_images, name),
            train_labels=train,
            test_images=_as_images(test_images, name),
            test_labels=test,
            classes=tuple(map(str, range(highest + 1))) if classes is None else tuple(classes),
            licence=licence,
            source=source,
            note=note,
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def n_classes(self) -> int:
        """How many classes."""
        return len(self.classes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what parties are trained on: training images, training labels and classes."""
        sha = hashlib.sha256(repr((self.train_images.shape, self.classes)).encode())
        for array in (self.train_images, self.train_labels):
            sha.update(np.ascontiguousarray(array).data.cast("B"))  # 188 MB for FashionMNIST: hashed without a copy
        return sha.hexdigest()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        sizes = f"{len(self.train_labels)} + {len(self.test_labels)}"
        return f"Dataset({self.name!r}, {sizes} images {shape}, {self.n_classes} classes, {self.licence})"


def _as_images(values: Any, name: str) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / np.float32(255)
    elif array.dtype.kind in "fb":
        array = array.astype(np.float32)
    else:
        raise InvalidData(f"Images of data set {name!r} have dtype {array.dtype}; give uint8, or floats from 0 to 1.")
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim != 4:
        raise InvalidData(f"Images of data set {name!r} have shape {array.shape}; (sample, height, width) is needed.")
    return np.ascontiguousarray(array)


def _as_labels(values: Any, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "iu" and not (array.dtype.kind == "f" and (array == np.floor(array)).all()):
        raise InvalidData(f"Labels of data set {name!r} have dtype {array.dtype}; whole numbers from 0 are needed.")
    return array.astype(np.int64)
