import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { candidatesOf } from "./nslookup.ts";
import { readWords } from "./options.ts";

const program = join(import.meta.dirname, "busybox.ts");

function start(words: readonly string[], cwd = "/"): ChildProcess {
  return spawn(process.execPath, [program, ...words], { cwd, stdio: ["pipe", "pipe", "pipe"] });
}

async function run(
  words: readonly string[],
  input = "",
  cwd = "/",
): Promise<{ code: number; out: string; err: string }> {
  const child = start(words, cwd);
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  child.stdin?.end(input);
  const { stdout, stderr } = child;
  assert.ok(stdout !== null && stderr !== null);
  const [out, err] = await Promise.all([text(stdout), text(stderr)]);
  return { code: await ended, out, err };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  server.close();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return await new Promise((resolve) => {
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Starts a server, which ends with the test. Resolves when the server listens. */
async function serve(context: TestContext, port: number, words: readonly string[]): Promise<ChildProcess> {
  const child = start(words);
  context.after(() => child.kill());
  for (let tries = 0; tries < 200; tries += 1) {
    if (await isListening(port)) return child;
    await sleep(100);
  }
  return assert.fail(`${words.join(" ")} does not listen`);
}

test("options are read as busybox reads them", () => {
  const read = (...words: string[]): unknown => {
    const { flags, values, rest } = readWords(words, { flags: ["f", "l", "v"], valued: ["p", "type"], last: ["e"] });
    return [[...flags], Object.fromEntries(values), rest];
  };
  assert.deepEqual(read("-fp80", "x"), [["f"], { p: ["80"] }, ["x"]]);
  assert.deepEqual(read("-ll", "-p", "80", "-e", "cat", "-v"), [["l", "ll"], { p: ["80"], e: ["cat", "-v"] }, []]);
  assert.deepEqual(read("-type=a", "--type", "b", "--", "-f"), [[], { type: ["a", "b"] }, ["-f"]]);
  assert.throws(() => read("-z"), /invalid option -- 'z'/);
  assert.throws(() => read("-p"), /option -p needs a value/);
});

test("httpd serves files and indexes of its home directory alone, and wget gets them", async (context) => {
  const home = mkdtempSync(join(tmpdir(), "serin-httpd-"));
  context.after(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, "sub"));
  writeFileSync(join(home, "index.html"), "<p>home</p>");
  writeFileSync(join(home, "sub/index.html"), "<p>sub</p>");
  symlinkSync("/etc/passwd", join(home, "link"));
  const port = await freePort();
  const server = await serve(context, port, ["httpd", "-f", "-p", `127.0.0.1:${port}`, "-h", home]);
  const get = async (path: string, ...words: string[]): Promise<{ code: number; out: string; err: string }> =>
    await run(["wget", "-q", "-O-", ...words, `http://127.0.0.1:${port}${path}`]);
  assert.deepEqual(await get("/"), { code: 0, out: "<p>home</p>", err: "" });
  assert.deepEqual(await get("/sub"), { code: 0, out: "<p>sub</p>", err: "" });
  for (const path of ["/missing", "/link", "/%2e%2e/%2e%2e/etc/passwd"]) {
    const { code, out, err } = await get(path);
    assert.deepEqual([code, out], [1, ""], path);
    assert.match(err, /^wget: server returned error: HTTP\/1\.1 404 Not Found$/m);
  }
  assert.equal((await get("/", "--post-data", "a=b")).code, 1);
  assert.match((await run(["wget", "--spider", "-S", `127.0.0.1:${port}`])).err, /HTTP\/1\.1 200 OK[^]*text\/html/);
  const saved = await run(["wget", "-P", home, "-T", "5", `http://127.0.0.1:${port}/sub/index.html`]);
  assert.match(saved.err, /index\.html' saved/);
  server.kill();
  await new Promise((resolve) => server.once("close", resolve));
  assert.match((await get("/")).err, /can't connect to remote host/);
});

test("nc sends its input, prints the answer, runs a program for each connection, and tells a closed port", async (context) => {
  const port = await freePort();
  const server = await serve(context, port, ["nc", "-ll", "-p", String(port), "-e", "tr", "a-z", "A-Z"]);
  const client = start(["nc", "127.0.0.1", String(port)]);
  client.stdin?.write("hello\n");
  client.stdin?.end();
  assert.ok(client.stdout !== null);
  assert.equal(await text(client.stdout), "HELLO\n");
  server.kill();
  await new Promise((resolve) => server.once("close", resolve));
  const closed = await run(["nc", "-zw", "60", "127.0.0.1", String(port)]);
  assert.deepEqual([closed.code, /ECONNREFUSED/.test(closed.err)], [1, true]);
  assert.equal((await run(["nc", "-u", "127.0.0.1", "1"])).code, 2);
});

test("nslookup asks for names by the search list", () => {
  const conf = "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5\n";
  assert.deepEqual(candidatesOf("web", conf), ["web.shop.svc.cluster.local", "web.svc.cluster.local", "web"]);
  assert.deepEqual(candidatesOf("web.", conf), ["web"]);
  assert.deepEqual(candidatesOf("a.example.com", "search b.c\n"), ["a.example.com", "a.example.com.b.c"]);
});
