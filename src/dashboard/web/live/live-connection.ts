import { applyLiveMessage, type LiveMessage, type Problem, type View } from "../../../api/dashboard/index.ts";
import { keepEqualRows } from "./keep-equal-rows.ts";

export interface LiveSource {
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: (() => void) | null;
  close(): void;
}

export interface LiveHost {
  open(url: string): LiveSource;
  nowMs(): number;
  /** From 0 to 1. */
  random(): number;
  /** Calls `run` after the delay. The result cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /**
   * Finds out whether the session has ended. Called after a failed connection, because an EventSource gives no reason.
   * Undefined if the session is valid, or if the answer is unknown.
   */
  sessionProblem(): Promise<Problem | undefined>;
}

export type LiveState =
  | { readonly kind: "idle" }
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  | {
      readonly kind: "reconnecting";
      /** When the server last sent anything: the shown data is from then. */
      readonly sinceMs: number;
    }
  | { readonly kind: "logged-out"; readonly problem: Problem };

export interface LiveSink {
  state(state: LiveState): void;
  /** Called with a new view, in which rows that have not changed are the same objects as before. */
  view(topic: string, view: View): void;
  problem(topic: string, problem: Problem): void;
  /** The present time of the server's clock. */
  clock(serverMs: number): void;
}

const firstRetryMs = 400;
const maxRetryMs = 8_000;
/**
 * After this time without a message, the connection counts as lost. The server sends a sign of life every few seconds.
 */
const silenceMs = 15_000;
/** How long to wait for the answer about the session, before the page connects without it. */
const sessionAnswerMs = 10_000;
/** Waits this long before it connects, so that several changes of topics lead to one connection. */
const settleMs = 10;

/** Follows topics over one connection at a time. Reconnects by itself. */
export class LiveConnection {
  readonly #host: LiveHost;
  readonly #sink: LiveSink;
  readonly #views = new Map<string, View>();
  #topics: readonly string[] = [];
  #source: LiveSource | undefined;
  #cancelTimer: (() => void) | undefined;
  #cancelWatch: (() => void) | undefined;
  #failures = 0;
  #downSinceMs: number | undefined;
  #heardMs: number | undefined;
  #paused = false;

  constructor(host: LiveHost, sink: LiveSink) {
    this.#host = host;
    this.#sink = sink;
  }

  /** From now on, follows these topics and no others. Forgets the data of others. */
  follow(topics: readonly string[]): void {
    const wanted = [...topics].sort();
    if (wanted.join("\n") === this.#topics.join("\n")) return;
    this.#topics = wanted;
    for (const topic of this.#views.keys()) if (!wanted.includes(topic)) this.#views.delete(topic);
    this.#drop();
    if (wanted.length === 0) {
      this.#sink.state({ kind: "idle" });
      return;
    }
    if (this.#downSinceMs === undefined) this.#sink.state({ kind: "connecting" });
    this.#later(settleMs, () => this.#connect());
  }

  /** Drops the connection of a hidden page. Browsers limit the connections to a server. */
  pause(): void {
    this.#paused = true;
    this.#drop();
  }

  /** Forgets all data and connects anew, because the user has changed. */
  restart(): void {
    this.#views.clear();
    this.#failures = 0;
    this.#drop();
    this.#connect();
  }

  /**
   * Connects at once, without the backoff: the page is visible again, the network is back, or the user has logged in.
   */
  retryNow(): void {
    this.#paused = false;
    this.#failures = 0;
    if (this.#topics.length === 0 || this.#source !== undefined) return;
    this.#drop();
    this.#connect();
  }

  #drop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    this.#source?.close();
    this.#source = undefined;
  }

  #later(delayMs: number, run: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#host.after(delayMs, run);
  }

  #connect(): void {
    this.#cancelTimer = undefined;
    if (this.#paused || this.#topics.length === 0) return;
    const query = this.#topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&");
    const source = this.#host.open(`api/live?${query}`);
    this.#source = source;
    this.#watch();
    source.onopen = () => this.#watch();
    source.onmessage = ({ data }) => {
      if (this.#source !== source) return;
      this.#watch();
      this.#receive(data);
    };
    source.onerror = () => {
      if (this.#source === source) this.#lost();
    };
  }

  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = this.#host.after(silenceMs, () => this.#lost());
  }

  #receive(data: unknown): void {
    let message: LiveMessage;
    try {
      message = JSON.parse(String(data)) as LiveMessage;
    } catch {
      this.#lost();
      return;
    }
    if (message.type === "logged-out") {
      // Connect again although the session has ended: if anonymous users may read, the page goes on without a login.
      this.#drop();
      void this.#retry();
      return;
    }
    // A server at its limit sends a problem and ends the stream. The backoff must go on growing then, as for a server
    // that does not answer.
    if (message.type !== "problem") this.#failures = 0;
    this.#downSinceMs = undefined;
    this.#heardMs = this.#host.nowMs();
    this.#sink.state({ kind: "live" });
    if ("atMs" in message) this.#sink.clock(message.atMs);
    if (message.type === "change") this.#sink.clock(message.head.atMs);
    if (message.type === "problem") this.#sink.problem(message.topic, message.problem);
    if (message.type === "view" || message.type === "change") this.#apply(message.topic, message);
  }

  #apply(topic: string, message: LiveMessage): void {
    if (!this.#topics.includes(topic)) return;
    const before = this.#views.get(topic);
    const applied = applyLiveMessage(before, message);
    if (applied === undefined) return;
    const view = message.type === "view" && before !== undefined ? keepEqualRows(before, applied) : applied;
    this.#views.set(topic, view);
    this.#sink.view(topic, view);
  }

  #lost(): void {
    this.#drop();
    this.#downSinceMs ??= this.#heardMs ?? this.#host.nowMs();
    this.#sink.state({ kind: "reconnecting", sinceMs: this.#downSinceMs });
    const delayMs = Math.min(maxRetryMs, firstRetryMs * 2 ** this.#failures) * (0.75 + this.#host.random() / 2);
    this.#failures += 1;
    this.#later(delayMs, () => {
      void this.#retry();
    });
  }

  async #retry(): Promise<void> {
    this.#cancelTimer = undefined;
    this.#later(sessionAnswerMs, () => this.#connect());
    const waiting = this.#cancelTimer;
    const problem = await this.#host.sessionProblem();
    // In the meantime, something else has connected, dropped or postponed the connection, for example a new topic or a
    // hidden page.
    if (this.#source !== undefined || this.#cancelTimer !== waiting) return;
    this.#drop();
    if (problem === undefined) this.#connect();
    else this.#loggedOut(problem);
  }

  #loggedOut(problem: Problem): void {
    this.#drop();
    this.#sink.state({ kind: "logged-out", problem });
  }
}
