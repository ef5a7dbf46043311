"""Colored markers: rendered discs whose places are known."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.clinic import markers
from infantjax.clinic.markers import Intrinsics, MarkerSettings, track_markers

COLORS = [(220, 30, 30), (30, 200, 40), (40, 60, 230), (230, 210, 30)]


def paths(frames=40):
    """Four markers that circle slowly."""
    t = np.arange(frames)[:, None] / 8
    middle = np.array([[60, 50], [140, 60], [70, 120], [150, 115]])
    return middle + 12 * np.stack([np.cos(t + np.arange(4)), np.sin(t + np.arange(4))], -1)


def picture(places, colors=COLORS, radius=6):
    image = np.full((160, 200, 3), 90, np.uint8)
    y, x = np.mgrid[:160, :200]
    for (px, py), color in zip(places, colors):
        image[np.hypot(x - px, y - py) <= radius] = color
    return image


def test_discs_are_found_within_half_a_pixel():
    true = paths()
    found = track_markers(map(picture, true), true[0])
    assert found.shape == (40, 4, 3)
    assert np.abs(found[..., :2] - true).max() < 0.5
    assert (found[..., 2] == 0).all()


def test_a_covered_marker_is_lost_and_found_again():
    true = paths()
    frames = [picture(p) for p in true]
    for frame in range(10, 15):
        frames[frame] = picture(true[frame, 1:], COLORS[1:])
    found = track_markers(frames, true[0])
    assert np.isnan(found[10:15, 0]).all()
    assert not np.isnan(np.delete(found, range(10, 15), 0)).any()
    assert not np.isnan(found[:, 1:]).any()


def test_the_search_grows_while_a_marker_is_lost():
    start, away = np.array([[30.0, 80.0]]), np.array([[95.0, 80.0]])
    frames = [picture(start, COLORS[:1]), *[picture([], [])] * 3, picture(away, COLORS[:1])]
    assert not np.isnan(track_markers(frames, start)[-1]).any()
    assert np.isnan(track_markers(frames, start, settings=MarkerSettings(growth=0))[-1]).all()
    near = [frames[0], frames[-1]]
    assert np.isnan(track_markers(near, start)[-1]).all()


def test_specks_and_other_hues_are_no_marker():
    place = np.array([[100.0, 80.0]])
    speck = picture(place, COLORS[:1], radius=1)
    assert np.isnan(track_markers([picture(place, COLORS[:1]), speck], place)[1]).all()
    assert np.isnan(track_markers([picture(place, COLORS[:1]), picture(place, COLORS[1:2])], place)[1]).all()


def test_the_hue_is_compared_round_the_circle():
    place = np.array([[100.0, 80.0]])
    pink, orange = (220, 30, 45), (220, 45, 30)
    assert markers.hsv(np.array(pink))[0] > 350
    assert markers.hsv(np.array(orange))[0] < 10
    assert not np.isnan(track_markers([picture(place, [pink]), picture(place, [orange])], place)).any()


def test_depth_is_the_median_of_what_was_measured_and_places_are_in_space():
    place = np.array([[120.0, 90.0]])
    depth = np.zeros((160, 200))
    depth[84:97, 114:121] = 2.0
    frames = [picture(place, COLORS[:1])]
    assert track_markers(frames, place, depths=[depth])[0, 0].tolist() == [120, 90, 2]
    tracks = track_markers(frames, place, depths=[depth])
    np.testing.assert_allclose(markers.to_space(tracks, Intrinsics(100, 100, 100, 80))[0, 0], [0.4, 0.2, 2])
    assert np.isnan(track_markers(frames, place, depths=[np.zeros((160, 200))])[0, 0, 2])


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colors_are_those_of_python(rgb):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    np.testing.assert_allclose(markers.hsv(np.array(rgb)), [360 * hue, saturation, value], atol=1e-9)


@pytest.mark.parametrize(
    ("clicks", "options", "message"),
    [
        ([(250, 10)], {}, "outside of the frame"),
        ([(5, 5)], {}, "too gray or dark"),
        ([(120, 90)], {"depths": []}, "0 depths and more frames"),
        ([(120, 90)], {"depths": [np.ones((80, 100))]}, r"of \(100, 80\) pixels lies beside a frame of \(200, 160\)"),
    ],
)
def test_what_cannot_be_tracked_is_refused(clicks, options, message):
    with pytest.raises(ValueError, match=message):
        track_markers([picture([(120, 90)], COLORS[:1])], clicks, **options)


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="no frames"):
        track_markers([], [(1, 1)])
