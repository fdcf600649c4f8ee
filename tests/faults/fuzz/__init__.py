"""Nonsense of every kind, as much of it as one likes: `python -m tests.faults.fuzz --inputs 100000`.

Each kind is a function that takes a `World`, a number of inputs, and the tally to keep. What is generated depends on
the seed alone. A good answer is a reply, or an error of one line that names its cause; a process that dies, a wait
without end, a traceback, or an error inside a worker is a mishap.
"""
