import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./server-harness.ts";

const server = new ServerHarness();
before(async () => void (await server.start()));
after(async () => await server.remove());

const admission = "/apis/admissionregistration.k8s.io/v1";
const configMaps = {
  apiGroups: [""],
  apiVersions: ["v1"],
  operations: ["CREATE", "UPDATE"],
  resources: ["configmaps"],
};

/** Makes a policy for ConfigMaps of a new namespace, and its binding. */
async function enforce(name: string, spec: Json, binding: Json = {}): Promise<void> {
  await server.call("POST", "/api/v1/namespaces", { metadata: { name, labels: { checked: name } } });
  const matchConstraints = {
    resourceRules: [configMaps],
    namespaceSelector: { matchLabels: { checked: name } },
    ...spec["matchConstraints"],
  };
  const policy = await server.call("POST", `${admission}/validatingadmissionpolicies`, {
    metadata: { name },
    spec: { ...spec, matchConstraints },
  });
  assert.equal(policy.status, 201, policy.text);
  const bound = await server.call("POST", `${admission}/validatingadmissionpolicybindings`, {
    metadata: { name: `${name}-binding` },
    spec: { policyName: name, validationActions: ["Deny"], ...binding },
  });
  assert.equal(bound.status, 201, bound.text);
}

async function create(namespace: string, name: string, fields: Json = {}): Promise<Answer> {
  const { labels, ...rest } = fields;
  return await server.call("POST", `/api/v1/namespaces/${namespace}/configmaps`, {
    metadata: { name, labels },
    ...rest,
  });
}

test("a bound policy refuses what its expressions forbid, with the real server's message, reason and code", async () => {
  await enforce("plain", {
    variables: [{ name: "colour", expression: "has(object.data) ? object.data.colour : ''" }],
    validations: [
      { expression: "variables.colour != 'red'" },
      { expression: "variables.colour != 'blue'", message: "no blue", reason: "Forbidden" },
      {
        expression: "variables.colour != 'grey'",
        messageExpression: "'no ' + object.data.colour + ' in ' + request.namespace",
      },
    ],
  });
  const denied = (message: string): string =>
    `configmaps "one" is forbidden: ValidatingAdmissionPolicy 'plain' with binding 'plain-binding' denied request: ${message}`;
  const refused = async (colour: string): Promise<unknown[]> => {
    const { status, body } = await create("plain", "one", { data: { colour } });
    return [status, body.reason, body.message];
  };
  assert.deepEqual(await refused("red"), [422, "Invalid", denied("failed expression: variables.colour != 'red'")]);
  assert.deepEqual(await refused("blue"), [403, "Forbidden", denied("no blue")]);
  assert.deepEqual(await refused("grey"), [422, "Invalid", denied("no grey in plain")]);
  assert.equal((await create("plain", "one", { data: { colour: "green" } })).status, 201);
  assert.equal((await create("default", "one", { data: { colour: "red" } })).status, 201, "another namespace");
});

test("selectors, excluded rules, conditions and the binding's own rules limit a policy", async () => {
  const never = { validations: [{ expression: "false" }] };
  await enforce("selected", { ...never, matchConstraints: { objectSelector: { matchLabels: { strict: "yes" } } } });
  assert.equal((await create("selected", "free")).status, 201);
  assert.equal((await create("selected", "strict", { labels: { strict: "yes" } })).status, 422);
  await enforce("conditional", {
    ...never,
    matchConditions: [{ name: "one", expression: "object.metadata.name == 'bad'" }],
  });
  assert.equal((await create("conditional", "good")).status, 201);
  assert.equal((await create("conditional", "bad")).status, 422);
  const excludeResourceRules = [{ ...configMaps, resourceNames: ["spared"] }];
  await enforce("excluding", { ...never, matchConstraints: { excludeResourceRules } });
  assert.equal((await create("excluding", "spared")).status, 201);
  assert.equal((await create("excluding", "other")).status, 422);
  const matchResources = { resourceRules: [{ ...configMaps, operations: ["UPDATE"] }] };
  await enforce("updates", never, { matchResources });
  assert.equal((await create("updates", "one")).status, 201);
});

test("a policy that cannot be evaluated refuses, or is ignored, as its failure policy says; a warning does not refuse", async () => {
  const broken = { validations: [{ expression: "object.data.missing == 'x'" }] };
  await enforce("fails", broken);
  const refused = await create("fails", "one");
  assert.equal(refused.status, 422);
  assert.match(refused.body.message, /expression 'object\.data\.missing == 'x'' resulted in error: /);
  await enforce("ignores", { ...broken, failurePolicy: "Ignore" });
  assert.equal((await create("ignores", "one")).status, 201);
  await enforce(
    "warns",
    { validations: [{ expression: "false", message: "careful" }] },
    { validationActions: ["Warn"] },
  );
  const warned = await create("warns", "one");
  assert.equal(warned.status, 201);
  assert.match(
    String(warned.headers["warning"]),
    /Validation failed for ValidatingAdmissionPolicy 'warns' with binding 'warns-binding': careful/,
  );
  await enforce("parameters", { ...broken, paramKind: { apiVersion: "v1", kind: "ConfigMap" } });
  assert.match((await create("parameters", "one")).body.message, /does not support policies with parameters/);
});
