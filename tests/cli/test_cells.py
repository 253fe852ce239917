"""Spreadsheets open what the log writes: no text of others becomes a formula there."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.cli.log import as_cell
from tinygrad_mnist.store import PredictionLog

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_obey_is_quoted(text):
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+3.5", "7", "shirt", "a=b", "", "'=1", "{}"])
def test_numbers_stay_numbers_and_other_texts_as_they_are(text):
    assert as_cell(text) == text


def test_no_cell_of_a_log_is_a_formula(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classes = ("=A1", "@b", "-1")
    with PredictionLog(Path("log.db"), create=True) as log:
        images, p = np.zeros((2, 4), np.uint8), np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
        sources = ["=cmd.png", "-x.png"]
        log.add("+run", {}, "a", sources, images, p, [1, 2], shape=(2, 2), classes=classes)
    assert command("log", "log.db", "--csv", "out.csv")[0] == 0
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [row["source"] for row in rows] == ["'=cmd.png", "'-x.png"]
    assert [(row["run"], row["predicted"], row["label"]) for row in rows] == [
        ("'+run", "'=A1", "'@b"),
        ("'+run", "-1", "-1"),
    ]
    assert [row["p(-1)"] for row in rows] == ["0.2", "0.7"]
