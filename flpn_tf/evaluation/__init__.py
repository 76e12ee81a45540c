"""Evaluation by the official protocols."""
