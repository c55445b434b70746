"""The site: it is built without a warning and fetches nothing; what its pages say to type works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from odec.cli.main import main
from odec.compiler import compile_source
from odec.source import Source

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title (a file to write it into), its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'^```(\w*)(?: title="([^"\n]*)")?\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL)
    return [Block(*parts) for parts in found]


class Addresses(HTMLParser):
    """What a page makes a browser load by itself: not the links that a reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.found += [str(said[name]) for name in ("src", "srcset") if said.get(name)]
        if tag == "link":
            self.found.append(str(said.get("href")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_with_what_is_generated_in_it(site: Path) -> None:
    for page in PAGES:
        path = page.relative_to(DOCS).with_suffix("")
        html = site / (path.parent if path.name == "index" else path) / "index.html"
        assert "{{" not in html.read_text(encoding="utf-8").split("<article")[1].split("</article>")[0], page
    assert "E0203" in (site / "language/codes/index.html").read_text(encoding="utf-8")
    assert "Tsitouras" in (site / "methods/index.html").read_text(encoding="utf-8")
    assert "<math" in (site / "language/index.html").read_text(encoding="utf-8")


def test_the_measurements_name_the_scripts_that_made_them(site: Path) -> None:
    html = (site / "measured/index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"python (benchmarks/\w+\.py)</code> wrote this", html)
    assert len(set(scripts)) == len(list((ROOT / "benchmarks" / "results").glob("*.md")))
    assert all((ROOT / script).is_file() for script in scripts)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for html in site.rglob("*.html"):
        addresses = Addresses()
        addresses.feed(html.read_text(encoding="utf-8"))
        assert addresses.found
        assert not [address for address in addresses.found if re.match(r"(?:https?:)?//", address)], html
    for style in site.rglob("*.css"):
        assert "@import" not in style.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_what_a_page_says_to_type_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files are written, `bash` and `python` are run, in the order of the page, in one folder with the examples; a
    block that is to be read only is `sh` or `text`."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    known = set(sys.modules)
    try:
        for block in blocks(page):
            if block.title:
                Path(block.title).write_text(block.text, encoding="utf-8")
            if block.language == "ode":
                compile_source(Source.from_text(block.text, block.title or "model.ode"))
            elif block.language == "python":
                exec(compile(block.text, str(page), "exec"), names)
            elif block.language == "bash":
                for line in block.text.replace("\\\n", "").splitlines():
                    program, *arguments = shlex.split(line, comments=True) or [""]
                    assert program == "odec", f"{line}: a block that is not run is `sh`"
                    assert main(arguments) == 0, capsys.readouterr().err
            else:
                assert block.language in ("csv", "sh", "text"), block
    finally:
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]
