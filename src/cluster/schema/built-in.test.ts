import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { SchemaFault, type ResourceType } from "./contract.ts";
import { humanDuration } from "./human-duration.ts";
import { createSchemaRegistry } from "./registry.ts";

const registry = createSchemaRegistry();

function typeOf(object: { apiVersion: string; kind: string }): ResourceType {
  const [group, version] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["", object.apiVersion];
  const type = registry.resourceOfKind(group ?? "", version ?? "", object.kind);
  assert.ok(type !== undefined);
  return type;
}

/** Prepares an object like the API server: drops unknown fields and sets defaults. */
function prepared<Value extends { apiVersion: string; kind: string }>(object: Value): UntypedObject {
  const copy = structuredClone(object) as unknown as UntypedObject;
  registry.dropUnknownFields(typeOf(object), copy);
  registry.applyDefaults(typeOf(object), copy);
  return copy;
}

interface Typed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: object;
}

function errorsOf(object: Typed, old?: Typed): string[] {
  const errors = registry.validate(typeOf(object), prepared(object), old === undefined ? undefined : prepared(old));
  return errors.map(({ field, message }) => `${field}: ${message}`);
}

const metadata = { name: "web", namespace: "default" };
const pod = (spec: object = {}, container: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata,
  spec: { containers: [{ name: "c", image: "nginx", ...container }], ...spec },
});
const deployment = (spec: object = {}) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata,
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "nginx:1" }] } },
    ...spec,
  },
});
const service = (spec: object) => ({ apiVersion: "v1", kind: "Service", metadata, spec });

test("a Pod gets the defaults of a real server, including securityContext", () => {
  const { spec, status } = prepared(
    pod(
      { volumes: [{ name: "v" }, { name: "w", configMap: { name: "x" } }] },
      { livenessProbe: { httpGet: { port: 80 } }, ports: [{ containerPort: 80 }] },
    ),
  );
  assert.deepEqual(spec, {
    containers: [
      {
        name: "c",
        image: "nginx",
        imagePullPolicy: "Always",
        livenessProbe: {
          failureThreshold: 3,
          httpGet: { path: "/", port: 80, scheme: "HTTP" },
          periodSeconds: 10,
          successThreshold: 1,
          timeoutSeconds: 1,
        },
        ports: [{ containerPort: 80, protocol: "TCP" }],
        resources: {},
        terminationMessagePath: "/dev/termination-log",
        terminationMessagePolicy: "File",
      },
    ],
    dnsPolicy: "ClusterFirst",
    enableServiceLinks: true,
    restartPolicy: "Always",
    schedulerName: "default-scheduler",
    securityContext: {},
    terminationGracePeriodSeconds: 30,
    volumes: [
      { emptyDir: {}, name: "v" },
      { configMap: { defaultMode: 420, name: "x" }, name: "w" },
    ],
  });
  assert.deepEqual(status, {});
});

test("a Deployment and a Service get their defaults, and defaulting twice changes nothing", () => {
  const spec = prepared(deployment()).spec as Record<string, unknown>;
  assert.deepEqual(spec.strategy, { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } });
  assert.deepEqual([spec.replicas, spec.revisionHistoryLimit, spec.progressDeadlineSeconds], [1, 10, 600]);
  const balanced = prepared(service({ type: "LoadBalancer", ports: [{ port: 80 }] }));
  assert.deepEqual(balanced.spec, {
    allocateLoadBalancerNodePorts: true,
    externalTrafficPolicy: "Cluster",
    internalTrafficPolicy: "Cluster",
    ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
    sessionAffinity: "None",
    type: "LoadBalancer",
  });
  assert.deepEqual(prepared(balanced as never), balanced);
});

test("quantities and times are canonicalized, numbers become quantities, and nulls are removed", () => {
  const { spec } = prepared(
    pod({ nodeName: null }, { resources: { limits: { cpu: 0.5, memory: "1024Mi" }, requests: { cpu: "100m" } } }),
  );
  const [container] = (spec as { containers: { resources: unknown }[] }).containers;
  assert.deepEqual(container?.resources, {
    limits: { cpu: "500m", memory: "1Gi" },
    requests: { cpu: "100m", memory: "1Gi" },
  });
  assert.equal("nodeName" in (spec as object), false);
});

