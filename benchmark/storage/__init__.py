"""Reading and writing of run folders."""
