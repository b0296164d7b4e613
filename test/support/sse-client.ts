import http, { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { createParser } from 'eventsource-parser'
import { parseEventId } from '../../services/contract/event-id.ts'
import { waitUntil } from './wait.ts'

export interface SseOptions {
  topics: string[]
  lastEventId?: string
  /** More query parameters, such as `since`. */
  query?: Record<string, string>
  headers?: Record<string, string>
}

export interface Received {
  id: string
  epoch: string
  sequence: number
  /** The event's type; undefined for none. */
  type: string | undefined
  topic: string
  time: string
  data: unknown
  /** The publisher's mark for payloads that are not text. */
  encoding: string | undefined
}

export interface Control {
  type: string
  id: string | undefined
  data: Record<string, unknown>
  /** How many events had come before it. */
  after: number
}

/**
 * A raw client of one logical subscription that trusts nothing: it records all that comes, on all its connections,
 * and every breach of the order of ids in `faults`. Parsing is an independent library's.
 */
export class SseClient {
  readonly events: Received[] = []
  readonly controls: Control[] = []
  /** Breaches of what every stream promises; empty when all is well. */
  readonly faults: string[] = []
  /** Body of the present connection, as it came. */
  bytes: Buffer[] = []
  status: number | undefined
  headers: IncomingHttpHeaders = {}
  retryMs: number | undefined
  lastEventId: string | undefined
  /** True between the response's head and the end of its body. */
  open = false
  connects = 0
  private options: SseOptions
  private request: ClientRequest | undefined
  private response: IncomingMessage | undefined
  private paused = false
  private epochChangeAllowed = true

  private constructor(options: SseOptions) {
    this.options = options
    this.lastEventId = options.lastEventId
  }

  /** Connects and returns when the response's head has come. @throws when the connection fails before. */
  static async connect(url: string, options: SseOptions): Promise<SseClient> {
    const client = new SseClient(options)
    await client.connect(url)
    return client
  }

  /** Connects (again), with the last id seen. */
  async connect(url: string): Promise<void> {
    this.close()
    const query = new URLSearchParams(this.options.topics.map((topic) => ['topic', topic]))
    // Where to begin is a wish for the first connection only.
    if (this.connects === 0)
      for (const [name, value] of Object.entries(this.options.query ?? {})) query.set(name, value)
    const headers: Record<string, string> = { accept: 'text/event-stream', ...this.options.headers }
    if (this.lastEventId) headers['last-event-id'] = this.lastEventId
    this.bytes = []
    this.connects++
    const request = http.get(`${url}/v1/events?${query}`, { headers, agent: false })
    this.request = request
    await new Promise<void>((resolve, reject) => {
      request.on('response', (response) => {
        this.take(response)
        resolve()
      })
      request.on('error', (error) => {
        this.open = false
        reject(error)
      })
    })
  }

  /**
   * Comes back whenever the stream ends, as a browser would, to the address that `where` gives then. Returns a
   * function that ends this.
   */
  follow(where: () => string): () => void {
    let stopped = false
    const run = async () => {
      while (!stopped) {
        if (!this.open) await this.connect(where()).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    void run()
    return () => {
      stopped = true
    }
  }

  /** Stops reading: what comes fills the kernel's buffers, and then the sender must wait. */
  pause(): void {
    this.paused = true
    this.response?.pause()
  }

  /** Reads on. */
  unpause(): void {
    this.paused = false
    this.response?.resume()
  }

  close(): void {
    this.request?.destroy()
    this.request = undefined
    this.open = false
  }

  get body(): string {
    return Buffer.concat(this.bytes).toString()
  }

  get sequences(): number[] {
    return this.events.map((event) => event.sequence)
  }

  /** `n` of each payload, as `publish.ts` numbers them. */
  get numbers(): number[] {
    return this.events.map((event) => (event.data as { n: number }).n)
  }

  control(type: string): Control | undefined {
    return this.controls.find((control) => control.type === type)
  }

  async untilControl(type: string, count = 1, timeoutMs?: number): Promise<Control> {
    const found = () => this.controls.filter((control) => control.type === type)[count - 1]
    return await this.wait(found, `${count} ${type}`, timeoutMs)
  }

  /** The position that the stream begins from. */
  async untilFirstBlock(): Promise<Control> {
    return await this.untilControl('$position')
  }

  async untilLive(timeoutMs?: number): Promise<Control> {
    return await this.untilControl('$live', 1, timeoutMs)
  }

  async untilCount(count: number, timeoutMs?: number): Promise<void> {
    await this.wait(() => this.events.length >= count, `${count} events`, timeoutMs)
  }

  async untilEvent(matches: (event: Received) => boolean, timeoutMs?: number): Promise<Received> {
    return await this.wait(() => this.events.find(matches), 'an event', timeoutMs)
  }

  async untilClosed(timeoutMs?: number): Promise<void> {
    await this.wait(() => !this.open, 'the end of the stream', timeoutMs)
  }

  /** Waits, and when that is in vain says what the client had got by then. */
  private async wait<T>(probe: () => T, what: string, timeoutMs = 15_000): Promise<NonNullable<T>> {
    try {
      return await waitUntil(probe, { what, timeoutMs })
    } catch (error) {
      const controls = this.controls.map(({ type }) => type).join(' ')
      throw new Error(
        `${String(error)}: status ${this.status}, ${this.open ? 'open' : 'ended'}, ${this.events.length} events, last id ${this.lastEventId}, ${controls}`,
      )
    }
  }

  private take(response: IncomingMessage): void {
    this.response = response
    this.status = response.statusCode
    this.headers = response.headers
    this.open = true
    const connection = this.connects
    const parser = createParser({
      onEvent: (message) => this.receive(message.id, message.event, message.data),
      onRetry: (retryMs) => {
        this.retryMs = retryMs
      },
      onError: (error) => this.faults.push(`the parser says: ${error.message}`),
    })
    const decoder = new TextDecoder('utf-8', { fatal: true })
    response.on('data', (chunk: Buffer) => {
      if (connection !== this.connects || !this.open) return
      this.bytes.push(chunk)
      if (response.headers['content-type'] === 'text/event-stream')
        parser.feed(decoder.decode(chunk, { stream: true }))
    })
    const end = () => {
      if (connection === this.connects) this.open = false
    }
    response.on('end', end).on('close', end).on('error', end)
    if (this.paused) response.pause()
  }

  private receive(idText: string | undefined, type: string | undefined, data: string): void {
    const control = type?.startsWith('$') === true
    if (control && type === '$gap') this.epochChangeAllowed = true
    this.checkOrder(idText, control)
    if (idText) this.lastEventId = idText
    const parsed = JSON.parse(data) as Record<string, unknown>
    if (control) {
      this.controls.push({ type, id: idText, data: parsed, after: this.events.length })
      return
    }
    const id = parseEventId(idText ?? '')
    this.events.push({
      id: idText ?? '',
      epoch: id?.epoch ?? '',
      sequence: id?.sequence ?? Number.NaN,
      type,
      topic: parsed.topic as string,
      time: parsed.time as string,
      data: parsed.data,
      encoding: parsed.encoding as string | undefined,
    })
  }

  private checkOrder(idText: string | undefined, control: boolean): void {
    if (idText === undefined) {
      if (!control) this.faults.push('an event has no id')
      return
    }
    const id = parseEventId(idText)
    if (!id) return void this.faults.push(`"${idText}" is not an event id`)
    const last = parseEventId(this.lastEventId ?? '')
    const gap = this.epochChangeAllowed
    this.epochChangeAllowed = false
    if (!last) return
    if (last.epoch !== id.epoch) {
      // Only the first block (before its `$gap`) and a `$gap` itself may change the epoch.
      if (!gap && !control)
        this.faults.push(`the epoch changed without a $gap: ${this.lastEventId}, ${idText}`)
    } else if (!gap && (control ? id.sequence < last.sequence : id.sequence <= last.sequence)) {
      this.faults.push(`${control ? 'a control event' : 'an event'} ${idText} follows ${this.lastEventId}`)
    }
  }
}
