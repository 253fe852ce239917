# %% [markdown]
# # Predictions in SQLite
#
# **What did the network say last week, and when was it wrong?** Nobody remembers, unless it was
# written down. You will turn a drawing into what a network can read, keep every answer in a
# database, and put questions to it in SQL.
#
# *You will be able to*: prepare a picture as MNIST was prepared, log predictions so that none is
# half-written, and find mistakes, doubts and differences between two versions of a network by a
# query. *You need*: [softmax](../derivations/softmax.md); a little SQL helps. *Time*: 30 minutes.
#
# ## A network
#
# Any one will do. This one sees 5,000 images, once.

# %%
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tinygrad_mnist import nn, optim
from tinygrad_mnist.data import like_mnist, load_mnist, minibatches
from tinygrad_mnist.evaluation import plots
from tinygrad_mnist.store import PredictionLog

rng = np.random.default_rng(0)
images, labels = load_mnist()
held_out, held_out_labels = images[-1000:], labels[-1000:]
model = nn.MLP((784, 32, 10), "relu", rng=rng)
cross_entropy, optimizer = (
    nn.CrossEntropyLoss(),
    optim.Adam(model.parameters(), lr=1e-3),
)


def train_an_epoch():
    for rows in minibatches(5000, 32, rng):
        loss = cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train_an_epoch()
classifier = nn.Classifier(model)  # gives probabilities in place of logits

# %% [markdown]
# ## From a drawing to 784 numbers
#
# The network has only ever seen white digits on black, 20 pixels long, with their centre of mass in
# the middle. A drawing is nothing like that: it is dark on bright, of any size, somewhere on the
# sheet. So we have to prepare it *exactly* as MNIST was prepared.

# %%
#| At the head. A 7 in four stages: drawn dark on light paper, light on black, cut out, and
#| shrunk to the middle of 28 by 28 pixels.
sheet = Image.new("L", (220, 300), 225)  # grey paper
pen = ImageDraw.Draw(sheet)
pen.line([(90, 40), (170, 45), (120, 130)], fill=40, width=14, joint="curve")
picture = np.asarray(sheet)

ink = np.where(
    picture < 225, 225 - picture.astype(int), 0
)  # how much darker than paper
rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
seven = like_mnist(picture)

stages = {"drawn": picture, "ink": ink, "cut out": box, "28 × 28": seven}
plots.images(stages.values(), stages, columns=4, cmap="gray")

# %% [markdown]
# `like_mnist` does all of it. We computed the two stages between only to look at them. What does
# the network say?

# %%
probabilities = classifier.predict_proba(
    np.float32(seven.reshape(1, 784) / 255)
)
for digit in probabilities[0].argsort()[::-1][:3]:
    print(f"{digit}: {probabilities[0, digit]:.1%}")

# %% [markdown]
# And without the preparation? The drawing, only made smaller:

# %%
careless = np.asarray(sheet.resize((28, 28)), np.float32).reshape(1, 784) / 255
found = classifier.predict_proba(careless)[0]
f"{found.argmax()}, with {found.max():.1%}"

# %% [markdown]
# A network cannot say "this is not what I was trained on".
#
# ## Write it down
#
# A log is one SQLite file. Each row keeps the image as the network saw it, all ten probabilities,
# the truth if it is known, and a hash that tells this version of the weights from others.

# %%
path = Path(tempfile.mkdtemp()) / "predictions.db"


def log_predictions(images, sources, labels, version):
    """Read images, and log the predictions."""
    pixels = np.round(images * 255).astype(np.uint8)
    with PredictionLog(path, create=True) as log:
        log.add(
            "tutorial",
            {"hidden": 32},
            version,
            sources,
            pixels,
            classifier.predict_proba(images),
            labels,
        )


names = [f"image {n}" for n in range(59_000, 60_000)]
log_predictions(
    np.float32(seven.reshape(1, 784) / 255), ["drawing"], [7], "first"
)
log_predictions(held_out, names, held_out_labels, "first")

# %% [markdown]
# The command does the same with files: `tinygrad-mnist predict runs/default photo.jpg` reads,
# prepares and logs, and `tinygrad-mnist log runs/default --wrong` lists the mistakes.
#
# ## Ask
#
# The file is an ordinary database. Any program that knows SQLite can open it, for instance this
# one:


# %%
def ask(query, *values):
    """All rows that a query returns."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query, values).fetchall()


ask("SELECT count(*), avg(predicted = label) FROM predictions")

# %% [markdown]
# The second number is the accuracy: a comparison is 1 or 0, and its mean is a share. Which digits
# does it confuse most often?

# %%
for label, predicted, count in ask("""
    SELECT label, predicted, count(*) AS n FROM predictions
    WHERE label <> predicted GROUP BY label, predicted
    ORDER BY n DESC, label, predicted LIMIT 5
