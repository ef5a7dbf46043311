"""Features in the manner of the CIMA model: empirical modes of the parts of the body, per window.

Source: Ihlen et al. 2020, whose list of 990 features, number of modes and latent variables could not be read.
Published: six parts' tracks, empirical modes, their instantaneous amplitudes and frequencies (Hilbert-Huang),
summarized in windows of 5 s; partial least squares and linear discriminants classify each window, and the fraction of
windows classified as CP is the score (`classifiers.window_share`). This is an interpretation, not CIMA: the model
decomposes all tracks jointly (multivariate modes, which no maintained package has), here PyEMD decomposes each track
alone, so modes of two parts may differ in frequency. Our choice: five modes, and of each the mean and deviation of its
log amplitude and its mean frequency: 180 features. In float64.
"""

import numpy as np
from jaxtyping import Float

from baseline_methods.spectra import part_tracks
from infantjax.errors import InputError, MissingExtraError
from infantjax.recording.recording import Recording

SECONDS = 5
"""Length of a window; they do not overlap."""
MODES = 5
"""Number of modes, from the fastest on."""
_FLOOR = 1e-6


def features(recording: Recording) -> Float[np.ndarray, "window feature"]:
    """Six parts x two axes x five modes x (mean log amplitude, its deviation, mean frequency in hertz) of each window.

    Gaps are filled. A missing mode has the log amplitude -6 and the frequency 0. Divide the
    keypoints by the trunk's length beforehand where infants differ in size.

    Raises:
        MissingExtraError: EMD-signal is not installed.
        InputError: as `spectra.part_tracks`, or shorter than a window.
    """
    try:
        from PyEMD import EMD
    except ImportError:
        raise MissingExtraError("EMD-signal", "baselines") from None
    from scipy.signal import hilbert

    tracks = part_tracks(recording)
    length = round(SECONDS * recording.fps)
    count = len(tracks) // length
    if not count:
        raise InputError(recording.name, f"lasts {recording.duration:.1f} s", f"windows need {SECONDS} s")
    found = np.zeros((count, *tracks.shape[1:], MODES, 3))
    found[..., 0] = np.log10(_FLOOR)
    for part, axis in np.ndindex(*tracks.shape[1:]):
        track = tracks[:, part, axis]
        # A track without movement has no modes; of others the residual is the last row.
        modes = EMD()(track, max_imf=MODES)[:MODES] if np.ptp(track) > 0 else np.empty((0, len(track)))
        for number, mode in enumerate(modes):
            whole = hilbert(mode)
            amplitude = np.abs(whole)
            rate = np.gradient(np.unwrap(np.angle(whole))) * recording.fps / (2 * np.pi)
            pieces = amplitude[: count * length].reshape(count, length)
            rates = rate[: count * length].reshape(count, length)
            log, weights = np.log10(pieces + _FLOOR), np.square(pieces) + _FLOOR**2
            mean = (weights * rates).sum(axis=1) / weights.sum(axis=1)
            found[:, part, axis, number] = np.stack([log.mean(axis=1), log.std(axis=1), mean], axis=-1)
    return found.reshape(count, -1)
