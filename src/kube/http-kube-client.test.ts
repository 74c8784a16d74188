import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Settings,
} from "node:http2";
import { createServer as createProxy } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import "reflect-metadata";
import { type Extension, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import { podKind } from "../api/kubernetes/index.ts";
import { describeError, silentLogger, systemClock, type Clock, type SerinError } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { credentialPlugin } from "./credential-plugin.ts";
import { metadataExcerpt } from "./excerpt.ts";
import { createKubeClient, type KubeConnection } from "./http-kube-client.ts";
import type { KubeConfig } from "./kube-config.ts";
import { portForward } from "./port-forward.ts";

let key = "";
let certificate = "";
const directory = mkdtempSync(join(tmpdir(), "serin-kube-"));
after(() => rmSync(directory, { recursive: true }));

before(async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const extensions: Extension[] = [new SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }])];
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=test",
    keys,
    signingAlgorithm: algorithm,
    extensions,
  });
  certificate = made.toString("pem");
  key = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64")}\n-----END PRIVATE KEY-----\n`;
});

async function listen(server: Http2SecureServer | ReturnType<typeof createHttpsServer>, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  return (server.address() as AddressInfo).port;
}

const clientOf = (port: number, more: Partial<KubeConfig> = {}, clock: Clock = systemClock): KubeConnection =>
  createKubeClient(
    { server: `https://127.0.0.1:${port}`, context: "test", namespace: "default", ca: certificate, ...more },
    { log: silentLogger, clock },
  );

