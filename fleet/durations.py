"""Durations in the form that Docker reads back.

The provider compares strings: `90s` declared and `1m30s` read back would replace every container at every `up`.
"""


def go_duration(seconds: int) -> str:
    """Return whole seconds as Go's `time.Duration.String` prints them: `45s`, `1m30s`, `1h0m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"
