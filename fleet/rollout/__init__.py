"""What happens before an update declares its first resource: read, check, plan the waves, make the host ready."""
