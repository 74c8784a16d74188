import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesLabelSelector, type LabelSelector } from "../../api/index.ts";
import type { InstallSettings } from "../settings.ts";
import { injectorWebhooks, revisionTag } from "./webhooks.ts";

interface Webhook {
  readonly name: string;
  readonly namespaceSelector: LabelSelector;
  readonly objectSelector: LabelSelector;
}

const settings = (revision: string, values = {}): InstallSettings =>
  ({ namespace: "istio-system", revision, values, hub: "hub", tag: "1" }) as unknown as InstallSettings;
const webhooksOf = (object: object): readonly Webhook[] => (object as { webhooks: readonly Webhook[] }).webhooks;

/** The webhooks of the default revision, of the revision `canary`, and of the tag `prod` of that revision. */
const configurations: Readonly<Record<string, readonly Webhook[]>> = {
  default: webhooksOf(injectorWebhooks(settings(""), {})),
  canary: webhooksOf(injectorWebhooks(settings("canary"), {})),
  "prod -> canary": webhooksOf(revisionTag("prod", settings("canary"))),
};

function takenBy(namespace: Record<string, string>, pod: Record<string, string>, all = configurations): string {
  return Object.entries(all)
    .flatMap(([owner, webhooks]) =>
      webhooks
        .filter(
          (hook) =>
            matchesLabelSelector(hook.namespaceSelector, namespace) && matchesLabelSelector(hook.objectSelector, pod),
        )
        .map((hook) => `${owner}: ${hook.name.replace(".sidecar-injector.istio.io", "")}`),
    )
    .join(", ");
}

const rev = (name: string) => ({ "istio.io/rev": name });
const enabled = { "istio-injection": "enabled" };
const disabled = { "istio-injection": "disabled" };
const labels = { "sidecar.istio.io/inject": "true" };
const refuses = { "sidecar.istio.io/inject": "false" };

const cases: readonly (readonly [namespace: Record<string, string>, pod: Record<string, string>, expected: string])[] =
  [
    [{}, {}, ""],
    [{}, labels, "default: object"],
    [{}, refuses, ""],
    [{}, rev("default"), "default: rev.object"],
    [{}, rev("canary"), "canary: rev.object"],
    [{}, rev("prod"), "prod -> canary: rev.object"],
    [{}, rev("unknown"), ""],
    [{}, { ...rev("canary"), ...labels }, "canary: rev.object"],
    [{}, { ...rev("canary"), ...refuses }, ""],
    [enabled, {}, "default: namespace"],
    [enabled, labels, "default: namespace"],
    [enabled, refuses, ""],
    [enabled, rev("canary"), "default: namespace"],
    [enabled, { ...rev("canary"), ...refuses }, ""],
    [disabled, {}, ""],
    [disabled, labels, ""],
    [disabled, rev("canary"), ""],
    [rev("canary"), {}, "canary: rev.namespace"],
    [rev("canary"), labels, "canary: rev.namespace"],
    [rev("canary"), refuses, ""],
    [rev("canary"), rev("prod"), "canary: rev.namespace"],
    [rev("prod"), {}, "prod -> canary: rev.namespace"],
    [rev("prod"), rev("default"), "prod -> canary: rev.namespace"],
    [rev("default"), {}, "default: rev.namespace"],
    [rev("default"), rev("canary"), "default: rev.namespace"],
    [rev("unknown"), labels, ""],
    [{ ...rev("canary"), ...enabled }, {}, "default: namespace"],
    [{ ...rev("canary"), ...enabled }, rev("canary"), "default: namespace"],
    [{ ...rev("canary"), ...disabled }, labels, ""],
  ];

test("at most one webhook matches each pod: istio-injection takes precedence over the namespace's revision, and that over the pod's", () => {
  for (const [namespace, pod, expected] of cases)
    assert.equal(takenBy(namespace, pod), expected, `${JSON.stringify(namespace)} ${JSON.stringify(pod)}`);
});

test("the owner of the tag default injects pods that name no revision", () => {
  const moved = {
    canary: configurations["canary"] ?? [],
    "default -> canary": webhooksOf(revisionTag("default", settings("canary"))),
  };
  assert.equal(takenBy(enabled, {}, moved), "default -> canary: namespace");
  assert.equal(takenBy({}, labels, moved), "default -> canary: object");
  assert.equal(takenBy(rev("default"), {}, moved), "default -> canary: rev.namespace");
});

test("with injection enabled by default, only unlabelled namespaces and pods are added", () => {
  const all = {
    default: webhooksOf(
      injectorWebhooks(settings("", { sidecarInjectorWebhook: { enableNamespacesByDefault: true } }), {}),
    ),
  };
  assert.equal(takenBy({}, {}, all), "default: auto");
  assert.equal(takenBy({}, labels, all), "default: object");
  for (const [namespace, pod] of [
    [{}, refuses],
    [disabled, {}],
    [{ "kubernetes.io/metadata.name": "kube-system" }, {}],
    [rev("canary"), {}],
  ] as const)
    assert.equal(takenBy(namespace, pod, all), "");
});
