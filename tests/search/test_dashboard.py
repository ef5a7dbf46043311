"""A study opens in optuna-dashboard, which is asked here without a server."""

import json
from collections import Counter
from wsgiref.util import setup_testing_defaults

import pytest

from infantjax.search.study import FILE, open_storage, read_study


def answer(app, path: str):
    """What the program says to a browser."""
    environ, told = {"QUERY_STRING": "after=0"}, []
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = path
    body = b"".join(app(environ, lambda status, headers, *rest: told.append(status)))
    return told[0], body


@pytest.mark.slow
def test_the_dashboard_shows_the_trials_of_a_search(searched):
    dashboard = pytest.importorskip("optuna_dashboard")
    found = read_study(searched)
    with open_storage(searched / FILE) as storage:
        _check(dashboard.wsgi(storage), found)


def _check(app, found):
    status, body = answer(app, "/api/studies")
    assert status.startswith("200")
    (study,) = json.loads(body)["study_summaries"]
    assert study["study_name"] == "pretend"
    status, body = answer(app, f"/api/studies/{study['study_id']}")
    assert status.startswith("200")
    shown = json.loads(body)["trials"]
    expected = Counter(trial.state.name.lower() for trial in found.trials)
    assert Counter(trial["state"].lower() for trial in shown) == expected
    assert {p["name"] for p in shown[0]["params"]} == set(found.space.names)
    assert answer(app, "/dashboard")[0].startswith("200")
