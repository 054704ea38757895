"""The checks of `actingweb-db doctor`. None writes or creates anything."""
