"""The worker's sends: from the plan's channels to a running `outbox.SendWorker`, and its report."""
