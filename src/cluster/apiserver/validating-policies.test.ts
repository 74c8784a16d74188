import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

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

test("policies see streams, proxied requests, evictions, bindings and tokens, although none of these is stored", async () => {
  const rule = (operations: readonly string[], resources: readonly string[]): Json => ({
    apiGroups: [""],
    apiVersions: ["v1"],
    operations,
    resources,
  });
  await enforce("unstored", {
    matchConstraints: {
      resourceRules: [
        rule(["CONNECT"], ["pods/exec", "pods/portforward", "services/proxy"]),
        rule(["CREATE"], ["pods/eviction", "pods/binding", "serviceaccounts/token"]),
      ],
    },
    validations: [
      {
        expression: "request.kind.kind == 'PodExecOptions' && !('rm' in object.command)",
        messageExpression: "request.operation + ' ' + request.kind.kind + ' of ' + request.name",
      },
    ],
  });
  const namespace = "/api/v1/namespaces/unstored";
  await server.call("POST", `${namespace}/serviceaccounts`, { metadata: { name: "default" } });
  await server.call("POST", `${namespace}/pods`, {
    metadata: { name: "web" },
    spec: { containers: [{ name: "main", image: "web:1" }] },
  });
  const headers = { connection: "Upgrade", upgrade: "SPDY/3.1" };
  const cases: readonly (readonly [method: string, path: string, message: string, body?: Json, headers?: Json])[] = [
    ["POST", "pods/web/exec?command=rm", "CONNECT PodExecOptions of web"],
    ["POST", "pods/web/exec?command=ls&command=rm", "CONNECT PodExecOptions of web", undefined, headers],
    ["POST", "pods/web/portforward", "CONNECT PodPortForwardOptions of web", undefined, headers],
    ["GET", "services/web:80/proxy/metrics", "CONNECT ServiceProxyOptions of web:80"],
    ["POST", "pods/web/eviction", "CREATE Eviction of web", { metadata: { name: "web" } }],
    ["POST", "pods/web/binding", "CREATE Binding of web", { target: { name: "node-a" } }],
    ["POST", "serviceaccounts/default/token", "CREATE TokenRequest of default", {}],
  ];
  for (const [method, path, message, body, more] of cases) {
    const answer = await server.call(method, `${namespace}/${path}`, body, more === undefined ? {} : { headers: more });
    assert.equal(answer.status, 422, `${path}: ${answer.text}`);
    assert.ok(answer.body.message.endsWith(`denied request: ${message}`), answer.body.message);
  }
  const allowed = await server.call("POST", `${namespace}/pods/web/exec?command=ls`);
  assert.match(allowed.body.message, /does not have a host assigned/);
  assert.equal((await server.call("GET", `${namespace}/pods/web/log`)).status, 200);
});

test("a namespace selector exempts no object of the whole cluster", async () => {
  const volumes = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["persistentvolumes"] };
  await enforce("everywhere", {
    matchConstraints: { resourceRules: [volumes] },
    validations: [{ expression: "false", message: "no volumes" }],
  });
  const volume = {
    metadata: { name: "own" },
    spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/" } },
  };
  const { status, body } = await server.call("POST", "/api/v1/persistentvolumes?dryRun=All", volume);
  assert.deepEqual([status, body.message.endsWith("denied request: no volumes")], [422, true], body.message);
});

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

test("policies have the functions of Kubernetes, whole numbers, and the rights of the user", async () => {
  const validations = [
    { expression: "int(object.data.n) + size(object.data) % 2 == 4" },
    { expression: "object.data.list.split(',').all(x, x.lowerAscii() == x)" },
    { expression: "authorizer.requestResource.check('delete').allowed()" },
    {
      expression: "!authorizer.serviceAccount('kube-system', 'none').group('').resource('pods').check('get').allowed()",
    },
  ];
  await enforce("functions", { validations });
  assert.equal((await create("functions", "good", { data: { n: "4", list: "a,b" } })).status, 201);
  assert.equal((await create("functions", "bad", { data: { n: "4", list: "a,B" } })).status, 422);
});

test("a policy with optional fields is stored with a warning, because it is valid in Kubernetes", async () => {
  const answer = await server.call("POST", `${admission}/validatingadmissionpolicies`, {
    metadata: { name: "optional" },
    spec: {
      failurePolicy: "Ignore",
      matchConstraints: { resourceRules: [configMaps] },
      validations: [{ expression: "object.?data.?n.orValue('') == ''" }],
    },
  });
  assert.equal(answer.status, 201, answer.text);
  assert.match(
    String(answer.headers["warning"]),
    /validations\[0\]\.expression: this cluster cannot evaluate optional/,
  );
});

test("a policy or a webhook with an expression that cannot be compiled is refused, and its field is named", async () => {
  const spec = { matchConstraints: { resourceRules: [configMaps] }, validations: [{ expression: "object.data. == " }] };
  const policy = await server.call("POST", `${admission}/validatingadmissionpolicies`, {
    metadata: { name: "broken" },
    spec,
  });
  assert.deepEqual([policy.status, policy.body.details.causes[0].field], [422, "spec.validations[0].expression"]);
  const webhook = {
    name: "a.example.com",
    clientConfig: { url: "https://127.0.0.1:1/" },
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
    matchConditions: [{ name: "odd", expression: "1 +" }],
  };
  const configuration = await server.call("POST", `${admission}/validatingwebhookconfigurations`, {
    metadata: { name: "broken" },
    webhooks: [webhook],
  });
  assert.equal(configuration.status, 422);
  assert.equal(configuration.body.details.causes[0].field, "webhooks[0].matchConditions[0].expression");
});

