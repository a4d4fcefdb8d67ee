"""What runs inside the containers of `docker-compose.yml`. Checked by configuration only: never started so far."""
