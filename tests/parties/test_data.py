import gzip
import hashlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidData, MissingData, UnknownName
from fi_workbench.parties import Dataset, datasets, load_dataset, readers
from fi_workbench.parties.download import RemoteFile, find_or_download

SHARED = os.environ.get("FI_WORKBENCH_DATA", "")

IMAGES = np.random.default_rng(0).uniform(size=(6, 5, 6)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def arrays(**changes):
    given = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[:3], "test_labels": LABELS[:3]}
    return given | changes


class TestDataset:
    def test_digits(self):
        data = load_dataset("digits")
        assert data.input_shape == (1, 8, 8)
        assert (len(data.train_labels), len(data.test_labels), data.n_classes) == (1438, 359, 10)
        assert data.train_images.dtype == np.float32
        assert data.train_images.max() == 1
        assert np.bincount(data.test_labels).min() > 20
        assert data.digest == load_dataset("digits").digest  # the split is fixed
        assert "digits" in repr(data)

    @pytest.mark.parametrize(
        ("images", "shape"),
        [
            (IMAGES, (1, 5, 6)),
            (IMAGES[:, None], (1, 5, 6)),
            (IMAGES[..., None], (1, 5, 6)),
            (np.stack([IMAGES] * 3, -1), (3, 5, 6)),
            ((IMAGES * 255).astype(np.uint8), (1, 5, 6)),
            (IMAGES.astype(np.float64), (1, 5, 6)),
            (IMAGES > 0.5, (1, 5, 6)),
        ],
    )
    def test_layouts(self, images, shape):
        data = Dataset.from_arrays(**arrays(train_images=images, test_images=images[:3]))
        assert data.input_shape == shape
        assert data.classes == ("0", "1", "2")

    def test_bytes_are_scaled(self):
        images = np.array([0, 255] * 10, dtype=np.uint8).reshape(1, 4, 5)
        data = Dataset.from_arrays(images, [1], images, [[0]])
        assert (data.train_images.min(), data.train_images.max()) == (0, 1)

    def test_read_only_without_touching_the_callers_array(self):
        images = np.ascontiguousarray(IMAGES[:, None])
        data = Dataset.from_arrays(**arrays(train_images=images))
        assert images.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            data.train_images[0] = 0

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"train_images": np.where(IMAGES > 0.5, np.nan, IMAGES)}, "NaN"),
            ({"train_images": IMAGES * 255}, "scale them"),
            ({"train_images": IMAGES - 0.5}, "scale them"),
            ({"train_images": IMAGES.astype(int)}, "dtype int64"),
            ({"train_images": IMAGES[:5]}, "5 train images .* labels of shape"),
            ({"train_images": IMAGES.reshape(6, 30)}, "height, width"),
            ({"test_images": IMAGES[:3, :2]}, "must be alike"),
            ({"test_images": IMAGES[:0], "test_labels": LABELS[:0]}, "needed"),
            ({"train_labels": LABELS - 1}, "from 0 to 2"),
            ({"train_labels": LABELS + 0.5}, "whole numbers"),
            ({"train_labels": LABELS.astype(str)}, "whole numbers"),
            ({"train_labels": np.stack([LABELS, LABELS], 1)}, "labels of shape"),
            ({"classes": ["a", "b"]}, "from 0 to 1"),
            ({"classes": ["a", "b", "b"]}, "different names"),
            ({"train_labels": LABELS * 0, "test_labels": LABELS[:3] * 0}, "at least two classes"),
        ],
    )
    def test_refused(self, changes, message):
        with pytest.raises(InvalidData, match=message):
            Dataset.from_arrays(**arrays(**changes))

    def test_digest_depends_on_what_is_trained_on(self):
        first = Dataset.from_arrays(**arrays())
        changed = IMAGES.copy()
        changed[0, 0, 0] = 1
        others = [
            Dataset.from_arrays(**arrays(train_images=changed)),
            Dataset.from_arrays(**arrays(train_labels=LABELS[::-1])),
            Dataset.from_arrays(**arrays(classes=["a", "b", "c"])),
        ]
        assert len({first.digest, *(other.digest for other in others)}) == 4
        assert Dataset.from_arrays(**arrays(test_images=IMAGES[3:])).digest == first.digest


