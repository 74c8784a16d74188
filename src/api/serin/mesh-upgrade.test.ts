import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade } from "./mesh-upgrade.ts";

function agentOf(cni: object): unknown {
  const { value } = parseMeshUpgrade({
    metadata: { name: "to-1-18-1" },
    spec: {
      from: { revision: "1-18-0" },
      to: { revision: "1-18-1", install: [{ profile: "ambient", revision: "1-18-1" }], cni },
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
