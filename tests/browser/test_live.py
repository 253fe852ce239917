"""The page "Draw a digit": it computes what Python does, and works with mouse, finger and keys."""

import base64
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.data import like_mnist, load_mnist, load_mnist_test, normalize
from tinygrad_mnist.data.images import to_grey
from tinygrad_mnist.runs import load_trained

pytestmark = pytest.mark.browser

RUN = Path(__file__).parent.parent.parent / "artifacts" / "default"


@pytest.fixture
def live(opened):
    """The page, ready to be drawn on."""
    return ready(opened("live.html"))


def ready(tab):
    tab.wait_for_selector("#live[data-ready=ready]")
    return tab


def in_page(tab, body, argument=None):
    """Run JavaScript with the functions of digits.js, and bytes made from base64 by `bytes`."""
    return tab.evaluate(
        f"""async (given) => {{
            const bytes = (text) => Uint8ClampedArray.from(atob(text), (c) => c.charCodeAt(0));
            const digits = await import(new URL('assets/digits.js', location.href));
            {body}
        }}""",
        argument,
    )


def text(array):
    return base64.b64encode(array.tobytes()).decode()


def drawings(rng):
    """RGBA pictures: digits, large, off centre, on paper or black, some partly transparent."""
    images, _ = load_mnist(None)
    for n, digit in enumerate(images[:12].reshape(-1, 28, 28)):
        height, width = rng.integers(60, 200, 2)
        grey = np.zeros((height, width), np.uint8)
        size = min(height, width, 28 * 2)
        top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
        grey[top : top + 56, left : left + 56] = digit.repeat(2, axis=0).repeat(2, axis=1)
        grey = grey if n % 2 else 255 - grey // 2
        alpha = np.full_like(grey, 255)
        if n % 3 == 0:
            alpha = rng.integers(0, 256, grey.shape).astype(np.uint8)
        yield np.dstack([grey, np.roll(grey, 1), grey, alpha])
    yield rng.integers(0, 256, (30, 41, 4)).astype(np.uint8)


def test_preprocessing_is_pythons_to_the_last_bit(live, rng):
    for rgba in drawings(rng):
        height, width = rgba.shape[:2]
        found = in_page(
            live,
            "const { data, width, height } = given;"
            "return [...digits.likeMnist(digits.toGrey({ data: bytes(data), width, height }))];",
            {"data": text(rgba), "width": width, "height": height},
        )
        np.testing.assert_array_equal(np.reshape(found, (28, 28)), like_mnist(to_grey(rgba)))


def test_probabilities_activations_and_saliency_are_pythons(live):
    images, _ = load_mnist(None)
    images = images[:40]
    trained = load_trained(RUN)
    x = normalize(images, trained.normalize)
    probabilities = trained.classifier.predict_proba(x)
    found = in_page(
        live,
        """
            const file = new URL('assets/default.safetensors', location.href);
            const network = await digits.load(file);
            return given.map((image) => {
                const terms = digits.forward(network, bytes(image)), p = terms.probabilities;
                const slopes = digits.saliency(network, terms, p.indexOf(Math.max(...p)));
                return [[...p], [...terms.A[1]], [...slopes]];
            });
        """,
        [text(image) for image in images],
    )
    theirs, hidden, slopes = (np.array(part) for part in zip(*found, strict=True))
    np.testing.assert_allclose(theirs, probabilities, atol=1e-5)
    slopes_here = trained.classifier.saliency(x, probabilities.argmax(axis=1))
    np.testing.assert_allclose(hidden, trained.model[1](trained.model[0](x)).data, atol=1e-4)
    np.testing.assert_allclose(slopes, slopes_here, atol=1e-4)


