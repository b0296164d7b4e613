import { existsSync, readFileSync } from 'node:fs'
import { SignJWT } from 'jose'
import type { ClusterSettings } from './cluster.ts'

/**
 * A token for the cluster's own use, where the settings let us make one (a shared secret).
 *
 * @returns undefined without AUTH_MODE=jwt, and where only the issuer could make one.
 */
export async function makeToken(
  environment: Record<string, string>,
  topics: string[],
  lifetime: string,
): Promise<string | undefined> {
  const setting = environment.JWT_SECRET
  if (environment.AUTH_MODE !== 'jwt' || !setting) return undefined
  const secret = existsSync(setting) ? readFileSync(setting, 'utf8').trim() : setting
  const token = new SignJWT({ sse: { subscribe: topics, publish: topics } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('local-cluster')
    .setExpirationTime(lifetime)
  if (environment.JWT_ISSUER) token.setIssuer(environment.JWT_ISSUER)
  if (environment.JWT_AUDIENCE) token.setAudience(environment.JWT_AUDIENCE)
  return await token.sign(new TextEncoder().encode(secret))
}

/** Topic of the cluster's own prober. */
export const probeTopic = 'probe.cluster'

/** Gives the demo feed and the prober a token each, for their topics only, where they need one and have none. */
export async function withTokens(settings: ClusterSettings): Promise<ClusterSettings> {
  const { environment } = settings
  const tokens = {
    PUBLISHER_TOKEN: environment.PUBLISHER_TOKEN || (await makeToken(environment, ['demo.>'], '30d')),
    PROBE_TOKEN:
      environment.PROBE_TOKEN ||
      (await makeToken(environment, [environment.PROBE_TOPIC || probeTopic], '30d')),
  }
  const made = Object.entries(tokens).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return { ...settings, environment: { ...environment, ...Object.fromEntries(made) } }
}
