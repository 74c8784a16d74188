/** A client connection as its listener sees it, whatever is spoken on it. */
export interface ListenerConnection {
  /** Leaves as soon as that loses no request. */
  leave(): void;
  /** Closes the connection if no request has been under way for that long. */
  closeIfIdle(nowMs: number, quietMs: number): void;
  /** Called once a second: enforces the time limits that need no precision. */
  sweep(): void;
  /** Closes at once. */
  abort(): void;
}
