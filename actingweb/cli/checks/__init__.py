"""What `actingweb-db doctor` looks at, one module for each side. No check writes or makes anything."""
