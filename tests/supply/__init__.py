"""Tests of what the project brings with it: dependencies, their licences, lock files."""
