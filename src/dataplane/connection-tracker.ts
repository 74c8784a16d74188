import { LinkedList, type Linked, type Logger } from "../base/index.ts";

export interface ConnectionTrackerOptions {
  readonly log: Logger;
  /** Called when the counts may have changed. */
  readonly onChange?: (counts: { readonly active: number; readonly draining: number }) => void;
}

/** A live connection. Its owner defines `Details`. */
export interface TrackedConnection<Details> {
  readonly id: number;
  readonly openedAtMs: number;
  readonly details: Details;
  /** Ends the connection now. The reason appears in the access log. */
  readonly abort: (reason: Error) => void;
  /** Whether the owner of the connection drains, and accepts no new connections. */
  draining: boolean;
}

class Tracked<Details> implements TrackedConnection<Details>, Disposable, Linked<Tracked<Details>> {
  readonly id: number;
  readonly openedAtMs: number;
  readonly details: Details;
  readonly abort: (reason: Error) => void;
  draining: boolean;
  readonly #close: (connection: Tracked<Details>) => void;
  isListed = false;
  previous: Tracked<Details> | undefined;
  next: Tracked<Details> | undefined;

  constructor(connection: TrackedConnection<Details>, close: (connection: Tracked<Details>) => void) {
    this.id = connection.id;
    this.openedAtMs = connection.openedAtMs;
    this.details = connection.details;
    this.abort = connection.abort;
    this.draining = connection.draining;
    this.#close = close;
  }

  [Symbol.dispose](): void {
    this.#close(this);
  }
}

/**
 * The live connections of a process. It counts active and draining connections, and can wait for the end of the last
 * one. While the whole process drains, each change is logged as `draining, N connection(s)`.
 */
export class ConnectionTracker<Details> {
  readonly #connections = new LinkedList<Tracked<Details>>();
  readonly #log: Logger;
  readonly #onChange: ConnectionTrackerOptions["onChange"];
  #nextId = 1;
  #draining = 0;
  #processDrains = false;
  #idle: (() => void)[] = [];

  constructor(options: ConnectionTrackerOptions) {
    this.#log = options.log;
    this.#onChange = options.onChange;
  }

  get size(): number {
    return this.#connections.size;
  }

  get counts(): { readonly active: number; readonly draining: number } {
    return { active: this.size - this.#draining, draining: this.#draining };
  }

  list(): readonly TrackedConnection<Details>[] {
    return [...this.#connections];
  }

  /** Adds a connection. The caller disposes the result when the connection has ended. */
  open(details: Details, abort: (reason: Error) => void, nowMs: number): TrackedConnection<Details> & Disposable {
    const connection = new Tracked(
      { id: this.#nextId, openedAtMs: nowMs, details, abort, draining: this.#processDrains },
      this.#close,
    );
    this.#nextId += 1;
    this.#connections.add(connection);
    if (connection.draining) this.#draining += 1;
    this.#changed();
    return connection;
  }

  drain(matches: (details: Details) => boolean): void {
    for (const connection of this.list()) {
      if (connection.draining || !matches(connection.details)) continue;
      connection.draining = true;
      this.#draining += 1;
    }
    this.#changed();
  }

  /** Marks all connections as draining, including later ones. Call it when the process drains. */
  drainAll(): void {
    this.#processDrains = true;
    this.drain(() => true);
  }

  async idle(): Promise<void> {
    if (this.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  abortAll(reason: Error): void {
    for (const connection of this.list()) connection.abort(reason);
  }

  readonly #close = (connection: Tracked<Details>): void => {
    if (!this.#connections.remove(connection)) return;
    if (connection.draining) this.#draining -= 1;
    this.#changed();
    if (this.size > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  };

  #changed(): void {
    const counts = this.counts;
    this.#onChange?.(counts);
    if (this.#processDrains) this.#log.info(`draining, ${this.size} connection${this.size === 1 ? "" : "s"}`);
  }
}
