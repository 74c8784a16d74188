import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { treeAt } from "../base/index.ts";
import { parseIstioOperator } from "../api/istio/index.ts";
import { profiles, renderInstall, resolveSettings } from "./index.ts";

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs?: readonly string[];
}

/** The allowed rules with a `*`, by the name of their role. Each has the reason for the `*`. */
const reasons: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "istiod-clusterrole-istio-system": {
    "*: get list watch": "all kinds of Istio and of the Gateway API, later ones among them",
  },
  "istio-reader-clusterrole-istio-system": {
    "*: get list watch": "all kinds of Istio and of the Gateway API, which other clusters' control planes read",
  },
};

function objectsOf(profile: string): readonly UntypedObject[] {
  const spec = { profile, components: { rollout: { enabled: true } } };
  const raw = { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec };
  const operator = parseIstioOperator(profile === "empty" ? { ...raw, spec: { profile } } : raw);
  const { value: settings } = resolveSettings(
    { specs: [operator.value?.spec ?? { profile }] },
    { hub: "docker.io/istio", tag: "9.9.9" },
  );
  assert.ok(settings, profile);
  return renderInstall(settings, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
}

function rolesOf(profile: string): readonly UntypedObject[] {
  return objectsOf(profile).filter(({ kind }) => kind === "ClusterRole" || kind === "Role");
}

/** Describes a rule with a `*`. Returns undefined for other rules. */
function wildcard({ apiGroups = [], resources = [], verbs = [] }: Rule): string | undefined {
  if (![...apiGroups, ...resources, ...verbs].includes("*")) return undefined;
  const groups = apiGroups.includes("*") ? "*/" : "";
  return `${groups}${resources.join(" ")}: ${verbs.join(" ")}`;
}

test("a team with the role edit writes Canaries and Checks, one with view reads them, and neither writes a status", () => {
  const aggregated = rolesOf("default").flatMap(({ metadata, ...role }) => {
    const label = Object.keys(metadata.labels ?? {}).find((key) => key.includes("/aggregate-to-"));
    return label === undefined ? [] : [[label.split("-to-")[1], (role as { rules?: readonly Rule[] }).rules]];
  });
  const rule = (verbs: string) => [
    { apiGroups: ["rollout.serin.dev"], resources: ["canaries", "checks"], verbs: verbs.split(" ") },
  ];
  assert.deepEqual(aggregated, [
    ["view", rule("get list watch")],
    ["edit", rule("create update patch delete deletecollection")],
  ]);
});

test("no role of a profile has a *, except a short list with reasons", () => {
  const used = new Set<string>();
  const found: string[] = [];
  for (const profile of Object.keys(profiles))
    for (const role of rolesOf(profile)) {
      const name = role.metadata.name ?? "";
      for (const rule of ((role as { rules?: readonly Rule[] }).rules ?? []).map(wildcard)) {
        if (rule === undefined) continue;
        if (reasons[name]?.[rule] === undefined) found.push(`${profile}: ${role.kind ?? ""} ${name}: ${rule}`);
        used.add(`${name} ${rule}`);
      }
    }
  assert.deepEqual([...new Set(found)], []);
  // Reasons for rules that no longer exist must be removed from the list.
  const listed = Object.entries(reasons).flatMap(([name, rules]) =>
    Object.keys(rules).map((rule) => `${name} ${rule}`),
  );
  assert.deepEqual(
    listed.filter((each) => !used.has(each)),
    [],
  );
});

test("pods of gateways get no token for the API server, because their account may list Secrets beside the CA's", () => {
  const found = Object.keys(profiles).flatMap((profile) =>
    objectsOf(profile)
      .filter(({ kind, metadata }) => kind === "Deployment" && metadata.name?.endsWith("gateway") === true)
      .map(
        (object) => [profile, treeAt(object, "spec", "template", "spec")?.["automountServiceAccountToken"]] as const,
      ),
  );
  assert.deepEqual(
    found.filter(([, mounted]) => mounted !== false),
    [],
  );
  assert.ok(found.some(([profile]) => profile === "ambient") && found.some(([profile]) => profile === "default"));
});
