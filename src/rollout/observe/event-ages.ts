import type { Clock } from "../../base/index.ts";

/**
 * The age of the latest event of a key, in milliseconds. `atMs`: the time of the event, by the clock of the server or
 * node that recorded it.
 */
export type AgeOfEvent = (key: string, atMs: number) => number;
/**
 * Reports that the event of a key, which has no time of its own, happens now. Its `atMs` is 0. With `isFirst`, later
 * reports change nothing.
 */
export type NoticeEvent = (key: string, isFirst?: boolean) => void;

/** The maximum number of events of all running rollouts. The least recently used event is forgotten first. */
const maxEvents = 10_000;

interface KnownEvent {
  readonly atMs: number;
  /** The age of the event when it was first seen, from the wall clocks of two machines. */
  readonly firstAgeMs: number;
  readonly firstSeenMs: number;
  readonly isNoticed?: true;
}

/**
 * The ages of events to which the API server or a node has given a time. That clock and the engine's may differ, and
 * either may jump, so they are compared only when the event is first seen. From then on, the engine's steady clock
 * measures the age.
 */
export class EventAges {
  readonly #clock: Clock;
  readonly #known = new Map<string, KnownEvent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The age of the latest event of that key. A later `atMs` is a new event. `atMostMs` bounds the age of an event that
   * is seen for the first time: the time for which a step has waited for it.
   */
  ageMs(key: string, atMs: number, atMostMs: number): number {
    const nowMs = this.#clock.steadyMs();
    const known = this.#known.get(key);
    const event = known?.atMs === atMs ? known : this.#firstSeen(atMs, atMostMs, nowMs);
    this.#keep(key, event);
    return event.firstAgeMs + nowMs - event.firstSeenMs;
  }

  /** See {@link NoticeEvent}. */
  notice(key: string, isFirst = false): void {
    const known = this.#known.get(key);
    const event = isFirst && known?.isNoticed === true ? known : undefined;
    this.#keep(key, event ?? { atMs: 0, firstAgeMs: 0, firstSeenMs: this.#clock.steadyMs(), isNoticed: true });
  }

  /** Inserts the key again, so that the map is ordered by the time of the last request. */
  #keep(key: string, event: KnownEvent): void {
    this.#known.delete(key);
    this.#known.set(key, event);
    if (this.#known.size > maxEvents) this.#known.delete(this.#known.keys().next().value ?? "");
  }

  #firstSeen(atMs: number, atMostMs: number, nowMs: number): KnownEvent {
    const wallAgeMs = Math.max(0, this.#clock.nowMs() - atMs);
    return { atMs, firstAgeMs: Math.min(wallAgeMs, atMostMs), firstSeenMs: nowMs };
  }
}
