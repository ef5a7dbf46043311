"""What a network looked at: how keypoints contribute to a risk."""
