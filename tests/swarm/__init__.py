"""Tests of swarm/."""
