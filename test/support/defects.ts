/**
 * Loaded into a gateway before it starts (`node --import`): makes it faulty on purpose, so that load tests can show that
 * they notice.
 *
 * DEFECT_DROP_EVERY=1000  every 1,000th event does not go out to those who are live
 * DEFECT_REPEAT=1         a stream that comes back begins one event too early
 */
import { Router } from '../../services/gateway/router.ts'
import type { Subscriber } from '../../services/gateway/subscriber.ts'

const dropEvery = Number(process.env.DEFECT_DROP_EVERY ?? 0)
if (dropEvery > 0) {
  const append = Router.prototype.append
  let count = 0
  Router.prototype.append = function (sequence, topic, frame) {
    if (++count % dropEvery !== 0) append.call(this, sequence, topic, frame)
  }
}

if (process.env.DEFECT_REPEAT === '1') {
  const resume = Router.prototype.resume
  const known = new WeakSet<Subscriber>()
  Router.prototype.resume = function (subscriber) {
    const cameBack = (subscriber as Subscriber & { announceLive?: boolean }).announceLive === true
    if (cameBack && !known.has(subscriber)) subscriber.position--
    known.add(subscriber)
    resume.call(this, subscriber)
  }
}
