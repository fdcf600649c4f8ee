"""Running models and scripts: what is loaded, the queues of the devices, batches and DAGs."""
