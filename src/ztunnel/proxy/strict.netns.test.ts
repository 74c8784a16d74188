import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLimit, createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CertificateManager, ConnectionTracker, FakeCertificateAuthority } from "../../dataplane/index.ts";
import { connectTcp, listenTcp, listenTcpInNamespace, NetworkNamespace } from "../../net/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { DnsResolver } from "../dns/dns-resolver.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { noChange } from "../state/mesh-change.ts";
import { MeshState } from "../state/mesh-state.ts";
import type { AuthorizationPolicy } from "../state/model.ts";
import { clientAddress, podPair, probeAddress, serverAddress } from "../testing/pod-pair.ts";
import { ConnectionTelemetry } from "./connection-record.ts";
import { IdentityUsers } from "./identity-users.ts";
import type { LiveConnection, ProxyEnvironment } from "./pod-context.ts";
import { PodProxy } from "./pod-proxy.ts";
import { echo, requireOwnNetwork } from "../../net/testing/index.ts";

requireOwnNetwork();

const strictKey = "istio-system/istio_converted_static_strict";
/** The policy that a control plane sends for STRICT. */
const strict: AuthorizationPolicy = parsed(
  `policies: [{name: istio_converted_static_strict, namespace: istio-system, scope: WorkloadSelector, action: Deny, rules: [[[{notPrincipals: [{Presence: null}]}]]]}]`,
);

function parsed(text: string): AuthorizationPolicy {
  const state = new MeshState();
  parseLocalConfig(text, state);
  return state.policies()[0] ?? assert.fail();
}

const workload = (policies: string, more = ""): string =>
  `workloads: [{uid: "c//Pod/default/server", name: server, namespace: default, serviceAccount: server, workloadIps: ["${serverAddress}"], protocol: HBONE, authorizationPolicies: [${policies}]${more}}]`;

/** A server's pod with its ztunnel, and a client that is in no mesh. */
async function strictPod(policies: string) {
  const pods = podPair({ outsider: true });
  const lines: string[] = [];
  const log = createLogger({ scope: "ztunnel", level: "info", write: (line) => void lines.push(line) });
  const state = new MeshState();
  parseLocalConfig(workload(policies), state);
  const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log });
  const env: ProxyEnvironment = {
    state,
    certificates,
    identities: new IdentityUsers(certificates),
    telemetry: new ConnectionTelemetry(new MetricsRegistry(), log, systemClock),
    tracker: new ConnectionTracker<LiveConnection>({ log }),
    limit: new ConnectionLimit(1000),
    log,
    clock: systemClock,
    random: () => 0.5,
    mark: 0x539,
    ports: { outbound: 15_001, inboundPlaintext: 15_006, hbone: 15_008, dns: 15_053 },
    network: "",
    dns: new DnsResolver({ state, network: "", domain: "cluster.local", nameservers: [], log, random: () => 0.5 }),
  };
  const namespaceFd = NetworkNamespace.open(`/proc/self/fd/${pods.server.fd}`).fd;
  const info = { name: "server", namespace: "default", serviceAccount: "server" };
  const proxy = new PodProxy({ environment: env, uid: "server", info, namespaceFd, listeners: [] });
  await proxy.start();
  const reached: string[] = [];
  const app = await listenTcp(
    { fd: listenTcpInNamespace(pods.server.fd, { address: "0.0.0.0", port: 8080 }) },
    (stream) => {
      reached.push(stream.remote.address);
      echo(stream);
      stream.write(Buffer.from("hello\n"));
    },
  );
  return {
    pods,
    env,
    lines,
    reached,
    close: () => {
      proxy.close();
      app.close();
      certificates.close();
      pods.close();
    },
  };
}

/**
 * Connects in plain text. Returns what the client received until the connection closed or the server's greeting came.
 */
