"""STAM (Nguyen-Thai et al. 2021): a graph network with attention over clips, trained on labels of recordings."""
