import type { Linked } from "../../base/index.ts";

/** A client connection of any protocol, as its listener sees it. */
export interface ListenerConnection extends Linked<ListenerConnection> {
  readonly peer: string;
  /** Closes the connection as soon as closing it loses no request. */
  leave(): void;
  /** Closes the connection if it has had no open request for at least this time. */
  closeIfIdle(nowMs: number, quietMs: number): void;
  /** Called once a second: enforces the time limits that need no precision. */
  sweep(): void;
  abort(): void;
}
