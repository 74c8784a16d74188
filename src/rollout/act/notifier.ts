import { Backoff, messageOf, systemRandom, takeTurn, type Clock } from "../../base/index.ts";
import type { NotificationEvent, NotificationSpec } from "../../api/serin/index.ts";
import type { DecisionReason } from "../decide/index.ts";

export interface Notification {
  readonly event: NotificationEvent;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly step: string;
  readonly message: string;
  readonly cause: string;
  readonly at: string;
}

export interface NotifierOptions {
  readonly clock: Clock;
  /** Posts a body. Throws if the server did not accept it in time. */
  readonly post: (url: string, body: string, timeoutMs: number, note: Notification) => Promise<void>;
  /**
   * Called for a notification that could not be delivered. `server` is only the origin of the webhook's URL, because
   * the rest is often a secret.
   */
  readonly onFailure: (note: Notification, server: string, problem: string) => void;
}

const maxWaiting = 256;
const maxAtOnce = 4;
/**
 * The maximum number of posts under way for one namespace. Its webhooks may answer late or never, and must not delay
 * those of others.
 */
const maxAtOnceOfNamespace = 2;
const attempts = 4;
const timeoutMs = 5000;

interface Waiting {
  readonly url: string;
  readonly note: Notification;
}

/**
 * Posts decisions to people's webhooks. Rollouts do not wait for the posts. If all {@link attempts} to deliver a
 * notification fail, the notifier drops and reports it. Namespaces take turns. If too many notifications wait, the
 * namespace with the most loses its oldest one.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  /** The waiting notifications by namespace, in the order of the namespaces' turns. */
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #working = new Map<string, number>();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  notify(specs: readonly NotificationSpec[], note: Notification): void {
    for (const { url, events } of specs) {
      if (!events.includes(note.event)) continue;
      this.#add({ url, note });
    }
    for (let next = this.#next(); next !== undefined; next = this.#next()) void this.#work(next);
  }

  #add(added: Waiting): void {
    const { namespace } = added.note;
    const own = this.#waiting.get(namespace);
    if (own === undefined) this.#waiting.set(namespace, [added]);
    else own.push(added);
    const lists = [...this.#waiting.values()];
    if (lists.reduce((sum, list) => sum + list.length, 0) <= maxWaiting) return;
    const dropped = lists.reduce((most, list) => (list.length > most.length ? list : most)).shift();
    if (dropped !== undefined)
      this.#options.onFailure(dropped.note, serverOf(dropped.url), `${maxWaiting} notifications wait already`);
  }

  #next(): Waiting | undefined {
    const working = [...this.#working.values()].reduce((sum, count) => sum + count, 0);
    if (working >= maxAtOnce) return undefined;
    const workingOf = (namespace: string): number => this.#working.get(namespace) ?? 0;
    const turn = takeTurn(this.#waiting, (namespace) => workingOf(namespace) < maxAtOnceOfNamespace);
    if (turn !== undefined) this.#working.set(turn.caller, workingOf(turn.caller) + 1);
    return turn?.item;
  }

  async #work(first: Waiting): Promise<void> {
    for (let next: Waiting | undefined = first; next !== undefined; next = this.#next()) {
      const { namespace } = next.note;
      try {
        await this.#deliver(next);
      } finally {
        const left = (this.#working.get(namespace) ?? 1) - 1;
        if (left === 0) this.#working.delete(namespace);
        else this.#working.set(namespace, left);
      }
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

/** The origin of a URL, without the parts that may be secret. */
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

/** The event under which a spec's `events` list this decision. Undefined if webhooks are not notified of it. */
export function notificationEventOf(reason: DecisionReason): NotificationEvent | undefined {
  return events[reason];
}
