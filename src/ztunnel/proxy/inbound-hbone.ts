import { LinkedList, messageOf, transientError, unlisted, userError, type Linked } from "../../base/index.ts";
import {
  parseIdentity,
  proxyHeader,
  relay,
  serveHbone,
  type HboneRequest,
  type HboneServerConnection,
} from "../../dataplane/tunnels/index.ts";
import {
  connectTcp,
  forgetAddresses,
  secureServer,
  type ByteStream,
  type SecureStream,
  type SocketAddress,
} from "../../net/index.ts";
import { formatAuthority, parseAuthority, parseForwardedHost, type Authority } from "../../wire/hbone/index.ts";
import { authorize, stillAllowed, type ConnectionFacts } from "../policy/authorize.ts";
import { workloadIdentity, type Service, type Workload } from "../state/model.ts";
import type { ConnectionRecord } from "./connection-record.ts";
import { guessService } from "./guess-service.ts";
import { answerHeaders } from "./workload-baggage.ts";
import {
  connectTimeoutMs,
  isIllegalPort,
  ownWorkload,
  policyTimeoutMs,
  selfCall,
  tooManyConnections,
  type PodContext,
} from "./pod-context.ts";

const certificateTimeoutMs = 30_000;
const handshakeTimeoutMs = 10_000;

interface Target {
  readonly workload: Workload;
  readonly address: string;
  readonly port: number;
  /**
   * The destination that the client requested. It can differ from `address` and `port` if the workload is a waypoint or
   * has an application tunnel.
   */
  readonly requested: SocketAddress;
  readonly service: Service | undefined;
}

interface OpenConnection extends Linked<OpenConnection> {
  readonly connection: HboneServerConnection;
}

/** Accepts HBONE for a pod: mTLS, policy, and the connection to the application from the client's address. */
export class InboundHbone {
  readonly #pod: PodContext;
  readonly #connections = new LinkedList<OpenConnection>();
  #state: "serving" | "draining" | "closed" = "serving";

  constructor(pod: PodContext) {
    this.#pod = pod;
  }

  /** Never throws. Resolves when the TLS connection has ended. */
  async serve(raw: ByteStream): Promise<void> {
    const remote = raw.remote;
    const local = raw.local;
    let stream: SecureStream;
    try {
      stream = await this.#handshake(raw);
    } catch (error) {
      this.#pod.environment.telemetry.denied("destination", remote, local, `tls error: ${messageOf(error)}`);
      raw.destroy();
      return;
    }
    const { clock, telemetry } = this.#pod.environment;
    const connection = serveHbone(stream, {
      onConnect: (request) => void this.#connect(request).catch((error: unknown) => this.#failed(request, error)),
      onCutOff: (reason) => telemetry.cutOff(remote, local, reason),
      clock,
    });
    const open: OpenConnection = { connection, ...unlisted };
    this.#connections.add(open);
    if (this.#state === "draining") connection.drain();
    else if (this.#state === "closed") connection.close();
    await connection.closed;
    this.#connections.remove(open);
  }

  /** Asks peers to open a new connection, which reaches the process that accepts now. Live tunnels continue. */
  drain(): void {
    this.#state = "draining";
    for (const { connection } of this.#connections) connection.drain();
  }

  close(): void {
    this.#state = "closed";
    for (const { connection } of this.#connections) connection.close();
  }

  async #handshake(raw: ByteStream): Promise<SecureStream> {
    const { certificates } = this.#pod.environment;
    const own = await ownWorkload(this.#pod);
    const context = async () =>
      (await certificates.fetch(workloadIdentity(own), AbortSignal.timeout(certificateTimeoutMs))).context;
    const stream = await secureServer(raw, context, {
      alpn: ["h2"],
      ownRecords: true,
      timeoutMs: handshakeTimeoutMs,
      clientCertificate: "require",
    });
    const peer = parseIdentity(stream.peerIdentity);
    if (peer?.trustDomain !== own.trustDomain) {
      stream.destroy();
      throw transientError(
        "peer-identity",
        `the peer "${stream.peerIdentity}" is not in the trust domain ${own.trustDomain}`,
      );
    }
    return stream;
  }

  async #connect(request: HboneRequest): Promise<void> {
    const { telemetry, state, network } = this.#pod.environment;
    let target: Target;
    try {
      const own = ownWorkload(this.#pod);
      target = this.#target(request, own instanceof Promise ? await own : own);
    } catch (error) {
      telemetry.denied("destination", request.remote, request.local, messageOf(error));
      request.reject(error instanceof Error && "code" in error && error.code === "no-port" ? 503 : 400);
      return;
    }
    const record = telemetry.open({
      reporter: "destination",
      sourceAddress: request.remote,
      destinationAddress: request.local,
      hboneTarget: request.authority,
      source: state.workloadByAddress(network, request.remote.address),
      sourceIdentity: request.peerIdentity,
      destination: target.workload,
      service: target.service,
      mutualTls: true,
    });
    await this.#serveTunnel(request, target, record);
  }

  #failed(request: HboneRequest, error: unknown): void {
    this.#pod.environment.log.error("a tunnel failed unexpectedly", {
      authority: request.authority,
      error: messageOf(error),
    });
    request.reject(503);
  }

  async #serveTunnel(request: HboneRequest, target: Target, record: ConnectionRecord): Promise<void> {
    const { state, tracker, limit, clock } = this.#pod.environment;
    const facts: ConnectionFacts = {
      sourceAddress: request.remote.address,
      destinationAddress: target.address,
      destinationPort: target.port,
      sourceIdentity: request.peerIdentity,
    };
    const current = () => state.workloadByUid(target.workload.uid) ?? target.workload;
    const verdict = () => authorize(state, current(), facts);
    if (state.missingPolicy(current()) !== undefined) await state.waitForPolicies(current, policyTimeoutMs, clock);
    const decided = verdict();
    if (!decided.allowed) {
      record.finish(`connection closed due to policy rejection: ${decided.reason}`, "DENY");
      request.reject(401);
      return;
    }
    const abort: { tunnel: (error: Error) => void } = { tunnel: () => request.reject(503) };
    const counted = { destroy: () => abort.tunnel(new Error(tooManyConnections)) };
    const place = limit.admit(counted, this.#pod.uid);
    if (place === undefined) {
      record.finish(tooManyConnections);
      return;
    }
    const tracked = tracker.open(
      {
        pod: this.#pod,
        direction: "inbound",
        protocol: "HBONE",
        source: request.remote,
        destination: { address: target.address, port: target.port },
        hboneTarget: request.authority,
        stillAllowed: () => stillAllowed(verdict()),
      },
      (error) => abort.tunnel(error),
      clock.nowMs(),
    );
    try {
      await this.#relayTunnel(request, target, record, abort);
    } finally {
      place[Symbol.dispose]();
      tracked[Symbol.dispose]();
    }
  }

  async #relayTunnel(
    request: HboneRequest,
    target: Target,
    record: ConnectionRecord,
    abort: { tunnel: (error: Error) => void },
  ): Promise<void> {
    const { workload, requested } = target;
    let application: ByteStream;
    let header: Buffer | undefined;
    try {
      if (workload.applicationTunnel?.protocol === "PROXY")
        header = proxyHeader(request.remote, requested, request.peerIdentity);
      application = await this.#dial(request, target);
    } catch (error) {
      record.finish(`connection failed: ${messageOf(error)}`);
      request.reject(503);
      return;
    }
    try {
      forgetAddresses(application);
      if (header !== undefined) application.write(header);
      const tunnel = request.accept(answerHeaders(workload));
      // Do not assign the function directly: V8 would then move the function, and everything that it refers to, to the
      // old generation.
      const abortTunnel = (reason: Error): void => tunnel.destroy({ reset: true, error: reason });
      abort.tunnel = abortTunnel;
      const { error, failed } = await relay(tunnel, application, {
        onForward: record.onForward,
        onBackward: record.onBackward,
      });
      if (error === undefined) record.finish();
      else record.finish(`${failed === "first" ? "receive" : "send"}: ${messageOf(error)}`);
    } catch (error) {
      // Close the connection to the application here, because no other code does. `abort.tunnel` resets a tunnel that
      // was accepted.
      application.destroy({ reset: true });
      record.finish(messageOf(error));
      abort.tunnel(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    }
  }

  #dial(request: HboneRequest, target: Target): Promise<ByteStream> {
    return connectTcp({
      address: target.address,
      port: target.port,
      mark: this.#pod.environment.mark,
      sourceAddress: this.#pod.itself ? undefined : request.remote.address,
      timeoutMs: connectTimeoutMs,
      onStart: (giveUp) => request.onWithdrawn(giveUp),
      namespaceFd: this.#pod.namespaceFd,
    });
  }

