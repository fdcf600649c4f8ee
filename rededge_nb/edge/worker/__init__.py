"""The worker: answers AI.* and RG.* calls and runs gears."""
