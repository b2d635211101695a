"""What the serving pod's and the worker's HTTP have in common: problems, bodies, the server."""
