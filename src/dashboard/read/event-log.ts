import { Backoff, systemRandom, type Clock, type Logger, messageOf } from "../../base/index.ts";
import { eventKind, type Event } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { trimEvent } from "./trim.ts";

/** The maximum number of Events that are kept. The oldest are dropped first. */
export const maxEvents = 2000;
const retryInitialMs = 200;
const retryMaxMs = 10_000;

export interface EventLogOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: () => void;
}

/** The newest Events of the cluster. An Event that the API server has deleted stays until newer ones displace it. */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #events = new Map<string, Event>();
  #list: readonly Event[] | undefined;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  list(): readonly Event[] {
    return (this.#list ??= [...this.#events.values()]);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random: systemRandom });
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version = await this.#follow(version, signal, () => backoff.reset());
      } catch (error) {
        if (signal.aborted) return;
        version = undefined;
        if (!isKubeCode(error, "gone")) log.debug("events will be read again", { error: messageOf(error) });
      }
      await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  async #follow(from: string | undefined, signal: AbortSignal, onEvent: () => void): Promise<string | undefined> {
    const { client } = this.#options;
    let version: string | undefined = from ?? (await this.#readAll());
    for await (const event of client.watch(eventKind, { resourceVersion: version, signal })) {
      onEvent();
      if (event.type === "BOOKMARK") {
        version = event.resourceVersion;
        continue;
      }
      version = event.object.metadata.resourceVersion ?? version;
      if (event.type !== "DELETED") this.#add(event.object);
    }
    return version;
  }

  /** Reads all Events. It is a function of its own, so that the complete Events can be freed while the watch runs. */
  async #readAll(): Promise<string> {
    const { items, resourceVersion } = await this.#options.client.list(eventKind);
    const timeOf = ({ lastTimestamp, metadata }: Event): string => lastTimestamp ?? metadata.creationTimestamp ?? "";
    for (const event of items.toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1)).slice(-maxEvents)) this.#add(event);
    return resourceVersion;
  }

  #add(event: Event): void {
    const key = event.metadata.uid ?? `${event.metadata.namespace ?? ""}/${event.metadata.name ?? ""}`;
    // Delete and set the key, so that it moves to the end, where the newest Events are.
    this.#events.delete(key);
    this.#events.set(key, trimEvent(event));
    if (this.#events.size > maxEvents) {
      const [oldest] = this.#events.keys();
      if (oldest !== undefined) this.#events.delete(oldest);
    }
    this.#list = undefined;
    this.#options.onChange();
  }
}
