package main

import (
	"os"
	"runtime/debug"
)

// weight is counted by the collector and never touched, so it takes no memory. Beside it what 200 watchers' streams make
// and leave is little: the goal of the heap stays where it is, and pages are taken once instead of being given back in
// every pause to be taken again. Without it the process swings between 32 and 44 MiB. docs/decisions/0049.
var weight []byte

const (
	weightBytes = 64 << 20
	percent     = 25 // of weight and what lives, before it is collected
)

// steadyMemory leaves it to an operator who sets GOGC.
func steadyMemory() {
	if os.Getenv("GOGC") == "" {
		weight = make([]byte, weightBytes)
		debug.SetGCPercent(percent)
	}
}