async function speakPlainly(
  namespace: NetworkNamespace,
  port: number,
  sourceAddress?: string,
): Promise<{ readonly text: string; readonly closed: Promise<void>; destroy(): void }> {
  const stream = await connectTcp({
    address: serverAddress,
    port,
    namespaceFd: namespace.fd,
    timeoutMs: 5000,
    ...(sourceAddress === undefined ? {} : { sourceAddress }),
  });
  let text = "";
  const closed = Promise.withResolvers<void>();
  const greeted = Promise.withResolvers<void>();
  stream.setHandler({
    data: (chunk) => {
      text += chunk.toString();
      if (text.includes("\n")) greeted.resolve();
    },
    end: () => stream.end(),
    drain() {},
    close: () => closed.resolve(),
  });
  stream.resume();
  stream.write(Buffer.from("GET / HTTP/1.1\r\nhost: server\r\n\r\n"));
  await Promise.race([closed.promise, greeted.promise]);
  return { text, closed: closed.promise, destroy: () => stream.destroy() };
}

async function answerTo(namespace: NetworkNamespace, port: number): Promise<string> {
  return await speakPlainly(namespace, port).then(
    ({ text }) => text,
    () => "",
  );
}

test("STRICT: no plaintext reaches the application on any port, except the node's probes", async () => {
  const { pods, env, reached, close } = await strictPod(strictKey);
  env.state.putPolicy(strict);
  env.state.allPoliciesPut();
  for (const port of [8080, 15_006, 15_001, 15_008])
    assert.doesNotMatch(await answerTo(pods.client, port), /hello/, `port ${port}`);
  await Promise.all(Array.from({ length: 20 }, async () => assert.equal(await answerTo(pods.client, 8080), "")));
  assert.deepEqual(reached, []);
  const probe = await speakPlainly(pods.client, 8080, probeAddress);
  assert.match(probe.text, /hello/);
  assert.deepEqual(reached, [probeAddress]);
  probe.destroy();
  close();
});

test("a connection that arrives before the policy waits for it, and is then refused", async () => {
  const { pods, env, lines, reached, close } = await strictPod(strictKey);
  const early = answerTo(pods.client, 8080);
  await until(() => env.state.missingPolicy(env.state.workloads()[0] ?? assert.fail()) !== undefined);
  await systemClock.sleep(50);
  assert.deepEqual(reached, []);
  env.state.apply({ ...noChange, hasAllPolicies: true });
  env.state.putPolicy(strict);
  env.state.apply({ ...noChange, hasAllPolicies: true });
  assert.equal(await early, "");
  assert.deepEqual(reached, []);
  assert.match(lines.join(""), /policy rejection: explicitly denied by: istio-system\/istio_converted_static_strict/);
  close();
});

test("a plaintext connection is closed when STRICT arrives", async () => {
  const { pods, env, reached, close } = await strictPod("");
  const open = await speakPlainly(pods.client, 8080);
  assert.match(open.text, /hello/);
  assert.deepEqual(reached, [clientAddress]);
  env.state.putPolicy(strict);
  parseLocalConfig(workload(strictKey), env.state);
  for (const { details, abort } of env.tracker.list())
    if (details.stillAllowed?.() === false) abort(new Error("connection closed due to policy change"));
  await open.closed;
  assert.equal(await answerTo(pods.client, 8080), "");
  close();
});

test("no plaintext reaches the port on which an application learns its clients from the ztunnel", async () => {
  const { pods, env, lines, reached, close } = await strictPod("");
  env.state.allPoliciesPut();
  parseLocalConfig(workload("", ", applicationTunnel: {protocol: PROXY, port: 8080}"), env.state);
  assert.equal(await answerTo(pods.client, 8080), "");
  assert.match(lines.join(""), /port 8080 takes the PROXY header/);
  parseLocalConfig(workload("", ", applicationTunnel: {protocol: PROXY}"), env.state);
  assert.equal(await answerTo(pods.client, 8080), "", "each port takes the header");
  parseLocalConfig(workload("", ", applicationTunnel: {protocol: PROXY, port: 9090}"), env.state);
  assert.match(await answerTo(pods.client, 8080), /hello/);
  parseLocalConfig(workload("", ", applicationTunnel: {protocol: NONE, port: 8080}"), env.state);
  assert.match(await answerTo(pods.client, 8080), /hello/);
  assert.equal(reached.length, 2);
  close();
});
