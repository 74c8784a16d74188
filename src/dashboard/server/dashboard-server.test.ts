import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import { applyLiveMessage, type LiveMessage, type Session, type View } from "../../api/dashboard/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "../problem.ts";
import { DashboardRig } from "./testing/dashboard-rig.ts";
import { syntheticAccess, syntheticIdentity, syntheticToken } from "./testing/synthetic-access.ts";

const problemCode = (text: string): string => (JSON.parse(text) as { problem: { code: string } }).problem.code;

test("the page's files are compressed, cached by hash, and have a policy without inline or foreign content", async () => {
  await using rig = await DashboardRig.start();
  const plain = await rig.ask("GET", "/");
  assert.equal(plain.status, 200);
  assert.equal(plain.headers["content-type"], "text/html; charset=utf-8");
  assert.match(
    String(plain.headers["content-security-policy"]),
    /default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self';.*frame-ancestors 'none'/,
  );
  assert.equal(plain.headers["x-content-type-options"], "nosniff");
  const script = await rig.open("GET", "/page.js", { headers: { "accept-encoding": "gzip, br" } });
  assert.equal(script.headers["content-encoding"], "br");
  const parts: Buffer[] = [];
  for await (const part of script as AsyncIterable<Buffer>) parts.push(part);
  assert.equal(brotliDecompressSync(Buffer.concat(parts)).toString(), "console.log(1);".repeat(500));
  const uncompressed = await rig.ask("GET", "/page.js");
  assert.deepEqual(
    [uncompressed.headers["content-encoding"], uncompressed.text],
    [undefined, "console.log(1);".repeat(500)],
  );
  const again = await rig.ask("GET", "/page.js", {
    headers: { "accept-encoding": "br", "if-none-match": String(script.headers.etag) },
  });
  assert.deepEqual([again.status, again.text], [304, ""]);
  assert.match(String((await rig.ask("GET", "/chunk-ABCDEF12.js")).headers["cache-control"]), /immutable/);
  assert.equal(script.headers["cache-control"], "no-cache");
  assert.equal((await rig.ask("GET", "/../package.json")).status, 404);
});

test("everything is below the root, and Kiali's old addresses lead to the page", async () => {
  await using rig = await DashboardRig.start({ root: "/kiali" });
  for (const path of ["/", "/kiali"]) assert.equal((await rig.ask("GET", path)).headers.location, "/kiali/");
  assert.equal(
    (await rig.ask("GET", "/kiali/console/graph/namespaces?duration=60s")).headers.location,
    "/kiali/?duration=60s",
  );
  assert.equal((await rig.ask("GET", "/kiali/")).status, 200);
  assert.equal((await rig.ask("GET", "/kialix/")).status, 404);
  assert.match(
    String((await rig.ask("GET", "/kiali/api/session")).headers["set-cookie"]),
    /Path=\/kiali\/; HttpOnly; SameSite=Strict/,
  );
});

test("a foreign host name and cross-site requests are refused", async () => {
  await using rig = await DashboardRig.start();
  for (const host of ["localhost:20001", "127.0.0.1", "[::1]:8080", "a.localhost"])
    assert.equal((await rig.ask("GET", "/", { headers: { host } })).status, 200, host);
  const { status, text } = await rig.ask("GET", "/", { headers: { host: "evil.example:20001" } });
  assert.deepEqual([status, problemCode(text)], [403, "forbidden"]);
  assert.equal((await rig.ask("GET", "/api/session", { headers: { "sec-fetch-site": "cross-site" } })).status, 403);
  assert.equal((await rig.ask("GET", "/api/session", { headers: { "sec-fetch-site": "same-origin" } })).status, 200);
});

test("without a session only the page and the login are available", async () => {
  await using rig = await DashboardRig.start();
  const session = await rig.session();
  assert.deepEqual(
    [session.authentication, session.user, session.mayLogIn, session.version],
    ["none", "", true, "1.2.3"],
  );
  for (const path of ["/api/live?topic=overview", "/api/logs?pod=a", "/api/audit"]) {
    const { status, text } = await rig.ask("GET", path);
    assert.deepEqual([status, problemCode(text)], [401, "logged-out"], path);
  }
  const wrong = await rig.logIn("another");
  assert.deepEqual([wrong.status, problemCode(wrong.text)], [403, "forbidden"]);
});

