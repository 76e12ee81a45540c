"""Frames in and out: files and cameras, decoded and encoded beside the network."""
