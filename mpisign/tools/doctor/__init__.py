"""`mpisign doctor`: is this machine set up for ranks, and this folder for results? Each check is done, not guessed."""
