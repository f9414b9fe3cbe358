"""Starts a family's agent, once, for all who ask: `ensure` by HTTP or library, heartbeats and sweeps.

Each of them makes a WakeOperation, whose steps move it forward through five states:

    ┌───────┐ activity ┌─────────┐ container ┌────────┐ boot slot ┌─────────┐ /health ┌───────┐
    │ ASKED │ recorded │ WAITING │ stopped   │ QUEUED │ taken     │ BOOTING │ is 200  │ READY │
    │       ├─────────►│         ├──────────►│        ├──────────►│         ├────────►│       │
    └───────┘          └────┬────┘           └────────┘           └─────────┘         └───────┘
                            └──────────── container runs already ──────►

    ASKED     nothing is done; a suspended family ends here (SuspendedError)
    WAITING   for a container (a roll is between two, or is still writing its files), or for a stop that holds the lease
    QUEUED    for the family's lease or one of the host's boot slots
    BOOTING   started, or found running; polled until it answers, and started again if it exits
    READY     the agent's URL is returned, and all leases are given back

From any state an operation may end with an error: NotProvisionedError without a container, TimedOutError after
`health_timeout` (NoBootSlotError if it never left the queue because others booted), or FleetError if the daemon does
not answer for 20 s.

Workers take the steps: an event loop and its threads. A caller from Python takes them on its own thread.
"""