"""):
    print(f"{label} read as {predicted}: {count} times")

# %% [markdown]
# Probabilities are kept as JSON, which SQLite can take apart. The largest of ten is how sure the
# network was. Here are the mistakes of which it was surest. Each picture comes out of the database,
# so it is just what the network saw.

# %%
#| Eight images that were read wrongly, each with its label, the answer, and how
#| sure the network was.
found = ask("""
    SELECT image, label, predicted,
        (SELECT max(value) FROM json_each(probabilities)) AS confidence
    FROM predictions WHERE label <> predicted ORDER BY confidence DESC LIMIT 8
""")
wrong = [np.frombuffer(image, np.uint8) for image, *_ in found]
titles = [
    f"{label} as {predicted}: {sure:.0%}" for _, label, predicted, sure in found
]
plots.images(wrong, titles, columns=4)

# %% [markdown]
# ## Whole, or not at all
#
# What is added together is written in one transaction. If anything fails on the way, even the
# power, nothing of it is there. Here the last of three rows makes no sense:

# %%
before = ask("SELECT count(*) FROM predictions")
broken = np.full((3, 10), 0.1)
broken[2] = np.nan
try:
    with PredictionLog(path) as log:
        log.add(
            "tutorial",
            {},
            "first",
            ["a", "b", "c"],
            np.zeros((3, 784), np.uint8),
            broken,
            [None] * 3,
        )
except ValueError as error:
    print(error)
print(
    "as many rows as before:", before == ask("SELECT count(*) FROM predictions")
)

# %% [markdown]
# Several processes may write to one log at the same time: each waits for its turn. The page on
# [reliability](../reliability.md) says what exactly is promised, and which test holds it.
#
# ## Two versions
#
# Let us train for another epoch, and log the same images again. Has every image gained?

# %%
train_an_epoch()
log_predictions(held_out, names, held_out_labels, "second")
ask("""
    SELECT model_hash, avg(predicted = label) FROM predictions
    WHERE source LIKE 'image%' GROUP BY model_hash
""")

# %%
ask("""
    SELECT a.predicted = a.label AS right_before,
        b.predicted = b.label AS right_after, count(*)
    FROM predictions AS a JOIN predictions AS b ON a.source = b.source
    WHERE a.model_hash = 'first' AND b.model_hash = 'second'
    GROUP BY right_before, right_after
