"""What `make` runs: the set-up, told as it happens. See the Makefile."""