test("a login needs the page's own token against forgery, changes the cookie, and ends with the logout", async () => {
  await using rig = await DashboardRig.start();
  await rig.session();
  const before = rig.cookie;
  for (const headers of [{ "x-serin-csrf": "" }, { "x-serin-csrf": "wrong" }, { cookie: "" }] as Record<
    string,
    string
  >[]) {
    const { status } = await rig.ask("POST", "/api/login", { body: { token: syntheticToken }, headers });
    assert.equal(status, 403, JSON.stringify(headers));
  }
  rig.cookie = before;
  const { status, text } = await rig.logIn(syntheticToken);
  assert.equal(status, 200);
  assert.equal((JSON.parse(text) as Session).user, "ana@example.org");
  assert.notEqual(rig.cookie, before);
  assert.equal(
    (await rig.ask("POST", "/api/validate", { body: { yaml: "a" }, headers: { "x-serin-csrf": "wrong" } })).status,
    403,
  );
  assert.equal((await rig.ask("POST", "/api/validate", { body: { yaml: "a" } })).status, 200);
  assert.equal((await rig.ask("POST", "/api/logout", { body: {} })).status, 200);
  assert.equal((await rig.session()).authentication, "none");
  assert.deepEqual(
    rig.audit.records(() => true).map(({ what, result }) => `${what} ${result}`),
    ["logout done", "login done"],
  );
});

test("each port has its own login cookie, and of two with one name the one of the longer path wins", async () => {
  await using rig = await DashboardRig.start();
  await rig.logIn(syntheticToken);
  const [name = "", id = ""] = rig.cookie.split("=");
  const userBy = async (headers: Record<string, string>): Promise<string> =>
    (JSON.parse((await rig.ask("GET", "/api/session", { headers })).text) as Session).user;
  const other = "x".repeat(id.length);
  assert.equal(await userBy({ cookie: `serin-session-1=${other}; ${rig.cookie}` }), "ana@example.org");
  assert.equal(await userBy({ cookie: `${rig.cookie}; ${name}=${other}` }), "ana@example.org");
  // The name of the cookie contains the port in the browser's address, which may be that of a port-forward.
  assert.equal(
    await userBy({ host: "localhost:20001", cookie: `serin-session-20001=${id}; serin-session-20002=${other}` }),
    "ana@example.org",
  );
  assert.equal(await userBy({ host: "localhost:20002", cookie: `serin-session-20001=${id}` }), "");
});

test("a printed address logs its browser in", async () => {
  await using rig = await DashboardRig.start();
  assert.equal((await rig.ask("GET", "/enter?secret=guessed")).status, 403);
  const entered = await rig.ask("GET", "/enter?secret=synthetic-secret");
  assert.deepEqual([entered.status, entered.headers.location], [303, "/"]);
  assert.equal((await rig.session()).user, "ana@example.org");
  // The browser that has used the secret may open the address again.
  assert.equal((await rig.ask("GET", "/enter?secret=used")).status, 303);
  assert.equal((await rig.ask("GET", "/enter?secret=used", { headers: { cookie: "" } })).status, 403);
});

test("a printed address lets no browser of another user in, and its secret stays unused", async () => {
  let isStranger = true;
  const checkBrowser = async (): Promise<void> => {
    if (isStranger) throw refusal("forbidden", "the browser runs as the user with the id 1001");
    await Promise.resolve();
  };
  await using rig = await DashboardRig.start({ access: { ...syntheticAccess({}), checkBrowser } });
  const { status, text } = await rig.ask("GET", "/enter?secret=synthetic-secret");
  assert.deepEqual([status, text.includes("the id 1001")], [403, true]);
  assert.equal((await rig.session()).user, "");
  isStranger = false;
  assert.equal((await rig.ask("GET", "/enter?secret=synthetic-secret")).status, 303);
});

test("a refused address tells a person in a browser what to do, in plain text", async () => {
  await using rig = await DashboardRig.start();
  const headers = { cookie: "", accept: "text/html,application/xhtml+xml" };
  const { status, text, headers: answered } = await rig.ask("GET", "/enter?secret=used", { headers });
  assert.deepEqual([status, answered["content-type"]], [403, "text/plain; charset=utf-8"]);
  assert.match(text, /^this address was already used, or does not belong to this server\n.+\n$/);
});

test("the stream begins with each whole view, and continues with changed rows", async () => {
  await using rig = await DashboardRig.start({
    access: syntheticAccess({ anonymous: syntheticIdentity({ authentication: "anonymous" }) }),
  });
  const views = new Map<string, View>();
  let changes = 0;
  for await (const message of rig.live("graph?by=workload&namespaces=shop", "overview")) {
    if (message.type !== "view" && message.type !== "change") continue;
    const view = applyLiveMessage(views.get(message.topic), message);
    assert.ok(view !== undefined, `a change of ${message.topic} came before the view`);
    views.set(message.topic, view);
    if (message.type === "change") changes += 1;
    if (changes >= 2) break;
  }
  assert.deepEqual([...views.keys()].sort(), ["graph?by=workload&namespaces=shop", "overview"]);
  assert.ok(Object.keys(views.get("graph?by=workload&namespaces=shop")?.tables["nodes"] ?? {}).length > 10);
});

test("an invalid topic is reported as a problem beside the valid ones", async () => {
  await using rig = await DashboardRig.start({ access: syntheticAccess({ anonymous: syntheticIdentity() }) });
  const told: string[] = [];
  for await (const message of rig.live("nothing", "graph?by=colour", "workload?namespace=shop&name=gone", "ladder")) {
    told.push(message.type === "problem" ? `${message.topic} ${message.problem.code}` : message.type);
    if (told.length === 4) break;
  }
  assert.deepEqual(told.toSorted(), [
    "graph?by=colour invalid",
    "nothing invalid",
    "view",
    "workload?namespace=shop&name=gone not-found",
  ]);
});

