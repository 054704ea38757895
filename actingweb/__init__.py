"""ActingWeb: every user gets an actor. This distribution holds its storage layer, :mod:`actingweb.db`."""
