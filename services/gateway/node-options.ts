/**
 * How Node is started for a gateway. A small young generation: idle streams have nothing to gain from a large one, which
 * held 20 MB and more that looked like the streams' own (measured with 12,000 of them: 2.0 KB resident each instead of
 * 4.9; no difference that could be told from noise in fan-out at 10/s and in the tail).
 *
 * `package.json` and `deploy/compose/compose.yaml` say the same; `npm run drift` compares.
 */
export const gatewayNodeOptions = ['--max-semi-space-size=2']
