import { execa } from 'execa'

/** What k6 opens beside its streams: publishing, its own files, HTTP/2's spare connections. */
const besides = 200

/**
 * Tells what to do when a k6 process here may not open as many descriptors as the test needs; undefined when it may.
 * Go raises its limit to the hard one by itself.
 *
 * @param settings CONNECTIONS, RUNNERS, HTTP2 and STREAMS_PER_CONNECTION of the scenario.
 */
export async function descriptorsMissing(
  settings: Record<string, string | undefined>,
  limit?: number,
): Promise<string | undefined> {
  const most = limit ?? (await hardLimit())
  const streams = Math.ceil(Number(settings.CONNECTIONS || 0) / Number(settings.RUNNERS || 1))
  const perDescriptor = settings.HTTP2 === '1' ? Number(settings.STREAMS_PER_CONNECTION || 100) : 1
  const wanted = Math.ceil(streams / perDescriptor) + besides
  if (wanted <= most) return undefined
  return [
    `${streams} streams need ${wanted} descriptors, and a process here may have ${most} (ulimit -Hn). Either`,
    `  - raise the limit: \`ulimit -n ${Math.max(65_536, wanted)}\` as root, LimitNOFILE= of the unit, nofile in limits.conf;`,
    `  - or CONNECTIONS=${(most - besides) * perDescriptor * Number(settings.RUNNERS || 1)}, the most that fits;`,
    ...(perDescriptor === 1
      ? ['  - or HTTP2=1 where the deployment speaks it (TLS): 100 streams a descriptor;']
      : []),
    '  - or several k6 processes with a part each: docs/load-testing.md, “More than one k6 process”.',
  ].join('\n')
}

async function hardLimit(): Promise<number> {
  const { stdout } = await execa('sh', ['-c', 'ulimit -Hn'])
  return stdout.trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(stdout)
}
