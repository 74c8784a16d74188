import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("a container needs a name that is a DNS label and no other container has, and an image without spaces around it", () => {
  refuses([
    [pod(), []],
    [
      pod({ containers: [{ name: "Bad_Name", image: "i:1" }] }),
      ['spec.containers[0].name: Invalid value: "Bad_Name": a lowercase RFC 1123 label'],
    ],
    [pod({ containers: [{ name: "a".repeat(64), image: "i:1" }] }), ['spec.containers[0].name: Invalid value: "']],
    [pod({ containers: [{ name: "c", image: "" }] }), ["spec.containers[0].image: Required value"]],
    [
      pod({ containers: [{ name: "c", image: " i" }] }),
      ['spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace'],
    ],
    [pod({ containers: [] }), ["spec.containers: Required value"]],
    [
      pod({
        containers: [
          { name: "a", image: "i" },
          { name: "a", image: "i" },
        ],
      }),
      ['spec.containers[1].name: Duplicate value: "a"'],
    ],
    [pod({ initContainers: [{ name: "c", image: "i" }] }), ['spec.initContainers[0].name: Duplicate value: "c"']],
    [
      pod({
        initContainers: [
          { name: "d", image: "i" },
          { name: "d", image: "i" },
        ],
      }),
      ['spec.initContainers[1].name: Duplicate value: "d"'],
    ],
  ]);
});

test("unknown policies are refused, and the message lists the known ones", () => {
  refuses([
    [
      pod({}, { imagePullPolicy: "Sometimes" }),
      [
        'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
      ],
    ],
    [
      pod({}, { terminationMessagePolicy: "X" }),
      [
        'spec.containers[0].terminationMessagePolicy: Unsupported value: "X": supported values: "File", "FallbackToLogsOnError"',
      ],
    ],
    [
      pod({ restartPolicy: "Sometimes" }),
      ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
    ],
    [
      pod({ dnsPolicy: "X" }),
      [
        'spec.dnsPolicy: Unsupported value: "X": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
      ],
    ],
    [
      pod({ initContainers: [{ name: "d", image: "i", restartPolicy: "Maybe" }] }),
      [
        'spec.initContainers[0].restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"',
      ],
    ],
    [
      pod({}, { restartPolicy: "Maybe" }),
      [
        'spec.containers[0].restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"',
      ],
    ],
    [pod({ os: { name: "plan9" } }), ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"']],
  ]);
});

test("a rule about restarts needs a policy, a known action and exit codes", () => {
  refuses([
    [
      pod(
        {},
        {
          restartPolicy: "Never",
          restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }],
        },
      ),
      [],
    ],
    [
      pod(
        {},
        { restartPolicyRules: [{ action: "X", exitCodes: { operator: "Foo", values: [] } }, { action: "Restart" }] },
      ),
      [
        "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "X": supported values: "Restart", "RestartAllContainers"',
        'spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: "Foo": supported values: "In", "NotIn"',
        "spec.containers[0].restartPolicyRules[1].exitCodes: Required value: must be specified",
      ],
    ],
    [pod({ initContainers: [{ name: "d", image: "i", restartPolicy: "OnFailure" }] }), []],
    [pod({}, { restartPolicy: "Always" }), []],
  ]);
});

test("only sidecars among the init containers have probes and hooks", () => {
  refuses([
    [
      pod({
        initContainers: [
          {
            name: "d",
            image: "i",
            livenessProbe: { tcpSocket: { port: 1 } },
            readinessProbe: { tcpSocket: { port: 1 } },
            startupProbe: { tcpSocket: { port: 1 } },
            lifecycle: { preStop: { sleep: { seconds: 1 } } },
          },
        ],
      }),
      [
        "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
        "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        "spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
      ],
    ],
    [
      pod({
        initContainers: [
          {
            name: "d",
            image: "i",
            restartPolicy: "Always",
            livenessProbe: { tcpSocket: { port: 1 } },
            readinessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 },
            lifecycle: { preStop: { sleep: { seconds: 1 } } },
          },
        ],
      }),
      [],
    ],
  ]);
});

