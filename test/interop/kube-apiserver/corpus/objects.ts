// Creates a small object of each kind that users write, to compare defaults, metadata and managedFields.
import { post, get, type Exchange } from "../exchange.ts";
import {
  apps,
  autoscaling,
  batch,
  configMap,
  coordination,
  core,
  deployment,
  discovery,
  namespace,
  networking,
  pod,
  policy,
  rbac,
  service,
} from "./places.ts";

const template = {
  metadata: { labels: { app: "a" } },
  spec: { containers: [{ name: "main", image: "registry.example/main" }] },
};
const selector = { matchLabels: { app: "a" } };
const job = {
  template: { spec: { containers: [{ name: "main", image: "registry.example/main:1" }], restartPolicy: "Never" } },
};

export const objects: readonly Exchange[] = [
  post("a namespace", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }),
  post("a service account", core("serviceaccounts"), {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "default" },
  }),
  post("a config map", core("configmaps"), configMap("plain", { a: "1" })),
  post("a config map without data", core("configmaps"), {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "empty", labels: {}, annotations: {} },
  }),
  post("a config map with binary data", core("configmaps"), { ...configMap("binary"), binaryData: { a: "AAEC" } }),
  post("a secret by plain text", core("secrets"), {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "plain" },
    stringData: { a: "text" },
  }),
  post("a secret of a type", core("secrets"), {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "login" },
    type: "kubernetes.io/basic-auth",
    stringData: { username: "a", password: "b" },
  }),
  post("a pod", core("pods"), pod("plain")),
  post(
    "a pod of many fields",
    core("pods"),
    pod("rich", {
      terminationGracePeriodSeconds: 5,
      securityContext: { runAsUser: 1000, fsGroup: 2000 },
      initContainers: [
        {
          name: "first",
          image: "registry.example/first@sha256:0123456789012345678901234567890123456789012345678901234567890123",
          command: ["true"],
        },
      ],
      containers: [
        {
          name: "main",
          image: "registry.example/main:latest",
          ports: [{ containerPort: 8080, name: "http" }],
          env: [
            { name: "A", value: "b" },
            { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
            { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
          ],
          resources: { requests: { cpu: "0.5", memory: "128Mi" }, limits: { cpu: 1, memory: "0.5Gi" } },
          livenessProbe: { httpGet: { path: "/", port: "http" } },
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 3 },
          startupProbe: { grpc: { port: 8080 } },
          lifecycle: { preStop: { exec: { command: ["sleep", "1"] } } },
          volumeMounts: [
            { name: "config", mountPath: "/config" },
            { name: "scratch", mountPath: "/scratch" },
          ],
        },
      ],
      volumes: [
        { name: "config", configMap: { name: "plain" } },
        { name: "scratch", emptyDir: {} },
        { name: "secret", secret: { secretName: "plain" } },
        { name: "info", downwardAPI: { items: [{ path: "a", fieldRef: { fieldPath: "metadata.name" } }] } },
        { name: "host", hostPath: { path: "/tmp" } },
      ],
      tolerations: [{ key: "a", operator: "Exists" }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector: selector } },
          ],
        },
      },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway", labelSelector: selector },
      ],
    }),
  ),
  post(
    "a pod of the host's network",
    core("pods"),
    pod("host", {
      hostNetwork: true,
      containers: [{ name: "main", image: "registry.example/main:1", ports: [{ containerPort: 80 }] }],
    }),
  ),
  post(
    "a pod of a native sidecar",
    core("pods"),
    pod("sidecar", { initContainers: [{ name: "side", image: "registry.example/side:1", restartPolicy: "Always" }] }),
  ),
  post("a deployment", apps("deployments"), deployment("web")),
  post(
    "a deployment with a strategy",
    apps("deployments"),
    deployment("recreated", { replicas: 0, strategy: { type: "Recreate" }, paused: true }),
  ),
  post("a replica set", apps("replicasets"), {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name: "set" },
    spec: { selector, template },
  }),
  post("a stateful set", apps("statefulsets"), {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "kept" },
    spec: {
      serviceName: "kept",
      selector,
      template,
      volumeClaimTemplates: [
        {
          metadata: { name: "data" },
          spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
        },
      ],
    },
  }),
  post("a daemon set", apps("daemonsets"), {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "everywhere" },
    spec: { selector, template },
  }),
  post("a job", batch("jobs"), { apiVersion: "batch/v1", kind: "Job", metadata: { name: "once" }, spec: job }),
  post("a cron job", batch("cronjobs"), {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "nightly" },
    spec: { schedule: "0 3 * * *", jobTemplate: { spec: job } },
  }),
  post("a replication controller", core("replicationcontrollers"), {
    apiVersion: "v1",
    kind: "ReplicationController",
    metadata: { name: "old" },
    spec: { template },
  }),
  post(
    "a web service",
    core("services"),
    service("web", { selector: { app: "web" }, ports: [{ port: 80, targetPort: "http" }] }),
  ),
  post(
    "a headless service",
    core("services"),
    service("headless", {
      clusterIP: "None",
      selector: { app: "web" },
      ports: [
        { port: 80, name: "http" },
        { port: 53, protocol: "UDP", name: "dns" },
      ],
    }),
  ),
  post(
    "a service on nodes' ports",
    core("services"),
    service("nodeport", { type: "NodePort", selector: { app: "web" }, ports: [{ port: 80 }] }),
  ),
  post(
    "a service of an outside address",
    core("services"),
    service("balanced", {
      type: "LoadBalancer",
      externalTrafficPolicy: "Local",
      selector: { app: "web" },
      ports: [{ port: 443, appProtocol: "https" }],
    }),
  ),
  post("a service by name", core("services"), service("named", { type: "ExternalName", externalName: "example.com" })),
  post(
    "a service with client affinity",
    core("services"),
    service("sticky", { sessionAffinity: "ClientIP", ports: [{ port: 80 }] }),
  ),
  post("an endpoints object", core("endpoints"), {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "by-hand" },
    subsets: [{ addresses: [{ ip: "1.2.3.4" }], ports: [{ port: 80 }] }],
  }),
  post("an endpoint slice", discovery("endpointslices"), {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "slice", labels: { "kubernetes.io/service-name": "by-hand" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["1.2.3.4"] }],
    ports: [{ port: 80 }],
  }),
  post("an ingress", networking("ingresses"), {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "in" },
    spec: {
      rules: [
        {
          host: "a.example.com",
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
          },
        },
      ],
    },
  }),
  post("an ingress class", "/apis/networking.k8s.io/v1/ingressclasses", {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "corpus" },
    spec: { controller: "example.com/c", parameters: { kind: "A", name: "b" } },
  }),
  post("a network policy", networking("networkpolicies"), {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "closed" },
    spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] },
  }),
  post("a disruption budget", policy("poddisruptionbudgets"), {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "one" },
    spec: { minAvailable: 1, selector },
  }),
  post("an autoscaler", autoscaling("horizontalpodautoscalers"), {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "more" },
    spec: {
      maxReplicas: 3,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
      ],
    },
  }),
  get(
    "the autoscaler in its older version",
    `/apis/autoscaling/v1/namespaces/${namespace}/horizontalpodautoscalers/more`,
  ),
  post("an autoscaler in the older version", `/apis/autoscaling/v1/namespaces/${namespace}/horizontalpodautoscalers`, {
    apiVersion: "autoscaling/v1",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "older" },
    spec: {
      maxReplicas: 3,
      targetCPUUtilizationPercentage: 50,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    },
  }),
  get("the older autoscaler in the newer version", autoscaling("horizontalpodautoscalers/older")),
  post("a role", rbac("roles"), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { name: "reader" },
    rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] }],
  }),
  post("a role binding", rbac("rolebindings"), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "readers" },
    roleRef: { kind: "Role", name: "reader", apiGroup: "rbac.authorization.k8s.io" },
    subjects: [
      { kind: "ServiceAccount", name: "default" },
      { kind: "User", name: "jane" },
    ],
  }),
  post("a cluster role that takes from others", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: "corpus-all" },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { corpus: "yes" } }] },
    rules: [],
  }),
  post("a lease", coordination("leases"), {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "held" },
    spec: { holderIdentity: "a", leaseDurationSeconds: 15, renewTime: "2026-01-02T03:04:05.678901Z" },
  }),
  post("an event", core("events"), {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: "happened" },
    involvedObject: { kind: "Pod", name: "plain", namespace },
    reason: "Because",
    message: "it did",
    type: "Normal",
    count: 1,
    firstTimestamp: "2026-01-02T03:04:05Z",
    lastTimestamp: "2026-01-02T03:04:05Z",
    source: { component: "corpus" },
  }),
  get("the event in its newer group", `/apis/events.k8s.io/v1/namespaces/${namespace}/events/happened`),
  post("an event of the newer group", `/apis/events.k8s.io/v1/namespaces/${namespace}/events`, {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: "newer" },
    regarding: { kind: "Pod", name: "plain", namespace },
    eventTime: "2026-01-02T03:04:05.000000Z",
    reportingController: "example.com/c",
    reportingInstance: "c-1",
    action: "Doing",
    reason: "Because",
    type: "Normal",
    note: "it did",
  }),
  post("a volume claim", core("persistentvolumeclaims"), {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "disk" },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1G" } } },
  }),
  post("a volume", "/api/v1/persistentvolumes", {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "corpus" },
    spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp/a" } },
  }),
  post("a limit range", core("limitranges"), {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "limits" },
    spec: { limits: [{ type: "Pod", max: { cpu: "64" } }] },
  }),
  post("a resource quota", core("resourcequotas"), {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "quota" },
    spec: { hard: { "count/leases.coordination.k8s.io": "1000" } },
  }),
  post("a pod template", core("podtemplates"), {
    apiVersion: "v1",
    kind: "PodTemplate",
    metadata: { name: "shape" },
    template,
  }),
  post("a priority class", "/apis/scheduling.k8s.io/v1/priorityclasses", {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: "corpus" },
    value: 10,
  }),
  post("a storage class", "/apis/storage.k8s.io/v1/storageclasses", {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "corpus" },
    provisioner: "example.com/p",
  }),
  post("a node", "/api/v1/nodes", {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "corpus-node" },
    spec: { podCIDR: "10.1.0.0/24" },
    status: { capacity: { cpu: "2", memory: "1Gi" } },
  }),
  post("a validating webhook", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "corpus" },
    webhooks: [
      {
        name: "a.example.com",
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        clientConfig: { service: { name: "a", namespace: "b" } },
        rules: [{ apiGroups: ["example.com"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothing"] }],
      },
    ],
  }),
  post("a mutating webhook", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "corpus" },
    webhooks: [
      {
        name: "a.example.com",
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        clientConfig: { url: "https://127.0.0.1:1/x" },
        rules: [{ apiGroups: ["example.com"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothing"] }],
      },
    ],
  }),
];
