import type { Clock } from "../../base/index.ts";

/**
 * The age of the latest event of a key, in milliseconds. `atMs` is the time of the event by the clock of the server or
 * node that recorded it.
 */
export type AgeOfEvent = (key: string, atMs: number) => number;
/**
 * Reports that an event without a recorded time happens now. Ask for its age with an `atMs` of 0. With `isFirst`, later
 * reports of the same key change nothing.
 */
export type NoticeEvent = (key: string, isFirst?: boolean) => void;

/** The maximum number of events, over all rollouts. The least recently used event is forgotten first. */
const maxEvents = 10_000;

interface KnownEvent {
  readonly atMs: number;
  /** The age of the event when it was first seen, by comparing the clocks of two machines. */
  readonly firstAgeMs: number;
  readonly firstSeenMs: number;
  readonly isNoticed?: true;
}

/**
 * The ages of events to which the API server or a node has given a time. That clock and the engine's wall clock may
 * differ, and either may jump, so `EventAges` compares them only when it first sees the event. From then on, the
 * engine's steady clock measures the age.
 */
export class EventAges {
  readonly #clock: Clock;
  readonly #known = new Map<string, KnownEvent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The age of the latest event of that key. A later `atMs` is a new event. `atMostMs` bounds the age of an event that
   * is seen for the first time. Callers pass the time for which a step has waited for the event.
   */
  ageMs(key: string, atMs: number, atMostMs: number): number {
    const nowMs = this.#clock.steadyMs();
    const known = this.#known.get(key);
    const event = known?.atMs === atMs ? known : this.#firstSeen(atMs, atMostMs, nowMs);
    this.#keep(key, event);
    return event.firstAgeMs + nowMs - event.firstSeenMs;
  }

  notice(key: string, isFirst = false): void {
    const known = this.#known.get(key);
    const event = isFirst && known?.isNoticed === true ? known : undefined;
    this.#keep(key, event ?? { atMs: 0, firstAgeMs: 0, firstSeenMs: this.#clock.steadyMs(), isNoticed: true });
  }

  /** Deletes the key first, so that the map's order is the order of use. */
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
