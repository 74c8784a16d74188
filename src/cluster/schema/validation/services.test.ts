import { test } from "node:test";
import { object, refuses } from "./testing/refuses.ts";

test("a Service needs ports with numbers, and with several ports their names", () => {
  refuses([
    [object("Service", { spec: {} }), ["spec.ports: Required value"]],
    [object("Service", { spec: { selector: { a: "b" } } }), ["spec.ports: Required value"]],
    [
      object("Service", { spec: { ports: [{ port: 0 }] } }),
      [
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
      ],
    ],
    [
      object("Service", {
        spec: {
          ports: [
            { port: 80, targetPort: "Web_" },
            { port: 81, targetPort: 70000 },
          ],
        },
      }),
      [
        "spec.ports[0].name: Required value",
        'spec.ports[0].targetPort: Invalid value: "Web_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        "spec.ports[1].name: Required value",
        "spec.ports[1].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
      ],
    ],
    [
      object("Service", {
        spec: {
          ports: [
            { port: 80, name: "a" },
            { port: 81, name: "a" },
          ],
        },
      }),
      ['spec.ports[1].name: Duplicate value: "a"'],
    ],
    [
      object("Service", { spec: { ports: [{ port: 80 }, { port: 81 }] } }),
      ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    ],
    [
      object("Service", { spec: { ports: [{ port: 80, protocol: "X" }] } }),
      ['spec.ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"'],
    ],
    [
      object("Service", { spec: { ports: [{ port: 80, appProtocol: "a b" }] } }),
      ['spec.ports[0].appProtocol: Invalid value: "a b": name part'],
    ],
  ]);
});

test("an ExternalName is a DNS name without an address", () => {
  refuses([
    [
      object("Service", { spec: { type: "X", ports: [{ port: 80 }] } }),
      ['spec.type: Unsupported value: "X": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
    ],
    [object("Service", { spec: { type: "ExternalName" } }), ["spec.externalName: Required value"]],
    [object("Service", { spec: { type: "ExternalName", externalName: "a.b" } }), []],
    [
      object("Service", { spec: { type: "ExternalName", externalName: "A_b" } }),
      ['spec.externalName: Invalid value: "A_b": a lowercase RFC 1123 subdomain'],
    ],
    [
      object("Service", { spec: { type: "ExternalName", externalName: "a.b", clusterIP: "None" } }),
      ["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
    ],
  ]);
});

test("node ports and the fields of load balancers belong to the types that have them", () => {
  refuses([
    [
      object("Service", { spec: { ports: [{ port: 80, nodePort: 30000 }] } }),
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    [
      object("Service", { spec: { type: "NodePort", clusterIP: "None", ports: [{ port: 80 }] } }),
      ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    ],
    [
      object("Service", { spec: { loadBalancerClass: "a", ports: [{ port: 80 }] } }),
      ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ],
    [
      object("Service", { spec: { type: "LoadBalancer", loadBalancerClass: "A b", ports: [{ port: 80 }] } }),
      ['spec.loadBalancerClass: Invalid value: "A b": name part'],
    ],
    [
      object("Service", { spec: { type: "LoadBalancer", healthCheckNodePort: 30200, ports: [{ port: 80 }] } }),
      [
        "spec.healthCheckNodePort: Invalid value: 30200: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ],
    ],
    [
      object("Service", { spec: { allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }] } }),
      ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ],
    [
      object("Service", { spec: { type: "LoadBalancer", loadBalancerSourceRanges: ["x"], ports: [{ port: 80 }] } }),
      ['spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value,'],
    ],
  ]);
});

test("traffic policies are known ones, and external ones need a Service that is reached from outside", () => {
  refuses([
    [
      object("Service", { spec: { externalTrafficPolicy: "Local", ports: [{ port: 80 }] } }),
      ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
    ],
    [
      object("Service", { spec: { type: "NodePort", externalTrafficPolicy: "X", ports: [{ port: 80 }] } }),
      ['spec.externalTrafficPolicy: Unsupported value: "X": supported values: "Cluster", "Local"'],
    ],
    [
      object("Service", { spec: { internalTrafficPolicy: "X", ports: [{ port: 80 }] } }),
      ['spec.internalTrafficPolicy: Unsupported value: "X": supported values: "Cluster", "Local"'],
    ],
    [
      object("Service", { spec: { trafficDistribution: "X", ports: [{ port: 80 }] } }),
      [
        'spec.trafficDistribution: Unsupported value: "X": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"',
      ],
    ],
  ]);
});

test("external addresses are not those of one host", () => {
  refuses([
    [
      object("Service", { spec: { externalIPs: ["x", "127.0.0.1", "0.0.0.0", "1.2.3.4"], ports: [{ port: 80 }] } }),
      [
        'spec.externalIPs[0]: Invalid value: "x": must be a valid IP address,',
        'spec.externalIPs[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        'spec.externalIPs[2]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
      ],
    ],
    [
      object("Service", { spec: { clusterIP: "x", ports: [{ port: 80 }] } }),
      ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address,'],
    ],
    [
      object("Service", { spec: { ipFamilies: ["IPv4", "IPv4"], ipFamilyPolicy: "X", ports: [{ port: 80 }] } }),
      [
        'spec.ipFamilies[1]: Duplicate value: "IPv4"',
        'spec.ipFamilyPolicy: Unsupported value: "X": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
      ],
    ],
  ]);
});

test("affinity to a client lasts up to a day", () => {
  refuses([
    [
      object("Service", { spec: { sessionAffinity: "X", ports: [{ port: 80 }] } }),
      ['spec.sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"'],
    ],
    [
      object("Service", {
        spec: {
          sessionAffinity: "ClientIP",
          sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } },
          ports: [{ port: 80 }],
        },
      }),
      [
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
      ],
    ],
    [
      object("Service", { spec: { selector: { "a b": "c" }, ports: [{ port: 80 }] } }),
      ['spec.selector: Invalid value: "a b": name part'],
    ],
  ]);
});

