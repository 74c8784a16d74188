import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIssues } from "../parsed.ts";
import { parseCanary } from "./canary.ts";

function faultsOf(target: object, steps: readonly object[] = [{ weight: 100 }]): string[] {
  const { errors } = parseCanary({ metadata: { name: "c", namespace: "shop" }, spec: { target, steps } });
  return formatIssues(errors).split("\n");
}

const name = (value: string, longest = 253): string =>
  `must be a name of at most ${longest} lower-case letters, digits, dashes and dots, got "${value}"`;

test("names that no object can have are refused in every target", () => {
  assert.deepEqual(faultsOf({ deployment: { name: "", service: "Web_2", previewService: "a b" } }), [
    `spec.target.deployment.name: ${name("")}`,
    `spec.target.deployment.service: ${name("Web_2")}`,
    `spec.target.deployment.previewService: ${name("a b", 63)}`,
  ]);
  assert.deepEqual(
    faultsOf({
      httpRoute: { name: "-a", namespace: "N", stable: { name: "A", port: 80 }, canary: { name: "b", port: 80 } },
    }),
    [
      `spec.target.httpRoute.stable.name: ${name("A")}`,
      `spec.target.httpRoute.name: ${name("-a")}`,
      `spec.target.httpRoute.namespace: ${name("N")}`,
    ],
  );
  assert.deepEqual(faultsOf({ services: { service: "/", stable: "a", canary: "b.", port: 80 } }), [
    `spec.target.services.canary: ${name("b.")}`,
    `spec.target.services.service: ${name("/")}`,
  ]);
  assert.deepEqual(faultsOf({ virtualService: { name: "vs", stable: { host: "a" }, canary: { host: "" } } }), [
    "spec.target.virtualService.canary.host: must not be empty",
  ]);
});

test("a match of a header with an impossible name is refused", () => {
  const match = { headers: [{ name: "a b", value: "x" }] };
  assert.deepEqual(faultsOf({ deployment: { name: "web", service: "web" } }, [{ match }]), [
    'spec.steps[0].match.headers[0].name: must be the name of a header, got "a b"',
  ]);
});

const web = { deployment: { name: "web", service: "web" } };

test("a step that is not an object, and an empty pause, are refused", () => {
  assert.match(faultsOf(web, ["weight: 10" as unknown as object])[0] ?? "", /^spec\.steps\[0\]: must be an object/);
  assert.match(
    faultsOf(web, [{ pause: {} }])[0] ?? "",
    /^spec\.steps\[0\]\.pause: must have durationSeconds, or untilApproved/,
  );
});

test("what the API server or a proxy would refuse later is refused at once", () => {
  const { deployment } = web;
  const faults = (more: object): string => faultsOf({ deployment: { ...deployment, ...more } })[0] ?? "";
  assert.match(faults({ gateways: ["ok", "a/b", "a b"] }), /gateways\[2\]: must be the name of a gateway/);
  assert.match(faults({ hosts: ["*.shop.example", "shop example"] }), /hosts\[1\]: must be a DNS name/);
  assert.match(
    faults({ canaryMetadata: { labels: { a: "x y" } } }),
    /canaryMetadata\.labels\.a: must be the value of a label/,
  );
  const virtualService = { name: "v", stable: { host: "a" }, canary: { host: "a", subset: "v 2" } };
  assert.match(faultsOf({ virtualService })[0] ?? "", /canary\.subset: must be the name of a subset/);
  const spec = (more: object): string =>
    formatIssues(parseCanary({ metadata: {}, spec: { target: web, steps: [{ weight: 1 }], ...more } }).errors);
  assert.match(spec({ sessionAffinity: { cookieName: "a; b" } }), /^spec\.sessionAffinity\.cookieName: /);
  assert.match(spec({ group: " " }), /^spec\.group: must not be empty/);
  assert.match(spec({ notifications: [{ url: "" }] }), /^spec\.notifications\[0\]\.url: /);
  const webhook = { url: "http://gate.shop", headers: { "x-a": "1\r\nx-b: 2" } };
  assert.match(
    spec({ checks: [{ type: "webhook", webhook }] }),
    /webhook\.headers\.x-a: must be the value of a header/,
  );
});

test("a step whose only field is wrong gets one error, at the field", () => {
  assert.deepEqual(faultsOf(web, [{ weight: 101 }]), ["spec.steps[0].weight: must be from 0 to 100, got 101"]);
  assert.match(faultsOf(web, [{ checks: [] }])[0] ?? "", /^spec\.steps\[0\]: must have at least one of/);
});

test("a match of callers' labels needs VirtualServices, because other routes would send all callers to the canary", () => {
  const match = { sourceLabels: { app: "tester" } };
  const faults = (target: object): string => faultsOf(target, [{ match }]).join("\n");
  const services = { stable: "a", canary: "b", port: 80 };
  const namespaces = { stable: "a", canary: "b", routes: [{ kind: "VirtualService", name: "web" }] };
  assert.equal(faults(web), "");
  assert.equal(faults({ services }), "");
  assert.equal(faults({ namespaces }), "");
  for (const target of [
    { deployment: { ...web.deployment, routes: "HTTPRoute" } },
    { services: { ...services, routes: "HTTPRoute" } },
    { namespaces: { ...namespaces, routes: [...namespaces.routes, { kind: "GRPCRoute", name: "web" }] } },
    { httpRoute: { name: "web", stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 } } },
  ])
    assert.match(
      faults(target),
      /^spec\.steps\[0\]\.match\.sourceLabels: needs routes that are VirtualServices/,
      JSON.stringify(target),
    );
});

