"""Work items for people: what stands where, and what people and time do with them."""