  /** Checks that the CONNECT is for this pod, and returns its final destination. */
  #target(request: HboneRequest, workload: Workload): Target {
    const { state, ports } = this.#pod.environment;
    const authority = parseAuthority(request.authority);
    if (authority === undefined) throw userError("authority-invalid", `invalid CONNECT address ${request.authority}`);
    const forwarded = request.field("forwarded");
    const saidHost = forwarded === undefined ? undefined : parseForwardedHost(forwarded);
    const address = request.local.address;
    const found = authority.isAddress
      ? { port: this.#addressPort(authority, request.local, workload), service: undefined }
      : this.#servicePort(authority, workload);
    if (isIllegalPort(ports, found.port)) throw userError("self-call", selfCall);
    const port = workload.applicationTunnel?.port ?? found.port;
    const requested = authority.isAddress
      ? { address: authority.host, port: authority.port }
      : { address, port: found.port };
    return {
      workload,
      address,
      port,
      requested,
      service: found.service ?? guessService(state, workload, found.port, saidHost),
    };
  }

  #addressPort(authority: Authority, local: SocketAddress, workload: Workload): number {
    const { host, port } = authority;
    if (host === local.address || workload.applicationTunnel !== undefined || this.#isWaypointOf(host, workload, local))
      return port;
    throw userError("authority-invalid", `ip mismatch: ${local.address} != ${host}`);
  }

  /**
   * Whether the address belongs to a service or workload whose waypoint is this workload. A waypoint must accept
   * tunnels to other addresses than its own.
   */
  #isWaypointOf(address: string, workload: Workload, local: SocketAddress): boolean {
    const { state, network } = this.#pod.environment;
    const requested =
      state.workloadByAddress(network, address) ?? state.serviceByVip(network, address, workload.namespace);
    if (requested?.waypoint === undefined) return false;
    const gateway = state.gateway(requested.waypoint, workload.namespace);
    if (gateway?.workload !== undefined) return gateway.workload.workloadIps.includes(local.address);
    return gateway?.service !== undefined && state.endpoints(gateway.service).has(workload.uid);
  }

  #servicePort(authority: Authority, workload: Workload): { readonly port: number; readonly service: Service } {
    const { state } = this.#pod.environment;
    const service = state.serviceByHostname(authority.host, workload.namespace);
    if (service === undefined)
      throw transientError("no-port", `no service or workload for hostname: ${authority.host}`);
    const own = state.endpoints(service).get(workload.uid)?.ports.get(authority.port);
    const port = own ?? service.ports.get(authority.port) ?? 0;
    if (port === 0)
      throw transientError(
        "no-port",
        `requested service ${formatAuthority(authority.host, authority.port)} found, but cannot resolve port`,
      );
    return { port, service };
  }
}
