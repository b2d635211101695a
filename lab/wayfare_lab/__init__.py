"""Two real Kubernetes sites on one Linux machine, and what can happen to them."""
