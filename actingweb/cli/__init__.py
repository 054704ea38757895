"""The command line tool `actingweb-db`. What takes time to load is loaded by the command that needs it."""
