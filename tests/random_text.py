"""Text of the grammar, drawn at random: whole models of numbers, and of vectors and matrices."""

from __future__ import annotations

import random
import re

# Names that mean something to Python, Keras, sympy or the generated module; letters of other scripts.
# fmt: off
NAMES = [
    "lambda", "class", "def", "import", "return", "None", "True", "yield", "async", "self", "cls", "states", "params",
    "consts", "inputs", "data", "t0", "select", "power", "register", "require", "Layer", "State", "Param",
    "Description", "maximum", "minimum", "w1", "w2", "w3", "dx", "keras", "ops", "tf", "np", "K", "layer", "call",
    "build", "dtype", "weights", "S", "E", "I", "N", "O", "Q", "C", "beta", "gamma", "zeta", "Symbol", "Integer",
    "Add", "Mul", "exp1", "log_", "sin_", "cosx", "α", "β", "γ", "δ", "ε", "λ", "μ", "π_", "σ", "ω", "Δx", "ψ1", "ж",
    "变量", "naïve", "x_1", "_x", "__x", "step", "method", "from", "to", "every", "linear", "hold", "at", "when",
    "next", "state", "param", "const", "observe", "input", "size", "solve", "normal", "per", "experiment", "print",
    "eval", "exec", "open", "len", "float", "int", "abs_", "sum_", "k1", "k2", "h", "dt", "y0", "tau", "sp_1", "s0",
    "s1",
]
UNARY = [
    "exp", "log", "ln", "log2", "log10", "sqrt", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "erf", "sigmoid", "softplus", "relu",
]
# fmt: on
JUMPY = ["sign", "floor", "ceil", "heaviside"]


