"""The history of scans."""
