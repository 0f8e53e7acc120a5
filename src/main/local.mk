# main: the program (wired once the API is in).
