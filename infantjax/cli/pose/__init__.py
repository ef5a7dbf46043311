"""Commands that find keypoints."""
