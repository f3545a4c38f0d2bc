"""What people see of a session: terminal, page, pictures."""
