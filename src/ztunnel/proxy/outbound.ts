import { messageOf, SerinError, type ErrorCode } from "../../base/index.ts";
import { connectWithin, relay, type HboneConnectOptions, type HboneTunnel } from "../../dataplane/tunnels/index.ts";
import {
  connectTcp,
  forgetAddresses,
  isTlsFault,
  originalDestination,
  peerOf,
  type ByteStream,
  type ByteStreamHandler,
  type SocketAddress,
} from "../../net/index.ts";
import { formatForwarded, type Headers } from "../../wire/hbone/index.ts";
import { workloadIdentity, type Workload } from "../state/model.ts";
import type { ConnectionRecord, ResponseFlag } from "./connection-record.ts";
import {
  connectTimeoutMs,
  connectTimeoutWithOthersMs,
  hasLeft,
  isIllegalPort,
  ownWorkload,
  selfCall,
  type PodContext,
} from "./pod-context.ts";
import { isNamed, resolvedRoute, route, type InnerTunnel, type Route } from "./route.ts";
import { newTraceParent } from "./trace-parent.ts";
import { workloadBaggage } from "./workload-baggage.ts";

/** The maximum number of endpoints that one connection tries. */
const maxEndpoints = 3;

/** Serves a connection that the pod's application opens: finds the route and relays the bytes. Never throws. */
export async function serveOutbound(pod: PodContext, client: ByteStream): Promise<void> {
  const { telemetry, tracker, ports, clock } = pod.environment;
  const source = peerOf(client);
  if (hasLeft(source)) return client.destroy();
  const destination = originalDestination({ fd: client.fd, remote: source }) ?? client.local;
  forgetAddresses(client);
  const details = { pod, direction: "outbound", protocol: "TCP", source, destination } as const;
  const tracked = tracker.open(details, (error) => client.destroy({ reset: true, error }), clock.nowMs());
  try {
    client.setHandler(notYet);
    if (isLoopback(destination.address) && isIllegalPort(ports, destination.port)) {
      telemetry.denied("source", source, destination, selfCall);
      client.destroy({ reset: true });
      return;
    }
    let workload: Workload;
    let first: Route;
    try {
      // Await only a promise. Awaiting a known workload would cost a turn of the microtask queue.
      const own = ownWorkload(pod);
      workload = own instanceof Promise ? await own : own;
      first = route({ ...routeInputs(pod), source: workload, destination });
      if (isNamed(first)) first = await resolved(pod, destination, first);
    } catch (error) {
      telemetry.denied("source", source, destination, messageOf(error));
      client.destroy({ reset: true });
      return;
    }
    await connectAndRelay(pod, { client, source, destination, workload }, first);
  } finally {
    tracked[Symbol.dispose]();
  }
}

/** The handler until the route is known. It ignores all events. */
const notYet: ByteStreamHandler = { data() {}, end() {}, drain() {}, close() {} };

async function resolved({ environment, info }: PodContext, destination: SocketAddress, found: Route): Promise<Route> {
  return await resolvedRoute(
    found,
    destination.address,
    async (host) => await environment.dns.addressesOf(host, info, environment.clock.steadyMs()),
  );
}

interface Outgoing {
  readonly client: ByteStream;
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly workload: Workload;
}

function routeInputs(pod: PodContext) {
  const { state, random, ports } = pod.environment;
  return { state, random, hbonePort: ports.hbone };
}

async function connectAndRelay(pod: PodContext, outgoing: Outgoing, first: Route): Promise<void> {
  let tried: Set<string> | undefined;
  let current = first;
  let record = open(pod, outgoing, current);
  for (;;) {
    let server: ByteStream;
    try {
      const isLast = current.hasOthers !== true || (tried?.size ?? 0) + 1 >= maxEndpoints;
      server = await connectNext(pod, outgoing, current, isLast ? connectTimeoutMs : connectTimeoutWithOthersMs);
    } catch (error) {
      // None of the application's bytes have been sent, so another endpoint may be tried.
      tried ??= new Set();
      const next = await otherEndpoint(pod, outgoing, current, tried, error);
      record.finish(failureOf(error, current), flagOf(error, current));
      if (next === undefined) {
        outgoing.client.destroy({ reset: true });
        return;
      }
      current = next;
      record = open(pod, outgoing, current);
      continue;
    }
    await relayRecorded(outgoing.client, server, record);
    return;
  }
}

function open(pod: PodContext, outgoing: Outgoing, next: Route): ConnectionRecord {
  return pod.environment.telemetry.open({
    reporter: "source",
    sourceAddress: outgoing.source,
    destinationAddress: { address: next.address, port: next.port },
    originalDestination: outgoing.destination,
    toWaypoint: next.waypoint,
    hboneTarget: next.authority,
    source: outgoing.workload,
    sourceIdentity: next.protocol === "HBONE" ? workloadIdentity(outgoing.workload) : undefined,
    destination: next.workload,
    service: next.service,
    mutualTls: next.protocol === "HBONE",
  });
}

