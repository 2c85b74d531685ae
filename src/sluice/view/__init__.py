"""What people see of a run: the report page and contact sheets, made without a server or a network."""
