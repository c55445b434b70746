"""Formulas to ordered assignments: what is needed twice is computed once.

    dS = -beta*S*I/N             infection = …            (an intermediate of the user keeps its name)
    dI = beta*S*I/N - g*I   →    w1 = beta*S*I/N; dS = -w1; dI = w1 - g*I

Equal formulas are one object, so sharing is counting. A formula too long or too deep for one line (Python's own parser
ends at 200 brackets) is cut into assignments too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from odec.model.expression import Expression, postorder, rebuild, symbol
from odec.model.model import Definition

# An assignment holds at most so many operations, and brackets so deep.
LONGEST = 60
DEEPEST = 25
# Fewer operations than this are written again rather than named, unless a function is called.
SMALLEST_SHARED = 2
# A name is one already, and a part of an index is no value.
_NAMELESS = frozenset(["number", "symbol", "slice", "missing"])


@dataclass(frozen=True)
class Step:
    """`name = value`; `definition` is the user's own line, where there is one."""

    name: Expression
    value: Expression
    definition: Definition | None = None


@dataclass(frozen=True)
class Program:
    """Assignments in order, and the results in terms of what they define; result i needs `before[i]` steps."""

    steps: tuple[Step, ...]
    results: tuple[Expression, ...]
    before: tuple[int, ...]


def program(results: Iterable[Expression], intermediates: Mapping[Expression, Definition]) -> Program:
    """The assignments that compute the results, with the intermediates that they need, each before its first use."""
    return _Writer(tuple(results), intermediates).program()


class _Writer:
    def __init__(self, results: tuple[Expression, ...], intermediates: Mapping[Expression, Definition]) -> None:
        self.results = results
        self.intermediates = intermediates
        self.steps: list[Step] = []
        self.count = 0
        self.written: dict[Expression, Expression] = {}
        # For each written form: operations, and how deep its brackets are.
        self.size: dict[Expression, tuple[int, int]] = {}

    def program(self) -> Program:
        needed = self._needed()
        uses: Counter[Expression] = Counter()
        for node in postorder([*(d.value for d in needed.values()), *self.results]):
            uses.update(node.args)
        uses.update(self.results)
        self.uses = uses
        self.pending = dict(needed)
        results, before = [], []
        for formula in self.results:
            results.append(self._write(formula))
            before.append(len(self.steps))
        return Program(tuple(self.steps), tuple(results), tuple(before))

    def _needed(self) -> dict[Expression, Definition]:
        """The intermediates below the results, in their order."""
        seen: set[Expression] = set()
        stack = list(self.results)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(node.args)
                if node in self.intermediates:
                    stack.append(self.intermediates[node].value)
        return {name: definition for name, definition in self.intermediates.items() if name in seen}

    def _write(self, formula: Expression) -> Expression:
        """The formula in terms of names that are assigned before; assigns the intermediates that it needs."""
        for name in self._unwritten(formula):
            definition = self.pending.pop(name)
            self.steps.append(Step(name, self._form(definition.value, shared=False), definition))
        return self._form(formula, shared=True)

    def _unwritten(self, formula: Expression) -> list[Expression]:
        """The pending intermediates below a formula, in an order in which each stands behind those it uses."""
        order: dict[Expression, None] = {}
        stack = [(name, False) for name in reversed(self._pending_in(formula))]
        while stack:
            name, ready = stack.pop()
            if ready:
                order[name] = None
            elif name not in order:
                stack.append((name, True))
                below = self._pending_in(self.pending[name].value)
                stack.extend((n, False) for n in reversed(below) if n not in order)
        return list(order)

    def _pending_in(self, formula: Expression) -> list[Expression]:
        """The pending intermediates that a formula names. Nothing written names one: it is not looked at again."""
        return [node for node in postorder([formula], self.written) if node in self.pending]

    def _form(self, formula: Expression, shared: bool) -> Expression:
        """The formula with shared and overlong parts named. A whole definition is not named a second time."""
        for node in postorder([formula], self.written):
            form = self._cut(rebuild(node, tuple(self.written[argument] for argument in node.args)))
            if (node is not formula or shared) and self._is_worth_a_name(node):
                form = self._named(form)
            self.written[node] = form
        return self.written[formula]

    def _is_worth_a_name(self, node: Expression) -> bool:
        if node.is_condition or self.uses[node] < 2 or node.head in _NAMELESS:
            return False
        inner = node.args[0] if node.head == "negate" else node
        if inner.head in ("number", "symbol") or (node.head == "negate" and self.uses[inner] > 1):
            return False
        plain = inner.head in ("add", "multiply", "divide")
        return not plain or self._measure(self.written.get(inner, inner))[0] >= SMALLEST_SHARED

    def _cut(self, form: Expression) -> Expression:
        """The form with its largest parts named, where it is too long or too deep."""
        operations, depth = self._measure(form)
        if operations <= LONGEST and depth <= DEEPEST:
            return form
        if form.head in ("add", "multiply") and len(form.args) > LONGEST:
            chunks = [form.args[i : i + LONGEST] for i in range(0, len(form.args), LONGEST)]
            parts = (self._named(self._cut(rebuild(form, chunk))) if len(chunk) > 1 else chunk[0] for chunk in chunks)
            return self._cut(rebuild(form, tuple(parts)))
        large = {a for a in form.args if self._measure(a)[0] > LONGEST // max(1, len(form.args))}
        deep = {a for a in form.args if self._measure(a)[1] >= DEEPEST}
        return rebuild(form, tuple(self._named(a) if a in large or a in deep else a for a in form.args))

    def _named(self, form: Expression) -> Expression:
        if form.head in _NAMELESS:
            return form
        self.count += 1
        name = symbol(str(self.count), "shared", form.shape)
        self.steps.append(Step(name, form))
        return name

    def _measure(self, form: Expression) -> tuple[int, int]:
        """Operations, and the depth of brackets, of a form as it is written."""
        found = self.size.get(form)
        if found is None:
            parts = [self._measure(argument) for argument in form.args]
            found = (max(0, len(parts) - 1) or bool(parts), max((depth for _, depth in parts), default=0) + bool(parts))
            found = (found[0] + sum(operations for operations, _ in parts), found[1])
            self.size[form] = found
        return found
