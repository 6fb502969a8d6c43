"""Of `qga.testing`: what others test with deserves tests itself."""
