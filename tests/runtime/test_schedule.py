"""Intervals, steps that divide them, and the order in which times were asked for."""

import numpy as np
import pytest

from odec.diagnostics import OdecError
from odec.runtime.schedule import Schedule


def test_a_decimal_step_divides_as_decimals_do():
    schedule = Schedule.fixed(0, [0.3], 0.1)
    assert schedule.counts.tolist() == [3]
    assert schedule.steps.tolist() == [0.1]


def test_a_step_that_does_not_divide_is_shortened():
    schedule = Schedule.fixed(0, [1.0], 0.3)
    assert (schedule.counts.tolist(), schedule.steps.tolist()) == ([4], [0.25])


def test_times_may_be_unsorted_repeated_and_at_the_start():
    schedule = Schedule.fixed(2, [2, 2, 2.5, 7, 7.1, 50, 7], 0.1)
    assert schedule.order.tolist() == [0, 0, 1, 2, 3, 4, 2]
    assert schedule.starts.tolist() == [2, 2.5, 7, 7.1]
    assert not schedule.follows_intervals


def test_time_runs_backwards():
    schedule = Schedule.fixed(0, [-2, -1], 0.5)
    assert schedule.order.tolist() == [2, 1]
    assert schedule.steps.tolist() == [-0.5, -0.5]
    assert schedule.longest_step == 0.5


def test_time_on_the_wrong_side_is_named():
    with pytest.raises(OdecError, match=r"time 1\.5 lies before the start 2") as error:
        Schedule.fixed(2, [2.5, 1.5, 7], 0.1)
    assert error.value.diagnostics[0].code == "E0604"


@pytest.mark.parametrize("step", [0, -1, float("nan"), float("inf"), 1e-12])
def test_impossible_step_is_refused(step):
    with pytest.raises(OdecError, match="step"):
        Schedule.fixed(0, [1e3], step)


def test_not_a_number_is_no_time():
    with pytest.raises(OdecError, match="nan"):
        Schedule.fixed(0, [1, float("nan")], 0.1)


def test_grid_counts_from_whole_numbers():
    schedule = Schedule.grid(0, 0.1, 1000)
    assert schedule.single and schedule.follows_intervals
    assert schedule.times[-1] == 100.0
    assert schedule.starts[3] == 3 * 0.1


def test_refined_keeps_the_times():
    schedule = Schedule.fixed(0, [1, 3], 0.5)
    finer = schedule.refined(4)
    assert finer.total == 4 * schedule.total
    np.testing.assert_array_equal(finer.times, schedule.times)
    np.testing.assert_allclose(finer.counts * finer.steps, schedule.counts * schedule.steps)


def test_an_end_at_the_start_takes_no_step():
    schedule = Schedule.fixed(5, [5], 0.1)
    assert schedule.total == 0 and schedule.order.tolist() == [0]
