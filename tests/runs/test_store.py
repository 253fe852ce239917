"""The log of predictions: nothing is lost or half-written, and no other file is touched."""

import ast
import csv
import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from faults import unprivileged

from tinygrad_mnist.store import PredictionLog, StoreError, write_csv


def rows(n, seed=0):
    """Images and probabilities of n predictions."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 784), dtype=np.uint8)
    return images, rng.dirichlet(np.ones(10), n).astype(np.float32)


def add(log, n=1, run="default", labels=None, seed=0, **changes):
    images, probabilities = rows(n, seed)
    values = {"sources": [f"file {i}" for i in range(n)], "labels": labels or [None] * n}
    values |= {"images": images, "probabilities": probabilities} | changes
    return log.add(run, {"lr": 0.1}, "abc", **values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.db"


@pytest.fixture
def log(path):
    with PredictionLog(path, create=True) as opened:
        yield opened


# ---------------------------------------------------------------- what is kept


def test_a_prediction_is_read_back_as_it_was_written(log):
    images, probabilities = rows(3)
    before = datetime.now(UTC).replace(microsecond=0)
    sources, labels = ["a.png", "é\udcff.png", "test 3"], [None, np.int64(3), 4]
    written = log.add("default", {"lr": 0.1}, "abc", sources, images, probabilities, labels)
    found = list(log.predictions())
    theirs, ours = ([row._replace(image=None) for row in each] for each in (found, written))
    assert theirs == ours
    np.testing.assert_array_equal([row.image for row in found], images)
    np.testing.assert_array_equal(np.float32([row.probabilities for row in found]), probabilities)
    assert [row.predicted for row in found] == probabilities.argmax(axis=1).tolist()
    assert [(row.id, row.run, row.model_hash, row.source, row.label) for row in found] == [
        (1, "default", "abc", "a.png", None),
        (2, "default", "abc", "é?.png", 3),
        (3, "default", "abc", "test 3", 4),
    ]
    created = datetime.fromisoformat(found[0].created_at)
    assert created.utcoffset().total_seconds() == 0
    assert before <= created <= datetime.now(UTC)


def test_numpy_numbers_are_stored_as_numbers_and_images_as_bytes(log, path):
    add(log, 2, labels=[np.int64(3), np.uint8(4)])
    kinds = "typeof(label), typeof(predicted), typeof(image), length(image)"
    with sqlite3.connect(path) as db:
        found = db.execute(f"SELECT {kinds} FROM predictions").fetchall()
        assert found == [("integer", "integer", "blob", 784)] * 2
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT json_extract(recipe, '$.lr') FROM runs").fetchall() == [(0.1,)]
    db.close()


def test_the_view_has_the_ancestors_columns_with_the_image_as_a_text_list(log, path):
    add(log, 2)
    with sqlite3.connect(path) as db:
        cursor = db.execute("SELECT * FROM predictions_as_text ORDER BY id")
        assert [column[0] for column in cursor.description] == ["id", "input", "predicted"]
        for (i, text, predicted), row in zip(cursor, log.predictions(), strict=True):
            assert (i, predicted) == (row.id, row.predicted)
            assert json.loads(text) == ast.literal_eval(text) == row.image.tolist()
    db.close()


def test_a_run_is_written_once_and_again_when_its_recipe_changes(log, path):
    for recipe in ({"lr": 0.1, "a": 1}, {"a": 1, "lr": 0.1}, {"lr": 0.2}):
        log.add("default", recipe, "abc", ["x"], *rows(1), [None])
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT run FROM predictions").fetchall() == [(1,), (1,), (2,)]
    db.close()


def test_filters_choose_by_run_class_and_mistake(log):
    sure = np.eye(10, dtype=np.float32)[[7, 7, 1, 2]]
    add(log, 4, labels=[7, 1, 7, None], probabilities=sure)
    add(log, 1, run="other", labels=[3], probabilities=sure[:1])

    def ids(**chosen):
        return [row.id for row in log.predictions(**chosen)]

    assert ids() == [1, 2, 3, 4, 5]
    assert ids(wrong=True) == [2, 3, 5]
    assert ids(run="default", wrong=True) == [2, 3]
    assert ids(named="7") == [1, 2, 3, 5]
    assert ids(named="1") == [2, 3]
    assert ids(named="0") == []
    assert ids(named="2") == [4]
    assert ids(named="cat") == []
    assert ids(run="other", named="7") == [5]
    assert ids(run="nothing") == []


def test_csv_holds_every_number(log):
    add(log, 2, labels=[5, None], sources=['a "quoted", name', "b"])
    file = io.BytesIO()
    assert write_csv(log.predictions(), file) == 2
    first, second = csv.DictReader(io.StringIO(file.getvalue().decode()))
    assert (first["id"], first["source"]) == ("1", 'a "quoted", name')
    assert (first["label"], second["label"]) == ("5", "")
    row = next(iter(log.predictions()))
    assert [float(first[f"p{digit}"]) for digit in range(10)] == row.probabilities


# ---------------------------------------------------------------- any images and classes

CATS, FEW = ("cat", "dog", "<b>$x$</b>"), ((2, 4), ("cat", "dog", "<b>$x$</b>"))


def add_few(log, n=3, run="pets", **changes):
    """Predictions of images of 2x4 pixels in three classes: the first of cat, the second of dog."""
    values = {"labels": [None] * n, "shape": FEW[0], "classes": CATS} | changes
    images = np.arange(8 * n, dtype=np.uint8).reshape(n, 8)
    p = np.eye(3)[np.arange(n) % 3]
    return log.add(run, {}, "abc", [f"{i}" for i in range(n)], images, p, **values)


def test_a_run_has_its_own_shape_and_classes(log):
    add(log)
    written = add_few(log, labels=[0, 2, None])
    digit, *found = log.predictions()
    assert (digit.shape, digit.classes) == ((28, 28), tuple("0123456789"))
    assert [(row.shape, row.classes, row.label) for row in found] == [
        (*FEW, label) for label in (0, 2, None)
    ]
    assert [row.image.tolist() for row in found] == [row.image.tolist() for row in written]


def test_the_same_recipe_on_other_classes_is_another_run(log, path):
    for classes in (CATS, CATS, ("a", "b", "c")):
        add_few(log, classes=classes)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    db.close()


def test_a_class_is_chosen_by_its_name_whatever_its_place(log):
    add_few(log, labels=[None, 0, None])
    add_few(log, run="other", classes=("dog", "cow", "cat"))
    assert [row.id for row in log.predictions(named="cat")] == [1, 2, 6]
    assert [row.id for row in log.predictions(named="cow")] == [5]
    assert log.classes() == [*CATS, "cow"]
    assert log.classes("other") == ["dog", "cow", "cat"]


def test_csv_has_a_column_for_each_class_name(log):
    add_few(log, 2, labels=[1, None])
    add(log, 1, labels=[4])
    file = io.BytesIO()
    assert write_csv(log.predictions(), file, log.classes()) == 3
    first, _, digit = csv.DictReader(io.StringIO(file.getvalue().decode()))
    assert (first["predicted"], first["label"]) == ("cat", "dog")
    assert [first[f"p({name})"] for name in CATS] == ["1.0", "0.0", "0.0"]
    assert (first["p0"], digit["p(cat)"], digit["label"]) == ("", "", "4")
    assert 0 < float(digit["p9"]) < 1


def test_ten_thousand_classes_and_an_image_of_a_million_pixels_are_kept(log):
    classes = [f"class number {i:080}" for i in range(10_000)]
    p = np.eye(1, 10_000, 7_000)
    log.add("", {}, "", ["x"], np.ones((1, 1 << 20), np.uint8), p, [None],
            shape=(1 << 10, 1 << 10), classes=classes)  # fmt: skip
    (row,) = log.predictions(named=classes[7_000])
    assert (row.classes[row.predicted], row.image.sum()) == (classes[7_000], 1 << 20)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (2, 5)},
        {"classes": CATS[:2]},
        {"labels": [0, 1, 3]},
        {"labels": [0, 1, -1]},
    ],
)
def test_predictions_that_do_not_fit_their_shape_or_classes_are_refused(log, changes):
    with pytest.raises(ValueError, match=r"sources need images|The labels of 3 classes"):
        add_few(log, **changes)
    assert list(log.predictions()) == log.classes() == []


@pytest.mark.parametrize(
    "change",
    ["shape = '[2, 5]'", "shape = '[2, \"x\"]'", "classes = '[\"cat\"]'", "classes = '[1, 2, 3]'"],
)
def test_a_run_that_was_not_written_by_us_is_refused(log, path, change):
    add_few(log)
    log.__exit__()
    foreign(path, "PRAGMA ignore_check_constraints = ON", f"UPDATE runs SET {change}")
    with PredictionLog(path) as opened, pytest.raises(StoreError, match=r"(run|prediction) 1 is d"):
        list(opened.predictions())


# ---------------------------------------------------------------- logs of version 1

VERSION_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL CHECK (json_valid(recipe)),
    created_at TEXT NOT NULL,
    UNIQUE (name, recipe)
) STRICT;
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    model_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    image BLOB NOT NULL CHECK (length(image) = 784),
    label INTEGER CHECK (label BETWEEN 0 AND 9),
    predicted INTEGER NOT NULL CHECK (predicted BETWEEN 0 AND 9),
    probabilities TEXT NOT NULL CHECK (json_array_length(probabilities) = 10),
    created_at TEXT NOT NULL
) STRICT;
CREATE VIEW predictions_as_text (id, input, predicted) AS
    WITH RECURSIVE positions (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM positions WHERE n < 784)
    SELECT id, '[' || (
        SELECT group_concat(
            16 * instr('123456789ABCDEF', substr(digits, 2 * n - 1, 1)) \
+ instr('123456789ABCDEF', substr(digits, 2 * n, 1)), ', '
        ) FROM (SELECT hex(image) AS digits, n FROM positions ORDER BY n)
    ) || ']', predicted FROM predictions;
PRAGMA application_id = 1835952499;
PRAGMA user_version = 1;
INSERT INTO runs VALUES (1, 'seed-a', '{"lr": 0.1}', 'then'), (4, 'other', '{}', 'later');
INSERT INTO predictions VALUES
    (3, 1, 'abc', 'a.png', zeroblob(784), 7, 7, '[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]', 'then'),
    (5, 4, 'abd', 'b.png', zeroblob(784), NULL, 1, '[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]', 'later');
"""


