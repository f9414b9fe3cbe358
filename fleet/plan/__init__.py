"""What an `up` would do to which family, read from Pulumi's preview for the reviewer who approves it."""
