"""The jobs: export, import, copy, validation, replay."""
