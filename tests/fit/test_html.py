"""The page of a fit: whole, safe, and with every fact that the text has."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from odec.fit.fitting import Fit, fit

MODEL = """\
## Decay <script>alert(1)</script> & "more".
param k = 0.5 in [0.01, 10] log    # rate <b>k</b>
param a = 2 in [0.01, 100] log
param b = 1 in [0.0001, 10000] log
param s = 0.1 in [0.001, 1] log
param c = 0.5 in [0, 1]
state x = 5
x' = -k*x
observe y ~ normal(a*b*x + 0.1*(1 - c), s)
"""
NAMES = ("one & <two>", "b")
NEVER_CLOSED = {"meta", "br", "img"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, str]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "model.ode").write_text(MODEL)
    t = np.linspace(0, 4, 12)
    data = {
        "t": np.tile(t, 2),
        "experiment": np.repeat(NAMES, t.size),
        "y": np.tile(10 * np.exp(-0.7 * t), 2) + 0.1 * np.cos(17 * np.arange(24)) - 0.2,
    }
    found = fit(folder / "model.ode", data, output=folder / "fit", starts=3, profiles=True, bootstrap=30)
    return found, (folder / "fit" / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """What tags and text a page holds; an error for a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in NEVER_CLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_whole_and_loads_and_runs_nothing(whole: tuple[Fit, str]) -> None:
    page = Page(whole[1])
    assert "script" not in page.tags
    assert "link" not in page.tags
    for name, value in page.attributes:
        assert name in {"lang", "charset", "name", "content", "class", "alt", "src"}
        assert name != "src" or (value or "").startswith("data:image/svg+xml;base64,")


def test_text_of_the_model_and_the_data_is_no_markup(whole: tuple[Fit, str]) -> None:
    page = Page(whole[1])
    assert "rate <b>k</b>" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "one & <two>" in page.text


def test_every_picture_is_there_and_is_an_svg(whole: tuple[Fit, str]) -> None:
    found, text = whole
    images = [base64.b64decode(image).decode() for image in re.findall(r"svg\+xml;base64,([^\"]+)", text)]
    # a curve for each experiment, a profile for each parameter, starts, residuals, correlations
    assert len(images) == 2 + len(found.parameters) + 3
    assert all(image.lstrip().startswith("<?xml") and image.rstrip().endswith("</svg>") for image in images)
    assert "y · one &amp; &lt;two&gt;" in images[1]  # experiments in the order of their names
    assert not any("mathdefault" in image for image in images)


def test_facts_of_the_text_stand_on_the_page(whole: tuple[Fit, str]) -> None:
    found, text = whole
    page = Page(text)
    for part in (
        f"{found.loss:.6g}",
        "a and b: only a*b is determined",
        "c lies at its upper bound",
        "a: the interval has no lower end (its bound)",
        found.problem.data.digest,
        "30 of 30 simulated data sets",
        f"odec{found.version}",
        "tensorflow 2",
        "command",
        "the steps do not matter",
    ):
        assert part in page.text, part
    for parameter in found.parameters.values():
        assert f"{parameter.estimate:.6g}" in page.text


def test_profiles_and_bootstrap_are_in_text_json_and_model(whole: tuple[Fit, str]) -> None:
    found, _ = whole
    assert "95 % intervals by profile:" in found.text
    assert re.search(r"a +< 0\.01 \(its bound\) … > 100 \(its bound\)", found.text)
    facts = found.as_dict()
    assert facts["profiles"]["k"]["open"] == {"lower": None, "upper": None}
    low, high = facts["profiles"]["k"]["interval"]
    assert low < found.estimates["k"] < high
    assert facts["bootstrap"]["fitted"] == 30
    assert set(facts["bootstrap"]["intervals"]) == set(found.parameters)
    # The likelihood is negative here, and the ends are ends all the same.
    assert found.loss < 0
    for low, high in facts["bootstrap"]["intervals"].values():
        assert low < high
    assert found.output is not None
    header = (found.output / "fitted.ode").read_text(encoding="utf-8")
    assert re.search(r"# k = 0\.\d+ ± \d\S*, 95 % \d\S* … \d\S*, by profile \d", header)
