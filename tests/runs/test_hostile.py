"""Damaged and hostile files: read or refused in a sentence, in little memory, and never run."""

import ast
import gzip
import hashlib
import io
import json
import pickle
import random
import resource
import sqlite3
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tinygrad_mnist
from tinygrad_mnist import byhand, data, export, nn
from tinygrad_mnist.cli.predictions import images_to_read
from tinygrad_mnist.data import images as images_module
from tinygrad_mnist.data import mnist
from tinygrad_mnist.runs import About, checkpoint
from tinygrad_mnist.store import PredictionLog, StoreError
from tinygrad_mnist.training import Recipe
from tinygrad_mnist.training.state import State

MEMORY = 64 << 20
"""Bytes that reading a small file may take."""

# ---------------------------------------------------------------- small valid files


def bytes_of(write, *arguments, **options):
    """What a function writes to a file that it is given."""
    file = io.BytesIO()
    write(file, *arguments, **options)
    return file.getvalue()


def idx(array):
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def text(images, labels):
    rows = [[label, *image] for label, image in zip(labels, images.tolist(), strict=True)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def picture(form):
    return bytes_of(lambda file: Image.fromarray(np.pad(STROKES, 4)).save(file, form))


def log_of_three(tmp):
    """An SQLite log with small pages, so that there are few bytes to change."""
    path = tmp / "log"
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    db.execute("VACUUM")
    db.close()
    with PredictionLog(path, create=True) as log:
        probabilities = np.random.default_rng(0).dirichlet(np.ones(10), 3).astype(np.float32)
        sources, images, labels = ["a.png", "b.png", "test 7"], np.tile(IMAGE, (3, 1)), [None, 3, 4]
        log.add("run", {"lr": 0.1}, "abc", sources, images, probabilities, labels)
    content = path.read_bytes()
    path.unlink()
    return content


def small_checkpoint(tmp):
    """A checkpoint of the smallest network that there is."""
    arrays = {"weight": np.ones((784, 10), np.float32), "bias": np.zeros(10, np.float32)}
    recipe, state = Recipe("x", hidden=()), State(arrays, {"epoch": 1})
    checkpoint.save(tmp, checkpoint.Checkpoint(recipe, state, {}, {}, {}))
    content = (tmp / checkpoint.NEWEST).read_bytes()
    (tmp / checkpoint.NEWEST).unlink()
    return content


STROKES = np.zeros((20, 9), np.uint8)
STROKES[:3], STROKES[:, 6:] = 200, 255
IMAGE = np.pad(STROKES, ((4, 4), (10, 9))).reshape(784)
IMAGES, LABELS = np.stack([IMAGE, IMAGE[::-1]]), np.array([7, 2])
MODEL = nn.MLP((3, 2), rng=np.random.default_rng(0))


class Reader(NamedTuple):
    """How a format is read, and what may come of it if a byte has changed."""

    content: bytes | Callable[[Path], bytes]
    read: Callable[[Path], Any]
    error: type[Exception] = data.DataError
    sealed: bool = False
    """Whether the format has a checksum: without, another pixel is as good as the right one."""


def state(model):
    return {name: t.data for name, t in model.state_dict().items()}


def parts(path):
    found = checkpoint.read(path)
    return asdict(found.recipe), *found.state, found.environment, found.data


def logged(path):
    with PredictionLog(path) as log:
        return list(log.predictions())


def pictures(path):
    return data.read_images(path.read_bytes(), str(path))


ZIPPED = bytes_of(np.savez_compressed, images=IMAGES, labels=LABELS)
STORED = bytes_of(np.savez, x_train=IMAGES[:1], y_train=LABELS[:1])
WEIGHTS = bytes_of(partial(export.write_npz, MODEL))
SAFE = bytes_of(lambda file: export.write_safetensors(MODEL, file, {"recipe": {"lr": 0.1}}))
READERS = {
    "idx": Reader(idx(IMAGES.reshape(-1, 28, 28)), lambda path: data.read_idx(path, 3)),
    "idx.gz": Reader(gzip.compress(idx(np.uint8(LABELS))), lambda path: data.read_idx(path, 1),
                     sealed=True),
    "csv.gz": Reader(gzip.compress(text(IMAGES, LABELS).encode()), data.load, sealed=True),
    "npz": Reader(ZIPPED, data.load, sealed=True),
    "npz, not compressed": Reader(STORED, data.load, sealed=True),
    "npz weights": Reader(WEIGHTS, lambda path: state(export.read_npz(path)), sealed=True),
    "npz weights on paper": Reader(WEIGHTS, lambda path: byhand.MLP.load(path).params, ValueError,
                                   sealed=True),
    "safetensors": Reader(SAFE, export.read_safetensors),
    "npy": Reader(bytes_of(np.save, IMAGE), pictures),
    "png": Reader(picture("PNG"), pictures, sealed=True),
    "jpeg": Reader(picture("JPEG"), pictures),
    "checkpoint": Reader(small_checkpoint, parts, sealed=True),
    "log": Reader(log_of_three, logged, StoreError),
}  # fmt: skip


def fingerprint(value):
    """A value with its arrays, such that equal ones are equal."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return [fingerprint(one) for one in value]
    if isinstance(value, dict):
        return {name: fingerprint(one) for name, one in value.items()}
    return value


def outcome(reader, path, content):
    """Read a file of this content: what is in it, or None if it was refused as it should be."""
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    found = error = None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = fingerprint(reader.read(path))
        except reader.error as caught:
            error = caught
    if error is not None:
        assert type(error) is reader.error
        assert_kind(str(error), path)
    assert tracemalloc.get_traced_memory()[1] - before < MEMORY
    assert warned == []
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == [path.name], "something was left beside it"
    return found


def assert_kind(message, path):
    """Names the file, and a cause that fits on two lines and holds no orders to a terminal."""
    said = message.replace(str(path), "FILE")
    assert "FILE" in said
    assert said.isprintable()
    assert 8 < len(said) < 600


@pytest.fixture
def traced():
    """Watch Python's memory."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.fixture
def frugal(traced):
    """Watch the memory of the process too: SQLite, Pillow and safetensors take their own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


SOME_AND_ALL = [150, pytest.param(None, marks=pytest.mark.slow)]


def places(content, some):
    """All positions in a file, or so many of them; of the long checkpoint, an eighth."""
    some = some or (len(content) if len(content) < 1 << 13 else 1 << 12)
    return sorted(random.Random(0).sample(range(len(content)), min(some, len(content))))


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    chosen = READERS[request.param]
    if isinstance(chosen.content, bytes):
        return chosen
    return chosen._replace(content=chosen.content(tmp_path))


def flipped(content, place, bits):
    """The content with one byte changed."""
    changed = bytearray(content)
    changed[place] ^= bits
    return bytes(changed)


# ---------------------------------------------------------------- every byte, every length


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("some", SOME_AND_ALL)
def test_a_changed_byte_is_noticed_or_gives_what_might_as_well_be_true(reader, tmp_path, some):
    path = tmp_path / "file"
    right = outcome(reader, path, reader.content)
    assert right is not None
    for place in places(reader.content, some):
        for flip in (0xFF, 0x01):
            found = outcome(reader, path, flipped(reader.content, place, flip))
            assert not reader.sealed or found in (None, right), f"byte {place} ^ {flip}"


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("some", SOME_AND_ALL)
def test_a_file_cut_short_is_never_taken_for_a_whole_one(reader, tmp_path, some):
    path = tmp_path / "file"
    right = outcome(reader, path, reader.content)
    for length in places(reader.content, some):
        assert outcome(reader, path, reader.content[:length]) in (None, right), f"{length} bytes"


def test_the_files_of_mnist_are_known_by_their_sums(tmp_path, monkeypatch):
    contents = {
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES.reshape(-1, 28, 28))),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(np.uint8(LABELS))),
    }
    sums = [f"{hashlib.sha256(of).hexdigest()}  {name}\n" for name, of in contents.items()]
    contents["SHA256SUMS"] = "".join(sums).encode()
    monkeypatch.setattr(mnist, "FOLDER", tmp_path)
    refused = 0
    for damaged, content in contents.items():
        for name, right in contents.items():
            (tmp_path / name).write_bytes(right)
        for place in places(content, 60):
            (tmp_path / damaged).write_bytes(flipped(content, place, 0x81))
            try:
                np.testing.assert_array_equal(data.load_mnist_test(None)[0], IMAGES)
                assert damaged == "SHA256SUMS"
            except data.DataError as error:
                refused += "damaged: its SHA-256 sum is not that of the original" in str(error)
    assert refused >= 145


# ---------------------------------------------------------------- code in files


class Payload:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


OBJECTS = np.array([Payload()], object)
PICKLES = {
    "a bare pickle": pickle.dumps(Payload()),
    "npy": bytes_of(np.save, OBJECTS, allow_pickle=True),
    "npy whose header says numbers": bytes_of(np.save, OBJECTS, allow_pickle=True)
    .replace(b"'|O'", b"'|u1'")
    .replace(b"(1,), }  ", b"(1,), }"),
    "npz of data": bytes_of(np.savez, images=OBJECTS, labels=OBJECTS),
    "npz of weights": bytes_of(np.savez, W1=OBJECTS, b1=OBJECTS),
    "npz whose member is a pickle": bytes_of(
        lambda file: zipfile.ZipFile(file, "w").writestr("W1.npy", pickle.dumps(Payload()))
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_a_pickle_is_never_opened(tmp_path, name, content):
    assert outcome(READERS[name], tmp_path / "file", content) is None


PICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def test_nothing_in_the_package_opens_pickles():
    for path in Path(tinygrad_mnist.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not PICKLERS & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] not in PICKLERS, path
            elif isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("np.load", "numpy.load", "eval"), path
                allowed = [key.value for key in node.keywords if key.arg == "allow_pickle"]
                assert all(ast.unparse(value) == "False" for value in allowed), path


# ---------------------------------------------------------------- files that name other files


def npz_of(**members):
    """An npz file whose members have these names, whatever they are."""

    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in members.items():
                archive.writestr(name, bytes_of(np.save, array))

    return bytes_of(write)


ODD = [
    "../../outside", "/tmp/outside", "..\\outside", "runs/../../outside",
    "W1\x1b[31m", "a\nb", "\u202ereversed", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_names_in_a_file_are_no_places_to_write_to(tmp_path, monkeypatch, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    hidden = {"../../images.npy": IMAGES, name: IMAGES, name + ".npy": IMAGES}
    hidden |= {"labels.npy": LABELS, "W1.npy": np.ones((3, 2))}
    for reader in ("npz", "npz weights", "npz weights on paper"):
        assert outcome(READERS[reader], folder / "file", npz_of(**hidden)) is None
    content = safetensors.numpy.save({name: np.ones(2)}, {name: name})
    assert outcome(READERS["safetensors"], folder / "file", content) is not None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "file"]


@pytest.mark.parametrize("about", ["[" * 100_000, '{"a": ' * 50_000, "[1]", '"\x1b[2J"', "\x00"])
def test_what_safetensors_say_about_themselves_is_not_trusted(tmp_path, about):
    content = safetensors.numpy.save({"w": np.ones(2)}, {"tinygrad_mnist": about})
    assert outcome(READERS["safetensors"], tmp_path / "file", content) is None


# ---------------------------------------------------------------- files made to fill the memory


def gigabyte(member):
    """A gigabyte in a megabyte: the same 64 MiB sixteen times, each a member of a gzip file."""
    return gzip.compress(member) * 16


def announced(count):
    return b"\0\0\x08\3" + struct.pack(">3I", count, 28, 28)


def zip_bomb(shape, size, names=("images", "labels")):
    """Compressed zeros behind a header that announces this shape of bytes, and small labels."""
    zeros = header(shape, "|u1") + bytes(size)
    members = dict(zip(names, (zeros, bytes_of(np.save, LABELS)), strict=True))
    return bytes_of(zip_of, zipfile.ZIP_DEFLATED, **members)


TOO_MUCH = "cannot be right for a file of this size"
BLACK = ("0," * 784 + "0\n").encode()
GREY = b"\7" * (1 << 26)
ZEROS = 1 << 29
BOMBS = {
    "IDX.gz, longer than announced": ("idx",
        lambda: gzip.compress(announced(10)) + gigabyte(GREY), "more data follows the 7,840 bytes"),
    "IDX.gz, announced": ("idx",
        lambda: gzip.compress(announced(1369568)) + gigabyte(GREY), TOO_MUCH),
    "IDX.gz, as much as may be announced": ("idx",
        lambda: gzip.compress(announced(39000)) + gigabyte(GREY), "more data follows"),
    "CSV.gz of one line": ("csv.gz",
        lambda: gigabyte(b"0" * (1 << 26)), "line 1 has more than"),
    "CSV.gz of black images": ("csv.gz",
        lambda: gigabyte(BLACK * (len(GREY) // len(BLACK))), TOO_MUCH),
    "npz, longer than announced": ("npz",
        lambda: zip_bomb((10, 784), ZEROS), "more data follows the 7,840 bytes"),
    "npz, announced": ("npz",
        lambda: zip_bomb((ZEROS,), ZEROS), "announces 536870912 elements, which cannot be right"),
    "npz of weights": ("npz weights",
        lambda: zip_bomb((ZEROS,), ZEROS, ("W1", "b1")), "W1.npy has elements of type uint8"),
    "npz of weights on paper": ("npz weights on paper",
        lambda: zip_bomb((ZEROS,), ZEROS, ("W1", "b1")), "would unpack to"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_gigabyte_in_a_megabyte_is_not_unpacked(tmp_path, bomb):
    reader, make, message = BOMBS[bomb]
    content = make()
    assert 1 << 18 < len(content) < 1 << 21
    assert message in refusal(READERS[reader], tmp_path / "file", content)


def refusal(reader, path, content):
    """What is said of a file that cannot be read."""
    assert outcome(reader, path, content) is None
    with pytest.raises(reader.error) as caught:
        reader.read(path)
    return str(caught.value)


def header(shape, descr="<f8"):
    content = {"descr": descr, "fortran_order": False, "shape": shape}
    return bytes_of(np.lib.format.write_array_header_1_0, content)


SHAPES = [(520, 784), (1 << 25, 784), (1 << 62, 1 << 62), (0, 784), (-1, 784), (3, 1 << 40)]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_the_file_has_no_room_for_is_refused_before_memory_is_taken(tmp_path, shape):
    array = header(shape) + bytes(6272)
    weights = bytes_of(zip_of, W1=array, b1=array)
    entry = json.dumps({"w": {"dtype": "F64", "shape": shape, "data_offsets": [0, 6272]}}).encode()
    contents = {
        "npy": array,
        "npz": bytes_of(zip_of, images=array, labels=array),
        "npz weights": weights,
        "npz weights on paper": weights,
        "safetensors": len(entry).to_bytes(8, "little") + entry + bytes(6272),
    }
    for reader, content in contents.items():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert outcome(READERS[reader], tmp_path / "file", content) is None, reader
        assert tracemalloc.get_traced_memory()[1] - before < 1 << 20


def zip_of(file, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


@pytest.mark.usefixtures("traced")
def test_many_small_bombs_are_one_large_one(tmp_path):
    zeros = {}
    for layer in range(1, 60):
        zeros |= {f"W{layer}": np.zeros((700, 700)), f"b{layer}": np.zeros(700)}
    content, path = bytes_of(np.savez_compressed, **zeros), tmp_path / "file"
    assert TOO_MUCH in refusal(READERS["npz weights"], path, content)
    assert "would unpack to" in refusal(READERS["npz weights on paper"], path, content)


def test_a_file_without_end_is_read_no_further_than_the_largest_that_may_be(tmp_path, monkeypatch):
    class Endless(io.BytesIO):
        def read(self, size=-1):
            return bytes(size) if size >= 0 else pytest.fail("read without a limit")

    monkeypatch.setattr(images_module, "MOST_BYTES", 100)
    monkeypatch.setattr(Path, "open", lambda self, mode: Endless())
    with pytest.raises(data.DataError, match="endless: more than 100 bytes"):
        images_to_read((tmp_path / "endless",), (), About())


# ---------------------------------------------------------------- garbage that is nearly right

TOKENS = st.sampled_from([
    ",", "\n", "\r\n", '"', "label", "0", "255", "256", "-1", "1e400", "nan", "0x1", " ", "\0",
    "\ufeff", "é", "\x1b[2J", "#",
])  # fmt: skip
INSERTED = st.lists(TOKENS, max_size=4).map("".join)
EDIT = st.tuples(st.integers(0, 1 << 12), st.integers(0, 8), INSERTED)
EDITS = st.lists(EDIT, min_size=1, max_size=6)


@given(EDITS)
def test_csv_that_is_nearly_right_is_read_or_refused(tmp_path_factory, edits):
    content = text(IMAGES, LABELS)
    for place, length, inserted in edits:
        place %= len(content)
        content = content[:place] + inserted + content[place + length :]
    found = outcome(READERS["csv.gz"], tmp_path_factory.mktemp("csv") / "file", content.encode())
    if found is not None:
        images, labels = found
        assert images[1][1:] == (784,)
        assert labels[1] == images[1][:1]


@given(st.binary(max_size=400), st.sampled_from(sorted(READERS)), st.integers(0, 20))
def test_a_right_start_does_not_make_garbage_right(tmp_path_factory, garbage, name, kept):
    reader = READERS[name]
    start = {"log": b"SQLite format 3\0", "checkpoint": b"PK\3\4"}.get(name)
    if start is None:
        start = reader.content[:kept]
    path = tmp_path_factory.mktemp("garbage") / "file"
    found = outcome(reader, path, start + garbage)
    assert found is None or not reader.sealed