test("a container's port has a number, a protocol in capitals and a short name", () => {
  refuses([
    [pod({}, { ports: [{ containerPort: 0 }] }), ["spec.containers[0].ports[0].containerPort: Required value"]],
    [
      pod({}, { ports: [{ containerPort: 70000, hostPort: 70000 }] }),
      [
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "spec.containers[0].ports[0].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
      ],
    ],
    [
      pod({}, { ports: [{ containerPort: 1, protocol: "tcp" }] }),
      ['spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"'],
    ],
    [
      pod(
        {},
        {
          ports: [
            { containerPort: 1, name: "Web" },
            { containerPort: 2, name: "a--b" },
            { containerPort: 3, name: "1234" },
            { containerPort: 4, name: "a-very-long-port-name" },
          ],
        },
      ),
      [
        'spec.containers[0].ports[0].name: Invalid value: "Web": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.containers[0].ports[1].name: Invalid value: "a--b": must not contain consecutive hyphens',
        'spec.containers[0].ports[2].name: Invalid value: "1234": must contain at least one letter (a-z)',
        'spec.containers[0].ports[3].name: Invalid value: "a-very-long-port-name": must be no more than 15 characters',
      ],
    ],
    [
      pod(
        {},
        {
          ports: [
            { containerPort: 1, name: "web" },
            { containerPort: 2, name: "web" },
          ],
        },
      ),
      ['spec.containers[0].ports[1].name: Duplicate value: "web"'],
    ],
  ]);
});

test("two containers cannot take the same port of the node, except with another protocol or at another address", () => {
  refuses([
    [
      pod(
        {},
        {
          ports: [
            { containerPort: 1, hostPort: 80 },
            { containerPort: 2, hostPort: 80 },
          ],
        },
      ),
      ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      pod({
        containers: [
          { name: "a", image: "i", ports: [{ containerPort: 1, hostPort: 80 }] },
          { name: "b", image: "i", ports: [{ containerPort: 1, hostPort: 80 }] },
        ],
      }),
      ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      pod(
        {},
        {
          ports: [
            { containerPort: 1, hostPort: 80 },
            { containerPort: 2, hostPort: 80, protocol: "UDP" },
          ],
        },
      ),
      [],
    ],
    [
      pod(
        {},
        {
          ports: [
            { containerPort: 1, hostPort: 80, hostIP: "1.2.3.4" },
            { containerPort: 2, hostPort: 80, hostIP: "1.2.3.5" },
          ],
        },
      ),
      [],
    ],
  ]);
});

test("on the node's network, a port of a container is the same port of the node", () => {
  refuses([
    [pod({ hostNetwork: true }, { ports: [{ containerPort: 80 }] }), []],
    [
      pod({ hostNetwork: true }, { ports: [{ containerPort: 80, hostPort: 81 }] }),
      [
        "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
      ],
    ],
  ]);
});

test("a pod starts without ephemeral containers, and a gated one without a node", () => {
  refuses([
    [
      pod({ ephemeralContainers: [{ name: "d", image: "i" }] }),
      ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ],
    [
      pod({ nodeName: "n", schedulingGates: [{ name: "a" }] }),
      ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    ],
    [
      pod({ schedulingGates: [{ name: "a" }, { name: "b c" }, { name: "a" }] }),
      ['spec.schedulingGates[1]: Invalid value: "b c": name part', 'spec.schedulingGates[2]: Duplicate value: "a"'],
    ],
    [
      pod({ readinessGates: [{ conditionType: "a b" }, { conditionType: "a/b" }] }),
      ['spec.readinessGates[0].conditionType: Invalid value: "a b": name part'],
    ],
  ]);
});

test("a pod's names are DNS names, and times are at least a second", () => {
  refuses([
    [
      pod({ serviceAccountName: "default", nodeName: "A", hostname: "A.b", subdomain: "a.b", schedulerName: "a b" }),
      [
        'spec.hostname: Invalid value: "A.b": a lowercase RFC 1123 label',
        'spec.nodeName: Invalid value: "A": a lowercase RFC 1123 subdomain',
        'spec.subdomain: Invalid value: "a.b": must not contain dots',
      ],
    ],
    [
      pod({ hostnameOverride: "A", hostname: "b" }),
      ['spec.hostnameOverride: Invalid value: "A": a lowercase RFC 1123 subdomain'],
    ],
    [
      pod({ activeDeadlineSeconds: 0 }),
      ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ],
    [
      pod({ activeDeadlineSeconds: 2147483648 }),
      ["spec.activeDeadlineSeconds: Invalid value: 2147483648: must be between 1 and 2147483647, inclusive"],
    ],
    [
      pod({ nodeSelector: { "a b": "c", d: "e f" } }),
      ['spec.nodeSelector: Invalid value: "a b": name part', 'spec.nodeSelector: Invalid value: "e f": a valid label'],
    ],
  ]);
});

