"""The result of a sweep for readers: plots, and a report as an HTML page, a Word file or a PDF."""
