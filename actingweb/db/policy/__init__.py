"""The behaviour that both backends share, one module per entity: argument rules, encodings, handles, result shapes.

A backend subclasses these classes and implements their `_verbs`, which only do I/O.
"""
