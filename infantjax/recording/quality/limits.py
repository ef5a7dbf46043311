"""Thresholds of the measures of tracking quality."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualityLimits:
    """Thresholds; all are our choice unless a source is named.

    They lie about half-way between what simulated infants of all kinds and the MINI-RGBD recordings reach and what
    spoiled ones show. Which of these recordings were looked at while they were set: `experiments/tracking_faults.py`.
    A length is in units of the trunk, from the middle of the shoulders to that of the hips: some 19 cm.

    Attributes:
        min_fps: lowest frame rate, hertz; fidgety movements reach 3 Hz or more, and five frames a period are few.
        exchange: least change of the vector between two joints, right to left, that counts as an exchange.
        clear_side: width of shoulders or hips, times the trunk's length, that shows a side clearly.
        exchanged: share of frames with exchanged sides of a second.
        jump: size of an isolated jump of a point, at 25 Hz or more. Below, movement from frame to frame grows with the
            square of their distance in time, and so does the limit.
        cut: mean isolated step of all points from one frame to the next.
        speed: of a point, per second. 40 are some 7 m/s; the fastest hands of MINI-RGBD reach 20.
        limb_lengths: length of a bone relative to the one that it commonly reaches.
        asymmetry: ratio of the lengths of a bone, right and left, above which an answer is not certain.
        longest_bone: length of a bone that no infant's limb reaches.
        trunk: change of the trunk's length from its median, as a ratio.
        together: distance below which joints of both sides lie on each other.
        impossible_body: share of a second's frames with both arms or both legs on each other.
        missing: share of missing points of a second.
        max_gap: seconds that a joint of the limbs may be missing at a time.
        gaps: share of a second's frames within longer gaps.
        interpolated: share of a second's points that lie on straight lines in time.
        frozen: share of a second's frames whose points are all exactly those of the frame before.
        stuck_seconds: time that an end of a limb may stay exactly in place; twice that for rounded coordinates.
        noise: standard deviation of the points' errors, above which a second fails.
        doubtful_noise: the same over the recording, above which an answer is not certain.
        min_bandwidth: frequency, hertz, below which 95 % of the power of the velocity of hands and feet lies.
        doubtful_bandwidth: the same, below which an answer is not certain.
        min_movement: median over time of the spread of hands and feet within a second.
        distance: of a feature from its mean in the training recordings, in spreads, above which an answer is not
            certain.
        grid: of rounded coordinates, above which an answer is not certain.
        min_share: least usable share of a recording.
        window: seconds that must be usable together: a window of the published networks.
        certain_share: share of such windows that are usable, below which an answer is not certain.
    """

    min_fps: float = 10.0
    exchange: float = 0.25
    clear_side: float = 0.2
    exchanged: float = 0.0
    jump: float = 0.15
    cut: float = 0.15
    speed: float = 40.0
    limb_lengths: float = 1.6
    asymmetry: float = 1.35
    longest_bone: float = 1.0
    trunk: float = 1.5
    together: float = 0.08
    impossible_body: float = 0.5
    missing: float = 0.3
    max_gap: float = 2.0
    gaps: float = 0.5
    interpolated: float = 0.3
    frozen: float = 0.3
    stuck_seconds: float = 1.0
    noise: float = 0.05
    doubtful_noise: float = 0.02
    min_bandwidth: float = 0.8
    doubtful_bandwidth: float = 2.5
    min_movement: float = 0.005
    distance: float = 3.0
    grid: float = 0.03
    min_share: float = 0.5
    window: float = 5.0
    certain_share: float = 0.85

    def jump_at(self, fps: float) -> float:
        """The limit of jumps at a frame rate in hertz."""
        return self.jump * max(1.0, (25.0 / fps) ** 2)


DEFAULT_LIMITS = QualityLimits()
"""The limits that are used where none are given."""
