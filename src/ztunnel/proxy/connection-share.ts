import type { ByteStream } from "../../net/index.ts";

export type AcceptedKind = "outbound" | "inbound-plaintext" | "inbound-hbone";

/** Lets threads that accept from the same sockets share the connections evenly. */
export interface ConnectionShare {
  /** Whether this thread would serve the next connection itself. */
  keeps(kind: AcceptedKind): boolean;
  /**
   * Offers an accepted connection to another thread before anything was read from it. If it returns undefined, the
   * caller serves the connection itself. If the promise resolves to true, the other thread serves the connection, and
   * the caller must close its own stream.
   */
  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined;
  /** Counts a connection as served by this thread until the returned object is disposed. */
  serve(kind: AcceptedKind): Disposable;
}
