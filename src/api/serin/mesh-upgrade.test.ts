import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIssues } from "../parsed.ts";
import { parseMeshUpgrade } from "./mesh-upgrade.ts";

function agentOf(cni: object, mesh: object = {}): unknown {
  const { value } = parseMeshUpgrade({
    metadata: { name: "to-1-18-1" },
    spec: {
      from: { revision: "1-18-0" },
      to: { revision: "1-18-1", install: [{ profile: "ambient", revision: "1-18-1", ...mesh }], cni },
    },
  });
  return value?.spec.to.cni;
}

test("a CNI agent with only a tag gets the mesh's profile and is enabled", () => {
  assert.deepEqual(agentOf({ tag: "1.18.1" }), {
    tag: "1.18.1",
    profile: "ambient",
    components: { cni: { enabled: true } },
  });
});

test("a CNI agent's own profile and component are kept", () => {
  const cni = { profile: "empty", components: { cni: { enabled: false, namespace: "kube-system" } } };
  assert.deepEqual(agentOf(cni), cni);
});

test("a CNI agent has the mesh's registry, platform and folders, unless it states its own", () => {
  const mesh = {
    hub: "registry.example.com/serin",
    values: {
      global: { platform: "k3s", imagePullSecrets: ["pull"] },
      cni: { cniBinDir: "/var/lib/cni/bin", logging: { level: "cni:info" } },
      pilot: { autoscaleMin: 2 },
    },
  };
  const enabled = { profile: "ambient", components: { cni: { enabled: true } } };
  assert.deepEqual(agentOf({ tag: "1.18.1" }, mesh), {
    ...enabled,
    tag: "1.18.1",
    hub: mesh.hub,
    values: { global: mesh.values.global, cni: mesh.values.cni },
  });
  const own = { hub: "other.example.com", values: { global: { imagePullSecrets: [] }, cni: { cniBinDir: "/x" } } };
  assert.deepEqual(agentOf(own, mesh), {
    ...enabled,
    hub: own.hub,
    values: {
      global: { platform: "k3s", imagePullSecrets: [] },
      cni: { cniBinDir: "/x", logging: { level: "cni:info" } },
    },
  });
});

function faultsOf(spec: object): readonly string[] {
  const { errors } = parseMeshUpgrade({ metadata: { name: "u" }, spec: { ...ends, ...spec } });
  return errors.map(({ path, message }) => `${path} ${message}`);
}

const ends = { from: { revision: "a" }, to: { revision: "b" } };

test("a wave that is not an object is refused, and does not mean all namespaces", () => {
  for (const wave of ["shop", 5, null, ["shop"]])
    assert.match(faultsOf({ waves: [wave] })[0] ?? "", /^spec\.waves\[0\] must be an object/);
});

test("a wave's names and labels must be ones that a namespace can have", () => {
  assert.match(
    faultsOf({ waves: [{ namespaces: ["shop", "Shop "] }] })[0] ?? "",
    /^spec\.waves\[0\]\.namespaces\[1\] /,
  );
  assert.match(
    faultsOf({ waves: [{ namespaceLabels: { tier: "a b" } }] })[0] ?? "",
    /^spec\.waves\[0\]\.namespaceLabels\.tier /,
  );
  assert.match(faultsOf({ waves: [{ name: "" }] })[0] ?? "", /^spec\.waves\[0\]\.name must not be empty/);
});

test("a revision and a Secret have names that objects can have", () => {
  for (const revision of ["", "1.18.", "a b", "x".repeat(64)])
    assert.match(faultsOf({ from: { revision } })[0] ?? "", /^spec\.from\.revision must be the name of a revision/);
  assert.deepEqual(faultsOf({ from: { revision: "cp-v116x.istio-system" } }), []);
  assert.match(faultsOf({ to: { revision: "B_1" } })[0] ?? "", /^spec\.to\.revision must be the name of a revision/);
  assert.match(faultsOf({ to: { revision: "b", root: { secretName: "" } } })[0] ?? "", /^spec\.to\.root\.secretName /);
});

test("an empty pause is refused, because in other tools it means to wait for a person", () => {
  assert.match(
    faultsOf({ waves: [{ pause: {} }] })[0] ?? "",
    /^spec\.waves\[0\]\.pause must have durationSeconds, or untilApproved/,
  );
});

