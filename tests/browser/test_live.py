"""The page "Watch it learn": a network learns in it, and it works with mouse, finger and keys."""

import base64

import numpy as np
import pytest

from tinygrad_mnist.data import like_mnist, load_mnist
from tinygrad_mnist.data.images import to_grey

pytestmark = pytest.mark.browser


@pytest.fixture
def live(opened):
    """The page, ready to be drawn on."""
    return ready(opened("live.html"))


def ready(tab):
    tab.wait_for_selector("watch-it-learn[data-ready=ready] .learn-terms figure")
    return tab


def held_out(number):
    """One of the digits that the page does not learn from."""
    images, labels = load_mnist(None)
    return images[-1000:][number], labels[-1000:][number]


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


def sees_a_line(tab):
    """Wait until the page has read an upright line: ink in a few columns only."""
    tab.wait_for_function(
        """() => {
            const bytes = document.querySelector('watch-it-learn').bytes ?? [];
            const columns = new Set();
            bytes.forEach((v, p) => v > 0 && columns.add(p % 28));
            return columns.size > 0 && columns.size < 9;
        }"""
    )


def status(tab, text):
    tab.wait_for_function(
        "(text) => document.querySelector('.learn-status').textContent.includes(text)", arg=text
    )


LINE = (0.5, 0.2), (0.5, 0.8)


def test_it_opens_with_a_digit_and_shows_another(live):
    for number in range(3):
        image, label = held_out(number)
        alike = "Math.hypot(...given.map((v, p) => v - bytes[p])) < 0.3 * Math.hypot(...given)"
        live.wait_for_function(
            f"(given) => ((bytes) => {alike})(document.querySelector('watch-it-learn').bytes)",
            arg=image.tolist(),
        )
        assert live.get_by_label("It is a").input_value() == str(label)
        live.get_by_role("button", name="Another digit").click()


def test_it_is_drawn_with_the_mouse_and_cleared(live):
    draw(live, *LINE)
    sees_a_line(live)
    live.locator(".live-buttons").get_by_text("Clear").click()
    live.wait_for_function(
        "document.querySelector('.live-answer').textContent.startsWith('Draw a digit')"
    )


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
    sees_a_line(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_it_is_drawn_with_the_keyboard(live):
    live.locator(".live-canvas").focus()
    live.keyboard.press("Space")
    for _ in range(26):
        live.keyboard.press("ArrowDown")
    live.keyboard.press("Space")
    for _ in range(5):
        live.keyboard.press("ArrowRight")  # the pen is lifted
    sees_a_line(live)
    live.keyboard.press("Delete")
    live.wait_for_function(
        "document.querySelector('.live-answer').textContent.startsWith('Draw a digit')"
    )


def test_a_step_makes_the_loss_of_the_digit_that_is_shown_smaller(live):
    losses = live.evaluate(
        """async () => {
            const page = document.querySelector('watch-it-learn'), losses = [];
            const next = () => new Promise((done) => page.addEventListener(
                'looked', (event) => done(event.detail.loss), { once: true }));
            const step = [...page.querySelectorAll('button')].find(
                (button) => button.textContent.startsWith('One step'));
            for (let n = 0; n < 5; n++) {
                const heard = next();
                step.click();
                losses.push(await heard);
            }
            return losses;
        }"""
    )
    assert losses == sorted(losses, reverse=True)


def test_it_learns_to_read_nine_of_ten_held_out_digits(live):
    live.get_by_role("button", name="Train", exact=True).click()
    live.wait_for_function(
        "parseFloat(document.querySelector('.learn-status').textContent.split(': ')[1]) >= 90",
        timeout=60_000,
    )
    live.get_by_role("button", name="Pause").click()
    assert live.locator(".learn-curves svg").count() == 2


def test_the_settings_are_in_the_address_and_come_from_it(opened):
    tab = ready(opened("live.html#lr=9&init=equal&batch=1e9&loss=nonsense&colour=red"))
    assert tab.locator("select[name=init]").input_value() == "equal"
    assert tab.locator("select[name=loss]").input_value() == "cross_entropy"
    assert tab.url.endswith("#lr=9&init=equal&batch=256")
    tab.locator("select[name=activation]").select_option("tanh")
    assert tab.url.endswith("#lr=9&activation=tanh&init=equal&batch=256")


def test_a_situation_is_set_up_and_leads_to_its_explanation(live):
    live.locator("select[name=situation]").select_option("All weights equal")
    live.get_by_role("link", name="Why?").click()
    live.wait_for_url("**/derivations/initialisation.html")


def test_every_equation_number_leads_to_an_equation(live, site):
    links = live.locator(".learn-terms a").evaluate_all("links => links.map((a) => a.href)")
    assert len(links) == 6
    live.goto(f"{site}/derivations/network.html")
    for link in links:
        assert live.locator(f'[id="{link.partition("#")[2]}"]').count() == 1


def test_a_drawing_is_added_to_the_digits_to_learn_from(live):
    draw(live, *LINE)
    sees_a_line(live)
    live.get_by_label("It is a").select_option("1")
    live.get_by_role("button", name="Add it").click()
    status(live, "4001 digits to learn from")
    live.get_by_role("button", name="Start again").click()
    status(live, "4001 digits to learn from")


def test_it_works_after_going_away_and_coming_back(live):
    live.locator("article a", has_text="the whole network").first.click()
    live.wait_for_selector("#eq-6-1")
    live.go_back()
    ready(live)
    draw(live, *LINE)
    sees_a_line(live)
    assert live.locator(".live-canvas").count() == 1


def test_the_first_screen_loads_it_only_when_asked(opened):
    tab = opened("index.html")
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.reload()
    tab.wait_for_load_state("networkidle")
    assert not [url for url in asked if "learn" in url]
    tab.get_by_role("link", name="Watch it learn, here").click()
    ready(tab)
    assert [url for url in asked if url.endswith("learn-digits.bin")]
