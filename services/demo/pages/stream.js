/**
 * One subscription over the browser's own EventSource, and what a person wants to know about it.
 *
 * 1. connecting    until the first answer
 * 2. live          the stream is open
 * 3. reconnecting  the connection ended; the browser comes back by itself and sends Last-Event-ID
 * 4. paused        closed by the reader; `resume` goes on from the position
 * 5. refused       the server answered with an error, after which an EventSource never tries again
 */

/** Event types of the demo. EventSource hands a named event only to a listener for exactly that name. */
export const demoTypes = [
  'quote.tick',
  'earthquake.reported',
  'order.placed',
  'order.paid',
  'order.packed',
  'order.shipped',
  'order.delivered',
  'notification.created',
  'message.broadcast',
  'cluster.sampled',
]

/** An event this much older than now was replayed, not pushed as it happened. */
const freshMs = 5_000

/** Dispatches `change` whenever its state, position or counts change. */
export class EventStream extends EventTarget {
  state = 'connecting'
  /** Id of the last event or heartbeat: everything up to here has been seen. */
  position = ''
  received = 0
  /** The gaps that the server has told of: `{requested, resumedAt, reason}`. */
  gaps = []
  /** Why the server refused, when it did. */
  refusal = ''
  #types
  #source
  #since
  #onEvent

  /**
   * @param {object} options
   * @param {string[]} options.topics Topics or patterns, such as `demo.orders.*`.
   * @param {string[]} [options.types] Event types to listen for; events without a type always come.
   * @param {string} [options.since] Where to start without a position: `all`, a duration or a time.
   * @param {(event: {id: string, type: string, topic: string, time: Date, data: any, fresh: boolean}) => void} options.onEvent
   */
  constructor({ topics, types = demoTypes, since = '10m', onEvent }) {
    super()
    this.topics = topics
    this.#types = new Set(types)
    this.#since = since
    this.#onEvent = onEvent
    this.#open()
  }

  /** The address of the subscription; with a position it goes on from there, else it starts at `since`. */
  get url() {
    const query = new URLSearchParams(this.topics.map((topic) => ['topic', topic]))
    if (this.position) query.set('last-event-id', this.position)
    else query.set('since', this.#since)
    return `/v1/events?${query}`
  }

  /** Hears events of one more type from now on. */
  listen(type) {
    if (!type || this.#types.has(type)) return
    this.#types.add(type)
    this.#source.addEventListener(type, this.#receive)
  }

  pause() {
    this.close()
    this.#become('paused')
  }

  resume() {
    this.close()
    this.#open()
  }

  close() {
    this.#source?.close()
  }

  #open() {
    const source = new EventSource(this.url)
    this.#source = source
    this.#become('connecting')
    source.addEventListener('open', () => this.#become('live'))
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CONNECTING) this.#become('reconnecting')
      else this.#learnRefusal(source)
    })
    for (const type of ['$position', '$live', '$closing']) {
      source.addEventListener(type, (event) => this.#move(event))
    }
    source.addEventListener('$gap', (event) => {
      this.gaps.push(parse(event.data) ?? {})
      this.#move(event)
    })
    for (const type of ['message', ...this.#types]) source.addEventListener(type, this.#receive)
  }

  #receive = (event) => {
    const frame = parse(event.data)
    if (!frame) return
    this.received += 1
    this.#move(event)
    const time = new Date(frame.time)
    const fresh = Date.now() - time.getTime() < freshMs
    this.#onEvent({
      id: event.lastEventId,
      type: event.type,
      topic: frame.topic,
      time,
      data: frame.data,
      fresh,
    })
  }

  /** An EventSource never says why it was refused, so the same address is asked once more by hand. */
  async #learnRefusal(source) {
    const stop = new AbortController()
    try {
      const response = await fetch(this.url, {
        headers: { accept: 'text/event-stream' },
        signal: stop.signal,
      })
      this.refusal = response.ok ? 'The stream was closed.' : await explain(response)
    } catch {
      this.refusal = 'The server does not answer.'
    }
    stop.abort()
    if (this.#source === source && this.state !== 'paused') this.#become('refused')
  }

  #move(event) {
    if (event.lastEventId) this.position = event.lastEventId
    this.dispatchEvent(new Event('change'))
  }

  #become(state) {
    this.state = state
    this.dispatchEvent(new Event('change'))
  }
}

/** What a refusal says, from its problem+json where it is one. */
export async function explain(response) {
  const body = parse(await response.text())
  return `${response.status}: ${body?.detail ?? body?.title ?? response.statusText}`
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
