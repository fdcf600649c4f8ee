"""Sends events to webhooks, MQTT brokers, and chat and mail services: `rededge notify`."""