test("a pod without the cluster's DNS names servers of its own, at most three", () => {
  refuses([
    [pod({ dnsPolicy: "None" }), ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]],
    [
      pod({
        dnsPolicy: "None",
        dnsConfig: {
          nameservers: ["x", "1.1.1.1", "1.1.1.1", "2.2.2.2", "3.3.3.3"],
          searches: ["Bad_", "a..b", "."],
          options: [{ name: "" }, { value: "x" }],
        },
      }),
      [
        'spec.dnsConfig.nameservers: Invalid value: ["x","1.1.1.1","1.1.1.1","2.2.2.2","3.3.3.3"]: must not have more than 3 nameservers',
        'spec.dnsConfig.nameservers[0]: Invalid value: "x": must be a valid IP address,',
        "spec.dnsConfig.options[0]: Required value: must not be empty",
        "spec.dnsConfig.options[1]: Required value: must not be empty",
        'spec.dnsConfig.searches[0]: Invalid value: "Bad_": a lowercase RFC 1123 subdomain',
        'spec.dnsConfig.searches[1]: Invalid value: "a..b": a lowercase RFC 1123 subdomain',
      ],
    ],
    [
      pod({
        hostAliases: [
          { ip: "x", hostnames: ["A_b"] },
          { ip: "1.2.3.4", hostnames: [] },
        ],
      }),
      [
        'spec.hostAliases[0].hostnames[0]: Invalid value: "A_b": a lowercase RFC 1123 subdomain',
        'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address,',
      ],
    ],
  ]);
});

test("labels, annotations, finalizers and owners of a pod have valid names", () => {
  refuses([
    [
      pod({}, {}, { labels: { "a b": "c", "x/y/z": "v", d: "e f", "/a": "b", "A/b": "c", ok: "" } }),
      [
        'metadata.labels: Invalid value: "/a": prefix part must be non-empty',
        'metadata.labels: Invalid value: "A/b": prefix part a lowercase RFC 1123 subdomain',
        'metadata.labels: Invalid value: "a b": name part',
        'metadata.labels: Invalid value: "e f": a valid label',
        "metadata.labels: Invalid value: \"x/y/z\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an al",
      ],
    ],
    [
      pod({}, {}, { annotations: { "a b": "x", "UP/er": "x" } }),
      ['metadata.annotations: Invalid value: "a b": name part'],
    ],
    [pod({}, {}, { name: "A" }), ['metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain']],
    [pod({}, {}, { name: "a".repeat(254) }), ['metadata.name: Invalid value: "']],
    [
      pod({}, {}, { finalizers: ["a", "b/c", "kubernetes", "x y/z"] }),
      [
        'metadata.finalizers: Invalid value: "x y/z": prefix part a lowercase RFC 1123 subdomain',
        'metadata.finalizers[0]: Invalid value: "a": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      pod(
        {},
        {},
        {
          ownerReferences: [
            { apiVersion: "", kind: "", name: "", uid: "" },
            { apiVersion: "v1", kind: "Event", name: "a", uid: "b" },
            { apiVersion: "a/b/c", kind: "K", name: "a", uid: "b" },
          ],
        },
      ),
      [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        'metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty',
        'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"a","uid":"b"}: /v1, Kind=Event is disallowed from being an owner',
      ],
    ],
  ]);
});

test("annotations with a meaning for the cluster have valid values", () => {
  refuses([
    [
      pod({}, {}, { annotations: { "kubernetes.io/config.mirror": "x" } }),
      [
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set',
      ],
    ],
    [
      pod({}, {}, { annotations: { "controller.kubernetes.io/pod-deletion-cost": "x" } }),
      ['metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "x": must be a 32bit integer'],
    ],
  ]);
});
