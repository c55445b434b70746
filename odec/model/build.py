"""From the tree to the Model: checks first, then each kind of statement in turn."""

from __future__ import annotations

import math

from odec.diagnostics import Diagnostic, OdecError
from odec.model.checks import check, sorted_names
from odec.model.expression import Expression, evaluate, symbols
from odec.model.lower import Lowering
from odec.model.model import Const, Definition, Equation, Model, Observe, Param, Solve, State
from odec.model.names import Names, names_of
from odec.model.warnings import warnings_of
from odec.source import Source
from odec.syntax import tree

# What the compiler accepts and the runtime cannot do yet.
_UNSUPPORTED = {
    tree.Input: "inputs",
    tree.Next: "maps (`next`)",
    tree.At: "jumps",
    tree.Every: "jumps",
    tree.When: "jumps",
    tree.Size: "sizes and arrays",
    tree.Data: "`data` columns",
}


def build(source: Source, file: tree.File) -> tuple[Model, tuple[Diagnostic, ...]]:
    """The model of a file, and warnings. Raises OdecError with every fault of the stage that finds one."""
    names = names_of(source, file)
    errors = names.errors + check(names)
    if not names.states and not errors:
        message = f"`{source.name}` holds no equation"
        raise OdecError([Diagnostic("E0003", message, source=source, help="the smallest model is `x' = -x`")])
    _raise(errors or _unsupported(names))
    model = _Builder(names).model()
    return model, warnings_of(model, names)


def _raise(errors: list[Diagnostic]) -> None:
    if errors:
        raise OdecError(sorted(errors, key=lambda error: error.span.start if error.span else 0))


def _unsupported(names: Names) -> list[Diagnostic]:
    errors = []
    for statement in names.file.statements:
        what = _UNSUPPORTED.get(type(statement), "")
        if getattr(statement, "shape", ()):
            what = "arrays"
        if isinstance(statement, tree.Observe) and statement.noise is not None:
            what = "noise models"
        if isinstance(statement, tree.Param) and statement.prior is not None:
            what = "priors"
        if what:
            message = f"{what} are not supported by this version of odec"
            errors.append(names.source.error("E0702", message, statement.span, "they are part of the language, and come later"))
    return errors