function http2Server(
  answer: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  settings: Settings = {},
): {
  server: Http2SecureServer;
  destroy: () => void;
  sessions: () => number;
  open: () => number;
} {
  const server = createSecureServer({ key, cert: certificate, settings }, answer);
  const sessions = new Set<{ destroy: () => void }>();
  let count = 0;
  server.on("session", (session) => {
    count += 1;
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  return {
    server,
    sessions: () => count,
    open: () => sessions.size,
    destroy: () => [...sessions].forEach((session) => session.destroy()),
  };
}

const bookmark = '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n';

test("requests and watches share one HTTP/2 connection, and after its loss the next request opens a new one", async () => {
  const { server, destroy, sessions } = http2Server((request, response) => {
    if (request.url.includes("watch=true")) response.write(bookmark);
    else response.end('{"metadata":{"name":"web","resourceVersion":"5"}}');
  });
  const client = clientOf(await listen(server));
  const watch = client.watch(podKind, { resourceVersion: "5" })[Symbol.asyncIterator]();
  assert.deepEqual((await watch.next()).value, { type: "BOOKMARK", resourceVersion: "7" });
  const gets = await Promise.all(Array.from({ length: 20 }, () => client.get(podKind, "web", "default")));
  assert.deepEqual([gets.length, gets[0]?.metadata.resourceVersion, sessions()], [20, "5", 1]);
  const next = watch.next();
  destroy();
  assert.equal((await next).done, true);
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  assert.equal(sessions(), 2);
  client.close();
  server.close();
});

test("watches beyond the streams that a server allows get further connections, which close with their last watch", async () => {
  const maxConcurrentStreams = 4;
  const { server, destroy, sessions, open } = http2Server(
    (request, response) => {
      if (request.url.includes("watch=true")) response.write(bookmark);
      else response.end('{"metadata":{"name":"web"}}');
    },
    { maxConcurrentStreams },
  );
  const client = clientOf(await listen(server));
  const stop = new AbortController();
  const watches = Array.from({ length: 3 * maxConcurrentStreams }, () =>
    client.watch(podKind, { resourceVersion: "5", signal: stop.signal })[Symbol.asyncIterator](),
  );
  // Start the watches one after another, because the client knows the server's limit of streams only after the first
  // response.
  for (const watch of watches) assert.equal((await watch.next()).value?.type, "BOOKMARK");
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  assert.deepEqual([sessions(), open()], [4, 4]);
  const ends = watches.map((watch) => watch.next());
  stop.abort();
  for (const { done } of await Promise.all(ends)) assert.equal(done, true);
  await until(() => open() === 1);
  await client.get(podKind, "web", "default");
  assert.deepEqual([sessions(), open()], [4, 1]);
  destroy();
  client.close();
  server.close();
});

test("a request on a connection that has just ended is sent over another one", async () => {
  const { server, sessions } = http2Server((_request, response) => response.end('{"metadata":{"name":"web"}}'));
  const planned = new Map<number, () => void>();
  const clock = {
    ...systemClock,
    after: (ms: number, run: () => void) => {
      planned.set(ms, run);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const client = clientOf(await listen(server), {}, clock);
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  // Run the timers that send the ping and that end the wait for its answer.
  for (const ms of [30_000, 15_000]) planned.get(ms)?.();
  // A write is sent only once, because a sent request without an answer may have been executed.
  await client.delete(podKind, "web", "default");
  assert.equal(sessions(), 2);
  client.close();
  server.close();
});

test("a request that its caller's time limit ends says that no answer came, and only a caller that leaves cancels it", async () => {
  const { server, destroy } = http2Server(() => undefined);
  const client = clientOf(await listen(server));
  const endedBy = async (reason?: unknown): Promise<unknown> => {
    const signal = AbortSignal.abort(reason);
    return await client.raw("GET", "/version", { signal }).catch((error: unknown) => (error as Error).message);
  };
  assert.equal(await endedBy(new DOMException("late", "TimeoutError")), "GET of /version: no answer in time");
  assert.equal(await endedBy(), "GET of /version was cancelled");
  client.close();
  destroy();
  server.close();
});

test("a request that a busy server refuses is sent again after the time that the server names, as often as asked for", async () => {
  const answers = [429, 429, 200, 429, 429, 429];
  const methods: string[] = [];
  const { server } = http2Server((request, response) => {
    methods.push(request.method);
    const status = answers.shift() ?? 200;
    response.writeHead(status, status === 429 ? { "retry-after": "3" } : {});
    response.end(status === 429 ? "Too many requests" : '{"metadata":{"name":"web"}}');
  });
  const waits: number[] = [];
  const clock = { ...systemClock, sleep: async (ms: number) => await Promise.resolve(void waits.push(ms)) };
  const target = { server: `https://127.0.0.1:${await listen(server)}`, context: "test", namespace: "default" };
  const client = createKubeClient({ ...target, ca: certificate }, { log: silentLogger, clock, busyRetries: 2 });
  const pod = { metadata: { name: "web", namespace: "default" } };
  assert.equal((await client.create(podKind, pod as never)).metadata.name, "web");
  assert.deepEqual(
    [methods, waits],
    [
      ["POST", "POST", "POST"],
      [3_000, 3_000],
    ],
  );
  assert.equal((await client.raw("GET", "/version")).status, 429);
  assert.equal(waits.length, 4);
  client.close();
  // Three waits would exceed the time limit of the request, whose error would hide that the server is busy.
  answers.push(...Array.from({ length: 10 }, () => 429));
  const hasty = { log: silentLogger, clock, busyRetries: 9, requestTimeoutMs: 9_000 };
  const limited = createKubeClient({ ...target, ca: certificate }, hasty);
  assert.equal((await limited.raw("GET", "/version")).status, 429);
  assert.equal(waits.length, 6);
  limited.close();
  server.close();
});

test("a request that gets 429 with a Retry-After of 0 is sent again at once, as often as busyRetries allows", async () => {
  const answers: (string | undefined)[] = ["0", "0", undefined];
  let requests = 0;
  const { server } = http2Server((_request, response) => {
    requests += 1;
    const wait = answers.shift();
    response.writeHead(429, wait === undefined ? {} : { "retry-after": wait });
    response.end("Too many requests");
  });
  const waits: number[] = [];
  const clock = { ...systemClock, sleep: async (ms: number) => await Promise.resolve(void waits.push(ms)) };
  const target = { server: `https://127.0.0.1:${await listen(server)}`, context: "test", namespace: "default" };
  const client = createKubeClient({ ...target, ca: certificate }, { log: silentLogger, clock, busyRetries: 4 });
  assert.equal((await client.raw("GET", "/version")).status, 429);
  assert.deepEqual([requests, waits], [3, [0, 0]], "an answer without a time is final");
  answers.push(...Array.from({ length: 10 }, () => "0"));
  assert.equal((await client.raw("GET", "/version")).status, 429);
  assert.deepEqual([requests, waits.length], [8, 6]);
  client.close();
  server.close();
});

test("a list of several pages is read completely, each page once, however a server starts its lists", async () => {
  const pages = ["", "two", "three"];
  const forms: readonly ((items: string, metadata: string) => string)[] = [
    (items, metadata) => `{"kind":"PodList","apiVersion":"v1","metadata":${metadata},"items":${items}}\n`,
    (items, metadata) => `{"metadata":${metadata},"items":${items}}`,
    (items, metadata) => `{"items":${items},"metadata":${metadata}}`,
    (items, metadata) => `{ "kind": "PodList", "metadata": ${metadata}, "items": ${items} }`,
  ];
  for (const form of forms) {
    const tokens: string[] = [];
    const { server } = http2Server((request, response) => {
      const token = new URL(request.url, "https://any").searchParams.get("continue") ?? "";
      tokens.push(token);
      const next = pages[pages.indexOf(token) + 1];
      // A text in an item may look like a continue token, and must not be used as one.
      const items = JSON.stringify([
        { metadata: { name: `of-${token}`, annotations: { text: '"continue":"nowhere"' } } },
      ]);
      response.end(
        form(
          items,
          JSON.stringify({
            resourceVersion: "7",
            ...(next === undefined ? {} : { continue: next, remainingItemCount: 1 }),
          }),
        ),
      );
    });
    const client = clientOf(await listen(server));
    const { items, resourceVersion } = await client.list(podKind);
    assert.deepEqual(
      [items.map(({ metadata }) => metadata.name), resourceVersion, tokens],
      [["of-", "of-two", "of-three"], "7", pages],
    );
    client.close();
    server.close();
  }
});

test("an expired continue token falls back to the whole list, even while the previous page is read", async () => {
  const { server } = http2Server((request, response) => {
    const { searchParams } = new URL(request.url, "https://any");
    if (searchParams.has("continue")) {
      response.statusCode = 410;
      response.end('{"kind":"Status","status":"Failure","reason":"Expired","code":410}');
    } else if (searchParams.has("limit"))
      response.end(
        '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"old"},"items":[{"metadata":{"name":"a"}}]}',
      );
    else
      response.end(
        '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}',
      );
  });
  const client = clientOf(await listen(server));
  const { items, resourceVersion } = await client.list(podKind);
  assert.deepEqual([items.map(({ metadata }) => metadata.name), resourceVersion], [["a", "b"], "9"]);
  client.close();
  server.close();
});

test("a list has pages of 500 objects, or of the requested size", async () => {
  const limits: (string | null)[] = [];
  const { server } = http2Server((request, response) => {
    const { searchParams } = new URL(request.url, "https://any");
    limits.push(searchParams.get("limit"));
    response.end(
      `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"${limits.length === 1 ? ',"continue":"two"' : ""}},"items":[]}`,
    );
  });
  const client = clientOf(await listen(server));
  await client.list(podKind, { pageSize: 20 });
  await client.list(podKind);
  assert.deepEqual(limits, ["20", "20", "500"]);
  client.close();
  server.close();
});

/** A protobuf message with these fields, each of which is shorter than 128 bytes. */
const short = (...fields: readonly (readonly [number, string | Buffer])[]): Buffer =>
  Buffer.concat(
    fields.map(([number, value]) =>
      Buffer.concat([Buffer.from([(number << 3) | 2, Buffer.byteLength(value)]), Buffer.from(value)]),
    ),
  );
const binary = (message: Buffer): Buffer => Buffer.concat([Buffer.from("k8s\0"), short([2, message])]);

test("partial lists use the server's binary form if it has one, and JSON gives the same fields", async () => {
  const excerpt = { metadata: { number: 1, holds: metadataExcerpt } };
  const accepted = new Set<string>();
  let speaksBinary = true;
  const { server } = http2Server((request, response) => {
    const { searchParams } = new URL(request.url, "https://any");
    const token = searchParams.get("continue");
    if (searchParams.has("watch"))
      return void response.end('{"type":"ADDED","object":{"metadata":{"name":"d","generation":1},"spec":{}}}\n');
    accepted.add(request.headers.accept ?? "");
    if (!speaksBinary)
      return void response.end(
        '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"c","generation":1},"status":{}}]}',
      );
    response.setHeader("content-type", "application/vnd.kubernetes.protobuf");
    if (token === "old") {
      response.statusCode = 410;
      return void response.end(binary(short([3, "too old"], [4, "Expired"])));
    }
    const name = token === null ? "a" : "b";
    const next = !searchParams.has("limit") ? "" : token === null ? "two" : token === "two" ? "old" : "";
    response.end(binary(short([1, short([2, "7"], [3, next])], [2, short([1, short([1, name])])])));
  });
  const client = clientOf(await listen(server));
  const named = async (): Promise<unknown> => (await client.list(podKind, { excerpt })).items;
  // The third page is refused in binary form too. The client then requests the whole list in one response.
  assert.deepEqual(await named(), [{ apiVersion: "v1", kind: "Pod", metadata: { name: "a" } }]);
  speaksBinary = false;
  assert.deepEqual(await named(), [{ apiVersion: "v1", kind: "Pod", metadata: { name: "c" } }]);
  assert.deepEqual([...accepted], ["application/vnd.kubernetes.protobuf,application/json"]);
  for await (const event of client.watch(podKind, { resourceVersion: "9", excerpt }))
    assert.deepEqual(event, { type: "ADDED", object: { metadata: { name: "d" } } });
  client.close();
  server.close();
});

test("a rotated token is read again when the server refuses the old one", async () => {
  const path = join(directory, "token");
  writeFileSync(path, "old\n");
  const requests: string[] = [];
  const { server } = http2Server((request, response) => {
    requests.push(request.headers.authorization ?? "");
    if (request.headers.authorization === "Bearer old") writeFileSync(path, "new\n");
    response.statusCode = request.headers.authorization === "Bearer new" ? 200 : 401;
    response.end('{"metadata":{"name":"web"}}');
  });
  const client = clientOf(await listen(server), { token: { type: "file", path } });
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  assert.deepEqual(requests, ["Bearer old", "Bearer new"]);
  client.close();
  server.close();
});

test("a server with only HTTP/1.1 works too, and the error for an untrusted certificate says so", async () => {
  const server = createHttpsServer({ key, cert: certificate }, (_request, response) =>
    response.end('{"metadata":{"name":"web"}}'),
  );
  const port = await listen(server);
  const client = clientOf(port);
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  const { ca: _ca, ...untrusting } = {
    ca: certificate,
    server: `https://127.0.0.1:${port}`,
    context: "test",
    namespace: "default",
  };
  const stranger = createKubeClient(untrusting, { log: silentLogger, clock: systemClock });
  await assert.rejects(stranger.get(podKind, "web"), { code: "unreachable", hint: /certificate is not trusted/ });
  client.close();
  server.close();
  server.closeAllConnections();
});

test("a program's token is asked for again when the server refuses the old one, and its new certificate gets a new connection", async () => {
  const requests: string[] = [];
  const { server, sessions } = http2Server((request, response) => {
    requests.push(request.headers.authorization ?? "");
    response.statusCode = request.headers.authorization === "Bearer 2" ? 200 : 401;
    response.end('{"metadata":{"name":"web"}}');
  });
  const counter = join(directory, "counter");
  // Text after a certificate has no effect on TLS, but makes it another certificate for the client.
  const pair = { clientCertificateData: `${certificate}\nNUMBER`, clientKeyData: key };
  const script = `printf x >> ${counter}; read token <<END\n$(wc -c < ${counter})\nEND\nsed "s/NUMBER/$token/g" <<'END'\n${JSON.stringify(
    { apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status: { token: "NUMBER", ...pair } },
  )}\nEND`;
  const plugin = credentialPlugin(
    {
      where: "the test",
      command: "/bin/sh",
      args: ["-c", script],
      env: {},
      apiVersion: "client.authentication.k8s.io/v1",
      interactiveMode: "Never",
    },
    { env: process.env, isTerminal: false },
  );
  const client = clientOf(await listen(server), { plugin });
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  assert.deepEqual([requests, sessions()], [["Bearer 1", "Bearer 2", "Bearer 2"], 2]);
  client.close();
  server.close();
});

/** The request headers by which a client impersonates another user. */
function impersonating(headers: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? "";
    if (name.startsWith("impersonate-")) (found[name] ??= []).push(headers[index + 1] ?? "");
  }
  return found;
}

test("requests, over HTTP/2 and HTTP/1.1, name the user that the server shall impersonate", async () => {
  const seen: unknown[] = [];
  const { server } = http2Server((request, response) => {
    seen.push(impersonating(request.rawHeaders));
    response.end('{"metadata":{"name":"web"}}');
  });
  const old = createHttpsServer({ key, cert: certificate }, (request, response) => {
    seen.push(impersonating(request.rawHeaders));
    response.end('{"metadata":{"name":"web"}}');
  });
  const impersonation = { user: "jürgen", uid: "7", groups: ["dev", "ops"], extra: { "Reason(x)": ["audit"] } };
  for (const port of [await listen(server), await listen(old)]) {
    const client = clientOf(port, { token: { type: "literal", token: "t" }, impersonation });
    await client.get(podKind, "web", "default");
    client.close();
  }
  const expected = {
    "impersonate-user": [Buffer.from("jürgen").toString("latin1")],
    "impersonate-uid": ["7"],
    "impersonate-group": ["dev", "ops"],
    "impersonate-extra-reason%28x%29": ["audit"],
  };
  assert.deepEqual(seen, [expected, expected]);
  server.close();
  old.close();
  old.closeAllConnections();
});

test("a client's certificate that cannot be read is reported as a fault of the kubeconfig, over HTTP/2 and HTTP/1.1", async () => {
  const clientCertificate = { certificate: "none", key: "none" };
  const config = { server: "https://127.0.0.1:1", context: "test", namespace: "default", clientCertificate };
  const client = createKubeClient(config, { log: silentLogger, clock: systemClock });
  await assert.rejects(client.list(podKind), { code: "kubeconfig-invalid", message: /certificates of context "test"/ });
  await assert.rejects(portForward(config, { namespace: "a", pod: "b", port: 1 }), { code: "kubeconfig-invalid" });
  client.close();
});

test("requests reach the server through an HTTP proxy with its password, and a proxy that refuses is named", async () => {
  const { server } = http2Server((_request, response) => response.end('{"metadata":{"name":"web"}}'));
  const port = await listen(server);
  const asked: string[] = [];
  const proxy = createProxy();
  proxy.on("connect", (request, socket) => {
    asked.push(`${request.url ?? ""} ${request.headers["proxy-authorization"] ?? "nobody"}`);
    if (request.headers["proxy-authorization"] === undefined)
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const client = clientOf(port, { proxy: new URL(`http://me:p%40ss@${address}`) });
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  const stranger = clientOf(port, { proxy: new URL(`http://${address}`) });
  await assert.rejects(stranger.get(podKind, "web", "default"), (error: SerinError) => {
    assert.equal(error.code, "unreachable");
    assert.match(describeError(error), new RegExp(`the proxy ${address} answered 407`));
    assert.match(error.hint ?? "", /^check the proxy of the context .*HTTPS_PROXY and NO_PROXY/);
    return true;
  });
  const known = `127.0.0.1:${port} Basic ${Buffer.from("me:p@ss").toString("base64")}`;
  // A failed read is repeated once, so the proxy may see two requests. The set removes the repetition.
  assert.deepEqual([...new Set(asked)], [known, `127.0.0.1:${port} nobody`]);
  client.close();
  stranger.close();
  server.close();
  proxy.close();
});

/** A SOCKS5 proxy that expects `me` with the password `p@ss`, and connects to `port` whatever the client asks for. */
function socksProxy(port: number, asked: string[], status = 0): Server {
  return createServer((socket) => {
    let received = "";
    const answers: readonly (readonly [expected: RegExp, answer: string])[] = [
      [/^05020002$/, "0502"],
      [/^01026d650470407373$/, "0100"],
      [/^050100/, `050${status}0001000000000000`],
    ];
    const take = (data: Buffer): void => {
      received = data.toString("hex");
      const [, answer] = answers.find(([expected]) => expected.test(received)) ?? [];
      if (answer === undefined) return void socket.end("no SOCKS");
      if (!received.startsWith("050100")) return void socket.write(Buffer.from(answer, "hex"));
      asked.push(received.slice(6));
      socket.off("data", take);
      if (status !== 0) return void socket.end(Buffer.from(answer, "hex"));
      const onward = connect(port, "127.0.0.1", () => {
        socket.write(Buffer.from(answer, "hex"));
        socket.pipe(onward).pipe(socket);
      });
      onward.on("error", () => socket.destroy());
    };
    socket.on("data", take);
    socket.on("error", () => undefined);
  });
}

test("requests reach the server through a SOCKS5 proxy with its password, by address or name, and a refusal is named", async () => {
  const { server } = http2Server((_request, response) => response.end('{"metadata":{"name":"web"}}'));
  const port = await listen(server);
  const asked: string[] = [];
  const proxies = [socksProxy(port, asked), socksProxy(port, asked, 5)] as const;
  const urls: string[] = [];
  for (const proxy of proxies) {
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    urls.push(`socks5://me:p%40ss@127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  }
  const [open = "", closed = ""] = urls;
  const named = { server: "https://api.example.com:443", tlsServerName: "127.0.0.1" };
  const clients = [
    clientOf(port, { proxy: new URL(open) }),
    clientOf(port, { proxy: new URL(open), ...named }),
    clientOf(port, { proxy: new URL(closed) }),
    clientOf(port, { proxy: new URL(open.replace("p%40ss", "other")) }),
  ] as const;
  try {
    for (const client of clients.slice(0, 2))
      assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
    const portBytes = port.toString(16).padStart(4, "0");
    const name = Buffer.from("api.example.com").toString("hex");
    assert.deepEqual(asked, [`017f000001${portBytes}`, `030f${name}01bb`]);
    await assert.rejects(clients[2].get(podKind, "web", "default"), (error: SerinError) => {
      assert.match(describeError(error), /the proxy 127\.0\.0\.1:\d+: it answered connection refused/);
      return true;
    });
    await assert.rejects(clients[3].get(podKind, "web", "default"), { code: "unreachable" });
  } finally {
    for (const client of clients) client.close();
    for (const proxy of proxies) proxy.close();
    server.close();
  }
});
