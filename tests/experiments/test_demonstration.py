"""The demonstration ensemble: its file of trainings is what the package was made by, and makes an ensemble."""

import pytest
from demonstration_ensemble import TRAININGS, Options, main

from infantjax.cli.config_file import read_toml
from infantjax.settings import from_settings, to_settings
from infantjax.weights import bundled
from infantjax.weights.ensemble import load_ensemble

SMALL = """
[first]
models = ["kbest-gcn-2"]
infants = 28
held_out = 6
duration = 12.0
prevalence = 0.5
[first.training]
epochs = 1
samples_per_negative = 1

[second]
models = ["kbest-gcn-2"]
infants = 28
held_out = 6
duration = 12.0
prevalence = 0.5
seed = 5
start = "first"
[second.training]
epochs = 1
samples_per_negative = 1
"""


def test_the_file_has_the_settings_that_the_bundled_ensemble_was_made_with():
    made = bundled.ensemble().info.training["options"]
    given = {name: from_settings(Options, values) for name, values in read_toml(TRAININGS).items()}
    assert (given["tracked"].start, given["tracked"].errors) == ("exact", made["errors"])
    for kept, options in ((made["start"], given["exact"]), (made, given["tracked"])):
        settings = to_settings(options)
        same = {"models", "infants", "held_out", "duration", "prevalence", "seed", "filmed"} & set(kept)
        assert {name: settings[name] for name in same} == {name: kept[name] for name in same}
        for name in ("epochs", "batch_size", "learning_rate", "samples_per_negative", "positive_ratio"):
            assert settings["training"][name] == kept["training"][name], name


@pytest.mark.slow
def test_a_training_starts_from_the_one_before_and_leaves_an_ensemble_that_can_be_read(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    main(tmp_path / "out", tmp_path / "small.toml")
    found = load_ensemble(tmp_path / "out/second/ensemble")
    assert found.info.training["options"]["start"]["seed"] == 1
    assert "On 6 held-out simulated infants (3 without fidgety movements)" in found.info.statement
    assert 0 < found.info.threshold < 1
