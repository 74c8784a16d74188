import assert from "node:assert/strict";
import { test } from "node:test";
import { treeAt } from "../base/index.ts";
import { resolveSettings } from "./settings.ts";

const resolve = (spec: object, setFlags: readonly string[] = []) =>
  resolveSettings({ specs: [spec], setFlags }, { hub: "h", tag: "1" });
const variablesOf = (spec: object, setFlags?: readonly string[]) =>
  treeAt(resolve(spec, setFlags).value?.values, "pilot", "env");

test("an earlier version's behaviour becomes variables of the pilot, which the installation's own variables override", () => {
  const since131 = { PILOT_ENABLE_STRICT_GATEWAY_MERGING: "false", PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: "false" };
  assert.deepEqual(variablesOf({ compatibilityVersion: "1.30" }), since131);
  assert.deepEqual(variablesOf({}, ["compatibilityVersion=1.30"]), since131);
  assert.deepEqual(variablesOf({ values: { compatibilityVersion: "1.30" } }), since131);
  const early = variablesOf({
    compatibilityVersion: "1.26",
    values: { pilot: { env: { ENABLE_NATIVE_SIDECARS: "auto" } } },
  });
  assert.deepEqual([early?.["ENABLE_NATIVE_SIDECARS"], early?.["DISABLE_SHADOW_HOST_SUFFIX"]], ["auto", "false"]);
  assert.equal(variablesOf({ compatibilityVersion: "1.27" })?.["ENABLE_NATIVE_SIDECARS"], undefined);
});

test("behaviour of an earlier version that the pilot cannot have is named, and an unknown version is refused", () => {
  const { warnings } = resolve({ compatibilityVersion: "1.29" });
  assert.deepEqual(
    warnings.map(({ path }) => path),
    [
      "spec.values.pilot.env.PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE",
      "spec.values.pilot.env.PILOT_ENABLE_STRICT_GATEWAY_MERGING",
    ],
  );
  assert.deepEqual(resolve({ compatibilityVersion: "1.4" }).errors, [
    {
      path: "spec.compatibilityVersion",
      message: 'there is no compatibility version "1.4"; known: 1.25, 1.26, 1.27, 1.28, 1.29, 1.30',
    },
  ]);
});
