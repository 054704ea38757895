"""The command line tool `actingweb-db`.

`app` assembles the Typer application from `doctor`, `schema` and `migrate`, which declare commands, options and help,
and load fast. What the commands do is imported when one runs: `doctor_report`, `schema_commands`, and
`actingweb.migration.cli`.
"""
