import type { ByteStream } from "../../net/index.ts";

/** Kinds of accepted connections. */
export type AcceptedKind = "outbound" | "inbound-plaintext" | "inbound-hbone";

/** Lets threads that accept from the same sockets share the connections evenly. */
export interface ConnectionShare {
  /**
   * Offers a connection of which nothing has been read to another thread. Undefined: serve it here. The promise is true
   * when the other thread has it, so that this one's stream can be closed.
   */
  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined;
  /** A connection is served here, until the returned object is disposed. */
  serve(kind: AcceptedKind): Disposable;
}
