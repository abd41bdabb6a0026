"""The databases that tests run on: `selection.backend_of` has that of a data folder."""
