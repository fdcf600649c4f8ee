"""Running models and scripts: sessions, queues, batches and DAGs."""
