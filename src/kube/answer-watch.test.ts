import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { podKind } from "../api/kubernetes/index.ts";
import { silentLogger } from "../base/index.ts";
import { HandClock, until } from "../base/testing/index.ts";
import { createKubeClient, type KubeConnection } from "./http-kube-client.ts";

const raise = "wait longer";

interface Waiting {
  readonly client: KubeConnection;
  readonly clock: HandClock;
  /** The reports that the person got. Undefined withdraws the report. */
  readonly told: (string | undefined)[];
  readonly server: string;
}

async function waitingOn(context: TestContext, listening: Server, scheme: string): Promise<Waiting> {
  const sockets = new Set<Socket>();
  listening.on("connection", (socket: Socket) => sockets.add(socket));
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const server = `${scheme}://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  const clock = new HandClock();
  const told: (string | undefined)[] = [];
  const client = createKubeClient(
    { server, context: "lab", namespace: "default" },
    {
      log: silentLogger,
      clock,
      person: {
        firstAnswerMs: 15_000,
        raise,
        overdue: (subject, missing) => void told.push(missing === undefined ? missing : `${subject}: ${missing}`),
      },
    },
  );
  context.after(() => {
    client.close();
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  return { client, clock, told, server };
}

const overHttp = async (context: TestContext, answer: RequestListener): Promise<Waiting> =>
  await waitingOn(context, createHttpServer(answer), "http");

/**
 * Advances the clock in small steps. A long jump looks like a suspended process, and a limit counts only part of it.
 */
async function run(clock: HandClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.pass(500);
    await new Promise(setImmediate);
  }
}

test("a server that never answers: the user gets a message after three seconds, and the request fails after fifteen", async (context) => {
  for (const silent of ["http", "https"] as const) {
    let asked = 0;
    const count = (): void => void (asked += 1);
    const waiting =
      silent === "http" ? await overHttp(context, count) : await waitingOn(context, createServer(count), silent);
    const { client, clock, told, server } = waiting;
    const failed = assert.rejects(client.list(podKind), {
      kind: "transient",
      code: "timeout",
      message: "list of pods in all namespaces: no answer within 15 s",
      hint: `check that ${server} is the API server of the context "lab", and that it runs: kubectl get --raw /readyz; ${raise}`,
    });
    await until(() => asked === 1);
    await run(clock, 2_500);
    assert.deepEqual(told, []);
    await run(clock, 1_000);
    const line = `the API server at ${server}: no answer yet to the list of pods in all namespaces; the limit is 15 s until the server's first answer, then 60 s`;
    assert.deepEqual(told, [line]);
    await run(clock, 12_000);
    await failed;
    assert.deepEqual(told, [line, undefined]);
  }
});

test("a server that has answered once may take longer for another request", async (context) => {
  const late: (() => void)[] = [];
  const { client, clock, told } = await overHttp(context, (request, response) => {
    if (request.url?.endsWith("/pods") === true) late.push(() => response.end('{"items":[],"metadata":{}}'));
    else response.end('{"metadata":{"name":"web"}}');
  });
  const large = client.raw("GET", "/api/v1/pods");
  await until(() => late.length === 1);
  assert.equal((await client.get(podKind, "web", "default"))?.metadata.name, "web");
  await run(clock, 20_000);
  assert.match(told[0] ?? "", /no answer yet to the GET of \/api\/v1\/pods; the limit is 60 s$/);
  late[0]?.();
  assert.equal((await large).status, 200);
  assert.deepEqual(told.slice(1), [undefined]);
});

test("a slow first request goes on if the server answers a small one meanwhile", async (context) => {
  let answer = (): void => assert.fail("the list was not asked for");
  const versionSent = Promise.withResolvers<void>();
  const { client, clock, told } = await overHttp(context, (request, response) => {
    if (request.url === "/version") response.writeHead(403).end("{}", versionSent.resolve);
    else answer = () => response.end('{"items":[],"metadata":{}}');
  });
  const list = client.list(podKind);
  await until(() => told.length === 1 || (clock.pass(500), false));
  await versionSent.promise;
  // The answer has reached the client's socket by now, and the client reads it in one of the next turns.
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  await run(clock, 40_000);
  answer();
  assert.deepEqual((await list).items, []);
  assert.deepEqual(told.slice(1), [undefined]);
});
