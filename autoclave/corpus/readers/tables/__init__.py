"""Readers of Arrow tables: Parquet and Arrow files, whatever their columns hold."""
