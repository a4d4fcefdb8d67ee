"""Every right is one mechanism: a command to every owner, an answer from each."""
