"""Simulated infants as pictures: their bodies, their looks, and clips with exact keypoints."""
