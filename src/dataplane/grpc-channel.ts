import { readFile } from "node:fs/promises";
import type * as Grpc from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions, Client, Metadata } from "@grpc/grpc-js";
import {
  Backoff,
  loadPackage,
  messageOf,
  onAbort,
  transientError,
  userError,
  type Clock,
  type Random,
} from "../base/index.ts";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import { TlsContext } from "../net/index.ts";

/** The endpoint of a control plane, and the client's credentials. The files are read again for each connection. */
export interface ControlPlaneEndpoint {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
  /** The PEM file with the roots. If it is absent, the system's roots apply. */
  readonly rootCertificateFile?: string;
  /** The file with the service account token, which is sent as a bearer token. */
  readonly tokenFile?: string;
  /** Additional headers, such as `clusterid`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The name to verify in the server's certificate in place of the URL's host. */
  readonly serverName?: string;
  /** The policy that limits the connection's TLS versions, ciphers and curves. */
  readonly compliance?: CompliancePolicy | undefined;
}

/** The gRPC library, loaded with the first connection. It takes megabytes, and a data plane's workers never connect. */
let library: typeof Grpc | undefined;
const grpc = (): typeof Grpc => (library ??= loadPackage<typeof Grpc>("@grpc/grpc-js"));

/** The maximum size of a response in bytes. 6,000 resources take about 3 MB. */
const maxMessageBytes = 256 * 1_048_576;

/**
 * The delay before a further connection is opened in parallel with those that are not established yet, as in RFC 8305.
 *
 * kube-proxy may send a connection to an istiod that has just ended. The kernel then repeats its SYN to the same dead
 * address for two minutes, but a new connection is balanced anew. Each delay is up to twice the previous one. So a
 * control plane that is slow under load gets only a few more connections, spread over time.
 */
const nextConnectionMs = { initialMs: 500, maxMs: 2_000 } as const;
/** The maximum number of connections that one attempt opens. */
const maxConnections = 4;

export interface ConnectOptions {
  /** The time limit for name lookups, TCP connections and TLS handshakes together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/**
 * Connects to an endpoint. If a connection is not established after a moment, more connections are opened in parallel.
 * The first established connection is used, and the others are closed. If all of them fail, this returns a client whose
 * calls fail with the reason. Rejects if none is established or failed within `timeoutMs`. The caller closes the
 * client.
 */
export async function connectChannel(endpoint: ControlPlaneEndpoint, options: ConnectOptions): Promise<Client> {
  return await new ConnectionRace(endpoint, options).run();
}

class ConnectionRace {
  readonly #endpoint: ControlPlaneEndpoint;
  readonly #options: ConnectOptions;
  readonly #pace: Backoff;
  readonly #outcome = Promise.withResolvers<Client>();
  readonly #connecting = new Set<Dialing>();
  #begun = 1;
  #next: Disposable | undefined;
  #isOver = false;

  constructor(endpoint: ControlPlaneEndpoint, options: ConnectOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#pace = new Backoff({ ...nextConnectionMs, random: options.random });
  }

  async run(): Promise<Client> {
    const { clock, timeoutMs, signal } = this.#options;
    const first = await openChannel(this.#endpoint);
    using _timer = clock.after(timeoutMs, () => this.#fail(this.#unreachable()));
    using _abort = onAbort(signal, () =>
      this.#fail(transientError("cancelled", "the connection is not needed any more")),
    );
    try {
      void this.#follow(first);
      this.#schedule();
      return await this.#outcome.promise;
    } finally {
      this.#next?.[Symbol.dispose]();
      // End the other attempts here, because a frozen peer never closes their sockets.
      for (const dialing of this.#connecting) dialing.end();
    }
  }

  #fail(error: Error): void {
    this.#isOver = true;
    this.#outcome.reject(error);
  }

  #schedule(): void {
    if (this.#isOver || this.#begun >= maxConnections) return;
    this.#next = this.#options.clock.after(this.#pace.nextMs(), () => void this.#begin());
  }

  async #begin(): Promise<void> {
    this.#begun += 1;
    this.#schedule();
    try {
      const dialing = await openChannel(this.#endpoint);
      if (this.#isOver) dialing.end();
      else await this.#follow(dialing);
    } catch {
      // Ignore the error: the credential files are being replaced, and another connection attempt is under way.
    }
  }

  /** Uses the client if it is the first one with a connection, or if all attempts have failed. Otherwise ends it. */
  async #follow(dialing: Dialing): Promise<void> {
    this.#connecting.add(dialing);
    const isThere = await becomesReady(dialing.client);
    this.#connecting.delete(dialing);
    if (!this.#isOver && (isThere || this.#connecting.size === 0)) {
      this.#isOver = true;
      this.#outcome.resolve(dialing.client);
    } else dialing.end();
  }

  #unreachable(): Error {
    return transientError(
      "control-plane-unreachable",
      `no connection to the control plane ${this.#endpoint.url} within ${this.#options.timeoutMs / 1000} s; trying again`,
      { hint: "check that istiod runs and that this node reaches its Service" },
    );
  }
}

/** Waits until the client's attempt to connect ends. Returns whether it has a connection. */
async function becomesReady(client: Client): Promise<boolean> {
  const { READY, SHUTDOWN, TRANSIENT_FAILURE } = grpc().connectivityState;
  const channel = client.getChannel();
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === READY) return true;
    if (state === TRANSIENT_FAILURE || state === SHUTDOWN) return false;
    await new Promise<void>((resolve) => channel.watchConnectivityState(state, Infinity, () => resolve()));
  }
}

