/**
 * The log: one JetStream stream that holds the events of all topics. Publisher and gateway agree here on its
 * name, its subjects and where its epoch stands.
 */

export const subjectPrefix = 'events.'
/** Every subject of the log. */
export const streamSubjects = `${subjectPrefix}>`
/** Key in the stream's metadata. Stored there so that a mirror of the stream has the same event ids. */
export const epochKey = 'sse-epoch'

export function subjectOf(topic: string): string {
  return subjectPrefix + topic
}

export function topicOf(subject: string): string {
  return subject.slice(subjectPrefix.length)
}
