"""The report, the slides and the front page: tables, numbers and figures from what runs left behind, and their PDFs."""
