import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { SharedBudget } from "../../base/shared-budget/index.ts";
import { evaluateAt, labelsObject, labelsOf, numberText, parseQuery } from "../../promql/index.ts";
import { SampleStore } from "../store/index.ts";
import type { FetchMetrics } from "./fetch-metrics.ts";
import { parseScrapeConfig } from "./scrape-config.ts";
import { ScrapeTurns } from "../../base/scrape-turns/index.ts";
import { TargetLoop } from "./target-loop.ts";
import { targetsOf } from "./targets.ts";

const startMs = 1_000_000;

function scraping(
  job: string,
  { store = new SampleStore(), texts = new SharedBudget(64 << 20) } = {},
  fetchFrom?: FetchMetrics,
): {
  readonly loop: TargetLoop;
  readonly store: SampleStore;
  scrape: (text: string | Error, type?: string) => Promise<void>;
  query: (text: string) => Record<string, string>[];
} {
  const config = parseScrapeConfig(
    `scrape_configs: [{job_name: j, static_configs: [{targets: ["h:1"], labels: {zone: z}}]${job}}]`,
    "t",
  );
  const [target] = targetsOf(config, { pods: [], services: [], endpoints: [], nodes: [] }, "").active;
  assert.ok(target !== undefined);
  let nowMs = startMs;
  let steadyMs = 0;
  let answer: string | Error = "";
  let contentType = "";
  const fetch: FetchMetrics = async (_target, _signal, read) => {
    if (typeof answer !== "string") throw answer;
    await read(answer, contentType);
  };
  const loop = new TargetLoop({
    target,
    store,
    fetch: fetchFrom ?? fetch,
    clock: { ...systemClock, nowMs: () => nowMs, steadyMs: () => (steadyMs += 1) },
    texts,
    turns: new ScrapeTurns(),
  });
  const scrape = async (text: string | Error, type = "text/plain"): Promise<void> => {
    nowMs += 15_000;
    [answer, contentType] = [text, type];
    await loop.scrape(new AbortController().signal);
  };
  const query = (text: string): Record<string, string>[] => {
    const value = evaluateAt(parseQuery(text), store, nowMs);
    return value.type === "vector"
      ? value.samples.map(({ labels, value: number }) => ({ ...labelsObject(labels), value: numberText(number) }))
      : [];
  };
  return { loop, store, scrape, query };
}

test("samples have the target's labels, and `up` reports the scrape", async () => {
  const { loop, scrape, query } = scraping("");
  await scrape('# TYPE hits counter\nhits{path="/"} 3\nhits{path="/a"} 4\n');
  assert.deepEqual(query("hits"), [
    { __name__: "hits", instance: "h:1", job: "j", path: "/", zone: "z", value: "3" },
    { __name__: "hits", instance: "h:1", job: "j", path: "/a", zone: "z", value: "4" },
  ]);
  assert.deepEqual(query("up")[0]?.["value"], "1");
  assert.deepEqual(query("scrape_samples_scraped")[0]?.["value"], "2");
  assert.equal(loop.health.health, "up");
});

test("a series that is no longer exposed ends at once, and all of them when the target fails", async () => {
  const { loop, scrape, query } = scraping("");
  await scrape("a 1\nb 2\n");
  await scrape("a 1\n");
  assert.equal(query("a").length, 1);
  assert.equal(query("b").length, 0);
  await scrape(new Error("connection refused"));
  assert.equal(query("a").length, 0);
  assert.equal(query("up")[0]?.["value"], "0");
  assert.equal(loop.health.lastError, "connection refused");
  await scrape("a 5\n");
  assert.equal(query("a")[0]?.["value"], "5");
});

test("the target's label wins over the sample's, unless the job honours labels", async () => {
  const clash = 'm{job="own",zone="own"} 1\n';
  const plain = scraping("");
  await plain.scrape(clash);
  assert.deepEqual(plain.query("m")[0], {
    __name__: "m",
    exported_job: "own",
    exported_zone: "own",
    instance: "h:1",
    job: "j",
    zone: "z",
    value: "1",
  });
  const honouring = scraping(", honor_labels: true");
  await honouring.scrape(clash);
  assert.deepEqual(honouring.query("m")[0], { __name__: "m", instance: "h:1", job: "own", zone: "own", value: "1" });
});

