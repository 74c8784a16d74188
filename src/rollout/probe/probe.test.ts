import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { createServer as createHttpServer } from "node:http";
import { test, type TestContext } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import { parseClientCertificate } from "./client-certificate.ts";
import { pairTally } from "./pair-tally.ts";
import { ProbePace, servePace } from "./probe-pace.ts";
import { parseProbeTargets, runProbeClient, runProbeServer, type ProbeReport, type ProbeTarget } from "./index.ts";

/** A port that was free a moment ago, so it is probably still free. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The first report in which every target has been counted. On a busy machine, a first probe may last too long. */
async function reportOf(context: TestContext, targets: readonly ProbeTarget[]): Promise<ProbeReport> {
  const stop = new AbortController();
  context.after(() => stop.abort());
  return await new Promise((resolve) => {
    const report = (line: string): void => {
      const read = JSON.parse(line) as ProbeReport;
      const isCounted = ({ pair }: ProbeTarget): boolean => {
        const { ok = 0, failed = 0, lastError = "" } = read.pairs[pair] ?? {};
        return ok > 0 || (failed > 0 && !lastError.startsWith("no answer in"));
      };
      if (targets.every(isCounted)) resolve(read);
    };
    void runProbeClient({ name: "client", targets, intervalMs: 10, clock: systemClock, report }, stop.signal);
  });
}

test("a client counts answers, refusals, foreign servers and wrongly accepted requests for each pair", async (context) => {
  const stop = new AbortController();
  context.after(() => stop.abort());
  const [port, closed] = [await freePort(), await freePort()];
  void runProbeServer({ name: "server", ports: [port] }, stop.signal);
  const target = (pair: string, other: Partial<ProbeTarget>): ProbeTarget => ({
    pair,
    url: `http://127.0.0.1:${port}/`,
    server: "server",
    expected: "answer",
    ...other,
  });
  const { pairs, client } = await reportOf(context, [
    target("answered", {}),
    target("refused", { url: `http://127.0.0.1:${closed}/` }),
    target("other", { server: "another" }),
    target("refusal", { url: `http://127.0.0.1:${closed}/`, expected: "refusal" }),
    target("let in", { expected: "refusal" }),
  ]);
  assert.equal(client, "client");
  assert.match(pairs["answered"]?.lastError ?? "", /^$|^no answer in/);
  assert.equal(pairs["answered"]?.peers[""], pairs["answered"]?.ok);
  assert.equal(typeof pairs["answered"]?.p50Ms, "number");
  assert.match(pairs["refused"]?.lastError ?? "", /ECONNREFUSED/);
  assert.equal(pairs["other"]?.lastError, "server answered instead of another");
  assert.equal(pairs["refusal"]?.failed, 0);
  assert.equal(pairs["let in"]?.letIn, pairs["let in"]?.failed);
});

test("a target that does not answer gets no second probe meanwhile, and the others are still probed", async (context) => {
  const stop = new AbortController();
  context.after(() => stop.abort());
  let requestCount = 0;
  const silent = createHttpServer(() => (requestCount += 1)).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  context.after(() => {
    silent.close();
    silent.closeAllConnections();
  });
  // On a busy machine, the other target's answers may take longer than a probe's time limit, so this clock has no
  // limits.
  const clock: Clock = { ...systemClock, after: () => ({ [Symbol.dispose]: () => undefined }) };
  let answers = 0;
  const answered = new Promise<void>((resolve) => {
    const server = createHttpServer((_request, response) => {
      response.end("{}");
      answers += 1;
      if (answers === 12) resolve();
    }).listen(0, "127.0.0.1", () => {
      const targets = [silent, server].map((one): ProbeTarget => {
        const { port } = one.address() as AddressInfo;
        return { pair: String(port), url: `http://127.0.0.1:${port}/`, server: "server", expected: "answer" };
      });
      void runProbeClient({ name: "client", targets, intervalMs: 10, clock, report: () => undefined }, stop.signal);
    });
    context.after(() => void server.close());
  });
  await answered;
  assert.equal(requestCount, 1);
});

