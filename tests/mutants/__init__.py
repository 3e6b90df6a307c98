"""Broken builds of ramify that its tests must notice."""
