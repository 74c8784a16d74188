import type { ByteStream } from "../../net/index.ts";

/** Kinds of accepted connections. */
export type AcceptedKind = "outbound" | "inbound-plaintext" | "inbound-hbone";

/** Lets threads that accept from the same sockets share the connections evenly. */
export interface ConnectionShare {
  /** Whether this thread would serve the next connection itself. */
  keeps(kind: AcceptedKind): boolean;
  /**
   * Offers a connection from which nothing was read to another thread. If the result is undefined, the caller serves it
   * itself. If the promise resolves to true, the other thread has taken it, and the caller must close its own stream.
   */
  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined;
  /** Counts a connection as served here until the returned object is disposed. */
  serve(kind: AcceptedKind): Disposable;
}
