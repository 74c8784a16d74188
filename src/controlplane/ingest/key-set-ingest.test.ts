import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import type { KeySetFacts } from "../model/request-authentication-keys.ts";
import { config, createModelFixture } from "../testing/model-fixture.ts";
import { KeySetIngest } from "./key-set-ingest.ts";

test("keys are fetched from the rule's or the issuer's URL; an invalid key set is left out, and an unused one is dropped", async () => {
  const { apply, remove, inputs } = createModelFixture();
  const keySets = new CollectionGraph().source<KeySetFacts>("keys");
  const answers: Readonly<Record<string, string>> = {
    "https://a.example/keys": '{"keys":[{"kid":"a"}]}',
    "https://b.example/.well-known/openid-configuration": '{"jwks_uri":"https://b.example/jwks"}',
    "https://b.example/jwks": '{"keys":[{"kid":"b"}]}',
    "https://c.example/keys": "<html>",
  };
  const fetched: string[] = [];
  const lines: string[] = [];
  const log = createLogger({ scope: "pilot", level: "info", write: (line) => void lines.push(line) });
  const fetchText = async (url: string): Promise<string> => {
    fetched.push(url);
    return answers[url] ?? assert.fail(url);
  };
  const stop = new AbortController();
  const running = new KeySetIngest({
    metrics: new MetricsRegistry(),
    requestAuthentications: inputs.requestAuthentications,
    keySets,
    fetchText,
    clock: systemClock,
    log,
  }).run(stop.signal);
  const rules = (jwtRules: readonly object[]): ReturnType<typeof config> =>
    config("RequestAuthentication", "shop/tokens", { jwtRules });
  apply(
    rules([
      { issuer: "a", jwksUri: "https://a.example/keys" },
      { issuer: "https://b.example" },
      { issuer: "c", jwksUri: "https://c.example/keys" },
      { issuer: "d", jwks: '{"keys":[]}' },
    ]),
  );
  await until(() => keySets.size === 2 && lines.length > 0);
  assert.deepEqual([...keySets.values()].map(({ source, keys }) => `${source} ${keys}`).sort(), [
    'https://a.example/keys {"keys":[{"kid":"a"}]}',
    'issuer:https://b.example {"keys":[{"kid":"b"}]}',
  ]);
  assert.match(lines.join(""), /keys of a token issuer could not be fetched.*c\.example/);
  remove(rules([]));
  await until(() => keySets.size === 0);
  assert.ok(fetched.length >= 4);
  stop.abort();
  await running;
});

test("keys that arrive after a rule's timeout are ignored, and the control plane does not fetch keys that proxies fetch", async () => {
  const { apply, inputs } = createModelFixture();
  const keySets = new CollectionGraph().source<KeySetFacts>("keys");
  const fetched: string[] = [];
  const late: string[] = [];
  const options = {
    metrics: new MetricsRegistry(),
    requestAuthentications: inputs.requestAuthentications,
    keySets,
    fetchText: async (url: string, signal: AbortSignal): Promise<string> => {
      fetched.push(url);
      if (url.includes("slow")) {
        await systemClock.sleep(3_600_000, signal).catch(() => undefined);
        late.push(url);
        throw new Error("too late");
      }
      return '{"keys":[]}';
    },
    clock: systemClock,
    log: createLogger({ scope: "pilot", level: "error", write: () => undefined }),
  };
  const jwtRules = [
    { issuer: "a", jwksUri: "https://slow.example/keys", timeout: "0.01s" },
    { issuer: "b", jwksUri: "https://b.example/keys" },
  ];
  apply(config("RequestAuthentication", "shop/tokens", { jwtRules }));
  const run = async (fetcher: "control-plane" | "proxy", done: () => boolean): Promise<void> => {
    const stop = new AbortController();
    const running = new KeySetIngest({ ...options, fetcher }).run(stop.signal);
    await until(done);
    stop.abort();
    await running;
  };
  await run("control-plane", () => late.length > 0 && keySets.size > 0);
  assert.deepEqual(
    [...keySets.values()].map(({ source }) => source),
    ["https://b.example/keys"],
  );
  fetched.length = 0;
  await run("proxy", () => true);
  assert.deepEqual(fetched, []);
});
