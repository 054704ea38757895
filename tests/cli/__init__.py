"""Tests of the command line tool, in processes of its own; those of the migration are with it."""
