"""Features in the manner of the CIMA model: multivariate empirical modes of the parts of the body, per window.

Source: Ihlen et al. 2020, whose list of 990 features, number of modes and latent variables could not be read.
Published: six parts' tracks, multivariate empirical modes, their instantaneous amplitudes and frequencies
(Hilbert-Huang), summarized in windows of 5 s; partial least squares and linear discriminants classify each window, and
the fraction of windows classified as CP is the score (`classifiers.window_share`). This is an interpretation, not CIMA.
Our choice: five modes (`memd`), and of each the mean and deviation of its log amplitude and its mean frequency: 180
features. In float64.
"""

import numpy as np
from jaxtyping import Float

from baseline_methods.memd import decompose
from baseline_methods.spectra import part_tracks
from infantjax.errors import InputError
from infantjax.recording.recording import Recording

SECONDS = 5
"""Length of a window; they do not overlap."""
MODES = 5
"""Number of modes, from the fastest on."""
_FLOOR = 1e-6


def features(recording: Recording) -> Float[np.ndarray, "window feature"]:
    """Six parts x two axes x five modes x (mean log amplitude, its deviation, mean frequency in hertz) of each window.

    Gaps are filled. Where nothing moves in a mode, the log amplitude is -6 and the frequency 0. Divide the keypoints by
    the trunk's length beforehand where infants differ in size.

    Raises:
        InputError: as `spectra.part_tracks`, or shorter than a window.
    """
    from scipy.signal import hilbert

    tracks = part_tracks(recording)
    length = round(SECONDS * recording.fps)
    count = len(tracks) // length
    if not count:
        raise InputError(recording.name, f"lasts {recording.duration:.1f} s", f"windows need {SECONDS} s")
    modes = decompose(tracks.reshape(len(tracks), -1), MODES)[:-1]
    whole = hilbert(modes, axis=1)
    amplitude = np.abs(whole)
    rate = np.gradient(np.unwrap(np.angle(whole), axis=1), axis=1) * recording.fps / (2 * np.pi)
    shape = (MODES, count, length, modes.shape[2])
    pieces, rates = (values[:, : count * length].reshape(shape) for values in (amplitude, rate))
    log, weights = np.log10(pieces + _FLOOR), np.square(pieces) + _FLOOR**2
    mean = (weights * rates).sum(axis=2) / weights.sum(axis=2)
    found = np.stack([log.mean(axis=2), log.std(axis=2), mean], axis=-1)
    return found.transpose(1, 2, 0, 3).reshape(count, -1)
