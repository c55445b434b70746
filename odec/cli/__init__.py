"""The command line: one file a command, which reads arguments, calls the library and prints. No logic lives here.

Numbers go to stdout or into files, messages and progress to stderr. Exit codes: 0 done, 1 the model, the data or the
fit is wrong, 2 the command is wrong, 130 interrupted. A command module imports only click and what is as cheap; the
library is imported where it is called, so that `odec --help` and `odec compile` stay quick.
"""
