package sse

import (
	"math/bits"
	"strconv"
)

// histogram counts durations with a relative error below 1 %: 128 buckets for each power of two, in microseconds.
type histogram struct {
	counts [40 * subBuckets]uint64
	total  uint64
	max    int64
}

const (
	subBucketBits = 7
	subBuckets    = 1 << subBucketBits
)

// record takes nanoseconds. Clocks of two machines may differ by a little: less than nothing counts as nothing.
func (h *histogram) record(ns int64) {
	ns = max(0, ns)
	h.max = max(h.max, ns)
	h.counts[min(bucketOf(uint64(ns)/1000), len(h.counts)-1)]++
	h.total++
}

// merge adds what another one has counted.
func (h *histogram) merge(other *histogram) {
	if other.total == 0 {
		return
	}
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// take merges another one, and empties it.
func (h *histogram) take(other *histogram) {
	if other.total > 0 {
		h.merge(other)
		*other = histogram{}
	}
}

func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - subBucketBits - 1
	return shift<<subBucketBits + int(us>>shift)
}

// middleOf is in milliseconds.
func middleOf(bucket int) float64 {
	if bucket < 2*subBuckets {
		return (float64(bucket) + 0.5) / 1e3
	}
	shift := bucket>>subBucketBits - 1
	low := uint64(bucket-shift<<subBucketBits) << shift
	return (float64(low) + float64(uint64(1)<<shift)/2) / 1e3
}

// percentile is in milliseconds; 0 when nothing was recorded.
func (h *histogram) percentile(share float64) float64 {
	wanted, seen := share*float64(h.total), uint64(0)
	for bucket, count := range h.counts {
		seen += count
		if count > 0 && float64(seen) >= wanted {
			return min(middleOf(bucket), float64(h.max)/1e6)
		}
	}
	return float64(h.max) / 1e6
}

// buckets are the counts by milliseconds, without empty ones.
func (h *histogram) buckets() map[string]uint64 {
	found := map[string]uint64{}
	for bucket, count := range h.counts {
		if count > 0 {
			found[strconv.FormatFloat(middleOf(bucket), 'g', 6, 64)] = count
		}
	}
	return found
}

// sampler picks every k-th value in the order of size, so that what is picked has the percentiles of the whole.
// What is left at the end of one pick is carried over to the next.
type sampler struct {
	every uint64
	carry uint64
	limit uint64
}

// pick calls `each` with a value in milliseconds and how often it was picked. It returns false when there was more than
// the limit allows: then fewer are picked from now on, and percentiles over the whole run lean to its quieter part.
func (s *sampler) pick(h *histogram, each func(ms float64)) (within bool) {
	within = true
	for h.total/s.every > s.limit {
		s.every *= 2
		within = false
	}
	for bucket, count := range h.counts {
		if count == 0 {
			continue
		}
		value := min(middleOf(bucket), float64(h.max)/1e6)
		s.carry += count
		for ; s.carry >= s.every; s.carry -= s.every {
			each(value)
		}
	}
	return within
}
