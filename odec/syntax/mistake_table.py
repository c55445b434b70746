"""The typical mistakes, most special first. The last row fits everything."""

# A row of the table reads best unbroken.
# ruff: noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from odec.syntax.reserved import FUNCTION_WORDS


@dataclass(frozen=True)
class Mistake:
    """A mistake: a statement with it, its code, what to say, and how to see it.

    `before` and `behind` are patterns for the text on either side of the place where the statement stops making sense; in
    `before` runs of blanks are one blank. In `message` and `help`, `{left}` and `{right}` are the words at that place,
    `{word}` is the statement's first word, `{side}` its text up to `=`, `{keyword}` a cure for a wrong keyword.
    """

    example: str
    code: str
    message: str
    help: str
    before: str = ""
    behind: str = ""
    mark: Literal["right", "left", "both", "end", "statement"] = "right"

    @cached_property
    def _before(self) -> re.Pattern[str]:
        return re.compile(self.before)

    @cached_property
    def _behind(self) -> re.Pattern[str]:
        return re.compile(self.behind)

    def fits(self, before: str, behind: str) -> bool:
        """Whether this is the mistake between these two texts."""
        return self._behind.match(behind) is not None and self._before.search(before) is not None


_DECLARES = r"^(state|param|const|size|input|data|observe)\b"
_JUMPS = r"^(at|every|when)\b"
_OPERATOR = r"(?:[-+*/^@<>=,~(\[:]|!=|\b(?:and|or|not|in)) ?$"
_NUMBER_END = r"(?:^|[^\w.])(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][+-]?[0-9]+)?"
_FUNCTION = r"\b(?:" + "|".join(sorted(FUNCTION_WORDS)) + r") ?$"
_COMMENT_HELP = "a comment begins with `#`"