test("probes are counted with the report of their start, once all of them have ended", () => {
  const tally = pairTally({ pair: "p", url: "http://a/", server: "s", expected: "answer" });
  const slow = tally.begin(1);
  tally.begin(2)({ type: "answered", durationMs: 1, ends: undefined });
  assert.deepEqual([tally.open, tally.oldestOpen, tally.report(0).ok], [1, 1, 0]);
  slow({ type: "failed", error: "no answer" });
  assert.equal(tally.oldestOpen, Number.POSITIVE_INFINITY);
  const { ok, failed } = tally.report(1);
  assert.deepEqual([ok, failed, tally.report(2).ok], [0, 1, 1]);
});

test("the identity that a proxy verified returns with the answer, and errors name the status", async (context) => {
  const server = createHttpServer((request, response) => {
    if (request.url === "/bad") response.writeHead(503).end("upstream connect error");
    else
      response.end(
        JSON.stringify({
          server: "server",
          clientCertificate: 'By=spiffe://td/s;Hash=00;Subject="CN=a,O=b;c";URI=spiffe://td/c',
        }),
      );
  }).listen(0, "127.0.0.1");
  context.after(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { pairs } = await reportOf(context, [
    { pair: "good", url: `${url}/`, server: "server", expected: "answer" },
    { pair: "bad", url: `${url}/bad`, server: "server", expected: "answer" },
  ]);
  assert.deepEqual(Object.keys(pairs["good"]?.peers ?? {}), ["spiffe://td/c spiffe://td/s"]);
  assert.equal(pairs["bad"]?.lastError, "status 503 upstream connect error");
});

test("the last element of a forwarded certificate counts, because the nearest proxy wrote it", () => {
  assert.deepEqual(
    parseClientCertificate('By=spiffe://td/gateway;URI=spiffe://evil/x,By=spiffe://td/s;Subject="";URI=spiffe://td/c'),
    { client: "spiffe://td/c", server: "spiffe://td/s" },
  );
  assert.equal(parseClientCertificate('By=spiffe://td/s;Subject="URI=spiffe://td/c"'), undefined);
  assert.equal(parseClientCertificate(""), undefined);
});

test("invalid targets are refused, and the error names the element", () => {
  const good = { pair: "p", url: "http://a:1/", server: "s", expected: "answer" };
  assert.deepEqual(parseProbeTargets(JSON.stringify([good])), [good]);
  assert.throws(() => parseProbeTargets("old=a:1"), /PROBE_TARGETS is not JSON/);
  assert.throws(
    () => parseProbeTargets(JSON.stringify([good, { ...good, url: "a:1" }])),
    /PROBE_TARGETS \[1\]\.url must be an http URL/,
  );
  assert.throws(
    () => parseProbeTargets(JSON.stringify([{ ...good, expected: "yes" }])),
    /\[0\]\.expected must be answer or refusal/,
  );
  assert.throws(() => parseProbeTargets(JSON.stringify([null])), /\[0\] must have a pair/);
});

test("a client rests while nobody asks it to probe, and a request ends the rest at once", async (context) => {
  const stop = new AbortController();
  context.after(() => stop.abort());
  let nowMs = 20_000;
  const pauses: number[] = [];
  // The test ends each pause itself.
  const sleep: Clock["sleep"] = async (ms) => await new Promise(() => pauses.push(ms));
  const pace = new ProbePace(100, { ...systemClock, steadyMs: () => nowMs, sleep });
  const port = await freePort();
  servePace(port, pace, stop.signal);
  const rest = pace.untilNextRound(stop.signal);
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
  await rest;
  void pace.untilNextRound(stop.signal);
  nowMs += 1500;
  void pace.untilNextRound(stop.signal);
  assert.deepEqual(pauses, [800, 100, 800]);
});
