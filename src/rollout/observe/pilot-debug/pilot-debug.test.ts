import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { createServer, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { KubeClient } from "../../../kube/index.ts";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../../wire/discovery/index.ts";
import { createCertificate } from "../../admission/create-certificate.ts";
import { standingClock } from "../checks/testing/fake-mesh.ts";
import type { httpGet } from "../http-get.ts";
import { PilotDebug } from "./pilot-debug.ts";
import type { PilotPod } from "./pilot-pod.ts";

const pilot: PilotPod = {
  name: "istiod-next-7c9",
  namespace: "mesh",
  revision: "next",
  address: "127.0.0.1",
  serviceAccount: "istiod-next",
};
const ownName = "istiod-next.mesh.svc";
type Material = Awaited<ReturnType<typeof createCertificate>>;
const issued = async (...names: readonly string[]): Promise<Material> => await createCertificate(names, Date.now());

/** A pilot's answer: the text of a page, or the status of gRPC. */
type Page = (name: string, headers: IncomingHttpHeaders) => string | { readonly grpcStatus: number };

async function serve(context: TestContext, { certificate, privateKey }: Material, page: Page): Promise<number> {
  return (await serveCounted(context, { certificate, privateKey }, page)).port;
}

/** `connections` are those so far. */
async function serveCounted(
  context: TestContext,
  { certificate, privateKey }: Pick<Material, "certificate" | "privateKey">,
  page: Page,
): Promise<{ readonly port: number; readonly connections: ReadonlySet<unknown> }> {
  const server = createSecureServer({ cert: certificate, key: privateKey });
  const connections = new Set<{ destroy(): void }>();
  server.on("session", (session) => (context.signal.aborted ? session.destroy() : connections.add(session)));
  context.after(() => {
    server.close();
    for (const session of connections) session.destroy();
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => undefined);
    stream.once("data", (bytes: Buffer) => answer(stream, headers, bytes.subarray(5), page));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, connections };
}

function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, message: Uint8Array, page: Page): void {
  const { node, typeUrl, resourceNames } = fromBinary(DiscoveryRequestSchema, message);
  assert.equal(typeUrl, "istio.io/debug");
  assert.equal(node?.id, "sidecar~0.0.0.0~serin-rollout.mesh~mesh.svc.cluster.local");
  const found = page(resourceNames[0] ?? "", headers);
  const head = { ":status": 200, "content-type": "application/grpc" };
  if (typeof found !== "string") {
    stream.respond({ ...head, "grpc-status": found.grpcStatus, "grpc-message": "no%20entry" }, { endStream: true });
    return;
  }
  const resources = [{ typeUrl, value: Buffer.from(found) }];
  const body = toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { typeUrl, resources }));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(body.length, 1);
  stream.respond(head);
  stream.write(frame);
  stream.write(body);
}

interface Cluster {
  /** The root in the ConfigMap of data planes. */
  published?: string;
  /** The root by which the API server verifies the injector. */
  injector?: string;
  token: string | undefined;
  tokenRequests: number;
}

function debugOf(cluster: Cluster, port: number, getOpen?: typeof httpGet): PilotDebug {
  const client = {
    get: async () =>
      await Promise.resolve(
        cluster.published === undefined ? undefined : { metadata: {}, data: { "root-cert.pem": cluster.published } },
      ),
    raw: async () => {
      cluster.tokenRequests += 1;
      const refused = { kind: "Status", status: "Failure", reason: "Forbidden", message: "you may not create tokens" };
      return await Promise.resolve(
        cluster.token === undefined
          ? { status: 403, headers: {}, text: JSON.stringify(refused) }
          : { status: 201, headers: {}, text: JSON.stringify({ status: { token: cluster.token } }) },
      );
    },
  } as unknown as KubeClient;
  const caBundle = Buffer.from(cluster.injector ?? "").toString("base64");
  const webhook = (name: string, namespace: string) => ({
    name,
    clientConfig: { service: { name, namespace }, caBundle },
  });
  const injectors = [{ metadata: { name: "injector" }, webhooks: [webhook("istiod-next", "mesh")] }];
  const clock = standingClock();
  const open = getOpen === undefined ? {} : { getOpen };
  return new PilotDebug(client, { clock, port, injectors: () => injectors, ...open });
}

const cluster = (more: Partial<Cluster>): Cluster => ({ token: "t", tokenRequests: 0, ...more });

test("a pilot gets a question with the token of its account over TLS, by either root that the cluster knows", async (context) => {
  const material = await issued("other", ownName);
  const port = await serve(context, material, (name, headers) => `${name} ${headers.authorization ?? ""}`);
  const text = await debugOf(cluster({ published: material.certificate }), port).ask(pilot, "/debug/serin/a?b=c");
  assert.equal(text, "serin/a?b=c Bearer t");
  const unreadable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const both = cluster({ published: unreadable, injector: material.certificate });
  assert.equal(await debugOf(both, port).ask(pilot, "/debug/syncz"), "syncz Bearer t");
});

