"""What `actingweb-db migrate plan` examines before a migration; it writes nothing to either side."""
