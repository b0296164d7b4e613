import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

/** Values of the variables that the template names, all starting with `NGINX_`. */
export type NginxVariables = Record<string, string>

const templates = join(import.meta.dirname, '../../nginx')

/**
 * Fills the Nginx templates as the image does (deploy/images/nginx-entrypoint.sh), into `runDir`, and makes the
 * development certificate there where there is none. `overrides` go before `nginx/defaults.env`.
 *
 * @returns the path of the main configuration file.
 * @throws when the template names a variable that has no value.
 */
export async function writeNginxConfig(runDir: string, overrides: NginxVariables): Promise<string> {
  const variables: NginxVariables = {
    ...parseDefaults(await readFile(join(templates, 'defaults.env'), 'utf8')),
    NGINX_RUN_DIR: runDir,
    NGINX_TLS_CERTIFICATE: join(runDir, 'tls/cert.pem'),
    NGINX_TLS_KEY: join(runDir, 'tls/key.pem'),
    // Nginx warns about the directive when it is not started by root. Root's own workers stay root: the pages may
    // lie in a home directory that nobody else can read, and this cluster is for development.
    NGINX_USER: process.getuid?.() === 0 ? 'user root;' : '',
    ...overrides,
  }
  await mkdir(runDir, { recursive: true })
  for (const file of await readdir(templates)) {
    if (!file.endsWith('.template')) continue
    const text = fillTemplate(await readFile(join(templates, file), 'utf8'), variables)
    await writeFile(join(runDir, file.replace(/\.template$/, '')), text)
  }
  await execa(join(templates, 'development-certificate.sh'), { env: variables })
  return join(runDir, 'nginx.conf')
}

/** @throws naming the variable that has no value. */
export function fillTemplate(template: string, variables: NginxVariables): string {
  return template.replace(/\$\{(NGINX_[A-Z_0-9]+)\}/g, (_, name: string) => {
    const value = variables[name]
    if (value === undefined) throw new Error(`The Nginx template names ${name}, which has no value`)
    return value
  })
}

/** Reads `NAME=value` lines; `#` starts a comment line. */
export function parseDefaults(text: string): NginxVariables {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.indexOf('=')
      return [line.slice(0, end), line.slice(end + 1)]
    }),
  )
}
