"""Conversion into artefacts for phones and servers."""
