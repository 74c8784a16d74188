import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { HandClock } from "../../../base/testing/index.ts";
import { fakePod } from "./testing/fake-mesh.ts";
import { PodScraper, scrapePod } from "./scrape.ts";

const closedPort = "1";

test("the error for a pod whose metrics cannot be read names the pod, what happened, and a command", async () => {
  const pod = fakePod({
    name: "web-1",
    annotations: { "prometheus.io/port": closedPort },
    status: { podIP: "127.0.0.1" },
  });
  await assert.rejects(scrapePod(pod), {
    message:
      "pod shop/web-1 does not report its metrics: nothing listens on 127.0.0.1:1 (ECONNREFUSED); the engine asks again; if this lasts, see kubectl -n shop describe pod web-1",
  });
});

test("only the named families are requested from a pod, and other families in its response are ignored", async () => {
  const urls: string[] = [];
  const server = createServer((request, response) => {
    urls.push(request.url ?? "");
    response.end("istio_requests_total 3\nserin_proxy_listeners 2\nother_total 1\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const pod = fakePod({
    name: "web-1",
    annotations: { "prometheus.io/port": String((server.address() as AddressInfo).port) },
    status: { podIP: "127.0.0.1" },
  });
  const names = async (families?: readonly string[]): Promise<string[]> =>
    (await scrapePod(pod, families)).map(({ name }) => name);
  assert.deepEqual(await names(["istio_requests_total", "serin_proxy_listeners"]), [
    "istio_requests_total",
    "serin_proxy_listeners",
  ]);
  assert.deepEqual(await names(), ["istio_requests_total", "serin_proxy_listeners", "other_total"]);
  assert.deepEqual(urls, ["/metrics?name[]=istio_requests_total&name[]=serin_proxy_listeners", "/metrics"]);
  server.closeAllConnections();
  server.close();
});

/** A server with this page of metrics, and pods with its address. */
async function paged(context: TestContext, page: string) {
  const served = { requests: 0, page };
  const server = createServer((_request, response) => {
    served.requests += 1;
    response.end(served.page);
  });
  context.after(() => server.close().closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const annotations = { "prometheus.io/port": String(port) };
  const podOf = (namespace: string, name: string) =>
    fakePod({ name, namespace, annotations, status: { podIP: "127.0.0.1" } });
  return { served, podOf };
}

const sample = 'istio_requests_total{a="b"} 1\n';
const families = ["istio_requests_total"];
const bounds = {
  heldBytes: 1 << 20,
  sampleBytes: 1 << 20,
  linesAPage: 1000,
  samplesAPage: 100,
  deadlinesMs: [2_000],
};

test("a pod with too long a page is not read to its end, and is asked again only after a while", async (context) => {
  for (const [line, most, problem] of [
    [sample, 100, /more than 100 samples/],
    ["# a comment\n", 1000, /more than 1000 lines/],
  ] as const) {
    const { served, podOf } = await paged(context, line.repeat(most + 1));
    const clock = new HandClock();
    const { scrape } = new PodScraper(bounds, clock);
    const pod = podOf("attacker", "x");
    for (let look = 0; look < 3; look += 1) await assert.rejects(scrape(pod, families), problem);
    assert.equal(served.requests, 1);
    served.page = line.repeat(most - 1);
    clock.pass(10_000);
    assert.equal((await scrape(pod, families)).length, line === sample ? most - 1 : 0);
  }
});

test("pods of one namespace cannot use the memory for the pages and samples of others", async (context) => {
  const { podOf } = await paged(context, sample.repeat(100));
  const clock = new HandClock();
  const { scrape } = new PodScraper({ ...bounds, sampleBytes: 420_000 }, clock);
  await scrape(podOf("attacker", "1"), families);
  await assert.rejects(scrape(podOf("attacker", "2"), families), /namespace attacker has too many samples/);
  assert.equal((await scrape(podOf("shop", "web"), families)).length, 100);
  clock.pass(10_000);
  assert.equal((await scrape(podOf("attacker", "2"), families)).length, 100, "checks no longer keep the first answer");
  const long = await paged(context, "#".repeat(700_000));
  const held = new PodScraper(bounds, new HandClock());
  await assert.rejects(held.scrape(long.podOf("attacker", "1"), families), /pages of namespace attacker are too long/);
});

/** A clock that advances at each read. */
class BusyClock extends HandClock {
  override steadyMs(): number {
    this.pass(1);
    return super.steadyMs();
  }
}

test("other work goes on while a long page is read", async (context) => {
  const { podOf } = await paged(context, sample.repeat(20_000));
  const roomy = { ...bounds, heldBytes: 4 << 20, sampleBytes: 64 << 20, linesAPage: 50_000, samplesAPage: 50_000 };
  const { scrape } = new PodScraper(roomy, new BusyClock());
  let [rounds, isReading] = [0, true];
  const count = (): void => {
    rounds += 1;
    if (isReading) setImmediate(count);
  };
  const reading = scrape(podOf("shop", "web"), families);
  setImmediate(count);
  assert.equal((await reading).length, 20_000);
  isReading = false;
  assert.ok(rounds > 50, `${rounds} rounds of the event loop`);
});

test("a pod that never answers delays a look less and less", async (context) => {
  let [isSilent, dropped] = [true, 0];
  const server = createServer((request, response) => {
    request.on("close", () => (dropped += 1));
    if (!isSilent) response.end(sample);
  });
  context.after(() => server.close().closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const annotations = { "prometheus.io/port": String(port) };
  const pod = fakePod({ name: "x", annotations, status: { podIP: "127.0.0.1" } });
  const { scrape } = new PodScraper({ ...bounds, deadlinesMs: [900, 700, 400] });
  const lastsMs = async (): Promise<number> => {
    const fromMs = performance.now();
    await assert.rejects(scrape(pod, families), /did not (answer|finish its answer) in/);
    return performance.now() - fromMs;
  };
  const first = await lastsMs();
  await lastsMs();
  const last = await lastsMs();
  assert.ok(last < first * 0.75, `${first} ms and ${last} ms`);
  isSilent = false;
  assert.equal((await scrape(pod, families)).length, 1);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(dropped, 4, "no request stays open");
});
