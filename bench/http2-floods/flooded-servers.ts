// Serin's HTTP/2 servers that strangers can connect to. Each is one process, which counts its connections and measures
// its cost.
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { GrpcServer, grpcStatus, unaryMethod } from "../../src/controlplane/serve/grpc/index.ts";
import { serveHbone } from "../../src/dataplane/index.ts";
import { listenTcp, type ByteStream, type SecureStream } from "../../src/net/index.ts";
import { forwardTo, Harness, route, tableOf } from "../../src/proxy/testing/harness.ts";
import {
  streamAttacks,
  streamsAboveLimit,
  type Attack,
  type AttackingRequests,
} from "../../src/proxy/testing/http2-flooder.ts";
import { hpackEncode } from "../../src/wire/http2/index.ts";

/** The time that each server, or its upstream, takes for an answer. */
export const answerMs = 5;
const sweepMs = 1000;
const maxRequestBytes = 65_536;
const maxFrameBytes = 16_384;
const grpcPath = "/bench.Service/Echo";
const peerIdentity = "spiffe://cluster.local/ns/default/sa/bench";

export interface RunningServer {
  readonly port: number;
  readonly upstreamConnections: () => number;
}

export interface HonestRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** The ports of two servers that answer HTTP/1.1. */
export interface Upstreams {
  readonly attackedPort: number;
  readonly honestPort: number;
}

export interface FloodedServer {
  start(upstreams: Upstreams): Promise<RunningServer>;
  /** A request that the server answers with status 200. */
  readonly honest: HonestRequest;
  readonly attacks: ReadonlyMap<string, Attack>;
}

const honestPath = "/honest";

async function startGateway({ attackedPort, honestPort }: Upstreams): Promise<RunningServer> {
  const harness = await Harness.start();
  const cluster = harness.cluster("attacked", [attackedPort], { maxConnections: 1024 });
  harness.cluster("honest", [honestPort]);
  harness.table = tableOf(
    route(forwardTo("honest"), { matches: ({ path }) => path === honestPath }),
    route(forwardTo("attacked")),
  );
  setInterval(() => {
    harness.records.length = 0;
    harness.finished.length = 0;
    harness.listener.sweep();
    for (const endpoint of cluster.endpoints()) endpoint.sweep(performance.now());
  }, sweepMs);
  const upstreamConnections = (): number =>
    [...cluster.endpoints()].reduce((sum, { openConnections }) => sum + openConnections, 0);
  return { port: harness.port, upstreamConnections };
}

/** Skips TLS, because its handshakes would cost more than what is measured. */
function asSecure(stream: ByteStream): SecureStream {
  return Object.defineProperties(stream, {
    peerIdentity: { value: peerIdentity },
    alpnProtocol: { value: "h2" },
  }) as SecureStream;
}

/** Accepts each tunnel, and ends it with the received bytes. */
async function startTunnels(): Promise<RunningServer> {
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (connection) => {
    serveHbone(asSecure(connection), {
      onConnect: (request) => {
        const accepted = setTimeout(() => {
          const tunnel = request.accept();
          tunnel.setHandler({
            data: (chunk) => void tunnel.write(chunk),
            end: () => tunnel.end(),
            drain: () => undefined,
            close: () => undefined,
          });
          tunnel.resume();
        }, answerMs);
        request.onWithdrawn(() => clearTimeout(accepted));
      },
    });
  });
  return { port: listener.address.port, upstreamConnections: () => 0 };
}

async function startDiscovery(): Promise<RunningServer> {
  const echo = unaryMethod({
    answer: async (request) => {
      await new Promise((resolve) => setTimeout(resolve, answerMs));
      return request;
    },
    statusOf: () => ({ status: grpcStatus.invalidArgument, message: "not a request" }),
    clock: systemClock,
  });
  const server = new GrpcServer({
    methods: new Map([[grpcPath, echo]]),
    maxRequestBytes,
    clock: systemClock,
    log: silentLogger,
  });
  return { port: await server.listen("127.0.0.1", 0), upstreamConnections: () => 0 };
}

const connectFields = [":method", "CONNECT", ":authority", "10.0.0.1:80"];
const grpcFields = [":method", "POST", ":scheme", "http", ":path", grpcPath, ":authority", "istiod"].concat([
  "content-type",
  "application/grpc",
  "te",
  "trailers",
]);
const forbidden = ["connection", "close"];
/** A gRPC message of one byte. It consists of a flag, the length and the byte. */
const grpcMessage = Buffer.from([0, 0, 0, 0, 1, 120]);

function attacksBy(requests?: AttackingRequests): ReadonlyMap<string, Attack> {
  return new Map([...streamAttacks(requests), ["streams above the limit", streamsAboveLimit(requests)]]);
}

export const floodedServers = {
  gateway: { start: startGateway, honest: { headers: { ":path": honestPath } }, attacks: attacksBy() },
  hbone: {
    start: startTunnels,
    honest: { headers: { ":method": "CONNECT", ":authority": "10.0.0.1:80" }, body: Buffer.from("x") },
    attacks: attacksBy({
      whole: (writer, id) => writer.headers(id, hpackEncode(connectFields), true, maxFrameBytes),
      unfinished: hpackEncode(connectFields),
      malformed: hpackEncode([...connectFields, ...forbidden]),
    }),
  },
  discovery: {
    start: startDiscovery,
    honest: {
      headers: { ":method": "POST", ":path": grpcPath, "content-type": "application/grpc", te: "trailers" },
      body: grpcMessage,
    },
    attacks: attacksBy({
      whole: (writer, id) => {
        writer.headers(id, hpackEncode(grpcFields), false, maxFrameBytes);
        writer.data(id, grpcMessage, 0, grpcMessage.length, true);
      },
      unfinished: hpackEncode(grpcFields),
      malformed: hpackEncode([...grpcFields, ...forbidden]),
    }),
  },
} as const satisfies Readonly<Record<string, FloodedServer>>;
