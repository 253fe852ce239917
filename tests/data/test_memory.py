"""Files of others take memory in proportion to their size, whatever they announce: measured."""

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux says what the peak was"
)
SMALL, OF_WIDE_LINES, OF_A_PICTURE = 64, 160, 200
"""MiB that may be taken by a small file, one of lines of half a million cells, the largest picture.
"""
OF_A_FILE = 150
"""How often its own size a compressed file of images may take."""

MEASURE = """
import json, re, resource, sys, warnings
from pathlib import Path

from tinygrad_mnist import byhand, data, export
from tinygrad_mnist.runs import checkpoint

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def picture(path):
    return data.read_page(path.read_bytes(), "it")

def array(path):
    return data.read_images(path.read_bytes(), "it")

readers = {
    "picture": picture, "array": array, "data": data.load, "weights": export.read_npz,
    "weights on paper": byhand.MLP.load, "checkpoint": checkpoint.read,
    "labels": lambda path: data.load(path.with_name("small"), path),  # of these images
}
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
reader, small, path = readers[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
said = ""
first = {"labels": lambda path: data.read_idx(path, 3), "checkpoint": lambda path: None}
first.get(sys.argv[1], reader)(small)  # what it imports
before = peak()
try:
    reader(path)
except ValueError as error:
    said = str(error)
print(json.dumps([peak() - before, said]))
"""


def bytes_of(write, *arguments, **options):
    file = io.BytesIO()
    write(file, *arguments, **options)
    return file.getvalue()


def png(array, mode=None):
    return bytes_of(lambda file: Image.fromarray(array, mode).save(file, "PNG"))


def drawing(rows, columns):
    """A clean picture: a bar of ink in the middle of white paper."""
    grey = np.full((rows, columns), 255, np.uint8)
    grey[rows // 4 : -(rows // 4) or None, columns // 2 : columns // 2 + columns // 8 + 1] = 0
    return grey


DIGIT = drawing(64, 64)
ROWS = np.random.default_rng(0).integers(0, 256, (20, 784), np.uint8)
LABELS = np.arange(20) % 10
W = {"W1": np.ones((3, 2)), "b1": np.zeros(2)}
ORDINARY = {
    "picture": png(np.pad(DIGIT, 20, constant_values=255)),
    "array": bytes_of(np.save, ROWS),
    "data": bytes_of(np.savez, images=ROWS, labels=LABELS),
    "weights": bytes_of(np.savez, **W),
    "weights on paper": bytes_of(np.savez, **W),
    "checkpoint": b"",
    "labels": b"\0\0\x08\3" + struct.pack(">3I", 20, 28, 28) + ROWS.tobytes(),
}


@pytest.fixture
def taken(tmp_path):
    """The memory (MiB) that reading this content takes at its peak, and what is said of it."""

    def measure(reader, content):
        (tmp_path / "small").write_bytes(ORDINARY[reader])
        (tmp_path / "file").write_bytes(content)
        files = str(tmp_path / "small"), str(tmp_path / "file")
        command = [sys.executable, "-c", MEASURE, reader, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return measure


# ---------------------------------------------------------------- pictures


def noise(form, **options):
    """A photograph of the largest size that is allowed, as full as can be."""
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    image = Image.fromarray(np.tile(rgb, (8, 8, 1)))
    return bytes_of(lambda file: image.save(file, form, **options))


SIDES = [(16_777_216, 1), (1, 16_777_216), (32_768, 512), (512, 32_768)]


@pytest.mark.parametrize("sides", SIDES, ids=lambda sides: "x".join(map(str, sides)))
def test_a_picture_as_long_as_a_street_is_refused_before_it_is_decoded(taken, sides):
    content = png(drawing(*sides))
    mebibytes, said = taken("picture", content)
    assert "pixels are too many" in said
    assert mebibytes < SMALL / 4


LARGEST = {
    "black and white": lambda: png(drawing(4096, 4096)),
    "not clean": lambda: png(np.pad(drawing(4095, 4095), ((1, 0), (1, 0)))),
    "in colour": lambda: png(np.repeat(drawing(4096, 4096)[..., None], 3, axis=2)),
    "transparent": lambda: png(np.repeat(drawing(4096, 4096)[..., None], 4, axis=2)),
    "16 bits": lambda: png(drawing(4096, 4096).astype(np.uint16) * 257),
    "a digit that fills it": lambda: png(255 - np.pad(np.zeros((4094, 4094), np.uint8) + 200, 1)),
    "photograph": lambda: noise("JPEG", quality=60),
    "photograph, progressive": lambda: noise("JPEG", progressive=True, subsampling=0),
    "turned": lambda: noise("JPEG", quality=60, exif=turned()),
    "16384 x 1024": lambda: png(drawing(16384, 1024)),
}


def turned():
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGEST)
def test_a_picture_of_the_largest_size_takes_what_the_pages_say(taken, kind):
    mebibytes, _ = taken("picture", LARGEST[kind]())
    assert mebibytes < OF_A_PICTURE


def test_texts_packed_into_a_picture_are_not_unpacked_without_end(taken):
    """A PNG with a thousand compressed texts of a megabyte each."""
    packed = zlib.compress(bytes(1_000_000), 9)
    text = b"zTXt" + b"key\0\0" + packed
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    content = ORDINARY["picture"]
    mebibytes, said = taken("picture", content[:33] + 1000 * chunk + content[33:])
    assert "cannot be decoded" in said
    assert mebibytes < SMALL + 16


# ---------------------------------------------------------------- npz, in every reader


def header(shape, descr="<f8"):
    content = {"descr": descr, "fortran_order": False, "shape": shape}
    return bytes_of(np.lib.format.write_array_header_1_0, content)


def zipped(members, method=zipfile.ZIP_DEFLATED):
    def write(file):
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)

    return bytes_of(write)


