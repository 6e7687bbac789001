"""What people see: tables for the terminal, the report."""
