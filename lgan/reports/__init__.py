"""The run's record on disk, and what is made of records: tables, figures, the report."""
