"""Tests of the live migration."""