MISTAKES: tuple[Mistake, ...] = (
    # Notations of other fields
    Mistake("A + B -> C, k", "E0105", "a reaction is no statement", "write its rate into the equation of each species: `A' = -k*A*B`",
            r"^\w+ ?$", r"(?:\+[^=:]*?)?(?:<?->|<?=>|→|⇌)", "statement"),
    Mistake("x'(t) = -x", "E0101", "`(t)` is not written", "what moves in time is written without it: `x' = -k*x`", r"' ?$", r"\( ?t ?\)"),
    Mistake("dx(t)/dt = -x", "E0101", "`(t)` is not written", "what moves in time is written without it: `dx/dt = -k*x`",
            r"^d\w+ ?\( ?t ?\) ?$", "/", "left"),
    # Signs and comments of other languages
    Mistake("x = 1 // the start", "E0107", "`//` means nothing", f"{_COMMENT_HELP}; a division is one `/`", r"/ ?$", "/", "both"),
    Mistake("x = 1 /* start */", "E0107", "`/*` means nothing", _COMMENT_HELP, r"/$", r"\*", "both"),
    Mistake("// a model", "E0107", "`//` means nothing", _COMMENT_HELP, "^$", "//"),
    Mistake("/* a model */", "E0107", "`/*` means nothing", _COMMENT_HELP, "^$", r"/\*"),
    Mistake("x = 5 % 3", "E0107", "`%` means nothing", f"{_COMMENT_HELP}; a remainder is `mod(a, b)`", "", "%"),
    Mistake("x = a && b", "E0107", "`&` means nothing", "write `and`", "", "&"),
    Mistake("x = a || b", "E0107", "`|` means nothing", "write `or`; a magnitude is `abs(…)`", "", r"\|"),
    Mistake("x = if(!a, 1, 2)", "E0107", "`!` means nothing here", "write `not`", "", "!(?!=)"),
    Mistake("x = a > 3 ? 1 : 2", "E0107", "`?` means nothing", "write `if(condition, a, b)`", "", r"\?"),
    Mistake('x = "fast"', "E0107", "there is no text in the language", "remove the quotes; a name stands by itself", "", '"'),
    Mistake("x = 'fast'", "E0107", "there is no text in the language", "remove the quotes", _OPERATOR, r"'"),
    Mistake("x = {a + b}", "E0107", "`{right}` means nothing", "write `(` and `)`, or `[` and `]` for arrays", "", "[{}]"),
    Mistake("x = a \\ b", "E0107", "`\\` stands only at the end of a line, which it joins to the next", "remove it", "", r"\\"),
    Mistake("x <- 3", "E0101", "a value is given with `=`, not with `<-`", "write `{word} = …`", r"^\w+ ?$", "<-", "right"),
    Mistake("x := 3", "E0101", "a value is given with `=`, not with `:=`", "write `{word} = …`", r"^\w+'* ?$", ":="),
    Mistake("x = if(a =< b, 1, 2)", "E0101", "`=<` is not a comparison", "write `<=`", "", "=<"),
    Mistake("x = if(a => b, 1, 2)", "E0101", "`=>` is not a comparison", "write `>=`", "", "=>"),
    Mistake("x = if(a <> b, 1, 2)", "E0101", "`<>` is not a comparison", "write `!=`", "<$", ">", "both"),
    # Numbers
    Mistake("const k = 0,5", "E0108", "a number has a decimal point, not a comma", "write `.` instead of `,`", r"[0-9],$", "[0-9]"),
    Mistake("x = 0,5*y", "E0108", "a number has a decimal point, not a comma", "write `.` instead of `,`", r"[0-9]$", ",[0-9]"),
    Mistake("x = 1.2.3", "E0108", "this number has two decimal points", "keep one of them", r"[0-9.]$", r"\.?[0-9.]", "both"),
    Mistake("x = 1_", "E0108", "`_` stands only between two digits of a number", "remove it", _NUMBER_END + "$", "_", "both"),
    Mistake("x = 1d-3", "E0108", "the exponent of a number is written with `e`", "write `1e-3`",
            _NUMBER_END + "$", r"[dD][+-]?[0-9]+\b", "both"),
    Mistake("x = 1e", "E0108", "this number has an `e` but no exponent", "write `1e3`, or `*` where a product is meant",
            _NUMBER_END + "$", r"[eE](?!\w)", "both"),
    # Words of other languages
    Mistake("if x > 3: y = 0", "E0101", "`if` is a function of the language",
            "write `when x > 3: …` for a jump, `x' = if(condition, a, b)` for a choice", "^if $", ".*:", "left"),
    Mistake("else: y = 0", "E0101", "`{left}` is not a word of the language", "write `if(condition, a, b)`", "^(?:else|elif|elseif)$", ":", "left"),
    Mistake("x = a if b", "E0101", "`if` is a function of the language", "write `if(condition, a, b)`", "", r"if\b"),
    Mistake("x = if a > 3", "E0101", "`if` is a function of the language", "write `if(condition, a, b)`",
            r"\bif ?$", "(?!=)", "left"),
    Mistake("x = sum(y[i] for i in n)", "E0101", "`for` is kept for a later version of the language",
            "an equation of a whole array is one statement: `sum(y)`", "", r"for\b"),
    Mistake("x = a else b", "E0101", "`{right}` is not a word of the language", "write `if(condition, a, b)`",
            r".", r"(?:else|then|elif|elseif|endif)\b"),
    Mistake("x = sin y", "E0210", "`{left}` is a function and needs `(…)`", "write `{left}(…)` with its arguments",
            r"=.*" + _FUNCTION, r"[\w.]", "left"),
    # Jumps
    Mistake("when x = 3: y = 0", "E0101", "a condition compares with `==`, `<` or `>`", "write `==`", r"^when\b[^:]*$", "="),
    Mistake("at x > 3: y = 0", "E0101", "`at` is followed by times", "write `when` for a condition", "^at [^:]*$", "[<>!]|=="),
    Mistake("when x > 3 y = 0", "E0101", "a `:` is missing in front of the changes", "write `:` before `{right}`",
            _JUMPS + r"[^:]*[\w\])] ?$", r"[^\W\d]"),
    Mistake("when x > 3, y = 0", "E0101", "a `:` is missing in front of the changes", "write `:` instead of `,`",
            "^(every|when) [^:]*$", ","),
    Mistake("at 3, x = 0", "E0101", "a `:` is missing in front of the changes", "write `at 3: x = 0`", "^at [^:]*$", "="),
    Mistake("when x > 3", "E0101", "this jump changes nothing", "write `: x = …` with what it changes",
            _JUMPS + r"[^:]*[\w\])] ?$", r"\Z", "end"),
    Mistake("when x > 3:", "E0101", "this jump changes nothing", "write what it changes, on the same line: `x = …`",
            _JUMPS + r".*: ?$", r"\Z", "end"),
    Mistake("at 3: x[0] = 1", "E0101", "a jump changes a whole state", "give the state a new value: `x = …`",
            _JUMPS + r".*[:,] ?\w+ ?$", r"\["),
    Mistake("at 3: x + 5", "E0101", "a change has the form `x = …` or `x += …`", "write `{left} = …` or `{left} += …`",
            _JUMPS + r".*[:,] ?\w+'* ?$", r""),
    # Networks
    Mistake("net g(x)", "E0101", "this net has no layers", "write `= dense(16, tanh), dense(1)`, or `-> 1` for a Keras model that is handed over",
            r"^net \w+ ?\([^=]*\) ?$", r"\Z", "end"),
    Mistake("net g = dense(1)", "E0101", "a net has inputs", "write `net {left}(x, y) = …` with names for them", r"^net \w+ ?$", "=|->"),
    Mistake("net g(x) = dense(8) -> dense(1)", "E0101", "layers are separated by `,`", "write `,` instead of `->`",
            r"^net .*=.*\) ?$", "->"),
    Mistake("net g(x) = dense(8) dense(1)", "E0101", "a `,` is missing between two layers", "write `, {right}(…)`",
            r"^net .*=.*\) ?$", r"[^\W\d]"),
    Mistake("net g(x) = dense(units=8)", "E0101", "the width of a layer is a number", "write it without a word: `dense(16, tanh)`",
            r"^net .*\( ?\w+ ?$", "=(?!=)"),
    Mistake("net g(x) = dense()", "E0101", "a layer has a width", "write `dense(16, tanh)`", r"^net .*=.*\w ?\( ?$", r"\)"),
    Mistake("net g(x) = dense(8 tanh)", "E0101", "a `,` is missing between `{left}` and `{right}`", "write `{left}, {right}`",
            r"^net .*=.*\( ?\w+ $", r"[^\W\d]", "both"),
    Mistake("net g(x) = dense(8, tanh(x))", "E0101", "an activation is the name of a function alone", "write `{left}` without brackets",
            r"^net .*=.*, ?\w+ ?$", r"\(", "left"),
    Mistake("net g(x) = 2*x", "E0101", "a net is made of layers", "write `dense(16, tanh), dense(1)`; a formula is a function, without the word `net`",
            r"^net [^=]*=(?:.*\) ?,)? ?$", r"."),
    # The parts of a declaration
    Mistake("observe 2*x", "E0101", "an output that is computed needs a name", "write `observe total = …`",
            "^observe $", r"[0-9.]+ ?[-+*/^]|-"),
    Mistake("observe (x + y)/2", "E0101", "an output that is computed needs a name", "write `observe total = …`", r"^observe ?\(", "", "statement"),
    Mistake("param 3k = 1", "E0101", "`{right}` cannot begin a name", "a name begins with a letter", _DECLARES + " $", "[0-9]"),
    Mistake("param k = 1 in (0, 2)", "E0101", "bounds stand in square brackets", "write `in [low, high]`", r"\bin ?$", r"\("),
    Mistake("const k = 1 in [0, 2]", "E0101", "only a `param` has bounds", "write `param`, or leave the bounds out",
            r"^(const|size|state)\b", r"in\b"),
    Mistake("const k = 1 ~ normal(0, 1)", "E0101", "only a `param` and an `observe` have a distribution",
            "write `param`, or leave it out", r"^(const|size|state|input|data)\b", "~"),
    Mistake("const k = 1 log", "E0101", "only a `param` is searched on a log scale", "write `param`, or leave `log` out",
            r"^(const|size|state)\b", r"log ?\Z"),
    Mistake("param k in [0, 1] = 1", "E0101", "the value stands before the bounds", "write `param k = … in [low, high]`",
            r"^param\b.*[\]\w)] ?$", "="),
    Mistake("param k 0.1", "E0101", "a `=` is missing before `{right}`", "write `{word} {left} = …`",
            r"^(state|param|const|size) \w+'* $", r"[0-9.]"),
    Mistake("param k: 0.1", "E0101", "a value is given with `=`, not with `:`", "write `=`", r"^(state|param|const|size) \w+'* ?$", ":"),
    Mistake("input u cubic", "E0101", "an input is interpolated `linear` or `hold`", "write one of the two",
            r"^input \w+ $", r"\w"),
    Mistake("input u = 3", "E0101", "an input has no value here: it comes from a table", "write `const {left} = …` for a fixed value",
            r"^input \w+ ?$", "="),
    Mistake("data sd = 3", "E0101", "a data column has no value here", "write `const {left} = …` for a fixed value",
            r"^data \w+ ?$", "="),
    Mistake("state x y", "E0101", "a `,` is missing between `{left}` and `{right}`", "write `{left}, {right}`",
            _DECLARES + r" \w+ $", r"[^\W\d]", "both"),
    Mistake("observe x + y", "E0101", "an output that is computed needs a name", "write `observe total = …`",
            r"^observe \w+'* ?$", r"[-+*/^@(\[]"),
    Mistake("const K", "E0103", "`{left}` has no value", "write `{word} {left} = …`", r"^(const|size) \w+$", r"\Z", "end"),
    Mistake("param k = 1 positive", "E0101", "`{right}` is not a clause of `param`",
            "the clauses are `in [low, high]`, `log`, `~ prior(…)`, `per experiment`; a unit stands in a comment, `# mM/s`", r"^param \w+ = ?[-+]?[\w.]+ $", r"[^\W\d]"),
    Mistake("observe x ~ 3", "E0101", "a distribution is expected behind `~`", "write `~ normal(mean, sd)`", r"~ ?$", "."),
    Mistake("observe x ~ normal", "E0101", "a distribution has arguments", "write `{left}(…)`", r"~ ?\w+ ?$", ""),
    # solve
    Mistake("solve 0 to 100", "E0101", "`solve` is followed by `from`, `to`, `step`, `every` or `method`",
            "write `solve from 0 to 100, step 0.1`", "^solve $", "(?!=)"),
    Mistake("solve", "E0101", "`solve` says nothing", "write `solve from 0 to 100, step 0.1`", "^solve$", r"\Z", "statement"),
    Mistake("solve from 0 until 100", "E0101", "`{right}` is not an option of `solve`",
            "the options are `from`, `to`, `step`, `every` and `method`", r"^solve .*[\w)] ?$|^solve .*, ?$", r"[^\W\d]"),
    # What stands left of `=`
    Mistake("x == 3", "E0101", "a value is given with one `=`", "write `{word} = …`", r"^\w+'* ?$", "=="),
    Mistake("x' = = 3", "E0101", "`=` stands twice", "remove one of them", r"= ?$", "="),
    Mistake("x += 1", "E0101", "`{right}` stands only in jumps", "write `at 3: {word} {right} …`", r"^\w+'* ?$", "[-+*/]="),
    Mistake("d2x/dt2 = -x", "E0101", "a second derivative is written with two primes", "write `{bare}'' = …`",
            r"^d2\w+ ?$", "/", "statement"),
    Mistake("d^2x/dt^2 = -x", "E0101", "a second derivative is written with two primes", "write `{bare}'' = …`",
            "^d ?$", r"(?:\^|\*\*) ?2", "statement"),
    Mistake("dy/dx = -y", "E0101", "a derivative is taken by the time", "write `d{bare}/dt = …` or `{bare}' = …`, and `t` for the other name",
            r"^d\w+ ?$", r"/ ?d\w+ ?=(?!=)", "statement"),
    Mistake("d/dt x = -x", "E0101", "this derivative is written in another way", "write `x' = …`, `dx/dt = …` or `d/dt(x) = …`",
            "^d ?$", r"/ ?dt\b", "statement"),
    Mistake("d(x)/dt = -x", "E0101", "this derivative is written in another way", "write `x' = …` or `dx/dt = …`",
            r"^d ?\( ?\w+ ?\) ?$", "/", "statement"),
    Mistake("x(0) = 100", "E0101", "the left side of `=` is a name", "a start value is written `state {word} = …`",
            r"^\w+ ?\( ?$", "[-+0-9.]", "left"),
    Mistake("x'(0) = 1", "E0101", "the left side of `=` is a name", "a start value is written `state {word}' = …`",
            r"^\w+'+ ?$", r"\("),
    Mistake("dx[0] = 1", "E0101", "an array is given a value as a whole", "write `{word} = …`, with an array on the right",
            r"^\w+'* ?$", r"\["),
    Mistake("x + y = 3", "E0101", "`{side}` cannot be given a value", "the left side of `=` is one name",
            r"^\w+'* ?$", r"[-+*/^@,<>][^=]*=(?!=)", "statement"),
    Mistake("2*x = 3", "E0101", "`{side}` cannot be given a value", "the left side of `=` is one name",
            "^$", r"[-+0-9.(\[][^=]*=(?!=)", "statement"),
    Mistake("f(x + 1) = 3", "E0101", "the arguments of a function are names where it is defined", "write `{word}(a) = …`",
            r"^\w+ ?\([^=]*$", r"[-+*/^][^=]*=(?!=)"),
    Mistake("parameter k = 1", "E0105", "`{word}` does not begin a statement", "{keyword}", r"^\w+ $", r"[^\W\d]", "left"),
    Mistake("param", "E0105", "`{word}` alone is no statement", "write `{word} = …` to give it a value",
            r"^\w+'*$", r"\Z", "statement"),
    Mistake("x + 1", "E0105", "this has no name", "write `name = …` to give it one", r"^\w+'* ?$", r"[-+*/^@<>\[]", "statement"),
    Mistake("3 + x", "E0105", "this does not begin a statement", "write `name = …` to give it a name", "^$", r"[-+0-9.(\[]", "statement"),
    Mistake("x 3", "E0101", "a `=` is missing between `{left}` and `{right}`", "write `{left} = …`", r"^\w+'* $", r"[0-9.]", "both"),
    Mistake("f(x, y)", "E0105", "this does not begin a statement", "write `name = …` to give it a name", r"^\w+ ?\([^=]*$", r"\Z", "statement"),
    # Inside expressions
    Mistake("y = x = 3", "E0101", "a second `=` stands in this statement", "`==` compares; a statement gives one name a value",
            "=.*$", "="),
    Mistake("y = f(x, )", "E0103", "an expression is missing before `{right}`", "write it, or remove the `{left}`",
            r"(?:[-+*/^@<>=,~]|\b(?:and|or|not)) ?$", r"[)\],:]"),
    Mistake("y = ()", "E0103", "nothing stands between these brackets", "write an expression between them",
            r"[(\[] ?$", r"[)\]]", "both"),
    Mistake("dx = -k*", "E0103", "the expression ends too early", "something is missing behind `{left}`", _OPERATOR, r"\Z", "end"),
    Mistake("y = 1 2", "E0101", "two numbers stand side by side", "write `,` or an operator between them",
            _NUMBER_END + r" $", r"[0-9.]", "both"),
    Mistake("dx = 2x", "E0104", "a `*` is missing between `{left}` and `{right}`", "write `{left}*{right}`",
            r"(?:\w|\.|') ?$", r"\w|\.[0-9]", "both"),
    Mistake("dx = 2(x + 1)", "E0104", "a `*` is missing before `{right}`", "write `{left}*(…)`", r"[\w.'] ?$", r"\("),
    Mistake("dx = (a)(b)", "E0104", "a `*` is missing before `{right}`", "write `…)*{right}`", r"\) ?$", r"[\w.(]"),
    Mistake("dx = a[0]b", "E0104", "a `*` is missing before `{right}`", "write `…]*{right}`", r"\] ?$", r"[\w.(]"),
    Mistake("y = x.a", "E0107", "a `.` stands only in numbers", "a name is made of letters, digits and `_`", r"\w ?$", r"\."),
    Mistake("y = x */ 3", "E0101", "`{right}` cannot follow `{left}`", "something is missing between them",
            r"(?:[-+*/^@<>=,(~]|\[) ?$", r"[-+*/^@<>=,~:!]", "both"),
    Mistake("= 3", "E0105", "a name is missing in front of `=`", "write `name = …`", "^$", "="),
    Mistake("y = 3 $ 4", "E0107", "", "", "", r"[^\w\s+\-*/^@<>=!()\[\],:'~]|\ufffd"),
    Mistake("y = 2 : 3", "E0101", "`{right}` cannot stand here", "a range is written inside an index: `x[1:3]`", "", ":"),
    Mistake("x = 1, 2", "E0101", "a `,` cannot stand here", "one statement gives one name a value", "=", ","),
    Mistake("solve from 0 to", "E0103", "the statement ends too early", "something is missing behind `{left}`", "", r"\Z", "end"),
    Mistake("y = 3 'a", "E0101", "`{right}` cannot stand here", "", "", ""),
)  # fmt: skip
