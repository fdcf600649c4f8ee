"""RedisGears 1.2 in Python: builder, readers, operations, registrations, executions and the RG.* commands."""
