"""The log of predictions: nothing is lost or half-written, and no other file is touched."""

import ast
import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pytest

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


def test_filters_choose_by_run_digit_and_mistake(log):
    sure = np.eye(10, dtype=np.float32)[[7, 7, 1, 2]]
    add(log, 4, labels=[7, 1, 7, None], probabilities=sure)
    add(log, 1, run="other", labels=[3], probabilities=sure[:1])

    def ids(**chosen):
        return [row.id for row in log.predictions(**chosen)]

    assert ids() == [1, 2, 3, 4, 5]
    assert ids(wrong=True) == [2, 3, 5]
    assert ids(run="default", wrong=True) == [2, 3]
    assert ids(digit=7) == [1, 2, 3, 5]
    assert ids(digit=1) == [2, 3]
    assert ids(digit=0) == []
    assert ids(digit=2) == [4]
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
    foreign(path, "PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="a log of version 2, but this program knows version 1"):
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
