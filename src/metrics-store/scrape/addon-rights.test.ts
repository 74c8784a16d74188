import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import type { KubeClient, WatchOptions } from "../../kube/index.ts";
import { SampleStore } from "../store/index.ts";
import { parseScrapeConfig } from "./scrape-config.ts";
import { Scraper } from "./scraper.ts";

const maxTurns = 10_000;

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

const objects = parseAllDocuments(
  readFileSync(join(import.meta.dirname, "../../../samples/addons/prometheus.yaml"), "utf8"),
).map((document) => document.toJS() as { kind: string; data?: Record<string, string>; rules?: readonly Rule[] });

const rights = objects
  .filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
  .flatMap(({ rules = [] }) => rules)
  .flatMap(({ apiGroups = [], resources = [], nonResourceURLs = [], verbs }) =>
    verbs.flatMap((verb) => [
      ...apiGroups.flatMap((group) => resources.map((resource) => `${verb} ${resource}.${group}`)),
      ...nonResourceURLs.map((path) => `${verb} ${path}`),
    ]),
  );

test("the role of the Prometheus addon allows what its configuration lists, watches and scrapes of the API server, and nothing else", async () => {
  const config = parseScrapeConfig(
    objects.find(({ kind }) => kind === "ConfigMap")?.data?.["prometheus.yml"] ?? "",
    "prometheus.yml",
  );
  const usedRights = new Set<string>();
  const note = (verb: string, { plural, group }: Pick<KindDefinition, "plural" | "group">): void =>
    void usedRights.add(`${verb} ${plural}.${group}`);
  const client = {
    list: async (kind: KindDefinition) => {
      note("list", kind);
      return await Promise.resolve({ items: [], resourceVersion: "1" });
    },
    watch: async function* (kind: KindDefinition, { signal }: WatchOptions) {
      note("watch", kind);
      await new Promise((resolve) => signal?.addEventListener("abort", resolve, { once: true }));
      yield* [];
    },
  } as unknown as KubeClient;
  const scraper = new Scraper(config, {
    store: new SampleStore({ retentionMs: 60_000 }),
    fetch: async () => undefined,
    clock: systemClock,
    log: silentLogger,
    client,
    namespace: "istio-system",
  });
  const ended = new AbortController();
  const running = scraper.run(ended.signal);
  const isWatched = (right: string): boolean => usedRights.has(right.replace(/^list/, "watch"));
  for (let turn = 0; turn < maxTurns && !(usedRights.size > 0 && [...usedRights].every(isWatched)); turn += 1)
    await new Promise((resolve) => setImmediate(resolve));
  ended.abort();
  await running;
  // Only paths of the API server need a right. The job that has a token scrapes these paths.
  const paths = config.jobs
    .filter(({ access }) => access.bearerTokenFile !== undefined)
    .map(({ metricsPath }) => `get ${metricsPath}`);
  assert.ok(paths.length > 0);
  assert.deepEqual(rights.toSorted(), [...usedRights, ...paths].toSorted());
});
