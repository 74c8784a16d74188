import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { labelsOf, metricName } from "../../promql/index.ts";
import { SampleStore } from "../store/index.ts";
import { parseScrapeConfig } from "./scrape-config.ts";
import { Scraper } from "./scraper.ts";

test("a scraper drops samples after their retention by its own clock, until it ends", async () => {
  const clock = new HandClock();
  const store = new SampleStore({ retentionMs: 1000 });
  const scraper = new Scraper(parseScrapeConfig("scrape_configs: []", "t"), {
    store,
    fetch: async () => undefined,
    clock,
    log: silentLogger,
    namespace: "",
  });
  const stop = new AbortController();
  const done = scraper.run(stop.signal);
  for (let round = 0; round < 2; round += 1) {
    store.append(labelsOf([[metricName, "up"]]), clock.nowMs(), 1);
    assert.equal(store.stats.series, 1);
    clock.pass(60_000);
    assert.equal(store.stats.series, 0);
  }
  stop.abort();
  await done;
  assert.equal(clock.timers, 0);
});
