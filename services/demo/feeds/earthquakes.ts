import type { DemoEvent, Feed, Random } from './feed.ts'

/** One recorded earthquake. */
export interface Earthquake {
  id: string
  place: string
  magnitude: number
  depthKm: number
  longitude: number
  latitude: number
  /** When the ground shook, RFC 3339. */
  occurredAt: string
  url: string
}

interface Collection {
  features: {
    id: string
    properties: { mag: number | null; place: string; time: number; url: string; type: string }
    geometry: { coordinates: [number, number, number] }
  }[]
}

/** Weaker ones are felt by nobody and would drown the news. */
const leastMagnitude = 2

/**
 * Reads the survey's GeoJSON, oldest first, without blasts and what is too weak to be news.
 *
 * @throws SyntaxError when it is not JSON.
 */
export function parseEarthquakes(geojson: string): Earthquake[] {
  return (JSON.parse(geojson) as Collection).features
    .filter(({ properties }) => properties.type === 'earthquake' && (properties.mag ?? 0) >= leastMagnitude)
    .sort((a, b) => a.properties.time - b.properties.time)
    .map(({ id, properties, geometry }) => {
      const [longitude, latitude, depthKm] = geometry.coordinates
      return {
        id,
        place: properties.place,
        magnitude: properties.mag as number,
        depthKm,
        longitude,
        latitude,
        occurredAt: new Date(properties.time).toISOString(),
        url: properties.url,
      }
    })
}

/** Replays a recorded week as news, in the order in which it happened, for ever. */
export class EarthquakesFeed implements Feed {
  readonly name = 'earthquakes'
  private readonly earthquakes: readonly Earthquake[]
  private place: number

  constructor(earthquakes: readonly Earthquake[], random: Random) {
    if (earthquakes.length === 0) throw new RangeError('no earthquakes to replay')
    this.earthquakes = earthquakes
    this.place = Math.floor(random() * earthquakes.length)
  }

  next(): DemoEvent {
    const data = this.earthquakes[this.place]
    this.place = (this.place + 1) % this.earthquakes.length
    return { topic: 'demo.news.earthquakes', type: 'earthquake.reported', data }
  }
}
