import { test } from "node:test";
import { object, refuses } from "./testing/refuses.ts";

test("a metric whose type is a name that every JavaScript object has is refused like any other unknown type", () => {
  const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
  refuses([
    [
      object("HorizontalPodAutoscaler", {
        spec: { maxReplicas: 2, scaleTargetRef, metrics: [{ type: "constructor" }] },
      }),
      [
        'spec.metrics[0].type: Unsupported value: "constructor": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
      ],
    ],
  ]);
});

test("an autoscaler has a target, bounds and complete metrics", () => {
  refuses([
    [
      object("HorizontalPodAutoscaler", {
        spec: {
          minReplicas: 0,
          maxReplicas: 0,
          scaleTargetRef: { kind: "", name: "" },
          metrics: [
            { type: "X" },
            { type: "Resource" },
            { type: "Resource", resource: { name: "cpu", target: { type: "Utilization" } } },
          ],
          behavior: {
            scaleUp: { stabilizationWindowSeconds: 5000, policies: [{ type: "X", value: 0, periodSeconds: 0 }] },
          },
        },
      }),
      [
        "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater than zero",
        'spec.behavior.scaleUp.policies[0].type: Unsupported value: "X": supported values: "Percent", "Pods"',
        "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
        "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 5000: must be less than or equal to 3600",
        "spec.maxReplicas: Required value: must be set and greater than 0",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        'spec.metrics[0].type: Unsupported value: "X": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        "spec.metrics[1].resource: Required value: must populate information for the given metric source",
        "spec.metrics[2].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        "spec.scaleTargetRef.kind: Required value",
        "spec.scaleTargetRef.name: Required value",
      ],
    ],
  ]);
});

test("a disruption budget has one bound, which is no more than everything", () => {
  refuses([
    [
      object("PodDisruptionBudget", { spec: { minAvailable: -1, selector: { matchLabels: { "a b": "" } } } }),
      [
        "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
        'spec.selector.matchLabels: Invalid value: "a b": name part',
      ],
    ],
    [
      object("PodDisruptionBudget", { spec: { maxUnavailable: "110%" } }),
      ['spec.maxUnavailable: Invalid value: "110%": must not be greater than 100%'],
    ],
  ]);
});

test("an Ingress has hosts that are names, absolute paths and a backend with one port", () => {
  refuses([
    [
      object("Ingress", {
        spec: {
          rules: [
            {
              host: "A_b",
              http: {
                paths: [
                  { path: "a", pathType: "Prefix", backend: { service: { name: "s", port: { number: 80 } } } },
                  {
                    path: "/a//b",
                    pathType: "Exact",
                    backend: { service: { name: "s", port: { number: 80, name: "x" } } },
                  },
                  { path: "/", backend: {} },
                  { path: "/a", pathType: "X", backend: { service: { name: "", port: {} } } },
                ],
              },
            },
          ],
        },
      }),
      [
        'spec.rules[0].host: Invalid value: "A_b": a lowercase RFC 1123 subdomain',
        'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
        'spec.rules[0].http.paths[1].backend: Invalid value: "": cannot set both port name & port number',
        "spec.rules[0].http.paths[1].path: Invalid value: \"/a//b\": must not contain '//'",
        "spec.rules[0].http.paths[2].pathType: Required value: pathType must be specified",
        "spec.rules[0].http.paths[3].backend.service.name: Required value",
        "spec.rules[0].http.paths[3].backend: Required value: port name or number is required",
        'spec.rules[0].http.paths[3].pathType: Unsupported value: "X": supported values: "Exact", "ImplementationSpecific", "Prefix"',
      ],
    ],
    [
      object("Ingress", {
        spec: {
          rules: [
            { host: "1.2.3.4", http: { paths: [] } },
            {
              host: "*.foo.com",
              http: {
                paths: [
                  { path: "/", pathType: "Prefix", backend: { service: { name: "s", port: { number: 70000 } } } },
                ],
              },
            },
            { host: "foo.*.com" },
          ],
        },
      }),
      [
        'spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
        "spec.rules[0].http.paths: Required value",
        "spec.rules[1].http.paths[0].backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
        'spec.rules[2].host: Invalid value: "foo.*.com": a wildcard DNS-1123 subdomain',
      ],
    ],
    [
      object("Ingress", {
        spec: {
          tls: [{ hosts: ["A_"] }],
          defaultBackend: { service: { name: "s", port: { number: 1 } } },
          ingressClassName: "A_",
        },
      }),
      [
        'spec.ingressClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain',
        'spec.tls[0].hosts[0]: Invalid value: "A_": a lowercase RFC 1123 subdomain',
      ],
    ],
    [object("IngressClass", { spec: { controller: "" } }), ["spec.controller: Required value"]],
  ]);
});

