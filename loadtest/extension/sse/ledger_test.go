package sse

import "testing"

func TestTheLedgerTellsLossFromDuplicateFromDisorder(t *testing.T) {
	for _, c := range []struct {
		name    string
		floor   int64
		numbers []int64
		count   int64
		want    faults
		behind  int64
	}{
		{"all in order", -1, []int64{5, 6, 7}, 7, faults{}, 0},
		{"one is missing", -1, []int64{5, 7, 8}, 8, faults{lost: 1}, 0},
		{"one comes again", -1, []int64{5, 6, 6, 5}, 6, faults{duplicated: 2}, 0},
		{"two change places", -1, []int64{1, 3, 2, 4}, 4, faults{outOfOrder: 1}, 0},
		{"the tail is missing", -1, []int64{1, 2}, 5, faults{}, 3},
		{"the first ones are missing", 10, []int64{13}, 13, faults{lost: 2}, 0},
		{"one that was on its way at the beginning is no fault", 10, []int64{9, 10, 11}, 11, faults{}, 0},
		{"nothing came", 10, nil, 12, faults{}, 2},
		{"nothing came and nothing is known", -1, nil, 12, faults{}, 0},
	} {
		l, f := newLedger("a", c.floor), faults{}
		for _, n := range c.numbers {
			l.take(n, &f)
		}
		if f != c.want || l.behind(c.count) != c.behind {
			t.Errorf("%s: got %+v and %d behind", c.name, f, l.behind(c.count))
		}
	}
}

func TestWhatAGapHasAnnouncedIsNotLost(t *testing.T) {
	l, f := newLedger("a", -1), faults{}
	l.take(1, &f)
	l.excuse()
	l.take(5, &f)
	l.take(7, &f)
	if (f != faults{announced: 3, lost: 1}) {
		t.Errorf("got %+v", f)
	}
}

func TestSamplesKeepThePercentiles(t *testing.T) {
	whole, picked := &histogram{}, &histogram{}
	s := sampler{every: 10, limit: 1_000_000}
	for second := range 100 {
		window := &histogram{}
		for i := range 37 * (second%7 + 1) {
			window.record(int64((i*7919+second*104729)%100_000) * 1000)
		}
		s.pick(window, func(ms float64) { picked.record(int64(ms * 1e6)) })
		whole.merge(window)
	}
	if got, want := picked.total, whole.total/10; got != want {
		t.Errorf("%d samples of %d", got, whole.total)
	}
	for _, share := range []float64{0.1, 0.5, 0.9, 0.99} {
		got, want := picked.percentile(share), whole.percentile(share)
		if got < want*0.97 || got > want*1.03 {
			t.Errorf("p%v: %v instead of %v", share*100, got, want)
		}
	}
}
