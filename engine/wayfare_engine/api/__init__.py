"""The serving pod: `POST /v1/decisions` and what is around it."""