test("a NetworkPolicy has peers, and ranges of ports that rise", () => {
  refuses([
    [object("NetworkPolicy", { spec: { podSelector: {} } }), []],
    [
      object("NetworkPolicy", {
        spec: {
          podSelector: { matchLabels: { "a b": "" } },
          ingress: [
            {
              from: [
                {},
                { ipBlock: { cidr: "x" } },
                { ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/8", "10.0.0.0/8"] }, podSelector: {} },
              ],
              ports: [
                { port: 0 },
                { port: "Web_" },
                { port: 80, endPort: 79 },
                { endPort: 80 },
                { port: "web", endPort: 80 },
                { protocol: "X" },
              ],
            },
          ],
          policyTypes: ["X", "Egress", "Ingress"],
        },
      }),
      [
        "spec.ingress[0].from[0]: Required value: must specify a peer",
        'spec.ingress[0].from[1].ipBlock.cidr: Invalid value: "x": must be a valid CIDR value,',
        'spec.ingress[0].from[2].ipBlock.except[0]: Invalid value: "11.0.0.0/8": must be a strict subset of `cidr`',
        'spec.ingress[0].from[2].ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
        "spec.ingress[0].from[2]: Forbidden: may not specify both ipBlock and another peer",
        "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        'spec.ingress[0].ports[1].port: Invalid value: "Web_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        "spec.ingress[0].ports[2].endPort: Invalid value: 80: must be greater than or equal to `port`",
        "spec.ingress[0].ports[3].endPort: Invalid value: 80: may not be specified when `port` is not specified",
        "spec.ingress[0].ports[4].endPort: Invalid value: 80: may not be specified when `port` is non-numeric",
        'spec.ingress[0].ports[5].protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"',
        'spec.podSelector.matchLabels: Invalid value: "a b": name part',
        'spec.policyTypes: Invalid value: ["X","Egress","Ingress"]: may not specify more than two policyTypes',
      ],
    ],
  ]);
});

test("roles have verbs and resources or paths, and bindings have a role and subjects with names", () => {
  refuses([
    [
      object("Role", {
        rules: [
          { verbs: [], apiGroups: [""], resources: ["pods"] },
          { verbs: ["get"], nonResourceURLs: ["/x"] },
          { verbs: ["get"] },
          { verbs: ["get"], apiGroups: [""], resources: ["x"], nonResourceURLs: ["/x"] },
        ],
      }),
      [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        'rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        "rules[2].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[2].resources: Required value: resource rules must supply at least one resource",
        'rules[3].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        'rules[3].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs',
      ],
    ],
    [
      object("ClusterRole", {
        rules: [{ verbs: ["get"], nonResourceURLs: ["x", "/a*b"] }],
        aggregationRule: { clusterRoleSelectors: [] },
      }),
      [
        "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
      ],
    ],
    [
      object("RoleBinding", {
        roleRef: { apiGroup: "x", kind: "X", name: "" },
        subjects: [
          { kind: "X", name: "a" },
          { kind: "User", name: "" },
          { kind: "ServiceAccount", name: "A_", namespace: "" },
          { kind: "User", name: "u", apiGroup: "x" },
        ],
      }),
      [
        'roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"',
        'roleRef.kind: Unsupported value: "X": supported values: "Role", "ClusterRole"',
        "roleRef.name: Required value",
        'subjects[0].kind: Unsupported value: "X": supported values: "ServiceAccount", "User", "Group"',
        "subjects[1].name: Required value",
        'subjects[2].name: Invalid value: "A_": a lowercase RFC 1123 subdomain',
        'subjects[3].apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"',
      ],
    ],
  ]);
});

test("a priority class, a Lease and a RuntimeClass have valid values", () => {
  refuses([
    [
      object("PriorityClass", { value: 5, preemptionPolicy: "X" }),
      ['preemptionPolicy: Unsupported value: "X": supported values: "PreemptLowerPriority", "Never"'],
    ],
    [
      object("Lease", { spec: { leaseDurationSeconds: 0, leaseTransitions: -1, holderIdentity: "" } }),
      [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [object("RuntimeClass", { handler: "A_b" }), ['handler: Invalid value: "A_b": a lowercase RFC 1123 label']],
  ]);
});

test("a Job has a policy that lets it end, and a CronJob a schedule", () => {
  refuses([
    [
      object("Job", { spec: { template: { spec: { containers: [{ name: "c", image: "i" }] } } } }),
      ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          parallelism: -1,
          completions: -1,
          backoffLimit: -1,
          activeDeadlineSeconds: -1,
          ttlSecondsAfterFinished: -1,
        },
      }),
      [
        "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
        "spec.completions: Invalid value: -1: must be greater than or equal to 0",
        "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          completionMode: "X",
        },
      }),
      ['spec.completionMode: Unsupported value: "X": supported values: "NonIndexed", "Indexed"'],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          backoffLimitPerIndex: 1,
        },
      }),
      ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          completionMode: "Indexed",
          completions: 2,
          parallelism: 1,
          maxFailedIndexes: 3,
          backoffLimitPerIndex: 1,
        },
      }),
      ["spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          podReplacementPolicy: "X",
        },
      }),
      ['spec.podReplacementPolicy: Unsupported value: "X": supported values: "Failed", "TerminatingOrFailed"'],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          podFailurePolicy: {
            rules: [
              { action: "X" },
              { action: "FailJob", onExitCodes: { operator: "In", values: [0] } },
              { action: "FailIndex", onExitCodes: { operator: "NotIn", values: [1, 1] } },
            ],
          },
        },
      }),
      [
        'spec.podFailurePolicy.rules[0].action: Unsupported value: "X": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
        "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        "spec.podFailurePolicy.rules[1].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        'spec.podFailurePolicy.rules[2].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        "spec.podFailurePolicy.rules[2].onExitCodes.values[1]: Duplicate value: 1",
      ],
    ],
    [
      object("Job", {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
          managedBy: "a",
        },
      }),
      ['spec.managedBy: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "x",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
        },
      }),
      ['spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]'],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
        },
      }),
      ["spec.schedule: Required value"],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "@every 1h",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
        },
      }),
      [],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "* * * * *",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
          timeZone: "Mars/X",
        },
      }),
      ['spec.timeZone: Invalid value: "Mars/X": unknown time zone Mars/X'],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "* * * * *",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
          timeZone: "Local",
        },
      }),
      [
        'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
      ],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "* * * * *",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
          concurrencyPolicy: "X",
          startingDeadlineSeconds: -1,
          successfulJobsHistoryLimit: -1,
          failedJobsHistoryLimit: -1,
        },
      }),
      [
        'spec.concurrencyPolicy: Unsupported value: "X": supported values: "Allow", "Forbid", "Replace"',
        "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
        "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [
      object("CronJob", {
        spec: {
          schedule: "* * * * *",
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
          },
        },
        metadata: { name: "a".repeat(53) },
      }),
      ['metadata.name: Invalid value: "'],
    ],
  ]);
});
