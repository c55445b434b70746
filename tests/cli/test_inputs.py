"""`--input` and `--before` on the command line."""

from __future__ import annotations

import json

import pytest


def test_solve_reads_the_table_of_an_input(odec, shared):
    folder = shared / "cases/V06-input-table"
    result = odec("solve", folder / "model.ode", "--times", "10", "--input", f"u={folder / 'input.csv'}", "--json")
    assert result.code == 0
    assert json.loads(result.out)["columns"]["x"][0] == pytest.approx(2.53379498, rel=1e-7)
    assert "warning" not in result.err


def test_a_run_beyond_the_table_is_said_on_stderr(odec, shared):
    folder = shared / "cases/V06-input-table"
    result = odec("solve", folder / "model.ode", "--times", "12", "--input", f"u={folder / 'input.csv'}")
    assert result.code == 0
    assert result.err.count("warning[W0605]") == 1


def test_an_input_that_is_missing_is_named(odec, shared):
    result = odec("solve", shared / "cases/V06-input-table/model.ode", "--to", "1")
    assert result.code == 1
    assert result.err == (
        "error[E0606]: V06InputTable needs its input `u`\n"
        "help: give a table with the columns `t` and `u`: `--input u=u.csv`\n"
    )


def test_the_form_of_the_option(odec, shared):
    model = shared / "cases/V06-input-table/model.ode"
    assert "'u.csv' is not of the form name=file" in odec("solve", model, "--input", "u.csv").err
    twice = odec("solve", model, "--to", "1", "--input", "u=a.csv", "--input", "u=b.csv")
    assert twice.code == 2
    assert "--input gives `u` twice" in twice.err


def test_the_value_before_a_jump(odec, shared):
    model = shared / "cases/V10-observation-at-dose/model.ode"
    values = [
        json.loads(odec("solve", model, "--times", "12", "--rtol", "1e-9", "--json", *flags).out)["columns"]["A"][0]
        for flags in ((), ("--before",))
    ]
    assert values == pytest.approx([109.071795, 9.07179533], rel=1e-7)


def test_fit_reads_the_table_of_an_input(odec, shared, tmp_path):
    folder = shared / "cases/F16-input-driven-fit"
    model = tmp_path / "motor.ode"
    model.write_text((folder / "model.ode").read_text().replace("input V", "input V hold"))
    table = f"V={folder / 'input.csv'}"
    result = odec("fit", model, folder / "data.csv", "--input", table, "-o", tmp_path / "fit", "--json")
    assert result.code == 0
    assert json.loads(result.out)["parameters"]["k"]["estimate"] == pytest.approx(0.2, rel=0.02)


def test_a_datum_at_the_time_of_a_jump_is_warned_about(odec, shared, tmp_path):
    folder = shared / "cases/V10-observation-at-dose"
    result = odec("fit", folder / "model.ode", folder / "data.csv", "-o", tmp_path / "fit")
    assert "warning[W0502]: a datum at t = 12 stands at the time of a jump" in result.out
