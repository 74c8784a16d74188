// Applications whose gRPC library speaks xDS (`xds:///host:port`) through the agent beside them. They find a service's
// pods, follow routes, and serve with mutual TLS and policies.
//   test/interop/mesh/in-namespace.sh node test/interop/mesh/grpc-clients.ts [--json]
import assert from "node:assert/strict";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { messageOf, silentLogger, systemClock } from "../../../src/base/index.ts";
import { FakeCertificateAuthority } from "../../../src/dataplane/index.ts";
import { readSettings } from "../../../src/proxy/index.ts";
import { ProxylessAgent, readProxylessPaths } from "../../../src/proxy/proxyless/index.ts";
import { sidecarNode } from "./nodes.ts";
import { startTestMesh, type TestMesh } from "./test-mesh.ts";

const target = "xds:///reviews.shop.svc.cluster.local:9080";
const method = "/interop.Echo/Say";
const calls = 60;
const callMs = 20_000;
const readyMs = 40_000;
const plain = (bytes: Buffer): Buffer => bytes;

/** Starts a server that answers each call with its own name. */
async function serve(
  name: string,
  address: string,
  server = new grpc.Server(),
  credentials = grpc.ServerCredentials.createInsecure(),
): Promise<grpc.Server> {
  const definition = {
    path: method,
    requestStream: false,
    responseStream: false,
    requestSerialize: plain,
    requestDeserialize: plain,
    responseSerialize: plain,
    responseDeserialize: plain,
  } as const;
  server.addService(
    { callServer: definition },
    { callServer: (_call: unknown, answer: grpc.sendUnaryData<Buffer>) => answer(null, Buffer.from(name)) },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, credentials, (error) => (error === null ? resolve() : reject(error))),
  );
  return server;
}

async function callServer(client: grpc.Client): Promise<string> {
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method,
      plain,
      plain,
      Buffer.from("hello"),
      { deadline: Date.now() + callMs },
      (error, bytes) => (error === null ? resolve(String(bytes)) : reject(error)),
    );
  });
}

async function shares(client: grpc.Client): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let call = 0; call < calls; call += 1) {
    const name = await callServer(client);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

async function eventually(assertions: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    try {
      return await assertions();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function prove(mesh: TestMesh, client: grpc.Client): Promise<void> {
  // Round robin gives each server a third of the calls.
  await eventually(async () =>
    assert.deepEqual(await shares(client), {
      "reviews-v1": calls / 3,
      "reviews-v2": calls / 3,
      "reviews-v3": calls / 3,
    }),
  );
  const rule = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "reviews", namespace: "shop" },
    spec: {
      host: "reviews",
      // The library does not know this policy, and must use the next in the list.
      trafficPolicy: { loadBalancer: { simple: "LEAST_REQUEST" } },
      subsets: [{ name: "v2", labels: { version: "v2" } }],
    },
  };
  const route = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "shop" },
    spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews", subset: "v2" } }] }] },
  };
  await mesh.objects.create(rule);
  await mesh.objects.create(route);
  await eventually(async () => assert.deepEqual(await shares(client), { "reviews-v2": calls }));
  await mesh.objects.delete(route);
  const slice = mesh.base.find(({ kind, metadata }) => kind === "EndpointSlice" && metadata.name === "reviews-1");
  assert.ok(slice);
  const { endpoints } = slice as unknown as { endpoints: { targetRef: { name: string } }[] };
  await mesh.objects.create({
    ...slice,
    endpoints: endpoints.filter((endpoint) => endpoint.targetRef.name !== "reviews-v3"),
  });
  await eventually(async () =>
    assert.deepEqual(await shares(client), { "reviews-v1": calls / 2, "reviews-v2": calls / 2 }),
  );
}

/** Shows that the application's own server gets its TLS settings and policies by xDS. */
async function proveServer(mesh: TestMesh): Promise<void> {
  const { XdsServer, XdsServerCredentials, XdsChannelCredentials } = await import("@grpc/grpc-js-xds");
  const plainText = grpc.ServerCredentials.createInsecure();
  const server = await serve("own", "10.244.1.10:7070", new XdsServer(), new XdsServerCredentials(plainText));
  const insecure = grpc.credentials.createInsecure();
  const [client, stranger] = [
    new grpc.Client("xds:///client:7070", new XdsChannelCredentials(insecure)),
    new grpc.Client("10.244.1.10:7070", insecure),
  ];
  const apply = async (kind: string, group: string, spec: object): Promise<void> => {
    const metadata = { name: "own", namespace: sidecarNode.namespace };
    await mesh.objects.create({ apiVersion: `${group}.istio.io/v1`, kind, metadata, spec });
  };
  try {
    await apply("DestinationRule", "networking", { host: "client", trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } });
    await eventually(async () => assert.equal(await callServer(client), "own"));
    await assert.rejects(callServer(stranger), "a client without a certificate is refused");
    await apply("AuthorizationPolicy", "security", {
      action: "DENY",
      rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/client"] } }] }],
    });
    await eventually(async () => await assert.rejects(callServer(client), { code: grpc.status.PERMISSION_DENIED }));
  } finally {
    client.close();
    stranger.close();
    server.forceShutdown();
  }
}

async function main(args: readonly string[]): Promise<number> {
  const mesh = await startTestMesh();
  const folder = await mkdtemp(join(tmpdir(), "grpc-clients-"));
  const token = join(folder, "token");
  await writeFile(token, "");
  const env = {
    XDS_ADDRESS: `http://127.0.0.1:${mesh.pilot.ports.grpc}`,
    AUTH_TOKEN: token,
    GRPC_XDS_BOOTSTRAP: join(folder, "grpc-bootstrap.json"),
    POD_NAME: sidecarNode.pod,
    POD_NAMESPACE: sidecarNode.namespace,
    SERVICE_ACCOUNT: sidecarNode.account,
    INSTANCE_IP: sidecarNode.address,
    OUTPUT_CERTS: join(folder, "certificates"),
    ISTIO_METAJSON_LABELS: JSON.stringify(sidecarNode.labels),
  };
  const stop = new AbortController();
  const agent = new ProxylessAgent({
    settings: readSettings({ env, args: ["proxy", "sidecar"], version: "1.31.0", labelsFile: undefined }),
    paths: readProxylessPaths(env),
    authority: new FakeCertificateAuthority(),
    clock: systemClock,
    log: silentLogger,
  }).run(stop.signal);
  await eventually(async () => await access(env.GRPC_XDS_BOOTSTRAP));
  process.env["GRPC_XDS_BOOTSTRAP"] = env.GRPC_XDS_BOOTSTRAP;
  process.env["GRPC_XDS_EXPERIMENTAL_RBAC"] = "true";
  // The library reads its environment while it loads.
  const { register } = await import("@grpc/grpc-js-xds");
  register();
  const servers = await Promise.all(
    [1, 2, 3].map(async (version) => await serve(`reviews-v${version}`, `10.244.1.1${version}:9080`)),
  );
  const client = new grpc.Client(target, grpc.credentials.createInsecure());
  let fault: string | undefined;
  try {
    await prove(mesh, client);
    await proveServer(mesh);
  } catch (error) {
    fault = messageOf(error);
  } finally {
    client.close();
    for (const server of servers) server.forceShutdown();
    stop.abort();
    await agent;
    mesh.stop();
    await rm(folder, { recursive: true });
  }
  process.stdout.write(fault === undefined ? "gRPC finds, follows and serves\n" : `${fault}\n`);
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify({ failed: fault === undefined ? 0 : 1 })}\n`);
  return fault === undefined ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
