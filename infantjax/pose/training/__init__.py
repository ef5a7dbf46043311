"""Training of pose networks on annotated images."""
