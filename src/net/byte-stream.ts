import type { X509Certificate } from "node:crypto";
import type { TcpKeepalive } from "./tcp-keepalive.ts";

/**
 * A TCP or TLS connection without the overhead of Node's streams. Both data planes transport bytes over it. It uses
 * libuv's handles, or node:net if this Node does not offer them. Callers cannot tell which.
 */
export interface ByteStream {
  /**
   * Sets the handler. A stream is paused until the first {@link resume}. If the stream has already closed, the new
   * handler's `close` is called soon.
   */
  setHandler(handler: ByteStreamHandler): void;
  /**
   * Queues bytes. If it returns false, the kernel's buffer is full, and the caller should wait for `drain` before it
   * writes more. The caller must not change the bytes until the next `drain`, or until {@link bufferedBytes} is 0.
   */
  write(bytes: Uint8Array): boolean;
  /** The number of written bytes that the kernel has not accepted yet. */
  readonly bufferedBytes: number;
  /**
   * Ends this side after the queued bytes, by a FIN (for TLS by close_notify and a FIN). The peer may continue to send.
   */
  end(): void;
  /**
   * Closes at once and drops queued bytes. The handler's `close` is called once, and not during this call. `reset`
   * sends a RST.
   */
  destroy(options?: { readonly error?: Error; readonly reset?: boolean }): void;
  pause(): void;
  resume(): void;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The socket's descriptor, for getsockopt. -1 after the stream has closed. */
  readonly fd: number;
  /** The number of received bytes that the handler has got. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ByteStreamHandler {
  /** Called with received bytes. They are valid only during the call, so copy what you keep. */
  data(chunk: Buffer): void;
  /** Called when the peer has ended its side. */
  end(): void;
  /** Called when the kernel has accepted everything after a write that returned false. */
  drain(): void;
  /**
   * Called once, as the last call. `error` is undefined if both sides ended, or if {@link ByteStream.destroy} was
   * called without an error.
   */
  close(error: Error | undefined): void;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export interface SecureStream extends ByteStream {
  /**
   * The peer's SPIFFE id: the `spiffe://…` URI of its certificate. Empty if there is no certificate, or not exactly one
   * such URI in it.
   */
  readonly peerIdentity: string;
  readonly alpnProtocol: string | undefined;
  /** A server has verified its chain, unless the server accepts any certificate. */
  readonly peerCertificate: X509Certificate | undefined;
  /** Whether the certificate is valid now and chains to one of the context's roots. */
  readonly peerVerified: boolean;
  /** The TLS version, such as `TLSv1.3`. `cipher` has OpenSSL's name. */
  readonly tlsVersion: string;
  readonly cipher: string;
}

export interface ByteListener {
  readonly address: SocketAddress;
  /**
   * Starts to accept. Exists only on a listener that was opened with `held`. Rejects if another process has taken the
   * address.
   */
  begin?(): Promise<void>;
  /** Stops accepting. Open connections continue. */
  close(): void;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** The descriptor of the network namespace from which to connect. Absent means the process's own. */
  readonly namespaceFd?: number | undefined;
  /** SO_MARK, for example 0x539. */
  readonly mark?: number | undefined;
  /** The local address of the connection. It may belong to another host (IP_TRANSPARENT). */
  readonly sourceAddress?: string | undefined;
  /** Keepalive probes while the connection lives. Absent means none. */
  readonly keepalive?: TcpKeepalive | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Receives a function that aborts the attempt, which costs less than a signal. */
  readonly onStart?: (giveUp: (reason: Error) => void) => void;
}
