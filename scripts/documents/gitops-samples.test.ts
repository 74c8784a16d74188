import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { fieldManager } from "../../src/api/serin/field-managers/index.ts";
import { rolloutPhases } from "../../src/api/serin/index.ts";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { LuaScripts } from "../../src/proxy/filters/lua/index.ts";
import { FilterCounter } from "../../src/proxy/terms/filter-statistics.ts";
import { testRequest } from "../../src/proxy/testing/filter-request.ts";

const sample = parse(readFileSync(join(import.meta.dirname, "../../samples/gitops/argocd-cm.yaml"), "utf8")) as {
  readonly data: Readonly<Record<string, string>>;
};

function luaOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `[${JSON.stringify(key)}] = ${luaOf(member)}`)
    .join(", ")}}`;
}

/**
 * Returns the health that Argo CD's script computes for each object. The script finds the object in the global `obj`.
 * One interpreter runs all scripts, because its start takes much longer than a script.
 */
function healthsOf(kind: string, objects: readonly object[]): string[] {
  const script = sample.data[`resource.customizations.health.rollout.serin.dev_${kind}`] ?? "";
  const source = `local function health()
      ${script}
    end
    function envoy_on_request(handle)
      for _, one in ipairs({ ${objects.map(luaOf).join(", ")} }) do
        obj = one
        local hs = health()
        handle:headers():replace("health", hs.status .. ": " .. hs.message)
      end
    end`;
  const healths: string[] = [];
  const services = {
    clock: systemClock,
    log: silentLogger,
    callCluster: async () => await Promise.reject(new Error("no cluster")),
  };
  const message = {
    kind: "request" as const,
    request: testRequest(),
    fields: {
      list: () => [],
      values: () => [],
      set: (_name: string, [value = ""]: readonly string[]) => void healths.push(value),
    },
    body: async () => await new Promise<never>(() => undefined),
    setBody: () => undefined,
    trailers: () => undefined,
  };
  const errors = new FilterCounter();
  const context = { filter: "lua", filterContext: undefined, services, signal: () => new AbortController().signal };
  new LuaScripts(services).compile(source, kind).run("request", message, context, errors);
  assert.equal(errors.value, 0);
  return healths;
}

test("Argo CD's health of a rollout follows its phase, and the reason of a wait", () => {
  const healths = (kind: string, statuses: readonly (object | undefined)[]): string[] =>
    healthsOf(
      kind,
      statuses.map((status) => ({ metadata: { generation: 2 }, ...(status === undefined ? {} : { status }) })),
    );
  const seen = { observedGeneration: 2, message: "m" };
  for (const kind of ["Canary", "MeshUpgrade"]) {
    const ofPhases = healths(
      kind,
      rolloutPhases.map((phase) => ({ ...seen, phase })),
    );
    const by = Object.groupBy(rolloutPhases, (_phase, index) => ofPhases[index] ?? "");
    assert.deepEqual(by["Healthy: m"], ["Watching", "Completed"]);
    assert.deepEqual(by["Suspended: m"], ["Paused"]);
    assert.deepEqual(by["Degraded: m"], ["RolledBack", "Stuck"]);
    assert.equal(by["Progressing: m"]?.length, rolloutPhases.length - 5);
  }
  const [caused = "", failed = "", earlier = "", unseen = "", empty = ""] = healths("Canary", [
    { ...seen, phase: "Stuck", cause: "c" },
    { ...seen, phase: "Waiting", pauseReason: "group-failed" },
    { ...seen, observedGeneration: 1, phase: "Completed" },
    undefined,
    {},
  ]);
  assert.equal(caused, "Degraded: c");
  assert.equal(failed, "Degraded: m");
  assert.match(earlier, /^Progressing: .* latest change/);
  assert.match(unseen, /^Progressing: .* not seen it yet/);
  assert.match(empty, /^Progressing/);
});

test("Argo CD ignores only fields that the engine wrote, so that other changes in Git reach the cluster", () => {
  const ignored = Object.entries(sample.data).filter(([key]) => key.includes("ignoreDifferences"));
  assert.deepEqual(
    ignored.map(([key, text]) => [key, parse(text) as unknown]),
    [["resource.customizations.ignoreDifferences.all", { managedFieldsManagers: [fieldManager] }]],
  );
});