test("Endpoints with several ports name them, and hosts and nodes have DNS names", () => {
  refuses([
    [
      object("Endpoints", {
        subsets: [
          {
            addresses: [{ ip: "1.2.3.4", hostname: "A_", nodeName: "" }],
            ports: [{ port: 80, name: "a" }, { port: 81, name: "a" }, { port: 0 }, { port: 5, protocol: "X" }],
          },
          { notReadyAddresses: [{ ip: "1.2.3.5" }], ports: [{ port: 1 }, { port: 2 }] },
        ],
      }),
      [
        'subsets[0].addresses[0].hostname: Invalid value: "A_": a lowercase RFC 1123 label',
        'subsets[0].addresses[0].nodeName: Invalid value: "": a lowercase RFC 1123 subdomain',
        "subsets[0].ports[2].name: Required value",
        "subsets[0].ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "subsets[0].ports[3].name: Required value",
        'subsets[0].ports[3].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        "subsets[1].ports[0].name: Required value",
        "subsets[1].ports[1].name: Required value",
      ],
    ],
  ]);
});

test("an EndpointSlice has addresses of its type, and names its ports once", () => {
  refuses([
    [
      object("EndpointSlice", {
        addressType: "IPv4",
        endpoints: [{ addresses: ["x"], hostname: "A_" }, { addresses: [] }],
        ports: [
          { name: "a", port: 0 },
          { name: "a", port: 80 },
          { name: "A_", port: 80, protocol: "X", appProtocol: "a b" },
        ],
      }),
      [
        'endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP address,',
        'endpoints[0].hostname: Invalid value: "A_": a lowercase RFC 1123 label',
        "endpoints[1].addresses: Required value: must contain at least 1 address",
        'ports[1].name: Duplicate value: "a"',
        'ports[2].appProtocol: Invalid value: "a b": name part',
        'ports[2].name: Invalid value: "A_": a lowercase RFC 1123 label',
        'ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
      ],
    ],
  ]);
});
