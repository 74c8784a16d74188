import assert from "node:assert/strict";
import { test } from "node:test";
import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import { injectionOf } from "./namespaces.ts";
import { injectsWithoutTag } from "./tags.ts";

const injector = (revision: string, namespaceSelector: object, tag?: string): WebhookConfiguration =>
  ({
    metadata: {
      name: "i",
      labels: { "istio.io/rev": revision, ...(tag === undefined ? {} : { "istio.io/tag": tag }) },
    },
    webhooks: [{ name: "rev.namespace.sidecar-injector.istio.io", namespaceSelector }],
  }) as unknown as WebhookConfiguration;
const enabled = { matchLabels: { "istio-injection": "enabled" } };
const byRevision = { matchLabels: { "istio.io/rev": "sample" } };

test("a named control plane that injects istio-injection itself leads its namespaces, but no tag does", () => {
  const without = (of: WebhookConfiguration, revision = "sample", tags = new Map<string, string>()): boolean =>
    injectsWithoutTag({ injectors: [of], validators: [] }, tags, revision);
  assert.equal(without(injector("sample", enabled)), true);
  assert.equal(without(injector("sample", byRevision)), false);
  assert.equal(without(injector("other", enabled)), false);
  assert.equal(without(injector("sample", enabled, "default")), false);
  assert.equal(without(injector("sample", enabled), "sample", new Map([["default", "other"]])), false);
  assert.equal(without(injector("default", enabled), "default"), false, "its namespaces follow the default tag later");
});

test("a namespace with istio-injection moves from the revision that injects it without a tag", () => {
  const labels = { "istio-injection": "enabled" };
  const sources = { tags: new Map<string, string>(), injectsWithoutTag: true };
  assert.deepEqual(injectionOf(labels, sources, "sample"), { label: "istio-injection", value: "enabled" });
  assert.equal(injectionOf(labels, { ...sources, injectsWithoutTag: false }, "sample"), undefined);
  assert.equal(injectionOf({ ...labels, "istio.io/dataplane-mode": "ambient" }, sources, "sample"), undefined);
});