test("a tcp or tls route is matched by callers' labels and by nothing else, as in Istio", () => {
  for (const protocol of ["tcp", "tls"]) {
    const target = { virtualService: { name: "db", protocol, stable: { host: "a" }, canary: { host: "b" } } };
    assert.deepEqual(faultsOf(target, [{ match: { sourceLabels: { app: "tester" } } }]), [""]);
    assert.match(
      faultsOf(target, [{ match: { sourceLabels: { app: "t" }, paths: [{ value: "/" }] } }])[0] ?? "",
      /match\.paths: needs an http route/,
    );
  }
});

test("scale with matchWeight: false is refused, because it would leave the canary no pods", () => {
  assert.deepEqual(faultsOf(web, [{ weight: 10, scale: { matchWeight: false } }]), [
    "spec.steps[0].scale.matchWeight: must be true; to set a number of pods instead, use replicas or percent",
  ]);
});

test("a name whose journal could not be stored is refused", () => {
  const named = (name: string): string =>
    formatIssues(parseCanary({ metadata: { name }, spec: { target: web, steps: [{ weight: 1 }] } }).errors);
  assert.equal(named("x".repeat(182)), "");
  assert.match(named("x".repeat(183)), /^metadata\.name: must have at most 182 characters, .* got 183$/);
});

test("a Deployment or Service is refused if the names of the engine's objects for it would be too long", () => {
  const faults = (more: object, steps: readonly object[] = [{ weight: 100 }]): string =>
    faultsOf({ deployment: { ...web.deployment, ...more } }, steps).join("\n");
  const experiment = [{ experiment: { durationSeconds: 1 } }, { weight: 100 }];
  assert.equal(faults({ name: "x".repeat(235), service: "x".repeat(63) }), "");
  assert.match(
    faults({ name: "x".repeat(236) }),
    /deployment\.name: must have at most 235 characters, .*NAME-canary, got 236$/,
  );
  assert.match(faults({ name: "x".repeat(223) }, experiment), /deployment\.name: must have at most 222 characters/);
  assert.equal(faults({ routes: "HTTPRoute", service: "x".repeat(56) }), "");
  assert.match(
    faults({ routes: "HTTPRoute", service: "x".repeat(57) }),
    /deployment\.service: must have at most 56 characters, .*SERVICE-canary, got 57$/,
  );
  assert.match(faults({ routes: "HTTPRoute", service: "x".repeat(44) }, experiment), /at most 43 characters/);
  assert.match(faults({ previewService: "x".repeat(64) }), /previewService: must be a name of at most 63/);
});

const backends = { stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 } };

function placesOf(spec: object): readonly string[] {
  const { errors, warnings } = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: { target: web, steps: [{ weight: 100 }], ...spec },
  });
  assert.deepEqual(errors, []);
  return warnings.map(({ path }) => path);
}

test("a Canary warns of scaleDownDelaySeconds if the engine does not run the pods", () => {
  assert.deepEqual(placesOf({ scaleDownDelaySeconds: 30 }), []);
  assert.deepEqual(placesOf({ scaleDownDelaySeconds: 30, target: { httpRoute: { name: "web", ...backends } } }), [
    "spec.scaleDownDelaySeconds",
  ]);
});

test("a Canary warns of onDeletion: Leave if its changes cannot stay", () => {
  assert.deepEqual(placesOf({ onDeletion: "Leave" }), ["spec.onDeletion"]);
  assert.deepEqual(placesOf({ onDeletion: "Leave", target: { httpRoute: { name: "web", ...backends } } }), []);
});

test("a Canary warns of a match in a step where all requests go to the canary", () => {
  const match = { headers: [{ name: "x", value: "y" }] };
  assert.deepEqual(placesOf({ steps: [{ match }, { weight: 100, match }, { match }] }), [
    "spec.steps[1].match",
    "spec.steps[2].match",
  ]);
});

test("a Canary warns of a mirror beside the mirror of an experiment", () => {
  const experiment = { durationSeconds: 60, mirrorPercent: 10 };
  const mirror = { percent: 10 };
  assert.deepEqual(placesOf({ steps: [{ experiment, mirror }, { experiment }, { mirror }] }), ["spec.steps[0].mirror"]);
});

test("an empty name of a rule or route is refused, because it would wait for a rule that nobody can name so", () => {
  const [stable, canary] = [
    { name: "a", port: 80 },
    { name: "b", port: 80 },
  ];
  for (const kind of ["httpRoute", "grpcRoute"])
    assert.deepEqual(faultsOf({ [kind]: { name: "r", rule: "", stable, canary } }), [
      `spec.target.${kind}.rule: must not be empty`,
    ]);
  const virtualService = { name: "v", route: "", stable: { host: "a" }, canary: { host: "b" } };
  assert.deepEqual(faultsOf({ virtualService }), ["spec.target.virtualService.route: must not be empty"]);
});
