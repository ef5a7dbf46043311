"""From frames to the keypoints of a whole source."""
