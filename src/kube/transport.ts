import type { Readable } from "node:stream";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { transientError, type SerinError } from "../base/index.ts";
import type { KubeConfig } from "./kube-config.ts";

/** HTTP exchanges with an API server, over any HTTP version. */
export interface Transport {
  /** Resolves with the head. Rejects with a transient error if the server cannot be reached. */
  send(request: TransportRequest): Promise<TransportResponse>;
  close(): void;
}

export interface TransportRequest {
  readonly method: string;
  /** Includes the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Must be consumed or destroyed. Fails if the connection breaks early. */
  readonly body: Readable;
}

export const connectTimeoutMs = 10_000;

export function tlsOptionsOf(config: KubeConfig): ConnectionOptions {
  const url = new URL(config.server);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const isAddress = /^[\d.]+$|:/.test(host);
  const serverName = config.tlsServerName ?? (isAddress ? undefined : host);
  return {
    host,
    port: url.port === "" ? 443 : Number(url.port),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    ...(config.insecure === true ? { rejectUnauthorized: false } : {}),
    ...(config.clientCertificate === undefined
      ? {}
      : { cert: config.clientCertificate.certificate, key: config.clientCertificate.key }),
  };
}

export async function dialTls(config: KubeConfig, protocols: string[]): Promise<TLSSocket> {
  const socket = connectTls({ ...tlsOptionsOf(config), ALPNProtocols: protocols });
  socket.setNoDelay(true);
  const timer = setTimeout(
    () => socket.destroy(new Error(`no TLS handshake within ${connectTimeoutMs} ms`)),
    connectTimeoutMs,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", () => resolve());
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the connection was closed during the TLS handshake")));
    });
    return socket;
  } catch (error) {
    socket.destroy();
    throw unreachable(config, error);
  } finally {
    clearTimeout(timer);
  }
}

const trustErrors = /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|CERT_|ERR_TLS_CERT)/;

export function unreachable(config: KubeConfig, cause: unknown): SerinError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const hint = trustErrors.test(code)
    ? `the server's certificate is not trusted by the kubeconfig's certificate authority (context "${config.context}")`
    : config.proxyUrl === undefined
      ? `check that the API server of the context "${config.context}" runs`
      : `Serin does not use the proxy-url of the context "${config.context}": run kubectl proxy, and use a kubeconfig whose server is http://127.0.0.1:8001`;
  return transientError("unreachable", `cannot reach the API server at ${config.server}`, { cause, hint });
}

/** The error for a body that is longer than the reader accepts. */
export class TooLong extends Error {}

/**
 * Reads by events, because an iterator of an HTTP/2 stream fails once the exchange has ended, even if the whole answer
 * still waits to be read. A busy API server sends short answers in that way.
 */
export async function wholeBody(body: Readable, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      body.on("error", reject);
      body.on("close", () => reject(new Error("the connection was closed in the middle of the answer")));
      body.on("end", resolve);
      if (body.destroyed) reject(new Error("the connection was closed before the answer was read"));
      body.on("data", (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > maxBytes) reject(new TooLong());
      });
    });
  } catch (error) {
    body.destroy();
    throw error;
  }
  return Buffer.concat(parts, size);
}
