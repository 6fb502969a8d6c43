"""The version: the one place that names it; the build reads it from here."""

VERSION = "0.1.0"
