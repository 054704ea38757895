"""What the commands of `actingweb-db migrate` do. `actingweb.cli.migrate` declares them."""
