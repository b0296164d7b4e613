/** The k6 module in `loadtest/extension`: swarms of event streams, each checked for loss, duplicates and order. */
declare module 'k6/x/sse' {
  /** `'30s'`, `'1m30s'`, or milliseconds. */
  export type Duration = string | number

  export interface ReconnectOptions {
    /**
     * `browser` (default): after any end and every failed connection, but never after an answer that is no event
     * stream. `always`: after refusals too. `none`: never.
     */
    policy?: 'browser' | 'always' | 'none'
    /** Wait until the server's `retry:` says otherwise; 3 s unless told. */
    retry?: Duration
    /** What the wait grows to while nobody answers; 60 s unless told. */
    maxBackoff?: Duration
    /** Share (0 to 1) by which each wait is varied; 0 as in browsers. */
    jitter?: number
    /** Attempts in a row without an answer after which a client gives up; 0 (default): never. */
    attempts?: number
  }

  export interface TlsOptions {
    insecureSkipVerify?: boolean
    serverName?: string
    /** PEM of authorities, and of a client's certificate with its key. */
    ca?: string
    cert?: string
    key?: string
  }

  export interface SwarmOptions {
    /** One URL, or several that the clients take in turn; without a path it is `/v1/events`. */
    url: string | string[]
    /** Topics of every client, or of client `i`. Patterns are allowed. */
    topics: string | string[] | ((i: number) => string | string[])
    /** Clients; 1 unless told. */
    connections?: number
    /** Clients opened per second; 0 (default): as fast as `opening` allows. */
    rampPerSecond?: number
    /** Most clients without a first answer at a time; 500 unless told. */
    opening?: number
    /** For connecting, until the head of the answer; 30 s unless told. */
    timeout?: Duration
    /** A token for all, or for client `i`; or `tokens`, which the clients take in turn. */
    token?: string | ((i: number) => string)
    tokens?: string[]
    /** `header` (default) as a bearer token, `cookie` as `sse_token`, `query` as `access_token`. */
    tokenIn?: 'header' | 'cookie' | 'query'
    headers?: Record<string, string>
    cookies?: Record<string, string>
    /** Where all begin: an event id, or `since` of the contract (`all`, `10m`, a time). */
    lastEventId?: string
    since?: string
    reconnect?: ReconnectOptions['policy'] | ReconnectOptions
    /** Addresses or ranges (`127.0.0.2-127.0.0.9`) that the clients connect from in turn: some 28,000 ports each. */
    sourceAddresses?: string | string[]
    tls?: TlsOptions
    /** Streams of one HTTP/2 connection; 100 unless told. */
    http2?: boolean
    streamsPerConnection?: number
    /** A share (1 unless told) of the clients reads so many bytes a second; 0: nothing after the first block. */
    slow?: { share?: number; bytesPerSecond?: number }
    /**
     * Every k-th latency, in the order of size, is a sample of `sse_latency`; k unless told: connections / 50.
     * `result.latencyMs` counts them all.
     */
    sampleEvery?: number
    /** Tag `pattern` of the metrics; unless told the topics, or `various`. */
    name?: string
    /** More tags; at most 8. */
    tags?: Record<string, string>
    /** Called for every event, control events too, on this virtual user's event loop. For small tests. */
    onEvent?: (event: SseEvent) => void
  }

  export interface SseEvent {
    id: string
    /** Empty for events without a type. */
    type: string
    data: string
    /** Index of the client. */
    connection: number
    /** Milliseconds since 1970. */
    receivedAt: number
  }

  export interface Percentiles {
    count: number
    p50: number
    p90: number
    p99: number
    p999: number
    max: number
    /** How many there were of each duration, in milliseconds to 1 %. */
    buckets: Record<string, number>
  }