function connectNext(pod: PodContext, outgoing: Outgoing, next: Route, timeoutMs: number): Promise<ByteStream> {
  const { mark, keepalive } = pod.environment;
  const { address, port, authority, expectedIdentities } = next;
  const { namespaceFd } = pod;
  if (authority === undefined) return connectTcp({ address, port, mark, timeoutMs, namespaceFd, keepalive });
  const options: HboneConnectOptions = {
    sourceIdentity: workloadIdentity(outgoing.workload),
    address,
    port,
    expectedIdentities,
    destinationId: next.workload?.uid,
    mark,
    namespaceFd,
    authority,
    headers: requestHeaders(outgoing, next),
    timeoutMs,
  };
  const tunnel = pod.pool.connect(options);
  return next.within === undefined ? tunnel : connectInner(pod, outgoing, next.within, { options, tunnel });
}

/** Opens the inner tunnel to the endpoint in another network, through the outer tunnel to that network's gateway. */
async function connectInner(
  pod: PodContext,
  outgoing: Outgoing,
  { expectedIdentities }: InnerTunnel,
  outer: { readonly options: HboneConnectOptions; readonly tunnel: Promise<HboneTunnel> },
): Promise<ByteStream> {
  const { sourceIdentity, authority, headers, timeoutMs } = outer.options;
  const origin = ["x-istio-origin-network", outgoing.workload.network] as const;
  return await connectWithin(await outer.tunnel, pod.environment.certificates, {
    sourceIdentity,
    expectedIdentities,
    authority,
    headers: [...headers, origin],
    timeoutMs,
    clock: pod.environment.clock,
  });
}

function requestHeaders(outgoing: Outgoing, next: Route): Headers {
  const { workload, source } = outgoing;
  return [
    ["baggage", workloadBaggage(workload)],
    ["forwarded", formatForwarded(source.address, source.port, next.service?.hostname)],
    ["traceparent", newTraceParent()],
  ];
}

/**
 * Chooses another endpoint of the same service or waypoint. Returns undefined if the failed one was reached, or if
 * there is no other one.
 */
async function otherEndpoint(
  pod: PodContext,
  outgoing: Outgoing,
  failed: Route,
  tried: Set<string>,
  error: unknown,
): Promise<Route | undefined> {
  const mayBeOther = failed.service !== undefined || failed.waypoint === true;
  if (!mayBeOther || failed.workload === undefined || !wasNotReached(error)) return undefined;
  tried.add(failed.within?.endpointUid ?? failed.workload.uid);
  if (tried.size >= maxEndpoints) return undefined;
  try {
    return await resolved(
      pod,
      outgoing.destination,
      route({ ...routeInputs(pod), source: outgoing.workload, destination: outgoing.destination, tried }),
    );
  } catch {
    return undefined;
  }
}

/**
 * Whether the connection did not reach its application. A peer answers CONNECT with status 503 if it could not reach
 * the application or had no room for a connection. Any other status means that the endpoint was reached and refused the
 * request.
 */
function wasNotReached(error: unknown): boolean {
  if (!(error instanceof SerinError) || error.kind !== "transient" || error.code === "aborted") return false;
  return error.code !== "http-status" || error.reason === "503";
}

export async function relayRecorded(client: ByteStream, server: ByteStream, record: ConnectionRecord): Promise<void> {
  const { onForward, onBackward } = record;
  const { error, failed } = await relay(client, server, { onForward, onBackward });
  if (error === undefined) record.finish();
  else record.finish(`${failed === "first" ? "receive" : "send"}: ${messageOf(error)}`);
}

/**
 * Returns the error in upstream's words. If an HBONE port does not answer, a NetworkPolicy is the most frequent cause.
 */
function failureOf(error: unknown, next: Route): string {
  if (!(error instanceof SerinError)) return messageOf(error);
  if (next.protocol === "HBONE" && error.code === "timeout") {
    return `connection timed out, maybe a NetworkPolicy is blocking HBONE port ${next.port}: ${error.message}`;
  }
  return flagOf(error, next) === "CONNECT" && error.code !== "http-status"
    ? `connection failed: ${error.message}`
    : error.message;
}

const flagsByCode: Readonly<Partial<Record<ErrorCode, ResponseFlag>>> = {
  "certificate-forgotten": "IDENTITY_ERROR",
  "certificate-refused": "IDENTITY_ERROR",
  "certificate-wait": "IDENTITY_ERROR",
  "http-status": "H2_HANDSHAKE_FAILURE",
  "http2-failed": "H2_HANDSHAKE_FAILURE",
  "peer-identity": "TLS_FAILURE",
  "tls-failed": "TLS_FAILURE",
  "tls-material-invalid": "TLS_FAILURE",
};

export function flagOf(error: unknown, next: Pick<Route, "protocol">): ResponseFlag {
  if (!(error instanceof SerinError)) return "CONNECT";
  if (error.code === "timeout" && next.protocol === "HBONE") return "NETWORK_POLICY";
  return flagsByCode[error.code] ?? (isTlsFault(error) ? "TLS_FAILURE" : "CONNECT");
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
