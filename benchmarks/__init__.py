"""Nyala against its peers, on the same work from the same data and the same initial weights: see README.md."""
