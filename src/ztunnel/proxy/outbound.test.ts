import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock, transientError } from "../../base/index.ts";
import { ConnectionTracker } from "../../dataplane/index.ts";
import { connectTcp, listenTcp, networkError, type SocketAddress } from "../../net/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { MeshState } from "../state/mesh-state.ts";
import { ConnectionTelemetry } from "./connection-record.ts";
import { flagOf, serveOutbound } from "./outbound.ts";
import type { LiveConnection, PodContext } from "./pod-context.ts";

test("the flag of a failed connection comes from the error's code", () => {
  const hbone = { protocol: "HBONE" } as const;
  const tcp = { protocol: "TCP" } as const;
  const expired = networkError("connect", Object.assign(new Error("no"), { code: "CERT_HAS_EXPIRED" }));
  assert.deepEqual(
    [
      flagOf(transientError("certificate-wait", "no"), hbone),
      flagOf(transientError("http2-failed", "no"), hbone),
      flagOf(transientError("http-status", "503"), hbone),
      flagOf(transientError("peer-identity", "no"), hbone),
      flagOf(expired, hbone),
      flagOf(transientError("timeout", "no"), hbone),
      flagOf(transientError("timeout", "TLS is only a word here"), tcp),
      flagOf(new Error("no"), tcp),
    ],
    [
      "IDENTITY_ERROR",
      "H2_HANDSHAKE_FAILURE",
      "H2_HANDSHAKE_FAILURE",
      "TLS_FAILURE",
      "TLS_FAILURE",
      "NETWORK_POLICY",
      "CONNECT",
      "CONNECT",
    ],
  );
});

/** A service with the endpoints a and b. Only b answers. CONNECT to a fails with this status. */
async function connectWithStatus(status: number): Promise<{ readonly answer: string; readonly tried: string[] }> {
  const log = createLogger({ scope: "ztunnel", level: "error", write: () => undefined });
  const state = new MeshState();
  const tried: string[] = [];
  const application = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    stream.resume();
    stream.write(Buffer.from("hello"));
    stream.end();
  });
  const pool = {
    connect: async ({ address }: { readonly address: string }) => {
      tried.push(address);
      if (address === "10.1.0.2")
        throw transientError("http-status", `http status: ${status}`, { reason: String(status) });
      return await connectTcp({ ...application.address, timeoutMs: 5_000 });
    },
  };
  const environment = {
    state,
    telemetry: new ConnectionTelemetry(new MetricsRegistry(), log, systemClock),
    tracker: new ConnectionTracker<LiveConnection>({ log }),
    clock: systemClock,
    random: () => 0,
    ports: { outbound: 15_001, inboundPlaintext: 15_006, hbone: 15_008, dns: 15_053 },
    mark: 0,
    network: "",
  };
  const info = { name: "client", namespace: "default", serviceAccount: "client" };
  const pod = {
    environment,
    uid: "client",
    info,
    namespaceFd: undefined,
    itself: false,
    pool,
  } as unknown as PodContext;
  const outbound = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => void serveOutbound(pod, stream));
  const endpoint = (name: string, address: string): string =>
    `- {uid: "c//Pod/default/${name}", name: ${name}, namespace: default, serviceAccount: ${name}, workloadIps: ["${address}"], protocol: HBONE, services: {default/echo.local: {80: 8080}}}`;
  const vip = outbound.address;
  parseLocalConfig(
    `
workloads:
- {uid: "c//Pod/default/client", name: client, namespace: default, serviceAccount: client, workloadIps: ["10.1.0.1"]}
${endpoint("a", "10.1.0.2")}
${endpoint("b", "10.1.0.3")}
services:
- {name: echo, namespace: default, hostname: echo.local, vips: ["/${vip.address}"], ports: {${vip.port}: 8080, 80: 8080}}
`,
    state,
  );
  try {
    return { answer: await readWhole(vip), tried };
  } finally {
    outbound.close();
    application.close();
  }
}

/** Everything that a server sends. The reset may arrive before the client notices that it is connected. */
async function readWhole(address: SocketAddress): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = "";
  try {
    const client = await connectTcp({ ...address, timeoutMs: 5_000 });
    client.setHandler({
      data: (chunk) => void (answer += chunk.toString()),
      end: () => client.end(),
      drain() {},
      close: (error) => resolve(error === undefined ? answer : "reset"),
    });
    client.resume();
  } catch {
    return "reset";
  }
  return await promise;
}

test("a connection goes to another endpoint if the first one's ztunnel cannot reach its application, and not if it refuses", async () => {
  assert.deepEqual(await connectWithStatus(503), { answer: "hello", tried: ["10.1.0.2", "10.1.0.3"] });
  for (const status of [400, 401, 404])
    assert.deepEqual(await connectWithStatus(status), { answer: "reset", tried: ["10.1.0.2"] }, String(status));
});
