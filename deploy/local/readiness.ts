import { setTimeout as sleep } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'

/** The cluster runs, and wants a token that we don't have. */
export class TokenNeeded extends Error {}

/** True when `url` answers with a success. */
export async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok
  } catch {
    return false
  }
}

/** Where the event goes that `make up` reads back. */
export const readyTopic = 'cluster.ready'

/**
 * Publishes an event through the front door and reads it back there: what a user would do first.
 *
 * @returns undefined when it came, else what happened instead.
 * @throws TokenNeeded
 */
export async function eventArrives(
  eventsUrl: string,
  token: string | undefined,
  timeoutMs: number,
): Promise<string | undefined> {
  const deadline = performance.now() + timeoutMs
  let failure = 'nothing was tried'
  while (performance.now() < deadline) {
    try {
      await roundTrip(eventsUrl, token)
      return undefined
    } catch (error) {
      if (error instanceof TokenNeeded) throw error
      failure = error instanceof Error ? error.message : String(error)
      await sleep(300)
    }
  }
  return failure
}

async function roundTrip(eventsUrl: string, token: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(5000)
  const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
  const stream = await fetch(`${eventsUrl}?topic=${readyTopic}`, {
    headers: { accept: 'text/event-stream', ...authorization },
    signal,
  })
  if (stream.status === 401 || stream.status === 403) throw new TokenNeeded()
  if (!stream.ok || !stream.body) throw new Error(`subscribing was answered with ${stream.status}`)
  const events = stream.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  let published = ''
  for await (const { event, id } of events) {
    // The first block says that the subscription stands: what is published now must come.
    if (!published && event === '$position') published = await publish(eventsUrl, authorization, signal)
    else if (published && id === published) return
  }
  throw new Error('the stream ended before the event came')
}

async function publish(
  eventsUrl: string,
  authorization: Record<string, string>,
  signal: AbortSignal,
): Promise<string> {
  const answer = await fetch(eventsUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body: JSON.stringify({
      topic: readyTopic,
      type: 'cluster.ready',
      data: { at: new Date().toISOString() },
    }),
    signal,
  })
  if (answer.status !== 201)
    throw new Error(`publishing was answered with ${answer.status}: ${await answer.text()}`)
  return ((await answer.json()) as { id: string }).id
}
