// Sends requests through stock Envoys as sidecar, gateway and waypoint, to show that their configuration has the
// intended effect.
//   test/interop/mesh/in-namespace.sh node test/interop/mesh/envoy-traffic.ts [--json]
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, request, type IncomingMessage, type RequestOptions, type Server } from "node:http";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import { createServer as createSecureWebServer, request as secureRequest } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createLogger, messageOf } from "../../../src/base/index.ts";
import { CertificateManager, hboneDialer, HbonePool, type WorkloadCertificate } from "../../../src/dataplane/index.ts";
import { corpusDirectory, readObjects } from "./corpus.ts";
import { certificateAuthorityOf, startEnvoy, type EnvoyProcess } from "./envoy-process.ts";
import { routerNode, sidecarNode, waypointNode, ztunnelNode, type MeshNode } from "./nodes.ts";
import { startTestMesh, type TestMesh } from "./test-mesh.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

interface ReceivedRequest {
  readonly app: string;
  readonly path: string;
  readonly host: string;
  readonly headers: IncomingMessage["headers"];
  /** The SPIFFE ID that the client has proved. Empty without TLS. */
  readonly peer: string;
}

const counted = 1000;
/** The bounds for 1,000 answers at 10 %. Chance leaves them once in a thousand runs. */
const bounds = { least: 69, most: 133 };
const readyMs = 20_000;
const tunnelMs = 5000;
const lookMs = 50;
const sidecarAddress = { host: "127.0.0.1", port: 9080 };
const gatewayAddress = { host: "127.0.0.1", port: 8180 };
const secureGatewayPort = 8443;
const hbonePort = 15_008;
const keySecret = "an interop test's own secret key";

/** The applications in the mesh's pods, at the pods' addresses. */
class Apps {
  readonly receivedRequests: ReceivedRequest[] = [];
  readonly #servers: (Server | Http2SecureServer)[] = [];
  #flaky = 0;

  async plain(app: string, host: string, port: number): Promise<void> {
    const server = createServer((incoming, response) => {
      this.receivedRequests.push(seenOf(app, incoming, ""));
      this.#flaky += incoming.headers["x-flaky"] === "yes" ? 1 : 0;
      response.statusCode = incoming.headers["x-flaky"] === "yes" && this.#flaky % 3 !== 0 ? 503 : 200;
      response.end(app);
    });
    this.#servers.push(await listening(server, host, port));
  }

  /** Starts an application that accepts only connections with a certificate of the mesh. */
  async mutual(app: string, host: string, port: number, certificate: WorkloadCertificate): Promise<void> {
    const server = createSecureWebServer(
      {
        ...tlsOf(certificate),
        ALPNCallback: ({ protocols }) => protocols.find((name) => name === "istio" || name === "http/1.1"),
      },
      (incoming, response) => {
        this.receivedRequests.push(seenOf(app, incoming, peerOf(incoming.socket as TLSSocket)));
        response.end(app);
      },
    );
    this.#servers.push(await listening(server, host, port));
  }

  /** Ends HBONE tunnels for the pod. Each CONNECT leads to the application at the address in its authority. */
  async tunnels(app: string, host: string, certificate: WorkloadCertificate): Promise<void> {
    const server = createSecureServer({ ...tlsOf(certificate), ALPNProtocols: ["h2"] });
    server.on("stream", (stream, headers) => {
      const authority = String(headers[":authority"]);
      this.receivedRequests.push({
        app,
        path: String(headers[":method"]),
        host: authority,
        headers: {},
        peer: peerOf(stream.session?.socket as TLSSocket),
      });
      const [address = "", port = ""] = authority.split(":");
      const upstream = connect({ host: address, port: Number(port) }, () => {
        stream.respond({ ":status": 200 });
        upstream.pipe(stream).pipe(upstream);
      });
      upstream.on("error", () => stream.close());
      stream.on("error", () => upstream.destroy());
    });
    // The waypoint's own HBONE listener is on all addresses, so this one shares its port.
    await new Promise<void>((resolve) => server.listen({ host, port: hbonePort, reusePort: true }, resolve));
    this.#servers.push(server);
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }
}

async function listening<Kind extends Server>(server: Kind, host: string, port: number): Promise<Kind> {
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return server;
}

function tlsOf({ chainPem, privateKeyPem, rootsPem }: WorkloadCertificate) {
  return { cert: chainPem, key: privateKeyPem, ca: rootsPem, requestCert: true, rejectUnauthorized: true } as const;
}