test("metric rules drop and rename, and the sample limit fails the scrape", async () => {
  const ruled = scraping(
    ", metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: noisy_.*}, {action: labeldrop, regex: pod}]",
  );
  await ruled.scrape('noisy_a 1\nm{pod="x"} 2\n');
  assert.equal(ruled.query("noisy_a").length, 0);
  assert.equal(ruled.query("m")[0]?.["pod"], undefined);
  const limited = scraping(", sample_limit: 1");
  await limited.scrape("a 1\nb 2\n");
  assert.match(limited.loop.health.lastError, /2 samples, but the job's sample_limit is 1/);
  assert.equal(limited.query("a").length, 0);
});

test("text that is not an exposition fails the scrape with its line", async () => {
  const { loop, scrape } = scraping("");
  await scrape("a 1\n<html>\n");
  assert.match(loop.health.lastError, /line 2/);
});

test("a series continues when its labels are written in another order, and ends when its line disappears", async () => {
  const { store, scrape, query } = scraping(
    ", metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: noisy}]",
  );
  await scrape('m{a="1",b="2"} 1\nnoisy 1\n');
  await scrape('m{b="2",a="1"} 2\nnoisy 2\n');
  assert.deepEqual(
    query("m").map(({ value }) => value),
    ["2"],
  );
  await scrape('m{b="2",a="1"} 3\nm{a="1",b="2"} 3\n');
  assert.equal(store.stats.series, 1 + 5);
  assert.equal(query("scrape_samples_scraped")[0]?.["value"], "2");
  assert.equal(query("scrape_series_added")[0]?.["value"], "0");
  await scrape("noisy 3\n");
  assert.equal(query("m").length, 0);
  assert.equal(query("scrape_samples_post_metric_relabeling")[0]?.["value"], "0");
});

test("an invalid value of a known series fails the scrape with its line, and the timestamp is read", async () => {
  const { loop, scrape, query } = scraping("");
  await scrape('m{a="}"} 1\n');
  await scrape(`\nm{a="}"} 2 ${startMs + 30_000}\n`);
  assert.equal(query("m")[0]?.["value"], "2");
  await scrape('\nm{a="}"} two\n');
  assert.match(loop.health.lastError, /line 2: expected a number/);
});

test("the timestamps of a target that sends OpenMetrics are read as seconds", async () => {
  const { store, scrape, query } = scraping("");
  await scrape(`m 1 ${startMs / 1000 + 14.5}\n# EOF\n`, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.deepEqual(store.stats.refused, {});
  assert.equal(query("timestamp(m)")[0]?.["value"], String(startMs / 1000 + 14.5));
});

test("a sample of a far time is refused, and the series takes the next one", async () => {
  const { store, scrape, query } = scraping("");
  const nowMs = startMs + 15_000;
  await scrape(`m 1 ${nowMs + 601_000}\nold 1 ${nowMs - 3_601_000}\nn 1 ${nowMs + 599_000}\n`);
  assert.deepEqual(store.stats.refused, { "out-of-bounds": 2 });
  assert.equal(query("m").length, 0);
  await scrape("m 2\n");
  assert.equal(query("m")[0]?.["value"], "2");
});

test("a sample with too much text or too many labels fails the scrape with its line", async () => {
  const { loop, scrape } = scraping("");
  await scrape(`ok 1\nm{a="${"x".repeat(20_000)}"} 1\n`);
  assert.match(loop.health.lastError, /^line 2: the name and the labels have 20007 characters, at most 16384/);
  await scrape(`m{${Array.from({ length: 200 }, (_, index) => `a${index}="1"`).join()}} 1\n`);
  assert.match(loop.health.lastError, /^line 1: there are 200 labels, at most 128/);
});

test("an answer of too many samples or lines fails the scrape", async () => {
  const { loop, scrape } = scraping("");
  await scrape(Array.from({ length: 50_001 }, (_, index) => `m{a="${index}"} 1`).join("\n"));
  assert.match(loop.health.lastError, /^more than 50000 samples/);
  await scrape("#\n".repeat(500_001));
  assert.match(loop.health.lastError, /^the answer has more than 500000 lines/);
});

test("a target whose heads have no place in the shared budget is scraped all the same", async () => {
  const texts = new SharedBudget(4_000);
  const { loop, store, scrape, query } = scraping("", { texts });
  const exposed = (count: number, value: number): string =>
    Array.from({ length: count }, (_, index) => `m{a="${index}${"x".repeat(300)}"} ${value}\n`).join("");
  await scrape(exposed(40, 1));
  assert.equal(loop.health.lastError, "");
  await scrape(exposed(40, 2));
  assert.deepEqual(new Set(query("m").map(({ value }) => value)), new Set(["2"]));
  assert.equal(query("m").length, 40);
  assert.equal(query("scrape_series_added")[0]?.["value"], "0");
  await scrape(exposed(30, 3));
  assert.equal(query("m").length, 30);
  assert.equal(store.stats.series, 40 + 5);
});

test("the heads of all targets share a budget, and a target that ends gives its part back", async () => {
  const texts = new SharedBudget(4_000);
  const { loop, scrape } = scraping("", { texts });
  const isFree = (): boolean => {
    const share = texts.share("other");
    const isTaken = share.set(1_500);
    share.set(0);
    return isTaken;
  };
  await scrape(`m{a="${"x".repeat(1_500)}"} 1\n`);
  assert.ok(!isFree());
  await scrape("# TYPE n counter\nn 1\n");
  assert.deepEqual([...loop.types], [["n", "counter"]]);
  assert.ok(isFree());
});

test("a target keeps nothing of series for which the store has no room, and they are stored once it has", async () => {
  const texts = new SharedBudget(1_000_000);
  const store = new SampleStore({ maxSeries: 10 });
  for (let index = 0; index < 10; index += 1) store.append(labelsOf([["i", `${index}`]]), startMs, 1);
  const { loop, scrape, query } = scraping("", { texts, store });
  const text = Array.from({ length: 40 }, (_, index) => `m{a="${index}${"x".repeat(1_000)}"} 1\n`).join("");
  await scrape(text);
  assert.equal(loop.health.lastError, "");
  const kept = query("m").length;
  assert.ok(kept < 40, `${kept} series`);
  const most = 1_000_000 - 10 * 1_200 * 2;
  assert.ok(texts.share("other").set(most / 2), "heads of refused series are forgotten");
  store.prune(Infinity);
  await scrape(text);
  assert.ok(query("m").length > kept);
});

test("other work has turns while a long scrape is read", async () => {
  const { scrape } = scraping("");
  let hadTurn = false;
  setImmediate(() => {
    hadTurn = true;
  });
  await scrape(Array.from({ length: 3_000 }, (_, index) => `m{a="${index}"} 1`).join("\n"));
  assert.ok(hadTurn);
});

test("a target that does not answer in time is reported with the limit", async () => {
  const { loop } = scraping(", scrape_timeout: 1ms", {}, async (_, signal) => {
    await once(signal, "abort");
    throw new Error("aborted");
  });
  await loop.scrape(new AbortController().signal);
  assert.equal(loop.health.lastError, "no complete answer within 0.001 s, which is the scrape_timeout");
});
