"""Import of checkpoints of the reference implementation, and the assessment of recordings with imported weights."""

import json
import pickle
import zipfile

import jax
import numpy as np
import pytest
from einops import rearrange

from infantjax import cli, formats
from infantjax.errors import InputError
from infantjax.files import git_blob_id
from infantjax.methods import registry
from infantjax.methods.cp_gcn_29 import CHECKPOINTS, weights
from infantjax.methods.cp_gcn_29.architecture import Architecture
from infantjax.methods.cp_gcn_29.assess import fold
from infantjax.methods.cp_gcn_29.weights import import_cp_gcn_29, import_ensemble, read_public_checkpoint
from infantjax.weights import public
from infantjax.weights.ensemble import load_ensemble, save_ensemble
from infantjax.weights.pytorch import read_checkpoint


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "golden" / "cp_gcn29"


@pytest.fixture(scope="module")
def checkpoint(folder):
    return folder / "checkpoint_small.pth.tar"


@pytest.fixture
def accepted(checkpoint, monkeypatch):
    """The reference's checkpoint counts as the public one."""
    monkeypatch.setattr(weights, "CHECKPOINTS", {"weights": (git_blob_id(checkpoint),)})


def test_a_checkpoint_is_read_without_running_code_from_it(checkpoint, folder, accepted):
    golden = np.load(folder / "checkpoint_small.npz")
    state, choices = read_public_checkpoint(checkpoint)
    sums = json.loads(str(golden["sums"]))
    assert set(state) == set(sums)
    for name, (shape, total) in sums.items():
        assert list(state[name].shape) == shape
        assert state[name].astype(np.float64).sum() == pytest.approx(total, rel=1e-5, abs=1e-5)
    assert choices == json.loads(str(golden["config"]))
    ensemble = import_ensemble(checkpoint)
    assert ensemble.info.training["notes"] == ["stored adjacency: that of in-motion-29"]


@pytest.mark.slow
def test_an_imported_checkpoint_gives_the_scores_of_the_reference_implementation(checkpoint, folder, accepted):
    golden = np.load(folder / "checkpoint_small.npz")
    ensemble = import_ensemble(checkpoint)
    network = registry.get("cp-gcn-29").from_ensemble(ensemble).build()
    variables = jax.tree.map(lambda leaf: leaf[0], ensemble.members[0].variables)
    x = rearrange(golden["x"], "b s c t v 1 -> b t v (s c)")
    logits, _ = jax.jit(network.apply)(variables, x)
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-5 * np.abs(golden["logits"]).max())


def test_what_a_checkpoint_asks_for_is_not_called(tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "called"), "w"))

    path = tmp_path / "crafted.pth.tar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"model": {"x": Code()}, "actions": {"act": "relu"}}, protocol=2))
    assert read_checkpoint(path, ("model", "actions", "epoch")) == {"model": {}, "actions": {"act": "relu"}}
    assert not (tmp_path / "called").exists()
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(InputError, match="is not a readable checkpoint"):
        read_checkpoint(tmp_path / "text.tar", ("model",))


def test_a_file_that_is_not_the_public_one_is_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match=r"has the git blob id [0-9a-f]{40}, not that of the public weights"):
        import_ensemble(checkpoint)
    with pytest.raises(InputError, match="is not a file; download it from https://"):
        import_ensemble(tmp_path / "absent.pth.tar")


def test_convert_makes_an_ensemble_of_a_public_checkpoint(checkpoint, tmp_path, monkeypatch, capsys):
    arguments = ["convert", str(checkpoint), str(tmp_path / "ensemble")]
    assert cli.run(arguments) == 2
    assert "is no known public checkpoint (its git blob id is " in capsys.readouterr().err
    for module in (public, weights):
        monkeypatch.setattr(module, "git_blob_id", lambda _: CHECKPOINTS["weights"][0])
    assert cli.run(arguments) == 0
    told = capsys.readouterr()
    assert "stored adjacency: that of in-motion-29" in told.err
    assert "not validated through this pipeline" in told.err
    assert registry.name_of(load_ensemble(tmp_path / "ensemble")) == "cp-gcn-29"


def test_the_git_blob_id_is_that_of_git(tmp_path):
    (tmp_path / "hello").write_text("hello\n")
    assert git_blob_id(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_state_of_another_architecture_is_refused_in_one_line(folder):
    state = {k: v for k, v in np.load(folder / "cp29_released.npz").items() if k.startswith("state/")}
    with pytest.raises(InputError, match=r"missing parameter input_stream\.0\.block-0_att\.att\.fcn\.1\.bias"):
        import_cp_gcn_29(state, Architecture(att_lay="ca"))
    state["state/classifier.fc.weight"] = state["state/classifier.fc.weight"][:, :24]
    with pytest.raises(InputError, match="classifier/kernel has shape"):
        import_cp_gcn_29(state)


@pytest.fixture(scope="module")
def released(folder, tmp_path_factory):
    """An ensemble of the released architecture with generated weights, as it is imported from a checkpoint."""
    state = {k.removeprefix("state/"): v for k, v in np.load(folder / "cp29_released.npz").items() if "state/" in k}
    path = tmp_path_factory.mktemp("cp") / "weights.pth.tar"
    path.write_bytes(b"generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "read_public_checkpoint", lambda _: (state, {"act": "silu"}))
        patch.setattr(weights, "CHECKPOINTS", {"weights": (git_blob_id(path),)})
        save_ensemble(import_ensemble(path), path.parent / "ensemble")
    return load_ensemble(path.parent / "ensemble")


def test_from_keypoints_to_risk_all_is_as_in_the_reference_implementation(released, folder):
    golden = np.load(folder / "preprocess29.npz")
    assessor = registry.assessor(released)
    recording = formats.read(folder / "keypoints29_syn29b.csv", fps=30)
    prediction, _ = assessor.predict(assessor.convert(recording))
    of_infant = golden["predict/owner"] == "syn29b"
    np.testing.assert_allclose(prediction.time_series.median, golden["predict/window_risk"][of_infant], atol=1e-5)
    assert prediction.headline.value == pytest.approx(float(golden["predict/risk/syn29b"]), abs=1e-5)
    assert prediction.positive == (prediction.headline.value >= 0.45)
    assert set(prediction.contributions) == set(recording.skeleton.joints)


@pytest.mark.slow
def test_folded_weights_give_the_reference_scores_at_both_lengths_of_windows(released, folder):
    golden = np.load(folder / "cp29_released.npz")
    x = rearrange(golden["x"], "b s c t v 1 -> b t v (s c)")
    network = registry.get("cp-gcn-29").from_ensemble(released).build()
    apply = jax.jit(network.apply)
    variables = fold(jax.tree.map(lambda leaf: leaf[0], released.members[0].variables))
    logits, aux = apply(variables, x)
    largest = np.abs(golden["logits"]).max()
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-5 * largest)
    np.testing.assert_allclose(aux["pooled"], golden["pooled"], rtol=0, atol=1e-5 * np.abs(golden["pooled"]).max())
