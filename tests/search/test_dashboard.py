"""A study opens in optuna-dashboard, which is asked here without a server."""

import json
from collections import Counter
from wsgiref.util import setup_testing_defaults

import pytest

from infantjax.search import worker
from infantjax.search.kbest import RandomSearch
from infantjax.search.storage import close, open_storage
from infantjax.search.study import join_study, read_study


def answer(app, path: str):
    """What the program says to a browser."""
    environ, told = {"QUERY_STRING": "after=0"}, []
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = path
    body = b"".join(app(environ, lambda status, headers, *rest: told.append(status)))
    return told[0], body


@pytest.mark.slow
def test_the_dashboard_shows_the_trials_of_a_search(pretend, tmp_path, storage):
    dashboard = pytest.importorskip("optuna_dashboard")
    task = pretend.task(tmp_path, storage, strategy=RandomSearch(), trials=6)
    opened = open_storage(storage)
    join_study(task.study, opened, task.sampler, task.setup)
    close(opened)
    worker.run_worker(task)
    app = dashboard.wsgi(storage)
    status, body = answer(app, "/api/studies")
    assert status.startswith("200")
    (study,) = json.loads(body)["study_summaries"]
    assert study["study_name"] == "pretend"
    status, body = answer(app, f"/api/studies/{study['study_id']}")
    assert status.startswith("200")
    shown = json.loads(body)["trials"]
    expected = Counter(trial.state.name.lower() for trial in read_study("pretend", storage).trials)
    assert Counter(trial["state"].lower() for trial in shown) == expected
    assert {p["name"] for p in shown[0]["params"]} == set(task.space.names)
    assert answer(app, "/dashboard")[0].startswith("200")
