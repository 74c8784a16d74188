import { contained } from "../../base/index.ts";

export interface Flushable {
  flush(): void;
}

/**
 * Flushes each marked connection once, at the end of the event loop's turn. Everything that the connection's streams
 * wrote in that turn leaves as one TLS write.
 */
export class EndOfTurn {
  #marked: Flushable[] = [];
  #armed = false;

  /** Marks a connection. The caller must not mark a connection twice in the same turn. */
  mark(connection: Flushable): void {
    this.#marked.push(connection);
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    const marked = this.#marked;
    this.#marked = [];
    this.#armed = false;
    for (const connection of marked) {
      try {
        connection.flush();
      } catch (error) {
        contained(error);
      }
    }
  }
}

export const endOfTurn = new EndOfTurn();
