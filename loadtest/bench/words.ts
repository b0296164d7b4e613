import type { FanOutResult } from './fan-out.ts'

/** 1234567 → "1,235,000": figures are not more exact than that. */
export function count(value: number): string {
  const digits = Number(value.toPrecision(4))
  return digits.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

export function ms(value: number | undefined): string {
  return value === undefined || value < 0 ? 'no latency' : `${Number(value.toPrecision(3))} ms`
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`
}

export function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(2)} KB`
}

/** Deliveries a second, latency and CPU of one server, in one line. */
export function delivered(result: FanOutResult): string {
  const { subscribers, cpu } = result
  const missing = result.expected - subscribers.events
  const how = result.complete ? 'all' : missing > 0 ? `${count(missing)} not delivered` : 'with faults'
  return `${count(subscribers.eventsPerSecond)}/s${result.expected ? `, ${how}` : ''}, p99 ${ms(
    subscribers.latencyMs?.p99,
  )}, CPU ${percent(cpu[0] ?? Number.NaN)}`
}

export function p99(result: FanOutResult): number {
  return result.subscribers.latencyMs?.p99 ?? Number.POSITIVE_INFINITY
}
