"""What a misbehaving plugin costs decisions: windows of it between windows without."""
