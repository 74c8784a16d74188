// These tests check that Serin reads every feature flag of Istio's control plane, or that a warning names it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import pilotVariables from "#generated/istio/pilot-variables.json" with { type: "json" };
import { readsVariable, unreadVariables } from "../../src/api/pilot-variables/index.ts";
import { resolveSettings } from "../../src/install/index.ts";

const sources = join(import.meta.dirname, "../..", "src");

/** Returns the names in quotes in the sources. Code that reads the environment contains a variable's name in quotes. */
function quotedNames(): ReadonlySet<string> {
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter(
    (path) => path.endsWith(".ts") && !path.endsWith(".test.ts") && !path.endsWith("read-variables.ts"),
  );
  return new Set(
    files.flatMap((path) =>
      [...readFileSync(join(sources, path), "utf8").matchAll(/["'`.]([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)*)\b/g)].map(
        ([, name = ""]) => name,
      ),
    ),
  );
}

test("the list of flags that are read agrees with the sources", () => {
  const quoted = quotedNames();
  const wrong = Object.keys(pilotVariables.variables).filter((name) => readsVariable(name) !== quoted.has(name));
  assert.deepEqual(wrong, []);
});

test("a flag without effect is named if it asks for another behaviour than upstream's default", () => {
  assert.deepEqual(
    unreadVariables({
      PILOT_ENABLE_QUIC_LISTENERS: "true",
      PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: false,
      PILOT_DEBOUNCE_MAX: "5s",
      PILOT_ENABLE_AMBIENT: "true",
      PILOT_TRACE_SAMPLING: "7",
      ENABLE_LEADER_ELECTION: "",
      PATH: "/bin",
    }),
    ["PILOT_ENABLE_QUIC_LISTENERS", "PILOT_DEBOUNCE_MAX"],
  );
});

test("the installer names such a flag among the values, and no profile sets one", () => {
  const warned = (spec: object) =>
    resolveSettings({ specs: [spec] }, { hub: "h", tag: "1" }).warnings.map(({ path }) => path);
  assert.deepEqual(
    warned({ values: { pilot: { env: { PILOT_ENABLE_QUIC_LISTENERS: "true", PILOT_TRACE_SAMPLING: "1" } } } }),
    ["spec.values.pilot.env.PILOT_ENABLE_QUIC_LISTENERS"],
  );
  for (const profile of ["default", "demo", "ambient", "preview", "stable", "minimal"]) {
    const { value } = resolveSettings({ specs: [{ profile }] }, { hub: "h", tag: "1" });
    const pilot = value?.values["pilot"] as { env?: Record<string, unknown> } | undefined;
    assert.deepEqual(unreadVariables(pilot?.env ?? {}), [], profile);
  }
});
