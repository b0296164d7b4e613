import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, clock, element, flash, prepend } from './ui.js'

const form = byId('publish')
const { topic, type, key, data } = form.elements
const answers = byId('answers')
const arrivals = byId('arrivals')
const mostKept = 10
let stream

form.addEventListener('submit', (event) => {
  event.preventDefault()
  publish()
})
byId('new-key').addEventListener('click', () => {
  // crypto.randomUUID exists only over HTTPS and on localhost.
  key.value = [...crypto.getRandomValues(new Uint8Array(8))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
})
data.addEventListener('input', () => data.setCustomValidity(''))
topic.addEventListener('change', follow)
follow()

async function publish() {
  let payload
  try {
    payload = JSON.parse(data.value)
  } catch (error) {
    data.setCustomValidity(`This is not JSON: ${error.message}`)
    data.reportValidity()
    return
  }
  follow()
  stream.listen(type.value)
  const startedMs = performance.now()
  const answer = await post({
    topic: topic.value,
    ...(type.value ? { type: type.value } : {}),
    data: payload,
  })
  showAnswer(answer, performance.now() - startedMs)
}

/** Sending is a request of its own: an event stream goes one way. */
async function post(event) {
  try {
    const response = await fetch('/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key.value ? { 'idempotency-key': key.value } : {}) },
      body: JSON.stringify(event),
    })
    return { ok: response.ok, status: String(response.status), body: await response.text() }
  } catch (error) {
    return { ok: false, status: 'No answer', body: String(error) }
  }
}

function showAnswer({ ok, status, body }, elapsedMs) {
  const item = element(
    'li',
    { class: `answer ${ok ? 'ok' : 'failed'}` },
    element(
      'p',
      {},
      element('b', { class: 'status-code' }, status),
      element('span', { class: 'muted' }, ` ${elapsedMs.toFixed(0)} ms · `, clock(new Date())),
    ),
    element('pre', {}, pretty(body)),
  )
  prepend(answers, item, mostKept)
  if (ok) flash(item)
}

/** Shows what comes back over the stream of the form's topic. */
function follow() {
  if (stream?.topics[0] === topic.value) return
  stream?.close()
  arrivals.replaceChildren()
  stream = new EventStream({
    topics: [topic.value],
    onEvent({ id, type: shownType, time, data: payload, fresh }) {
      const item = element(
        'li',
        { class: 'arrival' },
        element('p', {}, element('code', {}, id), element('span', { class: 'tag' }, shownType), clock(time)),
        element('pre', {}, JSON.stringify(payload)),
      )
      prepend(arrivals, item, mostKept)
      if (fresh) flash(item)
    },
  })
  stream.listen(type.value)
  showStatus(stream)
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}