function peerOf(socket: TLSSocket): string {
  return (socket.getPeerCertificate().subjectaltname ?? "").replace(/^URI:/, "");
}

function seenOf(app: string, incoming: IncomingMessage, peer: string): ReceivedRequest {
  return { app, path: incoming.url ?? "", host: incoming.headers.host ?? "", headers: incoming.headers, peer };
}

async function sendRequest(options: RequestOptions & { readonly secure?: boolean }): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const outgoing = (options.secure === true ? secureRequest : request)(
      { agent: false, timeout: 5000, ...options },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8").on("data", (part: string) => (body += part));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** Repeats the assertions until they hold, because configuration arrives with a delay. */
async function eventually(assertions: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    try {
      return await assertions();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }
}

async function shareOf(answers: () => Promise<Answer>, wanted: string): Promise<number> {
  let found = 0;
  for (let outgoing = 0; outgoing < counted; outgoing += 1) found += (await answers()).body === wanted ? 1 : 0;
  return found;
}

function within(canary: number): void {
  assert.ok(canary >= bounds.least && canary <= bounds.most, `${canary} of ${counted} at 10 %`);
}

/** A token signed with the key in {@link trafficObjects}. */
function token(issuer: string, secret: string): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT", kid: "1" })}.${part({ iss: issuer, sub: "me", exp: 4_000_000_000 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

function trafficObjects() {
  const keys = JSON.stringify({
    keys: [{ kty: "oct", kid: "1", alg: "HS256", k: Buffer.from(keySecret).toString("base64url") }],
  });
  const authentication = {
    apiVersion: "security.istio.io/v1",
    kind: "RequestAuthentication",
    metadata: { name: "gateway", namespace: "istio-system" },
    spec: {
      selector: { matchLabels: { istio: "ingressgateway" } },
      jwtRules: [{ issuer: "issuer.example.com", jwks: keys }],
    },
  };
  const [secret] = readObjects(join(corpusDirectory, "gateway/tls-simple.yaml"));
  assert.ok(secret);
  return [
    ...readObjects(join(import.meta.dirname, "traffic.yaml")),
    authentication,
    { ...secret, metadata: { name: "traffic", namespace: "istio-system" } },
  ];
}

class Traffic {
  readonly #apps: Apps;
  readonly #client: CertificateManager;
  readonly #sidecar: EnvoyProcess;

  constructor(apps: Apps, client: CertificateManager, sidecar: EnvoyProcess) {
    this.#apps = apps;
    this.#client = client;
    this.#sidecar = sidecar;
  }

  readonly cases: Readonly<Record<string, () => Promise<void>>> = {
    "sidecar: weights": async () => {
      const answerOfReviews = async (): Promise<Answer> =>
        await sendRequest({ ...sidecarAddress, path: "/", headers: { host: "reviews" } });
      await eventually(async () => assert.match((await answerOfReviews()).body, /^reviews-v[12]$/));
      within(await shareOf(answerOfReviews, "reviews-v2"));
    },
    "sidecar: routes by a header": async () =>
      assert.equal(
        (await sendRequest({ ...sidecarAddress, path: "/", headers: { host: "reviews", "end-user": "jason" } })).body,
        "reviews-v3",
      ),
    "sidecar: mirrors": async () => {
      assert.equal(
        (await sendRequest({ ...sidecarAddress, path: "/mirrored/1", headers: { host: "reviews" } })).body,
        "reviews-v1",
      );
      await eventually(async () =>
        assert.ok(
          this.#apps.receivedRequests.some(
            ({ app, path, host }) => app === "reviews-v3" && path === "/mirrored/1" && host === "reviews",
          ),
        ),
      );
    },
    "sidecar: aborts": async () =>
      assert.equal(
        (await sendRequest({ ...sidecarAddress, path: "/aborted", headers: { host: "reviews" } })).status,
        555,
      ),
    "sidecar: delays": async () => {
      const startedMs = performance.now();
      assert.equal(
        (await sendRequest({ ...sidecarAddress, path: "/delayed", headers: { host: "reviews" } })).status,
        200,
      );
      assert.ok(performance.now() - startedMs >= 390);
    },
    "sidecar: retries, with the path rewritten": async () => {
      assert.equal(
        (await sendRequest({ ...sidecarAddress, path: "/flaky", headers: { host: "reviews", "x-flaky": "yes" } }))
          .status,
        200,
      );
      assert.equal(
        this.#apps.receivedRequests.filter(({ path, headers }) => path === "/rewritten" && headers["x-flaky"] === "yes")
          .length,
        3,
      );
    },
    "sidecar: mutual TLS, with a certificate of our authority": async () => {
      await eventually(async () =>
        assert.equal(
          (await sendRequest({ ...sidecarAddress, path: "/ratings", headers: { host: "ratings" } })).body,
          "ratings-v1",
        ),
      );
      assert.equal(
        this.#apps.receivedRequests.findLast(({ path }) => path === "/ratings")?.peer,
        "spiffe://cluster.local/ns/shop/sa/client",
      );
    },
    "sidecar: histograms with the buckets of the pod's annotation": async () => {
      const answer = (await this.#sidecar.ask(
        "/stats?format=json&filter=server.initialization_time_ms&histogram_buckets=cumulative",
      )) as {
        readonly stats: readonly {
          readonly histograms: readonly { readonly buckets: readonly { readonly upper_bound: number }[] }[];
        }[];
      };
      assert.deepEqual(
        answer.stats[0]?.histograms[0]?.buckets.map((bucket) => bucket.upper_bound),
        [1, 5, 50],
      );
    },
    "gateway: weights": async () => {
      const answerOfGateway = async (): Promise<Answer> =>
        await sendRequest({ ...gatewayAddress, path: "/", headers: { host: "a.example.com" } });
      await eventually(async () => assert.match((await answerOfGateway()).body, /^reviews-v[12]$/));
      within(await shareOf(answerOfGateway, "reviews-v2"));
    },
    "gateway: HTTPS, and mutual TLS to the application": async () => {
      const answerOfGateway = async (): Promise<Answer> =>
        await sendRequest({
          secure: true,
          host: "127.0.0.1",
          port: secureGatewayPort,
          servername: "a.example.com",
          rejectUnauthorized: false,
          path: "/ratings/2",
          headers: { host: "a.example.com" },
        } as RequestOptions);
      await eventually(async () => assert.equal((await answerOfGateway()).body, "ratings-v1"));
      assert.equal(
        this.#apps.receivedRequests.findLast(({ path }) => path === "/ratings/2")?.peer,
        "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway",
      );
    },
    "gateway: refuses by policy": async () =>
      assert.equal(
        (await sendRequest({ ...gatewayAddress, path: "/forbidden", headers: { host: "a.example.com" } })).status,
        403,
      ),
    "gateway: takes tokens of its issuer alone": async () => {
      const statusOf = async (headers: Record<string, string>): Promise<number> =>
        (await sendRequest({ ...gatewayAddress, path: "/private", headers: { host: "a.example.com", ...headers } }))
          .status;
      assert.equal(await statusOf({}), 403, "without a token");
      assert.equal(
        await statusOf({ authorization: `Bearer ${token("issuer.example.com", keySecret)}` }),
        200,
        "with one",
      );
      assert.equal(
        await statusOf({ authorization: `Bearer ${token("issuer.example.com", "another key")}` }),
        401,
        "signed by another",
      );
      assert.equal(
        await statusOf({ authorization: `Bearer ${token("other.example.com", keySecret)}` }),
        401,
        "of another issuer",
      );
    },
    "waypoint: HBONE from our pool and to a pod, with routes and policies": async () => {
      const pool = new HbonePool({ dial: hboneDialer(this.#client) });
      const requestThroughTunnel = async (method: string): Promise<string> => {
        const tunnel = await pool.connect({
          sourceIdentity: "spiffe://cluster.local/ns/shop/sa/client",
          address: waypointNode.address,
          port: hbonePort,
          expectedIdentities: ["spiffe://cluster.local/ns/mesh/sa/waypoint"],
          authority: "10.96.1.20:80",
          headers: [],
          timeoutMs: 5000,
        });
        return await new Promise((resolve, reject) => {
          let received = "";
          const late = setTimeout(() => reject(new Error(`no answer, but "${received}"`)), tunnelMs);
          const done = (error?: Error): void => {
            clearTimeout(late);
            if (error === undefined) resolve(received);
            else reject(error);
          };
          const data = (chunk: Buffer): void => {
            received += chunk.toString();
            if (/\r\n\r\n./.test(received)) done();
          };
          tunnel.setHandler({
            data,
            end: () => done(),
            drain: () => undefined,
            close: () => done(new Error(`closed after "${received}"`)),
          });
          tunnel.write(Buffer.from(`${method} /through HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n`));
          tunnel.resume();
        });
      };
      try {
        await eventually(async () => assert.match(await requestThroughTunnel("GET"), /^HTTP\/1\.1 200[^]*web-v[12]/));
        assert.match(await requestThroughTunnel("DELETE"), /^HTTP\/1\.1 403/);
        const [connected, served] = [
          this.#apps.receivedRequests.findLast(({ path }) => path === "CONNECT"),
          this.#apps.receivedRequests.findLast(({ path }) => path === "/through"),
        ];
        assert.equal(connected?.peer, "spiffe://cluster.local/ns/mesh/sa/waypoint");
        assert.match(connected.host, /^10\.244\.1\.2[12]:8080$/);
        assert.equal(served?.headers["x-waypoint"], "yes");
      } finally {
        pool.close();
      }
    },
  };
}

async function startApps(mesh: TestMesh, apps: Apps): Promise<CertificateManager[]> {
  const managers: CertificateManager[] = [];
  const manager = async (node: MeshNode): Promise<CertificateManager> => {
    const made = new CertificateManager({
      authority: await certificateAuthorityOf(mesh, node),
      log: createLogger({ scope: "interop", level: "error" }),
      validitySeconds: 3600,
    });
    managers.push(made);
    return made;
  };
  const certificate = async (node: MeshNode): Promise<WorkloadCertificate> =>
    await (await manager(node)).fetch(`spiffe://cluster.local/ns/${node.namespace}/sa/${node.account}`);
  for (const version of [1, 2, 3]) await apps.plain(`reviews-v${version}`, `10.244.1.1${version}`, 9080);
  await apps.mutual(
    "ratings-v1",
    "10.244.1.14",
    9080,
    await certificate({ ...ztunnelNode, role: "sidecar", namespace: "shop", pod: "ratings-v1", account: "ratings" }),
  );
  for (const version of [1, 2]) {
    const host = `10.244.1.2${version}`;
    await apps.plain(`web-v${version}`, host, 8080);
    await apps.tunnels(
      `web-v${version}`,
      host,
      await certificate({ ...ztunnelNode, role: "sidecar", namespace: "mesh", pod: `web-v${version}`, account: "web" }),
    );
  }
  return [await manager(sidecarNode), ...managers];
}

/** Makes the sidecar's pod accept no tunnels, because the waypoint uses that port on the same addresses. */
async function withoutTunnels(mesh: TestMesh): Promise<void> {
  const pod = mesh.base.find(({ kind, metadata }) => kind === "Pod" && metadata.name === sidecarNode.pod);
  assert.ok(pod);
  const spec = pod["spec"] as { initContainers: object[] };
  await mesh.objects.delete(pod);
  await mesh.objects.create({
    ...pod,
    spec: { ...spec, initContainers: spec.initContainers.map((container) => ({ ...container, env: [] })) },
  });
}

async function main(args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const mesh = await startTestMesh();
  const envoys: EnvoyProcess[] = [];
  const apps = new Apps();
  const failures: string[] = [];
  let count = 0;
  try {
    for (const object of trafficObjects()) await mesh.objects.create(object);
    await withoutTunnels(mesh);
    const [client] = await startApps(mesh, apps);
    assert.ok(client);
    const ofSidecar = {
      ENABLE_HBONE: "false",
      ANNOTATIONS: { "sidecar.istio.io/statsHistogramBuckets": '{"server":[50,1,5,5]}' },
    };
    const started = await Promise.all([
      startEnvoy(mesh, sidecarNode, { metadata: ofSidecar }),
      startEnvoy(mesh, routerNode),
      startEnvoy(mesh, waypointNode),
    ]);
    envoys.push(...started);
    if (args.includes("--verbose")) process.stderr.write("three Envoys are there\n");
    const { cases } = new Traffic(apps, client, started[0]);
    for (const [title, body] of Object.entries(cases)) {
      count += 1;
      const known = failures.length;
      await body().catch((error: unknown) => failures.push(`${title}: ${messageOf(error)}`));
      if (args.includes("--verbose")) process.stderr.write(`${title}: ${failures[known] ?? "as it should be"}\n`);
    }
  } finally {
    for (const envoy of envoys) envoy.stop();
    apps.close();
    mesh.stop();
  }
  for (const failure of failures) process.stdout.write(`${failure}\n`);
  const summary = {
    cases: count,
    failed: failures.length,
    seconds: Math.round((performance.now() - startedMs) / 1000),
  };
  process.stdout.write(`${summary.cases} cases of traffic, ${summary.failed} failed, ${summary.seconds} s\n`);
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return failures.length === 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