test("unknown fields are named with their paths, and values of a wrong type give 400 in Go's words", () => {
  const object = structuredClone(pod({ nodeNam: "x" }, { imagee: 1 })) as unknown as UntypedObject;
  assert.deepEqual(registry.dropUnknownFields(typeOf(pod()), object), ["spec.containers[0].imagee", "spec.nodeNam"]);
  const wrong = structuredClone(deployment({ replicas: "two" })) as unknown as UntypedObject;
  assert.throws(
    () => registry.dropUnknownFields(typeOf(deployment()), wrong),
    (error: unknown) =>
      error instanceof SchemaFault &&
      error.status === 400 &&
      error.message.includes(
        "json: cannot unmarshal string into Go struct field Deployment.spec.replicas of type int32",
      ),
  );
});

test("common user mistakes are refused in the server's words", () => {
  assert.deepEqual(errorsOf(pod()), []);
  assert.match(
    errorsOf({ ...pod(), metadata: { ...metadata, name: "Bad_Name" } })[0] ?? "",
    /^metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of/,
  );
  assert.deepEqual(errorsOf(pod({ containers: [] })), ["spec.containers: Required value"]);
  assert.match(
    errorsOf(pod({}, { name: "Upper" }))[0] ?? "",
    /^spec\.containers\[0\]\.name: Invalid value: "Upper": a lowercase RFC 1123 label/,
  );
  assert.deepEqual(errorsOf(pod({}, { volumeMounts: [{ name: "v", mountPath: "/x" }] })), [
    'spec.containers[0].volumeMounts[0].name: Not found: "v"',
  ]);
  assert.deepEqual(errorsOf(pod({}, { ports: [{ containerPort: 70000 }] })), [
    "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
  ]);
  assert.deepEqual(errorsOf(pod({}, { resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } })), [
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
  ]);
  assert.deepEqual(errorsOf(deployment({ selector: { matchLabels: { app: "other" } } })), [
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
  ]);
  assert.deepEqual(errorsOf(service({ ports: [{ port: 80 }, { port: 81 }] })), [
    "spec.ports[0].name: Required value",
    "spec.ports[1].name: Required value",
  ]);
  assert.deepEqual(errorsOf({ ...service({ ports: [{ port: 80 }] }), metadata: { ...metadata, name: "1web" } }), []);
  for (const timeoutSeconds of [-5, 0, 86_401]) {
    const affine = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
    assert.deepEqual(errorsOf(service({ ports: [{ port: 80 }], ...affine })), [
      `spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: ${timeoutSeconds}: must be greater than 0 and less than 86400`,
    ]);
  }
});

test("immutable fields cannot change", () => {
  const changed = deployment({
    selector: { matchLabels: { a: "b" } },
    template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "x" }] } },
  });
  assert.deepEqual(errorsOf(changed, deployment()), [
    'spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable',
  ]);
  assert.deepEqual(errorsOf(pod({}, { image: "other" }), pod()), []);
  assert.match(
    errorsOf(pod({ hostNetwork: true }), pod())[0] ?? "",
    /^spec: Forbidden: pod updates may not change fields other than/,
  );
  const old = service({ clusterIP: "10.96.0.5", ports: [{ port: 80 }] });
  assert.deepEqual(errorsOf(service({ clusterIP: "10.96.0.6", ports: [{ port: 80 }] }), old), [
    'spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set',
  ]);
});

