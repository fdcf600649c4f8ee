"""What shows of a camera live, in a notebook as on a web page, share: reading what is new, and saying what is wrong."""