interface Dialing {
  readonly client: Client;
  /** Closes the client and its sockets, even during a handshake. */
  readonly end: () => void;
}

/**
 * Creates a gRPC client for an endpoint. Each call resolves the name and reads the roots again, so that the client
 * finds a control plane that has moved.
 */
async function openChannel(endpoint: ControlPlaneEndpoint): Promise<Dialing> {
  const url = new URL(endpoint.url);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw userError(
      "address-invalid",
      `the control plane's address must be an http or https URL, got "${endpoint.url}"`,
    );
  }
  const secure = url.protocol === "https:";
  const options: ChannelOptions = {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    // Each client has its own connections, so a new client resolves the name again.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    ...(endpoint.serverName === undefined
      ? {}
      : { "grpc.ssl_target_name_override": endpoint.serverName, "grpc.default_authority": endpoint.serverName }),
  };
  const roots =
    secure && endpoint.rootCertificateFile !== undefined
      ? await read(endpoint.rootCertificateFile, "root certificate")
      : null;
  const port = url.port === "" ? (secure ? "443" : "80") : url.port;
  const { credentials, endSockets } = withSockets(
    secure ? secureCredentials(roots, endpoint.compliance) : grpc().credentials.createInsecure(),
    (error) => explained(error, endpoint),
  );
  const client = new (grpc().Client)(`${url.hostname}:${port}`, credentials, options);
  return {
    client,
    end: () => {
      client.close();
      endSockets();
    },
  };
}

/** Node's codes of a certificate that no known root has signed. */
const untrusted = new Set([
  "CERT_SIGNATURE_FAILURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/**
 * Adds to the error which roots do not match the control plane's certificate, and that a new root arrives by itself.
 */
function explained(error: unknown, { rootCertificateFile }: ControlPlaneEndpoint): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!untrusted.has(code)) return error;
  // The gRPC library drops the hint of an error, so the message contains it.
  const message =
    rootCertificateFile === undefined
      ? "the control plane's certificate comes from none of the system's roots"
      : `the control plane's certificate comes from no root in ${rootCertificateFile}; if the mesh's root has changed, the kubelet writes the new one to that file within two minutes`;
  return transientError("tls-failed", message, { cause: error, reason: code });
}

/**
 * Wraps credentials so that the sockets of their handshakes can be ended. The library's own `close` leaves a socket
 * open while its handshake has no answer, until the peer closes it. `explain` converts the error of a failed handshake.
 */
function withSockets(
  credentials: ChannelCredentials,
  explain: (error: unknown) => unknown,
): {
  readonly credentials: ChannelCredentials;
  readonly endSockets: () => void;
} {
  const end = new AbortController();
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...given) => {
    const connector = create(...given);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      if (end.signal.aborted) throw transientError("cancelled", "the connection is not needed any more");
      const registration = onAbort(end.signal, () => socket.destroy());
      socket.once("close", () => registration[Symbol.dispose]());
      try {
        return await connect(socket);
      } catch (error) {
        throw explain(error);
      }
    };
    return connector;
  };
  return { credentials, endSockets: () => end.abort() };
}

function secureCredentials(roots: Buffer | null, compliance: CompliancePolicy | undefined): ChannelCredentials {
  const { credentials } = grpc();
  if (compliance === undefined) return credentials.createSsl(roots);
  const context = TlsContext.create({ ...(roots === null ? {} : { roots: roots.toString("utf8") }), compliance });
  return credentials.createFromSecureContext(context.secureContext);
}

/** Returns the headers of a call: the bearer token, and the endpoint's additional headers. */
export async function callMetadata(endpoint: ControlPlaneEndpoint): Promise<Metadata> {
  const metadata = new (grpc().Metadata)();
  if (endpoint.tokenFile !== undefined) {
    const token = await read(endpoint.tokenFile, "token");
    metadata.set("authorization", `Bearer ${token.toString("utf8").trim()}`);
  }
  for (const [name, value] of Object.entries(endpoint.headers)) metadata.set(name, value);
  return metadata;
}

async function read(path: string, noun: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw transientError("file-unreadable", `cannot read the ${noun} file ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: "check that the volume is mounted",
    });
  }
}
