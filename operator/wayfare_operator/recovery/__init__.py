"""Recovery: plans, runs and approvals brought to what the store and the cluster say of them."""