test("autoscalers and events convert between their versions and back", () => {
  const v1 = {
    apiVersion: "autoscaling/v1",
    kind: "HorizontalPodAutoscaler",
    metadata,
    spec: {
      scaleTargetRef: { kind: "Deployment", name: "web" },
      maxReplicas: 3,
      minReplicas: 1,
      targetCPUUtilizationPercentage: 70,
    },
    status: { currentReplicas: 0 },
  };
  const v2 = registry.convert(v1, typeOf({ ...v1, apiVersion: "autoscaling/v2" }));
  assert.deepEqual((v2.spec as { metrics: unknown }).metrics, [
    { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 70 } } },
  ]);
  assert.deepEqual(registry.convert(v2, typeOf(v1)), v1);
  const event = { apiVersion: "v1", kind: "Event", metadata, involvedObject: { kind: "Pod", name: "p" }, message: "m" };
  const other = registry.convert(event, typeOf({ apiVersion: "events.k8s.io/v1", kind: "Event" }));
  assert.deepEqual([other.regarding, other.note], [{ kind: "Pod", name: "p" }, "m"]);
  assert.deepEqual(registry.convert(other, typeOf(event)), event);
});

/**
 * The columns of kube-apiserver's tables: the name, then `:type` if the type is not string, and `*` for columns of `-o
 * wide`.
 */
const columns: Readonly<Record<string, string>> = {
  "/v1/pods": "Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*",
  "/v1/nodes": "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*",
  "/v1/services": "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*",
  "/v1/events": "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*",
  "/v1/secrets": "Name|Type|Data|Age",
  "apps/v1/deployments": "Name|Ready|Up-to-date|Available|Age|Containers*|Images*|Selector*",
  "apps/v1/daemonsets":
    "Name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age|Containers*|Images*|Selector*",
  "batch/v1/cronjobs":
    "Name|Schedule|Timezone|Suspend:boolean|Active:integer|Last Schedule|Age|Containers*|Images*|Selector*",
  "rbac.authorization.k8s.io/v1/clusterroles": "Name|Created At:date",
  "discovery.k8s.io/v1/endpointslices": "Name|AddressType|Ports|Endpoints|Age",
  "scheduling.k8s.io/v1/priorityclasses": "Name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy",
};

test("tables have a real server's columns", () => {
  for (const [path, expected] of Object.entries(columns)) {
    const [group = "", version = "", plural = ""] = path.split("/");
    const type = registry.resource(group, version, plural);
    assert.ok(type !== undefined, path);
    const text = registry
      .tableColumns(type)
      .map(
        ({ name, type: kind, priority }) => `${name}${kind === "string" ? "" : `:${kind}`}${priority === 1 ? "*" : ""}`,
      )
      .join("|");
    assert.equal(text, expected, path);
  }
});

test("every listable kind has as many cells as columns", () => {
  for (const type of registry.resources().filter(({ verbs }) => verbs.includes("list"))) {
    const cells = registry.tableCells(type, { metadata: { name: "x" } }, 0);
    assert.equal(cells.length, registry.tableColumns(type).length, `${type.group}/${type.plural}`);
  }
});

test("a pod's status column summarizes its containers", () => {
  const now = Date.parse("2026-01-01T01:00:00Z");
  const status = (state: object, extra: object = {}) => ({
    phase: "Running",
    containerStatuses: [
      {
        name: "c",
        ready: false,
        restartCount: 2,
        state,
        lastState: { terminated: { finishedAt: "2026-01-01T00:59:00Z" } },
      },
    ],
    ...extra,
  });
  const cells = (object: object, meta: object = {}): unknown[] =>
    registry
      .tableCells(
        typeOf(pod()),
        { ...pod(), metadata: { ...metadata, creationTimestamp: "2026-01-01T00:00:00Z", ...meta }, status: object },
        now,
      )
      .slice(1, 5);
  assert.deepEqual(cells(status({ waiting: { reason: "CrashLoopBackOff" } })), [
    "0/1",
    "CrashLoopBackOff",
    "2 (60s ago)",
    "60m",
  ]);
  assert.deepEqual(cells(status({ terminated: { exitCode: 137 } }))[1], "ExitCode:137");
  assert.deepEqual(cells(status({ running: {} }), { deletionTimestamp: "2026-01-01T00:59:00Z" })[1], "Terminating");
  assert.deepEqual(cells({ phase: "Pending" })[1], "Pending");
});

