import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { readSettings } from "../proxy-settings.ts";
import { ProxylessAgent } from "./proxyless-agent.ts";
import { readProxylessPaths } from "./proxyless-paths.ts";

const plain = (bytes: Buffer): Buffer => bytes;
const method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

async function controlPlane(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = new Server();
  const answer = (call: ServerDuplexStream<Buffer, Buffer>): void => {
    call.on("data", (bytes: Buffer) => {
      if (bytes.toString() === "fail") call.emit("error", { code: 14, details: "gone" });
      else call.write(Buffer.from(`${bytes.toString()} of ${String(call.metadata.get("authorization")[0])}`));
    });
    call.on("end", () => call.end());
  };
  server.register(method, answer, plain, plain, "bidi");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, server };
}

test("an agent without a proxy writes gRPC's bootstrap and the certificate, and relays discovery", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "proxyless-"));
  const { port, server } = await controlPlane();
  const statusPort = await freePort();
  await writeFile(join(folder, "token"), "secret\n");
  const env = {
    XDS_ADDRESS: `http://127.0.0.1:${port}`,
    AUTH_TOKEN: join(folder, "token"),
    GRPC_XDS_BOOTSTRAP: join(folder, "proxy", "grpc-bootstrap.json"),
    OUTPUT_CERTS: join(folder, "data"),
    STATS_PORT: String(statusPort),
    POD_NAME: "client-1",
    POD_NAMESPACE: "shop",
    SERVICE_ACCOUNT: "client",
    INSTANCE_IP: "10.0.0.7",
  };
  const stop = new AbortController();
  const running = new ProxylessAgent({
    settings: readSettings({ env, args: ["proxy", "sidecar"], version: "1.31.0", labelsFile: undefined }),
    paths: readProxylessPaths(env),
    authority: new FakeCertificateAuthority(),
    clock: systemClock,
    log: silentLogger,
  }).run(stop.signal);
  context.after(async () => {
    stop.abort();
    await running;
    server.forceShutdown();
    await rm(folder, { recursive: true });
  });
  const ready = async (): Promise<number> =>
    (await fetch(`http://127.0.0.1:${statusPort}/healthz/ready`).catch(() => undefined))?.status ?? 0;
  await until(async () => (await ready()) === 200);

  const bootstrap = JSON.parse(await readFile(env.GRPC_XDS_BOOTSTRAP, "utf8")) as Record<string, unknown>;
  const socket = join(folder, "proxy", "XDS");
  assert.deepEqual(bootstrap["xds_servers"], [
    { server_uri: `unix://${socket}`, channel_creds: [{ type: "insecure" }], server_features: ["xds_v3"] },
  ]);
  const node = bootstrap["node"] as {
    readonly id: string;
    readonly locality: object;
    readonly metadata: Record<string, unknown>;
  };
  assert.deepEqual(
    [node.id, node.locality, node.metadata["GENERATOR"], node.metadata["NAMESPACE"]],
    ["sidecar~10.0.0.7~client-1.shop~shop.svc.cluster.local", {}, "grpc", "shop"],
  );
  const certificate = new X509Certificate(await readFile(join(env.OUTPUT_CERTS, "cert-chain.pem")));
  assert.equal(certificate.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/client");
  const root = new X509Certificate(await readFile(join(env.OUTPUT_CERTS, "root-cert.pem")));
  assert.ok(certificate.verify(root.publicKey));
  assert.match(await readFile(join(env.OUTPUT_CERTS, "key.pem"), "utf8"), /PRIVATE KEY/);

  const metrics = await (await fetch(`http://127.0.0.1:${statusPort}/stats/prometheus`)).text();
  assert.match(metrics, /^\w*cert\w*.* \d/m);

  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(method, plain, plain);
  const answers: string[] = [];
  stream.on("data", (bytes: Buffer) => answers.push(bytes.toString()));
  stream.write(Buffer.from("one"));
  stream.write(Buffer.from("two"));
  await until(() => answers.length === 2);
  assert.deepEqual(answers, ["one of Bearer secret", "two of Bearer secret"]);
  const failed = new Promise<number | undefined>((resolve) =>
    stream.once("error", (error: { readonly code?: number }) => resolve(error.code)),
  );
  stream.write(Buffer.from("fail"));
  assert.equal(await failed, 14, "a library connects again after UNAVAILABLE");
  client.close();
});

for (const [where, pod, folderMode, expected] of [
  ["outside a pod", {}, 0o755, 0o600],
  ["in a pod without an fsGroup", { KUBERNETES_SERVICE_HOST: "10.96.0.1" }, 0o777, 0o644],
  ["in a pod with an fsGroup", { KUBERNETES_SERVICE_HOST: "10.96.0.1" }, 0o2777, 0o640],
] as const)
  test(`${where} the key is readable for those who need it, with mode ${expected.toString(8)}`, async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "proxyless-"));
    const data = join(folder, "data");
    await mkdir(data);
    await chmod(data, folderMode);
    const env = {
      ...pod,
      GRPC_XDS_BOOTSTRAP: join(folder, "proxy", "grpc-bootstrap.json"),
      OUTPUT_CERTS: data,
      STATS_PORT: String(await freePort()),
      POD_NAME: "client-1",
      POD_NAMESPACE: "shop",
      SERVICE_ACCOUNT: "client",
      INSTANCE_IP: "10.0.0.7",
    };
    const stop = new AbortController();
    const running = new ProxylessAgent({
      settings: readSettings({ env, args: ["proxy", "sidecar"], version: "1.31.0", labelsFile: undefined }),
      paths: readProxylessPaths(env),
      authority: new FakeCertificateAuthority(),
      clock: systemClock,
      log: silentLogger,
    }).run(stop.signal);
    context.after(async () => {
      stop.abort();
      await running;
      await rm(folder, { recursive: true });
    });
    const modeOf = async (name: string): Promise<number | undefined> =>
      (await stat(join(data, name)).catch(() => undefined))?.mode;
    await until(async () => (await modeOf("root-cert.pem")) !== undefined);
    assert.equal(((await modeOf("key.pem")) ?? 0) & 0o777, expected);
    assert.equal(((await modeOf("cert-chain.pem")) ?? 0) & 0o777, 0o644);
  });
