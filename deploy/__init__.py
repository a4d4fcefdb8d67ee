"""How Lethe is run: the embedded platform of one machine, and the same topology for Docker Compose."""
