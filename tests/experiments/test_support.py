"""What the experiments share: made data belong to their settings."""

import support
import train_rendered_pose as rendering

from infantjax.simulation import RenderConfig


def test_made_data_are_used_again_for_the_same_settings_only(tmp_path):
    first = support.cohort_of(None, True, tmp_path, 3, 6.0)
    assert support.cohort_of(None, True, tmp_path, 3, 6.0).digest == first.digest
    assert len(support.cohort_of(None, True, tmp_path, 4, 6.0)) == 4
    assert support.cohort_of(None, True, tmp_path, 3, 7.0).recordings[0].duration > first.recordings[0].duration
    assert len(list(tmp_path.iterdir())) == 3


def test_rendered_images_belong_to_their_side_and_film(tmp_path):
    options = rendering.Options(tmp_path, infants=1, frames=1, side=64)
    one = rendering.write_images(tmp_path / "rendered", options)
    others = [
        rendering.Options(tmp_path, infants=1, frames=1, side=80),
        rendering.Options(tmp_path, infants=1, frames=2, side=64),
        rendering.Options(tmp_path, infants=1, frames=1, side=64, render=RenderConfig(noise=0.0)),
    ]
    assert rendering.write_images(tmp_path / "rendered", options) == one
    assert len({one, *(rendering.write_images(tmp_path / "rendered", other) for other in others)}) == 4