test("the server warns that it does not apply a MutatingAdmissionPolicy", async () => {
  const path = `${admission}/mutatingadmissionpolicies`;
  const made = await server.call("POST", path, { metadata: { name: "idle" }, spec: {} });
  assert.match(String(made.headers["warning"]), /does not apply them/);
  assert.equal((await server.call("GET", path)).headers["warning"], undefined);
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
});

const limited = {
  paramKind: { apiVersion: "v1", kind: "ConfigMap" },
  matchConstraints: {
    excludeResourceRules: [{ ...configMaps, resourceNames: ["limit", "limit-a", "limit-b", "limit-c"] }],
  },
  validations: [
    {
      expression: "params == null || int(object.data.size) <= int(params.data.max)",
      messageExpression: "'above ' + params.data.max + ' of ' + params.metadata.name",
    },
  ],
};

test("a policy's parameters come from its binding, by name or labels, of the request's namespace or another", async () => {
  const sized = async (namespace: string, size: number): Promise<unknown> => {
    const { status, body } = await create(namespace, `size-${size}`, { data: { size: String(size) } });
    return status === 201 ? 201 : body.message.replace(/^.* denied request: /, "");
  };
  const limit = (namespace: string, name: string, max: number, labels: Json = {}) =>
    create(namespace, name, { data: { max: String(max) }, labels });
  const missing = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";

  await enforce("by-name", limited, { paramRef: { name: "limit", parameterNotFoundAction: "Deny" } });
  assert.equal(await sized("by-name", 1), missing);
  await limit("by-name", "limit", 3);
  assert.deepEqual([await sized("by-name", 3), await sized("by-name", 4)], [201, "above 3 of limit"]);

  const selector = { matchLabels: { is: "limit" } };
  await enforce("by-label", limited, { paramRef: { selector, parameterNotFoundAction: "Allow" } });
  assert.equal(await sized("by-label", 100), 201, "none found");
  await limit("by-label", "limit-a", 9, { is: "limit" });
  await limit("by-label", "limit-b", 5, { is: "limit" });
  await limit("by-label", "limit-c", 1);
  assert.deepEqual([await sized("by-label", 5), await sized("by-label", 7)], [201, "above 5 of limit-b"]);

  const elsewhere = { name: "limit", namespace: "by-name", parameterNotFoundAction: "Deny" };
  await enforce("elsewhere", limited, { paramRef: elsewhere });
  assert.equal(await sized("elsewhere", 4), "above 3 of limit");

  await enforce("without-reference", limited);
  assert.equal(await sized("without-reference", 1000), 201);
});

test("a misconfigured binding refuses as the failure policy says, even if it only warns", async () => {
  const paramRef = { name: "limit", namespace: "default", parameterNotFoundAction: "Deny" };
  const refused = async (name: string, paramKind: Json, fields: Json = {}): Promise<string> => {
    await enforce(name, { ...limited, paramKind, ...fields }, { paramRef, validationActions: ["Warn"] });
    const { status, body } = await create(name, "one", { data: { size: "1" } });
    return `${status} ${body.message ?? ""}`.replace(/ configmaps.* denied request: failed to configure binding:/, "");
  };
  assert.equal(
    await refused("cluster-wide", { apiVersion: "v1", kind: "Namespace" }),
    "422 paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
  );
  const unknown = { apiVersion: "example.com/v1", kind: "Limit" };
  assert.equal(await refused("unknown", unknown), "422 paramKind kind `example.com/v1, Kind=Limit` not known");
  assert.equal(await refused("unknown-ignored", unknown, { failurePolicy: "Ignore" }), "201 ");
});

test("the author of a policy or a binding must be allowed to read the parameters", async () => {
  const rules = [
    {
      apiGroups: ["admissionregistration.k8s.io"],
      resources: ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
      verbs: ["create"],
    },
    { apiGroups: [""], resources: ["configmaps"], verbs: ["get"] },
  ];
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  await server.call("POST", `${rbac}/clusterroles`, { metadata: { name: "policies" }, rules });
  await server.call("POST", `${rbac}/clusterrolebindings`, {
    metadata: { name: "policies" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "policies" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "peter" }],
  });
  const headers = { "impersonate-user": "peter" };
  const write = async (plural: string, name: string, spec: Json): Promise<string> => {
    const body = { metadata: { name }, spec };
    const answer = await server.call("POST", `${admission}/${plural}`, body, { headers });
    return `${answer.status} ${answer.body.message ?? ""}`;
  };
  const policy = async (name: string, kind: string): Promise<string> =>
    await write("validatingadmissionpolicies", name, {
      ...limited,
      paramKind: { apiVersion: "v1", kind },
      matchConstraints: { resourceRules: [{ ...configMaps, resourceNames: ["none"] }] },
    });
  assert.equal(await policy("peters", "ConfigMap"), "201 ");
  assert.equal(
    await policy("peters-secrets", "Secret"),
    '422 ValidatingAdmissionPolicy.admissionregistration.k8s.io "peters-secrets" is invalid: spec.paramKind: Forbidden: user "peter" must have "get" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)',
  );
  const paramRef = { name: "limit", namespace: "default", parameterNotFoundAction: "Deny" };
  const binding = async (name: string, policyName: string): Promise<string> =>
    await write("validatingadmissionpolicybindings", name, { policyName, validationActions: ["Deny"], paramRef });
  assert.equal(await binding("peters", "peters"), "201 ");
  assert.match(
    await binding("unknown", "not-yet"),
    /^422 .*spec\.paramRef: Forbidden: user "peter" does not have "get" permission on the object referenced by paramRef$/,
  );
});
