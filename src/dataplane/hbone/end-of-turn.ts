/** Something that has output waiting. */
export interface Flushable {
  flush(): void;
}

/**
 * Flushes each marked connection once, at the end of the event loop's turn: what all of its streams had to say in that
 * turn leaves as one TLS write.
 */
export class EndOfTurn {
  #marked: Flushable[] = [];
  #armed = false;

  /** A connection marks itself at most once a turn; it knows by itself whether it is marked. */
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
