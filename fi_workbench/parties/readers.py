"""Loading data sets: those that come along by name, one's own from ``.npz``."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidData, MissingData
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.core.randomness import generator
from fi_workbench.core.registry import Registry
from fi_workbench.parties.data import Dataset
from fi_workbench.parties.download import RemoteFile, find_or_download

datasets: Registry[Callable[[OnProgress], Dataset]] = Registry("dataset")
"""Data sets by name: functions that load one, telling their progress."""

_UNREADABLE = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)

FASHIONMNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_FASHIONMNIST_SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

# keyed by their part of the data set; the site speaks http only, so the checksums are what is trusted
FASHIONMNIST_FILES = {
    "train_images": RemoteFile(
        f"{_FASHIONMNIST_SITE}/train-images-idx3-ubyte.gz",
        "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        26_421_880,
    ),
    "train_labels": RemoteFile(
        f"{_FASHIONMNIST_SITE}/train-labels-idx1-ubyte.gz",
        "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        29_515,
    ),
    "test_images": RemoteFile(
        f"{_FASHIONMNIST_SITE}/t10k-images-idx3-ubyte.gz",
        "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        4_422_102,
    ),
    "test_labels": RemoteFile(
        f"{_FASHIONMNIST_SITE}/t10k-labels-idx1-ubyte.gz",
        "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        5_148,
    ),
}

# the checksum is the one that MedMNIST publishes
PNEUMONIAMNIST_FILE = RemoteFile(
    "https://zenodo.org/records/10519652/files/pneumoniamnist.npz", "md5:28209eda62fecd6e6a2d98b1501bb15f", 16_000_000
)

DIGITS_TEST_SHARE = 0.2

_NPZ_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)


def load_dataset(name: str | Path, on_progress: OnProgress = quiet) -> Dataset:
    """A data set by its name, or one's own from an ``.npz`` file.

    Parameters
    ----------
    name : str or Path
        ``"digits"`` (comes with scikit-learn), ``"fashionmnist"``, ``"pneumoniamnist"`` (from ``FI_WORKBENCH_DATA``, or
        downloaded once), or the path of an ``.npz`` file, see :func:`read_npz`.
    on_progress : callable
        Hears of downloads.

    Raises
    ------
    UnknownName
        No data set of this name.
    MissingData
        Neither on this machine nor to be downloaded; the message says where to put the files.
    InvalidData, CorruptFile
        Files that are not what they should be.
    """
    if isinstance(name, Path) or str(name).endswith(".npz"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise MissingData(
                f"There is no file {path}; give the path of an .npz file or one of: {', '.join(datasets)}."
            )
        return read_npz(path)
    return datasets[name](on_progress)


def digits(_on_progress: OnProgress) -> Dataset:
    """1,797 handwritten digits of 8x8, as they come with scikit-learn; a fixed fifth is the test set."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 (scikit-learn takes seconds to import)

    bundle = load_digits()
    order = generator(0, "digits", "split").permutation(len(bundle.target))
    test, train = np.split(order, [round(DIGITS_TEST_SHARE * len(order))])
    images = (bundle.images / 16).astype(np.float32)  # pixels count 0 to 16 set bits of a 4x4 block
    return Dataset.from_arrays(
        images[train],
        bundle.target[train],
        images[test],
        bundle.target[test],
        name="digits",
        classes=[str(digit) for digit in range(10)],
        licence="CC BY 4.0",
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (test part), through scikit-learn",
        note="Split at random, the same every time: 1,438 training and 359 test images.",
    )


def fashionmnist(on_progress: OnProgress) -> Dataset:
    """70,000 pictures of clothes of 28x28 in 10 classes (Xiao, Rasul and Vollgraf, arXiv:1708.07747)."""

    def part(name: str) -> NDArray[np.uint8]:
        return read_idx(find_or_download("fashionmnist", FASHIONMNIST_FILES[name], on_progress))

    return Dataset.from_arrays(
        part("train_images"),
        part("train_labels"),
        part("test_images"),
        part("test_labels"),
        name="fashionmnist",
        classes=FASHIONMNIST_CLASSES,
        licence="MIT",
        source="github.com/zalandoresearch/fashion-mnist",
    )


def pneumoniamnist(on_progress: OnProgress) -> Dataset:
    """Chest X-rays of children of 28x28, normal or pneumonia (Yang et al., MedMNIST v2, Scientific Data 2023).

    Training images that also occur among the official validation images are dropped, so that who validates on those
    does not validate on what was trained on. The validation images themselves are not used.
    """
    path = find_or_download("pneumoniamnist", PNEUMONIAMNIST_FILE, on_progress)
    names = ("train_images", "train_labels", "val_images", "test_images", "test_labels")
    arrays = _npz_arrays(path, names)
    validation = {image.tobytes() for image in arrays.pop("val_images")}
    kept = np.array([image.tobytes() not in validation for image in arrays["train_images"]])
    dropped = int((~kept).sum())
    arrays["train_images"], arrays["train_labels"] = arrays["train_images"][kept], arrays["train_labels"][kept]
    return Dataset.from_arrays(
        **arrays,
        name="pneumoniamnist",
        classes=("normal", "pneumonia"),
        licence="CC BY 4.0",
        source="MedMNIST v2, doi.org/10.5281/zenodo.10519652",
        note=f"{dropped} training images that also occur among the validation images are left out.",
    )


def read_npz(path: Path) -> Dataset:
    """One's own data set from an ``.npz`` file.

    Parameters
    ----------
    path : Path
        Holds ``train_images, train_labels, test_images, test_labels`` or ``x_train, y_train, x_test, y_test``, in the
        layouts of :meth:`Dataset.from_arrays`, and optionally ``classes`` (class,) as text. Pickles are refused.

    Raises
    ------
    InvalidData
        Not such a file.
    """
    with _opened(path) as archive:
        held = set(archive.files)
    names = next((names for names in _NPZ_NAMES if held.issuperset(names)), None)
    if names is None:
        wanted = " or ".join(", ".join(names) for names in _NPZ_NAMES)
        raise InvalidData(f"{path} holds {', '.join(sorted(held)) or 'nothing'}; {wanted} are needed.")
    arrays = _npz_arrays(path, names + (("classes",) if "classes" in held else ()))
    classes = arrays.pop("classes", None)
    return Dataset.from_arrays(
        *arrays.values(),
        name=path.stem,
        classes=None if classes is None else [str(name) for name in classes.ravel()],
        source=str(path),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes from a gzipped idx file (the format of MNIST).

    Raises
    ------
    InvalidData
        Truncated, or not such a file.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidData(f"{path} cannot be unpacked ({error}); fetch it again.") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise InvalidData(f"{path} is not an idx file of bytes.")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64)
    if len(content) - start != shape.prod():
        raise InvalidData(
            f"{path} announces {tuple(shape.tolist())} bytes but holds {len(content) - start}; fetch it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _npz_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    with _opened(path) as archive:
        try:
            return {name: archive[name] for name in names}
        except KeyError as error:
            raise InvalidData(f"{path} lacks {error}; it holds {', '.join(archive.files)}.") from error
        except _UNREADABLE as error:
            raise InvalidData(f"{path} cannot be read: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)  # a pickle may run any code
        except _UNREADABLE as error:
            raise InvalidData(f"{path} is not an .npz file of plain arrays: {error}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InvalidData(f"{path} holds one array; an .npz file with several named ones is needed.")
        with archive:
            yield archive


for _function in (digits, fashionmnist, pneumoniamnist):
    datasets.add(_function.__name__, _function)
