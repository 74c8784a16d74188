import { Agent as HttpsAgent, type AgentOptions } from "node:https";
import type { Duplex, Readable } from "node:stream";
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type ConnectionOptions,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { afterRunning, messageOf, onAbort, SerinError, transientError, userError } from "../base/index.ts";
import type { ClientCertificate } from "./credential-plugin.ts";
import type { RequestHeaders } from "./credentials.ts";
import { ForwardProxyFault, tunnelThrough } from "./forward-proxy.ts";
import type { KubeConfig } from "./kube-config.ts";
import { serverAddress } from "./server-address.ts";

export interface Transport {
  /**
   * Resolves when the response's headers have arrived. Rejects with a transient error if the server cannot be reached.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Uses new connections for later requests, because the client certificate has changed. Open requests continue. */
  renew(): void;
  close(): void;
}

export interface TransportRequest {
  readonly method: string;
  /** The path with the query string. */
  readonly path: string;
  readonly headers: RequestHeaders;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The response's body. The caller must consume or destroy it. It fails if the connection breaks early. */
  readonly body: Readable;
}

const connectTimeoutMs = 10_000;

/**
 * Calls `late` when connecting takes too long. Time during which this process was busy counts only partly, so that a
 * process that loads code on a busy machine does not give up a connection that is ready.
 */
export function limitConnecting(late: (problem: Error) => void, what: string): Disposable {
  return afterRunning(connectTimeoutMs, () => late(new Error(`no ${what} within ${connectTimeoutMs / 1000} s`)));
}

function tlsOptionsOf(config: KubeConfig, certificate: ClientCertificate | undefined): ConnectionOptions {
  const { host, port } = serverAddress(new URL(config.server));
  const isAddress = /^[\d.]+$|:/.test(host);
  const serverName = config.tlsServerName ?? (isAddress ? undefined : host);
  return {
    host,
    port,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(config.insecure === true ? { rejectUnauthorized: false } : {}),
    secureContext: secureContextOf(config, certificate),
  };
}

/**
 * The root certificates of this machine, which kubectl also uses. Node.js' own list lacks those that a company has
 * added.
 */
function systemRoots(): string[] {
  return [...getCACertificates("default"), ...getCACertificates("system")];
}

/**
 * The TLS context with the system's roots. It is cached, because reading more than a hundred certificates takes a tenth
 * of a second.
 */
let systemTrust: SecureContext | undefined;

/** Creates the TLS context. Throws a user error if a PEM is invalid, or if the key does not fit the certificate. */
function secureContextOf({ ca, context }: KubeConfig, certificate: ClientCertificate | undefined): SecureContext {
  if (ca === undefined && certificate === undefined)
    return (systemTrust ??= createSecureContext({ ca: systemRoots() }));
  try {
    return createSecureContext({
      ca: ca ?? systemRoots(),
      ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }),
    });
  } catch (error) {
    const what = `the certificates of context "${context}" cannot be used: ${messageOf(error)}`;
    throw userError("kubeconfig-invalid", what, {
      cause: error,
      hint: "the client's certificate, its key and the certificate authority must be PEM, and the key must belong to the certificate",
    });
  }
}

/** Opens a TLS connection to the server, through its proxy if it has one. */
export async function dialTls(
  config: KubeConfig,
  certificate: ClientCertificate | undefined,
  protocols: readonly string[],
): Promise<TLSSocket> {
  const late = new AbortController();
  using _limit = limitConnecting((problem) => late.abort(problem), "TLS handshake");
  try {
    const { proxy } = config;
    const tunnel =
      proxy === undefined ? undefined : await tunnelThrough(proxy, serverAddress(new URL(config.server)), late.signal);
    const options = { ...tlsOptionsOf(config, certificate), ALPNProtocols: [...protocols] };
    return await handshake(connectTls(tunnel === undefined ? options : { ...options, socket: tunnel }), late.signal);
  } catch (error) {
    throw unreachable(config, late.signal.aborted ? late.signal.reason : error);
  }
}

async function handshake(socket: TLSSocket, signal: AbortSignal): Promise<TLSSocket> {
  socket.setNoDelay(true);
  using _abort = onAbort(signal, () => void socket.destroy(signal.reason as Error));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", () => resolve());
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the connection was closed during the TLS handshake")));
    });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Creates an agent of `node:https` for the server, with its TLS settings, its proxy and the client certificate. */
export function serverAgent(
  config: KubeConfig,
  certificate: ClientCertificate | undefined,
  options: AgentOptions = {},
): HttpsAgent {
  return config.proxy === undefined
    ? new HttpsAgent({ ...options, ...tlsOptionsOf(config, certificate) })
    : new ProxyAgent(config, certificate, options);
}

/** Connects through the proxy. `maxSockets` does not limit connections that are still being established. */
class ProxyAgent extends HttpsAgent {
  readonly #config: KubeConfig;
  readonly #certificate: ClientCertificate | undefined;

  constructor(config: KubeConfig, certificate: ClientCertificate | undefined, options: AgentOptions = {}) {
    super(options);
    this.#config = config;
    this.#certificate = certificate;
  }

  override createConnection(_options: object, done?: (error: Error | null, socket: Duplex) => void): undefined {
    dialTls(this.#config, this.#certificate, ["http/1.1"]).then(
      (socket) => done?.(null, socket),
      (error: unknown) => done?.(error as Error, undefined as unknown as Duplex),
    );
  }
}

const trustErrors = /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|CERT_|ERR_TLS_CERT)/;

export function unreachable(config: KubeConfig, cause: unknown): SerinError {
  if (cause instanceof SerinError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const context = `the context "${config.context}"`;
  const hint =
    cause instanceof ForwardProxyFault
      ? `check the proxy of ${context} (proxy-url in the kubeconfig, or else HTTPS_PROXY and NO_PROXY in the environment), and that the API server runs`
      : hintFor(code, context);
  return transientError("unreachable", `cannot reach the API server at ${config.server}`, { cause, hint });
}

function hintFor(code: string, context: string): string {
  if (trustErrors.test(code))
    return `the server's certificate is not trusted by the certificate authority of ${context} in the kubeconfig`;
  return code === "ERR_SSL_WRONG_VERSION_NUMBER"
    ? `the server answers without TLS: check the address and the port of ${context} in the kubeconfig`
    : `check that the API server of ${context} runs`;
}

/** The error for a body that exceeds the maximum size. */
export class TooLong extends Error {}

/**
 * Reads a whole body by its events. An iterator would not work: that of an HTTP/2 stream fails once the exchange has
 * ended, even if nobody has read the response yet. This happens with short responses of a busy API server.
 */
export async function wholeBody(body: Readable, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      body.on("error", reject);
      body.on("close", () => {
        if (!body.readableEnded) reject(new Error("the connection was closed in the middle of the answer"));
      });
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
