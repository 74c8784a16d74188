import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import * as install from "../../../install/index.ts";
import { renderInstalls } from "./render-install.ts";

/** Whether the sidecars of the rendered revision leave the redirect of traffic to the CNI agent. */
function redirectsByAgent(to: object): boolean | undefined {
  const upgrade = { spec: { to: { revision: "new", ...to } } } as unknown as MeshUpgrade;
  const [objects = []] = renderInstalls(install, upgrade, { hub: "h", tag: "t" });
  const injector = objects.find(({ metadata }) => metadata.name === "istio-sidecar-injector-new") as
    | { readonly data?: { readonly values?: string } }
    | undefined;
  const values = JSON.parse(injector?.data?.values ?? "{}") as { pilot?: { cni?: { enabled?: boolean } } };
  return values.pilot?.cni?.enabled;
}

const spec = { profile: "default", revision: "new", components: { cni: { enabled: false } } };

test("sidecars of a revision that shares the agent of the upgrade leave their redirect to it", () => {
  assert.equal(redirectsByAgent({ install: [spec], cni: { tag: "t" } }), true);
  const values = { pilot: { cni: { enabled: false } } };
  assert.equal(
    redirectsByAgent({ install: [{ ...spec, values }], cni: { tag: "t" } }),
    false,
    "the user's value counts",
  );
});

test("sidecars of a revision redirect their pods themselves where the upgrade knows no agent", () => {
  assert.notEqual(redirectsByAgent({ install: [spec] }), true);
});
