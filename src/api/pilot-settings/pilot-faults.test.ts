import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { booleanVariables } from "../pilot-variables/index.ts";
import { pilotFaults } from "./pilot-faults.ts";

test("every variable and argument that a control plane refuses is found, and the others do not count", () => {
  const found = pilotFaults(
    ["discovery", "--httpAddr=nowhere", "--keepaliveMaxServerConnectionAge", "1ms", "--unknown"],
    {
      PILOT_TRACE_SAMPLING: "500",
      PILOT_HTTP10: "maybe",
      EXTERNAL_CA: "ISTIOD_RA_KUBERNETES_API",
      PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: "2001:2::/48",
      NOT_READ: "maybe",
    },
  );
  assert.deepEqual(found.map(({ name }) => name).sort(), [
    "--httpAddr",
    "--keepaliveMaxServerConnectionAge",
    "EXTERNAL_CA",
    "PILOT_HTTP10",
    "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
    "PILOT_TRACE_SAMPLING",
  ]);
  assert.deepEqual(pilotFaults(["discovery"], {}), []);
});

test("the list of variables that are true or false is that of the sources", () => {
  const sources = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith("-options.ts"))
    .map((name) => readFileSync(join(import.meta.dirname, name), "utf8"))
    .join("\n");
  const read = [...sources.matchAll(/\benvBoolean\(\s*env,\s*"([A-Z0-9_]+)"/g)].map(([, name = ""]) => name);
  assert.deepEqual([...new Set(read)].filter((name) => name !== "SHADOW").sort(), booleanVariables.toSorted());
  for (const name of booleanVariables)
    assert.deepEqual(
      pilotFaults([], { ...enabling, [name]: "maybe" }).map((fault) => fault.name),
      [name],
    );
});

/** The control plane reads the other variables of a feature only if the feature is on. */
const enabling = { ENABLE_MCS_SERVICE_DISCOVERY: "true", ENABLE_MCS_HOST: "true" };
