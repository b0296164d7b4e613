package main

import "math/bits"

// histogram counts durations with a relative error below 1 %: 128 buckets for each power of two, in microseconds.
type histogram struct {
	counts [64 * subBuckets]uint64
	total  uint64
	max    int64
}

const (
	subBucketBits = 7
	subBuckets    = 1 << subBucketBits
)

// record takes nanoseconds. Clocks of two cores may differ by a little: less than nothing counts as nothing.
func (h *histogram) record(ns int64) {
	if ns < 0 {
		ns = 0
	}
	if ns > h.max {
		h.max = ns
	}
	h.counts[bucketOf(uint64(ns)/1000)]++
	h.total++
}

func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - subBucketBits - 1
	return shift<<subBucketBits + int(us>>shift)
}

func middleOf(bucket int) float64 {
	if bucket < 2*subBuckets {
		return float64(bucket) + 0.5
	}
	shift := bucket>>subBucketBits - 1
	low := uint64(bucket-shift<<subBucketBits) << shift
	return float64(low) + float64(uint64(1)<<shift)/2
}

// percentile returns milliseconds; -1 when nothing was recorded.
func (h *histogram) percentile(share float64) float64 {
	if h.total == 0 {
		return -1
	}
	wanted, seen := share*float64(h.total), uint64(0)
	for bucket, count := range h.counts {
		seen += count
		if count > 0 && float64(seen) >= wanted {
			return min(middleOf(bucket)/1e3, float64(h.max)/1e6)
		}
	}
	return float64(h.max) / 1e6
}

type percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// summary is in milliseconds; nil when nothing was recorded.
func (h *histogram) summary() *percentiles {
	if h.total == 0 {
		return nil
	}
	at := func(share float64) float64 { return round(h.percentile(share), 3) }
	return &percentiles{at(0.5), at(0.9), at(0.99), at(0.999), round(float64(h.max)/1e6, 3)}
}

func round(value float64, digits int) float64 {
	scale := 1.0
	for range digits {
		scale *= 10
	}
	if value < 0 {
		return float64(int64(value*scale-0.5)) / scale
	}
	return float64(int64(value*scale+0.5)) / scale
}
