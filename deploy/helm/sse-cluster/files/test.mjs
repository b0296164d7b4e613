// Run by `helm test` in the services' image: publishes an event through Nginx and reads it back, live and by position.
import { createRequire } from 'node:module'

const { BASE_URL, AUTH_MODE, TOKEN, JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE } = process.env
const topic = `helm-test.${crypto.randomUUID()}`
const deadline = AbortSignal.timeout(60_000)

const token = TOKEN || (JWT_SECRET && (await sign(JWT_SECRET)))
const authorization = token ? { authorization: `Bearer ${token}` } : {}
const url = (path) => `${BASE_URL}${path}`

if (AUTH_MODE === 'jwt') {
  const answer = await fetch(url(`/v1/events?topic=${topic}`), { signal: deadline })
  if (answer.status !== 401) throw new Error(`Without a token a stream got ${answer.status} instead of 401`)
  console.log('refused without a token')
  if (!token) {
    console.log('skipped: publishing and reading, since there is no token (values: test.tokenSecret)')
    process.exit(0)
  }
}
const live = await openStream({})
await live.until('$position')
const id = await publish()
await live.until(id)
console.log(`read live: ${id}`)
const later = await openStream({ since: 'all' })
await later.until(id)
console.log(`read again from the log: ${id}`)
process.exit(0)

/** Publishes an event and returns its id. Tries again for what passes: a pod may just have come or gone. */
async function publish() {
  for (;;) {
    const answer = await fetch(url('/v1/events'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization },
      body: JSON.stringify({ topic, id: topic, data: { hello: 'cluster' } }),
      signal: deadline,
    })
    const text = await answer.text()
    if (answer.status === 201) return JSON.parse(text).id
    if (answer.status !== 503) throw new Error(`Publishing got ${answer.status}: ${text}`)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

async function openStream(query) {
  const headers = { accept: 'text/event-stream', ...authorization }
  const answer = await fetch(url(`/v1/events?${new URLSearchParams({ topic, ...query })}`), {
    headers,
    signal: deadline,
  })
  if (answer.status !== 200) throw new Error(`A stream got ${answer.status}: ${await answer.text()}`)
  const reader = answer.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  return {
    async until(what) {
      while (!text.includes(what)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`The stream ended before ${what} had come:\n${text}`)
        text += decoder.decode(value, { stream: true })
      }
    },
  }
}

async function sign(secret) {
  const { SignJWT } = createRequire('/app/')('jose')
  const jwt = new SignJWT({ sse: { subscribe: [topic], publish: [topic] } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('helm-test')
    .setExpirationTime('5m')
  if (JWT_ISSUER) jwt.setIssuer(JWT_ISSUER)
  if (JWT_AUDIENCE) jwt.setAudience(JWT_AUDIENCE)
  return await jwt.sign(new TextEncoder().encode(secret.trim()))
}
