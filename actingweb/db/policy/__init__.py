"""The behaviour that all backends share, one module per entity: argument rules, encodings, handles, result shapes.

A backend subclasses these classes and implements their abstract methods, which only do I/O.
"""
