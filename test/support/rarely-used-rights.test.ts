import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { banzaiOperatorRules, renderInstall, renderOperator, resolveSettings } from "../../src/install/index.ts";
import { rightsByName, type Role } from "./audited-rights.ts";
import { root } from "./lab-cluster.ts";
import { rarelyUsedRights } from "./rarely-used-rights.ts";

test("each right that labs do not need is in a role, has one entry in the list, and is used by the source in that entry", () => {
  const { value: settings } = resolveSettings({ specs: [{ profile: "ambient" }] }, { hub: "h", tag: "1" });
  assert.ok(settings);
  const operator = { hub: "h", tag: "1", namespace: "istio-operator", watchedNamespaces: [], revision: "" };
  const installed = renderInstall(settings, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
  const banzai = ["v16x", "v17x"].map((release) => ({
    kind: "ClusterRole",
    metadata: { name: `istio-operator-${release}` },
    rules: banzaiOperatorRules("lease"),
  }));
  const granted = new Set(
    ([...installed, ...renderOperator(operator, []), ...banzai] as unknown as readonly Role[])
      .filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
      .flatMap(rightsByName),
  );
  const rights = rarelyUsedRights.flatMap((one) => one.rights);
  assert.deepEqual(
    rights.filter((right) => !granted.has(right)),
    [],
    "rights that no role grants",
  );
  assert.deepEqual(
    rights.filter((right, index) => rights.indexOf(right) !== index),
    [],
    "rights that stand twice",
  );
  const missing = rarelyUsedRights.flatMap(({ feature, usedAt }) =>
    usedAt
      .filter(({ file, text }) => !readFileSync(join(root, file), "utf8").includes(text))
      .map(({ file, text }) => `${feature}: ${file} has no ${text}`),
  );
  assert.deepEqual(missing, []);
});
