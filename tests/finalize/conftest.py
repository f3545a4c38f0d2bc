"""Fixtures that the tests of finalize share with those of export: an exported bundle."""

from tests.export.conftest import cpu, folder, one_thread, saved

__all__ = ["cpu", "folder", "one_thread", "saved"]
