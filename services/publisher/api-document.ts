import { Type } from 'typebox'
import { problemType } from '../common/problem.ts'
import { eventTypeExpression, gapReasons, messageIdExpression } from '../contract/event.ts'
import { maxTopicBytes } from '../contract/topic.ts'

/** What OpenAPI says of the HTTP interface; the values are checked by the event reader. */

const topic = Type.String({
  maxLength: maxTopicBytes,
  pattern: '^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+){0,15}$',
  description: 'Where the event belongs: 1 to 16 tokens joined by dots.',
  examples: ['orders.42'],
})

const event = Type.Object(
  {
    topic,
    type: Type.Optional(
      Type.String({
        pattern: eventTypeExpression.source,
        description: 'The `event:` of the stream. Types that start with $ belong to the gateway.',
        examples: ['order.shipped'],
      }),
    ),
    data: Type.Unknown({
      description: 'Any JSON, null too. It reaches subscribers untouched.',
      examples: [{ carrier: 'DHL' }],
    }),
    id: Type.Optional(
      Type.String({
        pattern: messageIdExpression.source,
        description:
          'Makes a repeated publish harmless: the same id within the dedupe window is stored once.',
      }),
    ),
  },
  { additionalProperties: false, title: 'Event' },
)

const stored = Type.Object(
  {
    id: Type.String({
      description: '`<epoch>-<sequence>`: the event’s id in the stream, a position.',
      examples: ['7f3a9c-10482'],
    }),
    duplicate: Type.Boolean({
      description: 'True when the same id was stored before; then `id` is that event’s.',
    }),
  },
  { title: 'Stored' },
)

const problem = Type.Object(
  {
    type: Type.String({ examples: ['urn:sse-cluster:problem:bad-event'] }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong and what to do.' }),
    pointer: Type.Optional(Type.String({ description: 'JSON pointer to the fault in the event.' })),
    line: Type.Optional(Type.Integer({ description: 'Line of the fault in the body, from 1.' })),
    column: Type.Optional(Type.Integer({ description: 'Column of the fault in the line, from 1.' })),
    request: Type.Optional(Type.String({ description: 'The request’s id in the logs.' })),
  },
  { additionalProperties: true, title: 'Problem', description: 'RFC 9457' },
)

const refusal = (description: string) => ({
  description,
  content: { [problemType]: { schema: problem } },
})

const refusals = {
  401: refusal('No token, or one that is not valid or has expired.'),
  403: refusal('The token does not grant a topic, or a cookie came from a foreign page.'),
  429: refusal('Too many requests; see Retry-After.'),
  431: refusal('Address and headers are too large.'),
  503: refusal('Not possible right now, such as when the log does not acknowledge; see Retry-After.'),
}

export const publishSchema = {
  operationId: 'publish',
  summary: 'Publish events',
  description:
    'One event as JSON, or one a line as NDJSON. The answer comes after the log has acknowledged. ' +
    'With NDJSON each event stands for itself and gets a line of its own in the answer: `{"id","duplicate"}` or ' +
    '`{"error"}` with a problem document. Blank lines are skipped. With `atomic=true` all events are stored or none.',
  tags: ['events'],
  security: [{ bearer: [] }, { cookie: [] }, { query: [] }],
  querystring: Type.Object({
    atomic: Type.Optional(
      Type.Boolean({ description: 'All events of an NDJSON body or none; 1000 at most.' }),
    ),
    access_token: Type.Optional(Type.String({ description: 'Token; prefer the Authorization header.' })),
  }),
  headers: Type.Object({
    'idempotency-key': Type.Optional(Type.String({ description: 'The same as `id`, for one event.' })),
  }),
  body: {
    content: {
      'application/json': { schema: event },
      'application/x-ndjson': {
        schema: Type.String({
          description: 'One event a line.',
          examples: ['{"topic":"news.tech","data":1}\n{"topic":"news.tech","data":2}\n'],
        }),
      },
    },
  },
  response: {
    200: {
      description: 'A result a line for an NDJSON body, in the order of the events.',
      content: { 'application/x-ndjson': { schema: Type.String() } },
    },
    201: { description: 'Stored.', content: { 'application/json': { schema: stored } } },
    400: refusal('The body can’t be read; broken JSON is named with its line and column.'),
    408: refusal('The request took too long to arrive.'),
    413: refusal('The event or the body is too large.'),
    415: refusal('Neither application/json nor application/x-ndjson.'),
    422: refusal('The event is not valid; the place of the fault is named.'),
    501: refusal('The NATS server can’t store a batch atomically.'),
    ...refusals,
  },
}

/** The other half of `/v1/events`, which gateways serve behind the same address. */
export const subscribeOperation = {
  operationId: 'subscribe',
  summary: 'Subscribe to topics',
  description:
    'A stream of server-sent events. Each event has an `id`, a position to resume from; `event` is the ' +
    'publisher’s type; `data` is one JSON object `{"topic","time","data"}`. Types that start with $ come from ' +
    'the gateway: `$position` (heartbeat, its id is the current position), `$gap` ' +
    `(\`{"requested","resumedAt","reason"}\`, reason one of ${gapReasons.join(', ')}), \`$live\`, \`$closing\`. ` +
    'Passing conditions (503, 429) are answered with 200, a jittered `retry:` and the end of the stream, since a ' +
    'browser’s EventSource gives up for ever on anything else.',
  tags: ['events'],
  security: [{ bearer: [] }, { cookie: [] }, { query: [] }],
  parameters: [
    {
      name: 'topic',
      in: 'query',
      required: true,
      description: 'Topic, with the wildcards * (one token) and > (the rest). Repeat it for more.',
      schema: { type: 'array', items: { type: 'string' }, maxItems: 64 },
      explode: true,
      example: ['news.>'],
    },
    {
      name: 'Last-Event-ID',
      in: 'header',
      description: 'Resume after this event id.',
      schema: { type: 'string' },
    },
    {
      name: 'last-event-id',
      in: 'query',
      description: 'The same, for clients that can’t send headers; the header counts first.',
      schema: { type: 'string' },
    },
    {
      name: 'since',
      in: 'query',
      description:
        'Without an event id: `all`, a duration such as `10m`, or an RFC 3339 time. Else only new events.',
      schema: { type: 'string' },
    },
    { name: 'access_token', in: 'query', description: 'Token.', schema: { type: 'string' } },
  ],
  responses: {
    200: {
      description: 'The stream.',
      content: {
        'text/event-stream': {
          schema: { type: 'string' },
          example:
            'id: 7f3a9c-10482\nevent: order.shipped\n' +
            'data: {"topic":"orders.42","time":"2026-11-22T09:30:00.123Z","data":{"carrier":"DHL"}}\n\n',
        },
      },
    },
    400: refusal('A topic or the position can’t be read, or there are too many topics.'),
    406: refusal('Only text/event-stream is served.'),
    ...refusals,
  },
}

export const apiDocument = {
  openapi: '3.1.0',
  info: {
    title: 'sse-cluster',
    version: '1',
    description: 'Publish events to topics and subscribe to them over server-sent events.',
  },
  components: {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      cookie: { type: 'apiKey', in: 'cookie', name: 'sse_token' },
      query: { type: 'apiKey', in: 'query', name: 'access_token' },
    },
  },
} as const