class Writer:
    """Writes text of the grammar from the bits that Hypothesis gives it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.free = list(NAMES)
        self.time: tuple[str, ...] = ("t", "pi")
        chance.shuffle(self.free)

    def name(self) -> str:
        return self.free.pop() if self.free else f"z{self.chance.randrange(10**9)}"

    def number(self) -> str:
        kind = self.chance.randrange(6)
        if kind < 3:
            return str(self.chance.randrange(0, 5))
        if kind == 3:
            return repr(round(self.chance.uniform(0.1, 9), 2))
        return self.chance.choice(("1e-3", ".5", "1_000", "2.", "3e2", "0.25", "1/3", "2/4"))

    def atom(self, names: list[str]) -> str:
        if names and self.chance.random() < 0.75:
            return self.chance.choice(names)
        return self.chance.choice((self.number(), *self.time, self.number()))

    def expression(self, names: list[str], depth: int) -> str:
        pick = self.chance.random
        if depth == 0 or pick() < 0.15:
            return self.atom(names)
        kind = self.chance.randrange(20)
        one = self.expression(names, depth - 1)
        if kind < 9:
            two = self.expression(names, depth - 1)
            operator = self.chance.choice(("+", "-", "*", "/", " + ", " - ", " * "))
            three = self.chance.choice(("", f" - {self.atom(names)}", f"*{self.atom(names)}", f"/{self.atom(names)}"))
            text = f"{one}{operator}{two}{three}"
            return f"({text})" if pick() < 0.6 else text
        if kind < 11:
            return f"-{one}" if pick() < 0.5 else f"(-{one})"
        if kind < 13:
            exponent = self.chance.choice(("2", "3", "-1", "-2", "0.5", "2^-1", "1", "0", self.atom(names)))
            return f"{self._closed(one)}{self.chance.choice(('^', '**'))}{exponent}"
        if kind < 16:
            function = self.chance.choice(UNARY if pick() < 0.9 else JUMPY)
            return f"{function}({one})"
        if kind == 16:
            return (
                f"{self.chance.choice(('max', 'min'))}({one}, {self.expression(names, depth - 1)}, {self.atom(names)})"
            )
        if kind == 17:
            # mod(2, 1/3) of literals is 0 or 1/3, as rounding has it, and nothing moves it away from that edge.
            head = self.chance.choice(("mod(0.137 + ", "atan2("))
            return f"{head}{one}, {self.expression(names, depth - 1)})"
        if kind == 18:
            return f"if({self.condition(names, depth - 1)}, {one}, {self.expression(names, depth - 1)})"
        return f"({self.condition(names, depth - 1)})*{self.atom(names)}"

    def _closed(self, text: str) -> str:
        return text if self.chance.random() < 0.5 else f"({text})"

    def condition(self, names: list[str], depth: int) -> str:
        parts = [self.atom(names) if depth == 0 else self.expression(names, depth - 1) for _ in range(3)]
        less = self.chance.choice(("<", "<=", ">", ">="))
        kind = self.chance.randrange(6)
        if kind == 0:
            return f"{parts[0]} < {parts[1]} <= {parts[2]}"
        if kind == 1:
            return f"{parts[0]} {less} {parts[1]} {self.chance.choice(('and', 'or'))} {parts[2]} > 1"
        if kind == 2:
            return f"not {parts[0]} {less} {parts[1]}"
        return f"{parts[0]} {less} {parts[1]}"

    def start(self, state: str, names: list[str]) -> str:
        """A state's declaration; time is not known before the run."""
        self.time, before = ("pi",), self.time
        value = self.expression(names, 1)
        self.time = before
        return f"state {state} = {value}" if self.chance.random() < 0.5 else f"state {state}"

    # Statements

    def changes(self, states: list[str], names: list[str]) -> str:
        """What a jump does: one or two states change."""
        chosen = self.chance.sample(states, self.chance.randrange(1, len(states) + 1))
        operators = ("=", "+=", "-=", "*=", "/=")
        return ", ".join(f"{s} {self.chance.choice(operators)} {self.expression(names, 2)}" for s in chosen[:2])

    def jumps(self, states: list[str], names: list[str], fixed: list[str]) -> list[str]:
        """Jumps at times made of params and consts, and at conditions."""
        self.time, before = ("pi",), self.time
        times = [self.expression(fixed, 1) for _ in range(3)]
        self.time = before
        lines = []
        if self.chance.random() < 0.6:
            head = self.chance.choice((f"at t = {times[0]}", f"at {times[0]}, {times[1]}"))
            lines.append(f"{head}: {self.changes(states, names)}")
        if self.chance.random() < 0.5:
            span = self.chance.choice(("", f" from {times[0]}", f" from {times[0]} to {times[1]}", f" to {times[1]}"))
            lines.append(f"every {times[2]}{span}: {self.changes(states, names)}")
        for _ in range(self.chance.randrange(3)):
            lines.append(f"when {self.condition(names, 2)}: {self.changes(states, names)}")
        return lines

    def noise(self, names: list[str], beside: str) -> str:
        """A distribution; `beside` stands in the data, which its location may not use."""
        kind = self.chance.choice(("normal", "lognormal", "laplace", "negbinomial", "student_t", "poisson"))
        count = {"student_t": 2, "poisson": 0}.get(kind, 1)
        more = [self.expression([*names, beside], 1) for _ in range(count)]
        return f"{kind}({', '.join([self.expression(names, 2), *more])})"

    def system(self) -> list[str]:
        """A small model: its lines in any order."""
        x, y, a, b, c, rate, f, u, seen, given, beside = (self.name() for _ in range(11))
        names = [x, y, a, b, c, rate]
        is_map, has_jumps = self.chance.random() < 0.15, self.chance.random() < 0.3
        lines = [
            f"state {x} = {self.number()}",
            self.start(y, [a, c]),
            f"param {a} = {self.chance.uniform(0.1, 3):.3g}",
            f"param {b} = {self.chance.uniform(0.1, 3):.3g} in [0, 10]",
            f"const {c} = {self.chance.choice(('2', '0.5', '1/3', '4'))}",
            f"{rate} = {self.expression([x, y, a, b, c], 2)}",
            f"{f}({u}) = {self.expression([u, u, b, x], 2)}",
        ]
        if self.chance.random() < 0.2:
            lines.append(f"input {given}{self.chance.choice(('', ' hold', ' linear'))}")
            names = [*names, given]
        lines.append(f"{f'next {x}' if is_map else f'{x}{chr(39)}'} = {self.expression(names, 3)}")
        second = f"{self.expression(names, 2)} + {f}({self.expression(names, 1)})"
        lines.append(f"next {y} = {second}" if is_map else f"d{y}/dt = {second}")
        if self.chance.random() < 0.3:
            lines.append(f"observe {seen} = {self.expression(names, 2)}")
        elif self.chance.random() < 0.3:
            lines += [f"data {beside}", f"observe {seen} ~ {self.noise(names, beside)}"]
        if has_jumps and not is_map:
            lines += self.jumps([x, y], names, [a, b, c])
        self.chance.shuffle(lines)
        return lines


