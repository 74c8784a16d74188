import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { createFetchMetrics } from "./fetch-metrics.ts";
import { parseScrapeConfig } from "./scrape-config.ts";
import { targetsOf, type ScrapeTarget } from "./targets.ts";

async function targetOf(context: TestContext, answer: RequestListener, namespace = "shop"): Promise<ScrapeTarget> {
  const server = createServer(answer);
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const config = parseScrapeConfig(
    `scrape_configs: [{job_name: ${namespace}, static_configs: [{targets: ["127.0.0.1:${port}"]}]}]`,
    "t",
  );
  const [target] = targetsOf(config, { pods: [], services: [], endpoints: [], nodes: [] }, "").active;
  assert.ok(target !== undefined);
  return target;
}

const { signal } = new AbortController();
const ignore = async (): Promise<void> => undefined;
const limits = { maxBytes: 1_000, maxHeldBytes: 1_500 };

test("an answer that never ends is cut at the limit, and its connection is closed", async (context) => {
  const closed = Promise.withResolvers<void>();
  const endless = await targetOf(context, (_, response) => {
    response.on("close", closed.resolve);
    const send = (): void => {
      while (!response.destroyed && response.write("x".repeat(500)));
    };
    response.on("drain", send);
    send();
  });
  await assert.rejects(createFetchMetrics({ maxBytes: 1_000, maxHeldBytes: 1 << 20 })(endless, signal, ignore), {
    message: "the answer is longer than 1000 bytes",
  });
  await closed.promise;
});

test("long answers of one namespace leave memory for those of others", async (context) => {
  const begun = Promise.withResolvers<void>();
  const slow = await targetOf(context, (_, response) => {
    response.write("a 1\n".repeat(150));
    begun.resolve();
  });
  const fetch = createFetchMetrics(limits);
  const lengthOf = async (target: ScrapeTarget): Promise<number> => {
    let length = 0;
    await fetch(target, signal, async (text) => {
      length = text.length;
    });
    return length;
  };
  const left = new AbortController();
  const held = fetch(slow, left.signal, ignore).catch(() => undefined);
  await begun.promise;
  const long = (namespace: string): Promise<ScrapeTarget> =>
    targetOf(context, (_, response) => void response.end("b 1\n".repeat(100)), namespace);
  await assert.rejects(fetch(await long("shop"), signal, ignore), /too many long answers are being read at once/);
  assert.equal(await lengthOf(await long("bank")), 400);
  left.abort();
  await held;
  assert.equal(await lengthOf(await long("shop")), 400);
});

test("an answer takes its part of the memory until its reader has ended", async (context) => {
  const fetch = createFetchMetrics(limits);
  const target = await targetOf(context, (_, response) => void response.end("b 1\n".repeat(100)));
  const [begun, isRead] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held = fetch(target, signal, async () => {
    begun.resolve();
    await isRead.promise;
  });
  await begun.promise;
  await assert.rejects(fetch(target, signal, ignore), /too many long answers are being read at once/);
  isRead.resolve();
  await held;
  await fetch(target, signal, ignore);
});

test("a redirect is not followed", async (context) => {
  let asked = 0;
  const other = await targetOf(context, (_, response) => {
    asked += 1;
    response.end("stolen 1\n");
  });
  const target = await targetOf(context, (_, response) => response.writeHead(302, { location: other.url }).end());
  await assert.rejects(
    createFetchMetrics()(target, signal, ignore),
    /^SerinError: server returned HTTP status 302 Found/,
  );
  assert.equal(asked, 0);
});
