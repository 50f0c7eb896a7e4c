# Runs one test file of SQLite's own test suite and counts its crash runs: each is one start of the
# test program on a file system that loses what was not synced (crashsql in its tester.tcl).
#
#   testfixture sqlite_crash_runs.tcl .../test/crash3.test
set ::crash_runs 0
rename exec exec_real
proc exec {args} {
  incr ::crash_runs
  uplevel 1 [list exec_real {*}$args]
}
rename exit exit_real
proc exit {args} {
  puts "crash_runs $::crash_runs"
  exit_real {*}$args
}
set file [lindex $argv 0]
set argv [lrange $argv 1 end]
set argv0 $file
source $file
