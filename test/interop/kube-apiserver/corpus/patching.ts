// Patches of all four kinds, and server-side apply with its owners.
import { get, patch, post, type Exchange } from "../exchange.ts";
import { apps, configMap, core, deployment, service } from "./places.ts";

const map = core("configmaps/patched");
const workload = apps("deployments/patched");
const applied = core("configmaps/applied");
const appliedWorkload = apps("deployments/applied");
const container = (name: string, more: object = {}): object => ({ name, image: `registry.example/${name}:1`, ...more });
const asYaml = (value: unknown): string => JSON.stringify(value);
const by = (manager: string, more = ""): string => `?fieldManager=${manager}${more}`;

export const patching: readonly Exchange[] = [
  post("a map to patch", core("configmaps"), configMap("patched", { a: "1", b: "2" }, { labels: { x: "y" } })),
  post(
    "a deployment to patch",
    apps("deployments"),
    deployment("patched", {
      template: {
        metadata: { labels: { app: "patched" } },
        spec: {
          containers: [
            container("one", {
              ports: [{ containerPort: 80 }],
              env: [
                { name: "A", value: "1" },
                { name: "B", value: "2" },
              ],
              args: ["a", "b"],
            }),
            container("two"),
          ],
          tolerations: [{ key: "a", operator: "Exists" }],
          volumes: [{ name: "v", emptyDir: {} }],
        },
      },
    }),
  ),

  patch("json", "JSON patch: each operation", map, [
    { op: "test", path: "/data/a", value: "1" },
    { op: "add", path: "/data/c", value: "3" },
    { op: "replace", path: "/data/a", value: "9" },
    { op: "remove", path: "/data/b" },
    { op: "copy", from: "/data/a", path: "/data/d" },
    { op: "move", from: "/data/d", path: "/data/e" },
  ]),
  patch("json", "JSON patch: a test that fails", map, [{ op: "test", path: "/data/a", value: "0" }]),
  patch("json", "JSON patch: a test of what is absent", map, [{ op: "test", path: "/data/zzz", value: "0" }]),
  patch("json", "JSON patch: a test of null where nothing is", map, [{ op: "test", path: "/data/zzz", value: null }]),
  patch("json", "JSON patch: a removal of what is absent", map, [{ op: "remove", path: "/data/zzz" }]),
  patch("json", "JSON patch: a replacement of what is absent", map, [{ op: "replace", path: "/data/zzz", value: "a" }]),
  patch("json", "JSON patch: an addition below nothing", map, [
    { op: "add", path: "/metadata/annotations/a", value: "b" },
  ]),
  patch("json", "JSON patch: an escaped path", map, [
    { op: "add", path: "/metadata/labels/example.com~1tilde", value: "b" },
  ]),
  patch("json", "JSON patch: an unknown operation", map, [{ op: "toggle", path: "/data/a" }]),
  patch("json", "JSON patch: no list", map, { op: "add" }),
  patch("json", "JSON patch: no path", map, [{ op: "add", value: "a" }]),
  patch("json", "JSON patch: no value", map, [{ op: "add", path: "/data/f" }]),
  patch("json", "JSON patch: a move from what is absent", map, [{ op: "move", from: "/data/zzz", path: "/data/f" }]),
  patch("json", "JSON patch: a list's end, first and place", workload, [
    { op: "add", path: "/spec/template/spec/containers/0/args/-", value: "c" },
    { op: "add", path: "/spec/template/spec/containers/0/args/0", value: "0" },
    { op: "remove", path: "/spec/template/spec/containers/0/args/1" },
  ]),
  patch("json", "JSON patch: behind a list's end", workload, [
    { op: "add", path: "/spec/template/spec/containers/9", value: container("x") },
  ]),
  patch("json", "JSON patch: a negative place", workload, [
    { op: "remove", path: "/spec/template/spec/containers/-1" },
  ]),
  patch("json", "JSON patch: the name", map, [{ op: "replace", path: "/metadata/name", value: "other" }]),
  patch("json", "JSON patch: to an invalid object", workload, [{ op: "replace", path: "/spec/replicas", value: -3 }]),
  patch("json", "JSON patch: a wrong type", workload, [{ op: "replace", path: "/spec/replicas", value: "x" }]),
  patch("json", "JSON patch: an unknown field, refused", `${workload}?fieldValidation=Strict`, [
    { op: "add", path: "/spec/unknown", value: 1 },
  ]),
  patch("json", "JSON patch: an older version", map, [
    { op: "replace", path: "/metadata/resourceVersion", value: "1" },
  ]),
  patch("json", "JSON patch: nothing", map, []),

  patch("merge", "merge patch: set and remove", map, { data: { a: null, g: "7" }, metadata: { labels: { x: null } } }),
  patch("merge", "merge patch: a list as a whole", workload, {
    spec: { template: { spec: { containers: [container("one")] } } },
  }),
  patch("merge", "merge patch: nothing", map, {}),
  patch("merge", "merge patch: an older version", map, { metadata: { resourceVersion: "1" }, data: { z: "1" } }),
  patch("merge", "merge patch: no object", map, "[]"),
  patch("merge", "merge patch: no JSON", map, "{"),
  patch("merge", "merge patch: a field taken by null", workload, {
    spec: { template: { spec: { tolerations: null, terminationGracePeriodSeconds: null } } },
  }),
  patch("merge", "merge patch: an unknown field, warned of", map, { extra: { a: 1 } }),
  patch("merge", "merge patch: of what is not there", core("configmaps/none"), { data: {} }),
  patch("merge", "merge patch: a dry run", `${map}?dryRun=All`, { data: { dry: "yes" } }),
  patch("merge", "merge patch: the name", map, { metadata: { name: "other" } }),
  patch("merge", "merge patch: another kind", map, { kind: "Secret" }),

  patch("strategic", "strategic patch: a container by name", workload, {
    spec: {
      template: { spec: { containers: [{ name: "one", image: "registry.example/one:2" }, container("three")] } },
    },
  }),
  patch("strategic", "strategic patch: env by name, ports by number", workload, {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: "one",
              env: [
                { name: "B", value: "changed" },
                { name: "C", value: "3" },
              ],
              ports: [{ containerPort: 81 }],
            },
          ],
        },
      },
    },
  }),
  patch("strategic", "strategic patch: an item taken out", workload, {
    spec: { template: { spec: { containers: [{ name: "three", $patch: "delete" }] } } },
  }),
  patch("strategic", "strategic patch: a list replaced", workload, {
    spec: { template: { spec: { containers: [{ $patch: "replace" }, container("only")] } } },
  }),
  patch("strategic", "strategic patch: an order", workload, {
    spec: {
      template: {
        spec: {
          containers: [container("before"), container("only")],
          "$setElementOrder/containers": [{ name: "before" }, { name: "only" }],
        },
      },
    },
  }),
  patch("strategic", "strategic patch: an object replaced", workload, {
    spec: { strategy: { $patch: "replace", type: "Recreate" } },
  }),
  patch("strategic", "strategic patch: keys kept", workload, {
    spec: {
      strategy: { $retainKeys: ["type", "rollingUpdate"], type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } },
    },
  }),
  patch("strategic", "strategic patch: a plain list", workload, {
    spec: { template: { spec: { tolerations: [{ key: "b", operator: "Exists" }] } } },
  }),
  patch("strategic", "strategic patch: a primitive list", workload, {
    metadata: { finalizers: ["example.com/a", "example.com/b"] },
  }),
  patch("strategic", "strategic patch: from a primitive list", workload, {
    metadata: { "$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b"] },
  }),
  patch("strategic", "strategic patch: an item without its key", workload, {
    spec: { template: { spec: { containers: [{ image: "x" }] } } },
  }),
  patch("strategic", "strategic patch: an unknown directive", workload, {
    spec: { template: { spec: { containers: [{ name: "only", $patch: "explode" }] } } },
  }),
  patch("strategic", "strategic patch: null", workload, {
    metadata: { labels: { app: null } },
    spec: { revisionHistoryLimit: null },
  }),
  patch("strategic", "strategic patch: a wrong type", workload, { spec: { replicas: "x" } }),
  patch("strategic", "strategic patch: a volume's kind", workload, {
    spec: { template: { spec: { volumes: [{ name: "v", emptyDir: null, configMap: { name: "plain" } }] } } },
  }),
  patch("strategic", "strategic patch: a status", `${workload}/status`, {
    status: { conditions: [{ type: "Progressing", status: "True" }], replicas: 1 },
  }),
  patch("strategic", "strategic patch: a status' condition by type", `${workload}/status`, {
    status: { conditions: [{ type: "Available", status: "False" }] },
  }),
  patch("strategic", "strategic patch: a service's ports", core("services/web"), {
    spec: {
      ports: [
        { port: 81, name: "more" },
        { port: 80, name: "http" },
      ],
    },
  }),

  patch("apply", "apply: creates", `${applied}${by("one")}`, asYaml(configMap("applied", { a: "1", b: "1" }))),
  patch("apply", "apply: the same again", `${applied}${by("one")}`, asYaml(configMap("applied", { a: "1", b: "1" }))),
  patch(
    "apply",
    "apply: YAML",
    `${applied}${by("one")}`,
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  a: '1'\n  b: '2'\n",
  ),
  patch(
    "apply",
    "apply: another's field, the same value",
    `${applied}${by("two")}`,
    asYaml(configMap("applied", { a: "1" })),
  ),
  patch("apply", "apply: a conflict", `${applied}${by("two")}`, asYaml(configMap("applied", { a: "2", b: "3" }))),
  patch(
    "apply",
    "apply: by force",
    `${applied}${by("two", "&force=true")}`,
    asYaml(configMap("applied", { a: "2", b: "3" })),
  ),
  patch("apply", "apply: what is left out goes", `${applied}${by("two")}`, asYaml(configMap("applied", { a: "2" }))),
  patch("apply", "apply: a conflict with an update", `${map}${by("one")}`, asYaml(configMap("patched", { g: "8" }))),
  patch("apply", "apply: no manager", applied, asYaml(configMap("applied"))),
  patch("apply", "apply: no kind", `${applied}${by("one")}`, asYaml({ metadata: { name: "applied" } })),
  patch(
    "apply",
    "apply: another version",
    `${applied}${by("one")}`,
    asYaml({ apiVersion: "v2", kind: "ConfigMap", metadata: { name: "applied" } }),
  ),
  patch("apply", "apply: another name", `${applied}${by("one")}`, asYaml(configMap("other"))),
  patch(
    "apply",
    "apply: another namespace",
    `${applied}${by("one")}`,
    asYaml(configMap("applied", {}, { namespace: "other" })),
  ),
  patch(
    "apply",
    "apply: managed fields",
    `${applied}${by("one")}`,
    asYaml(configMap("applied", {}, { managedFields: [{ manager: "x" }] })),
  ),
  patch("apply", "apply: an unknown field", `${applied}${by("one")}`, asYaml({ ...configMap("applied"), extra: 1 })),
  patch(
    "apply",
    "apply: an unknown field, refused",
    `${applied}${by("one", "&fieldValidation=Strict")}`,
    asYaml({ ...configMap("applied"), extra: 1 }),
  ),
  patch(
    "apply",
    "apply: a wrong type",
    `${appliedWorkload}${by("one")}`,
    asYaml({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "applied" }, spec: { replicas: "x" } }),
  ),
  patch("apply", "apply: no YAML", `${applied}${by("one")}`, "a: [b"),
  patch(
    "apply",
    "apply: a uid where nothing is",
    `${core("configmaps/uid")}${by("one")}`,
    asYaml(configMap("uid", {}, { uid: "00000000-0000-0000-0000-000000000000" })),
  ),
  patch(
    "apply",
    "apply: a dry run",
    `${core("configmaps/dry-applied")}${by("one", "&dryRun=All")}`,
    asYaml(configMap("dry-applied", { a: "1" })),
  ),
  patch(
    "apply",
    "apply: an invalid object",
    `${appliedWorkload}${by("one")}`,
    asYaml({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "applied" }, spec: { replicas: 1 } }),
  ),
  patch(
    "apply",
    "apply: a deployment",
    `${appliedWorkload}${by("one")}`,
    asYaml(
      deployment(
        "applied",
        {},
        {
          ports: [{ containerPort: 80, name: "http" }],
          env: [{ name: "A", value: "1" }],
          resources: { requests: { cpu: "0.5" } },
        },
      ),
    ),
  ),
  patch(
    "apply",
    "apply: a further container by another",
    `${appliedWorkload}${by("two")}`,
    asYaml({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "applied" },
      spec: {
        template: { spec: { containers: [container("side", { ports: [{ containerPort: 81, protocol: "UDP" }] })] } },
      },
    }),
  ),
  patch(
    "apply",
    "apply: a list item's field in conflict",
    `${appliedWorkload}${by("two")}`,
    asYaml({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "applied" },
      spec: {
        replicas: 3,
        template: { spec: { containers: [{ name: "main", image: "registry.example/main:2" }, container("side")] } },
      },
    }),
  ),
  patch(
    "apply",
    "apply: an item taken out",
    `${appliedWorkload}${by("one")}`,
    asYaml(deployment("applied", {}, { env: [] })),
  ),
  patch(
    "apply",
    "apply: an item twice",
    `${appliedWorkload}${by("one")}`,
    asYaml(
      deployment(
        "applied",
        {},
        {
          env: [
            { name: "A", value: "1" },
            { name: "A", value: "2" },
          ],
        },
      ),
    ),
  ),
  patch("merge", "an update beside applies", `${appliedWorkload}?fieldManager=three`, { spec: { replicas: 5 } }),
  patch(
    "apply",
    "apply: a conflict with that update",
    `${appliedWorkload}${by("one")}`,
    asYaml(deployment("applied", { replicas: 2 })),
  ),
  patch(
    "apply",
    "apply: a status",
    `${appliedWorkload}/status${by("status")}`,
    asYaml({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "applied" },
      status: { replicas: 3, conditions: [{ type: "Available", status: "True" }] },
    }),
  ),
  patch(
    "apply",
    "apply: a scale",
    `${appliedWorkload}/scale${by("scaler", "&force=true")}`,
    asYaml({ apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "applied" }, spec: { replicas: 6 } }),
  ),
  patch(
    "apply",
    "apply: the status of what is not there",
    `${apps("deployments/none/status")}${by("status")}`,
    asYaml({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "none" }, status: { replicas: 3 } }),
  ),
  patch(
    "apply",
    "apply: a service",
    `${core("services/applied")}${by("one")}`,
    asYaml(
      service("applied", {
        selector: { app: "a" },
        ports: [
          { port: 80, name: "a" },
          { port: 81, name: "b" },
        ],
      }),
    ),
  ),
  patch(
    "apply",
    "apply: a service's port by another",
    `${core("services/applied")}${by("two")}`,
    asYaml(service("applied", { ports: [{ port: 80, name: "other" }] })),
  ),
  get("the applied deployment", appliedWorkload),
  patch("merge", "managed fields reset", appliedWorkload, { metadata: { managedFields: [{}] } }),
  patch(
    "apply",
    "apply: to what nobody manages",
    `${appliedWorkload}${by("one")}`,
    asYaml(deployment("applied", { replicas: 2 })),
  ),
  { title: "a patch of no kind", method: "PATCH", path: map, body: {}, contentType: "application/json" },
];
