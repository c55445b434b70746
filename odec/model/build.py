"""From the tree to the Model: checks first, then each kind of statement in turn."""

from __future__ import annotations

import math

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.distributions import DISTRIBUTIONS, INITIALIZERS
from odec.methods import NAMES, unknown_method
from odec.model.checks import check, sorted_names
from odec.model.expression import Expression, Shape, ShapeError, broadcast, evaluate, shape_text, symbols
from odec.model.jumps import jumps_of
from odec.model.lower import Lowering
from odec.model.model import (
    Const,
    Definition,
    Equation,
    Input,
    Model,
    Net,
    Noise,
    Observe,
    Param,
    Prior,
    Size,
    Solve,
    State,
)
from odec.model.names import Names, names_of
from odec.model.nets import called, net_of
from odec.model.warnings import warnings_of
from odec.source import Source
from odec.syntax import tree


def build(source: Source, file: tree.File) -> tuple[Model, tuple[Diagnostic, ...]]:
    """The model of a file, and warnings. Raises OdecError with every fault of the stage that finds one."""
    names = names_of(source, file)
    errors = names.errors + check(names)
    if not names.states and not errors:
        message = f"`{source.name}` holds no equation"
        raise OdecError([Diagnostic("E0003", message, source=source, help="the smallest model is `x' = -x`")])
    _raise(errors)
    builder = _Builder(names)
    model = builder.model()
    _raise(builder.lowering.errors)
    return model, warnings_of(model, names)


def _raise(errors: list[Diagnostic]) -> None:
    if errors:
        # One fault may be met on several ways: a function's body is lowered wherever it is called.
        unique = {(e.code, e.message, e.span): e for e in errors}.values()
        raise OdecError(sorted(unique, key=lambda error: error.span.start if error.span else 0))


