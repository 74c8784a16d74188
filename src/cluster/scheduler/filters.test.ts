import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod, PodAffinityTerm, PodSpec } from "../../api/kubernetes/index.ts";
import { decide } from "./decide.ts";
import { Placements } from "./node-state.ts";

type Labels = Record<string, string>;

const gibibyte = "1Gi";
const node = (name: string, labels: Labels = {}, spec: Node["spec"] = {}, allocatable: Labels = {}): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
  spec,
  status: {
    allocatable: { cpu: "2", memory: "4Gi", pods: "10", ...allocatable },
    conditions: [{ type: "Ready", status: "True" }],
  },
});
const pod = (name: string, spec: Partial<PodSpec> = {}, labels: Labels = {}, namespace = "default"): Pod => ({
  metadata: { name, namespace, uid: `${namespace}/${name}`, labels },
  spec: { containers: [{ name: "app" }], ...spec },
});
const requesting = (requests: Labels): Partial<PodSpec> => ({ containers: [{ name: "app", resources: { requests } }] });
const exposing = (...ports: object[]): Partial<PodSpec> =>
  ({ containers: [{ name: "app", ports }] }) as unknown as Partial<PodSpec>;

/** Returns the name of the chosen node. If there is none, returns the message without its beginning. */
function place(
  wanted: Pod,
  nodes: readonly Node[],
  placed: readonly (readonly [pod: Pod, node: string])[] = [],
  namespaces: Readonly<Record<string, Labels>> = {},
): string {
  const placements = new Placements();
  for (const item of nodes) placements.setNode(item);
  for (const [other, where] of placed) placements.place(other, where);
  const decision = decide({
    pod: wanted,
    nodes: placements.nodes(),
    repelling: placements.repelling(),
    namespaceLabels: (name) => namespaces[name],
    volumeNeeds: { bound: [], waiting: [], existingOnly: [], volumes: [] },
  });
  if (decision.node !== undefined) return decision.node;
  return decision.message.replace(`0/${nodes.length} nodes are available: `, "");
}

test("the message names every resource that a node lacks, not only the first", () => {
  const big = pod("big", requesting({ cpu: "3", memory: "5Gi", "example.com/gpu": "1" }));
  assert.equal(
    place(big, [node("a"), node("b", {}, {}, { cpu: "4" })]),
    "1 Insufficient cpu, 2 Insufficient example.com/gpu, 2 Insufficient memory.",
  );
  const full = node("a", {}, {}, { pods: "1" });
  assert.equal(place(big, [full], [[pod("p"), "a"]]).slice(-16), "1 Too many pods.");
});

test("a node is filled to the last millicore, and what an init container needs counts only while it runs", () => {
  const [a] = [node("a")];
  const half = pod("half", requesting({ cpu: "1500m", memory: gibibyte }));
  assert.equal(place(pod("p", requesting({ cpu: "500m" })), [a], [[half, "a"]]), "a");
  assert.equal(place(pod("p", requesting({ cpu: "501m" })), [a], [[half, "a"]]), "1 Insufficient cpu.");
  const init = (cpu: string, more: object = {}): Partial<PodSpec> => ({
    containers: [{ name: "app", resources: { requests: { cpu: "400m" } } }],
    initContainers: [{ name: "first", resources: { requests: { cpu } }, ...more }],
  });
  assert.equal(place(pod("p", init("500m")), [a], [[half, "a"]]), "a");
  assert.equal(place(pod("p", init("501m")), [a], [[half, "a"]]), "1 Insufficient cpu.");
  assert.equal(place(pod("p", init("101m", { restartPolicy: "Always" })), [a], [[half, "a"]]), "1 Insufficient cpu.");
});

test("a limit without a request is requested, and the resources of a whole pod replace those of its containers", () => {
  const [a] = [node("a")];
  const limited = { containers: [{ name: "app", resources: { limits: { cpu: "3" } } }] };
  assert.equal(place(pod("p", limited), [a]), "1 Insufficient cpu.");
  const whole = { ...limited, resources: { requests: { cpu: "1" } } } as Partial<PodSpec>;
  assert.equal(place(pod("p", whole), [a]), "a");
  const much = { resources: { limits: { memory: "5Gi" } } } as Partial<PodSpec>;
  assert.equal(place(pod("p", much), [a]), "1 Insufficient memory.");
});