ZEROS = 1 << 28
NAMES = {"data": ("images", "labels"), "weights": ("W1", "b1"), "weights on paper": ("W1", "b1")}

LONG, SHORT = header((8192, 4096)) + bytes(ZEROS), header((4,)) + bytes(32)


def hidden(names, content):
    """An archive that says of its first member that it is as short as the second."""
    return content.replace(struct.pack("<I", len(LONG)), struct.pack("<I", len(SHORT)))


def strange(names, method):
    """256 MB of zeros in a few kilobytes, in a compression that NumPy does not use."""
    return hidden(names, zipped({names[0]: LONG, names[1]: SHORT}, method))


def understated(names):
    """256 MB of zeros, packed, behind sizes that say that there is nearly nothing."""
    return hidden(names, zipped({names[0]: LONG, names[1]: SHORT}))


def overstated(names):
    """The same, where the packed size is said to be so large that the unpacked one looks right."""
    content = zipped({names[0]: LONG, names[1]: SHORT})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        packed = archive.infolist()[0].compress_size
    return content.replace(struct.pack("<I", packed), struct.pack("<I", 1 << 28))


def overlapping(names, count=200):
    """Members that all claim the same 3 MB: each is an array that holds all that come after it."""
    others = [f"{kind}{i}" for i in range(2, count // 2) for kind in "Wb"]
    behind, entries = bytes(3 << 20), []
    for name in reversed([*names, *others]):
        content = header((len(behind) // 2,), "<f2") + behind
        entry = about(f"{name}.npy", content)
        behind = b"PK\3\4" + entry + content
        entries.append((entry, len(behind)))
    places = [(entry, len(behind) - before_end) for entry, before_end in reversed(entries)]
    return behind + directory(places, len(behind))


def about(name, content):
    """What stands in an archive before a member, of an even length."""
    name, size = name.encode(), len(content)
    fields = (20, 0, 0, 0, 33, zlib.crc32(content), size, size, len(name), len(name) % 2)
    return struct.pack("<HHHHHIIIHH", *fields) + name + b"\0" * (len(name) % 2)


def directory(places, start):
    """The end of an archive, which says where each member begins."""
    central = b"".join(
        b"PK\1\2\24\0" + entry[:26] + struct.pack("<HHHII", 0, 0, 0, 0, place) + entry[26:]
        for entry, place in places
    )
    counts = (0, 0, len(places), len(places), len(central), start, 0)
    return central + b"PK\5\6" + struct.pack("<HHHHIIH", *counts)


ATTACKS = {
    "bzip2": lambda names: strange(names, zipfile.ZIP_BZIP2),
    "lzma": lambda names: strange(names, zipfile.ZIP_LZMA),
    "sizes that are too small": understated,
    "sizes that are too large": overstated,
    "members that overlap": overlapping,
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("reader", NAMES)
def test_an_npz_file_made_to_fill_the_memory_is_refused_by_every_reader(taken, reader, attack):
    content = ATTACKS[attack](NAMES[reader])
    assert len(content) < 4 << 20
    mebibytes, said = taken(reader, content)
    assert said
    assert mebibytes < SMALL


def test_members_that_share_their_bytes_are_refused(taken):
    mebibytes, said = taken("weights on paper", overlapping(("W1", "b1"), 20))
    assert "overlap" in said
    assert mebibytes < SMALL / 4


def test_a_checkpoint_whose_members_share_their_bytes_is_refused(taken):
    content = overlapping(("about", "weight"), 20)
    mebibytes, said = taken("checkpoint", content)
    assert "overlap" in said
    assert mebibytes < SMALL / 4


def test_a_million_class_names_are_refused_before_they_are_read(taken):
    content = bytes_of(
        np.savez_compressed, images=ROWS, labels=LABELS, classes=np.zeros(4_000_000, "u1")
    )
    mebibytes, said = taken("data", content)
    assert "4,000,000 class names" in said
    assert mebibytes < SMALL / 2


# ---------------------------------------------------------------- other formats


def idx(array):
    head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def gz(content):
    return gzip.compress(content, 1)


SIDE = 700
"""Of the widest images that fit into a line of text."""


def wide_csv():
    """A line of short cells, and some of long ones."""
    lines = [b",".join([cell] * SIDE**2) for cell in (b"0", b"0." + b"0" * 28)]
    return gz(b"\n".join([lines[0], *[lines[1]] * 7]))


SPREAD = {
    "csv of one line": ("data", lambda: b"0," * 500_000),
    "idx of zeros": ("data", lambda: gz(idx(np.zeros((5300, 28, 28), np.uint8)))),
    "labels of an idx": ("labels", lambda: gz(idx(np.zeros(4_000_000, np.uint8)))),
    "labels of a csv": ("labels", lambda: gz(b"0\n" * 4_000_000)),
    "npz of black and white": (
        "data",
        lambda: bytes_of(
            np.savez_compressed, images=ROWS[np.zeros(5000, int)] > 99, labels=np.arange(5000) % 10
        ),
    ),
    "npy of booleans": ("array", lambda: bytes_of(np.save, np.tile(ROWS > 9, (100, 1)))),
}


@pytest.mark.parametrize("what", SPREAD)
def test_a_small_file_takes_little_memory(taken, what):
    reader, make = SPREAD[what]
    content = make()
    assert len(content) < 2 << 20
    assert taken(reader, content)[0] < SMALL


def test_csv_of_very_wide_lines_takes_a_bounded_amount(taken):
    assert taken("data", wide_csv())[0] < OF_WIDE_LINES


def images(count, every, white=256):
    """Images of which each so-manieth pixel may be lit: the fewer, the better they pack."""
    found = np.zeros((count, 784), np.uint8)
    lit = found[:, ::every]
    lit[:] = np.random.default_rng(0).integers(0, white, lit.shape)
    return found


def npz(array):
    return bytes_of(np.savez_compressed, images=array, labels=np.arange(len(array)) % 10)


def csv(array):
    rows = (b"%d," % (i % 10) + b",".join(b"%d" % p for p in row) for i, row in enumerate(array))
    return gz(b"\n".join(rows))


LARGE = {
    "npz": lambda: npz(images(60_000, 70)),
    "npz of black and white": lambda: npz(images(60_000, 6, 2)),
    "npz of integers": lambda: npz(images(20_000, 9).astype(np.int64)),
    "npz of floats": lambda: npz(images(20_000, 10) / 3),
    "csv": lambda: csv(images(60_000, 80)),
    "csv of black and white": lambda: csv(images(60_000, 50, 2)),
    "npy": lambda: bytes_of(np.save, images(60_000, 2) > 0),
}
"""All pack between 20 and 30 to 1, which is as well as may be, but for the last."""


@pytest.mark.slow
@pytest.mark.parametrize("form", LARGE)
def test_a_large_file_takes_memory_in_proportion_to_it(taken, form):
    content = LARGE[form]()
    mebibytes, said = taken("array" if form == "npy" else "data", content)
    assert said == ""
    assert mebibytes < SMALL + OF_A_FILE * len(content) / (1 << 20)
