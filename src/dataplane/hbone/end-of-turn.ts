/** Something with waiting output. */
export interface Flushable {
  flush(): void;
}

/**
 * Flushes each marked connection once, at the end of the event loop's turn. Everything that its streams wrote in that
 * turn leaves as one TLS write.
 */
export class EndOfTurn {
  #marked: Flushable[] = [];
  #armed = false;

  /** Marks a connection, at most once in each turn. The connection remembers whether it is marked. */
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
    for (const connection of marked) connection.flush();
  }
}

export const endOfTurn = new EndOfTurn();