test("two pods share a host port only with other protocols or at other addresses of the node", () => {
  const [a] = [node("a")];
  const taken = "1 node(s) didn't have free ports for the requested pod ports.";
  const there = pod("there", exposing({ containerPort: 1, hostPort: 80, hostIP: "10.0.0.1" }));
  for (const [port, expected] of [
    [{ hostPort: 80, hostIP: "10.0.0.2" }, "a"],
    [{ hostPort: 80, hostIP: "10.0.0.1" }, taken],
    [{ hostPort: 80, hostIP: "10.0.0.1", protocol: "UDP" }, "a"],
    [{ hostPort: 80 }, taken],
    [{ hostPort: 80, hostIP: "0.0.0.0" }, taken],
    [{ hostPort: 81 }, "a"],
    [{}, "a"],
  ] as const)
    assert.equal(place(pod("p", exposing({ containerPort: 80, ...port })), [a], [[there, "a"]]), expected);
  const everywhere = pod("there", exposing({ containerPort: 1, hostPort: 80 }));
  const one = pod("p", exposing({ containerPort: 1, hostPort: 80, hostIP: "10.0.0.2" }));
  assert.equal(place(one, [a], [[everywhere, "a"]]), taken);
});

test("pods on the node's network take the ports of their containers and sidecars, and not those of init containers", () => {
  const [a] = [node("a")];
  const taken = "1 node(s) didn't have free ports for the requested pod ports.";
  const onHost = pod("there", { ...exposing({ containerPort: 80 }), hostNetwork: true });
  const wants = exposing({ containerPort: 9, hostPort: 80 });
  assert.equal(place(pod("p", wants), [a], [[onHost, "a"]]), taken);
  const init = (restartPolicy?: "Always"): Pod =>
    pod("there", {
      initContainers: [
        {
          name: "i",
          ports: [{ containerPort: 1, hostPort: 80 }],
          ...(restartPolicy === undefined ? {} : { restartPolicy }),
        },
      ],
    });
  assert.equal(place(pod("p", wants), [a], [[init(), "a"]]), "a");
  assert.equal(place(pod("p", wants), [a], [[init("Always"), "a"]]), taken);
});

test("a required node affinity needs one of its terms, and in a term all expressions", () => {
  const nodes = [node("a", { disk: "ssd", cores: "4" }), node("b", { disk: "hdd", cores: "8", zone: "" })];
  const affine = (...terms: object[]): string =>
    place(
      pod("p", {
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
        },
      }),
      nodes,
    );
  const refused = "2 node(s) didn't match Pod's node affinity/selector.";
  const where = (key: string, operator: string, ...values: string[]): object => ({
    key,
    operator,
    ...(values.length === 0 ? {} : { values }),
  });
  for (const [terms, expected] of [
    [[{ matchExpressions: [where("disk", "In", "ssd", "nvme")] }], "a"],
    [[{ matchExpressions: [where("disk", "NotIn", "ssd")] }], "b"],
    [[{ matchExpressions: [where("absent", "NotIn", "x"), where("disk", "In", "hdd")] }], "b"],
    [[{ matchExpressions: [where("zone", "Exists")] }], "b"],
    [[{ matchExpressions: [where("zone", "DoesNotExist")] }], "a"],
    [[{ matchExpressions: [where("cores", "Gt", "4")] }], "b"],
    [[{ matchExpressions: [where("cores", "Lt", "5")] }], "a"],
    [[{ matchExpressions: [where("disk", "Gt", "1")] }], refused],
    [[{ matchExpressions: [where("disk", "In", "ssd"), where("cores", "Gt", "4")] }], refused],
    [[{ matchExpressions: [where("disk", "In", "nvme")] }, { matchExpressions: [where("zone", "Exists")] }], "b"],
    [[{ matchFields: [where("metadata.name", "In", "b")] }], "b"],
    [[{}], refused],
  ] as const)
    assert.equal(affine(...terms), expected, JSON.stringify(terms));
});

