"""The reaper's HTTP API and its status page."""
