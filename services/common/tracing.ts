import { text, whole } from './settings.ts'

/** Settings of tracing, which is off unless somebody listens. */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: text(
    '',
    'OpenTelemetry collector that gets traces (OTLP over HTTP, JSON), such as http://collector:4318; empty: no traces.',
  ),
  TRACE_ONE_IN: whole(
    1_000,
    1,
    1_000_000_000,
    'Of so many publishes one is traced; and each whose request carries a sampled `traceparent` (W3C Trace Context).',
  ),
}

export interface TracingSettings {
  OTEL_EXPORTER_OTLP_ENDPOINT: string
  TRACE_ONE_IN: number
}

/** What a span says of its event. */
export interface TracedEvent {
  topic: string
  /** The event id, once there is one: by it one event's life can be found. */
  id?: string | undefined
}

/** A span that has begun. */
export interface OpenSpan {
  /** For whoever works on it next (W3C Trace Context). */
  traceparent: string
  end(event: TracedEvent, error?: unknown): void
}

/** Follows sampled events from the publish to the flush. Times are milliseconds since 1970. */
export interface Tracing {
  /** Begins the span of a publish; undefined when it is not sampled. */
  publishing(parent: string | undefined): OpenSpan | undefined
  /** Tells of an event that was read from the log and written to all live streams of a pod. */
  delivered(traceparent: string, event: TracedEvent, readAtMs: number, flushedAtMs: number): void
  /** Sends what is left. */
  stop(): Promise<void>
}

/** Undefined when tracing is off: then none of its code is even loaded. */
export async function startTracing(service: string, settings: TracingSettings): Promise<Tracing | undefined> {
  if (settings.OTEL_EXPORTER_OTLP_ENDPOINT === '') return undefined
  const { OpenTelemetryTracing } = await import('./open-telemetry.ts')
  return new OpenTelemetryTracing(service, settings)
}
