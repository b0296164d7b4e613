import { connect } from 'node:tls'
import type { Gauge } from 'prom-client'
import type { Log } from '../common/log.ts'

const readEveryMs = 10 * 60_000
/** After a failure: the front door may start after the prober. */
const retryMs = 10_000
const timeoutMs = 10_000

/** Keeps `gauge` at the end of the certificate of `url`, seconds since 1970; NaN until it was read. */
export function watchCertificate(url: string, gauge: Gauge, log: Log): NodeJS.Timeout {
  gauge.set(Number.NaN)
  let nextAt = 0
  const read = async () => {
    if (performance.now() < nextAt) return
    nextAt = performance.now() + timeoutMs
    try {
      gauge.set(Math.round((await certificateExpiryMs(url)) / 1000))
      nextAt = performance.now() + readEveryMs
    } catch (error) {
      log.warn({ error: String(error) }, 'the certificate could not be read')
    }
  }
  void read()
  return setInterval(() => void read(), retryMs)
}

/**
 * Until when the certificate of `url` is valid, milliseconds since 1970. Whether it is trusted is not asked here: the
 * stream finds that out.
 *
 * @throws when the server does not answer, or has no certificate.
 */
async function certificateExpiryMs(url: string): Promise<number> {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return await new Promise((resolve, reject) => {
    const isAddress = /^[\d.]+$|:/.test(host)
    const socket = connect(
      {
        host,
        port: Number(port || 443),
        rejectUnauthorized: false,
        ...(isAddress ? {} : { servername: host }),
      },
      () => {
        const expiry = Date.parse(socket.getPeerCertificate().valid_to)
        socket.destroy()
        if (Number.isNaN(expiry)) reject(new Error(`${url} shows no certificate`))
        else resolve(expiry)
      },
    )
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`${url} does not answer`)))
    socket.once('error', reject)
  })
}
