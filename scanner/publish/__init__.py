"""Sinks: where results go besides the report. One file holds one sink; each loads its library only when used."""