PUT = """(text) => new Promise((done) => {
    const canvas = document.querySelector(".live-canvas"), small = new OffscreenCanvas(28, 28);
    const picture = new ImageData(28, 28), bytes = atob(text);
    for (let p = 0; p < 784; p++) {
        const grey = bytes.charCodeAt(p);
        picture.data.set([grey, grey, grey, 255], 4 * p);
    }
    small.getContext("2d").putImageData(picture, 0, 0);
    const ink = canvas.getContext("2d");
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, 280, 280);
    ink.drawImage(small, 0, 0, 28, 28, 60, 10, 210, 210);
    document.querySelector("#live").addEventListener("read", done, { once: true });
    canvas.dispatchEvent(new Event("drawn"));
})"""


def test_fifty_test_images_put_on_the_canvas_are_read(live):
    images, labels = load_mnist_test(None)
    right = 0
    for image, label in zip(images[:50], labels[:50], strict=True):
        live.evaluate(PUT, text(image))
        right += live.locator(".live-answer").inner_text().startswith(f"A {label},")
    assert right >= 47


def draw(tab, *points):
    """Draw with the mouse through points of the canvas, given as fractions of its side."""
    tab.locator(".live-canvas").scroll_into_view_if_needed()
    places = [place(tab.locator(".live-canvas").bounding_box(), *point) for point in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for at in places:
        tab.mouse.move(*at, steps=10)
    tab.mouse.up()


def place(frame, x, y):
    """A point of a frame, given in fractions of its sides."""
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def answers(tab, digit):
    answer = "document.querySelector('.live-answer').textContent"
    tab.wait_for_function(f"(digit) => {answer}.startsWith(`A ${{digit}},`)", arg=digit)


SEVEN = (0.3, 0.25), (0.7, 0.25), (0.45, 0.8)


def test_it_is_drawn_with_the_mouse_and_cleared(live):
    draw(live, *SEVEN)
    answers(live, 7)
    assert live.locator(".live-best span").first.inner_text() == "7"
    bars = live.locator(".live-bars i")
    widths = bars.evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    assert sum(widths) == pytest.approx(100, abs=1e-3)
    live.locator(".live-clear").click()
    live.wait_for_function("document.querySelector('.live-answer').textContent.startsWith('Draw')")


def test_it_opens_with_a_digit_that_has_been_read_and_shows_another(live):
    answers(live, 7)  # the first test image
    live.locator(".live-example").click()
    answers(live, 2)


def test_a_first_stroke_replaces_the_example(live):
    answers(live, 7)
    draw(live, (0.5, 0.2), (0.5, 0.8))
    answers(live, 1)


def test_it_is_drawn_with_a_finger_on_a_phone_at_night(site, browser):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    context = browser.new_context(color_scheme="dark", **phone)
    tab = context.new_page()
    tab.goto(f"{site}/live.html")
    ready(tab)
    canvas = tab.locator(".live-canvas")
    canvas.scroll_into_view_if_needed()
    frame = canvas.bounding_box()
    touch = context.new_cdp_session(tab)
    line = [(0.5, y) for y in np.linspace(0.2, 0.8, 12)]
    for n, point in enumerate(line):
        kind, (x, y) = "touchMove" if n else "touchStart", place(frame, *point)
        event = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
        touch.send("Input.dispatchTouchEvent", event)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    answers(tab, 1)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_it_is_drawn_with_the_keyboard(live):
    live.locator(".live-canvas").focus()
    live.keyboard.press("Space")
    for _ in range(26):
        live.keyboard.press("ArrowDown")
    live.keyboard.press("Space")
    answers(live, 1)
    for _ in range(5):
        live.keyboard.press("ArrowRight")  # the pen is lifted
    answers(live, 1)
    live.keyboard.press("Delete")
    live.wait_for_function("document.querySelector('.live-answer').textContent.startsWith('Draw')")


def test_it_works_after_going_away_and_coming_back(live):
    draw(live, *SEVEN)
    answers(live, 7)
    live.locator("article a", has_text="softmax").first.click()
    live.wait_for_selector("#eq-4-1")
    live.go_back()
    ready(live)
    answers(live, 7)  # the example again
    draw(live, (0.5, 0.2), (0.5, 0.8))
    answers(live, 1)
    assert live.locator(".live-bars > div").count() == 10