class TestNpz:
    @pytest.mark.parametrize("names", readers._NPZ_NAMES)
    def test_read(self, tmp_path, names):
        path = tmp_path / "mine.npz"
        np.savez(path, **dict(zip(names, arrays().values(), strict=True)), classes=np.array(["a", "b", "c"]))
        for given in (path, str(path)):
            data = load_dataset(given)
            assert (data.name, data.classes, data.source) == ("mine", ("a", "b", "c"), str(path))
            assert np.array_equal(data.train_images[:, 0], IMAGES)

    def test_missing(self, tmp_path):
        with pytest.raises(MissingData, match="no file"):
            load_dataset(tmp_path / "none.npz")
        with pytest.raises(UnknownName, match="digits"):
            load_dataset("digit")

    def test_refused(self, tmp_path):
        path = tmp_path / "mine.npz"
        np.savez(path, images=IMAGES)
        with pytest.raises(InvalidData, match=r"holds images; train_images.* are needed"):
            load_dataset(path)
        np.savez(path, **arrays(train_labels=LABELS.astype(object)))
        with pytest.raises(InvalidData, match="allow_pickle"):
            load_dataset(path)
        np.savez_compressed(path, **arrays())
        whole = path.read_bytes()
        for content in (b"", b"PK not a zip", whole[: len(whole) // 2], whole[:200] + b"\xff" * 40 + whole[240:]):
            path.write_bytes(content)
            with pytest.raises(InvalidData, match=r"mine\.npz"):
                load_dataset(path)
        with path.open("wb") as file:
            np.save(file, IMAGES)
        with pytest.raises(InvalidData, match="one array"):
            load_dataset(path)


def idx(array):
    head = b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes())


class TestIdx:
    def test_read(self, tmp_path):
        path = tmp_path / "a.gz"
        pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        path.write_bytes(idx(pixels))
        assert np.array_equal(readers.read_idx(path), pixels)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"nothing", "unpacked"),
            (idx(np.zeros((9, 9)))[:-9], "unpacked"),
            (gzip.compress(b""), "not an idx"),
            (gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x01zzzz"), "not an idx"),
            (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"), r"announces \(5,\) bytes but holds 3"),
        ],
    )
    def test_refused(self, tmp_path, content, message):
        path = tmp_path / "a.gz"
        path.write_bytes(content)
        with pytest.raises(InvalidData, match=message):
            readers.read_idx(path)


