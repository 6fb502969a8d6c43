"""Operations of several commands, written once for every kind of client: see `steps`."""
