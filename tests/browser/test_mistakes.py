"""The page "Find my mistake", the exercises that run in their pages, and a reader's progress."""

import json

import pytest

pytestmark = pytest.mark.browser

RIGHT = """\
dZ2 = (A2 - Y) / B
dW2 = A1.T @ dZ2 + lam * W2
db2 = dZ2.sum(axis=0)
dA1 = dZ2 @ W2.T
dZ1 = dA1 * (1 - A1**2)
dW1 = A0.T @ dZ1 + lam * W1
db1 = dZ1.sum(axis=0)
"""
PATIENT = {"timeout": 60_000}  # Python is loaded first


def checked(tab, code):
    """What the page says of code."""
    tab.locator("find-my-mistake textarea").fill(code)
    tab.get_by_role("button", name="Check").click()
    tab.wait_for_selector(".verdicts:not([aria-busy]) > *", **PATIENT)
    return tab.locator("find-my-mistake .verdicts")


@pytest.fixture
def page(opened):
    tab = opened("find-my-mistake.html")
    tab.wait_for_selector("find-my-mistake textarea")
    return tab


def test_nothing_of_python_is_loaded_before_it_is_asked_for(opened):
    asked = []
    tab = opened("progress.html")
    tab.on("request", lambda request: asked.append(request.url))
    tab.locator("article a", has_text="Find my mistake").click()
    tab.wait_for_selector("find-my-mistake textarea")
    assert not any(".wasm" in url or ".py" in url for url in asked)
    checked(tab, "dZ2 = A2")
    assert any(url.endswith("micropython.wasm") for url in asked)


def test_each_line_gets_its_verdict_its_equation_and_help(page):
    found = checked(page, RIGHT.replace(" * (1 - A1**2)", "").replace("axis=0", "axis=1", 1))
    wrong = found.locator(".verdict.wrong")
    assert wrong.count() == 2
    assert "Line 3, db2: it was summed over axis 1" in wrong.nth(0).inner_text()
    assert "Line 5, dZ1: it equals dA1" in wrong.nth(1).inner_text()
    assert wrong.nth(1).get_by_role("link", name="equation (6.13)").count() == 1
    wrong.nth(1).locator("summary").click()
    assert "between A and Z there was a function" in wrong.nth(1).inner_text()
    assert found.locator(".verdict.right").count() == 5


def test_a_right_backward_pass_is_remembered_and_erased(page):
    assert "All gradients are right." in checked(page, RIGHT).inner_text()
    page.goto(page.url.replace("find-my-mistake", "progress"))
    solved = "find my mistake: 2 layers, tanh, cross entropy, weight decay 0.1"
    assert solved in page.locator("my-progress table").inner_text()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    kept = json.loads(saved.value.path().read_text())
    assert kept["drafts"]["mistake/2-tanh-cross_entropy-0.1"] == RIGHT
    page.get_by_role("button", name="Erase everything").click()
    page.get_by_role("button", name="Press once more").click()
    assert "Nothing is solved yet." in page.locator("my-progress").inner_text()
    assert page.evaluate("localStorage.getItem('tinygrad_mnist.progress')") is None


def test_what_is_written_is_there_again_for_each_network(page):
    area = page.locator("find-my-mistake textarea")
    area.fill("dZ2 = 2")
    page.locator("find-my-mistake select").first.select_option("3")
    assert area.input_value() != "dZ2 = 2"
    page.reload()
    page.wait_for_selector("find-my-mistake textarea")
    page.locator("find-my-mistake select").first.select_option("2")
    assert area.input_value() == "dZ2 = 2"


@pytest.mark.parametrize(
    "code", ["while True:\n    pass", "x = []\nwhile True:\n    x.append([0] * 1000)"]
)
def test_code_without_an_end_is_stopped_and_the_next_runs(page, code):
    checked(page, "dZ2 = A2")
    assert "Your code was stopped after 2 seconds" in checked(page, code).inner_text()
    assert "right" in checked(page, RIGHT).inner_text()


def test_it_works_with_the_keyboard_alone(page):
    page.locator("find-my-mistake select").last.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("for i in range(B):\npass")
    assert page.locator("textarea").input_value() == "for i in range(B):\n    pass"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".verdict", **PATIENT)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Check"


def test_it_works_with_a_finger_on_a_phone_at_night(site, browser):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    context = browser.new_context(color_scheme="dark", **phone)
    tab = context.new_page()
    tab.goto(f"{site}/find-my-mistake.html")
    tab.locator("find-my-mistake textarea").fill("dZ2 = " + "A2 + " * 40 + "A2")
    tab.get_by_role("button", name="Check").tap()
    tab.wait_for_selector(".verdict", **PATIENT)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    for part in tab.locator("find-my-mistake :is(select, button, summary)").all():
        assert part.bounding_box()["height"] >= 24
    context.close()


def test_an_exercise_is_answered_in_its_page(opened):
    tab = opened("derivations/linear.html")
    tab.locator("try-it").first.get_by_role("button", name="Try it here").click()
    place = tab.locator("try-it").first
    place.locator("textarea").fill("dW = [[5 / 3], [-1]]\ndb = [2]")
    place.get_by_role("button", name="Check").click()
    place.locator(".verdict").wait_for(**PATIENT)
    assert "Do not divide by the batch" in place.locator(".verdict").inner_text()
    place.locator("textarea").fill("dW = [[5], [-3]]\ndb = [2]")
    place.get_by_role("button", name="Check").click()
    place.locator(".verdict.right").wait_for(**PATIENT)
    solved = tab.evaluate("JSON.parse(localStorage['tinygrad_mnist.progress']).solved")
    assert list(solved) == ["linear.weights-and-bias"]


def test_the_scalar_tape_is_changed_and_run_in_its_page(opened):
    tab = opened("tutorials/01-scalar-tape.html")
    place = tab.locator("try-it").nth(1)
    place.get_by_role("button", name="Change and run it").click()
    place.locator("textarea").fill("a, b = Value(2.0), Value(3.0)\na * b")
    place.get_by_role("button", name="Run").click()
    place.locator("pre.output").wait_for(**PATIENT)
    assert place.locator("pre.output").inner_text().strip() == "Value(6, grad 0)"
