"""Docstrings as Markdown: an interactive example is code, not a quotation in a quotation in a quotation."""

from __future__ import annotations

import re
from typing import Any

import griffe

# Lines from one with `>>>` to the next empty one.
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).+)*", re.MULTILINE)


class InteractiveExamples(griffe.Extension):
    """Fences each `>>>` example; what it says to doctest is left out."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            text = re.sub(r" *# doctest:.*", "", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(lambda example: f"```python\n{example[0]}\n```", text)
