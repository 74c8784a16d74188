import { apiVersionOf, type KindDefinition, type KubernetesObject } from "../api/index.ts";
import { eventKind, type Event } from "../api/kubernetes/index.ts";
import {
  BoundedQueue,
  describeError,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
  rfc3339Seconds,
} from "../base/index.ts";
import type { KubeClient } from "./client.ts";

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** The component that reports the events, such as `default-scheduler`. */
  readonly component: string;
  readonly host?: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
}

export interface EventNote {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  /** The part of the object that the event is about, such as `spec.containers{app}`. */
  readonly fieldPath?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The maximum number of events that wait to be written. Beyond it, new events are dropped and counted. */
const maxWaiting = 1_000;
/**
 * The maximum number of written events that are remembered, so that a repetition increments a count instead of creating
 * an Event.
 */
const maxRemembered = 2_000;

interface Waiting {
  readonly key: string;
  readonly event: Event;
}

/**
 * Writes Events in the background. A repetition (same object, reason and message) increments the count of the first
 * one.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Logger;
  readonly #queue = new BoundedQueue<Waiting>(maxWaiting);
  readonly #written = new Map<string, { readonly name: string; readonly namespace: string; count: number }>();
  #dropped = 0;
  #running = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log.scoped("events");
  }

  /** Records an event about an object, which needs a name and a uid. Never throws and never waits. */
  record(kind: KindDefinition, object: KubernetesObject, note: EventNote): void {
    const { component, host, clock, random = systemRandom } = this.#options;
    const { name = "", namespace, uid = "", resourceVersion } = object.metadata;
    const now = rfc3339Seconds(clock.nowMs());
    const suffix = `${clock.nowMs().toString(16)}${Math.floor(random() * 0xffff).toString(16)}`;
    const event: Event = {
      metadata: {
        name: `${name}.${suffix}`,
        namespace: namespace ?? "default",
        ...(note.annotations === undefined ? {} : { annotations: note.annotations }),
      },
      involvedObject: {
        apiVersion: apiVersionOf(kind),
        kind: kind.kind,
        name,
        uid,
        ...(namespace === undefined ? {} : { namespace }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        ...(note.fieldPath === undefined ? {} : { fieldPath: note.fieldPath }),
      },
      reason: note.reason,
      message: note.message,
      type: note.type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component, ...(host === undefined ? {} : { host }) },
      reportingComponent: component,
      reportingInstance: host ?? "",
    };
    const key = [kind.kind, uid, name, note.reason, note.message, note.fieldPath].join("\n");
    if (!this.#queue.push({ key, event })) {
      this.#dropped += 1;
      return;
    }
    void this.#drain();
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        await this.#write(next);
      } catch (error) {
        this.#log.debug("an event could not be written", { reason: next.event.reason, error: describeError(error) });
      }
    }
    this.#running = false;
    if (this.#dropped > 0)
      this.#log.warn("events were dropped, because the server was too slow", { count: this.#dropped });
    this.#dropped = 0;
  }

  async #write({ key, event }: Waiting): Promise<void> {
    const { client } = this.#options;
    const before = this.#written.get(key);
    if (before !== undefined) {
      const patch = { count: before.count + 1, lastTimestamp: event.lastTimestamp };
      try {
        await client.patchMerge(eventKind, before.name, before.namespace, patch);
        before.count += 1;
        return;
      } catch {
        // The Event no longer exists: it has expired, or its namespace was deleted. Create a new one.
        this.#written.delete(key);
      }
    }
    await client.create(eventKind, event);
    const { name = "", namespace = "default" } = event.metadata;
    this.#written.set(key, { name, namespace, count: 1 });
    if (this.#written.size <= maxRemembered) return;
    const [oldest] = this.#written.keys();
    if (oldest !== undefined) this.#written.delete(oldest);
  }
}
