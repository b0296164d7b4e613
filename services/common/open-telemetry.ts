import { hostname } from 'node:os'
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { OpenSpan, TracedEvent, Tracing, TracingSettings } from './tracing.ts'

const propagator = new W3CTraceContextPropagator()

/** Tracing by OpenTelemetry's own library. Names as in its semantic conventions for messaging. */
export class OpenTelemetryTracing implements Tracing {
  private readonly provider: TracerProvider
  private readonly tracer: Tracer

  constructor(service: string, settings: TracingSettings) {
    const url = `${settings.OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/$/, '')}/v1/traces`
    this.provider = new TracerProvider({
      resource: resourceFromAttributes({
        'service.name': `sse-cluster-${service}`,
        'service.instance.id': hostname(),
      }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(1 / settings.TRACE_ONE_IN) }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }), scheduledDelayMillis: 1_000 }),
      ],
    })
    this.tracer = this.provider.getTracer('sse-cluster')
  }

  publishing(parent: string | undefined): OpenSpan | undefined {
    const span = this.tracer.startSpan('publish', { kind: SpanKind.PRODUCER }, contextOf(parent))
    if (!span.isRecording()) return undefined
    const carrier: Record<string, string> = {}
    propagator.inject(trace.setSpan(ROOT_CONTEXT, span), carrier, {
      set: (to, name, value) => {
        to[name] = value
      },
    })
    return {
      traceparent: carrier.traceparent ?? '',
      end(event, error) {
        span.setAttributes(attributesOf(event))
        if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) })
        span.end()
      },
    }
  }

  delivered(traceparent: string, event: TracedEvent, readAtMs: number, flushedAtMs: number): void {
    const parent = contextOf(traceparent)
    // Without a parent this would begin a trace of its own.
    if (!trace.getSpanContext(parent)) return
    const options = { kind: SpanKind.CONSUMER, startTime: readAtMs, attributes: attributesOf(event) }
    this.tracer.startSpan('deliver', options, parent).end(flushedAtMs)
  }

  async stop(): Promise<void> {
    // A collector that does not answer must not hold up the end.
    await this.provider.shutdown().catch(() => undefined)
  }
}

function contextOf(traceparent: string | undefined): Context {
  if (traceparent === undefined) return ROOT_CONTEXT
  return propagator.extract(
    ROOT_CONTEXT,
    { traceparent },
    {
      keys: (carrier) => Object.keys(carrier),
      get: (carrier, name) => (name === 'traceparent' ? carrier.traceparent : undefined),
    },
  )
}

function attributesOf({ topic, id }: TracedEvent): Record<string, string> {
  return {
    'messaging.system': 'nats',
    'messaging.destination.name': topic,
    ...(id === undefined ? {} : { 'messaging.message.id': id }),
  }
}