Shape = tuple[int, ...]
SMOOTH = ["sin", "cos", "tanh", "sigmoid", "softplus", "atan", "asinh", "relu", "abs"]


class ArrayWriter(Writer):
    """Writes models of vectors and matrices: a formula is drawn for a shape."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.shapes: dict[str, Shape] = {}
        # What a function of the model is called, and how a length may be written.
        self.function = ""
        self.lengths: dict[int, str] = {}

    def of_shape(self, names: list[str], *shape: int | None) -> list[str]:
        """The names of this shape; None is any length."""
        return [
            n
            for n in names
            if len(self.shapes[n]) == len(shape)
            and all(w in (None, h) for w, h in zip(shape, self.shapes[n], strict=True))
        ]

    def whole(self, value: int) -> str:
        """A whole number, perhaps in terms of a size."""
        near = [(n, name) for n, name in self.lengths.items() if n >= value >= 0]
        if near and self.chance.random() < 0.4:
            length, name = self.chance.choice(near)
            return name if length == value else f"{name} - {length - value}"
        return str(value)

    def place(self, length: int) -> str:
        """An index."""
        return (
            self.whole(self.chance.randrange(length))
            if self.chance.random() < 0.7
            else f"-{self.chance.randrange(length) + 1}"
        )

    def cut(self, length: int, count: int) -> str:
        """A slice of `count` of `length` elements."""
        start = self.chance.randrange(length - count + 1)
        first = "" if start == 0 and self.chance.random() < 0.5 else self.whole(start)
        last = "" if start + count == length and self.chance.random() < 0.5 else self.whole(start + count)
        return f"{first}:{last}"

    def array(self, names: list[str], shape: Shape, depth: int) -> str:
        """A formula of this shape, of the names."""
        pick = self.chance.random()
        if depth == 0 or pick < 0.1:
            return self.leaf(names, shape)
        if pick < 0.35:
            return self.made(names, shape, depth - 1)
        one = self.array(names, shape, depth - 1)
        if pick < 0.7:
            two = self.array(names, self.smaller(shape), depth - 1)
            operator = self.chance.choice(("+", "-", "*", "*", "/"))
            one, two = (one, two) if self.chance.random() < 0.6 else (two, one)
            return f"({one} {operator} {two})"
        if pick < 0.8:
            return f"{self.chance.choice([*SMOOTH, self.function])}({one})"
        if pick < 0.85:
            return f"(-{one})" if self.chance.random() < 0.5 else f"-{one}"
        if pick < 0.9:
            # A base of 0 is left to the models of numbers.
            base = self.chance.choice((f"({one})^", f"(1 + {one}^2)^"))
            return base + self.chance.choice(
                ("2", "3", "1", "0") if not base.startswith("(1 + ") else (self.leaf(names, ()), "0.5")
            )
        if pick < 0.95:
            pair = f"{one}, {self.array(names, self.smaller(shape), depth - 1)}"
            return f"{self.chance.choice(('max', 'min'))}({pair})"
        return f"if({self.test(names, shape, depth - 1)}, {one}, {self.array(names, self.smaller(shape), depth - 1)})"

    def test(self, names: list[str], shape: Shape, depth: int) -> str:
        """A condition that broadcasts to the shape."""
        left, right = self.array(names, self.smaller(shape), depth), self.leaf(names, self.smaller(shape))
        plain = f"{left} {self.chance.choice(('<', '<=', '>', '>='))} {right}"
        kind = self.chance.randrange(5)
        if kind == 0:
            return f"{plain} {self.chance.choice(('and', 'or'))} {self.leaf(names, ())} < {self.leaf(names, ())}"
        return f"not {plain}" if kind == 1 else plain

    def without(self, function: str, text: str) -> str:
        """The text with the sine in the place of a function of the model."""
        return re.sub(rf"\b{function}\(", "sin(", text)

    def smaller(self, shape: Shape) -> Shape:
        """A shape that broadcasts to this one: itself, as a rule."""
        pick = self.chance.random()
        if not shape or pick < 0.5:
            return shape
        if pick < 0.8:
            return ()
        return (
            shape[1:]
            if len(shape) == 2 and pick < 0.9
            else tuple(1 if self.chance.random() < 0.5 else n for n in shape)
        )

    def leaf(self, names: list[str], shape: Shape) -> str:
        """A name, or something small."""
        known = self.of_shape(names, *shape)
        if known and self.chance.random() < 0.8:
            return self.chance.choice(known)
        if not shape:
            return self.chance.choice((self.number(), "t" if "t" in self.time else "pi", self.number()))
        if len(shape) == 1 and self.chance.random() < 0.4:
            return f"range({self.whole(shape[0])})"
        return f"[{', '.join(self.leaf(names, shape[1:]) for _ in range(shape[0]))}]"

    def made(self, names: list[str], shape: Shape, depth: int) -> str:
        """An operation that only arrays have."""
        if not shape:
            return self.number_of(names, depth)
        kind, n = self.chance.randrange(6), shape[0]
        if kind == 0:
            return f"[{', '.join(self.array(names, shape[1:], min(depth, 1)) for _ in range(n))}]"
        if kind == 1:
            longer = self.of_shape(names, *(None,) * len(shape))
            longer = [x for x in longer if all(h >= w for h, w in zip(self.shapes[x], shape, strict=True))]
            if longer:
                x = self.chance.choice(longer)
                return f"{x}[{', '.join(self.cut(h, w) for h, w in zip(self.shapes[x], shape, strict=True))}]"
        if len(shape) == 1:
            rows, columns = self.of_shape(names, None, n), self.of_shape(names, n, None)
            if kind == 2 and rows:
                x = self.chance.choice(rows)
                return f"{x}[{self.place(self.shapes[x][0])}]"
            if kind == 3 and columns:
                x = self.chance.choice(columns)
                return f"{x}[:, {self.place(self.shapes[x][1])}]"
            if kind == 4:
                return f"roll({self.array(names, shape, depth)}, {self.chance.randrange(-5, 6)})"
            m = self.chance.randrange(1, 5)
            if self.chance.random() < 0.5:
                return f"({self.array(names, (n, m), depth)} @ {self.array(names, (m,), depth)})"
            return f"({self.array(names, (m,), depth)} @ {self.array(names, (m, n), depth)})"
        m = self.chance.choice([*shape, self.chance.randrange(1, 5)])
        return f"({self.array(names, (n, m), depth)} @ {self.array(names, (m, shape[1]), depth)})"

    def number_of(self, names: list[str], depth: int) -> str:
        """A number that is made of arrays."""
        n = self.chance.randrange(1, 5)
        kind = self.chance.randrange(5)
        if kind < 2:
            shape = self.chance.choice([(n,), (n, self.chance.randrange(1, 5)), ()])
            return f"{self.chance.choice((('sum', 'max'), ('mean', 'min'))[kind])}({self.array(names, shape, depth)})"
        one, two = self.array(names, (n,), depth), self.array(names, (n,), depth)
        if kind == 2:
            return f"dot({one}, {two})"
        if kind == 3:
            return f"({one} @ {two})"
        arrays = [x for x in names if self.shapes[x]]
        x = self.chance.choice(arrays)
        return f"{x}[{', '.join(map(self.place, self.shapes[x]))}]"

    def declared(self, name: str) -> str:
        """The name with its lengths, where it is an array."""
        return f"{name}[{', '.join(map(self.whole, self.shapes[name]))}]" if self.shapes[name] else name

    def fixed(self, value: str, names: list[str], shape: Shape) -> str:
        """A const or a guess: numbers of the shape, or one for all elements."""
        if not shape or self.chance.random() < 0.3:
            return value
        numbers = [f"{self.chance.uniform(-2, 2):.3g}" for _ in range(shape[-1])]
        row = f"[{', '.join(numbers)}]"
        return row if len(shape) == 1 or self.chance.random() < 0.2 else f"[{', '.join([row] * shape[0])}]"

    def system(self) -> list[str]:
        """A model of arrays: its lines in any order."""
        n, m = self.chance.randrange(1, 5), self.chance.randrange(1, 5)
        x, X, z, a, A, k, c, C, y, s, f, u, given, Given = (self.name() for _ in range(14))
        shapes = [(n,), (n, m), (), (n,), self.chance.choice([(m, n), (n, n), (n, m)]), (), (m,), (m, n)]
        self.shapes = dict(zip((x, X, z, a, A, k, c, C), shapes, strict=True))
        lines, is_map = [], self.chance.random() < 0.2
        for length in {n, m}:
            if self.chance.random() < 0.7:
                self.lengths[length] = self.name()
                self.shapes[self.lengths[length]] = ()
                lines.append(f"size {self.lengths[length]} = {length}")
        sizes = list(self.lengths.values())
        self.function = f
        self.time = ("pi",)
        consts = [*sizes, c]
        lines += [f"const {self.declared(c)} = {self.fixed('0.5', sizes, (m,))}"]
        lines += [f"const {self.declared(C)} = {self.without(f, self.array(consts, (m, n), 1))}"]
        for name, value in ((a, "0.7"), (A, "-0.4"), (k, "1.5")):
            lines.append(f"param {self.declared(name)} = {self.fixed(value, consts, self.shapes[name])}")
        start = [c, C, a, A, k, *sizes]
        for name in (x, X, z):
            shape = self.smaller(self.shapes[name])
            # The function may speak of states.
            value = self.without(f, self.array(start, shape, 2))
            written = f" = {value}" if self.chance.random() < 0.8 else ""
            lines.append(f"state {self.declared(name)}{written}")
        self.time = ("t", "pi")
        names = [x, X, z, *start]
        for name, shape in ((given, ()), (Given, (m,))):
            if self.chance.random() < 0.2:
                self.shapes[name] = shape
                lines.append(f"input {self.declared(name)}")
                names.append(name)
        self.shapes[u] = ()
        lines.append(
            f"{f}({u}) = {self.chance.choice((f'{u}/(1 + {u}^2)', f'{k}*{u} - 1', f'sin({u})*{u}', f'{u}*{z}'))}"
        )
        for name in (y, s):
            self.shapes[name] = self.chance.choice([(n,), (n, m), (m,), ()])
            lines.append(f"{name} = {self.array([n for n in names if n != name], self.shapes[name], 2)}")
            names.append(name)
        for name in (x, X, z):
            value = self.array(names, self.smaller(self.shapes[name]), 3)
            lines.append(f"next {name} = {value}" if is_map else f"{name}' = {value}")
        for _ in range(self.chance.randrange(2, 5)):
            shape = self.chance.choice([(n,), (m,), (n, m), (m, n), (n, n), (), ()])
            lines.append(f"observe {self.name()} = {self.array(names, shape, 3)}")
        if self.chance.random() < 0.3:
            lines.append(f"observe {self.name()} ~ normal({self.array(names, (), 2)}, {self.array(names, (), 2)})")
        if not is_map and self.chance.random() < 0.4:
            lines += self.array_jumps([x, X, z], names, [k, a, *sizes])
        self.chance.shuffle(lines)
        return lines

    def array_jumps(self, states: list[str], names: list[str], fixed: list[str]) -> list[str]:
        """Jumps of arrays, at times that are params or numbers made of them."""
        self.time = ("pi",)
        time = self.without(self.function, self.array(fixed, (), 2))
        self.time = ("t", "pi")
        lines = []
        for head in (f"at {time}", f"every {time} to 9", f"when {self.test(names, (), 2)}"):
            if self.chance.random() < 0.5:
                name = self.chance.choice(states)
                value = self.array(names, self.smaller(self.shapes[name]), 2)
                lines.append(f"{head}: {name} {self.chance.choice(('=', '+=', '*='))} {value}")
        return lines