class _Builder:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.source = names.source
        self.statements = names.file.statements
        self.following = {s.target.name: s for s in self.statements if isinstance(s, tree.Next)}
        self.lowering = Lowering(names)
        self.order = sorted_names(names)
        self.numbers: dict[Expression, float] = {}

    def model(self) -> Model:
        sizes = tuple(self._size(name) for name in self.order if self.names.kind(name) == "size")
        self._declare_shapes()
        nets = tuple(self._net(s) for s in self.statements if isinstance(s, tree.Net))
        consts = tuple(self._const(name) for name in self.order if self.names.kind(name) == "const")
        self.params = tuple(self._param(s) for s in self.statements if isinstance(s, tree.Param))
        inputs = tuple(self._input(s) for s in self.statements if isinstance(s, tree.Input))
        intermediates = self._intermediates()
        states = self._states()
        return Model(
            source=self.source,
            description=self.names.file.description,
            states=states,
            params=(*self.params, *(weight for net in nets for weight in net.weights)),
            consts=consts,
            intermediates=intermediates,
            equations=tuple(self._equation(state, states) for state in states),
            observes=tuple(self._observes()),
            solve=self._solve(),
            sizes=sizes,
            inputs=inputs,
            jumps=jumps_of(self.names, self.lowering, states),
            data=tuple(s.name.name for s in self.statements if isinstance(s, tree.Data)),
            is_map=any(isinstance(s, tree.Next) for s in self.statements),
            nets=nets,
        )

    # Sizes and shapes

    def _size(self, name: str) -> Size:
        statement = self.names.table[name].statement
        assert isinstance(statement, tree.Size)
        value = self.lowering.whole(statement.value, self.lowering.number(statement.value), least=1)
        size = Size(name, value, statement.comment)
        self.lowering.sizes[size.symbol] = self.numbers[size.symbol] = value
        return size

    def _declare_shapes(self) -> None:
        for statement in self.statements:
            if isinstance(statement, tree.State | tree.Param | tree.Const | tree.Input) and statement.shape:
                self.lowering.shapes[str(statement.name)] = self._shape(statement.shape)
        for name in self.names.states:
            for order in range(1, self.names.order(name)):
                # A slope has the shape of its state.
                if name in self.lowering.shapes:
                    self.lowering.shapes[name + "'" * order] = self.lowering.shapes[name]

    def _shape(self, written: tuple[tree.Expression, ...]) -> Shape:
        return tuple(self.lowering.whole(part, self.lowering.number(part), least=1) for part in written)

    def _dimensions(self, written: tuple[tree.Expression, ...]) -> tuple[Expression, ...]:
        return tuple(self.lowering.number(part) for part in written)

    def _net(self, statement: tree.Net) -> Net:
        net = net_of(statement, self.names, self.lowering)
        self.lowering.nets[net.name] = lambda node, arguments: called(net, node, arguments, self.names)
        return net

    def _fits(self, value: Expression, shape: Shape, node: tree.Node, name: str) -> bool:
        """Whether a value can be spread over a shape; reports E0301 where not."""
        try:
            fits = broadcast(value.shape, shape) == shape
        except ShapeError:
            fits = False
        if not fits:
            cure = "check the shapes"
            if not shape:
                cure = f"declare `{name}` as an array, such as `state {name}[{value.shape[0]}]`"
            if not shape and value.shape == (1,):
                cure += "; `[` and `]` make an array: leave them out for a number"
            message = f"`{name}` is {shape_text(shape)}, and its value is {shape_text(value.shape)}"
            self._error("E0301", message, node, cure)
        return fits

    # Declarations

    def _const(self, name: str) -> Const:
        statement = self.names.table[name].statement
        assert isinstance(statement, tree.Const)
        value = self.lowering.number(statement.value)
        shape = self.lowering.shapes.setdefault(name, value.shape)
        self._fits(value, shape, statement.value, name)
        const = Const(name, value, statement.name.span, statement.comment, shape, self._dimensions(statement.shape))
        if not shape:
            self.numbers[const.symbol] = self._number(statement.value, value)
        return const

    def _input(self, statement: tree.Input) -> Input:
        name = statement.name.name
        shape = self.lowering.shapes.get(name, ())
        return Input(name, statement.interpolation, statement.comment, shape, self._dimensions(statement.shape))

    def _number(self, node: tree.Node, formula: Expression | None = None) -> float:
        """The value of an expression of consts."""
        formula = self.lowering.number(node) if formula is None else formula
        value = evaluate([formula], self.numbers)[0] if self.numbers.keys() >= set(symbols(formula)) else math.nan
        if not math.isfinite(value):
            self._error("E0405", f"`{self.source.excerpt(node.span)}` has no finite value", node, "change the numbers")
            return 0.0
        return value

    def _bound(self, node: tree.Node) -> float:
        """A bound, which may be infinite."""
        inner = node.operand if isinstance(node, tree.Negative) else node
        if isinstance(inner, tree.Name) and inner.name == "inf":
            return -math.inf if inner is not node else math.inf
        return self._number(node)

    def _param(self, statement: tree.Param) -> Param:
        name = statement.name.name
        if statement.value is None:
            self._error("E0405", f"the param `{name}` has no first guess", statement.name, f"write `param {name} = 1`")
            return Param(name, 1.0, statement.name.span)
        value = self._guess(statement)
        lower, upper = -math.inf, math.inf
        if statement.bounds is not None:
            lower, upper = self._bound(statement.bounds.lower), self._bound(statement.bounds.upper)
            self._check_bounds(statement, value, lower, upper)
        if statement.log is not None:
            self._check_log(statement, value, lower)
        return Param(
            name,
            value,
            statement.name.span,
            lower=lower,
            upper=upper,
            log=statement.log is not None,
            per_experiment=statement.per_experiment is not None,
            prior=None if statement.prior is None else self._prior(statement.prior),
            description=statement.comment,
            shape=self.lowering.shapes.get(name, ()),
            written_shape=self._dimensions(statement.shape),
        )

    def _guess(self, statement: tree.Param) -> float | str | tuple[object, ...]:
        """The first guess: a number, the numbers of an array, or an initializer's name."""
        node, name = statement.value, statement.name.name
        assert node is not None
        if not statement.shape:
            return self._number(node)
        if isinstance(node, tree.Call) and node.function.name not in self.names.table:
            return self._initializer(node)
        formula = self.lowering.number(node)
        self._fits(formula, self.lowering.shapes[name], node, name)
        return self._nested(formula, node)

    def _initializer(self, node: tree.Call) -> str | float:
        name = node.function.name
        if name not in INITIALIZERS:
            cure = nearest(name, INITIALIZERS) or f"known are {', '.join(INITIALIZERS)}"
            self._error("E0407", f"`{name}` is no initializer of Keras", node.function, cure)
        elif node.arguments:
            self._error("E0211", f"the initializer `{name}` takes no arguments here", node, help=f"write `{name}()`")
        return name

    def _nested(self, formula: Expression, node: tree.Node) -> float | tuple[object, ...]:
        if formula.head == "array":
            return tuple(self._nested(item, node) for item in formula.args)
        return self._number(node, formula)

    def _prior(self, written: tree.Distribution) -> Prior | None:
        return (
            Prior(written.kind.name, tuple(map(self._number, written.arguments)))
            if self._known(written, True)
            else None
        )

    def _known(self, written: tree.Distribution, prior: bool) -> bool:
        """Whether a distribution exists and has its arguments; reports where not."""
        name = written.kind.name
        known = [row for row in DISTRIBUTIONS if prior or row != "uniform"]
        if name not in known:
            cure = nearest(name, known) or f"known are {', '.join(known)}"
            self._error("E0407", f"`{name}` is not a distribution", written.kind, cure)
            return False
        wanted = DISTRIBUTIONS[name].parameters
        if len(written.arguments) != len(wanted):
            message = f"`{name}` takes {len(wanted)} argument{'s' * (len(wanted) > 1)}, not {len(written.arguments)}"
            self._error("E0211", message, written, f"write `{name}({', '.join(wanted)})`")
            return False
        return True

    def _check_bounds(self, statement: tree.Param, value: object, lower: float, upper: float) -> None:
        assert statement.bounds is not None and statement.value is not None
        name = statement.name.name
        if lower >= upper:
            self._error(
                "E0401",
                f"the bounds of `{name}` are empty: {lower:g} is not below {upper:g}",
                statement.bounds,
                help="write the lower bound first" if lower > upper else "a param that cannot move is a `const`",
            )
            return
        outside = [v for v in _numbers(value) if not lower <= v <= upper]
        if outside:
            self._error(
                "E0401",
                f"the first guess of `{name}`, {outside[0]:g}, lies outside its bounds [{lower:g}, {upper:g}]",
                statement.value,
                help="change the guess or the bounds",
            )

    def _check_log(self, statement: tree.Param, value: object, lower: float) -> None:
        # What an initializer draws may have either sign.
        bad_guess = any(v <= 0 for v in _numbers(value)) or (isinstance(value, str) and value != "ones")
        if bad_guess or (lower <= 0 and statement.bounds is not None):
            wrong = "its first guess" if bad_guess else "its lower bound"
            assert statement.value is not None
            self._error(
                "E0402",
                f"`{statement.name.name}` is searched on a log scale, and {wrong} is not positive",
                statement.value if bad_guess or statement.bounds is None else statement.bounds.lower,
                help="make it positive, or remove `log`",
            )

    # Dynamics

    def _states(self) -> tuple[State, ...]:
        """As declared; a state that is only evident from its equation comes last, in the order of the text."""
        found: dict[str, State] = {}
        for statement in self.statements:
            if isinstance(statement, tree.State):
                name = str(statement.name)
                initial = self.lowering.number(statement.value) if statement.value is not None else None
                shape = self.lowering.shapes.get(name, ())
                if initial is not None and statement.value is not None:
                    self._fits(initial, shape, statement.value, name)
                dimensions = self._dimensions(statement.shape)
                found[name] = State(name, initial, statement.name.span, statement.comment, shape, dimensions)
        for name in self.names.states:
            if name not in found:
                found[name] = State(name, None, self.names.table[name].span)
        return tuple(self._sloped(state, found) for state in found.values())

    def _sloped(self, state: State, found: dict[str, State]) -> State:
        """A slope with the dimensions of its state."""
        base = found.get(state.name.rstrip("'"))
        if base is None or base is state or state.written_shape:
            return state
        return State(state.name, state.initial, state.span, state.description, base.shape, base.written_shape)

    def _intermediates(self) -> tuple[Definition, ...]:
        return tuple(self._definition(n) for n in self.order if self.names.kind(n) in ("intermediate", "observe"))

    def _definition(self, name: str) -> Definition:
        """An intermediate, or an `observe` with a formula of its own, which can be used like one."""
        statement = self.names.table[name].statement
        assert isinstance(statement, tree.Assignment | tree.Observe)
        written = statement.value
        if written is None:
            assert isinstance(statement, tree.Observe) and statement.noise is not None
            # `observe y ~ normal(x1, s)`: the output is the distribution's location.
            written = statement.noise.arguments[0]
        value = self.lowering.number(written)
        self.lowering.shapes[name] = value.shape
        return Definition(name, value, statement.span, statement.comment)

    def _equation(self, state: State, states: tuple[State, ...]) -> Equation:
        """The highest derivative is the written one; a lower one is the next slope."""
        following = self.following.get(state.name)
        if following is not None:
            value = self.lowering.number(following.value)
            self._fits(value, state.shape, following.value, state.name)
            return Equation(state, value, following.span)
        name, order = state.name.rstrip("'"), state.name.count("'") + 1
        if order < self.names.order(name):
            slope = next(other for other in states if other.name == name + "'" * order)
            return Equation(state, slope.symbol, None)
        statement = self.names.derivatives[name][0][1]
        value = self.lowering.number(statement.value)
        self._fits(value, state.shape, statement.value, state.name)
        return Equation(state, value, statement.span)

    def _observes(self) -> list[Observe]:
        observes = []
        for statement in self.statements:
            if isinstance(statement, tree.Observe):
                value = self.lowering.number(statement.name)
                noise = None
                if statement.noise is not None and self._known(statement.noise, False):
                    arguments = tuple(map(self.lowering.number, statement.noise.arguments[1:]))
                    noise = Noise(statement.noise.kind.name, arguments)
                observes.append(Observe(str(statement.name), value, statement.span, statement.comment, noise))
        return observes

    def _solve(self) -> Solve:
        statements = [s for s in self.statements if isinstance(s, tree.Solve)]
        if not statements:
            return Solve()
        if len(statements) > 1:
            lines = [self.source.position(s.span.start)[0] for s in statements]
            message = f"`solve` is written twice (lines {lines[0]} and {lines[1]})"
            self._error("E0202", message, statements[1], "put all of it on one line")
        statement = statements[0]
        start = 0.0 if statement.start is None else self._solve_number(statement.start)
        stop, step, every = (
            None if part is None else self._solve_number(part)
            for part in (statement.stop, statement.step, statement.every)
        )
        if stop is not None and stop == start:
            self._error(
                "E0409", f"`solve` ends where it starts, at {start:g}", statement, "write `solve from 0 to 100`"
            )
        for part, value, word in ((statement.step, step, "step"), (statement.every, every, "every")):
            if part is not None and value is not None and value <= 0:
                self._error(
                    "E0409", f"`{word}` must be positive", part, "time runs backwards when `to` lies before `from`"
                )
        method = None if statement.method is None else statement.method.name
        if statement.method is not None and statement.method.name not in NAMES:
            self.lowering.errors.append(unknown_method(statement.method.name, statement.method.span, self.source))
        return Solve(start, stop, step, every, method)

    def _solve_number(self, node: tree.Node) -> float:
        """A number of the `solve` statement: params count with their first guess."""
        known_errors = len(self.lowering.errors)
        formula = self.lowering.single(node, "a number of `solve`", "choose one element")
        if len(self.lowering.errors) > known_errors:
            return math.nan
        known = {p.symbol: p.value for p in self.params if isinstance(p.value, float)} | self.numbers
        value = evaluate([formula], known)[0] if known.keys() >= set(symbols(formula)) else math.nan
        if not math.isfinite(value):
            text = self.source.excerpt(node.span)
            self._error("E0409", f"`{text}` is no number before the run", node, "use numbers, consts or params")
            return 1.0
        return value

    def _error(self, code: str, message: str, node: tree.Node, help: str = "") -> None:
        self.lowering.errors.append(self.source.error(code, message, node.span, help))


def _numbers(value: object) -> list[float]:
    """The numbers of a first guess; none where it is an initializer."""
    if isinstance(value, tuple):
        return [number for part in value for number in _numbers(part)]
    return [value] if isinstance(value, int | float) else []
