import { Backoff, BoundedQueue, messageOf, systemRandom, type Clock } from "../../base/index.ts";
import type { NotificationEvent, NotificationSpec } from "../../api/serin/index.ts";
import type { DecisionReason } from "../decide/index.ts";

/** The JSON body of a notification. */
export interface Notification {
  readonly event: NotificationEvent;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly step: string;
  readonly message: string;
  readonly cause: string;
  /** The time in RFC 3339. */
  readonly at: string;
}

export interface NotifierOptions {
  readonly clock: Clock;
  /** Posts a body. Throws if the server did not accept it in time. */
  readonly post: (url: string, body: string, timeoutMs: number, note: Notification) => Promise<void>;
  /**
   * Called for a notification that could not be delivered. It gets only the server's name, because the rest of a
   * webhook's URL is often a secret.
   */
  readonly onFailure: (note: Notification, server: string, problem: string) => void;
}

const maxWaiting = 256;
const maxAtOnce = 4;
const attempts = 4;
const timeoutMs = 5000;

interface Waiting {
  readonly url: string;
  readonly note: Notification;
}

/**
 * Posts decisions to people's webhooks without a delay for rollouts. Notifications that a slow webhook does not accept
 * are dropped after a while, and reported.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #queue = new BoundedQueue<Waiting>(maxWaiting);
  #working = 0;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Queues a post for each webhook that wants the event. */
  notify(specs: readonly NotificationSpec[], note: Notification): void {
    for (const { url, events } of specs) {
      if (!events.includes(note.event)) continue;
      if (!this.#queue.push({ url, note }))
        this.#options.onFailure(note, serverOf(url), `${maxWaiting} notifications wait already`);
    }
    while (this.#working < maxAtOnce && this.#queue.size > 0) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working += 1;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await this.#deliver(next);
    } finally {
      this.#working -= 1;
    }
  }

  async #deliver({ url, note }: Waiting): Promise<void> {
    const backoff = new Backoff({ initialMs: 500, maxMs: 8000, random: systemRandom });
    let problem = "";
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      try {
        await this.#options.post(url, JSON.stringify(note), timeoutMs, note);
        return;
      } catch (error) {
        problem = messageOf(error);
      }
      if (attempt < attempts) await this.#options.clock.sleep(backoff.nextMs());
    }
    this.#options.onFailure(note, serverOf(url), `${attempts} attempts: ${problem}`);
  }
}

/** The server's name, without the parts of the URL that may be secret. */
export function serverOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "an invalid URL";
}

const events: Readonly<Partial<Record<DecisionReason, NotificationEvent>>> = {
  Started: "Started",
  StepDone: "StepDone",
  Waiting: "Waiting",
  Paused: "Waiting",
  RollingBack: "RollingBack",
  RolledBack: "RolledBack",
  Completed: "Completed",
  Stuck: "Stuck",
};

/** The event under which the spec lists a decision. Undefined if no webhook is notified. */
export function notificationEventOf(reason: DecisionReason): NotificationEvent | undefined {
  return events[reason];
}
