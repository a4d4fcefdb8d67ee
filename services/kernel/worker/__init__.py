"""What a worker is, and the loop around it."""
