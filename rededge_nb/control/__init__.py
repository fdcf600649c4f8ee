"""Control: writes models, gears and series to the server."""
