import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, Service } from "../../../api/kubernetes/index.ts";
import { makePod } from "../testing/make-pod.ts";
import { planSlices, planSubsets, resolvePort } from "./endpoints-plan.ts";

const service = (spec: Partial<NonNullable<Service["spec"]>> = {}): Service => ({
  metadata: { name: "web", namespace: "default" },
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "web" }], ...spec },
});
const withPodSpec = (pod: Pod, spec: Partial<NonNullable<Pod["spec"]>>): Pod => ({
  ...pod,
  spec: { ...(pod.spec ?? { containers: [] }), ...spec },
});
/** The conditions of each endpoint of the first slice, as `address ready serving terminating`. */
const conditions = (service: Service, pods: readonly Pod[]): string[] =>
  (planSlices(service, pods)[0]?.endpoints ?? []).map(
    ({ addresses, conditions: { ready, serving, terminating } = {} }) =>
      [addresses[0], ready, serving, terminating].join(" "),
  );
const ipsOf = (addresses: readonly { readonly ip: string }[] = []): string[] => addresses.map(({ ip }) => ip);

test("an endpoint is ready if its pod is, and a terminating pod still serves but is not ready", () => {
  const pods = [
    makePod("a", { ip: "10.0.0.1" }),
    makePod("b", { ip: "10.0.0.2", ready: false }),
    makePod("c", { ip: "10.0.0.3", deleted: true }),
  ];
  assert.deepEqual(conditions(service(), pods), [
    "10.0.0.1 true true false",
    "10.0.0.2 false false false",
    "10.0.0.3 false true true",
  ]);
});

test("publishNotReadyAddresses makes every endpoint ready, and leaves serving and terminating as they are", () => {
  const pods = [makePod("a", { ip: "10.0.0.1", ready: false }), makePod("b", { ip: "10.0.0.2", deleted: true })];
  assert.deepEqual(conditions(service({ publishNotReadyAddresses: true }), pods), [
    "10.0.0.1 true false false",
    "10.0.0.2 true true true",
  ]);
});

test("pods without an address and pods that have ended are no endpoints", () => {
  const pods = [
    makePod("a"),
    makePod("b", { ip: "10.0.0.2", phase: "Succeeded" }),
    makePod("c", { ip: "10.0.0.3", phase: "Failed" }),
  ];
  assert.deepEqual(conditions(service(), pods), []);
});

test("a Service without endpoints has one empty slice", () => {
  assert.deepEqual(planSlices(service(), []), [{ addressType: "IPv4", ports: [], endpoints: [] }]);
});

test("pods whose named port has another number are in a slice of their own", () => {
  const other = withPodSpec(makePod("b", { ip: "10.0.0.2" }), {
    containers: [{ name: "app", ports: [{ name: "web", containerPort: 9090 }] }],
  });
  const plans = planSlices(service(), [makePod("a", { ip: "10.0.0.1" }), other]);
  assert.deepEqual(
    plans.map(({ ports, endpoints }) => [ports[0]?.port, endpoints.map(({ addresses }) => addresses[0])]),
    [
      [8080, ["10.0.0.1"]],
      [9090, ["10.0.0.2"]],
    ],
  );
});

test("a slice has at most a hundred endpoints", () => {
  const pods = Array.from({ length: 250 }, (_, index) => makePod(`p-${index}`, { ip: `10.0.1.${index}` }));
  assert.deepEqual(
    planSlices(service(), pods).map(({ endpoints }) => endpoints.length),
    [100, 100, 50],
  );
});

test("a Service of two families has slices of both, each with the pods' addresses of its family", () => {
  const dual = makePod("a", { ip: "10.0.0.1" });
  if (dual.status !== undefined) dual.status.podIPs = [{ ip: "10.0.0.1" }, { ip: "fd00::1" }];
  assert.deepEqual(
    planSlices(service({ ipFamilies: ["IPv4", "IPv6"] }), [dual]).map(({ addressType, endpoints }) => [
      addressType,
      endpoints.flatMap(({ addresses }) => addresses),
    ]),
    [
      ["IPv4", ["10.0.0.1"]],
      ["IPv6", ["fd00::1"]],
    ],
  );
});

test("an endpoint names its pod and node, and has a host name if the pod's subdomain is the Service", () => {
  const pod = makePod("a", { ip: "10.0.0.1", node: "n1" });
  const endpoint = (spec: Partial<NonNullable<Pod["spec"]>>) =>
    planSlices(service(), [withPodSpec(pod, spec)])[0]?.endpoints[0];
  const named = endpoint({ hostname: "a-0", subdomain: "web" });
  assert.deepEqual([named?.hostname, named?.nodeName], ["a-0", "n1"]);
  assert.deepEqual(named?.targetRef, { kind: "Pod", name: "a", namespace: "default", uid: "a" });
  assert.equal(endpoint({ hostname: "a-0", subdomain: "other" })?.hostname, undefined);
});

test("a target port is the number, the container's port of that name and protocol, or the Service's port", () => {
  const pod = makePod("a");
  assert.equal(resolvePort({ port: 80, targetPort: 9000 }, pod), 9000);
  assert.equal(resolvePort({ port: 80, targetPort: "web" }, pod), 8080);
  assert.equal(resolvePort({ port: 80 }, pod), 80);
  assert.equal(resolvePort({ port: 80, targetPort: "admin" }, pod), undefined);
  assert.equal(resolvePort({ port: 80, targetPort: "web", protocol: "UDP" }, pod), undefined);
});

test("a named port may belong to a sidecar, but not to another init container", () => {
  const init = (restartPolicy?: "Always"): Pod =>
    withPodSpec(makePod("a"), {
      initContainers: [
        {
          name: "proxy",
          ports: [{ name: "status", containerPort: 15_021 }],
          ...(restartPolicy === undefined ? {} : { restartPolicy }),
        },
      ],
    });
  assert.equal(resolvePort({ port: 80, targetPort: "status" }, init("Always")), 15_021);
  assert.equal(resolvePort({ port: 80, targetPort: "status" }, init()), undefined);
});

test("the Endpoints object separates addresses that are not ready, and leaves out terminating pods", () => {
  const pods = [
    makePod("a", { ip: "10.0.0.1" }),
    makePod("b", { ip: "10.0.0.2", ready: false }),
    makePod("c", { ip: "10.0.0.3", deleted: true }),
  ];
  const [subset] = planSubsets(service(), pods);
  assert.deepEqual([ipsOf(subset?.addresses), ipsOf(subset?.notReadyAddresses)], [["10.0.0.1"], ["10.0.0.2"]]);
  assert.deepEqual(subset?.ports, [{ name: "http", port: 8080, protocol: "TCP" }]);
  assert.deepEqual(planSubsets(service(), []), []);
});

test("the Endpoints object has only addresses of the Service's first family", () => {
  const dual = makePod("a", { ip: "10.0.0.1" });
  if (dual.status !== undefined) dual.status.podIPs = [{ ip: "10.0.0.1" }, { ip: "fd00::1" }];
  const subsets = planSubsets(service({ ipFamilies: ["IPv6", "IPv4"] }), [dual]);
  assert.deepEqual(
    subsets.flatMap(({ addresses }) => ipsOf(addresses)),
    ["fd00::1"],
  );
});
