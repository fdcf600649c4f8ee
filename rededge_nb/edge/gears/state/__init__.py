"""What Redis stores about gears: sessions, registrations, executions, leases, statistics."""
