package sse

import (
	"net"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.k6.io/k6/js/modulestest"
	"go.k6.io/k6/lib"
	"go.k6.io/k6/metrics"
)

// script runs JavaScript as a virtual user does, with `sse` and `url`, and returns the sums of the samples; of
// sse_connections the greatest value of each pattern.
func script(t *testing.T, url, code string) (map[string]float64, error) {
	t.Helper()
	runtime := modulestest.NewRuntime(t)
	registry := runtime.VU.InitEnvField.Registry
	instance := newModule().NewModuleInstance(runtime.VU)
	_ = runtime.VU.Runtime().Set("sse", instance.Exports().Default)
	_ = runtime.VU.Runtime().Set("url", url)
	samples := make(chan metrics.SampleContainer, 1000)
	runtime.MoveToVUContext(&lib.State{Dialer: &net.Dialer{}, Samples: samples, Logger: logrus.New(),
		Tags: lib.NewVUStateTags(registry.RootTagSet())})
	_, err := runtime.RunOnEventLoop("(async () => {" + code + "})()")
	sums := map[string]float64{}
	for _, container := range metrics.GetBufferedSamples(samples) {
		for _, s := range container.GetSamples() {
			sums[s.Metric.Name] += s.Value
			if pattern, _ := s.Tags.Get("pattern"); s.Metric.Name == "sse_connections" {
				key := s.Metric.Name + " " + pattern
				sums[key] = max(sums[key], s.Value)
			}
		}
	}
	return sums, err
}

func TestAScriptSeesEventsResultsAndMetrics(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(1, 2, 4); s.stay() })
	sums, err := script(t, s.URL, `
		const seen = []
		const swarm = sse.open({ url, topics: ['a'], onEvent: (event) => seen.push(event) })
		const { opened } = await swarm.opened()
		const { missing } = await swarm.complete({ counts: { a: 5 }, timeout: '300ms' })
		const result = swarm.close()
		const last = seen[seen.length - 1]
		const got = [opened, missing, result.lost, result.tailLost, result.events, seen.length, seen[0].type, last.id, last.data.slice(0, 12)].join(' ')
		if (got !== '1 1 2 1 3 4 $position e-4 {"topic":"a"') throw new Error(got)
	`)
	if err != nil {
		t.Fatal(err)
	}
	if sums["sse_lost"] != 2 || sums["sse_events"] != 3 || sums["sse_duplicated"] != 0 {
		t.Errorf("got %v", sums)
	}
}

func TestOpenStreamsAreCountedByPattern(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.stay() })
	sums, err := script(t, s.URL, `
		const swarms = []
		for (const [name, connections] of [['one', 2], ['two', 4], ['one', 3]]) {
			const swarm = sse.open({ url, topics: 'a', name, connections })
			await swarm.opened()
			swarm.stats()
			swarms.push(swarm)
		}
		const ends = await Promise.all(swarms.map((swarm) => swarm.present({ timeout: '10s' })))
		if (ends.some(({ away }) => away !== 0)) throw new Error(JSON.stringify(ends))
		for (const swarm of swarms) swarm.close()
	`)
	if err != nil {
		t.Fatal(err)
	}
	if one, two := sums["sse_connections one"], sums["sse_connections two"]; one != 5 || two != 4 {
		t.Errorf("%v and %v streams, want 5 and 4", one, two)
	}
}

func TestAWrongOptionIsNamed(t *testing.T) {
	for code, want := range map[string]string{
		`sse.open({ url, topics: 'a', conections: 5 })`:                    "there is no option 'conections'",
		`sse.open({ url, topics: 'a', connections: 0 })`:                   "connections is a number from 1",
		`sse.open({ url, topics: 'a', reconnect: 'sometimes' })`:           "reconnect.policy is",
		`sse.open({ topics: 'a' })`:                                        "url is missing",
		`sse.open({ url, topics: (i) => { throw new Error('no ' + i) } })`: "topics(0)",
		`sse.open({ url, topics: 'a', sourceAddresses: 'here' })`:          "'here' is not an address",
		`sse.open({ url, topics: 'a', headers: { A: 'b\nc' } })`:           "line break",
		`sse.publish({ url, topics: 'a.*' })`:                              "'a.*' is no topic to publish to",
		`sse.publish({ url, topics: 'a', data: { n: 1 } })`:                "publisher's own",
	} {
		_, err := script(t, "http://127.0.0.1:1", `try { `+code+` } catch (e) { if (String(e).includes(`+"`"+want+"`"+`)) return; throw e }
			throw new Error('nothing was thrown')`)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
