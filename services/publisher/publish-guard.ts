import type { FastifyRequest } from 'fastify'
import type { HttpApp } from '../common/http-app.ts'
import { Problem } from '../common/problem.ts'
import { listOf } from '../common/settings.ts'
import { TokenVerifier } from '../common/token.ts'
import type { PublisherSettings } from './config.ts'

/**
 * What a request must pass before its body is read: a token, the origin that a cookie needs, and room for the
 * body.
 */
export class PublishGuard {
  private readonly verifier: TokenVerifier
  private readonly origins: ReadonlySet<string>
  private readonly settings: PublisherSettings
  private heldBytes = 0

  /** @throws SettingsError when no source of keys is set. */
  constructor(settings: PublisherSettings) {
    this.settings = settings
    this.verifier = TokenVerifier.create(settings)
    this.origins = new Set(listOf(settings.CORS_ORIGINS).filter((origin) => origin !== '*'))
  }

  /** Adds the guard to all routes that `scope` gets after this. */
  protect(scope: HttpApp): void {
    scope.addHook('onRequest', async (request) => {
      this.holdBody(request)
      this.requireOrigin(request)
      request.grants = await this.verifier.verify({
        headers: request.headers,
        queryToken: queryToken(request.url),
      })
    })
    // Not onResponse, which needs the answer to arrive: a client that has gone would hold its room for ever.
    scope.addHook('onSend', async (request) => this.letGo(request))
  }

  private holdBody(request: FastifyRequest): void {
    const isBatch = request.headers['content-type']?.startsWith('application/x-ndjson')
    const limit = isBatch ? this.settings.MAX_BODY_BYTES : this.settings.MAX_EVENT_BYTES
    const bytes = Math.min(Number(request.headers['content-length'] ?? limit), limit)
    if (this.heldBytes + bytes > this.settings.MAX_BODIES_BYTES)
      throw new Problem('unavailable', 'Too much is being published at once. Try again.')
    this.heldBytes += bytes
    request.heldBytes = bytes
    // Gone before its body was read, it may never be answered at all.
    request.raw.once('close', () => {
      if (request.body === undefined) this.letGo(request)
    })
  }

  private letGo(request: FastifyRequest): void {
    this.heldBytes -= request.heldBytes ?? 0
    request.heldBytes = 0
  }

  /**
   * A browser sends a cookie along whoever made it send the request (cross-site request forgery), so a cookie
   * counts only from pages of this site or of the allow-list.
   */
  private requireOrigin(request: FastifyRequest): void {
    const { authorization, cookie, origin, host } = request.headers
    if (this.verifier.open || authorization || !cookie?.includes('sse_token=')) return
    if (origin !== undefined && (this.origins.has(origin) || hostOf(origin) === host)) return
    throw new Problem(
      'forbidden',
      'The cookie sse_token counts only with an Origin header of this host or of CORS_ORIGINS.',
    )
  }
}

function hostOf(origin: string): string | undefined {
  return URL.parse(origin)?.host
}

function queryToken(url: string): string | undefined {
  const start = url.indexOf('?')
  if (start === -1) return undefined
  return new URLSearchParams(url.slice(start)).get('access_token') ?? undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    heldBytes?: number
  }
}
