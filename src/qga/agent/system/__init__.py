"""What the agent asks the platform: `asked` declares it, `linux` answers, and `fake` in tests."""