@pytest.fixture
def old(path):
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1)
    db.close()
    return path


def told(rows):
    """Rows without what NumPy cannot compare as a whole."""
    return [(row._replace(image=None), row.image.tolist()) for row in rows]


def test_an_old_log_is_read_as_it_is(old):
    before = old.read_bytes()
    with PredictionLog(old) as log:
        first, second = log.predictions()
        assert [row.id for row in log.predictions(named="7")] == [3]
        assert (log.runs(), log.classes()) == (["other", "seed-a"], list("0123456789"))
    assert (first.run, first.label, first.predicted, second.label) == ("seed-a", 7, 7, None)
    assert (first.shape, first.classes) == ((28, 28), tuple("0123456789"))
    assert old.read_bytes() == before


@pytest.fixture
def shelf():
    """A folder that everybody can reach, to put a log in that nobody may write to."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        (Path(place) / "shelf").mkdir()
        yield Path(place) / "shelf"


@pytest.mark.parametrize("modes", [(0o444, 0o555), (0o444, 0o777), (0o644, 0o555)])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_log_that_cannot_be_written_to_is_read_and_nothing_is_left_beside_it(
    old, shelf, journal, modes
):
    foreign(old, f"PRAGMA journal_mode = {journal}")
    log = Path(shutil.copy(old, shelf))
    (shelf.parent / "link.db").symlink_to(log)
    log.chmod(modes[0])
    shelf.chmod(modes[1])
    with unprivileged():
        for path in (log, shelf.parent / "link.db"):
            with PredictionLog(path) as opened:
                assert [row.id for row in opened.predictions()] == [3, 5]
                with pytest.raises(StoreError, match="readonly"):
                    add(opened)
    assert [path.name for path in shelf.iterdir()] == [old.name]


@pytest.mark.parametrize("kept", [["-wal", "-shm"], ["-wal"]])
def test_a_log_that_was_not_closed_is_read_whole_or_its_last_rows_are_named(log, path, shelf, kept):
    add(log)
    for ending in ("", *kept):
        shutil.copy(f"{path}{ending}", shelf)
    shelf.chmod(0o555)
    with unprivileged():
        if "-shm" in kept:
            with PredictionLog(shelf / path.name) as opened:
                assert len(list(opened.predictions())) == 1
        else:
            with pytest.raises(
                StoreError, match=r"predictions\.db-wal, and SQLite reads them only"
            ):
                PredictionLog(shelf / path.name)
    assert len(list(shelf.iterdir())) == 1 + len(kept)


def test_what_is_added_to_an_old_log_makes_it_a_new_one_and_keeps_every_row(old, tmp_path):
    with PredictionLog(old) as log:
        before = told(log.predictions())
        add_few(log)
        assert told(log.predictions())[:2] == before
        assert [row.id for row in log.predictions()] == [3, 5, 6, 7, 8]
    with PredictionLog(old, create=True) as log, PredictionLog(tmp_path / "new", create=True):
        assert told(log.predictions())[:2] == before
    assert schema(old) == schema(tmp_path / "new")


def schema(path):
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        version = db.execute("PRAGMA user_version").fetchone()
        found = db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    db.close()
    return version, found


def test_an_old_log_becomes_a_new_one_whole_or_not_at_all(old):
    with PredictionLog(old) as log:
        before = told(log.predictions())
        with pytest.raises(StoreError):
            log.add("run", {"x": "y" * (1 << 22)}, "abc", ["x"], *rows(1), [None])  # too large
        assert told(log.predictions()) == before
    with sqlite3.connect(old) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize("create", [False, True])
def test_an_old_log_that_others_have_changed_is_refused(old, create):
    foreign(old, "CREATE TABLE notes (text)")
    with pytest.raises(StoreError, match="changed by another program"):
        PredictionLog(old, create=create)


# ---------------------------------------------------------------- what is not


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((2, 783), np.uint8)},
        {"images": np.zeros((2, 784), np.float32)},
        {"images": np.zeros((1, 784), np.uint8)},
        {"probabilities": np.ones((2, 9))},
        {"probabilities": np.full((2, 10), np.nan)},
        {"labels": [1]},
        {"labels": [1, 10]},
        {"labels": [1, "x"]},
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(log, path, changes):
    with pytest.raises((ValueError, StoreError)):
        add(log, 2, **changes)
    with sqlite3.connect(path) as db:
        for table in ("runs", "predictions"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()
    assert len(add(log, 2)) == 2


def test_a_log_that_does_not_exist_is_not_made_by_reading(path):
    message = r"predictions\.db: there is no such log\. `tinygrad-mnist predict` makes one"
    with pytest.raises(StoreError, match=message):
        PredictionLog(path)
    assert not path.exists()


def foreign(path, *statements):
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ["CREATE TABLE predictions (id INTEGER PRIMARY KEY, input TEXT, predicted INTEGER)"],
            "not a log of predictions: it holds predict",
        ),
        (
            ["CREATE TABLE notes (text)", "PRAGMA user_version = 1"],
            "not a log of predictions: it holds notes",
        ),
    ],
)
def test_databases_of_others_are_refused_and_left_alone(path, create, statements, message):
    foreign(path, *statements)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message):
        PredictionLog(path, create=create)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["predictions.db"]


def test_a_log_of_another_version_is_refused(log, path):
    add(log)
    log.__exit__()
    foreign(path, "PRAGMA user_version = 3")
    message = "a log of version 3, but this program knows versions up to 2"
    with pytest.raises(StoreError, match=message):
        PredictionLog(path, create=True)


TEXT = b"no database at all, but some text that is long enough"


@pytest.mark.parametrize("content", [TEXT, b"SQLite format 3\0" + bytes(100)])
def test_what_is_no_database_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    message = r"predictions\.db: (file is not a database|a database, but not a log)"
    with pytest.raises(StoreError, match=message):
        PredictionLog(path, create=True)
    assert path.read_bytes() == content


def test_a_folder_is_no_log_and_neither_is_one_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "log.db", tmp_path / "missing" / "log.db"):
        with pytest.raises(StoreError, match="unable to open"):
            PredictionLog(path, create=True)


def test_a_damaged_log_is_named(log, path):
    add(log, 20)
    log.__exit__()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"predictions\.db: "), PredictionLog(path) as damaged:
        list(damaged.predictions())


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT * FROM n"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON predictions BEGIN DELETE FROM predictions; END",
        f"CREATE VIEW endless AS {ENDLESS}",
        "DROP VIEW predictions_as_text",
        "ALTER TABLE predictions RENAME COLUMN source TO origin",
    ],
)
def test_a_log_whose_tables_others_have_changed_is_refused_and_left_alone(log, path, statement):
    add(log)
    log.__exit__()
    foreign(path, statement)
    before = path.read_bytes()
    message = "changed by another program: its tables are not those of a log"
    with pytest.raises(StoreError, match=message):
        PredictionLog(path, create=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "image = zeroblob(783)",
        "image = zeroblob(2000000)",
        "label = 10",
        "label = -1",
        "predicted = 10",
        "predicted = (predicted + 1) % 10",
        "probabilities = '[]'",
        "probabilities = '[1, 0, 0, 0, 0, 0, 0, 0, 0, NaN]'",
        "probabilities = '[1, 0, 0, 0, 0, 0, 0, 0, 0, null]'",
        "probabilities = '[[1], [0], [0], [0], [0], [0], [0], [0], [0], [0]]'",
        "probabilities = '{'",
        "probabilities = replace(hex(zeroblob(50000)), '0', '[')",
        "source = CAST(x'ff' AS TEXT)",
        "source = CAST(zeroblob(2000000) AS TEXT)",
    ],
)
def test_a_row_that_was_not_written_by_us_is_refused(log, path, change):
    add(log, 2)
    log.__exit__()
    update = f"UPDATE predictions SET {change} WHERE id = 2"
    foreign(path, "PRAGMA ignore_check_constraints = ON", update)
    said = r"predictions\.db: (prediction 2 is damaged|string or blob too big|Could not decode)"
    with PredictionLog(path) as opened, pytest.raises(StoreError, match=said):
        list(opened.predictions())


def test_names_with_characters_that_mean_something_in_a_uri_are_names(tmp_path):
    with PredictionLog(tmp_path / "50%?mode=ro#x.db", create=True) as log:
        add(log)
    assert [p.name for p in tmp_path.iterdir()] == ["50%?mode=ro#x.db"]


# ---------------------------------------------------------------- several processes

WRITER = """if True:
    import sys, numpy as np
    from tinygrad_mnist.store import PredictionLog
    path, run, batch, batches = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    images, probabilities = np.zeros((batch, 784), np.uint8), np.full((batch, 10), 0.1)
    with PredictionLog(path, create=True) as log:
        for i in range(batches):
            sources = [f"{i}-{j}" for j in range(batch)]
            log.add(run, {}, "abc", sources, images, probabilities, [None] * batch)
            print(i + 1, flush=True)
"""


def writer(path, run, batch, batches):
    command = [sys.executable, "-c", WRITER, path, run, str(batch), str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_four_processes_that_write_500_rows_each_lose_none(path):
    processes = [writer(path, f"run {i}", 5, 100) for i in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    with PredictionLog(path) as log:
        found = list(log.predictions())
    assert len(found) == 2000
    assert sorted(row.id for row in found) == list(range(1, 2001))
    sources = [f"{a}-{b}" for a in range(100) for b in range(5)]
    for i in range(4):
        assert [row.source for row in found if row.run == f"run {i}"] == sources


def test_a_process_killed_while_writing_leaves_whole_transactions_and_all_that_it_reported(path):
    done = 0
    for delay in (0.0, 0.003, 0.011, 0.02):
        process = writer(path, "killed", 70, 100_000)
        first = process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        reported = (first + rest).count("\n")
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        with PredictionLog(path) as log:
            found = [row.source for row in log.predictions()]
        assert len(found) % 70 == 0
        assert len(found) // 70 - done in (reported, reported + 1)
        done = len(found) // 70
    with PredictionLog(path) as log:
        add(log)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
