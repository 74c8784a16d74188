import type { X509Certificate } from "node:crypto";
import type { TcpKeepalive } from "./tcp-keepalive.ts";

/**
 * A TCP or TLS connection without the overhead of Node's streams. It is the byte path of both data planes. It runs on
 * libuv's handles, or on node:net as a fallback; callers cannot tell which.
 */
export interface ByteStream {
  /**
   * Sets the handler. A stream starts paused, and reads after the first {@link resume}. If the stream has already
   * closed, the new handler's `close` is called soon.
   */
  setHandler(handler: ByteStreamHandler): void;
  /**
   * Queues bytes. Returns false if the kernel's buffer is full; the caller should then write more only after `drain`.
   * The caller must not change the bytes until the next `drain`, or until {@link bufferedBytes} is 0.
   */
  write(bytes: Uint8Array): boolean;
  /** The number of written bytes that the kernel has not accepted yet. */
  readonly bufferedBytes: number;
  /**
   * Ends our side after the queued bytes (by FIN, or by close_notify and FIN for TLS). The peer may continue to send.
   */
  end(): void;
  /** Closes at once and drops queued bytes. The handler's `close` is called later, once. With `reset`, sends a RST. */
  destroy(options?: { readonly error?: Error; readonly reset?: boolean }): void;
  pause(): void;
  resume(): void;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The socket's descriptor, for getsockopt. -1 after the stream has closed. */
  readonly fd: number;
  /** The number of received bytes that were passed to the handler since the start. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ByteStreamHandler {
  /** Called with a received chunk, which is valid only during the call. Copy what must be kept. */
  data(chunk: Buffer): void;
  /** Called when the peer has ended its side. */
  end(): void;
  /** Called when the kernel has accepted everything, after a write returned false. */
  drain(): void;
  /**
   * Called once, after all other calls. `error` is undefined if both sides had ended, or if {@link ByteStream.destroy}
   * was called without an error.
   */
  close(error: Error | undefined): void;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** A TLS connection after its handshake. */
export interface SecureStream extends ByteStream {
  /** The peer's SPIFFE id (`spiffe://…`, its URI SAN). Empty if the peer sent no certificate. */
  readonly peerIdentity: string;
  readonly alpnProtocol: string | undefined;
  /** The peer's certificate. A server has verified its chain. */
  readonly peerCertificate: X509Certificate | undefined;
  /** Whether the certificate is valid now and chains to one of the context's roots. */
  readonly peerVerified: boolean;
  /** The TLS version, such as `TLSv1.3`. `cipher` is OpenSSL's name for the cipher. */
  readonly tlsVersion: string;
  readonly cipher: string;
}

export interface ByteListener {
  readonly address: SocketAddress;
  /**
   * Starts to accept. Only for a listener that was opened with `held`. Rejects if another process has the address by
   * now.
   */
  begin?(): Promise<void>;
  /** Stops accepting. Open connections continue. */
  close(): void;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** The descriptor of the network namespace from which to connect. Absent means the process's own namespace. */
  readonly namespaceFd?: number | undefined;
  /** SO_MARK, such as 0x539. */
  readonly mark?: number | undefined;
  /** The local address from which to connect. It may belong to another host (IP_TRANSPARENT). */
  readonly sourceAddress?: string | undefined;
  /** Keepalive probes for the lifetime of the connection. Absent means none. */
  readonly keepalive?: TcpKeepalive | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Called with a function that aborts the attempt. This costs less than a signal. */
  readonly onStart?: (giveUp: (reason: Error) => void) => void;
}