test("a taint keeps pods away unless a toleration matches its key, value and effect", () => {
  const taint = { key: "team", value: "red", effect: "NoSchedule" } as const;
  const tainted = [node("a", {}, { taints: [taint] })];
  const tolerating = (toleration: object): string => place(pod("p", { tolerations: [toleration] }), tainted);
  for (const [toleration, isAllowed] of [
    [{ key: "team", operator: "Equal", value: "red", effect: "NoSchedule" }, true],
    [{ key: "team", value: "red" }, true],
    [{ key: "team", operator: "Exists" }, true],
    [{ operator: "Exists" }, true],
    [{ operator: "Exists", effect: "NoExecute" }, false],
    [{ key: "team", value: "blue" }, false],
    [{ key: "team" }, false],
    [{ key: "other", operator: "Exists" }, false],
  ] as const)
    assert.equal(tolerating(toleration) === "a", isAllowed, JSON.stringify(toleration));
  const soft = [node("a", {}, { taints: [{ ...taint, effect: "PreferNoSchedule" }] })];
  assert.equal(place(pod("p"), soft), "a", "a preference keeps nobody away");
  assert.equal(place(pod("p"), [...soft, node("b")]), "b", "but other nodes come first");
});

test("a cordoned node takes only pods that tolerate it", () => {
  const cordoned = [node("a", {}, { unschedulable: true })];
  assert.equal(place(pod("p"), cordoned), "1 node(s) were unschedulable.");
  const tolerations = [{ key: "node.kubernetes.io/unschedulable", operator: "Exists", effect: "NoSchedule" }] as const;
  assert.equal(place(pod("p", { tolerations: [...tolerations] }), cordoned), "a");
});

const zone = "topology.kubernetes.io/zone";
const zones = [node("a", { [zone]: "1" }), node("b", { [zone]: "1" }), node("c", { [zone]: "2" }), node("d")];
const term = (app: string, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  topologyKey: zone,
  labelSelector: { matchLabels: { app } },
  ...more,
});
const attractedBy = (...terms: PodAffinityTerm[]): Partial<PodSpec> => ({
  affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
});
const repelledBy = (...terms: PodAffinityTerm[]): Partial<PodSpec> => ({
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
});
const unattracted = "4 node(s) didn't match pod affinity rules.";

test("several affinity terms attract only to a pod that matches all of them", () => {
  const both = pod("both", {}, { app: "db", tier: "back" });
  const one = pod("one", {}, { app: "db" });
  const other = pod("other", {}, { tier: "back" });
  const terms = [term("db"), { topologyKey: zone, labelSelector: { matchLabels: { tier: "back" } } }];
  assert.equal(place(pod("p", attractedBy(...terms)), zones, [[both, "c"]]), "c");
  assert.equal(
    place(pod("p", attractedBy(...terms)), zones, [
      [one, "c"],
      [other, "c"],
    ]),
    unattracted,
  );
});

test("the first pod of a group may start anywhere with the label, but not if others are only attracted to the group", () => {
  const own = pod("p", attractedBy(term("db")), { app: "db" });
  assert.notEqual(place(own, zones), unattracted);
  assert.equal(place(own, [node("d")]), "1 node(s) didn't match pod affinity rules.", "no such label");
  assert.equal(place(pod("p", attractedBy(term("db"))), zones), unattracted);
  const there = pod("there", {}, { app: "db" });
  assert.equal(place(own, zones, [[there, "c"]]), "c", "the group has begun elsewhere");
});

test("affinity looks at the pod's own namespace, unless the term names others or selects them by labels", () => {
  const there = pod("there", {}, { app: "db" }, "data");
  const namespaces = { data: { team: "red" }, default: {} };
  const wanted = (more: Partial<PodAffinityTerm>): string =>
    place(pod("p", attractedBy(term("db", more))), zones, [[there, "c"]], namespaces);
  assert.equal(wanted({}), unattracted);
  assert.equal(wanted({ namespaces: ["data"] }), "c");
  assert.equal(wanted({ namespaces: ["default"] }), unattracted);
  assert.equal(wanted({ namespaceSelector: { matchLabels: { team: "red" } } }), "c");
  assert.equal(wanted({ namespaceSelector: {} }), "c");
  assert.equal(wanted({ namespaceSelector: { matchLabels: { team: "blue" } }, namespaces: ["data"] }), "c");
});