test("invalid bodies, fields and methods are refused with a reason", async () => {
  await using rig = await DashboardRig.start();
  await rig.logIn(syntheticToken);
  const cases: [string, string, unknown, Record<string, string>, number][] = [
    ["POST", "/api/validate", "no json", {}, 400],
    ["POST", "/api/validate", "[1]", {}, 400],
    ["POST", "/api/validate", { yaml: 7 }, {}, 400],
    ["POST", "/api/validate", { yaml: "a" }, { "content-type": "text/plain" }, 400],
    ["POST", "/api/validate", { yaml: "a".repeat(1_600_000) }, {}, 413],
    ["POST", "/api/unknown", {}, {}, 404],
    ["DELETE", "/api/audit", undefined, {}, 404],
    ["POST", "/", {}, {}, 400],
    ["GET", "/api/series?measure=requestRate&points=1", undefined, {}, 400],
    ["GET", "/api/live?topic=a&topic=b&topic=c&topic=d&topic=e&topic=f&topic=g&topic=h&topic=i", undefined, {}, 400],
  ];
  for (const [method, path, body, headers, expected] of cases) {
    const { status, text } = await rig.ask(method, path, { body, headers });
    assert.equal(status, expected, `${method} ${path}: ${text}`);
    assert.notEqual(problemCode(text), "", path);
  }
});

test("one user may open a bounded number of different views, and reopen those", async () => {
  await using rig = await DashboardRig.start();
  await rig.logIn(syntheticToken);
  const page = async (first: number): Promise<number> => {
    const topics = Array.from(
      { length: limits.topicsOfPage },
      (_, index) => `topic=${encodeURIComponent(`workloads?namespaces=n${first + index}`)}`,
    );
    return (await rig.open("GET", `/api/live?${topics.join("&")}`)).statusCode ?? 0;
  };
  for (let first = 0; first < limits.topicsOfUser; first += limits.topicsOfPage) assert.equal(await page(first), 200);
  assert.deepEqual([await page(limits.topicsOfUser), await page(0)], [503, 200]);
});

test("anonymous readers share a limit of pages for each address, with or without cookies, and users who log in have their own", async () => {
  await using rig = await DashboardRig.start({
    access: syntheticAccess({ anonymous: syntheticIdentity({ user: "anonymous" }) }),
  });
  const page = async (): Promise<number> => {
    rig.cookie = "";
    return (await rig.open("GET", "/api/live?topic=workloads")).statusCode ?? 0;
  };
  for (let count = 0; count < limits.pagesOfAddress; count += 1) assert.equal(await page(), 200, String(count));
  assert.equal(await page(), 503);
  // A page gets the reason in the stream, because an EventSource cannot read the body of an error.
  const told = await rig.ask("GET", "/api/live?topic=workloads&topic=ladder", {
    headers: { accept: "text/event-stream" },
  });
  const messages = told.text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => JSON.parse(event.slice("data: ".length)) as LiveMessage);
  assert.deepEqual(
    [told.status, messages.map((message) => message.type === "problem" && [message.topic, message.problem.code])],
    [
      200,
      [
        ["workloads", "unavailable"],
        ["ladder", "unavailable"],
      ],
    ],
  );
  await rig.logIn(syntheticToken);
  assert.equal((await rig.open("GET", "/api/live?topic=workloads")).statusCode, 200);
});

test("useless connections that stay open leave room for others", async () => {
  await using rig = await DashboardRig.start();
  const sockets = Array.from({ length: limits.connections }, () =>
    connect({ host: "127.0.0.1", port: rig.port, allowHalfOpen: true }),
  );
  try {
    await Promise.all(
      sockets.map(async (socket) => {
        socket.on("error", () => undefined);
        socket.resume();
        socket.write("nonsense\r\n\r\n");
        await once(socket, "end");
      }),
    );
    assert.equal((await rig.ask("GET", "/healthz")).status, 200);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test("a logout also ends a page whose rights are being checked, and only a GET opens one", async () => {
  const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const checkTopic = async (): Promise<void> => {
    asked.resolve();
    await answered.promise;
  };
  await using rig = await DashboardRig.start({ checkTopic });
  await rig.logIn(syntheticToken);
  assert.equal((await rig.ask("HEAD", "/api/live?topic=overview")).status, 400);
  const messages = rig.live("overview");
  const first = messages.next();
  await asked.promise;
  assert.equal((await rig.ask("POST", "/api/logout", { body: {} })).status, 200);
  answered.resolve();
  const types = [(await first).value?.type];
  for await (const { type } of messages) if (types.push(type) > 3) break;
  assert.equal(types.at(-1), "logged-out", types.join(" "));
});
