import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKindConfig } from "./kind-config.ts";

const threeNodes = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: ambient
networking:
  apiServerAddress: "10.0.0.152"
  apiServerPort: 6443
nodes:
- role: worker
  labels: {zone: a}
- role: control-plane
- role: worker
`;

test("nodes get kind's names and consecutive addresses", () => {
  const { plan } = parseKindConfig(threeNodes);
  assert.deepEqual(
    plan.nodes.map(({ name, address, podCidr }) => [name, address, podCidr]),
    [
      ["ambient-control-plane", "172.18.0.2", "10.244.0.0/24"],
      ["ambient-worker", "172.18.0.3", "10.244.1.0/24"],
      ["ambient-worker2", "172.18.0.4", "10.244.2.0/24"],
    ],
  );
  assert.deepEqual(plan.nodes[1]?.labels, { zone: "a" });
});

test("an API server address that cannot be bound becomes the loopback, with a warning", () => {
  const { plan, warnings } = parseKindConfig(threeNodes);
  assert.deepEqual(plan.apiServer, { address: "127.7.0.10", port: 6443, portIsFixed: false });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /10\.0\.0\.152 is not in 127\.0\.0\.0\/8/);
});

test("an impossible --name is an error of the flag, not of a line in a file", () => {
  for (const name of ["A b", "", "-x", "a".repeat(41)])
    assert.throws(() => parseKindConfig(undefined, { name }), {
      code: "usage",
      message: /^--name must be 1 to 40 lower/,
    });
});

test("without a file kind's default applies, and --name takes precedence", () => {
  const { plan } = parseKindConfig(undefined, { name: "mine" });
  assert.deepEqual(
    plan.nodes.map(({ name }) => name),
    ["mine-control-plane"],
  );
  assert.equal(plan.apiServer.portIsFixed, false);
});

test("every invalid field is reported with its line and the expected value", () => {
  const bad =
    "kind: Cluster\napiVersion: kind.x-k8s.io/v1\nnode:\n- role: master\nnodes:\n- role: master\n  colour: red\nnetworking:\n  apiServerPort: many\n";
  assert.throws(
    () => parseKindConfig(bad, { source: "my.yaml" }),
    (error: Error) => {
      assert.match(
        error.message,
        /my\.yaml:2: apiVersion: must be kind\.x-k8s\.io\/v1alpha4, got "kind\.x-k8s\.io\/v1"/,
      );
      assert.match(error.message, /my\.yaml:3: node: unknown field; expected one of kind, /);
      assert.match(error.message, /my\.yaml:6: nodes\[0\]\.role: must be control-plane or worker, got "master"/);
      assert.match(error.message, /my\.yaml:7: nodes\[0\]\.colour: unknown field/);
      assert.match(error.message, /my\.yaml:9: networking\.apiServerPort: must be an integer/);
      return true;
    },
  );
  assert.throws(() => parseKindConfig("kind: [", { source: "x" }), /x:1:/);
});

test("a file that is no YAML gets one short line, although the parser quotes the rest of it", () => {
  const page = `# A page\n\n**Bold** text\n${"with `code` and: more\n".repeat(200)}`;
  assert.throws(
    () => parseKindConfig(page, { source: "README.md" }),
    ({ message }: Error) => {
      assert.match(message, /^README\.md:3: this is not valid YAML: /);
      assert.ok(!message.includes("\n") && message.length < 300, message);
      return true;
    },
  );
});

test("kind's fields without a counterpart are accepted with a warning", () => {
  const { warnings } = parseKindConfig(
    "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nfeatureGates: {A: true}\nnodes:\n- role: control-plane\n  image: kindest/node:v1\n",
  );
  assert.deepEqual(
    warnings.map((warning) => warning.split(" ")[0]),
    ["featureGates", "nodes[0].image"],
  );
});
