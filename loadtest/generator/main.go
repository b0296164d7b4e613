// The load generator of sse-cluster. It talks to loopback addresses only.
//
//	generator subscribe   opens many event streams and checks every one of them, byte by byte
//	generator publish     publishes numbered, timed events at a set rate
//	generator limit       the least that a server can do: writes the same bytes to every socket
//
// Events carry "n":<number per topic, from 1> and "t":<nanoseconds since 1970> in their data. Each command prints one
// JSON line when it ends; what happens meanwhile is told on standard error, one word first.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

func main() {
	// Nothing is allocated per event, so collections are rare; one thread of Go code, since it is given one core.
	debug.SetGCPercent(400)
	runtime.GOMAXPROCS(1)
	raiseDescriptorLimit()
	commands := map[string]func([]string) (any, error){"subscribe": subscribe, "publish": publish, "limit": limit}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: generator subscribe|publish|limit [options]; -help lists them")
		os.Exit(2)
	}
	result, err := commands[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// loopback reads host:port. It refuses every address that is not loopback: this is no tool against other machines.
func loopback(address string) (*net.TCPAddr, error) {
	resolved, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address, and no other is allowed", address)
	}
	return resolved, nil
}

// cpuSeconds is what this process has used so far, in user and kernel mode.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
