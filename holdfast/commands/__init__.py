"""The commands, a file for each group of verbs: arguments, what is asked, what is printed."""