""")

# %% [markdown]
# The second row is what was learned; the third is what was forgotten. A better network is hardly
# ever better everywhere, and its accuracy alone does not tell you.
#
# ## Exercises

# %% [markdown] exercise="predictions.wrong-by-digit"
# ### Exercise 1: wrong by digit
#
# Which digits are hard? Return a dict from each label to the share of wrong answers of one version.
# `ask` takes values for the `?` in a query.


# %% tags=["stub"]
def wrong_by_digit(version):
    return None  # your turn


# %% [markdown] tags=["hint"]
# A comparison is 1 or 0, and `avg` of it is a share. `GROUP BY` makes one row per digit.

# %% [markdown] tags=["hint"]
# Select two columns, the label and the share, from the rows `WHERE model_hash = ?`. `dict` makes a
# dict of a list of pairs.


# %% tags=["check"]
def check(wrong_by_digit):
    def share(label, read, digits):
        return np.array(
            [(label != read)[digits == digit].mean() for digit in range(10)]
        )

    every = np.array(ask("SELECT label, predicted FROM predictions")).T
    for version in ("first", "second"):
        found = wrong_by_digit(version)
        assert found is not None, "Nothing was returned: return a dict."
        assert not isinstance(found, list), (
            "That is a list of pairs: dict(...) makes a dict of it."
        )
        assert isinstance(found, dict), (
            "Return a dict from each label to a share."
        )
        assert set(found) == set(range(10)), (
            "There should be one entry for each digit, 0 to 9."
        )
        rows = ask(
            "SELECT label, predicted FROM predictions WHERE model_hash = ?",
            version,
        )
        label, read = np.array(rows).T
        shares, right = (
            [found[digit] for digit in range(10)],
            share(label, read, label),
        )
        for wrong, sentence in (
            (1 - right, "That is the share of right answers: compare with <>."),
            (
                right * np.bincount(label),
                "Those are counts: avg makes a share of them.",
            ),
            (
                share(*every, every[0]),
                "Both versions are mixed: select WHERE model_hash = ?.",
            ),
            (
                share(label, read, read),
                "These are grouped by what was read: group by label.",
            ),
        ):
            assert not np.allclose(shares, wrong), sentence
        for digit in range(10):
            assert np.isclose(shares[digit], right[digit]), (
                f"Of the images of a {digit}, {right[digit]:.1%} were wrong."
            )


# %% tags=["solution"]
def wrong_by_digit(version):
    query = """
        SELECT label, avg(label <> predicted) FROM predictions
        WHERE model_hash = ? GROUP BY label
    """
    return dict(ask(query, version))


# %% tags=["misconception"]
# That is a list of pairs: dict(...) makes a dict of it.
def wrong_by_digit(version):
    return ask(
        """
        SELECT label, avg(label <> predicted) FROM predictions
        WHERE model_hash = ? GROUP BY label
        """,
        version,
    )


# %% tags=["misconception"]
# That is the share of right answers: compare with <>.
def wrong_by_digit(version):
    query = """
        SELECT label, avg(label = predicted) FROM predictions
        WHERE model_hash = ? GROUP BY label
    """
    return dict(ask(query, version))


# %% tags=["misconception"]
# Those are counts: avg makes a share of them.
def wrong_by_digit(version):
    query = """
        SELECT label, sum(label <> predicted) FROM predictions
        WHERE model_hash = ? GROUP BY label
    """
    return dict(ask(query, version))


# %% tags=["misconception"]
# Both versions are mixed: select WHERE model_hash = ?.
def wrong_by_digit(version):
    return dict(
        ask(
            "SELECT label, avg(label <> predicted) FROM predictions GROUP BY label"
        )
    )


# %% tags=["misconception"]
# These are grouped by what was read: group by label.
def wrong_by_digit(version):
    query = """
        SELECT predicted, avg(label <> predicted) FROM predictions
        WHERE model_hash = ? GROUP BY predicted
    """
    return dict(ask(query, version))


# %% [markdown] exercise="predictions.margin"
# ### Exercise 2: in doubt
#
# A network that says 50 % and 48 % is in doubt between two digits. Write the *margin*: given
# probabilities (n, 10), the largest of each row minus the second largest, (n,).


# %% tags=["stub"]
def margin(probabilities):
    return None  # your turn


# %% [markdown] tags=["hint"]
# `np.sort` puts the numbers of each row in order, the smallest first. Then the two that you need
# are at the end.


# %% tags=["check"]
def check(margin):
    p = np.random.default_rng(1).dirichlet(np.full(10, 0.3), size=50)
    found, columns = margin(p.copy()), p[:, 0] - p[:, 1]
    assert found is not None, "Nothing was returned: return an array."
    assert np.shape(found) == (50,), "There should be one number for each row."
    rows = [sorted(row, reverse=True) for row in p.tolist()]
    for wrong, sentence in (
        (
            [row[1] - row[0] for row in rows],
            "The sign is wrong: the largest comes first.",
        ),
        (
            [row[0] - row[-1] for row in rows],
            "Subtract the second largest, not the smallest.",
        ),
        (
            [row[0] for row in rows],
            "That is the largest alone: subtract the second largest.",
        ),
        (
            columns,
            "These are the probabilities of 0 and 1: sort each row first.",
        ),
        (
            np.sort(p, axis=0)[:, -1] - np.sort(p, axis=0)[:, -2],
            "Sort along the rows: axis=1.",
        ),
    ):
        assert not np.allclose(found, wrong), sentence
    assert np.allclose(found, [row[0] - row[1] for row in rows]), (
        "That is not the largest of each row minus the second largest."
    )
    images = classifier.predict_proba(held_out)
    doubtful = margin(images).argsort()[:100]
    share = (images.argmax(axis=1) != held_out_labels)[doubtful].mean()
    print(f"of the 100 most doubtful answers {share:.0%} are wrong")


# %% tags=["solution"]
def margin(probabilities):
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -1] - ordered[:, -2]


# %% tags=["misconception"]
# The sign is wrong: the largest comes first.
def margin(probabilities):
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -2] - ordered[:, -1]


# %% tags=["misconception"]
# Subtract the second largest, not the smallest.
def margin(probabilities):
    return probabilities.max(axis=1) - probabilities.min(axis=1)


# %% tags=["misconception"]
# That is the largest alone: subtract the second largest.
def margin(probabilities):
    return probabilities.max(axis=1)


# %% tags=["misconception"]
# These are the probabilities of 0 and 1: sort each row first.
def margin(probabilities):
    return probabilities[:, 0] - probabilities[:, 1]


# %% tags=["misconception"]
# Sort along the rows: axis=1.
def margin(probabilities):
    ordered = np.sort(probabilities, axis=0)
    return ordered[:, -1] - ordered[:, -2]
