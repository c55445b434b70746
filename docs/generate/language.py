"""The language's tables: functions, distributions, reserved words, mistakes, codes, grammar."""

from __future__ import annotations

from pathlib import Path

from tables import block, code, table

from odec.codes import CODES
from odec.distributions import DISTRIBUTIONS, INITIALIZERS, NOISE
from odec.functions import FUNCTIONS
from odec.syntax.mistake_table import MISTAKES
from odec.syntax.reserved import FUNCTION_WORDS, SIGN_WORDS, VALUES

ROOT = Path(__file__).resolve().parents[2]


def functions() -> str:
    """The functions of numbers, with their derivatives."""
    rows = []
    for row in FUNCTIONS.values():
        more = ", …" if row.most is None else ""
        derivatives = [
            f"∂{parameter}: {code(text)}" if len(row.parameters) > 1 else code(text)
            for parameter, text in zip(row.parameters, row.derivatives, strict=False)
        ]
        rows.append((code(f"{row.name}({', '.join(row.parameters)}{more})"), row.documentation, ", ".join(derivatives)))
    return table(("function", "what it is", "derivative"), rows)


def distributions() -> str:
    """The distributions of noise and priors."""
    rows = [
        (
            code(f"{row.name}({', '.join(row.parameters)})"),
            "noise, prior" if row.name in NOISE else "prior",
            row.documentation,
        )
        for row in DISTRIBUTIONS.values()
    ]
    return table(("distribution", "of", "−ln density of the datum m, the model's value being y, or what it is"), rows)


def initializers() -> str:
    """Keras's initializers that an array of params may start from."""
    return ", ".join(map(code, INITIALIZERS)) + "."


def reserved() -> str:
    """The words that are no names."""
    rows = [(code(word), why) for word, why in {**SIGN_WORDS, **VALUES}.items()]
    rows.append((" ".join(map(code, sorted(FUNCTION_WORDS))), "built-in functions"))
    return table(("word", "why"), rows)


def mistakes() -> str:
    """The typical mistakes and what is said of them; placeholders stand for the user's own words."""
    words = {"{left}": "…", "{right}": "…", "{word}": "…", "{side}": "…", "{keyword}": "…", "{bare}": "…"}
    rows = []
    for row in MISTAKES:
        message, cure = row.message, row.help
        for word, dots in words.items():
            message, cure = message.replace(word, dots), cure.replace(word, dots)
        rows.append((code(row.example), f"[{row.code}](#{row.code.lower()})", message, cure))
    return table(("written", "code", "message", "cure"), rows)


def codes() -> str:
    """The page of each code."""
    parts = []
    for row in CODES.values():
        parts.append(f"### {row.code}\n\n**{row.title[0].upper()}{row.title[1:]}.** {row.meaning}\n")
        parts.append(f"Wrong:\n\n{block(_shortened(row.wrong))}\nRight:\n\n{block(_shortened(row.right))}")
    return "\n".join(parts)


def grammar() -> str:
    """The grammar file."""
    return block((ROOT / "grammars" / "odec.lark").read_text(encoding="utf-8"), "text")


def _shortened(text: str) -> str:
    """Lines of ordinary length."""
    return "\n".join(line if len(line) <= 100 else f"{line[:60]} … {line[-20:]}" for line in text.splitlines())
