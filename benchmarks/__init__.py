"""Side-by-side runs and measurements. Never part of `make test`."""