class QuietHandler(SimpleHTTPRequestHandler):
    served: list[str]

    def log_message(self, *args):
        self.served.append(self.path)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server of this test's own: (folder, address, paths asked for)."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "site"
    folder.mkdir()
    handler = type("Handler", (QuietHandler,), {"served": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", handler.served
    server.shutdown()
    thread.join()
    server.server_close()


def remote(site, content, name="file.bin", max_bytes=10_000_000):
    folder, address, _ = site
    (folder / name).write_bytes(content)
    return RemoteFile(f"{address}/{name}", f"sha256:{hashlib.sha256(content).hexdigest()}", max_bytes)


class TestDownload:
    def test_once_with_progress(self, home, site):
        content = os.urandom(700_000)
        file, seen = remote(site, content), []
        path = find_or_download("some", file, seen.append)
        assert path.read_bytes() == content
        assert path.is_relative_to(home)
        assert (seen[0].done, seen[-1].done, seen[-1].total, seen[-1].unit) == (0, 700_000, 700_000, "bytes")
        assert find_or_download("some", file, seen.append) == path
        assert len(site[2]) == 1
        assert not list(path.parent.glob("*.part"))

    def test_the_users_own_file_goes_first(self, home, site, tmp_path, monkeypatch):
        own = tmp_path / "own" / "some" / "file.bin"
        own.parent.mkdir(parents=True)
        own.write_bytes(b"mine")
        monkeypatch.setenv("FI_WORKBENCH_DATA", str(tmp_path / "own"))
        assert find_or_download("some", remote(site, b"theirs"), print) == own

    def test_a_damaged_file_is_set_aside_and_fetched_again(self, home, site):
        file = remote(site, b"content")
        path = find_or_download("some", file, lambda progress: None)
        path.write_bytes(b"garbage")
        with pytest.warns(UserWarning, match="corrupt-1 and downloaded again"):
            assert find_or_download("some", file, lambda progress: None).read_bytes() == b"content"
        assert path.with_name("file.bin.corrupt-1").read_bytes() == b"garbage"

    def test_refused(self, home, site):
        file = remote(site, b"content")
        (site[0] / "file.bin").write_bytes(b"changed")
        with pytest.raises(MissingData, match=r"checksum.*Put the file at .*file\.bin.*FI_WORKBENCH_DATA"):
            find_or_download("some", file, lambda progress: None)
        with pytest.raises(MissingData, match="more than the 3 bytes"):
            find_or_download("some", remote(site, b"long", max_bytes=3), lambda progress: None)
        (site[0] / "file.bin").unlink()
        with pytest.raises(MissingData, match="404"):
            find_or_download("some", file, lambda progress: None)
        with pytest.raises(MissingData, match="could not be downloaded"):
            find_or_download("some", RemoteFile("http://127.0.0.1:9/x", "sha256:0", 1), lambda progress: None)
        assert not [path for path in home.rglob("*") if path.suffix == ".part" or path.name == "file.bin"]
        with pytest.raises(ValueError, match="not an address"):
            RemoteFile("file:///etc/hostname", "sha256:0", 1)

    def test_stopping_leaves_nothing_behind(self, home, site):
        def stop(progress):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            find_or_download("some", remote(site, b"content"), stop)
        assert not list(home.rglob("file.bin*.part"))

    def test_two_at_once_download_once(self, home, site):
        file = remote(site, os.urandom(300_000))
        threads = [threading.Thread(target=find_or_download, args=("some", file, lambda p: None)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(site[2]) == 1

    def test_fashionmnist(self, home, site, monkeypatch):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28))
        content = {
            "train_images": pixels,
            "train_labels": np.arange(20) % 10,
            "test_images": pixels[:5],
            "test_labels": np.arange(5),
        }
        files = {part: remote(site, idx(array), f"{part}.gz") for part, array in content.items()}
        monkeypatch.setattr(readers, "FASHIONMNIST_FILES", files)
        data = load_dataset("fashionmnist")
        assert (data.input_shape, data.n_classes, data.licence) == ((1, 28, 28), 10, "MIT")
        assert np.allclose(data.train_images[:, 0], pixels / 255, atol=1e-6)

    def test_pneumoniamnist_drops_what_validation_holds(self, home, site, monkeypatch, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
        labels = (np.arange(20) % 2)[:, None]
        path = tmp_path / "made.npz"
        np.savez(
            path,
            train_images=pixels,
            train_labels=labels,
            val_images=pixels[3:6],
            test_images=pixels[:4],
            test_labels=labels[:4],
        )
        monkeypatch.setattr(readers, "PNEUMONIAMNIST_FILE", remote(site, path.read_bytes(), "pneumoniamnist.npz"))
        data = load_dataset("pneumoniamnist")
        assert data.classes == ("normal", "pneumonia")
        assert len(data.train_labels) == 17
        assert data.note.startswith("3 training images")


def test_every_data_set_is_documented():
    assert set(datasets) >= {"digits", "fashionmnist", "pneumoniamnist"}
    assert all(function.__doc__ for _, function in datasets.items())


@pytest.mark.golden
@pytest.mark.skipif(not (Path(SHARED) / "fashionmnist").is_dir() or not SHARED, reason="FI_WORKBENCH_DATA lacks it")
def test_the_real_fashionmnist():
    data = load_dataset("fashionmnist")
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert np.bincount(data.train_labels).tolist() == [6000] * 10
    assert data.classes[0] == "T-shirt/top"
    for file in readers.FASHIONMNIST_FILES.values():
        content = (Path(SHARED) / "fashionmnist" / file.name).read_bytes()
        assert file.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert len(content) <= file.max_bytes


@pytest.mark.golden
@pytest.mark.skipif(not (Path(SHARED) / "pneumoniamnist").is_dir() or not SHARED, reason="FI_WORKBENCH_DATA lacks it")
def test_the_real_pneumoniamnist():
    data = load_dataset("pneumoniamnist")
    assert (len(data.train_labels), len(data.test_labels)) == (4698, 624)  # 8 validation images fill 10 places in train
    assert data.note.startswith("10 training images")
    assert data.test_labels.mean() == pytest.approx(390 / 624)
