// Creating, replacing and deleting: identity, versions, dry runs, finalizers, grace periods, subresources, and refused
// requests.
import { get, patch, post, put, remove, type Exchange } from "../exchange.ts";
import { apps, configMap, core, deployment, namespace, pod, service } from "./places.ts";

const maps = core("configmaps");
const gone = { kind: "DeleteOptions", apiVersion: "v1" };

export const writing: readonly Exchange[] = [
  post("the same again", maps, configMap("plain")),
  post("a generated name", maps, { apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "made-" } }),
  post("no name", maps, { apiVersion: "v1", kind: "ConfigMap", metadata: {} }),
  post("no metadata", maps, { apiVersion: "v1", kind: "ConfigMap" }),
  post("a bad name", maps, configMap("Bad_Name")),
  post("another namespace", maps, configMap("elsewhere", {}, { namespace: "other" })),
  post("a namespace that is not there", core("configmaps", "nowhere"), configMap("a")),
  post("another kind", maps, { apiVersion: "v1", kind: "Secret", metadata: { name: "a" } }),
  post("another version", maps, { apiVersion: "v2", kind: "ConfigMap", metadata: { name: "a" } }),
  post("no kind", maps, { metadata: { name: "kindless" }, data: { a: "b" } }),
  post("an unknown kind", maps, { apiVersion: "v1", kind: "Nothing", metadata: { name: "a" } }),
  post("no JSON", maps, "{"),
  post("no object", maps, "[]"),
  post("nothing", maps, ""),
  post("another content type", maps, "a", { contentType: "text/plain" }),
  post("YAML", maps, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {a: b}\n", {
    contentType: "application/yaml",
  }),
  post("a number as text", maps, configMap("wrong", { a: 1 })),
  post("a text as number", apps("deployments"), deployment("wrong", { replicas: "three" })),
  post("a list as object", apps("deployments"), deployment("wrong", { template: [] })),
  post("an unknown field, ignored", `${maps}?fieldValidation=Ignore`, { ...configMap("unknown-ignored"), extra: 1 }),
  post("an unknown field, warned of", `${maps}?fieldValidation=Warn`, { ...configMap("unknown-warned"), extra: 1 }),
  post("an unknown field, by default", maps, { ...configMap("unknown-default"), extra: 1 }),
  post("an unknown field, refused", `${maps}?fieldValidation=Strict`, { ...configMap("unknown-refused"), extra: 1 }),
  post(
    "unknown fields in depth, refused",
    `${apps("deployments")}?fieldValidation=Strict`,
    deployment("unknown-refused", { replica: 1 }, { ports: [{ containerport: 1 }], imagepullpolicy: "Always" }),
  ),
  post(
    "a field twice, refused",
    `${maps}?fieldValidation=Strict`,
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}',
  ),
  post(
    "a field twice, warned of",
    `${maps}?fieldValidation=Warn`,
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}',
  ),
  post("a field validation that nobody knows", `${maps}?fieldValidation=Sometimes`, configMap("sometimes")),
  post("a dry run", `${maps}?dryRun=All`, configMap("dry")),
  get("a dry run leaves nothing", `${maps}/dry`),
  post("a dry run of another kind", `${maps}?dryRun=Some`, configMap("dry")),
  post("a dry run of what is there", `${maps}?dryRun=All`, configMap("plain")),
  post("a field manager", `${maps}?fieldManager=someone`, configMap("managed", { a: "1" })),
  post(
    "a field manager's name that is too long",
    `${maps}?fieldManager=${"m".repeat(130)}`,
    configMap("managed-long", { a: "1" }),
  ),
  post("a version at creation", maps, configMap("versioned", {}, { resourceVersion: "5" })),
  post(
    "server's fields at creation",
    maps,
    configMap(
      "claimed",
      {},
      {
        uid: "00000000-0000-0000-0000-000000000000",
        creationTimestamp: "2020-01-01T00:00:00Z",
        generation: 7,
        selfLink: "/x",
        deletionTimestamp: "2020-01-01T00:00:00Z",
      },
    ),
  ),
  // Each request has only one fault. Go visits a map's entries in any order, so it would not always find the same of
  // two faults first.
  post("the bad key of a label", maps, configMap("labelled", {}, { labels: { "bad key": "a" } })),
  post("the bad value of a label", maps, configMap("labelled", {}, { labels: { good: "bad value!" } })),
  post("bad annotations", maps, configMap("annotated", {}, { annotations: { "bad key": "a" } })),
  post("bad finalizers", maps, configMap("final", {}, { finalizers: ["not-qualified"] })),
  post(
    "bad owners",
    maps,
    configMap("owned", {}, { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "a", uid: "" }] }),
  ),
  post(
    "two controllers",
    maps,
    configMap(
      "owned",
      {},
      {
        ownerReferences: [
          { apiVersion: "v1", kind: "Pod", name: "a", uid: "1", controller: true },
          { apiVersion: "v1", kind: "Pod", name: "b", uid: "2", controller: true },
        ],
      },
    ),
  ),
  post("a key that is none", maps, configMap("keyed", { "a/b": "1" })),
  post("status at creation is dropped", apps("deployments"), { ...deployment("with-status"), status: { replicas: 5 } }),
  post("no selector", apps("deployments"), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "none" },
    spec: { template: { spec: { containers: [] } } },
  }),
  post(
    "a selector that misses",
    apps("deployments"),
    deployment("missed", { selector: { matchLabels: { app: "other" } } }),
  ),
  post("negative replicas", apps("deployments"), deployment("negative", { replicas: -1 })),
  post("a container without name and image", core("pods"), pod("nameless", { containers: [{}] })),
  post(
    "two containers of one name",
    core("pods"),
    pod("twins", {
      containers: [
        { name: "a", image: "b" },
        { name: "a", image: "b" },
      ],
    }),
  ),
  post(
    "a volume that is not there",
    core("pods"),
    pod("volumeless", { containers: [{ name: "a", image: "b", volumeMounts: [{ name: "v", mountPath: "/v" }] }] }),
  ),
  post(
    "bad ports",
    core("pods"),
    pod("ports", {
      containers: [
        {
          name: "a",
          image: "b",
          ports: [{ containerPort: 70_000 }, { containerPort: 1, name: "Bad Name", protocol: "ICMP" }],
        },
      ],
    }),
  ),
  post(
    "a bad quantity",
    core("pods"),
    pod("quantity", { containers: [{ name: "a", image: "b", resources: { requests: { cpu: "much" } } }] }),
  ),
  post(
    "requests above limits",
    core("pods"),
    pod("above", {
      containers: [{ name: "a", image: "b", resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } }],
    }),
  ),
  post("a bad restart policy", core("pods"), pod("policy", { restartPolicy: "Sometimes" })),
  post("a service account that is not there", core("pods"), pod("accountless", { serviceAccountName: "nobody" })),
  post("a service without ports", core("services"), service("portless", {})),
  post("a service of a bad type", core("services"), service("typed", { type: "Other", ports: [{ port: 1 }] })),
  post(
    "a service of bad ports",
    core("services"),
    service("ported", { ports: [{ port: 0 }, { port: 80, protocol: "X" }] }),
  ),
  post(
    "a service of an address that is taken",
    core("services"),
    service("taken", { clusterIP: "10.96.0.1", ports: [{ port: 1 }] }),
  ),
  post(
    "a service of an address outside",
    core("services"),
    service("outside", { clusterIP: "1.2.3.4", ports: [{ port: 1 }] }),
  ),
  post("a service's bad name", core("services"), service("1web", { ports: [{ port: 1 }] })),
  post("an autoscaler of no replicas", `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`, {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "bad" },
    spec: { maxReplicas: 0, scaleTargetRef: { kind: "", name: "" } },
  }),
  post("a job that restarts always", `/apis/batch/v1/namespaces/${namespace}/jobs`, {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "always" },
    spec: { template: { spec: { containers: [{ name: "a", image: "b" }], restartPolicy: "Always" } } },
  }),
  post("a cron job of a bad schedule", `/apis/batch/v1/namespaces/${namespace}/cronjobs`, {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "bad" },
    spec: {
      schedule: "now and then",
      jobTemplate: {
        spec: { template: { spec: { containers: [{ name: "a", image: "b" }], restartPolicy: "Never" } } },
      },
    },
  }),
  post("a role binding without a role", `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "bad" },
    roleRef: { kind: "Role", name: "" },
    subjects: [{ kind: "Robot", name: "a" }],
  }),
  post("an ingress without a path type", `/apis/networking.k8s.io/v1/namespaces/${namespace}/ingresses`, {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "bad" },
    spec: { rules: [{ http: { paths: [{ path: "x", backend: { service: { name: "web" } } }] } }] },
  }),
  post("a secret without what its type wants", core("secrets"), {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "tls" },
    type: "kubernetes.io/tls",
    data: { "tls.crt": "" },
  }),
  post("a secret that is no base64", core("secrets"), {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "text" },
    data: { a: "!!!" },
  }),

  put("a replacement without version", `${maps}/plain`, configMap("plain", { a: "2" })),
  put("a replacement of the version", `${maps}/plain`, (earlier) =>
    configMap(
      "plain",
      { a: "3" },
      { resourceVersion: earlier("a replacement without version").metadata.resourceVersion },
    ),
  ),
  put("a replacement of an older version", `${maps}/plain`, (earlier) =>
    configMap(
      "plain",
      { a: "4" },
      { resourceVersion: earlier("a replacement without version").metadata.resourceVersion },
    ),
  ),
  put("a replacement that changes nothing", `${maps}/plain`, configMap("plain", { a: "3" })),
  put(
    "a replacement of another uid",
    `${maps}/plain`,
    configMap("plain", {}, { uid: "00000000-0000-0000-0000-000000000000" }),
  ),
  put("a replacement of another name", `${maps}/plain`, configMap("other")),
  put("a replacement without name", `${maps}/plain`, { apiVersion: "v1", kind: "ConfigMap", metadata: {} }),
  put("a replacement of what is not there", `${maps}/none`, configMap("none")),
  put(
    "a replacement of what is not there, with a version",
    `${maps}/none`,
    configMap("none", {}, { resourceVersion: "1" }),
  ),
  put("a dry replacement", `${maps}/plain?dryRun=All`, configMap("plain", { a: "dry" })),
  put("an immutable map", `${maps}/binary`, { ...configMap("binary", { a: "1" }), immutable: true }),
  put("a change of the immutable map", `${maps}/binary`, { ...configMap("binary", { a: "2" }), immutable: true }),
  put(
    "a change of a selector",
    apps("deployments/web"),
    deployment("web", {
      selector: { matchLabels: { app: "other" } },
      template: {
        metadata: { labels: { app: "other" } },
        spec: { containers: [{ name: "main", image: "registry.example/main:1" }] },
      },
    }),
  ),
  put("a change of a pod's image", core("pods/plain"), (earlier) => ({
    ...earlier("a pod"),
    spec: {
      ...earlier("a pod").spec,
      containers: [{ ...earlier("a pod").spec.containers[0], image: "registry.example/main:2" }],
    },
  })),
  put("a change of a pod's command", core("pods/plain"), (earlier) => ({
    ...earlier("a change of a pod's image"),
    spec: {
      ...earlier("a change of a pod's image").spec,
      containers: [{ ...earlier("a pod").spec.containers[0], command: ["x"] }],
    },
  })),
  put(
    "a change of a role's binding",
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/readers`,
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "readers" },
      roleRef: { kind: "Role", name: "other", apiGroup: "rbac.authorization.k8s.io" },
    },
  ),
  put("a change of a secret's type", core("secrets/plain"), {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "plain" },
    type: "other",
  }),
  put("a change of a service's address", core("services/web"), (earlier) =>
    service("web", { ...earlier("a web service").spec, clusterIP: "10.96.200.200", clusterIPs: ["10.96.200.200"] }),
  ),
  put("a service to nodes' ports", core("services/web"), (earlier) =>
    service("web", { ...earlier("a web service").spec, type: "NodePort" }),
  ),
  put("a service back again", core("services/web"), (earlier) => service("web", { ...earlier("a web service").spec })),
  put("a status by the object", apps("deployments/web"), { ...deployment("web"), status: { replicas: 9 } }),
  put("a status by its subresource", apps("deployments/web/status"), {
    ...deployment("web", { replicas: 7 }),
    status: {
      replicas: 2,
      observedGeneration: 1,
      conditions: [
        {
          type: "Available",
          status: "True",
          reason: "A",
          message: "b",
          lastUpdateTime: "2026-01-02T03:04:05Z",
          lastTransitionTime: "2026-01-02T03:04:05Z",
        },
      ],
    },
  }),
  put("a pod's status", core("pods/plain/status"), {
    ...pod("plain"),
    status: {
      phase: "Running",
      podIP: "10.1.0.5",
      podIPs: [{ ip: "10.1.0.5" }],
      conditions: [{ type: "Ready", status: "True" }],
      containerStatuses: [
        {
          name: "main",
          ready: true,
          restartCount: 2,
          image: "a",
          imageID: "b",
          state: { running: { startedAt: "2026-01-02T03:04:05Z" } },
        },
      ],
    },
  }),
  put("a status of a kind without", core("configmaps/plain/status"), configMap("plain")),
  get("a scale", apps("deployments/web/scale")),
  put("a scale up", apps("deployments/web/scale"), {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name: "web" },
    spec: { replicas: 4 },
  }),
  put("a scale below nothing", apps("deployments/web/scale"), {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name: "web" },
    spec: { replicas: -4 },
  }),
  put("a scale of an older version", apps("deployments/web/scale"), {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name: "web", resourceVersion: "1" },
    spec: { replicas: 4 },
  }),
  patch("merge", "a scale by patch", apps("deployments/web/scale"), { spec: { replicas: 3 } }),
  get("the deployment after all", apps("deployments/web")),
  get("a scale of what is not there", apps("deployments/none/scale")),
  post("an eviction of nobody", core("pods/none/eviction"), {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name: "none" },
  }),
  post("an ephemeral container by a post", core("pods/plain/ephemeralcontainers"), pod("plain")),
  patch("strategic", "an ephemeral container", core("pods/plain/ephemeralcontainers"), {
    spec: { ephemeralContainers: [{ name: "debug", image: "registry.example/debug:1", targetContainerName: "main" }] },
  }),
  post("a binding to a node", core("pods/rich/binding"), {
    apiVersion: "v1",
    kind: "Binding",
    metadata: { name: "rich" },
    target: { kind: "Node", name: "corpus-node" },
  }),
  post("a second binding", core("pods/rich/binding"), {
    apiVersion: "v1",
    kind: "Binding",
    metadata: { name: "rich" },
    target: { kind: "Node", name: "corpus-node" },
  }),
  get("the bound pod", core("pods/rich")),

  post("an object with a finalizer", maps, configMap("finalized", {}, { finalizers: ["example.com/hold"] })),
  remove("a deletion that waits", `${maps}/finalized`),
  remove("the same deletion again", `${maps}/finalized`),
  put(
    "a change while it waits",
    `${maps}/finalized`,
    configMap("finalized", { a: "late" }, { finalizers: ["example.com/hold"] }),
  ),
  put(
    "a further finalizer while it waits",
    `${maps}/finalized`,
    configMap("finalized", {}, { finalizers: ["example.com/hold", "example.com/more"] }),
  ),
  post("the same name while it waits", maps, configMap("finalized")),
  patch("json", "the last finalizer goes", `${maps}/finalized`, [{ op: "remove", path: "/metadata/finalizers" }]),
  get("it is gone", `${maps}/finalized`),
  remove("a deletion", `${maps}/yaml`),
  remove("a deletion of what is gone", `${maps}/yaml`),
  remove("a dry deletion", `${maps}/plain?dryRun=All`),
  remove("a deletion on a wrong uid", `${maps}/plain`, {
    ...gone,
    preconditions: { uid: "00000000-0000-0000-0000-000000000000" },
  }),
  remove("a deletion on a wrong version", `${maps}/plain`, { ...gone, preconditions: { resourceVersion: "1" } }),
  remove("a deletion of a bad policy", `${maps}/plain`, { ...gone, propagationPolicy: "Sideways" }),
  remove("a deletion of two policies", `${maps}/plain`, {
    ...gone,
    propagationPolicy: "Orphan",
    orphanDependents: true,
  }),
  remove("a deletion with a body of another kind", `${maps}/plain`, configMap("plain")),
  remove("a deletion in the foreground", apps("deployments/recreated"), { ...gone, propagationPolicy: "Foreground" }),
  remove("a deletion that orphans", apps("replicasets/set"), { ...gone, propagationPolicy: "Orphan" }),
  remove("a deletion in the background", apps("daemonsets/everywhere"), { ...gone, propagationPolicy: "Background" }),
  remove("a deletion of a job", `/apis/batch/v1/namespaces/${namespace}/jobs/once`),
  remove("a pod with grace", core("pods/rich")),
  remove("a pod with less grace", `${core("pods/rich")}?gracePeriodSeconds=1`),
  remove("a pod at once", `${core("pods/rich")}?gracePeriodSeconds=0`),
  get("the pod is gone", core("pods/rich")),
  remove("a pod of no node", core("pods/host")),
  remove("a headless service goes", core("services/headless")),
  remove("a collection by labels", `${core("configmaps", "listed")}?labelSelector=half%3Dsecond`),
  remove("a collection that is empty", `${core("configmaps", "listed")}?labelSelector=half%3Dsecond`),
  remove("a collection, dry", `${core("configmaps", "listed")}?dryRun=All`),
  get("what is left of the collection", core("configmaps", "listed")),
  remove("a collection that cannot be", `/api/v1/namespaces`),
  remove("a namespace goes", "/api/v1/namespaces/listed"),
  post("into a namespace that goes", core("configmaps", "listed"), configMap("late")),
  put("the end of a namespace's finalizers", "/api/v1/namespaces/listed/finalize", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "listed" },
    spec: { finalizers: [] },
  }),
  get("the namespace is gone", "/api/v1/namespaces/listed"),
  remove("a namespace that cannot go", "/api/v1/namespaces/default"),
];
