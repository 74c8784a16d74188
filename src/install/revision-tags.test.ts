import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../base/index.ts";
import { injectorWebhooks } from "./components/webhooks.ts";
import { deactivateDefault, reactivateDefault } from "./revision-tags.ts";
import { resolveSettings } from "./settings.ts";

function injectorOf(revision: string, enableNamespacesByDefault = false): readonly Tree[] {
  const spec = {
    ...(revision === "" ? {} : { revision }),
    values: { sidecarInjectorWebhook: { enableNamespacesByDefault } },
  };
  const { value: settings } = resolveSettings({ specs: [spec] }, { hub: "hub", tag: "1" });
  assert.ok(settings !== undefined);
  return injectorWebhooks(settings, {})["webhooks"] as readonly Tree[];
}

test("no webhook of an unnamed control plane selects a pod while the tag default leads to another one, and all do afterwards", () => {
  for (const everybody of [false, true]) {
    const before = injectorOf("", everybody);
    const deactivated = deactivateDefault(before);
    assert.equal(deactivated.length, everybody ? 5 : 4);
    const never = { matchLabels: { "istio.io/deactivated": "never-match" } };
    for (const { name, namespaceSelector, objectSelector } of deactivated)
      assert.deepEqual([namespaceSelector, objectSelector], [never, never], String(name));
    assert.deepEqual(reactivateDefault(deactivated), before);
  }
});
