"""The loader of pipelines by itself: which files belong to one, what events tell, what is drawn."""

import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))

from boathouse_runtime.pipeline.progress import Picture, fit  # noqa: E402
from boathouse_runtime.pipeline.project import ProjectError, find  # noqa: E402
from boathouse_runtime.pipeline.report import summary  # noqa: E402
from boathouse_runtime.pipeline.update import Update  # noqa: E402


def write(root, **files):
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_a_file_names_the_pipeline(tmp_path):
    write(tmp_path, first_dot_py="")
    project = find(tmp_path / "first.py")
    assert (project.name, [f.name for f in project.files]) == ("first", ["first.py"])


def test_a_directory_is_all_its_files(tmp_path):
    root = tmp_path / "sales"
    write(root, b_dot_py="", a_dot_sql="", deep__c_dot_ipynb="", readme_dot_md="", _dot_venv__x_dot_py="")
    project = find(root)
    assert project.name == "sales"
    assert [str(f.relative_to(root)) for f in project.files] == ["a.sql", "b.py", "deep/c.ipynb"]


def test_a_specification_says_what_belongs(tmp_path):
    write(
        tmp_path,
        pipeline_dot_yml="name: n\ncatalog: c\nschema: s\nstorage: st\nconfiguration: {k: v}\n"
        "libraries:\n- glob: {include: t/**}\n- file: {path: one.py}\n",
        t__x_dot_py="", t__deep__y_dot_sql="", t__z_dot_txt="", one_dot_py="", two_dot_py="",
    )  # fmt: skip
    for path in (tmp_path, tmp_path / "pipeline.yml"):
        project = find(path)
        assert (project.name, project.catalog, project.schema) == ("n", "c", "s")
        assert project.storage == str(tmp_path / "st") and project.configuration == {"k": "v"}
        assert sorted(str(f.relative_to(tmp_path)) for f in project.files) == ["one.py", "t/deep/y.sql", "t/x.py"]


@pytest.mark.parametrize(
    "spec, words",
    [
        ("nam: x", "nam"),
        ("name: 1", "name must be text"),
        ("configuration: {a: 1}", "a must be text"),
        ("schema: a\ndatabase: b", "schema and database"),
        ("libraries: [{glob: {exclude: x}}]", "not understood"),
        ("libraries: [{file: {path: none.py}}]", "none.py"),
        ("{", "not valid YAML"),
        ("name: x", "no source files"),
    ],
)
def test_wrong_specifications_are_named(tmp_path, spec, words):
    write(tmp_path, pipeline_dot_yml=spec)
    with pytest.raises(ProjectError, match=words):
        find(tmp_path)


def progress(dataset, status, flow=None, **details):
    name = f"spark_catalog.default.{dataset}"
    origin = {"dataset_name": name, "flow_name": flow or name}
    return {"event_type": "flow_progress", "level": "INFO", "origin": origin, "details": {"flow_progress": {"status": status, **details}}}


def quality(dropped, *expectations):
    rows = [{"name": n, "dataset": "silver", "passed_records": p, "failed_records": f} for n, p, f in expectations]
    return {"dropped_records": dropped, "expectations": rows}


def an_update():
    update = Update()
    update.actions[("silver", "valid")] = "drop"
    for event in [
        progress("bronze", "RUNNING"),
        progress("bronze", "COMPLETED", metrics={"num_output_rows": 3}),
        progress("silver", "COMPLETED", metrics={"num_output_rows": 2}, data_quality=quality(1, ("valid", 2, 1))),
        {"event_type": "update_progress", "origin": {}, "details": {"update_progress": {"state": "COMPLETED"}}},
    ]:
        update.apply(event)
    return update


def test_events_are_folded_into_a_report():
    update = an_update()
    assert not update.failed and update.datasets["bronze"].state == "COMPLETED"
    text = summary(update, "first", 1.5)
    assert "silver" in text and "SELECT * FROM dropped_records('silver')" in text
    line = next(x for x in text.splitlines() if "valid" in x)
    assert line.split() == ["silver", "valid", "drop", "2", "1", "66.66%"]
    assert "Pipeline first completed in 1.5 s" in text


def test_a_failure_is_told_once_with_its_cause():
    update = an_update()
    error = {"exceptions": [{"class_name": "X", "message": "rule no_duplicates"}]}
    failure = {**progress("gold", "FAILED"), "level": "ERROR", "message": "gold failed", "error": error}
    update.apply(failure)
    update.apply(failure)
    assert update.failed and update.datasets["gold"].state == "FAILED"
    assert [(p.dataset, p.message) for p in update.problems] == [("gold", "rule no_duplicates")]


def test_batches_are_added_up_and_an_event_that_comes_twice_counts_once():
    update = Update()
    for batch, rows in ((0, 5), (1, 7), (1, 7)):
        event = progress("silver", "RUNNING", metrics={"num_output_rows": rows}, data_quality=quality(1, ("valid", rows, 1)))
        event["origin"]["batch_id"] = batch
        update.apply(event)
    update.apply(progress("silver", "COMPLETED"))
    silver = update.datasets["silver"]
    assert (silver.total("rows"), silver.total("dropped"), silver.state) == (12, 2, "COMPLETED")
    assert [(e.passed, e.failed) for e in silver.expectations] == [(12, 2)]


def test_flows_of_one_table_are_added_up():
    update = Update()
    update.apply(progress("t", "COMPLETED", flow="a", metrics={"num_output_rows": 2}))
    update.apply(progress("t", "RUNNING", flow="b", metrics={"num_output_rows": 3}))
    assert update.datasets["t"].total("rows") == 5 and update.datasets["t"].state == "RUNNING"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_picture_is_drawn_on_terminals_only():
    piped, terminal = io.StringIO(), Terminal()
    with Picture(an_update(), piped) as picture:
        picture.draw()
    assert piped.getvalue() == ""
    with Picture(an_update(), terminal) as picture:
        picture.draw()
        drawn = terminal.getvalue()
    assert "2 of 2 datasets" in drawn and "bronze" in drawn and "valid: 1 failed" in drawn
    assert terminal.getvalue().endswith("\x1b[3A\x1b[J")  # the report takes its place


def test_lines_fit_into_the_terminal():
    assert fit("\x1b[32m✔\x1b[0m abcdef", 4).replace("\x1b[0m", "").replace("\x1b[32m", "") == "✔ ab"
    assert fit("日本語", 4) == "日本\x1b[0m"


def test_views_and_what_was_not_selected_have_no_progress():
    update = Update()
    for name, kind in (("v", "TEMPORARY_VIEW"), ("t", "STREAMING_TABLE")):
        details = {"dataset_definition": {"dataset_type": kind}}
        update.apply({"event_type": "dataset_definition", "origin": {"dataset_name": name}, "details": details})
    lines = summary(update, "p", 0).splitlines()
    assert [line.split() for line in lines[1:3]] == [["v", "temporary", "view"], ["t", "streaming", "table", "excluded"]]