test("a revision to install is refused if the name of its Service would be too long", () => {
  const to = (length: number, install: readonly object[]): string =>
    faultsOf({ to: { revision: "x".repeat(length), install } }).join("\n");
  assert.equal(to(56, [{ profile: "minimal" }]), "");
  assert.match(
    to(57, [{ profile: "minimal" }]),
    /^spec\.to\.revision must have at most 56 characters to be installed, .* got 57$/,
  );
  assert.equal(to(63, []), "", "what is there already has its own names");
});

function warningsOf(spec: object): readonly string[] {
  const { errors, warnings } = parseMeshUpgrade({ metadata: { name: "u" }, spec: { ...ends, ...spec } });
  assert.deepEqual(errors, []);
  return warnings.map((issue) => formatIssues([issue]));
}

test("a MeshUpgrade warns of a check of type request-share, which no step judges", () => {
  const checks = [{ type: "xds-nacks" }, { type: "request-share" }];
  const [ofSpec, ofWave, ...others] = warningsOf({ checks, waves: [{ checks }] });
  assert.match(ofSpec ?? "", /^spec\.checks\[1\]: has no effect: no step of a MeshUpgrade has an expected share/);
  assert.match(ofWave ?? "", /^spec\.waves\[0\]\.checks\[1\]: has no effect/);
  assert.deepEqual(others, []);
});

test("a MeshUpgrade warns of tcp-connect-failures where neither ztunnels nor the agent move", () => {
  const checks = [{ type: "tcp-connect-failures" }];
  const warned = (spec: object): number => warningsOf(spec).length;
  assert.equal(warned({ checks }), 0);
  assert.equal(warned({ checks, scope: { ztunnel: false } }), 1);
  assert.equal(warned({ checks, scope: { ztunnel: false }, to: { revision: "b", cni: {} } }), 0);
  assert.equal(warned({ waves: [{ checks }] }), 0);
  assert.equal(warned({ waves: [{ checks }], ztunnel: { by: "Node" } }), 1, "nodes move after the waves");
});

test("a MeshUpgrade warns of a second check of a type that a step has only once", () => {
  const checks = [
    { type: "mtls-probe-matrix", name: "first" },
    { type: "mtls-probe-matrix", name: "second" },
    { type: "query", name: "one", min: 1, query: { provider: "mesh", expression: "up" } },
    { type: "query", name: "two", min: 1, query: { provider: "mesh", expression: "up" } },
  ];
  const [first, ...others] = warningsOf({ checks });
  assert.match(first ?? "", /^spec\.checks\[1\]: has no effect: a step has only one .* checks\[0\] comes first/);
  assert.deepEqual(others, []);
});

test("a MeshUpgrade warns of the settings of parts that do not move", () => {
  const places = (spec: object): readonly string[] => warningsOf(spec).map((text) => text.split(": ", 1)[0] ?? "");
  const settings = {
    ztunnel: { by: "Pod" },
    gateways: { weights: [50], afterWave: 0 },
    waypoints: { weights: [50] },
    waves: [{ mode: "ScaleFirst", maxUnavailable: 2 }],
  };
  assert.deepEqual(places(settings), []);
  assert.deepEqual(places({ ...settings, scope: { gateways: false } }), ["spec.gateways.weights"]);
  assert.deepEqual(places({ ...settings, scope: { ztunnel: false, waypoints: false, gateways: false } }), [
    "spec.ztunnel",
    "spec.waypoints",
    "spec.gateways.weights",
    "spec.gateways.afterWave",
  ]);
  assert.deepEqual(places({ ...settings, scope: { namespaces: false } }), [
    "spec.waves[0].mode",
    "spec.waves[0].maxUnavailable",
  ]);
  assert.deepEqual(places({ scope: { cni: false }, to: { revision: "b", cni: {} } }), ["spec.to.cni"]);
});

test("a MeshUpgrade within one revision warns of the fields that say how parts move", () => {
  const spec = { to: { revision: "a", cni: {} }, waves: [{}], retire: "Manual", soakSeconds: 5 };
  assert.deepEqual(
    warningsOf(spec).map((text) => text.split(": ", 1)[0]),
    ["spec.waves", "spec.retire"],
  );
});
