"""The layer as a Keras user meets it: shapes, weights, gradients, training, networks around it."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from competition import Competition
from keras.src.backend.common import global_state
from lotka_volterra import LotkaVolterra
from small import Clearance, Counter, Decay, Forced, Nameless

from odec.runtime import loops, simulate
from odec.runtime.schedule import Schedule

# x and y at t = 1, 10, 20: case K01.
X = (54.852112, 12.528265, 70.182202)
Y = (9.6610105, 23.317312, 45.865325)
NONE = np.zeros((1, 0))


@pytest.fixture(scope="module")
def fine():
    """A float64 layer with values at t = 1, 10, 20."""
    return LotkaVolterra(times=[1, 10, 20], h=0.01, method="rk4", dtype="float64")


@pytest.fixture(scope="module")
def article():
    return keras.Sequential([keras.Input((2,)), Competition(steps=1000, h=0.1, method="euler")])


@pytest.fixture
def keras_settings():
    """Puts floatx and the global dtype policy back (Keras keeps the first one it is asked for)."""
    floatx, policy = keras.config.floatx(), global_state.get_global_attribute("dtype_policy")
    global_state.set_global_attribute("dtype_policy", None)
    yield
    keras.config.set_floatx(floatx)
    global_state.set_global_attribute("dtype_policy", policy)


def test_predict_solves_the_article_s_model(article):
    y = article.predict(np.array([[100, 150]]), verbose=0)
    assert y.shape == (1, 1000, 2) and y.dtype == np.float32
    np.testing.assert_allclose(y[0, 99], (165.0208, 282.862), rtol=2e-6)
    np.testing.assert_allclose(y[0, 999], (373.568, 250.442), rtol=2e-6)


def test_shapes_are_known_before_any_number(article):
    assert article.output_shape == (None, 1000, 2)
    layer = Competition(steps=7, h=0.1, return_sequences=False, outputs=["total"])
    assert layer(keras.Input((2,))).shape == (None, 1)
    assert layer.compute_output_shape((3, 2)) == (3, 1)
    assert layer.columns == ("total",)


def test_rows_start_where_they_are_told():
    layer = LotkaVolterra(steps=20, h=1.0, method="rk4", dtype="float64")
    layer.timing = layer.timing.refined(50)
    y = np.asarray(layer(np.array([[40.0, 9], [30, 4], [40, 9]])))
    assert y.shape == (3, 20, 2)
    np.testing.assert_array_equal(y[0], y[2])
    # Case K04.
    np.testing.assert_allclose(y[:2, -1], [[70.182202, 45.865325], [107.49356, 7.9500798]], rtol=1e-6)


def test_no_columns_mean_the_model_s_own_start(fine):
    y = np.asarray(fine(NONE))
    np.testing.assert_allclose(y[0], np.transpose([X, Y]), rtol=1e-7)
    np.testing.assert_array_equal(y, fine(np.array([[40.0, 9.0]])))


def test_last_row_alone(fine):
    last = LotkaVolterra(times=[1, 10, 20], h=0.01, method="rk4", dtype="float64", return_sequences=False)
    np.testing.assert_allclose(last(NONE), np.asarray(fine(NONE))[:, -1], rtol=1e-14)


def test_sparse_times_select_from_the_full_output(fine):
    full = LotkaVolterra(times=np.arange(1, 21), h=0.01, method="rk4", dtype="float64")
    np.testing.assert_allclose(np.asarray(full(NONE))[:, [0, 9, 19]], fine(NONE), rtol=1e-12)


@pytest.mark.parametrize("options", [{"h": 0.1, "method": "rk4"}, {"rtol": 1e-6}])
def test_the_start_alone_may_be_asked_for(options):
    y = Decay(times=[0.0, 0.0], **options)(np.array([[2.0], [3.0]]))
    np.testing.assert_array_equal(np.asarray(y)[:, :, 0], [[2, 2], [3, 3]])


def test_times_come_in_the_asked_order():
    layer = Forced(times=[7, 2, 50, 7], h=0.05, start=2, method="rk4", dtype="float64")
    np.testing.assert_allclose(np.asarray(layer(NONE))[0, :, 0], [1.2477899, 5, 1.5555584, 1.2477899], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (2, 1), (2, 2, 2), (2,)])
def test_wrong_number_of_states_lists_them(shape):
    with pytest.raises(ValueError, match=r"x, y.*Received: shape"):
        LotkaVolterra(steps=2, h=0.1)(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 3, "h": 0.1, "times": [1]}, "either steps and h, or times"),
        ({"steps": 3}, "steps is a whole number"),
        ({"steps": 2.5, "h": 0.1}, "steps is a whole number"),
        ({}, "how long to run"),
        ({"times": [], "h": 0.1}, "times is empty"),
        ({"steps": 3, "h": 0.1, "outputs": ["totl"]}, "did you mean `total`"),
        ({"steps": 3, "h": 0.1, "outputs": ["speed"]}, "there are: x, y, eaten, total"),
        ({"steps": 3, "h": 0.1, "params": {"A": 1}}, "did you mean `a`"),
        ({"steps": 3, "h": 0.1, "frozen": ["q"]}, "no param named 'q'"),
        ({"steps": 3, "h": 0.1, "consts": {"a": 1}}, "no const named 'a'"),
        ({"steps": 3, "h": 0.1, "params": {"a": 3}}, r"outside its bounds \[0.0, 2.0\]. Received: 3.0"),
        ({"steps": 3, "h": -0.1, "method": "rk5"}, "rk4"),
    ],
)
def test_wrong_arguments_say_what_was_received(options, words):
    with pytest.raises(Exception, match=words):
        LotkaVolterra(**options)


def test_a_state_without_a_start_asks_for_one():
    layer = Nameless(steps=2, h=0.1)
    with pytest.raises(ValueError, match="no initial value for x"):
        layer(NONE)
    assert np.asarray(layer(np.ones((1, 1)))).shape == (1, 2, 1)


def test_weights_bear_the_model_s_names():
    layer = Nameless(steps=2, h=0.1, frozen=["lambda"])
    layer.build((None, 1))
    assert [weight.name for weight in layer.weights] == ["ω", "weights", "lambda"]
    assert [weight.name for weight in layer.trainable_weights] == ["ω", "weights"]
    assert all(weight.shape == () for weight in layer.weights)
    assert layer.parameters() == {"lambda": 1.0, "ω": 2.0, "weights": 0.5}
    layer.trainable = False
    assert layer.trainable_weights == []


def test_a_changed_weight_changes_the_next_prediction(fine):
    fine(NONE)
    before = {weight.name: weight.numpy() for weight in fine.weights}
    try:
        fine.weights[0].assign(0.7)
        # Case K08.
        assert np.asarray(fine(NONE))[0, 0, 0] == pytest.approx(66.78668, rel=1e-6)
    finally:
        for weight in fine.weights:
            weight.assign(before[weight.name])


def test_bounds_hold_after_each_update():
    model = keras.Sequential([keras.Input((1,)), Forced(steps=3, h=0.5, method="euler")])
    model.compile(keras.optimizers.SGD(100.0), "mse")
    model.fit(np.ones((4, 1)), np.zeros((4, 3, 1)), verbose=0)
    assert model.layers[0].parameters()["k"] == 2.0


def test_gradient_is_exact_for_what_was_computed(fine):
    x0 = tf.constant([[40.0, 9.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x0)
        end = fine(x0)[0, 2, 0]
    by_params = tape.gradient(end, [*fine.weights, x0])
    # Case K06; the numbers there hold to 1e-3 of themselves, central differences of the layer to 1e-6.
    np.testing.assert_allclose([float(g) for g in by_params[:2]], (-394.81, -3712.44), rtol=2e-5)
    _, jacobian = fine.sensitivities()
    np.testing.assert_allclose([float(g) for g in by_params[:2]], jacobian[0, 2, 0], rtol=1e-10)
    ends = np.asarray(fine(np.array([[40.001, 9], [39.999, 9], [40, 9.001], [40, 8.999]])))[:, 2, 0]
    np.testing.assert_allclose(by_params[2][0], [(ends[0] - ends[1]) / 0.002, (ends[2] - ends[3]) / 0.002], rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"steps": 40, "h": 0.5}, {"times": [5, 1, 20, 5], "h": 0.3, "outputs": ["eaten", "y"]}]
)
def test_gradient_of_single_and_nested_loops(options):
    layer = LotkaVolterra(**options, method="heun", dtype="float64")
    weigh = tf.random.stateless_normal((1, len(layer.timing.times), 2), (1, 2), dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(NONE) * weigh)
    gradient = [float(g) for g in tape.gradient(loss, layer.weights)]
    _, jacobian = layer.sensitivities()
    np.testing.assert_allclose(gradient, np.einsum("btc,btcp->p", weigh, jacobian), rtol=1e-10)


def test_a_plain_graph_gives_the_same(fine):
    with loops.plain_graph():
        plain = tf.function(fine)(tf.zeros((1, 0), tf.float64))
    np.testing.assert_allclose(plain, fine(NONE), rtol=1e-13)


def _rates_after_descent(x, y, rate, epochs):
    """The two params after plain gradient descent in batches of two, by forward sensitivities."""
    theta = np.array([0.5, 0.02])
    for _ in range(epochs):
        for batch in (slice(0, 2), slice(2, 3)):
            values, jacobian, _ = simulate.sensitivities(
                LotkaVolterra,
                Schedule.grid(0, 0.5, 6),
                method="euler",
                params=theta,
                initial=dict(zip("xy", x[batch].T, strict=True)),
                columns=("x", "y"),
            )
            theta = theta - rate * np.einsum("btc,btcp->p", 2 * (values - y[batch]), jacobian) / values.size
    return theta


@pytest.mark.parametrize(
    "how", [{"jit_compile": True}, {"jit_compile": "auto"}, {"jit_compile": False}, {"run_eagerly": True}], ids=str
)
def test_training_is_the_same_however_it_runs(how):
    x = np.array([[40.0, 9], [30, 4], [20, 10]])
    y = np.full((3, 6, 2), 30.0)
    model = keras.Sequential([keras.Input((2,)), LotkaVolterra(steps=6, h=0.5, method="euler", dtype="float64")])
    model.compile(keras.optimizers.SGD(1e-7), "mse", **how)
    # The last batch is smaller: the batch size is not known beforehand.
    model.fit(x, y, epochs=3, batch_size=2, shuffle=False, verbose=0)
    expected = _rates_after_descent(x, y, 1e-7, 3)
    # Keras keeps the learning rate in float32.
    np.testing.assert_allclose(list(model.layers[0].parameters().values()), expected, rtol=1e-7)
    assert abs(expected - [0.5, 0.02]).min() > 1e-5


def test_one_param_for_each_row():
    start, b = keras.Input((0,)), keras.Input((1,))
    layer = LotkaVolterra(times=[10], h=0.01, method="rk4", dtype="float64")
    model = keras.Model([start, b], layer(start, params={"b": b}))
    values = tf.constant([[0.02], [0.025], [0.03]], tf.float64)
    # Case K09.
    np.testing.assert_allclose(
        model.predict([np.zeros((3, 0)), values], verbose=0)[:, 0, 0], (12.52826, 16.18479, 19.92612), rtol=1e-6
    )
    assert [weight.name for weight in layer.trainable_weights] == ["a"]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        x = model([tf.zeros((3, 0)), values])[:, 0, 0]
    jacobian = tape.jacobian(x, values, experimental_use_pfor=False)[..., 0].numpy()
    assert np.all(jacobian[~np.eye(3, dtype=bool)] == 0) and np.all(np.diag(jacobian) != 0)


@pytest.mark.parametrize("steps", [{"steps": 6, "h": 0.5, "method": "euler"}, {"times": [3], "rtol": 1e-6}])
def test_a_persistent_tape_in_a_graph_where_the_batch_is_not_known(steps):
    """A custom `train_step` with two losses: TensorFlow keeps what second derivatives would need."""
    layer = LotkaVolterra(**steps, dtype="float64")
    layer.build((None, 2))
    weights = [weight.value for weight in layer.weights]

    def gradients(x, persistent):
        with tf.GradientTape(persistent=persistent) as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, weights)

    signature = [tf.TensorSpec([None, 2], tf.float64)]
    x = tf.constant([[10.0, 5.0], [8.0, 4.0], [6.0, 3.0]], tf.float64)
    found = [tf.function(partial(gradients, persistent=kept), signature)(x) for kept in (False, True)]
    np.testing.assert_array_equal(*found)
    assert np.all(np.abs(found[0]) > 0)


def test_a_network_predicts_a_param():
    inputs = keras.Input((3,))
    b = keras.layers.Dense(1, activation="sigmoid")(inputs)
    start = keras.layers.Dense(2, activation="softplus")(inputs)
    out = LotkaVolterra(steps=5, h=0.1, method="rk4")(start, params={"b": b})
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), "mse")
    history = model.fit(np.ones((8, 3)), np.full((8, 5, 2), 0.3), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_float64_end_to_end():
    layer = Counter(steps=10, h=0.1, method="rk4", dtype="float64")
    y = np.asarray(layer(NONE))[0, -1]
    # Case K03: the increments lie below the spacing of float32 at 1e6.
    assert y[0] - 1e6 == pytest.approx(0.0123456789, abs=1e-9)
    assert y[1] == pytest.approx(0.00617283945, rel=1e-7)
    assert layer.weights[0].numpy() == 1e-3
    assert np.asarray(Counter(steps=10, h=0.1, method="rk4", dtype="float32")(NONE))[0, -1, 0] == 1e6


def test_float64_by_keras_own_setting(keras_settings):
    keras.config.set_floatx("float64")
    y = np.asarray(Counter(steps=10, h=0.1, method="rk4")(NONE))[0, -1]
    assert y[0] - 1e6 == pytest.approx(0.0123456789, abs=1e-9)


def test_half_precision_around_the_layer_leaves_it_at_float32(keras_settings):
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((2,))
    layer = Competition(steps=10, h=0.1, method="euler")
    model = keras.Model(inputs, layer(keras.layers.Dense(2, kernel_initializer="identity")(inputs)))
    assert layer.compute_dtype == layer.variable_dtype == "float32"
    assert model.predict(np.array([[100.0, 150.0]]), verbose=0).dtype == np.float32


def test_defaults_come_from_the_model():
    layer = Competition()
    assert (layer.method, len(layer.timing.times), layer.timing.times[-1]) == ("euler", 1000, 100.0)
    assert Decay(times=[1.0]).method == "dopri5"
    np.testing.assert_allclose(np.asarray(Decay(times=[1.0])(NONE)).ravel(), [np.exp(-1)], rtol=1e-6)


def test_replaced_consts():
    layer = LotkaVolterra(times=[5.0], h=0.1, consts={"c": 0.6}, dtype="float64")
    run = simulate.solve(
        LotkaVolterra, layer.timing, method=layer.method, params=[0.5, 0.02], consts={"c": 0.6}, columns=("x", "y")
    )
    np.testing.assert_allclose(layer(NONE), run, rtol=1e-13)


def test_no_new_trace_and_flat_memory():
    traces = []

    class Counted(Clearance):
        @staticmethod
        def rhs(t, x, p, c):
            traces.append(1)
            return Clearance.rhs(t, x, p, c)

    layer = Counted(steps=5, h=0.01, method="euler")
    model = keras.Sequential([keras.Input((2,)), layer])
    model.predict(np.ones((4, 2)), verbose=0)
    layer(np.ones((4, 2), "float32"))
    before = len(traces)
    for k in range(1, 10):
        layer.weights[0].assign(float(k))
        model.predict(np.full((4, 2), float(k)), verbose=0)
        layer(np.full((4, 2), float(k), "float32"))
    assert len(traces) == before