class _Builder:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.source = names.source
        self.lowering = Lowering(names)
        self.order = sorted_names(names)
        self.numbers: dict[Expression, float] = {}

    def model(self) -> Model:
        consts = tuple(self._const(name) for name in self.order if self.names.kind(name) == "const")
        self.params = tuple(self._param(s) for s in self.names.file.statements if isinstance(s, tree.Param))
        states = self._states()
        model = Model(
            source=self.source,
            description=self.names.file.description,
            states=states,
            params=self.params,
            consts=consts,
            intermediates=self._intermediates(),
            equations=tuple(self._equation(state, states) for state in states),
            observes=tuple(self._observes()),
            solve=self._solve(),
        )
        _raise(self.lowering.errors)
        return model

    def _const(self, name: str) -> Const:
        statement = self.names.table[name].statement
        assert isinstance(statement, tree.Const)
        const = Const(name, self.lowering.number(statement.value), statement.name.span, statement.comment)
        self.numbers[const.symbol] = self._number(statement.value, const.value)
        return const

    def _number(self, node: tree.Node, formula: Expression | None = None) -> float:
        """The value of an expression of consts."""
        formula = self.lowering.number(node) if formula is None else formula
        value = evaluate([formula], self.numbers)[0]
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
        value = self._number(statement.value)
        lower, upper = -math.inf, math.inf
        if statement.bounds is not None:
            lower, upper = self._bound(statement.bounds.lower), self._bound(statement.bounds.upper)
            self._check_bounds(statement, value, lower, upper)
        if statement.log is not None and (value <= 0 or lower <= 0 and statement.bounds is not None):
            wrong = "its first guess" if value <= 0 else "its lower bound"
            self._error(
                "E0402",
                f"`{name}` is searched on a log scale, and {wrong} is not positive",
                statement.value if value <= 0 or statement.bounds is None else statement.bounds.lower,
                help="make it positive, or remove `log`",
            )
        return Param(
            name,
            value,
            statement.name.span,
            lower=lower,
            upper=upper,
            log=statement.log is not None,
            per_experiment=statement.per_experiment is not None,
            description=statement.comment,
        )

    def _check_bounds(self, statement: tree.Param, value: float, lower: float, upper: float) -> None:
        assert statement.bounds is not None and statement.value is not None
        name = statement.name.name
        if lower >= upper:
            self._error(
                "E0401",
                f"the bounds of `{name}` are empty: {lower:g} is not below {upper:g}",
                statement.bounds,
                help="write the lower bound first" if lower > upper else "a param that cannot move is a `const`",
            )
        elif not lower <= value <= upper:
            self._error(
                "E0401",
                f"the first guess of `{name}`, {value:g}, lies outside its bounds [{lower:g}, {upper:g}]",
                statement.value,
                help="change the guess or the bounds",
            )

    def _states(self) -> tuple[State, ...]:
        """As declared; a state that is only evident from its equation comes last, in the order of the text."""
        found: dict[str, State] = {}
        for statement in self.names.file.statements:
            if isinstance(statement, tree.State):
                initial = self.lowering.number(statement.value) if statement.value is not None else None
                name = str(statement.name)
                found[name] = State(name, initial, statement.name.span, statement.comment)
        for name in self.names.states:
            if name not in found:
                found[name] = State(name, None, self.names.table[name].span)
        return tuple(found.values())

    def _intermediates(self) -> tuple[Definition, ...]:
        return tuple(self._definition(name) for name in self.order if self._is_intermediate(name))

    def _is_intermediate(self, name: str) -> bool:
        """An `observe` with a formula of its own can be used like an intermediate."""
        return self.names.kind(name) in ("intermediate", "observe")

    def _definition(self, name: str) -> Definition:
        statement = self.names.table[name].statement
        assert isinstance(statement, tree.Assignment | tree.Observe) and statement.value is not None
        return Definition(name, self.lowering.number(statement.value), statement.span, statement.comment)

    def _equation(self, state: State, states: tuple[State, ...]) -> Equation:
        """The highest derivative is the written one; a lower one is the next slope."""
        name, order = state.name.rstrip("'"), state.name.count("'") + 1
        if order < self.names.order(name):
            slope = next(other for other in states if other.name == name + "'" * order)
            return Equation(state, slope.symbol, None)
        statement = self.names.derivatives[name][0][1]
        return Equation(state, self.lowering.number(statement.value), statement.span)

    def _observes(self) -> list[Observe]:
        observes = []
        for statement in self.names.file.statements:
            if isinstance(statement, tree.Observe):
                value = self.lowering.number(statement.name)
                observes.append(Observe(str(statement.name), value, statement.span, statement.comment))
        return observes

    def _solve(self) -> Solve:
        statements = [s for s in self.names.file.statements if isinstance(s, tree.Solve)]
        if not statements:
            return Solve()
        if len(statements) > 1:
            lines = [self.source.position(s.span.start)[0] for s in statements]
            message = f"`solve` is written twice (lines {lines[0]} and {lines[1]})"
            self._error("E0202", message, statements[1], "put all of it on one line")
        statement = statements[0]
        start = 0.0 if statement.start is None else self._solve_number(statement.start)
        stop, step, every = (
            None if part is None else self._solve_number(part) for part in (statement.stop, statement.step, statement.every)
        )
        if stop is not None and stop == start:
            self._error("E0409", f"`solve` ends where it starts, at {start:g}", statement, "write `solve from 0 to 100`")
        for part, value, word in ((statement.step, step, "step"), (statement.every, every, "every")):
            if part is not None and value is not None and value <= 0:
                self._error("E0409", f"`{word}` must be positive", part, "time runs backwards when `to` lies before `from`")
        method = None if statement.method is None else statement.method.name
        return Solve(start, stop, step, every, method)

    def _solve_number(self, node: tree.Node) -> float:
        """A number of the `solve` statement: params count with their first guess."""
        formula = self.lowering.number(node)
        known = {param.symbol: param.value for param in self.params} | self.numbers
        value = evaluate([formula], known)[0] if known.keys() >= set(symbols(formula)) else math.nan
        if not math.isfinite(value):
            text = self.source.excerpt(node.span)
            self._error("E0409", f"`{text}` is no number before the run", node, "use numbers, consts or params")
            return 1.0
        return value

    def _error(self, code: str, message: str, node: tree.Node, help: str = "") -> None:
        self.lowering.errors.append(self.source.error(code, message, node.span, help))
