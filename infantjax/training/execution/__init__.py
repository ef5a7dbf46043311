"""How a stack of runs is laid out, compiled and run on devices and in processes."""
