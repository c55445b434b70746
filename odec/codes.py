"""The catalogue of diagnostics: what `odec explain CODE` shows."""

# A row of the table reads best unbroken.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One code. `wrong` and `right` are whole model files, or, where no model file can be wrong, a command or a table."""

    code: str
    title: str
    meaning: str
    wrong: str
    right: str

    def __post_init__(self) -> None:
        assert len(self.code) == 5 and self.code[0] in "EW" and self.code[1:].isdigit(), self.code


# E00 files, E01 syntax, E02 names, E03 shapes and kinds of values, E04 contradictions, E05 data, E06 runs, E07 artefacts.
ROWS = (
    Code("E0001", "the file cannot be read", "The file is missing, is a folder, or its permissions forbid reading it.",
         "odec check modle.ode", "odec check model.ode"),
    Code("E0002", "the file is not text", "A model is UTF-8 text. This file is binary, in another encoding, or far too large.",
         "odec check data.xlsx", "odec check model.ode"),
    Code("E0003", "the model has no equation", "A model needs at least one state with an equation.",
         "param k = 1", "param k = 1\nx' = -k*x"),
    Code("E0101", "a statement is written wrongly", "The statement makes no sense from the marked place on.",
         "x' = = 3", "x' = 3"),
    Code("E0102", "brackets do not match", "A bracket is not closed, closes nothing, or is closed by the other kind.",
         "x' = -2*(x + 1", "x' = -2*(x + 1)"),
    Code("E0103", "the expression ends too early", "Something is missing at the end of the line. A line goes on only inside brackets or after a `\\`.",
         "x' = -2*", "x' = -2*x"),
    Code("E0104", "a `*` is missing", "Products are written out; two things side by side are never multiplied, because `kx` could be one name.",
         "x' = -2x", "x' = -2*x"),
    Code("E0105", "this is not a statement", "A statement begins with a word of the language and a name, or it is `name = …`.",
         "parameter k = 1\nx' = -k*x", "param k = 1\nx' = -k*x"),
    Code("E0106", "nested too deeply", "Brackets, powers or signs are nested more than 500 levels deep.",
         "x' = " + "(" * 501 + "x" + ")" * 501, "part = -x\nx' = part"),
    Code("E0107", "a character means nothing", "The language has no such sign; often it comes from a word processor or from another language.",
         "x' = −x", "x' = -x"),
    Code("E0108", "a number is written wrongly", "Numbers look like `1`, `.5`, `1e-3`, `1_000`, with a decimal point, below 1.8e308.",
         "x' = -0,5*x", "x' = -0.5*x"),
    Code("E0201", "a reserved word is used as a name", "`t`, `pi`, `inf`, `and`, `or`, `not`, `for`, `in` and the built-in functions cannot be defined.",
         "const exp = 2\nx' = -exp*x", "const exponent = 2\nx' = -exponent*x"),
    Code("E0202", "a name is defined twice", "A name is one thing: a state, a param, a const, a size, an input, a function or an intermediate.",
         "param x = 1\nstate x = 1\nx' = -x", "param k = 1\nstate x = 1\nx' = -k*x"),
    Code("E0203", "a name is not defined", "Nothing in the file gives this name a meaning. Upper and lower case are different names.",
         "x' = -k*x", "param k = 1\nx' = -k*x"),
    Code("E0204", "a state has two equations", "One state has one derivative (or one `next`). Add the terms in one equation.",
         "x' = -x\nx' = 1", "x' = 1 - x"),
    Code("E0205", "a state has no equation", "Every state changes by an equation. For one that only jumps write `x' = 0`.",
         "state x = 1\nstate y = 1\ny' = -x", "state x = 1\nstate y = 1\nx' = 0\ny' = -x"),
    Code("E0206", "definitions go in a circle", "An intermediate or a function depends on itself, so that none of the circle can be computed first.",
         "a = b + 1\nb = a*2\nx' = a - x", "a = x + 1\nb = a*2\nx' = b - x"),
    Code("E0207", "a name that begins with d reads both ways", "`dose = …` is the derivative of a state `ose`, and an ordinary name elsewhere.",
         "state ose = 1\nstate x = 0\ndose = 5\nx' = dose*ose", "state ose = 1\nstate x = 0\nose' = 5\nx' = ose"),
    Code("E0208", "derivatives and `next` are mixed", "A file holds differential equations or a map, not both.",
         "x' = -x\nnext y = y/2", "x' = -x\ny' = -y/2"),
    Code("E0209", "a derivative that does not exist here", "`x'` can be read, or given a start value, only where `x` has an equation of a higher order.",
         "state x = 1\nstate x' = 0\nx' = -x", "state x = 1\nstate x' = 0\nx'' = -x"),
    Code("E0210", "a function is used as a value", "A function needs its arguments in round brackets.",
         "x' = -exp*x", "x' = -exp(1)*x"),
    Code("E0211", "wrong number of arguments", "The function takes another number of arguments.",
         "x' = -sin(x, 1)", "x' = -sin(x)"),
    Code("E0212", "this is not a function", "A name in front of `(` is a function; a product needs its `*`.",
         "param k = 1\nx' = -k(x + 1)", "param k = 1\nx' = -k*(x + 1)"),
    Code("E0213", "a jump changes something that is no state", "Jumps change states. Make the quantity a state with the equation `x' = 0`.",
         "const dose = 1\nx' = -x\nat 3: dose = 2", "x' = -x\nat 3: x = 2"),
    Code("E0214", "a net has no such layer", "A net in the text is made of `dense(units, activation)`. A Keras model of other layers is handed over: `net g(x) -> 1`.",
         "net g(x) = conv(16), dense(1)\nx' = g(x)", "net g(x) = dense(16, tanh), dense(1)\nx' = g(x)"),
    Code("E0301", "shapes do not fit", "The arrays do not have shapes that can be combined, as NumPy would.",
         "state x[3] = 0\nx' = [1, 2] - x", "state x[3] = 0\nx' = [1, 2, 3] - x"),
    Code("E0302", "a condition is expected", "`if`, `when`, `and`, `or`, `not` take comparisons.",
         "x' = if(x, 1, 2)", "x' = if(x > 0, 1, 2)"),
    Code("E0303", "an index does not fit", "An index is a whole number from 0 to one below the size.",
         "state x[3] = 0\nx' = x[3] - x", "state x[3] = 0\nx' = x[2] - x"),
    Code("E0304", "a size is no whole number", "Sizes and shapes are whole numbers above zero.",
         "size N = 2.5\nstate x[N] = 0\nx' = -x", "size N = 2\nstate x[N] = 0\nx' = -x"),
    Code("E0401", "the bounds exclude the first guess", "The first guess lies outside `in [low, high]`, or low is not below high.",
         "param k = 2 in [0, 1]\nx' = -k*x", "param k = 0.5 in [0, 1]\nx' = -k*x"),
    Code("E0402", "`log` needs positive numbers", "On a log scale the first guess and both bounds are above zero.",
         "param k = 0.5 in [0, 1] log\nx' = -k*x", "param k = 0.5 in [1e-6, 1] log\nx' = -k*x"),
    Code("E0403", "an initial value depends on a state", "An initial value is known before the run: an expression of params, consts and sizes.",
         "state x = 1\nstate y = x\nx' = -x\ny' = x", "param x0 = 1\nstate x = x0\nstate y = x0\nx' = -x\ny' = x"),
    Code("E0404", "a const depends on what is not const", "A const is an expression of other consts and sizes.",
         "param k = 1\nconst c = 2*k\nx' = -c*x", "param k = 1\nc = 2*k\nx' = -c*x"),
    Code("E0405", "a value cannot be computed", "The value is infinite or no number: a division by zero, the root or logarithm of a negative number.",
         "const c = 1/0\nx' = -c*x", "const c = 1/2\nx' = -c*x"),
    Code("E0406", "a data column is used outside `observe`", "What `data` declares exists only where there is a datum.",
         "data s\nx' = -s*x", "data s\nx' = -x\nobserve y ~ normal(x, s)"),
    Code("E0407", "unknown distribution, initializer or activation", "Distributions: normal, lognormal, laplace, student_t, poisson, negbinomial. Initializers are Keras's. Activations are functions of one number.",
         "x' = -x\nobserve y ~ gauss(x, 1)", "x' = -x\nobserve y ~ normal(x, 1)"),
    Code("E0408", "unknown method", "There is no solver of this name; `odec solve --help` lists them.",
         "x' = -x\nsolve to 1, step 0.1, method eulr", "x' = -x\nsolve to 1, step 0.1, method euler"),
    Code("E0409", "the run contradicts itself", "A step is positive, and start and end differ.",
         "x' = -x\nsolve from 0 to 0, step 0.1", "x' = -x\nsolve from 0 to 1, step 0.1"),
    Code("E0501", "a data column names nothing", "Each column is the time, `experiment`, or named like a state, an intermediate, an output or a `data` name.",
         "t,x_measured", "t,x"),
    Code("E0502", "there is no time column", "The data need a column `t`, or another that `--time` names.",
         "odec fit model.ode data.csv", "odec fit model.ode data.csv --time year"),
    Code("E0503", "a cell is not a number", "Cells are numbers, or empty where nothing was measured.",
         "t,x\n0,1\n1,n.d.", "t,x\n0,1\n1,"),
    Code("E0504", "no data are left", "All cells are empty, or all rows lie outside the run.",
         "t,x\n0,\n1,", "t,x\n0,1\n1,0.4"),
    Code("E0505", "a start value lies outside its bounds", "The search starts inside the bounds.",
         "odec fit model.ode data.csv --set k=5", "odec fit model.ode data.csv --set k=0.5"),
    Code("E0506", "the data cannot be read", "The file is missing, empty, or not a table with a header.",
         "odec fit model.ode dta.csv", "odec fit model.ode data.csv"),
    Code("E0507", "the data are no regular table", "Each row has a cell for each column of the header, and each column has its own name.",
         "t,x\n0,1,2", "t,x\n0,1"),
    Code("E0601", "the solution is not finite", "A state became infinite or no number. Try a smaller step, or look for a pole in the equations.",
         "odec solve model.ode --to 10 --step 5", "odec solve model.ode --to 10 --step 0.01"),
    Code("E0602", "the run has no end", "Say where the run ends, in the model or on the command line.",
         "odec solve model.ode", "odec solve model.ode --to 10"),
    Code("E0603", "an option names nothing in the model", "`--set` takes params and consts, `--init` takes states.",
         "odec solve model.ode --to 1 --set kk=2", "odec solve model.ode --to 1 --set k=2"),
    Code("E0604", "a time lies before the start", "Values can be given only from the start of the run on.",
         "layer(times=[-1, 0, 1])", "layer(times=[0, 1])"),
    Code("E0605", "the fit failed", "No start of the search came to an end with finite values. The report says what happened to each.",
         "odec fit model.ode data.csv", "odec fit model.ode data.csv --starts 20"),
    Code("E0606", "the value of an option is out of range", "The option does not take this value.",
         "odec solve model.ode --to 1 --step 0", "odec solve model.ode --to 1 --step 0.1"),
    Code("E0607", "jumps follow each other without end", "A `when` happens ever faster, as a ball that bounces lower and lower: infinitely often in a finite time.",
         "odec solve ball.ode --to 60", "odec solve ball.ode --to 11"),
    Code("E0608", "the step became too small", "However short the step, its error stays too large: the solution has a singularity, or a slope that jumps without end.",
         "state x = 1\nx' = -1/x\nsolve to 10", "state x = 1\nx' = -1/x\nsolve to 0.4"),
    Code("E0609", "too many steps", "An explicit method on a stiff model, or a very long run of something fast. The message says how far it came.",
         "odec solve model.ode --to 1e9 --method tsit5", "odec solve model.ode --to 1e9 --method rodas5p"),
    Code("E0610", "a net has to be handed over", "`net g(x) -> 1` names a function that a Keras model computes: the layer needs that model. It has no derivatives here: stiff methods and sensitivities need a net whose layers are in the text.",
         "net g(x) -> 1\nx' = g(x)", "net g(x) = dense(16, tanh), dense(1)\nx' = g(x)"),
    Code("E0611", "the checkpoint is not of this fit", "A fit goes on only with the same model, data, options and version of odec. Without `--resume` it begins anew.",
         "odec fit model.ode data.csv --seed 2 --resume", "odec fit model.ode data.csv --seed 1 --resume"),
    Code("E0620", "a back end of Keras cannot be used", "Keras computes with TensorFlow, JAX or torch, as the environment variable KERAS_BACKEND says. odec runs on these three.",
         "KERAS_BACKEND=numpy odec solve model.ode", "KERAS_BACKEND=jax odec solve model.ode"),
    Code("E0701", "the output cannot be written", "The folder does not exist, or writing there is not allowed. Nothing was written.",
         "odec compile model.ode -o /model.py", "odec compile model.ode -o model.py"),
    Code("E0702", "not supported by this version", "The statement is part of the language, but this version of odec cannot run it yet.",
         "odec compile newer.ode", "odec --version"),
    Code("E0704", "a package for the export is missing", "SavedModel needs nothing beside TensorFlow; ONNX, LiteRT and OpenVINO have packages of their own.",
         "odec export fit --format onnx", "pip install 'odec[export]'"),
    Code("E0705", "the target cannot do this", "ONNX and LiteRT run loops of fixed steps, not adaptive ones; LiteRT computes in float32 alone.",
         "odec export model.ode --rtol 1e-6 --format onnx", "odec export model.ode --step 0.1 --format onnx"),
    Code("E0706", "what was exported gives other numbers", "The file is run as soon as it is written, and compared with the model; this one was not kept.",
         "odec export model.ode --format openvino", "odec export model.ode --format saved_model"),
    Code("W0401", "a param or a net is not used", "Nothing depends on it, so that no data can say anything about it.",
         "param k = 1\nx' = -x", "param k = 1\nx' = -k*x"),
    Code("W0402", "a removable singularity", "The expression is 0/0 at one point, where a run can stop; only known patterns are guarded.",
         "x' = -sin(x)/x", "x' = -if(abs(x) < 1e-6, 1, sin(x)/x)"),
    Code("W0403", "a state never changes", "Its derivative is 0 and no jump changes it; a const would do.",
         "state x = 1\nstate y = 1\nx' = -x\ny' = 0", "state x = 1\nconst y = 1\nx' = -x"),
    Code("W0404", "`==` on a value that changes continuously", "A solver steps over the one moment at which the two are equal.",
         "x' = if(t == 3, 100, 0) - x", "x' = -x\nat t = 3: x += 100"),
    Code("W0405", "a power whose base may be negative", "A negative number has no real power with a fractional exponent, and the exponent is trainable.",
         "param n = 2\nx' = -(x - 3)^n", "param n = 2\nx' = -abs(x - 3)^n"),
    Code("W0406", "slopes that leap where a condition on states turns",
         "Steps do not end there, and derivatives leave out that the moment moves; at a `when` they do neither.",
         "param top = 1\nx' = if(x < top, 1, 0.2)", "param top = 1\nstate low = 1\nlow' = 0\nx' = if(low > 0, 1, 0.2)\nwhen x > top: low = 0"),
    Code("W0501", "decimal commas or semicolons", "The table was read with `;` between cells and `,` in numbers.",
         "t;x\n0;1,5", "t,x\n0,1.5"),
    Code("W0502", "a datum at the time of a jump", "The value after the jump is compared with the datum.",
         "t,x\n3,1", "t,x\n2.999,1"),
    Code("W0503", "a column of row numbers was left out", "The first column has no name and only counts the rows.",
         ",t,x\n0,0,1\n1,1,0.4", "t,x\n0,1\n1,0.4"),
    Code("W0504", "wide bounds on a linear scale", "A search over many decades goes better on a log scale.",
         "param k = 1 in [1e-5, 1e5]\nx' = -k*x", "param k = 1 in [1e-5, 1e5] log\nx' = -k*x"),
    Code("W0505", "the data begin after the run", "A run begins at 0 where the model does not say otherwise, never at the first datum.",
         "state x = 100\nx' = -0.1*x", "state x = 100\nx' = -0.1*x\nsolve from 1900"),
    Code("W0506", "one column outweighs the others", "In a sum of squares a column of large values leaves nothing to one of small values.",
         "odec fit model.ode data.csv", "odec fit model.ode data.csv --weights scale"),
    Code("W0601", "the step is too large", "The fixed step is not small against the fastest change; the method can be unstable.",
         "odec solve model.ode --to 10 --step 1", "odec solve model.ode --to 10 --step 0.01"),
    Code("W0602", "the search did not converge", "It stopped before it reached an optimum; the estimates are the best that it saw.",
         "odec fit model.ode data.csv", "odec fit model.ode data.csv --starts 20"),
    Code("W0603", "not identifiable", "The data do not determine these params, or only a combination of them.",
         "param a = 1\nparam b = 1\nx' = -a*b*x", "param ab = 1\nx' = -ab*x"),
    Code("W0604", "several answers fit equally well", "Other starts ended elsewhere with the same loss. Narrow the bounds if you know which one is meant.",
         "odec fit model.ode data.csv --starts 20", "odec fit model.ode data.csv --starts 20"),
    Code("W0605", "an input's table does not cover the run", "Outside its table an input keeps its first or its last value.",
         "t,u\n0,1\n5,2", "t,u\n0,1\n5,2\n10,2"),
    Code("W0606", "the tolerance does not hold over the run", "Each step is as accurate as asked, the whole run is not: small errors grow along the way.",
         "odec solve lorenz.ode --to 40", "odec solve lorenz.ode --to 40 --rtol 1e-12"),
    Code("W0607", "the search was interrupted", "The report shows what the starts had found until then.",
         "odec fit model.ode data.csv --starts 1000", "odec fit model.ode data.csv --starts 1000 --resume"),
    Code("W0608", "a lower loss lies elsewhere", "What the search ended in is no optimum, or not the best: a profile led to a lower loss.",
         "odec fit model.ode data.csv --profiles", "odec fit model.ode data.csv --profiles --starts 20"),
    Code("W0609", "the gradient differs from finite differences", "The loss is not smooth at the first guess, or the step is too large; a search may stop early.",
         "odec check model.ode --data data.csv --step 1", "odec check model.ode --data data.csv --step 0.01"),
    Code("W0610", "the weights of a net are not trained", "They are drawn by chance, so that the run says nothing about the model.",
         "odec.solve(model)", "odec.solve(model, params=layer.parameters())"),
)  # fmt: skip

CODES: dict[str, Code] = {row.code: row for row in ROWS}


def explain(code: str) -> str:
    """The page of a code: its title and what it means, then a wrong file and the right one. Raises KeyError.

    >>> print(explain("E0104").splitlines()[0])
    E0104: a `*` is missing. Products are written out; two things side by side are never multiplied, because `kx` could be one name.
    """
    row = CODES[code]
    return "\n".join(
        [f"{row.code}: {row.title}. {row.meaning}", *_example("wrong", row.wrong), *_example("right", row.right)]
    )


def _example(label: str, text: str) -> list[str]:
    lines = [line if len(line) <= 100 else line[:60] + " … " + line[-20:] for line in text.split("\n")]
    return [f"{label}:  {lines[0]}", *("        " + line for line in lines[1:])]
