import CFuzzer
import Glibc

exit(runFuzzer())