test("a server gets no token unless its certificate proves the name of an istiod by a root of the control plane", async (context) => {
  const [own, workload] = [await issued(ownName), await issued("web.mesh.svc")];
  const named = await createCertificate([], Date.now());
  let requestCount = 0;
  const page = (): string => String((requestCount += 1));
  const refused = async (material: Material, known: Partial<Cluster>, reason: RegExp): Promise<void> => {
    const given = cluster(known);
    const port = await serve(context, material, page);
    await assert.rejects(debugOf(given, port).ask(pilot, "/debug/syncz"), (error: Error & { code: string }) => {
      assert.equal(error.code, "peer-identity");
      assert.match(error.message, reason);
      return true;
    });
    assert.equal(given.tokenRequests, 0);
  };
  await refused(own, { published: workload.certificate }, /does not prove .*self-signed certificate/);
  await refused(
    workload,
    { published: workload.certificate },
    /is for DNS:web\.mesh\.svc, and not for istiod-next\.mesh\.svc/,
  );
  await refused(named, { published: named.certificate }, /is for no name, and not for /);
  await refused(own, {}, /: no root of it is known \(/);
  assert.equal(requestCount, 0);
});

test("a server without TLS gets no token", async (context) => {
  let received = "";
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  }).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const known = cluster({ published: (await issued(ownName)).certificate });
  const debug = debugOf(known, (server.address() as AddressInfo).port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), { code: "pod-unreachable" });
  assert.equal(known.tokenRequests, 0);
  assert.ok(received.length > 0 && !received.includes("Bearer"));
});

test("a reinstalled control plane is asked with a token of its new account", async (context) => {
  const material = await issued(ownName);
  const known = cluster({ published: material.certificate, token: "first" });
  let accepted = "first";
  const port = await serve(context, material, (_, { authorization }) =>
    authorization === `Bearer ${accepted}` ? "roots" : { grpcStatus: 16 },
  );
  const debug = debugOf(known, port);
  const ask = async (): Promise<unknown> => [await debug.ask(pilot, "/debug/serin/roots"), known.tokenRequests];
  assert.deepEqual(
    [await ask(), await ask()],
    [
      ["roots", 1],
      ["roots", 1],
    ],
  );
  [accepted, known.token] = ["second", "second"];
  assert.deepEqual(
    [await ask(), await ask()],
    [
      ["roots", 2],
      ["roots", 2],
    ],
  );
  accepted = "third";
  await assert.rejects(ask(), { code: "http-status", reason: "401" });
});

test("an unknown page has the status 404, and a refusal the pilot's own words", async (context) => {
  const material = await issued(ownName);
  const port = await serve(context, material, (name) =>
    name === "syncz" ? "404 page not found\n" : { grpcStatus: name === "roots" ? 7 : 14 },
  );
  const debug = debugOf(cluster({ published: material.certificate }), port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), { code: "http-status", reason: "404" });
  await assert.rejects(debug.ask(pilot, "/debug/roots"), /status 403: no entry$/);
  await assert.rejects(debug.ask(pilot, "/debug/other"), /gRPC status 14: no entry$/);
});

test("a release that does not serve its roots over TLS is asked for them in plain text, without a token", async (context) => {
  const material = await issued(ownName);
  const port = await serve(context, material, () => "404 page not found\n");
  const asked: unknown[] = [];
  let isOpen = true;
  const debug = debugOf(cluster({ published: material.certificate }), port, async (...request) => {
    asked.push(request);
    return await (isOpen ? Promise.resolve("roots") : Promise.reject(new Error("401")));
  });
  assert.equal(await debug.ask(pilot, "/debug/serin/roots"), "roots");
  assert.deepEqual(asked, [["127.0.0.1", 8080, "/debug/serin/roots"]]);
  isOpen = false;
  const missing = { code: "http-status", reason: "404" };
  await assert.rejects(debug.ask(pilot, "/debug/serin/roots"), missing);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), missing);
  assert.equal(asked.length, 2, "other pages are asked for over TLS only");
});

test("if the API server refuses the token, the error contains that reason and the server's message", async (context) => {
  const material = await issued(ownName);
  const port = await serve(context, material, () => "");
  const debug = debugOf(cluster({ published: material.certificate, token: undefined }), port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), {
    code: "token-refused",
    message: "create of a token of service account mesh/istiod-next: you may not create tokens",
    hint: "kubectl auth can-i create serviceaccounts --subresource=token -n mesh --as system:serviceaccount:serin-system:serin-rollout",
  });
});

test("questions share a connection, long answers pass whole, and another connection follows a change of the roots", async (context) => {
  const material = await issued(ownName);
  const known = cluster({ published: material.certificate });
  const long = "x".repeat(20 << 20);
  const { port, connections } = await serveCounted(context, material, (name) => (name === "long" ? long : "short"));
  const clock = standingClock();
  const client = {
    get: async () => await Promise.resolve({ metadata: {}, data: { "root-cert.pem": known.published } }),
    raw: async () => await Promise.resolve({ status: 201, text: JSON.stringify({ status: { token: "t" } }) }),
  } as unknown as KubeClient;
  const debug = new PilotDebug(client, { clock, port, injectors: () => [] });
  const pages = ["long", "short", "short"].map(async (page) => await debug.ask(pilot, `/debug/${page}`));
  assert.deepEqual(
    (await Promise.all(pages)).map(({ length }) => length),
    [20 << 20, 5, 5],
  );
  await debug.ask(pilot, "/debug/short");
  assert.equal(connections.size, 1);
  known.published = (await issued("another root", ownName)).certificate;
  clock.nowAtMs += 10_000;
  await assert.rejects(debug.ask(pilot, "/debug/short"), { code: "peer-identity" });
  known.published += material.certificate;
  assert.equal(await debug.ask(pilot, "/debug/short"), "short");
  assert.equal(connections.size, 2);
});