  export interface SwarmResult {
    name: string
    connections: number
    /**
     * Streams open now (before closing), and clients served at least once. A stream counts from its first block; one
     * that says nothing counts when it has stayed open for 3 s.
     */
    open: number
    opened: number
    seconds: number
    events: number
    bytes: number
    /** Numbers of a topic that were skipped and have not come since, with those that `complete` waited for in vain. */
    lost: number
    tailLost: number
    duplicated: number
    outOfOrder: number
    /** `$gap` events by reason, and the events that they stand for. */
    gaps: Record<string, number>
    gapEvents: number
    reconnects: number
    /** Connections that came back with a position: those that went on from there, and those that did not. */
    resumed: number
    notResumed: number
    /** Answers that were no event stream; attempts that got no answer; by reason in `connectErrors`. */
    refused: number
    failed: number
    connectErrors: Record<string, number>
    /** Streams that ended before their first block: “come back later”, told so that a browser does. */
    turnedAway: number
    closed: number
    closing: number
    /** Events of topics beyond the 10,000 that a client remembers. */
    unverified: number
    connectMs: Percentiles
    firstBlockMs: Percentiles
    latencyMs: Percentiles
  }

  export interface Swarm {
    /** Resolves when every client was served or has given up, or after the timeout (none unless told). */
    opened(options?: {
      timeout?: Duration
    }): Promise<{ open: number; opened: number; failed: number; seconds: number }>
    sleep(duration: Duration): Promise<void>
    /**
     * Resolves when every client has everything that this process has published since it listens. With `counts`, the
     * last number of each topic that others publish, every client of the topic must get at least that one. What has not
     * come at the timeout (30 s unless told) counts as lost. From now on slow readers read like the others.
     */
    complete(options?: {
      timeout?: Duration
      counts?: Record<string, number>
    }): Promise<{ missing: number; seconds: number }>
    /**
     * Resolves when every client was seen with an open stream, not all at the same time: some are on their way from one
     * connection to the next at any moment. `away` were not within the timeout (30 s unless told).
     */
    present(options?: { timeout?: Duration }): Promise<{ away: number; seconds: number }>
    /** So far; and since the last call of `window`. */
    stats(): SwarmResult
    window(): SwarmResult
    /**
     * Ends a share (all unless told) of the open connections as a lost network does, and returns how many. The clients
     * come back within that time, spread evenly; unless told as their policy says.
     */
    cut(options?: { share?: number; comeBackWithin?: Duration }): number
    /** Ends all connections. An iteration goes on until its swarms are closed. */
    close(): SwarmResult
  }

  export interface PublishOptions {
    /** Without a path it is `/v1/events`. */
    url: string
    /** Taken in turn. A topic must have one publisher at a time. */
    topics: string | string[]
    /** Events per second over all topics, 10 unless told; 0: as fast as they are stored. */
    rate?: number
    /** End after so many events, or so long; `stop` ends it too. */
    count?: number
    duration?: Duration
    type?: string
    /** Members of each event's data beside `n` (number in its topic) and `t` (nanoseconds); or so many bytes of padding, 100 unless told. */
    data?: Record<string, unknown>
    size?: number
    token?: string
    headers?: Record<string, string>
    /** Requests at a time, 1 unless told; a topic belongs to one of them. */
    workers?: number
    /** Most events per request, 100 unless told; several go as a batch that is stored as a whole. */
    lines?: number
    /** For one request; then it is tried again with the same ids. 10 s unless told. */
    timeout?: Duration
    tags?: Record<string, string>
  }

  export interface PublishResult {
    stored: number
    retries: number
    seconds: number
    durationMs: Percentiles
    /** The last number stored of each topic. */
    counts: Record<string, number>
  }

  export interface Publisher {
    /** Resolves at the end; rejects when publishing is refused. */
    done(): Promise<PublishResult>
    stop(): Promise<PublishResult>
  }

  /** A second of the run, over all swarms and publishers of the process. */
  export interface TimelinePoint {
    second: number
    open: number
    eventsPerSecond: number
    publishedPerSecond: number
    reconnects: number
    lost: number
    duplicated: number
    outOfOrder: number
    p50: number
    p99: number
  }

  export interface SseModule {
    open(options: SwarmOptions): Swarm
    publish(options: PublishOptions): Publisher
    sleep(duration: Duration): Promise<void>
    /** The last number stored of each topic, by this process. */
    published(): Record<string, number>
    /** For `handleSummary`: the run second by second, and the results of all swarms that were closed. */
    timeline(): TimelinePoint[]
    results(): SwarmResult[]
    /** Differs from run to run and between the processes of a run: make it part of the topics. */
    runId: string
  }

  const sse: SseModule
  export default sse
}
