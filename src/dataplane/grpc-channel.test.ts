import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer } from "node:http2";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { connectivityState, type Client } from "@grpc/grpc-js";
import { systemClock } from "../base/index.ts";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import { HandClock, until } from "../base/testing/index.ts";
import { TestAuthority } from "../net/testing/index.ts";
import { connectChannel } from "./grpc-channel.ts";

const authority = await TestAuthority.create();
const { certificateChain: cert, privateKey: key } = await authority.issue({ dns: "istiod.test" });
const folder = await mkdtemp(join(tmpdir(), "serin-channel-"));
after(async () => await rm(folder, { recursive: true }));
const rootCertificateFile = join(folder, "root.pem");
await writeFile(rootCertificateFile, authority.roots);

/** Returns the TLS version of a connection to a control plane, or `refused`. */
async function dialed(serving: SecureContextOptions, compliance?: CompliancePolicy): Promise<string> {
  const server = createSecureServer({ cert, key, ...serving }).listen(0, "127.0.0.1");
  await once(server, "listening");
  let version = "";
  server.on("secureConnection", (socket: TLSSocket) => (version = socket.getProtocol() ?? ""));
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  const client = await connectChannel(
    { url, rootCertificateFile, headers: {}, serverName: "istiod.test", compliance },
    { timeoutMs: 10_000, clock: systemClock, random: () => 1, signal: new AbortController().signal },
  );
  try {
    return isReady(client) ? version : "refused";
  } finally {
    client.close();
    server.close();
  }
}

function isReady(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

test("a policy limits the connection to the control plane, and its certificate is verified as without one", async () => {
  assert.equal(await dialed({ ecdhCurve: "P-256" }), "TLSv1.3");
  assert.equal(await dialed({ ecdhCurve: "P-256" }, "pqc"), "refused");
  assert.equal(await dialed({ ecdhCurve: "X25519MLKEM768" }, "pqc"), "TLSv1.3");
  assert.equal(await dialed({}, "fips-140-2"), "TLSv1.2");
  assert.equal(await dialed({ ecdhCurve: "X25519" }, "fips-140-3"), "refused");
  const stranger = await (await TestAuthority.create()).issue({ dns: "istiod.test" });
  assert.equal(await dialed({ cert: stranger.certificateChain, key: stranger.privateKey }, "pqc"), "refused");
});

test("a control plane whose certificate comes from another root is refused, and the reason names the file with our roots", async () => {
  const stranger = await (await TestAuthority.create()).issue({ dns: "istiod.test" });
  const server = createSecureServer({ cert: stranger.certificateChain, key: stranger.privateKey });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = await connectChannel(
    { url, rootCertificateFile, headers: {}, serverName: "istiod.test" },
    { timeoutMs: 10_000, clock: systemClock, random: () => 1, signal: new AbortController().signal },
  );
  const reason = await reasonOf(client);
  client.close();
  server.close();
  assert.ok(reason.includes(`comes from no root in ${rootCertificateFile}; if the mesh's root has changed`), reason);
});

/** Returns the error of a call without a connection. */
async function reasonOf(client: Client): Promise<string> {
  const plain = (bytes: Buffer): Buffer => bytes;
  return await new Promise<string>((resolve) =>
    client.makeUnaryRequest("/x/y", plain, plain, Buffer.alloc(0), (error) => resolve(String(error))),
  );
}

/** A Service of several control planes: the test decides which of them gets each new connection. */
async function balanced(t: TestContext, answers: (index: number) => "serves" | "is silent" | "closes") {
  const pilot = createSecureServer({ cert, key });
  const sockets: Socket[] = [];
  const service = createServer((socket) => {
    const answer = answers(sockets.push(socket.on("error", () => undefined)) - 1);
    if (answer === "serves") pilot.emit("connection", socket);
    else if (answer === "closes") socket.destroy();
  });
  await once(service.listen(0, "127.0.0.1"), "listening");
  const clock = new HandClock();
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
    for (const socket of sockets) socket.destroy();
    service.close();
  });
  const { port } = service.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  const connecting = connectChannel(
    { url, rootCertificateFile, headers: {}, serverName: "istiod.test" },
    { timeoutMs: 10_000, clock, random: () => 1, signal: stop.signal },
  );
  const begun = async (count: number): Promise<void> => {
    await until(() => sockets.length === count);
  };
  return { connecting, clock, stop, begun, sockets };
}

/** Waits until the client has closed a connection that the server does not read. */
async function ended(socket: Socket | undefined): Promise<void> {
  assert.ok(socket !== undefined);
  if (!socket.destroyed) await once(socket.resume(), "close");
}

test("a connection to an istiod that has ended delays by half a second, because a second one is balanced anew", async (t) => {
  const { connecting, clock, begun, sockets } = await balanced(t, (index) => (index === 0 ? "is silent" : "serves"));
  await begun(1);
  clock.pass(499);
  assert.equal(sockets.length, 1);
  clock.pass(1);
  const client = await connecting;
  assert.deepEqual([isReady(client), sockets.length, clock.nowMs(), clock.timers], [true, 2, 500, 0]);
  await ended(sockets[0]);
  assert.equal(isReady(client), true, "the connection without an answer is closed, and not the one in use");
  client.close();
});

test("at most four connections begin, each later than the one before, and the attempt ends after its time", async (t) => {
  const { connecting, clock, begun, sockets } = await balanced(t, () => "is silent");
  for (const [ms, count] of [
    [0, 1],
    [500, 2],
    [1000, 3],
    [2000, 4],
  ] as const) {
    clock.pass(ms);
    await begun(count);
  }
  assert.deepEqual([clock.timers, clock.nextTimerMs], [1, 6500], "only the attempt's end is left");
  clock.pass(6500);
  await assert.rejects(connecting, /no connection to the control plane https:\S+ within 10 s/);
  assert.equal(sockets.length, 4);
  for (const socket of sockets) await ended(socket);
});

test("a connection that is refused does not end an attempt in which another one has no answer yet", async (t) => {
  const { connecting, clock, begun } = await balanced(
    t,
    (index) => (["is silent", "closes"] as const)[index] ?? "serves",
  );
  await begun(1);
  clock.pass(500);
  await begun(2);
  clock.pass(1000);
  const client = await connecting;
  assert.equal(isReady(client), true);
  client.close();
});

test("an attempt whose only connection is refused ends at once with the reason, and one that is not needed any more ends too", async (t) => {
  const { connecting, clock } = await balanced(t, () => "closes");
  const client = await connecting;
  assert.deepEqual([isReady(client), clock.timers], [false, 0]);
  assert.match(await reasonOf(client), /UNAVAILABLE/);
  client.close();
  const other = await balanced(t, () => "is silent");
  await other.begun(1);
  other.stop.abort();
  await assert.rejects(other.connecting, /not needed any more/);
  assert.equal(other.clock.timers, 0);
  await ended(other.sockets[0]);
});
