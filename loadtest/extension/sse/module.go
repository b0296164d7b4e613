// Package sse is the k6 module `k6/x/sse`: swarms of event streams, each checked for loss, duplicates and order.
package sse

import (
	"context"
	"net"
	"net/http"
	"syscall"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"
	"go.k6.io/k6/js/modules"
	"go.k6.io/k6/js/promises"
	"go.k6.io/k6/lib"
	"go.k6.io/k6/lib/netext"
	"go.k6.io/k6/lib/types"
)

func init() { modules.Register("k6/x/sse", newModule()) }

// module is what all virtual users of the process share.
type module struct {
	published *published
	timeline  timeline
	open      openStreams
	runID     string
	results   results
}

func newModule() *module { return &module{published: newPublished(), runID: runPrefix()} }

// NewModuleInstance is called once per virtual user.
func (m *module) NewModuleInstance(vu modules.VU) modules.Instance {
	return &instance{module: m, vu: vu, instruments: newInstruments(vu.InitEnv().Registry)}
}

type instance struct {
	module      *module
	vu          modules.VU
	instruments *instruments
}

// Exports is what a script imports.
func (i *instance) Exports() modules.Exports {
	named := map[string]any{
		"open": i.open, "publish": i.publish, "sleep": i.sleep, "published": i.counts,
		"timeline": i.module.timeline.rows, "results": i.module.results.list, "runId": i.module.runID,
	}
	object := i.vu.Runtime().NewObject()
	for name, value := range named {
		must(i.vu.Runtime(), object.Set(name, value))
	}
	return modules.Exports{Default: object, Named: named}
}

func must(runtime *sobek.Runtime, err error) {
	if err != nil {
		common.Throw(runtime, err)
	}
}

func (i *instance) state(function string) *lib.State {
	state := i.vu.State()
	if state == nil {
		common.Throw(i.vu.Runtime(), common.NewInitContextError(function+" is for the test's functions, not for the init context"))
	}
	return state
}

func (i *instance) open(value sobek.Value) *sobek.Object {
	state, runtime := i.state("sse.open"), i.vu.Runtime()
	options, err := readSwarmOptions(runtime, value, state.TLSConfig)
	must(runtime, err)
	return newSwarmObject(i, state, options)
}

func (i *instance) publish(value sobek.Value) *sobek.Object {
	state, runtime := i.state("sse.publish"), i.vu.Runtime()
	options, tags, err := readPublisherOptions(runtime, value)
	must(runtime, err)
	return newPublisherObject(i, state, options, tags)
}

// sleep waits without stopping callbacks, as k6's own does.
func (i *instance) sleep(value sobek.Value) *sobek.Promise {
	i.state("sse.sleep")
	wait, err := types.GetDurationValue(value.Export())
	must(i.vu.Runtime(), err)
	promise, resolve, _ := promises.New(i.vu)
	ctx := i.vu.Context()
	go func() {
		sleep(ctx, wait)
		resolve(nil)
	}()
	return promise
}

func (i *instance) counts() map[string]int64 { return i.module.published.counts() }

// dialer is k6's own, with its rules for hosts and addresses, but without its counting of each read.
func dialer(state *lib.State) dialFunc {
	return func(ctx context.Context, local net.IP, control controlFunc, address string) (net.Conn, error) {
		own, ok := state.Dialer.(*netext.Dialer)
		if !ok {
			return state.Dialer.DialContext(ctx, "tcp", address)
		}
		one := netext.Dialer{Dialer: own.Dialer, Resolver: own.Resolver, Blacklist: own.Blacklist,
			BlockedHostnames: own.BlockedHostnames, Hosts: own.Hosts}
		if local != nil {
			one.LocalAddr = &net.TCPAddr{IP: local}
		}
		if control != nil {
			before := own.Control
			one.Control = func(network, address string, raw syscall.RawConn) error {
				if before != nil {
					if err := before(network, address, raw); err != nil {
						return err
					}
				}
				return control(network, address, raw)
			}
		}
		conn, err := one.DialContext(ctx, "tcp", address)
		if counted, ok := conn.(*netext.Conn); ok {
			conn = counted.Conn
		}
		return conn, err
	}
}

// httpClient is for publishing: k6's dialer and TLS settings, and a connection per worker.
func httpClient(state *lib.State, workers int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: state.Dialer.DialContext, TLSClientConfig: state.TLSConfig,
		MaxIdleConnsPerHost: workers, MaxIdleConns: workers, ForceAttemptHTTP2: false,
	}}
}
