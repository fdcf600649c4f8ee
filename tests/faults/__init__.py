"""What the real world does to RedEdge: processes that are killed, disks that fill, data that is damaged."""
