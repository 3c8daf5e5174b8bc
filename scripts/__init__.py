"""The programs that `make` runs to set up First Token. See the Makefile."""
