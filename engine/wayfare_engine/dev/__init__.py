"""`wayfare dev`: the compiler and the engine as one process, with embedded stores."""