test("anti-affinity closes the whole domain of a matching pod, each term on its own, and leaves nodes without the label open", () => {
  const there = pod("there", {}, { app: "db" });
  const wanted = pod("p", repelledBy(term("db"), term("web")));
  assert.notEqual(place(wanted, zones, [[there, "a"]]), "b");
  assert.equal(place(wanted, zones.slice(0, 2), [[there, "a"]]), "2 node(s) didn't match pod anti-affinity rules.");
  assert.equal(
    place(wanted, zones, [
      [there, "a"],
      [pod("w", {}, { app: "web" }), "c"],
    ]),
    "d",
  );
});

test("a pod that repels others also keeps those away that say nothing about affinity", () => {
  const shy = pod("shy", repelledBy(term("web")), { app: "shy" });
  const web = pod("web", {}, { app: "web" });
  assert.equal(
    place(web, zones.slice(0, 2), [[shy, "a"]]),
    "2 node(s) didn't satisfy existing pods anti-affinity rules.",
  );
  assert.equal(place(web, zones.slice(0, 3), [[shy, "a"]]), "c");
  assert.equal(place(pod("x", {}, { app: "x" }), zones.slice(0, 1), [[shy, "a"]]), "a");
});

const spread = (more: object = {}): Partial<PodSpec> =>
  ({
    topologySpreadConstraints: [
      {
        topologyKey: zone,
        maxSkew: 1,
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: { matchLabels: { app: "web" } },
        ...more,
      },
    ],
  }) as unknown as Partial<PodSpec>;
const web = (name: string, namespace = "default"): Pod => pod(name, {}, { app: "web" }, namespace);

test("a spread constraint counts living pods of the same namespace, and the new pod only if it matches itself", () => {
  const first = zones.slice(0, 3);
  const wanted = pod("p", spread(), { app: "web" });
  assert.equal(place(wanted, first, [[web("1"), "a"]]), "c");
  assert.equal(
    place(pod("p", spread(), {}), first, [
      [web("1"), "a"],
      [web("2"), "c"],
    ]),
    "b",
    "it counts nowhere",
  );
  const leaving = { ...web("3"), metadata: { ...web("3").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assert.equal(
    place(wanted, first, [
      [web("1"), "a"],
      [web("1", "other"), "c"],
      [web("2", "other"), "c"],
      [leaving, "c"],
    ]),
    "c",
  );
});

test("a node without the label of a spread constraint takes no such pod, and the message says so", () => {
  assert.equal(
    place(pod("p", spread()), [node("d")]),
    "1 node(s) didn't match pod topology spread constraints (missing required label).",
  );
  assert.equal(place(pod("p", spread({ whenUnsatisfiable: "ScheduleAnyway" })), [node("d")]), "d");
});

test("if several filters refuse a node, the reason is that of kube-scheduler's first one", () => {
  const faulty = [node("a", { [zone]: "1" }, { taints: [{ key: "k", effect: "NoSchedule" }], unschedulable: true })];
  const wanted = pod("p", { ...spread(), ...attractedBy(term("none")), nodeSelector: { disk: "x" } }, { app: "web" });
  assert.equal(place(wanted, faulty), "1 node(s) were unschedulable.");
  const [spreadFirst] = [pod("p", { ...spread(), ...attractedBy(term("none")) }, { app: "web" })];
  assert.equal(
    place(spreadFirst, zones.slice(0, 3), [
      [web("1"), "a"],
      [web("2"), "b"],
      [web("3"), "b"],
      [web("4"), "c"],
    ]),
    "1 node(s) didn't match pod affinity rules, 2 node(s) didn't match pod topology spread constraints.",
  );
});