test("ages are formatted like kubectl's", () => {
  const ages: [number, string][] = [
    [0, "0s"],
    [119, "119s"],
    [120, "2m"],
    [200, "3m20s"],
    [600, "10m"],
    [3 * 3600, "3h"],
    [5 * 3600 + 180, "5h3m"],
    [9 * 3600 + 60, "9h"],
    [50 * 3600, "2d2h"],
    [30 * 86400, "30d"],
    [740 * 86400, "2y10d"],
    [-5, "<invalid>"],
  ];
  for (const [seconds, text] of ages) assert.equal(humanDuration(seconds * 1000), text);
});

test("a value that no client in Go could read is refused, because one such object hides all others of its kind", () => {
  const created = (creationTimestamp: string) =>
    deployment({ template: { metadata: { labels: { app: "web" }, creationTimestamp }, spec: { containers: [] } } });
  const secretOf = (value: string) => ({ apiVersion: "v1", kind: "Secret", metadata, data: { a: value } });
  const refused: readonly (readonly [Parameters<typeof prepared>[0], RegExp])[] = [
    [deployment({ replicas: 2 ** 31 }), /number 2147483648 into .*\.replicas of type int32/],
    [deployment({ strategy: { rollingUpdate: { maxSurge: 3e9 } } }), /number 3000000000 into .*maxSurge of type int32/],
    [pod({ terminationGracePeriodSeconds: 1e300 }), /number 1e\+300 into .* of type int64/],
    [pod({ terminationGracePeriodSeconds: -(2 ** 63) }), /of type int64/],
    [created("2026-13-01T00:00:00Z"), /cannot parse/],
    [created("2026-02-30T00:00:00Z"), /cannot parse/],
    [created("2026-01-01T24:00:00Z"), /cannot parse/],
    [created("2026-02-30T00:00:00+01:00"), /cannot parse/],
    [created("9999-12-31T23:59:59-01:00"), /cannot parse/],
    [secretOf("AA==AAAA"), /illegal base64 data at input byte 4/],
    [secretOf("=AAA"), /illegal base64 data/],
    [secretOf("A==="), /illegal base64 data/],
  ];
  for (const [object, message] of refused)
    assert.throws(() => prepared(object), { name: SchemaFault.name, status: 400, message }, String(message));
  const largest = prepared(pod({ terminationGracePeriodSeconds: 2 ** 53 }));
  assert.equal((largest["spec"] as Record<string, unknown>)["terminationGracePeriodSeconds"], 2 ** 53);
  assert.deepEqual(prepared(secretOf("AAA=\r\n"))["data"], { a: "AAA=" });
  const { spec } = prepared(created("2024-02-29T23:30:00.5+01:00")) as UntypedObject & {
    spec: { template: { metadata: { creationTimestamp: string } } };
  };
  assert.equal(spec.template.metadata.creationTimestamp, "2024-02-29T22:30:00Z");
});

test("the path of a file in a volume must stay in the volume", () => {
  const token = (path: string) => ({ projected: { sources: [{ serviceAccountToken: { path } }] } });
  const items = (path: string) => [{ key: "a", path }];
  const sources: readonly (readonly [source: object, error: string])[] = [
    [token("../../ca.crt"), 'projected.path: Invalid value: "../../ca.crt": must not c'],
    [token("a/../../b"), 'projected.path: Invalid value: "a/../../b": must not contain'],
    [token("/etc/passwd"), 'projected.path: Invalid value: "/etc/passwd": must be a rel'],
    [token(""), "projected.path: Required value"],
    [
      { configMap: { name: "x", items: items("..data") } },
      'configMap.items[0].path: Invalid value: "..data": must not',
    ],
    [{ secret: { secretName: "x", items: items("../x") } }, 'secret.items[0].path: Invalid value: "../x": must not'],
    [
      { projected: { sources: [{ secret: { name: "x", items: items("../x") } }] } },
      "projected.sources[0].secret.items[0]",
    ],
  ];
  for (const [source, error] of sources) {
    const errors = errorsOf(pod({ volumes: [{ name: "v", ...source }] }));
    assert.equal(errors.length, 1, errors.join("\n"));
    assert.ok(errors[0]?.startsWith(`spec.volumes[0].${error}`), errors[0]);
  }
  assert.deepEqual(errorsOf(pod({ volumes: [{ name: "v", ...token("tokens/a..b") }] })), []);
});
