"""Which names of a text are the module's: what a function around them binds is not."""

from __future__ import annotations

import ast

import pytest

from odec.emit.scopes import bound, uses

# text of a statement → the module's names in it, those that only say a type in brackets
CASES = {
    "a = b + c.d": "a b c",
    "def f(x, *y, z=a, **w):\n    return x + y[0] + z + b": "a b",
    "def f():\n    x = 1\n    def g():\n        return x + y\n    return g": "y",
    "def f(x: A) -> B:\n    y: C = x\n    return y": "[A] [B] [C]",
    "lambda x, y=z: x + y + w": "w z",
    "def f(v):\n    return [x + a for x in v if b]": "a b",
    "def f(v):\n    g = [y := x for x in v]\n    return y + h": "h",
    "class A(B, metaclass=C):\n    x = 1\n    y = x + d\n    def f(self):\n        return x": "B C d x",
    "@deco(a)\ndef f():\n    pass": "a deco",
    "def f():\n    try:\n        pass\n    except E as e:\n        raise e": "E",
    "def f(x):\n    match x:\n        case [a, *b]:\n            return a + b + c": "c",
    "def f():\n    from somewhere import g\n    return g(h)": "h",
    "def f():\n    with open(a) as b:\n        for c in b:\n            del c": "a open",
}


@pytest.mark.parametrize("text", CASES)
def test_a_name_is_the_modules_unless_a_function_binds_it(text: str) -> None:
    (statement,) = ast.parse(text).body
    found = {f"[{use.name}]" if use.is_hint else use.name for use in uses(statement, frozenset())}
    assert " ".join(sorted(found)) == CASES[text]


def test_what_an_import_of_ours_binds_is_the_modules_in_a_function_too() -> None:
    (statement,) = ast.parse("def f():\n    from odec.runtime import g\n    return g.h").body
    (use,) = uses(statement, frozenset({"g"}))
    assert (use.name, use.attribute) == ("g", "h")
    assert bound([statement]) == {"f"}
